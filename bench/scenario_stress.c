/*
 * scenario_stress.c: threads call every allocation function at random, with
 * sizes from 1 byte to 64 KiB, and verify every byte they are given back.
 *
 * As much a test as a measurement: most of the time goes into the contents.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scenarios.h"
#include "work.h"

#include <pthread.h>
#include <string.h>

enum { STRESS_MEAN = 6 << 10, BOARD_SLOTS = 256, HAND_OVER_ONE_IN = 8 };

struct slot {
    unsigned char *block;
    size_t size;
    uint64_t tag; /* what the contents are made from */
};

/* Blocks on their way to another thread, which verifies and frees them. */
struct board {
    pthread_mutex_t lock;
    struct slot slots[BOARD_SLOTS];
};

static size_t stress_size(struct rng *rng)
{
    return rng_size(rng, 0, 16) + rng_below(rng, 2); /* 1 .. 64 KiB */
}

static inline uint64_t pattern(uint64_t tag, size_t word)
{
    return (tag ^ word) * UINT64_C(0x9E3779B97F4A7C15);
}

/* Writes bytes from..size of the pattern; from is a multiple of 8 or the end of an older block. */
static void slot_write(struct slot *slot, size_t from)
{
    size_t i = from / 8 * 8;

    for (; i + 8 <= slot->size; i += 8) {
        uint64_t value = pattern(slot->tag, i);
        memcpy(slot->block + i, &value, 8);
    }
    if (i < slot->size) {
        uint64_t value = pattern(slot->tag, i);
        memcpy(slot->block + i, &value, slot->size - i);
    }
}

static void slot_verify(const struct slot *slot, size_t size, const char *when)
{
    size_t i = 0;
    uint64_t wrong = 0;

    for (; i + 8 <= size; i += 8) {
        uint64_t value;
        memcpy(&value, slot->block + i, 8);
        wrong |= value ^ pattern(slot->tag, i);
    }
    if (i < size) {
        uint64_t value = pattern(slot->tag, i);
        wrong |= memcmp(&value, slot->block + i, size - i) != 0;
    }
    if (wrong != 0) {
        work_fail("contents of a block of %zu bytes wrong %s", slot->size, when);
    }
}

static void check_zero(const unsigned char *block, size_t size)
{
    size_t i = 0;

    for (uint64_t value; i + 8 <= size; i += 8) {
        memcpy(&value, block + i, 8);
        if (value != 0) {
            work_fail("calloc of %zu bytes: not zero", size);
        }
    }
    for (; i < size; i++) {
        if (block[i] != 0) {
            work_fail("calloc of %zu bytes: not zero", size);
        }
    }
}

static unsigned char *block_aligned(struct rng *rng, size_t size)
{
    size_t alignment = (size_t)8 << rng_below(rng, 10); /* 8 .. 4096 */
    void *block = NULL;

    if (posix_memalign(&block, alignment, size) != 0) {
        work_fail("out of memory for a block of %zu bytes aligned to %zu", size, alignment);
    }
    if ((uintptr_t)block % alignment != 0) {
        work_fail("posix_memalign of %zu bytes: not aligned to %zu", size, alignment);
    }
    return block;
}

static void slot_fill(struct worker *worker, struct slot *slot)
{
    uint64_t kind = rng_below(&worker->rng, 8);
    size_t size = stress_size(&worker->rng);

    if (kind < 5) {
        slot->block = work_block(malloc(size), size);
    } else if (kind < 7) {
        slot->block = work_block(calloc(1, size), size);
        check_zero(slot->block, size);
    } else {
        slot->block = block_aligned(&worker->rng, size);
    }
    slot->size = size;
    slot->tag = rng_next(&worker->rng);
    slot_write(slot, 0);
    worker->check += size ^ slot->tag;
    worker->calls++;
}

static void slot_resize(struct worker *worker, struct slot *slot)
{
    size_t old = slot->size;
    size_t size = stress_size(&worker->rng);

    slot->block = work_block(realloc(slot->block, size), size);
    slot->size = size;
    slot_verify(slot, old < size ? old : size, "after realloc");
    if (size > old) {
        slot_write(slot, old);
    }
    worker->check += size;
    worker->calls++;
}

static void slot_empty(struct worker *worker, struct slot *slot)
{
    slot_verify(slot, slot->size, "before free");
    free(slot->block);
    slot->block = NULL;
    worker->calls++;
}

static void slot_hand_over(struct worker *worker, struct slot *slot)
{
    struct board *board = worker->shared;
    struct slot *place = &board->slots[rng_below(&worker->rng, BOARD_SLOTS)];

    pthread_mutex_lock(&board->lock);
    struct slot found = *place;
    *place = *slot;
    pthread_mutex_unlock(&board->lock);
    slot->block = NULL;
    if (found.block != NULL) {
        slot_empty(worker, &found);
    } else {
        worker->calls++; /* its free comes when the board is cleared */
    }
}

static void stress_work(struct worker *worker)
{
    /* Half the slots are empty at a time. */
    size_t count = 2 * worker_slots(worker, STRESS_MEAN);
    struct slot *slots = work_map(count * sizeof(*slots));

    while (worker_more(worker)) {
        struct slot *slot = &slots[rng_below(&worker->rng, count)];
        if (slot->block == NULL) {
            slot_fill(worker, slot);
        } else if (rng_below(&worker->rng, 4) == 0) {
            slot_resize(worker, slot);
        } else if (rng_below(&worker->rng, HAND_OVER_ONE_IN) == 0) {
            slot_hand_over(worker, slot);
        } else {
            slot_empty(worker, slot);
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (slots[i].block != NULL) {
            slot_empty(worker, &slots[i]);
        }
    }
    work_unmap(slots, count * sizeof(*slots));
}

static void stress_run(const struct params *params, struct outcome *outcome)
{
    struct board *board = work_map(sizeof(*board));

    pthread_mutex_init(&board->lock, NULL);
    workers_run(params, stress_work, board, outcome);
    for (size_t i = 0; i < BOARD_SLOTS; i++) {
        if (board->slots[i].block != NULL) {
            slot_verify(&board->slots[i], board->slots[i].size, "at the end");
            free(board->slots[i].block);
        }
    }
    work_unmap(board, sizeof(*board));
}

const struct scenario scenario_stress = {
    .name = "stress",
    .summary = "threads, random malloc/calloc/realloc/aligned/free of 1 B-64 KiB, every byte verified",
    .source = "own",
    .defaults = {.threads = 0, .ops = 800000, .live = 16 << 20, .seed = 1},
    .run = stress_run,
};
