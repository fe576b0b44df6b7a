/*
 * scenario_crowd.c: many more threads than processors, each replacing small
 * blocks of a small live set of its own: what threads cost that nothing ties
 * together.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scenarios.h"
#include "work.h"

enum { CROWD_MEAN = 252 };

static size_t crowd_size(struct rng *rng)
{
    return rng_size(rng, 4, 10);
}

static void crowd_work(struct worker *worker)
{
    worker_replace(worker, CROWD_MEAN, crowd_size);
}

static void crowd_run(const struct params *params, struct outcome *outcome)
{
    workers_run(params, crowd_work, NULL, outcome);
}

const struct scenario scenario_crowd = {
    .name = "crowd",
    .summary = "many more threads than processors, each with a small live set of 16 B-1 KiB of its own",
    .source = "own; a thread for each connection, all of them busy",
    .defaults = {.threads = 64, .ops = 80000000, .live = 4 << 20, .seed = 1},
    .run = crowd_run,
};
