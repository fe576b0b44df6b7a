/*
 * scenario_multi.c: every thread replaces blocks of a live set of its own;
 * one block in eight is freed by whoever comes by.
 *
 * A block leaves its thread through the board, an array of slots for all: the
 * thread puts its block there and frees the one it finds.  How many blocks
 * are made, and of which sizes, does not depend on the timing.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scenarios.h"
#include "work.h"

#include <stdatomic.h>

enum { BOARD_SLOTS = 1024, HAND_OVER_ONE_IN = 8 };

/* The size travels in the block, as the one who frees it has no slot for it. */
struct block {
    size_t size;
};

static struct block *block_make(struct worker *worker)
{
    size_t size = worker_size(worker, rng_mixed_size);
    struct block *block = worker_malloc(worker, size);

    block_touch((unsigned char *)block, size, (unsigned char)size);
    block->size = size;
    worker->check += size;
    return block;
}

static void block_drop(struct worker *worker, struct block *block)
{
    const unsigned char *bytes = (const unsigned char *)block;
    size_t size = block->size;

    if (size < 8 || (size > 8 && bytes[size - 1] != (unsigned char)size)) {
        work_fail("contents of a block changed");
    }
    worker_free(worker, block);
}

static void multi_work(struct worker *worker)
{
    _Atomic(struct block *) *board = worker->shared;
    size_t count = worker_slots(worker, MIXED_MEAN);
    struct block **slots = work_map(count * sizeof(struct block *));

    for (size_t i = 0; i < count; i++) {
        slots[i] = block_make(worker);
    }
    while (worker_more(worker)) {
        struct block **slot = &slots[rng_below(&worker->rng, count)];
        struct block *old = *slot;
        if (rng_below(&worker->rng, HAND_OVER_ONE_IN) == 0) {
            old = atomic_exchange_explicit(&board[rng_below(&worker->rng, BOARD_SLOTS)], old,
                                           memory_order_acq_rel);
        }
        if (old != NULL) {
            block_drop(worker, old);
        } else {
            worker->calls++; /* its free comes when the board is cleared */
        }
        *slot = block_make(worker);
    }
    uint64_t held = 0;
    for (size_t i = 0; i < count; i++) {
        held += slots[i]->size;
    }
    worker_settle(worker, held);
    for (size_t i = 0; i < count; i++) {
        block_drop(worker, slots[i]);
    }
    work_unmap(slots, count * sizeof(struct block *));
}

static void multi_run(const struct params *params, struct outcome *outcome)
{
    size_t bytes = BOARD_SLOTS * sizeof(_Atomic(struct block *));
    _Atomic(struct block *) *board = work_map(bytes);

    workers_run(params, multi_work, board, outcome);
    for (size_t i = 0; i < BOARD_SLOTS; i++) {
        free(atomic_load_explicit(&board[i], memory_order_relaxed));
    }
    work_unmap(board, bytes);
}

const struct scenario scenario_multi = {
    .name = "multi",
    .summary = "threads with own live sets of mixed sizes; 1 block in 8 is freed by another thread",
    .source = "own; hand-over as in mstress of mimalloc-bench (Leijen)",
    .brief = true,
    .defaults = {.threads = 0, .ops = 49000000, .live = 8 << 20, .seed = 1},
    .run = multi_run,
};
