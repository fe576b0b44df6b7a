/*
 * scenario_idle.c: a peak, all of it freed, and then next to nothing for two
 * seconds: how fast does memory go back?
 *
 * SPDX-License-Identifier: MIT
 */
#include "scenarios.h"
#include "work.h"

enum { IDLE_MILLIS = 2000, TURN_MILLIS = 20 };

/* Several threads are never at the same point. */
static void note(struct worker *worker, const char *name, const struct slot *slots, size_t count)
{
    if (worker->threads == 1) {
        work_mark(name, slots_bytes(slots, count));
    }
}

static void idle_work(struct worker *worker)
{
    size_t count = worker_slots(worker, MIXED_MEAN);
    struct slot *slots = work_map(count * sizeof(*slots));

    do {
        for (size_t i = 0; i < count; i++) {
            slot_fill(worker, &slots[i], worker_size(worker, rng_mixed_size));
        }
        note(worker, "full", slots, count);
        for (size_t i = 0; i < count; i++) {
            slot_empty(worker, &slots[i]);
        }
    } while (worker_more_slowly(worker));
    note(worker, "freed", slots, count);
    work_unmap(slots, count * sizeof(*slots));
    /* A trickle of work goes on: some allocators give back only when they are called. */
    for (unsigned turn = 0; turn < IDLE_MILLIS / TURN_MILLIS; turn++) {
        struct slot slot;
        worker_pause(worker, TURN_MILLIS);
        slot_fill(worker, &slot, worker_size(worker, rng_mixed_size));
        slot_empty(worker, &slot);
    }
    note(worker, "2 s later", NULL, 0);
}

static void idle_run(const struct params *params, struct outcome *outcome)
{
    workers_run(params, idle_work, NULL, outcome);
}

const struct scenario scenario_idle = {
    .name = "idle",
    .summary = "a peak, freed, then 2 seconds of almost nothing: 'end' says what has not gone back",
    .source = "own; a server after its busiest hour",
    .defaults = {.threads = 1, .ops = 2000000, .live = 256 << 20, .seed = 1},
    .run = idle_run,
};
