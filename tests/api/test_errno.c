/*
 * test_errno.c: free keeps errno, success keeps errno, failure sets it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <pthread.h>
#include <slaballoc/heap.h>

static const size_t sizes[] = {
    0, 1, 16, 64, 100, 1024, 4096, 10000, 32768, 32769, 65536, 100000, 1048576, 5000000, 40000000
};

#define KEEPS_ERRNO(statement) \
    do { \
        errno = SENTINEL_ERRNO; \
        statement; \
        ck_assert_int_eq(errno, SENTINEL_ERRNO); \
    } while (0)

START_TEST(free_keeps_errno)
{
    size_t size = sizes[_i];
    KEEPS_ERRNO(sla_free(sla_malloc(size)));
    KEEPS_ERRNO(sla_free(sla_calloc(1, size)));
    KEEPS_ERRNO(sla_free_sized(sla_malloc(size), size));
    KEEPS_ERRNO(sla_free_aligned_sized(sla_aligned_alloc(256, size), 256, size));
    KEEPS_ERRNO(sla_free(sla_aligned_alloc(64 * KIB, size)));
}
END_TEST

START_TEST(realloc_keeps_errno)
{
    size_t size = sizes[_i];
    void *block = NULL;
    KEEPS_ERRNO(block = sla_realloc(NULL, size));
    KEEPS_ERRNO(block = sla_realloc(block, size * 2 + 1));
    KEEPS_ERRNO(block = sla_realloc(block, size / 2 + 1));
    KEEPS_ERRNO(block = sla_reallocarray(block, 3, size + 1));
    KEEPS_ERRNO(block = sla_realloc(block, support_size(0)));
    ck_assert_ptr_null(block);
}
END_TEST

/* Long runs reach the cold paths: refill, flush, new slabs, release of spans. */
START_TEST(bulk_work_keeps_errno)
{
    static void *blocks[4000];
    size_t size = sizes[_i], count = size <= 4096 ? 4000 : size <= 100000 ? 200 : 3;
    errno = SENTINEL_ERRNO;
    for (size_t i = 0; i < count; i++) {
        blocks[i] = sla_malloc(size);
        ck_assert_int_eq(errno, SENTINEL_ERRNO);
    }
    for (size_t i = 0; i < count; i++) {
        sla_free(blocks[i]);
        ck_assert_int_eq(errno, SENTINEL_ERRNO);
    }
}
END_TEST

START_TEST(free_of_null_keeps_errno)
{
    KEEPS_ERRNO(sla_free(NULL));
    KEEPS_ERRNO(sla_free_sized(NULL, 0));
    KEEPS_ERRNO(sla_free_sized(NULL, 100));
    KEEPS_ERRNO(sla_free_aligned_sized(NULL, 64, 100));
}
END_TEST

START_TEST(control_keeps_errno)
{
    sla_stats_t stats;
    long value = 0;
    void *block = sla_malloc(64);
    KEEPS_ERRNO((void)sla_usable_size(block));
    KEEPS_ERRNO((void)sla_good_size(1000));
    KEEPS_ERRNO((void)sla_owns(block));
    KEEPS_ERRNO((void)sla_owns(&stats));
    KEEPS_ERRNO((void)sla_option_get("verbose", &value));
    KEEPS_ERRNO((void)sla_option_set("verbose", value));
    KEEPS_ERRNO((void)sla_trim(0));
    KEEPS_ERRNO((void)sla_maintain());
    KEEPS_ERRNO(sla_thread_idle());
    KEEPS_ERRNO((void)sla_version());
    KEEPS_ERRNO((void)sla_stats_get(&stats, sizeof(stats)));
    KEEPS_ERRNO(sla_free(block));
}
END_TEST

struct batch {
    void *blocks[3000];
    size_t count;
    int bad;
};

static void *free_batch(void *arg)
{
    struct batch *batch = arg;
    for (size_t i = 0; i < batch->count; i++) {
        errno = SENTINEL_ERRNO;
        sla_free(batch->blocks[i]);
        if (errno != SENTINEL_ERRNO)
            batch->bad++;
    }
    return NULL;
}

/* Another thread's blocks leave by another path. */
START_TEST(remote_free_keeps_errno)
{
    static struct batch batch;
    pthread_t thread;
    size_t size = sizes[_i];
    batch.count = size <= 4096 ? 3000 : size <= 100000 ? 100 : 3;
    for (size_t i = 0; i < batch.count; i++)
        batch.blocks[i] = sla_malloc(size);
    ck_assert_int_eq(pthread_create(&thread, NULL, free_batch, &batch), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(batch.bad, 0);
    errno = SENTINEL_ERRNO;
    for (size_t i = 0; i < batch.count; i++) {
        void *block = sla_malloc(size);
        ck_assert_int_eq(errno, SENTINEL_ERRNO);
        sla_free(block);
    }
}
END_TEST

/* There is no room for a smaller block, so the old one is what it gets: that is a success. */
START_TEST(shrinking_at_the_limit_keeps_errno)
{
    sla_heap_t *heap = sla_heap_create("full");
    void *block = sla_heap_malloc(heap, 5 * 64 * KIB);
    ck_assert_int_eq(sla_heap_set_limit(heap, 0, 5 * 64 * KIB, NULL, NULL), 0);
    KEEPS_ERRNO(block = sla_realloc(block, 100));
    ck_assert_uint_eq(sla_usable_size(block), 5 * 64 * KIB);
    KEEPS_ERRNO(block = sla_rezalloc(block, 100, 200));
    ck_assert_uint_eq(sla_usable_size(block), 5 * 64 * KIB);
    sla_free(block);
    sla_heap_destroy(heap);
}
END_TEST

START_TEST(failed_realloc_leaves_the_block)
{
    static const size_t bad[] = {SIZE_MAX, (size_t)PTRDIFF_MAX + 1, PTRDIFF_MAX, BEYOND(60)};
    size_t size = sizes[_i];
    unsigned char *block = sla_malloc(size);
    support_fill(block, size, 5);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        errno = SENTINEL_ERRNO;
        ck_assert_ptr_null(sla_realloc(block, support_size(bad[i])));
        ck_assert_int_eq(errno, ENOMEM);
        errno = SENTINEL_ERRNO;
        ck_assert_ptr_null(sla_reallocarray(block, support_size(bad[i]), 3));
        ck_assert_int_eq(errno, ENOMEM);
        ck_assert(support_matches(block, size, 5));
        ck_assert_uint_ge(sla_usable_size(block), size);
    }
    sla_free(block);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api/errno");
    TCase *tc = tcase_create("errno");
    int all = (int)ARRAY_LEN(sizes);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, free_keeps_errno, 0, all);
    tcase_add_loop_test(tc, realloc_keeps_errno, 0, all);
    tcase_add_loop_test(tc, bulk_work_keeps_errno, 0, all);
    tcase_add_loop_test(tc, remote_free_keeps_errno, 0, all);
    tcase_add_loop_test(tc, failed_realloc_leaves_the_block, 0, all);
    tcase_add_test(tc, free_of_null_keeps_errno);
    tcase_add_test(tc, shrinking_at_the_limit_keeps_errno);
    tcase_add_test(tc, control_keeps_errno);
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
