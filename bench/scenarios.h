/*
 * scenarios.h: the scenarios, one file each.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_SCENARIOS_H
#define BENCH_SCENARIOS_H

#include "job.h"

/* A scenario as a job, and what that points to; not to be moved. */
enum { SCENARIO_NUMBERS = 9 };
struct scenario_job {
    struct job job;
    char text[SCENARIO_NUMBERS][24];
    const char *argv[2 + SCENARIO_NUMBERS + 1];
};
void scenario_job(const struct scenario *scenario, const struct params *params, struct scenario_job *made);

extern const struct scenario scenario_aligned;
extern const struct scenario scenario_cache_scratch;
extern const struct scenario scenario_cache_thrash;
extern const struct scenario scenario_calloc;
extern const struct scenario scenario_churn;
extern const struct scenario scenario_cross;
extern const struct scenario scenario_crowd;
extern const struct scenario scenario_fixed;
extern const struct scenario scenario_fixed_mt;
extern const struct scenario scenario_growth;
extern const struct scenario scenario_handoff;
extern const struct scenario scenario_idle;
extern const struct scenario scenario_kv;
extern const struct scenario scenario_large;
extern const struct scenario scenario_larson;
extern const struct scenario scenario_larson_sized;
extern const struct scenario scenario_mstress;
extern const struct scenario scenario_multi;
extern const struct scenario scenario_objects;
extern const struct scenario scenario_objects_handoff;
extern const struct scenario scenario_pareto;
extern const struct scenario scenario_phase;
extern const struct scenario scenario_pin;
extern const struct scenario scenario_request;
extern const struct scenario scenario_requests_heap;
extern const struct scenario scenario_single;
extern const struct scenario scenario_sleepers;
extern const struct scenario scenario_stress;
extern const struct scenario scenario_string;
extern const struct scenario scenario_tree;
extern const struct scenario scenario_vector;
extern const struct scenario scenario_xmalloc;

#endif
