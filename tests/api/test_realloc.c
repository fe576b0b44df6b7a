/*
 * test_realloc.c: contents survive growing and shrinking through all kinds of
 * blocks.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

/* Chains of sizes; each step must keep what both sizes share. */
static const size_t chains[][8] = {
    {1, 2, 4, 8, 16, 32, 64, 128},
    {16, 160, 1600, 16000, 160000, 1600000, 16000000, 16},
    {100, 100000, 100, 100000, 100, 3000000, 100, 1},
    {32768, 32769, 32768, 65536, 65537, 65536, 131072, 32768},
    {1048576, 2097152, 4194304, 8388608, 4194304, 1048576, 65536, 1024},
    {5000000, 4999999, 4000000, 5000001, 40000, 5000000, 1000000, 40000000},
    {24, 25, 33, 49, 65, 97, 129, 193},
    {4096, 4095, 4097, 8192, 8191, 8193, 12288, 4096},
    {64, 64, 64, 64, 65, 64, 63, 64},
    {300000, 200000, 100000, 50000, 25000, 12500, 6250, 3125},
    {40000, 50000, 60000, 70000, 80000, 90000, 100000, 110000},
    {65536, 131072, 196608, 262144, 327680, 393216, 458752, 524288},
};

START_TEST(chain_keeps_contents)
{
    const size_t *chain = chains[_i];
    unsigned char *block = sla_malloc(chain[0]);
    ck_assert_ptr_nonnull(block);
    support_fill(block, chain[0], 1);
    for (size_t i = 1; i < ARRAY_LEN(chains[0]); i++) {
        size_t shared = chain[i] < chain[i - 1] ? chain[i] : chain[i - 1];
        block = sla_realloc(block, chain[i]);
        ck_assert_ptr_nonnull(block);
        ck_assert_uint_ge(sla_usable_size(block), chain[i]);
        ck_assert_uint_eq((uintptr_t)block % (chain[i] >= 16 ? 16 : 8), 0);
        ck_assert(support_matches(block, shared & ~(size_t)7, i));
        support_fill(block, chain[i], i + 1);
    }
    sla_free(block);
}
END_TEST

/* The same, with neighbours that would suffer from growing too far. */
START_TEST(chain_respects_neighbours)
{
    const size_t *chain = chains[_i];
    unsigned char *block = sla_malloc(chain[0]), *before, *after;
    for (size_t i = 1; i < ARRAY_LEN(chains[0]); i++) {
        before = sla_malloc(chain[i - 1]);
        after = sla_malloc(chain[i]);
        support_fill(before, chain[i - 1], 11);
        support_fill(after, chain[i], 12);
        block = sla_realloc(block, chain[i]);
        ck_assert_ptr_nonnull(block);
        memset(block, 0xee, sla_usable_size(block));
        ck_assert(support_matches(before, chain[i - 1], 11));
        ck_assert(support_matches(after, chain[i], 12));
        sla_free(before);
        sla_free(after);
    }
    sla_free(block);
}
END_TEST

START_TEST(growth_by_steps)
{
    static const size_t steps[] = {1, 8, 13, 64, 1000, 4096, 10000, 65536, 100000};
    size_t step = steps[_i], limit = step * (step < 100 ? 3000 : 300), size = 0;
    unsigned char *block = NULL;
    while (size < limit) {
        block = sla_realloc(block, size + step);
        ck_assert_ptr_nonnull(block);
        memset(block + size, (int)(size / step & 0x7f), step);
        size += step;
    }
    for (size_t at = 0; at < size; at += step) {
        ck_assert_uint_eq(block[at], at / step & 0x7f);
        ck_assert_uint_eq(block[at + step - 1], at / step & 0x7f);
    }
    sla_free(block);
}
END_TEST

START_TEST(many_grow_in_turn)
{
    enum { COUNT = 200, ROUNDS = 60 };
    static unsigned char *blocks[COUNT];
    static size_t lengths[COUNT];
    struct support_rng rng;
    support_seed(&rng, 900 + (uint64_t)_i);
    memset(blocks, 0, sizeof(blocks));
    memset(lengths, 0, sizeof(lengths));
    for (size_t round = 0; round < ROUNDS * COUNT; round++) {
        size_t i = support_below(&rng, COUNT), size = support_random_size(&rng) + 1;
        size_t shared = size < lengths[i] ? size : lengths[i];
        blocks[i] = sla_realloc(blocks[i], size);
        ck_assert_ptr_nonnull(blocks[i]);
        ck_assert(support_matches(blocks[i], shared & ~(size_t)7, i));
        support_fill(blocks[i], size, i);
        lengths[i] = size;
    }
    for (size_t i = 0; i < COUNT; i++)
        sla_free(blocks[i]);
}
END_TEST

START_TEST(same_class_stays_in_place)
{
    static const size_t places[] = {20, 100, 500, 1000, 5000, 20000, 100000, 1000000};
    size_t good = sla_good_size(places[_i]);
    unsigned char *block = sla_malloc(places[_i]);
    for (size_t size = good; size + 8 > good; size--)
        if (sla_good_size(size) == good)
            ck_assert_ptr_eq(sla_realloc(block, size), block);
    sla_free(block);
}
END_TEST

/* Room is left for a block that grows in small steps, and not for one that doubles. */
START_TEST(room_for_small_steps_alone)
{
    static const size_t places[] = {512, 1000, 3000, 10000, 20000};
    size_t full = sla_good_size(places[_i]);
    unsigned char *block = sla_malloc(full);
    support_fill(block, full, 5);
    block = sla_realloc(block, full + 1);
    ck_assert_uint_ge(sla_usable_size(block), full + full / 16);
    ck_assert_uint_le(sla_usable_size(block), full + full / 3);
    ck_assert(support_matches(block, full & ~(size_t)7, 5));
    sla_free(block);
    block = sla_malloc(full);
    block = sla_realloc(block, full + full / 8);
    ck_assert_uint_eq(sla_usable_size(block), sla_good_size(full + full / 8));
    sla_free(block);
    block = sla_malloc(full / 2);
    block = sla_realloc(block, full);
    ck_assert_uint_eq(sla_usable_size(block), full);
    sla_free(block);
}
END_TEST

START_TEST(shrinking_gives_memory_back)
{
    unsigned char *block = sla_malloc(32 * MIB);
    ck_assert_ptr_nonnull(block);
    support_fill(block, 1000, 3);
    block = sla_realloc(block, 1000);
    ck_assert_ptr_nonnull(block);
    ck_assert(support_matches(block, 1000, 3));
    ck_assert_uint_lt(sla_usable_size(block), 64 * KIB);
    block = sla_realloc(block, 32 * MIB);
    block = sla_realloc(block, 8 * MIB);
    ck_assert_uint_lt(sla_usable_size(block), 16 * MIB);
    sla_free(block);
}
END_TEST

/* A block that grows often must not be copied into new address space each time. */
START_TEST(huge_growth_keeps_footprint)
{
    size_t before = support_rss_kib(), size = 64 * KIB;
    unsigned char *block = sla_malloc(size);
    if (!SUPPORT_MEMORY_IS_PLAIN) {
        sla_free(block);
        return;
    }
    memset(block, 1, size);
    while (size < 64 * MIB) {
        size_t next = size + size / 2;
        block = sla_realloc(block, next);
        ck_assert_ptr_nonnull(block);
        memset(block + size, 2, next - size);
        size = next;
    }
    (void)sla_trim(0);
    ck_assert_uint_le(support_rss_kib(), before + size / KIB * 5 / 4 + 4096);
    sla_free(block);
}
END_TEST

START_TEST(zero_size_frees)
{
    sla_stats_t before, after;
    ck_assert_int_eq(sla_stats_get(&before, sizeof(before)), 0);
    errno = SENTINEL_ERRNO;
    for (int round = 0; round < 20000; round++) {
        void *block = sla_malloc(40000);
        ck_assert_ptr_nonnull(block);
        ck_assert_ptr_null(sla_realloc(block, support_size(0)));
        block = sla_malloc(100);
        ck_assert_ptr_null(sla_reallocarray(block, support_size(0), 8));
        block = sla_malloc(100);
        ck_assert_ptr_null(sla_reallocarray(block, 8, support_size(0)));
    }
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    ck_assert_int_eq(sla_stats_get(&after, sizeof(after)), 0);
    ck_assert_uint_eq(after.live, before.live);
    if (SUPPORT_MEMORY_IS_PLAIN)
        ck_assert_uint_lt(support_rss_kib(), 200 * KIB);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api/realloc");
    TCase *tc = tcase_create("realloc");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, chain_keeps_contents, 0, (int)ARRAY_LEN(chains));
    tcase_add_loop_test(tc, chain_respects_neighbours, 0, (int)ARRAY_LEN(chains));
    tcase_add_loop_test(tc, growth_by_steps, 0, 9);
    tcase_add_loop_test(tc, many_grow_in_turn, 0, 4);
    tcase_add_loop_test(tc, same_class_stays_in_place, 0, 8);
    tcase_add_test(tc, shrinking_gives_memory_back);
    tcase_add_loop_test(tc, room_for_small_steps_alone, 0, 5);
    tcase_add_test(tc, huge_growth_keeps_footprint);
    tcase_add_test(tc, zero_size_frees);
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
