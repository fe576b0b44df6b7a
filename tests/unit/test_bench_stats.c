/*
 * test_bench_stats.c: the arithmetic behind the tables of slaballoc-bench.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

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

/* The bound of the tables for 5 against 5 at 5 %, two-sided: U <= 2. */
static const struct {
    double a[5], b[5];
    bool differ;
} samples[] = {
    {{1, 2, 3, 4, 5}, {6, 7, 8, 9, 10}, true},  /* U = 0 */
    {{6, 7, 8, 9, 10}, {1, 2, 3, 4, 5}, true},  /* the other way round */
    {{1, 2, 3, 4, 7}, {5, 6, 8, 9, 10}, true},  /* U = 2 */
    {{1, 2, 3, 4, 8}, {5, 6, 7, 9, 10}, false}, /* U = 3 */
    {{1, 3, 5, 7, 9}, {2, 4, 6, 8, 10}, false},
    {{1, 2, 3, 4, 5}, {1, 2, 3, 4, 5}, false},
    {{1, 1, 1, 1, 1}, {1, 1, 1, 1, 1}, false}, /* no variance at all */
    {{1, 1, 1, 1, 1}, {2, 2, 2, 2, 2}, true},
};

START_TEST(differ_by_rank_sum)
{
    ck_assert_int_eq(stats_differ(samples[_i].a, 5, samples[_i].b, 5), samples[_i].differ);
    ck_assert_int_eq(stats_differ(samples[_i].b, 5, samples[_i].a, 5), samples[_i].differ);
}
END_TEST

START_TEST(few_values_never_differ)
{
    const double low[] = {1, 2, 3}, high[] = {100, 101, 102, 103, 104};
    ck_assert(!stats_differ(low, 3, high, 5));
    ck_assert(!stats_differ(high, 5, low, 3));
    ck_assert(!stats_differ(NULL, 0, high, 5));
}
END_TEST

/* Samples of one distribution may be called different in about 1 case of 20, no more. */
START_TEST(equal_distributions_seldom_differ)
{
    struct support_rng rng;
    double a[20], b[20];
    unsigned wrong = 0;
    support_seed(&rng, 12);
    for (unsigned round = 0; round < 2000; round++) {
        for (size_t i = 0; i < ARRAY_LEN(a); i++) {
            a[i] = (double)support_below(&rng, 1u << 30);
            b[i] = (double)support_below(&rng, 1u << 30);
        }
        wrong += stats_differ(a, ARRAY_LEN(a), b, ARRAY_LEN(b));
    }
    ck_assert_uint_ge(wrong, 40);
    ck_assert_uint_le(wrong, 140);
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
    tcase_add_loop_test(tc, differ_by_rank_sum, 0, (int)ARRAY_LEN(samples));
    tcase_add_test(tc, few_values_never_differ);
    tcase_add_test(tc, equal_distributions_seldom_differ);
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
