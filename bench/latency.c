/*
 * latency.c: how long single calls of the allocator take.
 *
 * SPDX-License-Identifier: MIT
 */
#include "latency.h"
#include "job.h"
#include "work.h"

#include <string.h>
#include <time.h>

static bool wanted;
static struct histogram *totals;
static uint64_t begin_ticks, begin_nanos;

static uint64_t clock_nanos(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The processor's counter where it has one at a constant rate: clock_gettime takes as long as a malloc. */
static inline uint64_t ticks_now(void)
{
#ifdef __x86_64__
    __builtin_ia32_lfence();
    uint64_t ticks = __builtin_ia32_rdtsc();
    __builtin_ia32_lfence();
    return ticks;
#else
    return clock_nanos();
#endif
}

void latency_begin(void)
{
    wanted = true;
    totals = work_map(LATENCY_KINDS * sizeof(*totals));
    begin_nanos = clock_nanos();
    begin_ticks = ticks_now();
}

struct histogram *latency_open(void)
{
    return wanted ? work_map(LATENCY_KINDS * sizeof(struct histogram)) : NULL;
}

void latency_close(struct histogram *histograms)
{
    if (histograms == NULL) {
        return;
    }
    for (size_t i = 0; i < LATENCY_KINDS; i++) {
        histogram_merge(&totals[i], &histograms[i]);
    }
    work_unmap(histograms, LATENCY_KINDS * sizeof(*histograms));
}

void latency_end(struct result *result)
{
    uint64_t least = UINT64_MAX;

    if (!wanted) {
        return;
    }
    for (int i = 0; i < 1000; i++) {
        uint64_t before = ticks_now();
        uint64_t between = ticks_now() - before;
        least = between < least ? between : least;
    }
    /* A run too short to tell the rate of the counter is made longer. */
    while (clock_nanos() - begin_nanos < 20000000) {
    }
    uint64_t ticks = ticks_now() - begin_ticks;
    result->tick_nanos = (double)(clock_nanos() - begin_nanos) / (double)ticks;
    result->clock_nanos = (double)least * result->tick_nanos;
    memcpy(result->latency, totals, LATENCY_KINDS * sizeof(*totals));
}

uint64_t latency_clock(void)
{
    return ticks_now();
}

void latency_add(struct histogram *histograms, enum latency_kind kind, uint64_t since)
{
    histogram_add(&histograms[kind], ticks_now() - since);
}

void *timed_malloc(struct histogram *histograms, size_t size)
{
    uint64_t before = ticks_now();
    void *block = malloc(size);
    histogram_add(&histograms[LATENCY_MALLOC], ticks_now() - before);
    return block;
}

void *timed_calloc(struct histogram *histograms, size_t count, size_t size)
{
    uint64_t before = ticks_now();
    void *block = calloc(count, size);
    histogram_add(&histograms[LATENCY_CALLOC], ticks_now() - before);
    return block;
}

void *timed_realloc(struct histogram *histograms, void *block, size_t size)
{
    uint64_t before = ticks_now();
    void *moved = realloc(block, size);
    histogram_add(&histograms[LATENCY_REALLOC], ticks_now() - before);
    return moved;
}

int timed_aligned(struct histogram *histograms, void **block, size_t alignment, size_t size)
{
    uint64_t before = ticks_now();
    int error = posix_memalign(block, alignment, size);
    histogram_add(&histograms[LATENCY_ALIGNED], ticks_now() - before);
    return error;
}

void timed_free(struct histogram *histograms, void *block)
{
    uint64_t before = ticks_now();
    free(block);
    histogram_add(&histograms[LATENCY_FREE], ticks_now() - before);
}
