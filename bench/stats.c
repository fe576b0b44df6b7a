/*
 * stats.c: medians, quantiles, ratios and their intervals.
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

/* The two-sided 95 % quantile of Student's t, interpolated in 1/freedom between the tables' values. */
double stats_t95(double freedom)
{
    static const struct {
        double freedom, t;
    } table[] = {
        {1, 12.706},  {2, 4.303},  {3, 3.182},  {4, 2.776},  {5, 2.571},  {6, 2.447},   {7, 2.365},
        {8, 2.306},   {9, 2.262},  {10, 2.228}, {12, 2.179}, {15, 2.131}, {20, 2.086},  {30, 2.042},
        {60, 2.000},  {120, 1.980}, {1e9, 1.960},
    };
    const size_t last = sizeof(table) / sizeof(table[0]) - 1;

    if (!(freedom > 1)) {
        return freedom == 1 ? table[0].t : NAN;
    }
    for (size_t i = 1; i <= last; i++) {
        if (freedom <= table[i].freedom) {
            double part = (1 / table[i - 1].freedom - 1 / freedom) /
                          (1 / table[i - 1].freedom - 1 / table[i].freedom);
            return table[i - 1].t + part * (table[i].t - table[i - 1].t);
        }
    }
    return table[last].t;
}

struct moments {
    double mean, variance; /* of the mean */
};

static struct moments log_moments(const double *values, size_t count)
{
    struct moments m = {0, 0};
    double n = (double)count;

    for (size_t i = 0; i < count; i++) {
        m.mean += log(values[i]) / n;
    }
    for (size_t i = 0; i < count; i++) {
        double d = log(values[i]) - m.mean;
        m.variance += d * d / (n * (n - 1));
    }
    return m;
}

void stats_ratio_interval(const double *a, size_t count_a, const double *b, size_t count_b, double *low,
                          double *high)
{
    *low = *high = NAN;
    if (count_a < 2 || count_b < 2) {
        return;
    }
    struct moments x = log_moments(a, count_a);
    struct moments y = log_moments(b, count_b);
    double variance = x.variance + y.variance;
    double center = x.mean - y.mean;
    if (!isfinite(center) || !isfinite(variance)) {
        return; /* a value that is not positive */
    }
    double width = 0;
    if (variance > 0) {
        double freedom = variance * variance / (x.variance * x.variance / (double)(count_a - 1) +
                                                y.variance * y.variance / (double)(count_b - 1));
        width = stats_t95(freedom < 1 ? 1 : freedom) * sqrt(variance);
    }
    *low = exp(center - width);
    *high = exp(center + width);
}
