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
#include "latency.h"

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

/* Bounded Pareto of shape 1 from low to high: the most sizes small, as many bytes in each doubling. */
size_t rng_pareto(struct rng *rng, size_t low, size_t high);

/* One thread of a scenario. */
struct worker {
    _Alignas(128) unsigned index;
    unsigned threads;
    struct rng rng;
    uint64_t live;     /* this thread's share, bytes */
    uint64_t budget;   /* calls to make, or */
    uint64_t deadline; /* when to stop (0: by budget) */
    size_t size_min, size_span; /* sizes are size_min .. size_min+size_span-1; span 0: the scenario's own */
    unsigned tick;
    uint64_t calls; /* allocator calls made: the functions below count them */
    uint64_t check; /* what was done: the scenario adds to it */
    uint64_t started, ended, paused;
    struct histogram *latency; /* NULL: not asked for */
    void *shared;
    void (*work)(struct worker *worker);
};

/* Runs work in params->threads threads (in the calling one if that is 1) and fills outcome. */
void workers_run(const struct params *params, void (*work)(struct worker *worker), void *shared,
                 struct outcome *outcome);

/* The same, while the calling thread, unless it is the only one, does something else. */
void workers_run_beside(const struct params *params, void (*work)(struct worker *worker),
                        void (*beside)(void *shared), void *shared, struct outcome *outcome);

bool worker_time_left(struct worker *worker);

static inline bool worker_more(struct worker *worker)
{
    return worker->deadline == 0 ? worker->calls < worker->budget : worker_time_left(worker);
}

/* As worker_more, for loops whose turns are long: looks at the clock each time. */
bool worker_more_slowly(struct worker *worker);

/* A random size: of the range asked for, else of own. */
static inline size_t worker_size(struct worker *worker, size_t (*own)(struct rng *rng))
{
    if (worker->size_span == 0) {
        return own(&worker->rng);
    }
    return worker->size_min + (size_t)rng_below(&worker->rng, worker->size_span);
}

/*
 * How many slots a live set of worker->live bytes has with blocks of this mean
 * size, or of the mean of the range asked for; at least 1.
 */
size_t worker_slots(const struct worker *worker, size_t mean_size);

/*
 * All threads call it once, when each holds its live set of so many bytes and
 * is about to take it down: says what that takes of resident memory.
 */
void worker_settle(struct worker *worker, uint64_t live);
void worker_settle_as(struct worker *worker, uint64_t live, const char *name); /* and notes it as a mark */

/*
 * All threads call it before the work that worker_settle and work_mark are to
 * measure, when what is resident until now is not to be part of that.
 */
void worker_baseline(struct worker *worker);

/* One thread calls it when so many bytes are live: says what is resident for them, the last time under each name. */
void work_mark(const char *name, uint64_t live);
void work_mark_peak(const char *name, uint64_t live); /* the most that ever was resident */

/* Runs work in a thread made for it, which has ended before this returns. */
void worker_in_thread(struct worker *worker, void (*work)(struct worker *worker));

/* Sleeps; the time is not part of the work. */
void worker_pause(struct worker *worker, unsigned millis);
uint64_t work_nanos(void); /* for what a scenario itself adds to worker->paused */

/*
 * trim.c: asks the preloaded allocator once, by the call that it documents for
 * it, to give back what is free.  What it was asked by; NULL: it has no such call.
 */
const char *work_trim(void);

/*
 * Puts the function of this name into a pointer to a function; false, and it
 * is left alone, if the library that malloc is in has none.
 */
bool work_function(void *pointer, const char *name);

/* --- the allocator, counted and on request timed; fail the run instead of returning NULL --- */

_Noreturn void work_fail_memory(size_t size);

/* Fails the run if the allocator gave nothing. */
static inline void *work_block(void *block, size_t size)
{
    if (__builtin_expect(block == NULL, 0)) {
        work_fail_memory(size);
    }
    return block;
}

static inline void *worker_malloc(struct worker *worker, size_t size)
{
    worker->calls++;
    if (__builtin_expect(worker->latency != NULL, 0)) {
        return work_block(timed_malloc(worker->latency, size), size);
    }
    return work_block(malloc(size), size);
}

static inline void *worker_calloc(struct worker *worker, size_t size)
{
    worker->calls++;
    if (__builtin_expect(worker->latency != NULL, 0)) {
        return work_block(timed_calloc(worker->latency, 1, size), size);
    }
    return work_block(calloc(1, size), size);
}

static inline void *worker_realloc(struct worker *worker, void *block, size_t size)
{
    worker->calls++;
    if (__builtin_expect(worker->latency != NULL, 0)) {
        return work_block(timed_realloc(worker->latency, block, size), size);
    }
    return work_block(realloc(block, size), size);
}

/*
 * For calls that have no function here: when one began, and that it is over.
 * The scenario counts it in worker->calls.
 */
static inline uint64_t worker_since(const struct worker *worker)
{
    return __builtin_expect(worker->latency != NULL, 0) ? latency_clock() : 0;
}

static inline void worker_spent(struct worker *worker, enum latency_kind kind, uint64_t since)
{
    if (__builtin_expect(worker->latency != NULL, 0)) {
        latency_add(worker->latency, kind, since);
    }
}

/* Checks the alignment too. */
void *worker_aligned(struct worker *worker, size_t alignment, size_t size);

static inline void worker_free(struct worker *worker, void *block)
{
    worker->calls++;
    if (__builtin_expect(worker->latency != NULL, 0)) {
        timed_free(worker->latency, block);
    } else {
        free(block);
    }
}

void *work_map(size_t bytes); /* zeroed pages, never NULL */
void work_unmap(void *pages, size_t bytes);
uint64_t work_resident(void); /* bytes of this process that are in memory; 0: not known */

/* Reports the run as failed and ends the process. */
_Noreturn void work_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Touches a new block as a program would: small ones are filled, of others
 * the start, each page and the end are written.  block_check reads two bytes.
 */
void block_touch(unsigned char *block, size_t size, unsigned char mark);
void block_check(const unsigned char *block, size_t size, unsigned char mark);

/* A block that knows its size: for scenarios where blocks wander.  Sizes of 16 and more. */
struct parcel {
    struct parcel *next;
    size_t size;
};

struct parcel *parcel_make(struct worker *worker, size_t size);
void parcel_check(const struct parcel *parcel);
void parcel_drop(struct worker *worker, struct parcel *parcel); /* checks and frees */

/* Swaps a block with what lies in a place of the board, an array shared by all threads. */
struct parcel *parcel_swap(_Atomic(struct parcel *) *place, struct parcel *parcel);

/* A block and its size, as a scenario's slot: filled and emptied with the two above. */
struct slot {
    unsigned char *block;
    size_t size;
};

void slot_fill(struct worker *worker, struct slot *slot, size_t size);
void slot_empty(struct worker *worker, struct slot *slot);
uint64_t slots_bytes(const struct slot *slots, size_t count);

/* The plain loop: a live set is built, blocks of it are replaced at random, all are freed. Inline for `own`'s sake. */
static inline void worker_replace(struct worker *worker, size_t mean_size, size_t (*own)(struct rng *rng))
{
    size_t count = worker_slots(worker, mean_size);
    struct slot *slots = work_map(count * sizeof(*slots));

    for (size_t i = 0; i < count; i++) {
        slot_fill(worker, &slots[i], worker_size(worker, own));
    }
    while (worker_more(worker)) {
        struct slot *slot = &slots[rng_below(&worker->rng, count)];
        slot_empty(worker, slot);
        slot_fill(worker, slot, worker_size(worker, own));
    }
    worker_settle(worker, slots_bytes(slots, count));
    for (size_t i = 0; i < count; i++) {
        slot_empty(worker, &slots[i]);
    }
    work_unmap(slots, count * sizeof(*slots));
}

#endif
