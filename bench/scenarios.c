/*
 * scenarios.c: the table of scenarios.  A new one is a file of its own and a
 * line here.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scenarios.h"
#include "bench.h"

#include <string.h>
#include <unistd.h>

const struct scenario *const scenario_table[] = {
    &scenario_single,
    &scenario_multi,
    &scenario_stress,
    &scenario_large,
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
    if (given[PARAM_LIVE]) {
        params.live = user->live;
    }
    if (given[PARAM_SEED]) {
        params.seed = user->seed;
    }
    return params;
}
