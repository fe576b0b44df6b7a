/*
 * histogram.h: how often which latency was seen, in buckets of 3 % width.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum latency_kind { LATENCY_MALLOC, LATENCY_CALLOC, LATENCY_REALLOC, LATENCY_ALIGNED, LATENCY_FREE, LATENCY_KINDS };
extern const char *const latency_names[LATENCY_KINDS];

/* Values below 32 have a bucket each, each doubling above has 32. */
enum { HISTOGRAM_SUB_LOG2 = 5, HISTOGRAM_TOP_LOG2 = 42 };
enum { HISTOGRAM_BUCKETS = (HISTOGRAM_TOP_LOG2 - HISTOGRAM_SUB_LOG2 + 1) << HISTOGRAM_SUB_LOG2 };

struct histogram {
    uint64_t count, max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

static inline size_t histogram_bucket(uint64_t value)
{
    const uint64_t linear = 1u << HISTOGRAM_SUB_LOG2;

    if (value < linear) {
        return (size_t)value;
    }
    unsigned log2 = 63 - (unsigned)__builtin_clzll(value);
    if (log2 >= HISTOGRAM_TOP_LOG2) {
        return HISTOGRAM_BUCKETS - 1;
    }
    unsigned shift = log2 - HISTOGRAM_SUB_LOG2;
    return ((size_t)(shift + 1) << HISTOGRAM_SUB_LOG2) + (size_t)((value >> shift) - linear);
}

static inline void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->count++;
    histogram->buckets[histogram_bucket(value)]++;
    if (value > histogram->max) {
        histogram->max = value;
    }
}

/* The lowest value that falls into the bucket. */
uint64_t histogram_lowest(size_t bucket);

void histogram_merge(struct histogram *into, const struct histogram *from);

/*
 * The value that a share q (0..1) of all values does not exceed: the upper end
 * of its bucket, so at most 1/32 too high, never above the maximum; 0 if empty.
 */
uint64_t histogram_quantile(const struct histogram *histogram, double q);

#endif
