/*
 * work.h: what scenarios are made of: random numbers, sizes, threads, blocks.
 *
 * Nothing here calls the allocator: the tables of a scenario come from mmap,
 * so their cost is the same under every allocator.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_WORK_H
#define BENCH_WORK_H

#include "bench.h"

#include <stdlib.h>

/* xorshift64* seeded through splitmix64: small, fast, the same everywhere. */
struct rng {
    uint64_t state;
};

struct rng rng_make(uint64_t seed, uint64_t stream);

static inline uint64_t rng_next(struct rng *rng)
{
    uint64_t x = rng->state;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    rng->state = x;
    return x * UINT64_C(0x2545F4914F6CDD1D);
}

/* 0 .. bound-1, for a bound of at most 2^32. */
static inline uint64_t rng_below(struct rng *rng, uint64_t bound)
{
    return ((rng_next(rng) >> 32) * bound) >> 32;
}

/* low .. high-1, each power of two between them as likely as the next; both are powers of two. */
static inline size_t rng_size(struct rng *rng, unsigned low_log2, unsigned high_log2)
{
    size_t floor = (size_t)1 << (low_log2 + rng_below(rng, high_log2 - low_log2));

    return floor + (size_t)rng_below(rng, floor);
}

/*
 * Sizes of a program that holds many small things and some big ones: 60 %
 * 8-127 bytes, 30 % 128-1023, 9 % 1-8 KiB, 1 % 8-32 KiB, uniform in each band.
 */
size_t rng_mixed_size(struct rng *rng);
enum { MIXED_MEAN = 830 };

/* One thread of a scenario. */
struct worker {
    _Alignas(128) unsigned index;
    unsigned threads;
    struct rng rng;
    uint64_t live;     /* this thread's share, bytes */
    uint64_t budget;   /* calls to make, or */
    uint64_t deadline; /* when to stop (0: by budget) */
    unsigned tick;
    uint64_t calls; /* allocator calls made: the scenario counts them */
    uint64_t check; /* what was done: the scenario adds to it */
    uint64_t started, ended;
    void *shared;
    void (*work)(struct worker *worker);
};

/* Runs work in params->threads threads (in the calling one if that is 1) and fills outcome. */
void workers_run(const struct params *params, void (*work)(struct worker *worker), void *shared,
                 struct outcome *outcome);

bool worker_time_left(struct worker *worker);

static inline bool worker_more(struct worker *worker)
{
    return worker->deadline == 0 ? worker->calls < worker->budget : worker_time_left(worker);
}

/* How many slots a live set of worker->live bytes with blocks of this mean size has; at least 1. */
size_t worker_slots(const struct worker *worker, size_t mean_size);

void *work_map(size_t bytes); /* zeroed pages, never NULL */
void work_unmap(void *pages, size_t bytes);

/* Reports the run as failed and ends the process. */
_Noreturn void work_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Fails the run if the allocator gave nothing. */
static inline void *work_block(void *block, size_t size)
{
    if (__builtin_expect(block == NULL, 0)) {
        work_fail("out of memory for a block of %zu bytes", size);
    }
    return block;
}

/*
 * Touches a new block as a program would: small ones are filled, of others
 * the start, each page and the end are written.  block_check reads two bytes.
 */
void block_touch(unsigned char *block, size_t size, unsigned char mark);
void block_check(const unsigned char *block, size_t size, unsigned char mark);

#endif
