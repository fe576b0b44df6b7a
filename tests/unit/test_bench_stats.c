/*
 * test_bench_stats.c: the arithmetic and the parsers behind the tables of slaballoc-bench.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include "../../bench/bench.h"
#include "../../bench/histogram.h"
#include "../../bench/stats.h"

#include <math.h>

static void expect_near(double got, double wanted)
{
    ck_assert_double_eq_tol(got, wanted, 1e-12 * (fabs(wanted) + 1));
}

static const struct {
    size_t count;
    double values[8];
    double median;
} medians[] = {
    {1, {3}, 3},
    {2, {4, 1}, 2.5},
    {3, {9, -1, 2}, 2},
    {4, {7, 1, 3, 5}, 4},
    {5, {5, 5, 1, 5, 5}, 5},
    {6, {6, 5, 4, 3, 2, 1}, 3.5},
    {7, {0.1, 1e9, 0.3, 0.2, 1e-9, 0.5, 0.4}, 0.3},
};

START_TEST(median_of_a_sample)
{
    double values[8];
    memcpy(values, medians[_i].values, sizeof(values));
    expect_near(stats_median(values, medians[_i].count), medians[_i].median);
}
END_TEST

START_TEST(median_sorts_in_place)
{
    double values[] = {3, 1, 2, -5, 1};
    stats_median(values, ARRAY_LEN(values));
    for (size_t i = 1; i < ARRAY_LEN(values); i++) {
        ck_assert_double_le(values[i - 1], values[i]);
    }
}
END_TEST

START_TEST(median_of_nothing_is_nan)
{
    ck_assert_double_nan(stats_median(NULL, 0));
}
END_TEST

START_TEST(median_splits_a_random_sample)
{
    struct support_rng rng;
    double values[501];
    support_seed(&rng, 11);
    for (size_t count = 1; count <= ARRAY_LEN(values); count++) {
        size_t below = 0, above = 0;
        for (size_t i = 0; i < count; i++) {
            values[i] = (double)support_below(&rng, 1000);
        }
        double median = stats_median(values, count);
        for (size_t i = 0; i < count; i++) {
            below += values[i] < median;
            above += values[i] > median;
        }
        ck_assert_uint_le(below, count / 2);
        ck_assert_uint_le(above, count / 2);
    }
}
END_TEST

START_TEST(quantile_interpolates)
{
    const double values[] = {10, 20, 40, 80, 160};
    expect_near(stats_quantile(values, 5, 0), 10);
    expect_near(stats_quantile(values, 5, 0.25), 20);
    expect_near(stats_quantile(values, 5, 0.5), 40);
    expect_near(stats_quantile(values, 5, 0.6), 56);
    expect_near(stats_quantile(values, 5, 0.9), 128);
    expect_near(stats_quantile(values, 5, 1), 160);
    expect_near(stats_quantile(values, 1, 0.99), 10);
}
END_TEST

START_TEST(quantile_refuses_what_is_none)
{
    const double values[] = {1, 2};
    ck_assert_double_nan(stats_quantile(values, 0, 0.5));
    ck_assert_double_nan(stats_quantile(values, 2, -0.1));
    ck_assert_double_nan(stats_quantile(values, 2, 1.1));
    ck_assert_double_nan(stats_quantile(values, 2, (double)NAN));
}
END_TEST

START_TEST(geometric_mean_of_ratios)
{
    const double balanced[] = {2, 0.5}, powers[] = {1, 10, 100}, one[] = {0.7};
    expect_near(stats_geomean(balanced, 2), 1);
    expect_near(stats_geomean(powers, 3), 10);
    expect_near(stats_geomean(one, 1), 0.7);
}
END_TEST

START_TEST(geometric_mean_does_not_overflow)
{
    double values[100];
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        values[i] = 1e300;
    }
    ck_assert_double_eq_tol(stats_geomean(values, ARRAY_LEN(values)) / 1e300, 1, 1e-9);
}
END_TEST

START_TEST(geometric_mean_refuses_what_has_none)
{
    const double with_zero[] = {1, 0}, negative[] = {-1, -1}, with_nan[] = {1, (double)NAN};
    ck_assert_double_nan(stats_geomean(NULL, 0));
    ck_assert_double_nan(stats_geomean(with_zero, 2));
    ck_assert_double_nan(stats_geomean(negative, 2));
    ck_assert_double_nan(stats_geomean(with_nan, 2));
}
END_TEST

START_TEST(ratio_of_two_values)
{
    expect_near(stats_ratio(3, 2), 1.5);
    expect_near(stats_ratio(0, 2), 0);
    expect_near(stats_ratio(1e-300, 1e-300), 1);
}
END_TEST

START_TEST(ratio_refuses_a_senseless_base)
{
    const double inf = (double)INFINITY, nan = (double)NAN;
    ck_assert_double_nan(stats_ratio(1, 0));
    ck_assert_double_nan(stats_ratio(1, -1));
    ck_assert_double_nan(stats_ratio(-1, 1));
    ck_assert_double_nan(stats_ratio(inf, 1));
    ck_assert_double_nan(stats_ratio(1, inf));
    ck_assert_double_nan(stats_ratio(nan, 1));
    ck_assert_double_nan(stats_ratio(1, nan));
}
END_TEST

/* From the tables of the distribution; between their lines to a thousandth. */
static const struct {
    double freedom, t;
} student[] = {
    {1, 12.706}, {2, 4.303}, {4, 2.776},  {8, 2.306},   {11, 2.201},  {13, 2.160},
    {17, 2.110}, {25, 2.060}, {40, 2.021}, {100, 1.984}, {1000, 1.962},
};

START_TEST(student_quantiles)
{
    ck_assert_double_eq_tol(stats_t95(student[_i].freedom), student[_i].t, 0.0015);
}
END_TEST

START_TEST(student_needs_a_degree_of_freedom)
{
    ck_assert_double_nan(stats_t95(0));
    ck_assert_double_nan(stats_t95(0.5));
    ck_assert_double_nan(stats_t95((double)NAN));
    ck_assert_double_eq_tol(stats_t95(1e300), 1.96, 0.001);
}
END_TEST

/* Both samples spread alike: 2 and 8 around 4 with variance (2 ln 2)^2 / 2, four degrees of freedom. */
START_TEST(interval_of_a_ratio)
{
    const double a[] = {20, 40, 80}, b[] = {2, 4, 8};
    double low, high;
    stats_ratio_interval(a, 3, b, 3, &low, &high);
    double width = 2.776 * sqrt(2 * log(2) * log(2) / 3);
    ck_assert_double_eq_tol(low, 10 * exp(-width), 1e-3);
    ck_assert_double_eq_tol(high, 10 * exp(width), 0.1);
    stats_ratio_interval(b, 3, a, 3, &low, &high);
    ck_assert_double_eq_tol(high, 0.1 * exp(width), 1e-3);
}
END_TEST

START_TEST(interval_without_variance_is_a_point)
{
    const double a[] = {3, 3}, b[] = {2, 2, 2};
    double low, high;
    stats_ratio_interval(a, 2, b, 3, &low, &high);
    expect_near(low, 1.5);
    expect_near(high, 1.5);
}
END_TEST

START_TEST(interval_refuses_what_has_none)
{
    const double one[] = {1}, two[] = {1, 2}, zero[] = {0, 1};
    double low = 0, high = 0;
    stats_ratio_interval(one, 1, two, 2, &low, &high);
    ck_assert_double_nan(low);
    ck_assert_double_nan(high);
    low = high = 0;
    stats_ratio_interval(two, 2, NULL, 0, &low, &high);
    ck_assert_double_nan(low);
    low = high = 0;
    stats_ratio_interval(two, 2, zero, 2, &low, &high);
    ck_assert_double_nan(low);
    ck_assert_double_nan(high);
}
END_TEST

static double normal(struct support_rng *rng)
{
    double sum = 0;
    for (int i = 0; i < 12; i++) {
        sum += (double)support_below(rng, 1u << 30) / (1 << 30);
    }
    return sum - 6;
}

/* Of 95 % intervals, 95 % contain the ratio: with equal and with unequal spreads and sizes. */
static const struct {
    size_t count_a, count_b;
    double spread_a, spread_b;
} coverages[] = {{5, 5, 0.1, 0.1}, {3, 3, 0.1, 0.1}, {5, 5, 0.3, 0.02}, {20, 4, 0.2, 0.05}};

START_TEST(interval_contains_the_ratio_as_often_as_it_says)
{
    struct support_rng rng;
    double a[20], b[20], low, high;
    unsigned contained = 0;
    support_seed(&rng, 12 + (unsigned)_i);
    for (unsigned round = 0; round < 4000; round++) {
        for (size_t i = 0; i < coverages[_i].count_a; i++) {
            a[i] = 3 * exp(coverages[_i].spread_a * normal(&rng));
        }
        for (size_t i = 0; i < coverages[_i].count_b; i++) {
            b[i] = 2 * exp(coverages[_i].spread_b * normal(&rng));
        }
        stats_ratio_interval(a, coverages[_i].count_a, b, coverages[_i].count_b, &low, &high);
        contained += low <= 1.5 && 1.5 <= high;
    }
    ck_assert_uint_ge(contained, 3740);
    ck_assert_uint_le(contained, 3910);
}
END_TEST

/* --- latencies ---------------------------------------------------------- */

START_TEST(histogram_buckets_follow_each_other)
{
    ck_assert_uint_eq(histogram_bucket(0), 0);
    for (size_t i = 0; i + 1 < HISTOGRAM_BUCKETS; i++) {
        ck_assert_uint_eq(histogram_bucket(histogram_lowest(i)), i);
        ck_assert_uint_eq(histogram_bucket(histogram_lowest(i + 1) - 1), i);
    }
    ck_assert_uint_eq(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}
END_TEST

START_TEST(histogram_quantile_is_near_the_true_one)
{
    static struct histogram histogram;
    static double values[20000];
    static const double shares[] = {0, 0.01, 0.5, 0.9, 0.99, 0.999, 0.9999, 1};
    struct support_rng rng;
    memset(&histogram, 0, sizeof(histogram));
    support_seed(&rng, 14);
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        uint64_t value = support_below(&rng, (uint64_t)1 << (1 + support_below(&rng, 30)));
        values[i] = (double)value;
        histogram_add(&histogram, value);
    }
    stats_sort(values, ARRAY_LEN(values));
    for (size_t i = 0; i < ARRAY_LEN(shares); i++) {
        double rank = ceil(shares[i] * (double)ARRAY_LEN(values) - 1e-6);
        double wanted = values[rank < 1 ? 0 : (size_t)rank - 1];
        double got = (double)histogram_quantile(&histogram, shares[i]);
        ck_assert_double_ge(got, wanted);
        ck_assert_double_le(got, wanted * (1 + 1.0 / 32));
    }
}
END_TEST

START_TEST(histogram_of_few_values)
{
    static struct histogram histogram;
    memset(&histogram, 0, sizeof(histogram));
    ck_assert_uint_eq(histogram_quantile(&histogram, 0.5), 0);
    histogram_add(&histogram, 1000);
    ck_assert_uint_eq(histogram_quantile(&histogram, 0), 1000);
    ck_assert_uint_eq(histogram_quantile(&histogram, 1), 1000);
    for (uint64_t i = 0; i < 99; i++) {
        histogram_add(&histogram, 7);
    }
    ck_assert_uint_eq(histogram_quantile(&histogram, 0.99), 7); /* 99 of 100 do not exceed it */
    ck_assert_uint_eq(histogram_quantile(&histogram, 0.999), 1000);
}
END_TEST

START_TEST(histograms_merge)
{
    static struct histogram a, b, both;
    struct support_rng rng;
    memset(&a, 0, sizeof(a));
    memset(&b, 0, sizeof(b));
    memset(&both, 0, sizeof(both));
    support_seed(&rng, 15);
    for (int i = 0; i < 1000; i++) {
        uint64_t value = support_below(&rng, 1u << 20);
        histogram_add(i % 3 == 0 ? &a : &b, value);
        histogram_add(&both, value);
    }
    histogram_merge(&a, &b);
    ck_assert_mem_eq(&a, &both, sizeof(a));
}
END_TEST

/* --- numbers of the command line ---------------------------------------- */

static const struct {
    int param;
    const char *text;
    bool good;
    uint64_t low, high;
} ranges[] = {
    {PARAM_THREADS, "1..8", true, 1, 8},
    {PARAM_THREADS, "3", true, 3, 3},
    {PARAM_THREADS, "8..1", false, 0, 0},
    {PARAM_THREADS, "0..4", false, 0, 0},
    {PARAM_THREADS, "1..1025", false, 0, 0},
    {PARAM_THREADS, "1...8", false, 0, 0},
    {PARAM_THREADS, "1..", false, 0, 0},
    {PARAM_THREADS, "..8", false, 0, 0},
    {PARAM_THREADS, "1-8", false, 0, 0},
    {PARAM_THREADS, "", false, 0, 0},
    {PARAM_THREADS, "00000000000000000000000000000000001", false, 0, 0},
    {PARAM_LIVE, "1M..8G", true, 1 << 20, (uint64_t)8 << 30},
    {PARAM_LIVE, "1M..1024K", true, 1 << 20, 1 << 20},
    {PARAM_LIVE, "1M..2000T", false, 0, 0},
    {PARAM_SIZE_MIN, "16..16K", true, 16, 16384},
    {PARAM_SIZE_MIN, "15..16K", false, 0, 0},
    {PARAM_SECONDS, "0.5..2", true, 500, 2000},
};

START_TEST(ranges_of_parameters)
{
    uint64_t low = 0, high = 0;
    bool good = param_parse_range(&param_table[ranges[_i].param], ranges[_i].text, &low, &high);
    ck_assert_int_eq(good, ranges[_i].good);
    if (good) {
        ck_assert_uint_eq(low, ranges[_i].low);
        ck_assert_uint_eq(high, ranges[_i].high);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("unit/bench_stats");
    TCase *tc = tcase_create("stats");
    tcase_add_loop_test(tc, median_of_a_sample, 0, (int)ARRAY_LEN(medians));
    tcase_add_test(tc, median_sorts_in_place);
    tcase_add_test(tc, median_of_nothing_is_nan);
    tcase_add_test(tc, median_splits_a_random_sample);
    tcase_add_test(tc, quantile_interpolates);
    tcase_add_test(tc, quantile_refuses_what_is_none);
    tcase_add_test(tc, geometric_mean_of_ratios);
    tcase_add_test(tc, geometric_mean_does_not_overflow);
    tcase_add_test(tc, geometric_mean_refuses_what_has_none);
    tcase_add_test(tc, ratio_of_two_values);
    tcase_add_test(tc, ratio_refuses_a_senseless_base);
    tcase_add_loop_test(tc, student_quantiles, 0, (int)ARRAY_LEN(student));
    tcase_add_test(tc, student_needs_a_degree_of_freedom);
    tcase_add_test(tc, interval_of_a_ratio);
    tcase_add_test(tc, interval_without_variance_is_a_point);
    tcase_add_test(tc, interval_refuses_what_has_none);
    tcase_add_loop_test(tc, interval_contains_the_ratio_as_often_as_it_says, 0, (int)ARRAY_LEN(coverages));
    tcase_add_test(tc, histogram_buckets_follow_each_other);
    tcase_add_test(tc, histogram_quantile_is_near_the_true_one);
    tcase_add_test(tc, histogram_of_few_values);
    tcase_add_test(tc, histograms_merge);
    tcase_add_loop_test(tc, ranges_of_parameters, 0, (int)ARRAY_LEN(ranges));
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
