/*
 * test_sizeclass.c: every size to 65536 and every offset in every kind of slab.
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "heap/slab.h"

START_TEST(class_is_the_smallest_that_fits)
{
    for (size_t size = 0; size <= SLAI_MEDIUM_MAX; size++) {
        unsigned c = slai_class_of(size);
        UNIT_QUICK(c >= 1 && c < SLAI_CLASSES);
        UNIT_QUICK(slai_class_size(c) >= size);
        UNIT_QUICK(c == 1 || slai_class_size(c - 1) < size);
    }
}
END_TEST

START_TEST(sizes_rise_from_8_to_65536)
{
    ck_assert_uint_eq(slai_class_size(1), 8);
    ck_assert_uint_eq(slai_class_size(SLAI_CLASSES - 1), SLAI_MEDIUM_MAX);
    for (unsigned c = 2; c < SLAI_CLASSES; c++) {
        ck_assert_uint_gt(slai_class_size(c), slai_class_size(c - 1));
        ck_assert_uint_eq(slai_class_size(c) % 16, 0);
        ck_assert_uint_eq(slai_class_of(slai_class_size(c)), c);
    }
    for (size_t size = 16; size <= 256; size += 16)
        ck_assert_uint_eq(slai_class_size(slai_class_of(size)), size);
    ck_assert_uint_eq(slai_classes[0].size, 0);
}
END_TEST

START_TEST(map_tables_agree)
{
    for (size_t size = 0; size <= SLAI_SMALL_MAX; size++)
        UNIT_QUICK(slai_size_map.small[(size + 7) / 8] == 2 * slai_class_of(size));
    for (size_t size = SLAI_SMALL_MAX + 1; size <= SLAI_MEDIUM_MAX; size++)
        UNIT_QUICK(slai_size_map.medium[(size + 127) / 128] == 2 * slai_class_of(size));
}
END_TEST

START_TEST(waste_is_bounded)
{
    double sum = 0;
    for (size_t size = 1; size <= SLAI_MEDIUM_MAX; size++) {
        size_t block = slai_class_size(slai_class_of(size));
        if (size > 128 && (block - size) * 8 > block)
            ck_abort_msg("%zu in %zu", size, block);
        sum += (double)(block - size) / (double)block;
    }
    ck_assert_double_le(sum / (double)SLAI_MEDIUM_MAX, 0.07);
}
END_TEST

/* A typical program's sizes are small: each magnitude alone, above 128, also keeps the mean. */
START_TEST(mean_waste_per_doubling)
{
    double sum = 0;
    size_t low = (size_t)128 << _i, high = low * 2;
    for (size_t size = low + 1; size <= high; size++) {
        size_t block = slai_class_size(slai_class_of(size));
        sum += (double)(block - size) / (double)block;
    }
    ck_assert_double_le(sum / (double)(high - low), 0.07);
}
END_TEST

/* --- geometry; _i is the class --- */

START_TEST(geometry)
{
    const struct slai_class *k = &slai_classes[_i];
    size_t bytes = (size_t)k->pages << SLAI_PAGE_SHIFT;
    ck_assert_uint_ge(k->capacity, 8);
    ck_assert_uint_le((size_t)k->capacity * k->size, bytes);
    ck_assert_uint_gt((size_t)(k->capacity + 1) * k->size, bytes);
    ck_assert_uint_ge(k->words * 64u, k->capacity);
    ck_assert_uint_lt((k->words - 1) * 64u, k->capacity);
    ck_assert_uint_eq(k->keep, k->size == 8 ? 1 : k->size / 2);
    /* What is left at a slab's end counts as waste too. */
    ck_assert_uint_le((bytes - (size_t)k->capacity * k->size) * 8, bytes);
    ck_assert_uint_ge(k->limit_first, 1);
    ck_assert_uint_le(k->limit_first, k->limit_max);
    ck_assert_uint_le((size_t)k->limit_first * k->size, SLAI_MEDIUM_MAX);
}
END_TEST

START_TEST(index_is_exact)
{
    static char at_all[1];
    const struct slai_class *k = &slai_classes[_i];
    struct slai_span span;
    memset(&span, 0, sizeof(span));
    span.start = at_all;
    span.size = (uint32_t)k->size;
    span.recip = k->reciprocal;
    span.capacity = (uint16_t)k->capacity;
    size_t bytes = (size_t)k->pages << SLAI_PAGE_SHIFT;
    for (size_t offset = 0; offset < bytes; offset++) {
        const void *p = (const void *)((uintptr_t)at_all + offset);
        bool is_start = offset % k->size == 0 && offset / k->size < k->capacity;
        uint32_t want = is_start ? (uint32_t)(offset / k->size) : SLAI_NO_INDEX;
        if (slai_slab_index(&span, p) != want) /* an assertion each would take long */
            ck_abort_msg("class of %zu: offset %zu", k->size, offset);
    }
}
END_TEST

/* --- alignment --- */

START_TEST(aligned_class)
{
    size_t align = (size_t)1 << _i;
    for (size_t size = 0; size <= SLAI_MEDIUM_MAX + 100; size += size < 2100 ? 1 : 61) {
        unsigned c = slai_class_aligned(size, align), best = 0;
        for (unsigned k = SLAI_CLASSES; k-- > 1;)
            if (slai_class_size(k) >= size && slai_class_size(k) % align == 0)
                best = k;
        if (c != best)
            ck_abort_msg("size %zu align %zu: class %u, the best is %u", size, align, c, best);
    }
}
END_TEST

START_TEST(no_class_is_aligned_so)
{
    ck_assert_uint_eq(slai_class_aligned(1, 131072), 0);
    ck_assert_uint_eq(slai_class_aligned(65537, 8), 0);
    ck_assert_uint_eq(slai_class_aligned(20000, 65536), SLAI_CLASSES - 1);
    ck_assert_uint_eq(slai_class_aligned(SIZE_MAX, 16), 0);
    ck_assert_uint_eq(slai_class_aligned(1, BEYOND(63)), 0);
    ck_assert_uint_eq(slai_class_aligned(SIZE_MAX, BEYOND(63)), 0);
}
END_TEST

static void class_of_large(void *arg) { (void)slai_class_of(*(size_t *)arg); }

START_TEST(class_of_a_large_size_is_refused)
{
    struct support_child child;
    size_t size = SLAI_MEDIUM_MAX + 1;
    support_run_child(class_of_large, &size, 5, &child);
    ck_assert(child.signal != 0 && strstr(child.errors, "assertion failed: size <= ") != NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sizeclass");
    TCase *tc = unit_case(suite, "sizeclass");
    tcase_add_test(tc, class_is_the_smallest_that_fits);
    tcase_add_test(tc, sizes_rise_from_8_to_65536);
    tcase_add_test(tc, map_tables_agree);
    tcase_add_test(tc, waste_is_bounded);
    tcase_add_loop_test(tc, mean_waste_per_doubling, 0, 9);
    tcase_add_loop_test(tc, geometry, 1, SLAI_CLASSES);
    tcase_add_loop_test(tc, index_is_exact, 1, SLAI_CLASSES);
    tcase_add_loop_test(tc, aligned_class, 3, 17);
    tcase_add_test(tc, no_class_is_aligned_so);
    tcase_add_test(tc, class_of_a_large_size_is_refused);
    return support_main(suite);
}
