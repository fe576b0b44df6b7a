/*
 * scenario_cross.c: every block of 16 bytes to 16 KiB is freed by another
 * thread than made it: into whose inbox it is put, in no order.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scenarios.h"
#include "work.h"

#include <stdatomic.h>

enum { CROSS_MEAN = 1600, CALLS_BETWEEN_LOOKS = 64, INBOX_MOST = 4096 };

/* Only its owner takes, and all at once, so a pushed block cannot come back while it is looked at. */
struct inbox {
    _Alignas(128) _Atomic(struct parcel *) top;
    _Atomic unsigned count;
};

static size_t cross_size(struct rng *rng)
{
    return rng_size(rng, 4, 14);
}

static void inbox_empty(struct worker *worker, struct inbox *inbox)
{
    struct parcel *next;

    atomic_store_explicit(&inbox->count, 0, memory_order_relaxed);
    for (struct parcel *parcel = atomic_exchange(&inbox->top, NULL); parcel != NULL; parcel = next) {
        next = parcel->next;
        parcel_drop(worker, parcel);
        worker->calls--; /* was counted when it was sent */
    }
}

static void send(struct worker *worker, struct inbox *inbox, struct parcel *parcel)
{
    parcel_check(parcel);
    /* A thread that is not running must not collect without limit. */
    if (atomic_fetch_add_explicit(&inbox->count, 1, memory_order_relaxed) >= INBOX_MOST) {
        worker_free(worker, parcel);
        return;
    }
    worker->calls++;
    parcel->next = atomic_load_explicit(&inbox->top, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&inbox->top, &parcel->next, parcel, memory_order_release,
                                                  memory_order_relaxed)) {
    }
}

static void cross_work(struct worker *worker)
{
    struct inbox *inboxes = worker->shared;
    size_t count = worker_slots(worker, CROSS_MEAN);
    struct parcel **slots = work_map(count * sizeof(*slots));
    uint64_t held = 0;

    for (size_t i = 0; i < count; i++) {
        slots[i] = parcel_make(worker, worker_size(worker, cross_size));
    }
    for (unsigned turn = 0; worker_more(worker); turn++) {
        struct parcel **slot = &slots[rng_below(&worker->rng, count)];
        unsigned to = worker->index;
        if (worker->threads > 1) {
            to = (to + 1 + (unsigned)rng_below(&worker->rng, worker->threads - 1)) % worker->threads;
        }
        send(worker, &inboxes[to], *slot);
        *slot = parcel_make(worker, worker_size(worker, cross_size));
        if (turn % CALLS_BETWEEN_LOOKS == 0) {
            inbox_empty(worker, &inboxes[worker->index]);
        }
    }
    for (size_t i = 0; i < count; i++) {
        held += slots[i]->size;
    }
    worker_settle(worker, held);
    for (size_t i = 0; i < count; i++) {
        parcel_drop(worker, slots[i]);
    }
    inbox_empty(worker, &inboxes[worker->index]);
    work_unmap(slots, count * sizeof(*slots));
}

static void cross_run(const struct params *params, struct outcome *outcome)
{
    size_t bytes = params->threads * sizeof(struct inbox);
    struct inbox *inboxes = work_map(bytes);

    workers_run(params, cross_work, inboxes, outcome);
    work_unmap(inboxes, bytes);
}

const struct scenario scenario_cross = {
    .name = "cross",
    .summary = "16 B-16 KiB, every block is freed by another thread than made it",
    .source = "own, after rptest of rpmalloc-benchmark (Jansson)",
    .brief = true,
    .defaults = {.threads = 0, .ops = 15000000, .live = 16 << 20, .seed = 1},
    .run = cross_run,
};
