/*
 * scenario_pin.c: much is made of a size and all of it freed, but for one
 * block in some hundred, which stays to the end: then the same with another
 * size.  Says how much memory a few long-lived blocks keep from use.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scenarios.h"
#include "work.h"

enum { SURVIVOR_BYTES = 32 << 10, SIZES = 12 };

/* A block stays of about each 32 KiB, whichever unit the allocator keeps memory in. */
static void pin_work(struct worker *worker)
{
    static const size_t sizes[SIZES] = {48, 320, 96, 1024, 32, 640, 160, 2048, 64, 448, 128, 1536};
    size_t count = (size_t)(worker->live / sizes[4]) + 1;
    size_t most = (size_t)(worker->live / SURVIVOR_BYTES + 1) * SIZES;
    struct slot *slots = work_map(count * sizeof(*slots));
    struct slot *survivors = work_map(most * sizeof(*survivors));
    size_t survived = 0;

    for (unsigned turn = 0; worker_more_slowly(worker); turn++) {
        size_t size = sizes[turn % SIZES], used = (size_t)(worker->live / size);
        size_t every = SURVIVOR_BYTES / size, keep = (size_t)rng_below(&worker->rng, every);
        for (size_t i = 0; i < used; i++) {
            slot_fill(worker, &slots[i], size);
        }
        for (size_t i = 0; i < used; i++) {
            if (i % every == keep && survived < most) {
                survivors[survived++] = slots[i];
            } else {
                slot_empty(worker, &slots[i]);
            }
        }
    }
    worker_settle(worker, slots_bytes(survivors, survived));
    for (size_t i = 0; i < survived; i++) {
        slot_empty(worker, &survivors[i]);
    }
    work_unmap(survivors, most * sizeof(*survivors));
    work_unmap(slots, count * sizeof(*slots));
}

static void pin_run(const struct params *params, struct outcome *outcome)
{
    workers_run(params, pin_work, NULL, outcome);
}

const struct scenario scenario_pin = {
    .name = "pin",
    .summary = "long-lived blocks, one for each 32 KiB, pin what was made around them, size after size",
    .source = "own; the worst case of slabs and size classes, Robson (1977)",
    .own_sizes = true,
    .defaults = {.threads = 1, .ops = 31000000, .live = 24 << 20, .seed = 1},
    .run = pin_run,
};
