/*
 * scenario_large.c: a live set of blocks of 32 KiB to 16 MiB, replaced at
 * random; one step in four grows a block instead, as a buffer does.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scenarios.h"
#include "work.h"

enum { SIZE_LOW_LOG2 = 15, SIZE_HIGH_LOG2 = 24, LARGE_MEAN = 3100 << 10 };
static const size_t grown_max = (size_t)32 << 20;

static size_t large_size(struct rng *rng)
{
    return rng_size(rng, SIZE_LOW_LOG2, SIZE_HIGH_LOG2);
}

/* By a quarter to double, and a new fill of the grown block's new part. */
static void slot_grow(struct worker *worker, struct slot *slot)
{
    size_t old = slot->size;
    size_t size = old + old / 4 + (size_t)rng_below(&worker->rng, old * 3 / 4);

    slot->block = worker_realloc(worker, slot->block, size);
    block_check(slot->block, old, (unsigned char)old);
    slot->block[0] = (unsigned char)size;
    block_touch(slot->block + old, size - old, (unsigned char)size);
    slot->size = size;
    worker->check += size;
}

static void large_work(struct worker *worker)
{
    size_t count = worker_slots(worker, LARGE_MEAN);
    struct slot *slots = work_map(count * sizeof(*slots));

    for (size_t i = 0; i < count; i++) {
        slot_fill(worker, &slots[i], worker_size(worker, large_size));
    }
    while (worker_more(worker)) {
        struct slot *slot = &slots[rng_below(&worker->rng, count)];
        if (rng_below(&worker->rng, 4) == 0 && slot->size <= grown_max / 2) {
            slot_grow(worker, slot);
        } else {
            slot_empty(worker, slot);
            slot_fill(worker, slot, worker_size(worker, large_size));
        }
    }
    worker_settle(worker, slots_bytes(slots, count));
    for (size_t i = 0; i < count; i++) {
        slot_empty(worker, &slots[i]);
    }
    work_unmap(slots, count * sizeof(*slots));
}

static void large_run(const struct params *params, struct outcome *outcome)
{
    workers_run(params, large_work, NULL, outcome);
}

const struct scenario scenario_large = {
    .name = "large",
    .summary = "blocks of 32 KiB-16 MiB, each page touched, random replacement and realloc growth",
    .source = "own; sizes as in malloc-large of mimalloc-bench (Leijen)",
    .brief = true,
    .defaults = {.threads = 1, .ops = 2300, .live = 64 << 20, .seed = 1},
    .run = large_run,
};
