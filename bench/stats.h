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
 * The 95 % confidence interval of the ratio of a to b, of their geometric
 * means: Welch's t interval of the difference of the logarithms.  NaN with
 * fewer than 2 values on a side, or with one that is not positive.
 */
void stats_ratio_interval(const double *a, size_t count_a, const double *b, size_t count_b, double *low,
                          double *high);

/* The two-sided 95 % quantile of Student's t for so many degrees of freedom; NaN below 1. */
double stats_t95(double freedom);

#endif
