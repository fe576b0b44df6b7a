/*
 * scenarios.c: the table of scenarios.  A new one is a file of its own and a
 * line here.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scenarios.h"
#include "work.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const struct scenario *const scenario_table[] = {
    &scenario_single,
    &scenario_multi,
    &scenario_stress,
    &scenario_large,
    &scenario_larson,
    &scenario_larson_sized,
    &scenario_xmalloc,
    &scenario_cache_scratch,
    &scenario_cache_thrash,
    &scenario_mstress,
    &scenario_pareto,
    &scenario_cross,
    &scenario_fixed,
    &scenario_fixed_mt,
    &scenario_vector,
    &scenario_string,
    &scenario_calloc,
    &scenario_aligned,
    &scenario_churn,
    &scenario_phase,
    &scenario_kv,
    &scenario_tree,
    &scenario_request,
    &scenario_pin,
    &scenario_idle,
    &scenario_handoff,
    &scenario_crowd,
    &scenario_sleepers,
    &scenario_growth,
    &scenario_objects,
    &scenario_objects_handoff,
    &scenario_requests_heap,
    NULL,
};

const struct scenario *scenario_find(const char *name)
{
    for (size_t i = 0; scenario_table[i] != NULL; i++) {
        if (strcmp(scenario_table[i]->name, name) == 0) {
            return scenario_table[i];
        }
    }
    return NULL;
}

static uint64_t processor_count(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t most = param_table[PARAM_THREADS].max;

    /* A scenario about threads needs two of them, even on one processor. */
    return count < 2 ? 2 : (uint64_t)count > most ? most : (uint64_t)count;
}

struct params scenario_params(const struct scenario *scenario, const struct params *user, const bool *given)
{
    struct params params = scenario->defaults;

    if (params.threads == 0) {
        params.threads = processor_count();
    }
    if (given[PARAM_THREADS] && !scenario->one_thread) {
        params.threads = user->threads;
    }
    if (given[PARAM_OPS]) {
        params.ops = user->ops;
    }
    if (given[PARAM_SECONDS]) {
        params.millis = user->millis;
        params.ops = 0;
    }
    if (given[PARAM_LIVE] && params.live != 0) {
        params.live = user->live;
    }
    if (given[PARAM_SIZE_MIN] && !scenario->own_sizes) {
        params.size_min = user->size_min;
        params.size_max = user->size_max;
    }
    if (given[PARAM_PRODUCERS] && scenario->producers) {
        params.producers = user->producers;
    }
    if (given[PARAM_PLAIN] && scenario->interface) {
        params.plain = user->plain;
    }
    if (given[PARAM_SEED]) {
        params.seed = user->seed;
    }
    return params;
}

void scenario_job(const struct scenario *scenario, const struct params *params, struct scenario_job *made)
{
    const uint64_t numbers[SCENARIO_NUMBERS] = {params->threads,  params->ops,      params->millis,
                                                params->live,     params->seed,     params->size_min,
                                                params->size_max, params->producers, params->plain};

    made->argv[0] = "scenario";
    made->argv[1] = scenario->name;
    for (size_t i = 0; i < SCENARIO_NUMBERS; i++) {
        snprintf(made->text[i], sizeof(made->text[i]), "%" PRIu64, numbers[i]);
        made->argv[2 + i] = made->text[i];
    }
    made->argv[2 + SCENARIO_NUMBERS] = NULL;
    made->job = (struct job){
        .name = scenario->name,
        .kind = JOB_INTERNAL,
        .argv = made->argv,
        .params = *params,
        .fixed_work = params->millis == 0,
    };
}

void scenario_child(int argc, char **argv, struct outcome *outcome)
{
    const struct scenario *scenario = argc == 2 + SCENARIO_NUMBERS ? scenario_find(argv[1]) : NULL;
    uint64_t numbers[SCENARIO_NUMBERS];

    if (scenario == NULL) {
        work_fail("no such scenario");
    }
    for (size_t i = 0; i < SCENARIO_NUMBERS; i++) {
        numbers[i] = strtoull(argv[2 + i], NULL, 10);
    }
    struct params params = {numbers[0], numbers[1], numbers[2], numbers[3],
                            numbers[4], numbers[5], numbers[6], numbers[7], numbers[8]};
    scenario->run(&params, outcome);
}
