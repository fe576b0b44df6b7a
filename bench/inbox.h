/*
 * inbox.h: blocks on their way to the thread that frees them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_INBOX_H
#define BENCH_INBOX_H

#include "work.h"

#include <stdatomic.h>
#include <string.h>

/*
 * What waits for a thread: anyone puts, only its owner takes, and all at once,
 * so a thing that was put cannot come back while it is looked at.  Things are
 * chained through their first word.
 */
struct inbox {
    _Alignas(128) _Atomic(void *) top;
    _Atomic unsigned count;
};

enum { INBOX_MOST = 4096 };

/* False: it is full, as a thread that is not running must not collect without limit. */
static inline bool inbox_put(struct inbox *inbox, void *thing)
{
    if (atomic_fetch_add_explicit(&inbox->count, 1, memory_order_relaxed) >= INBOX_MOST) {
        return false;
    }
    void *top = atomic_load_explicit(&inbox->top, memory_order_relaxed);
    do {
        memcpy(thing, &top, sizeof(top)); /* things are of several types */
    } while (!atomic_compare_exchange_weak_explicit(&inbox->top, &top, thing, memory_order_release,
                                                    memory_order_relaxed));
    return true;
}

/* Things that a scenario replaces: how they are made, taken leave of by who made them, and freed by whom they reach. */
struct goods {
    void *(*make)(struct worker *worker);
    void (*part)(struct worker *worker, void *thing);
    void (*drop)(struct worker *worker, void *thing);
};

/* Frees all that is there. */
static inline void inbox_empty(struct worker *worker, struct inbox *inbox, const struct goods *goods)
{
    void *next;

    atomic_store_explicit(&inbox->count, 0, memory_order_relaxed);
    for (void *thing = atomic_exchange(&inbox->top, NULL); thing != NULL; thing = next) {
        memcpy(&next, thing, sizeof(next));
        goods->drop(worker, thing);
        worker->calls--; /* was counted when it was sent */
    }
}

/* What does not fit is freed by its sender. */
static inline void inbox_send(struct worker *worker, struct inbox *inbox, void *thing, const struct goods *goods)
{
    if (inbox_put(inbox, thing)) {
        worker->calls++;
    } else {
        goods->drop(worker, thing);
    }
}

/* worker_replace for things that go to other threads' inboxes when they are replaced; NULL: that are freed at once. */
static inline void worker_relay(struct worker *worker, void **slots, size_t count, struct inbox *inboxes,
                                const struct goods *goods)
{
    enum { TURNS_BETWEEN_LOOKS = 64 };

    for (size_t i = 0; i < count; i++) {
        slots[i] = goods->make(worker);
    }
    for (unsigned turn = 0; worker_more(worker); turn++) {
        void **slot = &slots[rng_below(&worker->rng, count)];
        unsigned to = worker->index;
        goods->part(worker, *slot);
        if (inboxes == NULL) {
            goods->drop(worker, *slot);
        } else {
            if (worker->threads > 1) {
                to = (to + 1 + (unsigned)rng_below(&worker->rng, worker->threads - 1)) % worker->threads;
            }
            inbox_send(worker, &inboxes[to], *slot, goods);
        }
        *slot = goods->make(worker);
        if (inboxes != NULL && turn % TURNS_BETWEEN_LOOKS == 0) {
            inbox_empty(worker, &inboxes[worker->index], goods);
        }
    }
}

#endif
