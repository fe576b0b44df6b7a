/*
 * test_sizes.c: size classes as seen from outside: usable size, waste,
 * alignment, distinct blocks.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#define EXHAUSTIVE (64 * KIB)

START_TEST(good_size_covers_and_is_stable)
{
    for (size_t size = 0; size <= EXHAUSTIVE; size++) {
        size_t good = sla_good_size(size);
        ck_assert_uint_ge(good, size);
        ck_assert_uint_eq(sla_good_size(good), good);
    }
}
END_TEST

START_TEST(good_size_never_falls)
{
    size_t before = 0;
    for (size_t size = 0; size <= 4 * MIB; size += size < EXHAUSTIVE ? 1 : 509) {
        size_t good = sla_good_size(size);
        ck_assert_uint_ge(good, before);
        before = good;
    }
}
END_TEST

START_TEST(usable_size_is_good_size)
{
    size_t step = support_scaled(100) > 50 ? 1 : 13;
    for (size_t size = 0; size <= 40 * KIB; size += size < 2 * KIB ? 1 : step) {
        void *block = sla_malloc(size);
        ck_assert_ptr_nonnull(block);
        ck_assert_uint_eq(sla_usable_size(block), sla_good_size(size));
        sla_free(block);
    }
}
END_TEST

static const size_t large_sizes[] = {
    64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 128 * KIB - 1, 128 * KIB, 128 * KIB + 1, 192 * KIB, 256 * KIB + 1,
    1 * MIB - 1, 1 * MIB, 1 * MIB + 1, 2 * MIB - 1, 2 * MIB, 2 * MIB + 1, 5 * MIB, 31 * MIB + 12345, 64 * MIB
};

START_TEST(large_usable_size_is_good_size)
{
    size_t size = large_sizes[_i];
    unsigned char *block = sla_malloc(size);
    ck_assert_ptr_nonnull(block);
    size_t usable = sla_usable_size(block);
    ck_assert_uint_eq(usable, sla_good_size(size));
    ck_assert_uint_ge(usable, size);
    /* Large blocks come in pages of the heap; what is not touched costs nothing. */
    ck_assert_uint_lt(usable - size, usable / 8 > 64 * KIB ? usable / 8 : 64 * KIB);
    block[0] = block[usable - 1] = 1;
    sla_free(block);
}
END_TEST

/* Waste of a request as part of the block it gets. */
START_TEST(waste_is_at_most_an_eighth)
{
    for (size_t size = 129; size <= 32 * KIB; size++) {
        size_t good = sla_good_size(size);
        ck_assert_msg((good - size) * 8 <= good, "%zu bytes get a block of %zu", size, good);
    }
}
END_TEST

START_TEST(small_waste_is_below_sixteen)
{
    for (size_t size = 1; size <= 128; size++)
        ck_assert_uint_lt(sla_good_size(size) - size, 16);
}
END_TEST

START_TEST(mean_waste_is_at_most_seven_percent)
{
    double sum = 0;
    size_t count = 0;
    for (size_t size = 129; size <= 32 * KIB; size++, count++) {
        size_t good = sla_good_size(size);
        sum += (double)(good - size) / (double)good;
    }
    ck_assert_msg(sum / (double)count <= 0.07, "mean waste %.4f", sum / (double)count);
}
END_TEST

/* Each doubling weighs the same here, as small sizes do in programs. */
START_TEST(mean_waste_per_doubling_is_at_most_seven_percent)
{
    for (size_t low = 128; low < 32 * KIB; low *= 2) {
        double sum = 0;
        for (size_t size = low + 1; size <= 2 * low; size++)
            sum += (double)(sla_good_size(size) - size) / (double)sla_good_size(size);
        ck_assert_msg(sum / (double)low <= 0.07, "mean waste of (%zu, %zu]: %.4f", low, 2 * low,
                      sum / (double)low);
    }
}
END_TEST

START_TEST(alignment_is_sixteen_from_sixteen_bytes)
{
    static void *blocks[64];
    for (size_t size = 0; size <= 4 * KIB; size += size < 512 ? 1 : 37) {
        for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
            blocks[i] = sla_malloc(size);
            ck_assert_ptr_nonnull(blocks[i]);
            ck_assert_uint_eq((uintptr_t)blocks[i] % (size >= 16 ? 16 : 8), 0);
        }
        for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
            sla_free(blocks[i]);
    }
}
END_TEST

static const size_t packed_sizes[] = {0,     1,     8,     9,     16,    24,    32,     48,    64,
                                      96,    100,   128,   160,   200,   256,   300,    512,   700,
                                      1024,  1500,  2048,  3000,  4096,  5000,  8192,   12000, 16384,
                                      20000, 32768, 32769, 40000, 65536, 65537, 100000, 300000};

/* Several slabs of one class at once: all blocks apart, all contents kept to the last usable byte. */
START_TEST(blocks_of_one_size_are_disjoint)
{
    size_t size = packed_sizes[_i];
    size_t count = size < 4096 ? 3000 : 60;
    struct support_block *blocks = calloc(count, sizeof(*blocks));
    ck_assert_ptr_nonnull(blocks);
    for (size_t i = 0; i < count; i++) {
        unsigned char *start = sla_malloc(size);
        ck_assert_ptr_nonnull(start);
        blocks[i] = (struct support_block){start, sla_usable_size(start), 1000 + i};
        support_fill(start, blocks[i].size, blocks[i].seed);
    }
    ck_assert(support_disjoint(blocks, count));
    for (size_t i = 0; i < count; i++)
        ck_assert(support_matches(blocks[i].start, blocks[i].size, blocks[i].seed));
    for (size_t i = 0; i < count; i++)
        sla_free(blocks[i].start);
    free(blocks);
}
END_TEST

START_TEST(empty_blocks_are_distinct)
{
    void *blocks[6];
    blocks[0] = sla_malloc(support_size(0));
    blocks[1] = sla_malloc(support_size(0));
    blocks[2] = sla_calloc(support_size(0), 8);
    blocks[3] = sla_calloc(8, support_size(0));
    blocks[4] = sla_realloc(NULL, support_size(0));
    blocks[5] = sla_aligned_alloc(64, support_size(0));
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
        ck_assert_ptr_nonnull(blocks[i]);
        for (size_t j = 0; j < i; j++)
            ck_assert_ptr_ne(blocks[i], blocks[j]);
    }
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
        sla_free(blocks[i]);
}
END_TEST

START_TEST(usable_size_of_null_is_zero)
{
    errno = SENTINEL_ERRNO;
    ck_assert_uint_eq(sla_usable_size(NULL), 0);
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
}
END_TEST

START_TEST(good_size_of_impossible_sizes_allocates_nothing)
{
    static const size_t bad[] = {SIZE_MAX, SIZE_MAX - 4096, (size_t)PTRDIFF_MAX + 1, PTRDIFF_MAX};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        size_t good = sla_good_size(bad[i]);
        /* Never a small number by overflow that a caller could take for room. */
        ck_assert(good == 0 || good >= bad[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api/sizes");
    TCase *tc = tcase_create("sizes");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, good_size_covers_and_is_stable);
    tcase_add_test(tc, good_size_never_falls);
    tcase_add_test(tc, usable_size_is_good_size);
    tcase_add_loop_test(tc, large_usable_size_is_good_size, 0, (int)ARRAY_LEN(large_sizes));
    tcase_add_test(tc, waste_is_at_most_an_eighth);
    tcase_add_test(tc, small_waste_is_below_sixteen);
    tcase_add_test(tc, mean_waste_is_at_most_seven_percent);
    tcase_add_test(tc, mean_waste_per_doubling_is_at_most_seven_percent);
    tcase_add_test(tc, alignment_is_sixteen_from_sixteen_bytes);
    tcase_add_loop_test(tc, blocks_of_one_size_are_disjoint, 0, (int)ARRAY_LEN(packed_sizes));
    tcase_add_test(tc, empty_blocks_are_distinct);
    tcase_add_test(tc, usable_size_of_null_is_zero);
    tcase_add_test(tc, good_size_of_impossible_sizes_allocates_nothing);
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
