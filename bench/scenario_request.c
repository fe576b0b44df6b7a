/*
 * scenario_request.c: each request makes some hundred blocks, lets a few grow,
 * and frees them all at its end; nothing survives it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scenarios.h"
#include "work.h"

enum { MOST = 600, LEAST = 60 };

static size_t request_size(struct rng *rng)
{
    return rng_below(rng, 100) == 0 ? 16384 : rng_pareto(rng, 16, 4096);
}

static void request_work(struct worker *worker)
{
    struct slot *slots = work_map(MOST * sizeof(*slots));

    while (worker_more_slowly(worker)) {
        size_t count = LEAST + (size_t)rng_below(&worker->rng, MOST - LEAST);
        for (size_t i = 0; i < count; i++) {
            slot_fill(worker, &slots[i], worker_size(worker, request_size));
            struct slot *grown = &slots[i / 2];
            if (rng_below(&worker->rng, 16) == 0) {
                block_check(grown->block, grown->size, (unsigned char)grown->size);
                grown->size += 1 + grown->size / 2;
                grown->block = worker_realloc(worker, grown->block, grown->size);
                block_touch(grown->block, grown->size, (unsigned char)grown->size);
                worker->check += grown->size;
            }
        }
        for (size_t i = 0; i < count; i++) {
            slot_empty(worker, &slots[i]);
        }
    }
    work_unmap(slots, MOST * sizeof(*slots));
}

static void request_run(const struct params *params, struct outcome *outcome)
{
    workers_run(params, request_work, NULL, outcome);
}

const struct scenario scenario_request = {
    .name = "request",
    .summary = "requests that make 60-600 blocks and free them all when they end",
    .source = "own; web servers and interpreters, Berger et al. (2002) on regions",
    .defaults = {.threads = 0, .ops = 200000000, .seed = 1},
    .run = request_run,
};
