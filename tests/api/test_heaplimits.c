/*
 * test_heaplimits.c: what a heap may have, and its pressure function.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <slaballoc/heap.h>

static sla_heap_stats_t figures(sla_heap_t *heap)
{
    sla_heap_stats_t st;
    ck_assert_int_eq(sla_heap_stats(heap, &st, sizeof st), 0);
    return st;
}

static sla_heap_t *made(const char *name)
{
    sla_heap_t *heap = sla_heap_create(name);
    ck_assert_ptr_nonnull(heap);
    return heap;
}

#define SLAB (64 * KIB)

START_TEST(limit_is_exact)
{
    const size_t size = 64, limit = 20 * SLAB + 1000;
    sla_heap_t *heap = made("limited"), *free_one = made("unlimited");
    size_t n = 0;
    ck_assert_int_eq(sla_heap_set_limit(heap, 0, limit, NULL, NULL), 0);
    errno = SENTINEL_ERRNO;
    while (sla_heap_malloc(heap, size) != NULL) {
        n++;
        ck_assert_int_eq(errno, SENTINEL_ERRNO);
    }
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_uint_eq(n, 20 * SLAB / size); /* every slab there may be is full */
    ck_assert_uint_eq(figures(heap).bytes, 20 * SLAB);
    ck_assert_uint_eq(figures(heap).live, 20 * SLAB);
    ck_assert_uint_eq(figures(heap).peak, 20 * SLAB);
    ck_assert_uint_eq(figures(heap).limit, limit);
    /* Others go on. */
    ck_assert_ptr_nonnull(sla_heap_malloc(free_one, size));
    sla_free(support_sink = sla_malloc(size));
    errno = 0;
    ck_assert_ptr_null(sla_heap_malloc(heap, 100 * KIB));
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_ptr_null(sla_heap_calloc(heap, 1, 100 * KIB));
    ck_assert_ptr_null(sla_heap_aligned_alloc(heap, 4096, 100));
    ck_assert_int_eq(sla_heap_push(heap), 0);
    ck_assert_ptr_null(sla_malloc(size));
    ck_assert_ptr_null(sla_malloc(100 * KIB));
    sla_heap_pop();
    ck_assert_int_eq(sla_heap_set_limit(heap, 0, 0, NULL, NULL), 0);
    ck_assert_ptr_nonnull(sla_heap_malloc(heap, size));
    sla_free(sla_heap_malloc(heap, 40 * SLAB));
    ck_assert_uint_ge(figures(heap).peak, 60 * SLAB);
    ck_assert_ptr_nonnull(sla_heap_malloc(heap, 2 * SLAB));
    ck_assert_uint_ge(figures(heap).peak, 60 * SLAB); /* the highest, not the latest */
    sla_heap_destroy(heap);
    sla_heap_destroy(free_one);
}
END_TEST

START_TEST(limit_of_large_blocks)
{
    sla_heap_t *heap = made("limited");
    char *p;
    ck_assert_int_eq(sla_heap_set_limit(heap, 0, 10 * SLAB, NULL, NULL), 0);
    p = sla_heap_malloc(heap, 6 * SLAB);
    ck_assert_ptr_nonnull(p);
    errno = 0;
    ck_assert_ptr_null(sla_heap_malloc(heap, 5 * SLAB));
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_ptr_null(sla_realloc(p, 11 * SLAB));
    ck_assert_uint_eq(figures(heap).bytes, 6 * SLAB);
    p = sla_realloc(p, 2 * SLAB);
    ck_assert_uint_eq(figures(heap).bytes, 2 * SLAB);
    ck_assert_ptr_nonnull(sla_heap_malloc(heap, 8 * SLAB));
    ck_assert_uint_eq(figures(heap).bytes, 10 * SLAB);
    ck_assert_uint_eq(figures(heap).blocks, 2);
    ck_assert_uint_eq(figures(heap).live, 10 * SLAB);
    sla_free(p);
    ck_assert_uint_eq(figures(heap).bytes, 8 * SLAB);
    sla_heap_destroy(heap);
}
END_TEST

/* What a class has free makes room for another. */
START_TEST(limit_finds_what_is_free)
{
    sla_heap_t *heap = made("mixed");
    void *blocks[1000];
    ck_assert_int_eq(sla_heap_set_limit(heap, 0, 4 * SLAB, NULL, NULL), 0);
    for (size_t size = 16; size <= 1024; size *= 2) {
        size_t n = 2 * SLAB / size < 1000 ? 2 * SLAB / size : 1000;
        for (size_t i = 0; i < n; i++)
            ck_assert_ptr_nonnull(blocks[i] = sla_heap_malloc(heap, size));
        for (size_t i = 0; i < n; i++)
            sla_free(blocks[i]);
    }
    ck_assert_ptr_nonnull(sla_heap_malloc(heap, 4 * SLAB));
    sla_heap_destroy(heap);
}
END_TEST

struct pressed {
    sla_heap_t *heap;
    unsigned calls, frees; /* frees: so many times it has something to free */
    size_t wanted, bytes;
    void *reserve[8];
    int current_was_default;
};

static int relieve(sla_heap_t *heap, size_t wanted, void *arg)
{
    struct pressed *p = arg;
    p->calls++;
    p->wanted = wanted;
    p->bytes = figures(heap).bytes;
    p->current_was_default = sla_heap_current() == NULL;
    ck_assert_ptr_eq(heap, p->heap);
    sla_free(support_sink = sla_malloc(100)); /* no lock is held */
    if (p->frees == 0)
        return 0;
    sla_free(p->reserve[--p->frees]);
    return 1;
}

START_TEST(pressure_comes_before_failure)
{
    struct pressed p = {.heap = made("pressed")};
    size_t n = 0;
    for (p.frees = 0; p.frees < 4; p.frees++)
        p.reserve[p.frees] = sla_heap_malloc(p.heap, 2 * SLAB);
    ck_assert_int_eq(sla_heap_set_limit(p.heap, 0, 10 * SLAB, relieve, &p), 0);
    ck_assert_int_eq(sla_heap_push(p.heap), 0);
    errno = SENTINEL_ERRNO;
    while (sla_malloc(100) != NULL)
        n++;
    sla_heap_pop();
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_uint_eq(p.calls, 5);
    ck_assert_uint_eq(p.wanted, 112);
    ck_assert_int_eq(p.current_was_default, 1);
    ck_assert_uint_eq(n, 10 * (SLAB / 112));
    /* Nothing to free: asked once for each failure. */
    ck_assert_ptr_null(sla_heap_malloc(p.heap, 100000));
    ck_assert_uint_eq(p.calls, 6);
    ck_assert_uint_eq(p.wanted, 100000);
    sla_heap_destroy(p.heap);
}
END_TEST

START_TEST(soft_limit_tells_once_each_time)
{
    struct pressed p = {.heap = made("soft")};
    void *blocks[3];
    ck_assert_int_eq(sla_heap_set_limit(p.heap, 4 * SLAB, 0, relieve, &p), 0);
    for (unsigned round = 1; round <= 3; round++) {
        blocks[0] = sla_heap_malloc(p.heap, 4 * SLAB);
        ck_assert_uint_eq(p.calls, round - 1);
        blocks[1] = sla_heap_malloc(p.heap, 2 * SLAB);
        ck_assert_ptr_nonnull(blocks[1]);
        ck_assert_uint_eq(p.calls, round);
        ck_assert_uint_eq(p.bytes, 6 * SLAB);
        blocks[2] = sla_heap_malloc(p.heap, 2 * SLAB);
        ck_assert_uint_eq(p.calls, round);
        for (int i = 0; i < 3; i++)
            sla_free(blocks[i]);
    }
    errno = 0;
    ck_assert_int_eq(sla_heap_set_limit(p.heap, 2, 1, NULL, NULL), -1);
    ck_assert_int_eq(errno, EINVAL);
    sla_heap_destroy(p.heap);
}
END_TEST

static int greedy(sla_heap_t *heap, size_t wanted, void *arg)
{
    (void)wanted;
    ++*(unsigned *)arg;
    ck_assert_ptr_null(sla_heap_malloc(heap, 10 * SLAB)); /* does not lead here again */
    return 1;
}

START_TEST(pressure_within_pressure)
{
    sla_heap_t *heap = made("greedy");
    unsigned calls = 0;
    ck_assert_int_eq(sla_heap_set_limit(heap, 0, SLAB, greedy, &calls), 0);
    ck_assert_ptr_null(sla_heap_malloc(heap, 2 * SLAB));
    ck_assert_uint_eq(calls, 1);
    sla_heap_destroy(heap);
}
END_TEST

/* What a heap was told does not pass to one that is made in its place. */
START_TEST(limits_end_with_the_heap)
{
    for (int i = 0; i < 3; i++) {
        sla_heap_t *heap = sla_heap_create("one after the other");
        ck_assert_uint_eq(figures(heap).limit, 0);
        ck_assert_ptr_nonnull(sla_heap_malloc(heap, 8 * SLAB));
        ck_assert_int_eq(sla_heap_set_limit(heap, SLAB, 9 * SLAB, NULL, NULL), 0);
        ck_assert_ptr_null(sla_heap_malloc(heap, 8 * SLAB));
        sla_heap_destroy(heap);
    }
}
END_TEST

/* A block that must move is there twice for a while, which the limit has to allow; refused, it is as it was. */
START_TEST(realloc_within_a_limit)
{
    sla_heap_t *heap = made("moving");
    ck_assert_int_eq(sla_heap_set_limit(heap, 0, 10 * MIB, NULL, NULL), 0);
    unsigned char *block = sla_heap_malloc(heap, 4 * MIB), *wall = sla_heap_malloc(heap, 3 * SLAB), *moved;
    ck_assert(block != NULL && wall != NULL);
    support_fill(block, 4 * MIB, 3);
    errno = 0;
    moved = sla_realloc(block, 7 * MIB); /* 4 + 7 */
    if (moved == NULL) {
        ck_assert_int_eq(errno, ENOMEM);
        ck_assert_uint_eq(figures(heap).bytes, 4 * MIB + 3 * SLAB);
        moved = block;
        ck_assert_ptr_nonnull(moved = sla_realloc(moved, 5 * MIB));
    }
    ck_assert(support_matches(moved, 4 * MIB - 8, 3));
    ck_assert_uint_le(figures(heap).peak, 10 * MIB);
    sla_heap_destroy(heap);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("heap limits");
    TCase *tc = tcase_create("limits");
    tcase_add_test(tc, limits_end_with_the_heap);
    tcase_add_test(tc, limit_is_exact);
    tcase_add_test(tc, limit_of_large_blocks);
    tcase_add_test(tc, limit_finds_what_is_free);
    tcase_add_test(tc, pressure_comes_before_failure);
    tcase_add_test(tc, soft_limit_tells_once_each_time);
    tcase_add_test(tc, pressure_within_pressure);
    tcase_add_test(tc, realloc_within_a_limit);
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
