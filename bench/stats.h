/*
 * stats.h: the arithmetic of the report.  No state, no allocation.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_STATS_H
#define BENCH_STATS_H

#include <stdbool.h>
#include <stddef.h>

/* Sorts in place, ascending. */
void stats_sort(double *values, size_t count);

/* The q-quantile (0..1) of sorted values, interpolated linearly; NaN for none or a q out of range. */
double stats_quantile(const double *sorted, size_t count, double q);

/* Sorts values in place; NaN for none. */
double stats_median(double *values, size_t count);

/* NaN for none, or if one is not positive. */
double stats_geomean(const double *values, size_t count);

/* value / base; NaN unless both are finite, value >= 0 and base > 0. */
double stats_ratio(double value, double base);

/*
 * Whether two samples differ by more than chance would explain: the rank-sum
 * test of Mann and Whitney, two-sided, at 5 % (normal approximation with
 * continuity and tie correction).  false with fewer than 4 values on a side.
 */
bool stats_differ(const double *a, size_t count_a, const double *b, size_t count_b);

#endif
