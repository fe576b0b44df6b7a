/*
 * latency.h: how long single calls of the allocator take, in the measured process.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_LATENCY_H
#define BENCH_LATENCY_H

#include "histogram.h"

#include <stdlib.h>

struct result;

void latency_begin(void); /* from now on latencies are wanted */

/* A thread's histograms, LATENCY_KINDS of them; NULL if latencies are not wanted. */
struct histogram *latency_open(void);
void latency_close(struct histogram *histograms); /* adds them to the run's, of one thread at a time */

void latency_end(struct result *result); /* hands the run's over, with the length of a tick */

/* For calls that have no function here. */
uint64_t latency_clock(void);
void latency_add(struct histogram *histograms, enum latency_kind kind, uint64_t since);

void *timed_malloc(struct histogram *histograms, size_t size);
void *timed_calloc(struct histogram *histograms, size_t count, size_t size);
void *timed_realloc(struct histogram *histograms, void *block, size_t size);
int timed_aligned(struct histogram *histograms, void **block, size_t alignment, size_t size);
void timed_free(struct histogram *histograms, void *block);

#endif
