/*
 * scenario_mstress.c: work in phases, each in threads of its own; objects of
 * very different sizes, a few of them kept to the end of the phase, some left
 * on a board from which threads of this or a later phase take them.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scenarios.h"
#include "work.h"

enum { BOARD_SLOTS = 1000, CALLS_A_PHASE = 40000, MSTRESS_MEAN = 300 };

/* Most objects are small arrays of words; 1 in 100 is 10, 1 in 1000 100 and 1 in 10000 1000 times as big. */
static size_t mstress_size(struct rng *rng)
{
    size_t words = 2 + (size_t)rng_below(rng, 40);
    uint64_t luck = rng_below(rng, 10000);

    return 8 * words * (luck == 0 ? 1000 : luck < 10 ? 100 : luck < 100 ? 10 : 1);
}

static void phase(struct worker *worker)
{
    _Atomic(struct parcel *) *board = worker->shared;
    size_t count = worker_slots(worker, MSTRESS_MEAN);
    struct parcel **kept = work_map(count * sizeof(*kept));
    uint64_t last = worker->calls + CALLS_A_PHASE;

    while (worker->calls < last && worker_more(worker)) {
        struct parcel **slot = &kept[rng_below(&worker->rng, count)];
        struct parcel *old = *slot;
        *slot = parcel_make(worker, worker_size(worker, mstress_size));
        if (old == NULL) {
            continue;
        }
        if (rng_below(&worker->rng, 4) == 0) {
            old = parcel_swap(&board[rng_below(&worker->rng, BOARD_SLOTS)], old);
        }
        if (old != NULL) {
            parcel_drop(worker, old);
        } else {
            worker->calls++; /* its free comes when the board is cleared */
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (kept[i] != NULL) {
            parcel_drop(worker, kept[i]);
        }
    }
    work_unmap(kept, count * sizeof(*kept));
}

static void mstress_work(struct worker *worker)
{
    while (worker_more_slowly(worker)) {
        worker_in_thread(worker, phase);
    }
}

static void mstress_run(const struct params *params, struct outcome *outcome)
{
    size_t bytes = BOARD_SLOTS * sizeof(_Atomic(struct parcel *));
    _Atomic(struct parcel *) *board = work_map(bytes);

    workers_run(params, mstress_work, board, outcome);
    for (size_t i = 0; i < BOARD_SLOTS; i++) {
        free(board[i]);
    }
    work_unmap(board, bytes);
}

const struct scenario scenario_mstress = {
    .name = "mstress",
    .summary = "phases with new threads each, sizes of four magnitudes, objects migrate between threads",
    .source = "own, after mstress of mimalloc-bench (Leijen)",
    .defaults = {.threads = 0, .ops = 40000000, .live = 8 << 20, .seed = 1},
    .run = mstress_run,
};
