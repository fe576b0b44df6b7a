/*
 * test_expand.c: blocks with all they have (sla_malloc_usable), that grow where
 * they are (sla_try_expand), and that grow with zeroes (sla_rezalloc).
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <slaballoc/cache.h>
#include <slaballoc/heap.h>
#include <sys/resource.h>

static const size_t sizes[] = {0,    1,    8,     9,     16,    17,    64,     100,    300,     1000,    1024,     1025,
                               5000, 9000, 32768, 32769, 50000, 65536, 65537, 100000, 1000000, 5000000, 40000000};

/* --- sla_malloc_usable --- */

START_TEST(usable_is_told)
{
    size_t usable = 1;
    errno = SENTINEL_ERRNO;
    unsigned char *block = sla_malloc_usable(sizes[_i], &usable);
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    ck_assert_ptr_nonnull(block);
    ck_assert_uint_ge(usable, sizes[_i]);
    ck_assert_uint_eq(usable, sla_usable_size(block));
    memset(block, 1, usable);
    sla_free_sized(block, usable);
}
END_TEST

static const size_t bad[] = {SIZE_MAX, SIZE_MAX - 65535, (size_t)PTRDIFF_MAX + 1, PTRDIFF_MAX, BEYOND(60)};

START_TEST(usable_of_nothing)
{
    size_t usable = 1;
    errno = SENTINEL_ERRNO;
    ck_assert_ptr_null(sla_malloc_usable(support_size(bad[_i]), &usable));
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_uint_eq(usable, 0);
}
END_TEST

/* --- sla_try_expand --- */

#define EXPECT_SIZE(call, size) \
    do { \
        errno = SENTINEL_ERRNO; \
        ck_assert_uint_eq(call, size); \
        ck_assert_int_eq(errno, SENTINEL_ERRNO); \
    } while (0)
#define EXPECT_ERROR(call, error) \
    do { \
        errno = SENTINEL_ERRNO; \
        ck_assert_uint_eq(call, 0); \
        ck_assert_int_eq(errno, error); \
    } while (0)

START_TEST(expand_within_what_it_has)
{
    size_t size = sizes[_i];
    unsigned char *block = sla_malloc(size);
    size_t have = sla_usable_size(block);
    support_fill(block, have, 1);
    EXPECT_SIZE(sla_try_expand(block, 0, 0), have); /* never shrinks */
    EXPECT_SIZE(sla_try_expand(block, 0, have), have);
    EXPECT_SIZE(sla_try_expand(block, size, have), have);
    EXPECT_SIZE(sla_try_expand(block, have, have), have);
    EXPECT_SIZE(sla_try_expand(block, have / 2, have - 1), have);
    ck_assert_uint_eq(sla_usable_size(block), have);
    ck_assert(support_matches(block, have, 1));
    sla_free(block);
}
END_TEST

START_TEST(small_blocks_do_not_grow)
{
    for (size_t size = 1; size <= 64 * KIB; size = sla_good_size(size) + 1) {
        void *block = sla_malloc(size);
        size_t have = sla_usable_size(block);
        EXPECT_SIZE(sla_try_expand(block, have, have + 1), have);
        EXPECT_SIZE(sla_try_expand(block, 1, SIZE_MAX), have);
        EXPECT_ERROR(sla_try_expand(block, have + 1, have + 1), ENOMEM);
        EXPECT_ERROR(sla_try_expand(block, have + 1, SIZE_MAX), ENOMEM);
        ck_assert_uint_eq(sla_usable_size(block), have);
        sla_free(block);
    }
}
END_TEST

/* Into free pages that follow; what it asks for first, then what it can do with. */
START_TEST(large_blocks_grow)
{
    unsigned char *whole = sla_malloc(40 * MIB);
    sla_free(whole);
    unsigned char *block = sla_malloc(10 * MIB), *wall = sla_malloc(10 * MIB);
    ck_assert_ptr_nonnull(block);
    ck_assert_ptr_eq(wall, block + 10 * MIB); /* or the test is in vain */
    support_fill(block, 10 * MIB, 2);
    support_fill(wall, 10 * MIB, 3);
    EXPECT_ERROR(sla_try_expand(block, 10 * MIB + 1, 20 * MIB), ENOMEM);
    EXPECT_SIZE(sla_try_expand(block, 10 * MIB, 20 * MIB), 10 * MIB);
    sla_free(wall);
    wall = sla_malloc(300 * KIB);
    if (wall == block + 10 * MIB) { /* back to where nothing is in between */
        sla_free(wall);
        wall = NULL;
    }
    EXPECT_SIZE(sla_try_expand(block, 11 * MIB, 12 * MIB - 5), 12 * MIB);
    EXPECT_SIZE(sla_try_expand(block, 13 * MIB, SIZE_MAX), 13 * MIB);
    EXPECT_SIZE(sla_try_expand(block, 13 * MIB, BEYOND(60)), 13 * MIB);
    EXPECT_SIZE(sla_try_expand(block, 1, 13 * MIB + 1), 13 * MIB + 64 * KIB);
    ck_assert(support_matches(block, 10 * MIB, 2));
    memset(block, 1, sla_usable_size(block));
    EXPECT_ERROR(sla_try_expand(block, BEYOND(60), SIZE_MAX), ENOMEM);
    EXPECT_ERROR(sla_try_expand(block, SIZE_MAX, SIZE_MAX), ENOMEM);
    ck_assert_uint_eq(sla_usable_size(block), 13 * MIB + 64 * KIB);
    sla_free(wall);
    sla_free(block);
}
END_TEST

/* An object of a cache may fill whole pages, but is no large block. */
START_TEST(objects_stay_as_they_are)
{
    size_t size = 64 * KIB;
    sla_cache_t *cache = sla_cache_create("pages", size, 0, 0, NULL, NULL, NULL);
    ck_assert_ptr_nonnull(cache);
    for (int way = 0; way < 3; way++) {
        unsigned char *object = sla_cache_alloc(cache);
        size_t have = sla_usable_size(object);
        support_fill(object, size, 6);
        EXPECT_SIZE(sla_try_expand(object, size, 3 * size), have);
        EXPECT_ERROR(sla_try_expand(object, 2 * size, 3 * size), ENOMEM);
        if (way == 1)
            object = sla_realloc(object, 5 * size);
        else if (way == 2)
            object = sla_rezalloc(object, size, 5 * size);
        ck_assert_ptr_nonnull(object);
        ck_assert(support_matches(object, size, 6));
        if (way == 2)
            ck_assert(support_is_zero(object + size, 4 * size));
        sla_free(object);
    }
    ck_assert_int_eq(sla_cache_destroy(cache), 0);
}
END_TEST

START_TEST(wrong_questions)
{
    void *block = sla_malloc(100);
    EXPECT_ERROR(sla_try_expand(NULL, 0, 0), EINVAL);
    EXPECT_ERROR(sla_try_expand(NULL, 1, 2), EINVAL);
    EXPECT_ERROR(sla_try_expand(block, 2, 1), EINVAL);
    EXPECT_ERROR(sla_try_expand(block, SIZE_MAX, 0), EINVAL);
    sla_free(block);
}
END_TEST

/* --- sla_rezalloc --- */

/* From each size to each, with all, half and nothing of it kept; what was there before is everywhere. */
START_TEST(from_size_to_size)
{
    size_t from = sizes[_i];
    for (size_t t = 0; t < ARRAY_LEN(sizes); t++) {
        size_t to = sizes[t];
        for (size_t part = 0; part <= 2; part++) {
            unsigned char *block = sla_malloc(from);
            size_t have = sla_usable_size(block), meant = (part == 2 ? have : from / 2 * part) & ~(size_t)7;
            support_fill(block, have, 7);
            errno = SENTINEL_ERRNO;
            block = sla_rezalloc(block, meant, to);
            ck_assert_int_eq(errno, SENTINEL_ERRNO);
            ck_assert_int_eq(block == NULL, to == 0);
            if (to == 0)
                continue;
            size_t kept = meant < to ? meant : to;
            if (!support_matches(block, kept & ~(size_t)7, 7) || !support_is_zero(block + kept, to - kept))
                ck_abort_msg("from %zu to %zu, %zu kept", from, to, meant);
            memset(block, 0xee, sla_usable_size(block)); /* for the next one to find */
            sla_free(block);
        }
    }
}
END_TEST

START_TEST(grows_in_steps)
{
    static const size_t steps[] = {1, 24, 1000, 40000, 300000};
    size_t step = steps[_i], size = 0;
    unsigned char *block = NULL;
    for (int i = 0; i < 200; i++) {
        block = sla_rezalloc(block, size, size + step);
        ck_assert_ptr_nonnull(block);
        ck_assert(support_is_zero(block + size, step));
        if (size > 0)
            ck_assert(block[0] == 1 && block[size - 1] == (unsigned char)i);
        memset(block + size, i + 1, step);
        size += step;
        if (i % 8 == 0)
            memset(block + size, 0xaa, sla_usable_size(block) - size); /* not meant to stay */
    }
    sla_free(block);
}
END_TEST

START_TEST(null_is_calloc)
{
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        void *block = sla_rezalloc(NULL, 0, sizes[i]);
        ck_assert_ptr_nonnull(block);
        ck_assert(support_is_zero(block, sizes[i]));
        sla_free(block);
    }
    errno = 0;
    ck_assert_ptr_null(sla_rezalloc(NULL, support_size(1), 100));
    ck_assert_int_eq(errno, EINVAL);
    errno = 0;
    ck_assert_ptr_null(sla_rezalloc(NULL, 0, support_size(SIZE_MAX)));
    ck_assert_int_eq(errno, ENOMEM);
}
END_TEST

START_TEST(failure_leaves_the_block)
{
    size_t size = sizes[_i];
    unsigned char *block = sla_malloc(size);
    size_t have = sla_usable_size(block);
    support_fill(block, have, 9);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        errno = SENTINEL_ERRNO;
        ck_assert_ptr_null(sla_rezalloc(block, size, support_size(bad[i])));
        ck_assert_int_eq(errno, ENOMEM);
        errno = SENTINEL_ERRNO;
        ck_assert_ptr_null(sla_rezalloc(block, support_size(have + 1), 100));
        ck_assert_int_eq(errno, EINVAL);
        ck_assert_ptr_null(sla_rezalloc(block, support_size(bad[i]), support_size(0)));
        ck_assert_int_eq(errno, EINVAL);
        ck_assert_uint_eq(sla_usable_size(block), have);
        ck_assert(support_matches(block, have, 9));
    }
    sla_free(block);
}
END_TEST

/* Pages that are zero anyway are not touched: they cost no memory. */
START_TEST(zeroes_are_not_written_twice)
{
    if (!SUPPORT_MEMORY_IS_PLAIN)
        return;
    (void)sla_trim(0);
    size_t before = support_rss_kib(), wall = 0, moves = support_moves_pages() ? 2 : 0;
    unsigned char *small = sla_rezalloc(sla_malloc(1000), 1000, 8 * MIB), *block;
    block = sla_rezalloc(NULL, 0, 8 * MIB);
    block = sla_rezalloc(block, 8 * MIB, 32 * MIB); /* in place */
    ck_assert_ptr_nonnull(block);
    void *walls[4];
    for (size_t i = 0; i < moves; i++) { /* moved */
        walls[wall++] = sla_malloc(100000);
        block = sla_rezalloc(block, sla_usable_size(block), sla_usable_size(block) * 2);
        ck_assert_ptr_nonnull(block);
        block[0] = 1;
    }
    ck_assert_uint_le(support_rss_kib(), before + 2 * KIB);
    ck_assert_uint_eq(block[sla_usable_size(block) - 1], 0);
    sla_free(small);
    sla_free(block);
    while (wall > 0)
        sla_free(walls[--wall]);
}
END_TEST

/* The block is as it was when there is no memory for a bigger one. */
#define MUCH ((size_t)1 << (SIZE_BITS > 32 ? 36 : 30))
static void without_memory(void *arg)
{
    struct rlimit limit = {32 * MIB, 32 * MIB};
    size_t size = *(const size_t *)arg;
    unsigned char *block = sla_malloc(size), *wall = sla_malloc(size);
    support_fill(block, size, 4);
    CHILD_REQUIRE(setrlimit(RLIMIT_DATA, &limit) == 0);
    errno = 0;
    CHILD_REQUIRE(sla_rezalloc(block, size, MUCH) == NULL && errno == ENOMEM);
    errno = 0;
    CHILD_REQUIRE(sla_try_expand(block, MUCH, 2 * MUCH) == 0 && errno == ENOMEM);
    errno = SENTINEL_ERRNO;
    CHILD_REQUIRE(sla_try_expand(block, size, MUCH) >= size && errno == SENTINEL_ERRNO);
    CHILD_REQUIRE(support_matches(block, size, 4));
    sla_free(wall);
    sla_free(block);
}

START_TEST(no_memory_to_grow)
{
    static const size_t from[] = {100, 60000, 100000, 2000000};
    size_t size = from[_i];
    struct support_child child;
    if (!SUPPORT_MEMORY_IS_PLAIN)
        return;
    support_run_child(without_memory, &size, 30, &child);
    ck_assert_msg(child.exited && child.status == 0, "signal %d: %s", child.signal, child.errors);
}
END_TEST

static int note_bytes(sla_heap_t *heap, size_t wanted, void *bytes)
{
    sla_heap_stats_t st;
    (void)wanted;
    ck_assert_uint_eq(*(size_t *)bytes, 0);
    ck_assert_int_eq(sla_heap_stats(heap, &st, sizeof(st)), 0);
    *(size_t *)bytes = st.bytes;
    return 0;
}

/* A heap comes above its soft limit by a block that grows where it is, as by a new one. */
START_TEST(growth_is_told_to_the_heap)
{
    sla_heap_t *heap = sla_heap_create("soft");
    void *block = sla_heap_malloc(heap, 10 * MIB);
    size_t told = 0;
    sla_free(sla_heap_malloc(heap, 10 * MIB)); /* room behind it */
    ck_assert_int_eq(sla_heap_set_limit(heap, 11 * MIB, 0, note_bytes, &told), 0);
    EXPECT_SIZE(sla_try_expand(block, 10 * MIB, 11 * MIB), 11 * MIB);
    ck_assert_uint_eq(told, 0);
    if (_i == 0)
        EXPECT_SIZE(sla_try_expand(block, 12 * MIB, 12 * MIB), 12 * MIB);
    else
        block = _i == 1 ? sla_realloc(block, 12 * MIB) : sla_rezalloc(block, MIB, 12 * MIB);
    ck_assert_uint_eq(told, 12 * MIB);
    sla_free(block);
    sla_heap_destroy(heap);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api/expand");
    TCase *tc = tcase_create("expand");
    int all = (int)ARRAY_LEN(sizes);
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, usable_is_told, 0, all);
    tcase_add_loop_test(tc, usable_of_nothing, 0, (int)ARRAY_LEN(bad));
    tcase_add_loop_test(tc, expand_within_what_it_has, 0, all);
    tcase_add_test(tc, small_blocks_do_not_grow);
    tcase_add_test(tc, large_blocks_grow);
    tcase_add_test(tc, objects_stay_as_they_are);
    tcase_add_test(tc, wrong_questions);
    tcase_add_loop_test(tc, from_size_to_size, 0, all);
    tcase_add_loop_test(tc, grows_in_steps, 0, 5);
    tcase_add_test(tc, null_is_calloc);
    tcase_add_loop_test(tc, failure_leaves_the_block, 0, all);
    tcase_add_test(tc, zeroes_are_not_written_twice);
    tcase_add_loop_test(tc, no_memory_to_grow, 0, 4);
    tcase_add_loop_test(tc, growth_is_told_to_the_heap, 0, 3);
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
