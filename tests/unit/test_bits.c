/*
 * test_bits.c: util/bits.h against plain loops.
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "util/bits.h"

START_TEST(power_of_two)
{
    size_t power = (size_t)1 << _i;
    ck_assert(slai_is_pow2(power));
    ck_assert(!slai_is_pow2(power | 1) || _i == 0);
    ck_assert(!slai_is_pow2(power - 1) || _i == 1);
    ck_assert(!slai_is_pow2(power + 1) || _i == 0);
    ck_assert(!slai_is_pow2(0));
    ck_assert(!slai_is_pow2(~(size_t)0));
}
END_TEST

START_TEST(rounding)
{
    size_t align = (size_t)1 << _i;
    struct support_rng rng;
    support_seed(&rng, (uint64_t)_i);
    for (int i = 0; i < 200; i++) {
        size_t x = (size_t)support_next(&rng) >> support_below(&rng, 60);
        if (x > SIZE_MAX - align)
            x -= align;
        size_t down = x / align * align, up = x % align == 0 ? x : down + align;
        ck_assert_uint_eq(slai_round_down(x, align), down);
        ck_assert_uint_eq(slai_round_up(x, align), up);
    }
    ck_assert_uint_eq(slai_round_up(0, align), 0);
    ck_assert_uint_eq(slai_round_up(1, align), align);
    ck_assert_uint_eq(slai_round_up(align, align), align);
    ck_assert_uint_eq(slai_round_down(align - 1, align), 0);
}
END_TEST

START_TEST(highest_and_lowest_bit)
{
    uint64_t bit = (uint64_t)1 << _i, below = bit - 1, above = ~below;
    ck_assert_uint_eq(slai_log2(bit), (unsigned)_i);
    ck_assert_uint_eq(slai_log2(bit | below), (unsigned)_i);
    ck_assert_uint_eq(slai_low_bit(bit), (unsigned)_i);
    ck_assert_uint_eq(slai_low_bit(above), (unsigned)_i);
    ck_assert_uint_eq(slai_popcount(bit), 1);
    ck_assert_uint_eq(slai_popcount(below), (unsigned)_i);
    ck_assert_uint_eq(slai_popcount(above), 64u - (unsigned)_i);
}
END_TEST

START_TEST(population)
{
    struct support_rng rng;
    support_seed(&rng, 7);
    ck_assert_uint_eq(slai_popcount(0), 0);
    for (int i = 0; i < 1000; i++) {
        uint64_t x = support_next(&rng);
        unsigned n = 0;
        for (unsigned b = 0; b < 64; b++)
            n += x >> b & 1;
        ck_assert_uint_eq(slai_popcount(x), n);
    }
}
END_TEST

START_TEST(next_power_of_two)
{
    size_t power = (size_t)1 << _i;
    ck_assert_uint_eq(slai_ceil_pow2(power), power);
    if (_i >= 2)
        ck_assert_uint_eq(slai_ceil_pow2(power - 1), power);
    if (_i >= 1 && _i < SIZE_BITS - 1)
        ck_assert_uint_eq(slai_ceil_pow2(power + 1), power * 2);
    ck_assert_uint_eq(slai_ceil_pow2(0), 1);
}
END_TEST

START_TEST(low_mask)
{
    uint64_t want = 0;
    for (int b = 0; b < _i; b++)
        want |= (uint64_t)1 << b;
    ck_assert(slai_low_mask((unsigned)_i) == want);
}
END_TEST

START_TEST(next_bit)
{
    uint64_t words[3] = {0, 0, 0};
    ck_assert_uint_eq(slai_next_bit(words, 3, 0), SLAI_NO_BIT);
    for (unsigned b = 0; b < 192; b++) {
        words[b / 64] = (uint64_t)1 << b % 64;
        for (unsigned from = 0; from <= 192; from++)
            ck_assert_uint_eq(slai_next_bit(words, 3, from), from <= b ? b : SLAI_NO_BIT);
        ck_assert_uint_eq(slai_next_bit(words, b / 64, 0), SLAI_NO_BIT);
        words[b / 64] = 0;
    }
    words[0] = 5;
    words[2] = 1;
    ck_assert_uint_eq(slai_next_bit(words, 3, 1), 2);
    ck_assert_uint_eq(slai_next_bit(words, 3, 3), 128);
}
END_TEST

START_TEST(containers)
{
    struct pair {
        char first;
        long second;
    } pair = {1, 2};
    ck_assert_ptr_eq(SLA_CONTAINER(&pair.second, struct pair, second), &pair);
    int numbers[7];
    ck_assert_uint_eq(SLA_ARRAY_LEN(numbers), 7);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bits");
    TCase *tc = unit_case(suite, "bits");
    tcase_add_loop_test(tc, power_of_two, 0, SIZE_BITS);
    tcase_add_loop_test(tc, rounding, 0, SIZE_BITS - 2);
    tcase_add_loop_test(tc, highest_and_lowest_bit, 0, 64);
    tcase_add_test(tc, population);
    tcase_add_loop_test(tc, next_power_of_two, 0, SIZE_BITS);
    tcase_add_loop_test(tc, low_mask, 0, 65);
    tcase_add_test(tc, next_bit);
    tcase_add_test(tc, containers);
    return support_main(suite);
}
