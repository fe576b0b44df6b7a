/*
 * stats.c: medians, quantiles, ratios and the rank-sum test.
 *
 * SPDX-License-Identifier: MIT
 */
#include "stats.h"

#include <math.h>
#include <stdlib.h>

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

void stats_sort(double *values, size_t count)
{
    if (count > 1) {
        qsort(values, count, sizeof(*values), compare_doubles);
    }
}

double stats_quantile(const double *sorted, size_t count, double q)
{
    if (count == 0 || !(q >= 0 && q <= 1)) {
        return NAN;
    }
    double place = q * (double)(count - 1);
    size_t below = (size_t)place;
    if (below + 1 >= count) {
        return sorted[count - 1];
    }
    return sorted[below] + (place - (double)below) * (sorted[below + 1] - sorted[below]);
}

double stats_median(double *values, size_t count)
{
    stats_sort(values, count);
    return stats_quantile(values, count, 0.5);
}

double stats_geomean(const double *values, size_t count)
{
    double sum = 0;

    if (count == 0) {
        return NAN;
    }
    for (size_t i = 0; i < count; i++) {
        if (!(values[i] > 0)) {
            return NAN;
        }
        sum += log(values[i]);
    }
    return exp(sum / (double)count);
}

double stats_ratio(double value, double base)
{
    if (!isfinite(value) || !isfinite(base) || value < 0 || base <= 0) {
        return NAN;
    }
    return value / base;
}

/* Sum over groups of t equal values of t^3 - t, each group counted by its members: t^2 - 1 a member. */
static double tie_term(const double *a, size_t count_a, const double *b, size_t count_b)
{
    double term = 0;

    for (size_t i = 0; i < count_a + count_b; i++) {
        double value = i < count_a ? a[i] : b[i - count_a];
        double equal = 0;
        for (size_t j = 0; j < count_a; j++) {
            equal += a[j] == value;
        }
        for (size_t j = 0; j < count_b; j++) {
            equal += b[j] == value;
        }
        term += equal * equal - 1;
    }
    return term;
}

bool stats_differ(const double *a, size_t count_a, const double *b, size_t count_b)
{
    const double z_bound = 1.96;
    double u = 0;

    if (count_a < 4 || count_b < 4) {
        return false;
    }
    for (size_t i = 0; i < count_a; i++) {
        for (size_t j = 0; j < count_b; j++) {
            u += a[i] > b[j] ? 1.0 : a[i] == b[j] ? 0.5 : 0.0;
        }
    }
    double m = (double)count_a;
    double n = (double)count_b;
    double all = m + n;
    double variance = m * n / 12 * (all + 1 - tie_term(a, count_a, b, count_b) / (all * (all - 1)));
    double distance = fabs(u - m * n / 2) - 0.5;
    return variance > 0 && distance > z_bound * sqrt(variance);
}
