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
    size_t count = worker_slots(worker, MIXED_MEAN);
    struct slot *slots = work_map(count * sizeof(*slots));

    for (size_t i = 0; i < count; i++) {
        slot_fill(worker, &slots[i], worker_size(worker, rng_mixed_size));
    }
    while (worker_more(worker)) {
        struct slot *slot = &slots[rng_below(&worker->rng, count)];
        slot_empty(worker, slot);
        slot_fill(worker, slot, worker_size(worker, rng_mixed_size));
    }
    worker_settle(worker, slots_bytes(slots, count));
    for (size_t i = 0; i < count; i++) {
        slot_empty(worker, &slots[i]);
    }
    work_unmap(slots, count * sizeof(*slots));
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
