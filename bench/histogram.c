/*
 * histogram.c: quantiles of latencies.
 *
 * SPDX-License-Identifier: MIT
 */
#include "histogram.h"

#include <math.h>

const char *const latency_names[LATENCY_KINDS] = {
    [LATENCY_MALLOC] = "malloc", [LATENCY_CALLOC] = "calloc", [LATENCY_REALLOC] = "realloc",
    [LATENCY_ALIGNED] = "aligned", [LATENCY_FREE] = "free",
};

uint64_t histogram_lowest(size_t bucket)
{
    const size_t linear = (size_t)1 << HISTOGRAM_SUB_LOG2;

    if (bucket < linear) {
        return bucket;
    }
    return (uint64_t)(linear + bucket % linear) << (bucket / linear - 1);
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    into->count += from->count;
    into->max = from->max > into->max ? from->max : into->max;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        into->buckets[i] += from->buckets[i];
    }
}

uint64_t histogram_quantile(const struct histogram *histogram, double q)
{
    uint64_t seen = 0;

    if (histogram->count == 0) {
        return 0;
    }
    /* The tolerance keeps 0.99 * 100 at 99. */
    double rank = ceil(q * (double)histogram->count * (1 - 1e-12));
    uint64_t wanted = rank < 1 ? 1 : (uint64_t)rank;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
        seen += histogram->buckets[i];
        if (seen >= wanted) {
            uint64_t highest = histogram_lowest(i + 1) - 1;
            return highest < histogram->max ? highest : histogram->max;
        }
    }
    return histogram->max;
}
