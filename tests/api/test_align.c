/*
 * test_align.c: alignments from 1 to 1 GiB crossed with sizes, every aligned
 * entry point and every way to free what they give.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

static const size_t sizes[] = {0,   1,    8,    15,   16,    24,    40,    64,    100,
                               192, 1000, 4096, 5000, 16384, 32768, 65536, 200000};
#define SHIFTS (SIZE_BITS > 32 ? 31 : 27) /* 1 to 1 GiB, or to 64 MiB */

/* All that may be written, within reason. */
static size_t reach(void *block)
{
    size_t usable = sla_usable_size(block);
    return usable < MIB ? usable : MIB;
}

static void check_one(void *block, size_t alignment, size_t size)
{
    ck_assert_ptr_nonnull(block);
    ck_assert_uint_eq((uintptr_t)block % alignment, 0);
    ck_assert_uint_eq((uintptr_t)block % (size >= 16 ? 16 : 8), 0);
    ck_assert_uint_ge(sla_usable_size(block), size);
    support_fill(block, reach(block), alignment + size);
}

/* Several at once: the first block of a fresh slab is aligned by chance. */
START_TEST(alignment_holds_for_all_sizes)
{
    size_t alignment = (size_t)1 << _i, many = alignment <= 64 * KIB ? 9 : 2;
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        void *blocks[9];
        for (size_t i = 0; i < many; i++) {
            blocks[i] = i % 2 ? sla_memalign(alignment, sizes[s]) : sla_aligned_alloc(alignment, sizes[s]);
            check_one(blocks[i], alignment, sizes[s]);
        }
        for (size_t i = 0; i < many; i++) {
            ck_assert(support_matches(blocks[i], reach(blocks[i]), alignment + sizes[s]));
            if (i % 3 == 0)
                sla_free(blocks[i]);
            else
                sla_free_aligned_sized(blocks[i], alignment, sizes[s]);
        }
    }
}
END_TEST

START_TEST(posix_memalign_holds_for_all_sizes)
{
    size_t alignment = (size_t)8 << _i;
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        void *block = NULL;
        errno = SENTINEL_ERRNO;
        ck_assert_int_eq(sla_posix_memalign(&block, alignment, sizes[s]), 0);
        ck_assert_int_eq(errno, SENTINEL_ERRNO);
        check_one(block, alignment, sizes[s]);
        sla_free(block);
    }
}
END_TEST

START_TEST(realloc_of_aligned_keeps_contents)
{
    size_t alignment = (size_t)1 << _i;
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        size_t size = sizes[s], grown = size * 3 + 100;
        unsigned char *block = sla_aligned_alloc(alignment, size);
        ck_assert_ptr_nonnull(block);
        support_fill(block, size, 7);
        block = sla_realloc(block, grown);
        ck_assert_ptr_nonnull(block);
        ck_assert(support_matches(block, size & ~(size_t)7, 7));
        ck_assert_uint_ge(sla_usable_size(block), grown);
        support_fill(block, grown, 8);
        block = sla_realloc(block, size / 2 + 1);
        ck_assert_ptr_nonnull(block);
        ck_assert(support_matches(block, (size / 2 + 1) & ~(size_t)7, 8));
        sla_free(block);
    }
}
END_TEST

/* Alternating classes and alignments must not shift each other's blocks. */
START_TEST(mixed_alignments_do_not_overlap)
{
    enum { COUNT = 2000 };
    static struct support_block blocks[COUNT];
    struct support_rng rng;
    support_seed(&rng, 77 + (uint64_t)_i);
    for (size_t i = 0; i < COUNT; i++) {
        size_t alignment = (size_t)1 << support_below(&rng, 14), size = support_below(&rng, 3000);
        unsigned char *start = sla_aligned_alloc(alignment, size);
        ck_assert_ptr_nonnull(start);
        ck_assert_uint_eq((uintptr_t)start % alignment, 0);
        blocks[i] = (struct support_block){start, sla_usable_size(start), i};
        support_fill(start, blocks[i].size, i);
    }
    ck_assert(support_disjoint(blocks, COUNT));
    for (size_t i = 0; i < COUNT; i++) {
        ck_assert(support_matches(blocks[i].start, blocks[i].size, i));
        sla_free(blocks[i].start);
    }
}
END_TEST

START_TEST(memalign_rounds_the_alignment_up)
{
    static const size_t odd[][2] = {{3, 4}, {5, 8}, {6, 8}, {7, 8}, {9, 16}, {17, 32}, {33, 64}, {100, 128},
                                    {1000, 1024}, {4095, 4096}, {4097, 8192}, {70000, 131072}};
    for (size_t i = 0; i < ARRAY_LEN(odd); i++)
        for (int round = 0; round < 5; round++) {
            void *block = sla_memalign(odd[i][0], 24);
            ck_assert_ptr_nonnull(block);
            ck_assert_uint_eq((uintptr_t)block % odd[i][1], 0);
            sla_free(block);
        }
}
END_TEST

START_TEST(posix_memalign_wants_a_pointers_alignment)
{
    static const size_t bad[] = {0, 1, 2, 4, 12, 24};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        void *out = &out, *before = out;
        if (bad[i] != sizeof(void *))
            ck_assert_int_eq(sla_posix_memalign(&out, support_size(bad[i]), 64), EINVAL);
        ck_assert_ptr_eq(out, before);
    }
}
END_TEST

START_TEST(memalign_cannot_round_beyond_the_top)
{
    static const size_t beyond[] = {SIZE_MAX, SIZE_MAX - 1, BEYOND(63) + 1};
    for (size_t i = 0; i < ARRAY_LEN(beyond); i++) {
        errno = SENTINEL_ERRNO;
        ck_assert_ptr_null(sla_memalign(support_size(beyond[i]), 64));
        ck_assert_int_eq(errno, EINVAL);
    }
}
END_TEST

START_TEST(alignment_and_size_together_too_big)
{
    static const size_t sizes_near_top[] = {PTRDIFF_MAX, (size_t)PTRDIFF_MAX - 4095, BEYOND(62), SIZE_MAX};
    for (size_t i = 0; i < ARRAY_LEN(sizes_near_top); i++)
        for (int shift = 3; shift < SIZE_BITS; shift += 4) {
            void *out = &out, *before = out;
            size_t size = support_size(sizes_near_top[i]), alignment = (size_t)1 << shift;
            errno = SENTINEL_ERRNO;
            ck_assert_ptr_null(sla_aligned_alloc(alignment, size));
            ck_assert_int_eq(errno, ENOMEM);
            errno = SENTINEL_ERRNO;
            ck_assert_int_eq(sla_posix_memalign(&out, alignment, size), ENOMEM);
            ck_assert_int_eq(errno, SENTINEL_ERRNO);
            ck_assert_ptr_eq(out, before);
        }
}
END_TEST

/* A large alignment must not keep its slack: many of them fit where address space is short of it. */
START_TEST(slack_of_large_alignments_is_reusable)
{
    if (!SUPPORT_MEMORY_IS_PLAIN)
        return;
    sla_free(sla_malloc(1));
    size_t before = support_rss_kib();
    for (int i = 0; i < 300; i++) {
        void *block = sla_aligned_alloc(4 * MIB, 64 * KIB);
        ck_assert_ptr_nonnull(block);
        memset(block, 1, 64 * KIB);
        sla_free(block);
    }
    ck_assert_uint_le(support_rss_kib(), before + 64 * KIB);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api/align");
    TCase *tc = tcase_create("align");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, alignment_holds_for_all_sizes, 0, SHIFTS);
    tcase_add_loop_test(tc, posix_memalign_holds_for_all_sizes, 0, SHIFTS - 3);
    tcase_add_loop_test(tc, realloc_of_aligned_keeps_contents, 0, 22);
    tcase_add_loop_test(tc, mixed_alignments_do_not_overlap, 0, 4);
    tcase_add_test(tc, memalign_rounds_the_alignment_up);
    tcase_add_test(tc, posix_memalign_wants_a_pointers_alignment);
    tcase_add_test(tc, memalign_cannot_round_beyond_the_top);
    tcase_add_test(tc, alignment_and_size_together_too_big);
    tcase_add_test(tc, slack_of_large_alignments_is_reusable);
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
