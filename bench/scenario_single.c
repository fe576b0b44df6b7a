/*
 * scenario_single.c: one thread holds a live set of mixed sizes and replaces
 * blocks of it at random.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scenarios.h"
#include "work.h"

static void single_work(struct worker *worker)
{
    worker_replace(worker, MIXED_MEAN, rng_mixed_size);
}

static void single_run(const struct params *params, struct outcome *outcome)
{
    workers_run(params, single_work, NULL, outcome);
}

const struct scenario scenario_single = {
    .name = "single",
    .summary = "one thread, mixed sizes, random replacement in a live set",
    .source = "own; the replacement loop of many synthetic tests since Zorn and Grunwald (1994)",
    .one_thread = true,
    .brief = true,
    .defaults = {.threads = 1, .ops = 36000000, .live = 4 << 20, .seed = 1},
    .run = single_run,
};
