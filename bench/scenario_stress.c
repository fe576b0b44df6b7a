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

struct tagged {
    unsigned char *block;
    size_t size;
    uint64_t tag; /* what the contents are made from */
};

/* Blocks on their way to another thread, which verifies and frees them. */
struct board {
    pthread_mutex_t lock;
    struct tagged slots[BOARD_SLOTS];
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
static void tagged_write(struct tagged *slot, size_t from)
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

static void tagged_verify(const struct tagged *slot, size_t size, const char *when)
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

static void tagged_fill(struct worker *worker, struct tagged *slot)
{
    uint64_t kind = rng_below(&worker->rng, 8);
    size_t size = worker_size(worker, stress_size);

    if (kind < 5) {
        slot->block = worker_malloc(worker, size);
    } else if (kind < 7) {
        slot->block = worker_calloc(worker, size);
        check_zero(slot->block, size);
    } else {
        size_t alignment = (size_t)8 << rng_below(&worker->rng, 10); /* 8 .. 4096 */
        slot->block = worker_aligned(worker, alignment, size);
    }
    slot->size = size;
    slot->tag = rng_next(&worker->rng);
    tagged_write(slot, 0);
    worker->check += size ^ slot->tag;
}

static void tagged_resize(struct worker *worker, struct tagged *slot)
{
    size_t old = slot->size;
    size_t size = worker_size(worker, stress_size);

    slot->block = worker_realloc(worker, slot->block, size);
    slot->size = size;
    tagged_verify(slot, old < size ? old : size, "after realloc");
    if (size > old) {
        tagged_write(slot, old);
    }
    worker->check += size;
}

static void tagged_empty(struct worker *worker, struct tagged *slot)
{
    tagged_verify(slot, slot->size, "before free");
    worker_free(worker, slot->block);
    slot->block = NULL;
}

static void tagged_hand_over(struct worker *worker, struct tagged *slot)
{
    struct board *board = worker->shared;
    struct tagged *place = &board->slots[rng_below(&worker->rng, BOARD_SLOTS)];

    pthread_mutex_lock(&board->lock);
    struct tagged found = *place;
    *place = *slot;
    pthread_mutex_unlock(&board->lock);
    slot->block = NULL;
    if (found.block != NULL) {
        tagged_empty(worker, &found);
    } else {
        worker->calls++; /* its free comes when the board is cleared */
    }
}

static void stress_work(struct worker *worker)
{
    /* Half the slots are empty at a time. */
    size_t count = 2 * worker_slots(worker, STRESS_MEAN);
    struct tagged *slots = work_map(count * sizeof(*slots));

    while (worker_more(worker)) {
        struct tagged *slot = &slots[rng_below(&worker->rng, count)];
        if (slot->block == NULL) {
            tagged_fill(worker, slot);
        } else if (rng_below(&worker->rng, 4) == 0) {
            tagged_resize(worker, slot);
        } else if (rng_below(&worker->rng, HAND_OVER_ONE_IN) == 0) {
            tagged_hand_over(worker, slot);
        } else {
            tagged_empty(worker, slot);
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (slots[i].block != NULL) {
            tagged_empty(worker, &slots[i]);
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
            tagged_verify(&board->slots[i], board->slots[i].size, "at the end");
            free(board->slots[i].block);
        }
    }
    work_unmap(board, sizeof(*board));
}

const struct scenario scenario_stress = {
    .name = "stress",
    .summary = "threads, random malloc/calloc/realloc/aligned/free of 1 B-64 KiB, every byte verified",
    .source = "own",
    .defaults = {.threads = 0, .ops = 2500000, .live = 16 << 20, .seed = 1},
    .run = stress_run,
};
