/*
 * scenario_sleepers.c: many threads of which one is awake: it makes a few
 * calls on a small live set of its own, wakes the next and sleeps.  Says what
 * an allocator keeps for a thread that does next to nothing.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scenarios.h"
#include "work.h"

#include <semaphore.h>
#include <stdatomic.h>

enum { SLEEPERS_MEAN = 252, TURN_CALLS = 40 };

struct ring {
    _Atomic bool over; /* one has found that the time is */
    sem_t wake[];
};

static size_t sleepers_size(struct rng *rng)
{
    return rng_size(rng, 4, 10);
}

static void take_turn(struct worker *worker, struct slot *slots, size_t count)
{
    uint64_t last = worker->calls + TURN_CALLS;

    while (worker->calls < last) {
        struct slot *slot = &slots[rng_below(&worker->rng, count)];
        if (slot->block != NULL) {
            slot_empty(worker, slot);
        }
        slot_fill(worker, slot, worker_size(worker, sleepers_size));
    }
}

/* By time: the threads did not start at once, but all are to end in the same round. */
static bool another_turn(struct worker *worker, struct ring *ring, uint64_t turn)
{
    if (worker->deadline == 0) {
        return turn * TURN_CALLS < worker->budget;
    }
    if (!worker_more_slowly(worker)) {
        atomic_store(&ring->over, true);
    }
    return !atomic_load(&ring->over);
}

/* Who is first in the ring has no fewer turns than who comes later, so none waits for a thread that is done. */
static void sleepers_work(struct worker *worker)
{
    struct ring *ring = worker->shared;
    size_t count = worker_slots(worker, SLEEPERS_MEAN);
    struct slot *slots = work_map(count * sizeof(*slots));
    bool more = true;

    slots[0].size = 0; /* is there before the baseline is taken */
    worker_baseline(worker);
    for (uint64_t turn = 0; more; turn++) {
        while (sem_wait(&ring->wake[worker->index]) != 0) {
        }
        more = another_turn(worker, ring, turn);
        if (more) {
            take_turn(worker, slots, count);
        }
        sem_post(&ring->wake[(worker->index + 1) % worker->threads]);
    }
    worker_settle_as(worker, slots_bytes(slots, count), "asleep");
    for (size_t i = 0; i < count; i++) {
        if (slots[i].block != NULL) {
            slot_empty(worker, &slots[i]);
        }
    }
    work_unmap(slots, count * sizeof(*slots));
}

static void sleepers_run(const struct params *params, struct outcome *outcome)
{
    size_t bytes = sizeof(struct ring) + params->threads * sizeof(sem_t);
    struct ring *ring = work_map(bytes);

    for (size_t i = 0; i < params->threads; i++) {
        sem_init(&ring->wake[i], 0, i == 0);
    }
    workers_run(params, sleepers_work, ring, outcome);
    work_unmap(ring, bytes);
}

const struct scenario scenario_sleepers = {
    .name = "sleepers",
    .summary = "many threads, one awake: a few calls on a few blocks, then the next; what do the others keep?",
    .source = "own; a thread for each connection, most of them silent",
    .defaults = {.threads = 256, .ops = 4000000, .live = 1 << 20, .seed = 1},
    .run = sleepers_run,
};
