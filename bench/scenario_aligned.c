/*
 * scenario_aligned.c: posix_memalign with the alignments that vectors, cache
 * lines and pages need; random ones of the live set are replaced.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scenarios.h"
#include "work.h"

enum { ALIGNED_MEAN = 1200 };

static size_t aligned_size(struct rng *rng)
{
    return rng_pareto(rng, 128, 64 << 10);
}

static void fill(struct worker *worker, struct slot *slot)
{
    static const size_t alignments[8] = {16, 32, 32, 64, 64, 64, 128, 4096};

    slot->size = worker_size(worker, aligned_size);
    slot->block = worker_aligned(worker, alignments[rng_below(&worker->rng, 8)], slot->size);
    block_touch(slot->block, slot->size, (unsigned char)slot->size);
    worker->check += slot->size;
}

static void aligned_work(struct worker *worker)
{
    size_t count = worker_slots(worker, ALIGNED_MEAN);
    struct slot *slots = work_map(count * sizeof(*slots));

    for (size_t i = 0; i < count; i++) {
        fill(worker, &slots[i]);
    }
    while (worker_more(worker)) {
        struct slot *slot = &slots[rng_below(&worker->rng, count)];
        slot_empty(worker, slot);
        fill(worker, slot);
    }
    worker_settle(worker, slots_bytes(slots, count));
    for (size_t i = 0; i < count; i++) {
        slot_empty(worker, &slots[i]);
    }
    work_unmap(slots, count * sizeof(*slots));
}

static void aligned_run(const struct params *params, struct outcome *outcome)
{
    workers_run(params, aligned_work, NULL, outcome);
}

const struct scenario scenario_aligned = {
    .name = "aligned",
    .summary = "posix_memalign to 16-128 bytes and to pages, sizes of 128 B-64 KiB",
    .source = "own; alignments of vectors, cache lines and pages",
    .defaults = {.threads = 1, .ops = 8000000, .live = 32 << 20, .seed = 1},
    .run = aligned_run,
};
