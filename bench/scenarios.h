/*
 * scenarios.h: the scenarios, one file each.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_SCENARIOS_H
#define BENCH_SCENARIOS_H

#include "job.h"

/* A scenario as a job, and what that points to; not to be moved. */
enum { SCENARIO_NUMBERS = 7 };
struct scenario_job {
    struct job job;
    char text[SCENARIO_NUMBERS][24];
    const char *argv[2 + SCENARIO_NUMBERS + 1];
};
void scenario_job(const struct scenario *scenario, const struct params *params, struct scenario_job *made);

extern const struct scenario scenario_large;
extern const struct scenario scenario_multi;
extern const struct scenario scenario_single;
extern const struct scenario scenario_stress;

#endif
