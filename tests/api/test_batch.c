/*
 * test_batch.c: many blocks in one call, of all sizes, through full and empty
 * stacks, to and from other threads, and without memory.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <pthread.h>
#include <slaballoc/cache.h>
#include <sys/resource.h>

#define MOST 20000
static void *blocks[MOST];

/* Fresh blocks with all that they have, each with contents of its own. */
static void take(size_t size, size_t count)
{
    static struct support_block set[MOST];
    size_t have = sla_good_size(size);
    errno = SENTINEL_ERRNO;
    ck_assert_uint_eq(sla_alloc_batch(size, blocks, count), count);
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    for (size_t i = 0; i < count; i++) {
        if (blocks[i] == NULL || sla_usable_size(blocks[i]) != have)
            ck_abort_msg("block %zu of %zu, size %zu: %p", i, count, size, blocks[i]);
        if ((uintptr_t)blocks[i] % (size >= 16 ? 16 : 8) != 0)
            ck_abort_msg("alignment of block %zu of %zu, size %zu", i, count, size);
        set[i] = (struct support_block){blocks[i], have, i};
        support_fill(blocks[i], have < 512 ? have : 512, i);
    }
    ck_assert(support_disjoint(set, count));
}

static void check(size_t size, size_t count)
{
    size_t have = sla_good_size(size);
    for (size_t i = 0; i < count; i++)
        if (!support_matches(blocks[i], have < 512 ? have : 512, i))
            ck_abort_msg("contents of block %zu of %zu, size %zu", i, count, size);
}

static void give(size_t count)
{
    errno = SENTINEL_ERRNO;
    sla_free_batch(blocks, count);
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
}

static size_t live(void)
{
    sla_stats_t stats;
    sla_thread_idle();
    ck_assert_int_eq(sla_stats_get(&stats, sizeof(stats)), 0);
    return stats.live;
}

/* Every class, and around it; large ones too. */
START_TEST(every_size)
{
    size_t before = live(), size = 0;
    while (size <= 300 * KIB) {
        size_t count = size <= 64 * KIB ? 70 : 5;
        take(size, count);
        check(size, count);
        give(count);
        size_t good = sla_good_size(size);
        size = good > size ? good : size + 1;
    }
    ck_assert_uint_eq(live(), before);
}
END_TEST

static const size_t counts[] = {0,  1,   2,   3,   4,   5,    7,    8,    31,   32,  33,
                                64, 100, 127, 128, 129, 1000, 1023, 1024, 5000, MOST};

/* More than a stack holds, or a refill brings. */
START_TEST(every_count)
{
    static const size_t sizes[] = {1, 16, 64, 100, 1000};
    size_t count = counts[_i], before = live();
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++)
        for (int round = 0; round < 3; round++) {
            take(sizes[s], count);
            check(sizes[s], count);
            give(count);
        }
    ck_assert_uint_eq(live(), before);
}
END_TEST

START_TEST(nothing_for_nothing)
{
    errno = SENTINEL_ERRNO;
    ck_assert_uint_eq(sla_alloc_batch(100, NULL, 0), 0);
    ck_assert_uint_eq(sla_alloc_batch(MIB, NULL, 0), 0);
    ck_assert_uint_eq(sla_alloc_batch(SIZE_MAX, NULL, support_size(0)), 0);
    sla_free_batch(NULL, 0);
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
}
END_TEST

START_TEST(impossible_sizes)
{
    static const size_t bad[] = {SIZE_MAX, SIZE_MAX - 8, (size_t)PTRDIFF_MAX + 1, PTRDIFF_MAX, BEYOND(60)};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        blocks[0] = blocks[1] = &blocks;
        errno = SENTINEL_ERRNO;
        ck_assert_uint_eq(sla_alloc_batch(support_size(bad[i]), blocks, 2), 0);
        ck_assert_int_eq(errno, ENOMEM);
    }
}
END_TEST

/* What one call gives is what single calls would, and takes from where they put. */
START_TEST(mixes_with_single_calls)
{
    size_t before = live();
    for (size_t size = 1; size < 40 * KIB; size = size * 3 + 1) {
        take(size, 90);
        for (size_t i = 0; i < 90; i++)
            sla_free(blocks[i]);
        for (size_t i = 0; i < 90; i++)
            ck_assert_ptr_nonnull(blocks[i] = sla_malloc(size));
        give(90);
        take(size, 50);
        for (size_t i = 50; i < 90; i++)
            ck_assert_ptr_nonnull(blocks[i] = sla_calloc(1, size));
        give(90);
    }
    ck_assert_uint_eq(live(), before);
}
END_TEST

/* As many are given again, in the same order: the last one freed is the first one of the array. */
START_TEST(order_is_kept)
{
    static void *again[64];
    take(64, 64); /* the stack grows */
    give(64);
    for (size_t n = 1; n <= 64; n++) {
        take(64, n);
        give(n);
        ck_assert_uint_eq(sla_alloc_batch(64, again, n), n);
        ck_assert(memcmp(again, blocks, n * sizeof(*again)) == 0);
        sla_free_batch(again, n);
    }
}
END_TEST

/* Blocks of all classes and large ones in one array, in no order, with gaps. */
START_TEST(any_mixture)
{
    struct support_rng rng;
    size_t before = live();
    support_seed(&rng, 4000 + (uint64_t)_i);
    for (size_t round = 0; round < support_scaled(200); round++) {
        size_t count = support_below(&rng, 400), size = support_random_size(&rng);
        for (size_t i = 0; i < count; i++) {
            if (support_below(&rng, 3) == 0)
                size = support_random_size(&rng);
            if (size > 100 * KIB)
                size /= 4;
            blocks[i] = support_below(&rng, 8) != 0 ? sla_malloc(size) : NULL;
            if (blocks[i] != NULL)
                memset(blocks[i], (int)i, size);
        }
        for (size_t i = 0; i < count; i++) {
            size_t j = support_below(&rng, count);
            void *block = blocks[i];
            if (_i % 2)
                continue;
            blocks[i] = blocks[j];
            blocks[j] = block;
        }
        give(count);
    }
    ck_assert_uint_eq(live(), before);
}
END_TEST

/* Objects of a cache are found by their addresses, as sla_free() finds them. */
START_TEST(objects_among_blocks)
{
    size_t before = live();
    sla_cache_t *cache = sla_cache_create("some", 64, 0, 0, NULL, NULL, NULL);
    ck_assert_ptr_nonnull(cache);
    for (size_t i = 0; i < 1000; i++)
        ck_assert_ptr_nonnull(blocks[i] = i % 10 < 7 ? sla_cache_alloc(cache) : sla_malloc(64));
    give(1000);
    ck_assert_int_eq(sla_cache_destroy(cache), 0);
    ck_assert_uint_eq(live(), before);
}
END_TEST

START_TEST(all_null)
{
    memset(blocks, 0, sizeof(blocks));
    give(MOST);
}
END_TEST

/* --- threads --- */

static void *give_all(void *arg)
{
    sla_free_batch(blocks, *(const size_t *)arg);
    return arg;
}

/* The blocks of two threads, alternating; freed by a third, which then has no cache of the class. */
static void *take_odd(void *arg)
{
    static void *theirs[MOST / 2];
    size_t count = MOST / 2;
    if (sla_alloc_batch(*(const size_t *)arg, theirs, count) != count)
        return NULL;
    for (size_t i = 0; i < count; i++)
        blocks[2 * i + 1] = theirs[i];
    return arg;
}

static void in_thread(void *(*function)(void *), void *arg)
{
    pthread_t thread;
    void *result;
    ck_assert_int_eq(pthread_create(&thread, NULL, function, arg), 0);
    ck_assert_int_eq(pthread_join(thread, &result), 0);
    ck_assert_ptr_nonnull(result);
}

START_TEST(blocks_of_other_threads)
{
    static const size_t sizes[] = {8, 16, 64, 200, 1000, 5000};
    static void *ours[MOST / 2];
    size_t size = sizes[_i], count = MOST / 2, all = MOST, before = live();
    for (int round = 0; round < 3; round++) {
        in_thread(take_odd, &size);
        ck_assert_uint_eq(sla_alloc_batch(size, ours, count), count);
        for (size_t i = 0; i < count; i++)
            blocks[2 * i] = ours[i];
        if (round == 1)
            give(all);
        else
            in_thread(give_all, &all);
    }
    ck_assert_uint_eq(live(), before);
}
END_TEST

/* --- threads that pass batches around a ring --- */

enum { RING = 4, BATCH = 200, LAPS = 300 };
static struct {
    pthread_barrier_t turn;
    void *blocks[RING][BATCH];
    int bad[RING];
} ring;

static void *run_in_ring(void *arg)
{
    size_t self = (size_t)(uintptr_t)arg, next = (self + 1) % RING;
    struct support_rng rng;
    support_seed(&rng, 77 + self);
    for (size_t lap = 0; lap < support_scaled(LAPS); lap++) {
        size_t size = support_below(&rng, 2000);
        ring.bad[self] += sla_alloc_batch(size, ring.blocks[self], BATCH) != BATCH;
        for (size_t i = 0; i < BATCH; i++)
            support_fill(ring.blocks[self][i], size < 64 ? size : 64, i);
        pthread_barrier_wait(&ring.turn);
        sla_free_batch(ring.blocks[next], BATCH);
        pthread_barrier_wait(&ring.turn);
    }
    return NULL;
}

START_TEST(around_a_ring)
{
    pthread_t threads[RING];
    size_t before = live();
    ck_assert_int_eq(pthread_barrier_init(&ring.turn, NULL, RING), 0);
    for (size_t i = 0; i < RING; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run_in_ring, (void *)(uintptr_t)i), 0);
    for (size_t i = 0; i < RING; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    for (size_t i = 0; i < RING; i++)
        ck_assert_int_eq(ring.bad[i], 0);
    pthread_barrier_destroy(&ring.turn);
    ck_assert_uint_eq(live(), before);
}
END_TEST

/* --- without a cache: after the hook at the thread's end --- */

static pthread_key_t late_key;

static void late(void *arg)
{
    static void *last[500];
    int *left = arg;
    if (--*left > 0) { /* once more, after the library's own hook */
        pthread_setspecific(late_key, arg);
        return;
    }
    for (size_t size = 10; size < 200 * KIB; size *= 20) {
        if (sla_alloc_batch(size, last, ARRAY_LEN(last)) != ARRAY_LEN(last))
            *left = -1;
        sla_free_batch(last, ARRAY_LEN(last));
    }
}

static void *end_late(void *arg)
{
    ck_assert_int_eq(pthread_setspecific(late_key, arg), 0);
    sla_free(sla_malloc(10));
    return arg;
}

START_TEST(after_the_end_of_the_cache)
{
    int left = 3;
    ck_assert_int_eq(pthread_key_create(&late_key, late), 0);
    in_thread(end_late, &left);
    ck_assert_int_eq(left, 0);
    pthread_key_delete(late_key);
}
END_TEST

/* --- without memory --- */

static void until_refused(void *arg)
{
    static void *all[2000000];
    size_t size = *(const size_t *)arg, n = 0, got, step = size > 64 * KIB ? 100 : 3000;
    struct rlimit limit = {64 * MIB, 64 * MIB};
    CHILD_REQUIRE(setrlimit(RLIMIT_DATA, &limit) == 0);
    do {
        CHILD_REQUIRE(n + step < ARRAY_LEN(all));
        errno = SENTINEL_ERRNO;
        got = sla_alloc_batch(size, all + n, step);
        CHILD_REQUIRE(errno == (got < step ? ENOMEM : SENTINEL_ERRNO));
        for (size_t i = 0; i < got; i++)
            memset(all[n + i], 1, size < 32 ? size : 32);
        n += got;
    } while (got == step);
    errno = SENTINEL_ERRNO;
    sla_free_batch(all, n);
    CHILD_REQUIRE(errno == SENTINEL_ERRNO);
    CHILD_REQUIRE(sla_alloc_batch(size, all, n) == n); /* nothing was lost */
    sla_free_batch(all, n);
}

START_TEST(memory_runs_out)
{
    static const size_t sizes[] = {64, 1000, 30000, 300000};
    size_t size = sizes[_i];
    struct support_child child;
    if (!SUPPORT_MEMORY_IS_PLAIN)
        return;
    support_run_child(until_refused, &size, 60, &child);
    ck_assert_msg(child.exited && child.status == 0, "signal %d: %s", child.signal, child.errors);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api/batch");
    TCase *tc = tcase_create("batch");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, every_size);
    tcase_add_loop_test(tc, every_count, 0, (int)ARRAY_LEN(counts));
    tcase_add_test(tc, nothing_for_nothing);
    tcase_add_test(tc, impossible_sizes);
    tcase_add_test(tc, mixes_with_single_calls);
    tcase_add_test(tc, order_is_kept);
    tcase_add_loop_test(tc, any_mixture, 0, 4);
    tcase_add_test(tc, objects_among_blocks);
    tcase_add_test(tc, all_null);
    tcase_add_loop_test(tc, blocks_of_other_threads, 0, 6);
    tcase_add_test(tc, around_a_ring);
    tcase_add_test(tc, after_the_end_of_the_cache);
    tcase_add_loop_test(tc, memory_runs_out, 0, 4);
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
