/*
 * scenario_calloc.c: zeroed blocks of 16 bytes to 256 KiB, in the live set of
 * which random ones are replaced; that they are zero is checked.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scenarios.h"
#include "work.h"

enum { CALLOC_MEAN = 155 };

static size_t calloc_size(struct rng *rng)
{
    return rng_pareto(rng, 16, 256 << 10);
}

/* Small blocks wholly, of others the start, a byte of each page and the end. */
static void check_zero(const unsigned char *block, size_t size)
{
    unsigned char any = block[size - 1];

    for (size_t i = 0; i < size && i < 256; i++) {
        any |= block[i];
    }
    for (size_t i = 4096; i < size; i += 4096) {
        any |= block[i];
    }
    if (any != 0) {
        work_fail("calloc of %zu bytes: not zero", size);
    }
}

static void fill(struct worker *worker, struct slot *slot)
{
    slot->size = worker_size(worker, calloc_size);
    slot->block = worker_calloc(worker, slot->size);
    check_zero(slot->block, slot->size);
    block_touch(slot->block, slot->size, (unsigned char)slot->size);
    worker->check += slot->size;
}

static void calloc_work(struct worker *worker)
{
    size_t count = worker_slots(worker, CALLOC_MEAN);
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

static void calloc_run(const struct params *params, struct outcome *outcome)
{
    workers_run(params, calloc_work, NULL, outcome);
}

const struct scenario scenario_calloc = {
    .name = "calloc",
    .summary = "zeroed blocks of 16 B-256 KiB, random replacement; zeros are checked",
    .source = "own",
    .defaults = {.threads = 1, .ops = 9400000, .live = 16 << 20, .seed = 1},
    .run = calloc_run,
};
