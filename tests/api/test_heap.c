/*
 * test_heap.c: heaps of their own: blocks and where they are, the current heap,
 * statistics, visiting, destruction.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <slaballoc/heap.h>

static const size_t sizes[] = {0, 1, 8, 64, 100, 1000, 1024, 1025, 5000, 32768, 40000, 65536, 65537, 200000, 3000000};

static sla_heap_stats_t figures(sla_heap_t *heap)
{
    sla_heap_stats_t st;
    ck_assert_int_eq(sla_heap_stats(heap, &st, sizeof st), 0);
    return st;
}

static size_t slabs_and_large(void)
{
    sla_stats_t st;
    ck_assert_int_eq(sla_stats_get(&st, sizeof st), 0);
    return st.slabs + st.large;
}

static sla_heap_t *made(const char *name)
{
    sla_heap_t *heap = sla_heap_create(name);
    ck_assert_ptr_nonnull(heap);
    return heap;
}

/* --- blocks --- */

START_TEST(blocks_are_in_their_heap)
{
    sla_heap_t *heap = made("one"), *other = made("two");
    size_t size = sizes[_i];
    unsigned char *p = sla_heap_malloc(heap, size), *q = sla_heap_calloc(other, 1, size), *r = sla_malloc(size);
    ck_assert(p != NULL && q != NULL && r != NULL && p != q);
    ck_assert_ptr_eq(sla_heap_of(p), heap);
    ck_assert_ptr_eq(sla_heap_of(p + sla_usable_size(p) - 1), heap);
    ck_assert_ptr_eq(sla_heap_of(q), other);
    ck_assert_ptr_null(sla_heap_of(r));
    ck_assert(sla_owns(p) && sla_owns(q));
    ck_assert_uint_eq(sla_usable_size(p), sla_usable_size(r));
    ck_assert(support_is_zero(q, size));
    support_fill(p, sla_usable_size(p), 7);
    errno = SENTINEL_ERRNO;
    sla_free_sized(p, size);
    sla_free(q);
    sla_free(r);
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    ck_assert_uint_eq(figures(heap).live, 0);
    ck_assert_uint_eq(figures(heap).blocks, 0);
    sla_heap_destroy(heap);
    sla_heap_destroy(other);
}
END_TEST

START_TEST(of_knows_no_other_addresses)
{
    int local;
    ck_assert_ptr_null(sla_heap_of(NULL));
    ck_assert_ptr_null(sla_heap_of(&local));
    ck_assert_ptr_null(sla_heap_of((void *)UINTPTR_MAX));
}
END_TEST

START_TEST(alignment)
{
    sla_heap_t *heap = made("aligned");
    for (size_t align = 1; align <= MIB; align *= 2) {
        void *p = sla_heap_aligned_alloc(heap, align, 100);
        ck_assert_ptr_nonnull(p);
        ck_assert_uint_eq((uintptr_t)p % align, 0);
        ck_assert_ptr_eq(sla_heap_of(p), heap);
        sla_free_aligned_sized(p, align, 100);
    }
    errno = 0;
    ck_assert_ptr_null(sla_heap_aligned_alloc(heap, support_size(24), 100));
    ck_assert_int_eq(errno, EINVAL);
    sla_heap_destroy(heap);
}
END_TEST

START_TEST(impossible_sizes)
{
    sla_heap_t *heap = made("impossible");
    errno = 0;
    ck_assert_ptr_null(sla_heap_malloc(heap, support_size(SIZE_MAX)));
    ck_assert_int_eq(errno, ENOMEM);
    errno = 0;
    ck_assert_ptr_null(sla_heap_calloc(heap, support_size(SIZE_MAX / 2), 3));
    ck_assert_int_eq(errno, ENOMEM);
    errno = 0;
    ck_assert_ptr_null(sla_heap_malloc(heap, support_size(PTRDIFF_MAX)));
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_uint_eq(figures(heap).bytes, 0);
    sla_heap_destroy(heap);
}
END_TEST

/* sla_realloc leaves a block in its heap, whichever is current. */
START_TEST(realloc_stays)
{
    sla_heap_t *heap = made("stays"), *other = made("current");
    unsigned char *p = sla_heap_malloc(heap, 1);
    ck_assert_int_eq(sla_heap_push(other), 0);
    *p = 42;
    for (size_t up = 0; up < 2; up++)
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
            size_t size = sizes[up != 0 ? i : ARRAY_LEN(sizes) - 1 - i];
            if (size == 0)
                continue;
            p = sla_realloc(p, size);
            ck_assert_ptr_nonnull(p);
            ck_assert_uint_eq(*p, 42);
            ck_assert_ptr_eq(sla_heap_of(p), heap);
            ck_assert_uint_ge(sla_usable_size(p), size);
        }
    sla_heap_pop();
    p = sla_malloc(10);
    ck_assert_int_eq(sla_heap_push(other), 0);
    p = sla_realloc(p, 100);
    ck_assert_ptr_null(sla_heap_of(p));
    p = sla_realloc(p, 100000);
    ck_assert_ptr_null(sla_heap_of(p));
    sla_free(p);
    p = sla_realloc(NULL, 10);
    ck_assert_ptr_eq(sla_heap_of(p), other);
    sla_heap_pop();
    sla_heap_destroy(heap);
    sla_heap_destroy(other);
}
END_TEST

START_TEST(realloc_moves_between_heaps)
{
    sla_heap_t *heap = made("to");
    size_t size = sizes[_i];
    unsigned char *p = sla_malloc(300);
    support_fill(p, 300, 3);
    p = sla_heap_realloc(heap, p, size);
    if (size == 0) {
        ck_assert_ptr_null(p);
    } else {
        ck_assert_ptr_eq(sla_heap_of(p), heap);
        ck_assert(support_matches(p, size < 300 ? size : 300, 3));
        p = sla_heap_realloc(heap, p, size + 1);
        ck_assert_ptr_eq(sla_heap_of(p), heap);
        p = sla_heap_realloc(NULL, p, size);
        ck_assert_ptr_null(sla_heap_of(p));
        ck_assert(support_matches(p, size < 300 ? size : 300, 3));
        sla_free(p);
    }
    p = sla_heap_realloc(heap, NULL, 10);
    ck_assert_ptr_eq(sla_heap_of(p), heap);
    ck_assert_ptr_null(sla_heap_realloc(heap, p, 0));
    ck_assert_uint_eq(figures(heap).blocks, 0);
    sla_heap_destroy(heap);
}
END_TEST

/* What does not fit the new block is not copied over its neighbours. */
START_TEST(realloc_between_heaps_shrinks)
{
    sla_heap_t *heap = made("smaller");
    unsigned char *blocks[200], *p = sla_malloc(5000);
    memset(p, 0xee, 5000);
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
        ck_assert_ptr_nonnull(blocks[i] = sla_heap_malloc(heap, 32));
        support_fill(blocks[i], 32, i);
    }
    sla_free(blocks[50]);
    blocks[50] = sla_heap_realloc(heap, p, 32);
    ck_assert_ptr_nonnull(blocks[50]);
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
        ck_assert(i == 50 || support_matches(blocks[i], 32, i));
    sla_heap_destroy(heap);
}
END_TEST

START_TEST(null_is_the_default_heap)
{
    sla_heap_t *heap = made("current");
    void *p;
    ck_assert_int_eq(sla_heap_push(heap), 0);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        p = sla_heap_malloc(NULL, sizes[i]);
        ck_assert(p != NULL && sla_heap_of(p) == NULL);
        sla_free(p);
        p = sla_heap_calloc(NULL, 1, sizes[i]);
        ck_assert(p != NULL && sla_heap_of(p) == NULL);
        sla_free(p);
    }
    sla_heap_pop();
    ck_assert_str_eq(sla_heap_name(NULL), "default");
    sla_heap_destroy(heap);
    sla_heap_destroy(NULL);
}
END_TEST

START_TEST(names)
{
    char name[40] = "0123456789012345678901234567890123456";
    sla_heap_t *heap = made(name), *other = made(NULL);
    memset(name, 'x', 10);
    ck_assert_str_eq(sla_heap_name(heap), "0123456789012345678901234567890");
    ck_assert_str_eq(sla_heap_name(other), "heap");
    sla_heap_destroy(heap);
    sla_heap_destroy(other);
}
END_TEST

/* --- the current heap --- */

START_TEST(pushed_heap_gets_every_allocation)
{
    sla_heap_t *heap = made("pushed"), *inner = made("inner");
    void *p;
    ck_assert_ptr_null(sla_heap_current());
    ck_assert_int_eq(sla_heap_push(heap), 0);
    ck_assert_ptr_eq(sla_heap_current(), heap);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        void *all[] = {sla_malloc(sizes[i]), sla_calloc(1, sizes[i]), sla_aligned_alloc(64, sizes[i]),
                       sla_memalign(64, sizes[i])};
        for (size_t k = 0; k < ARRAY_LEN(all); k++)
            ck_assert(all[k] != NULL && sla_heap_of(all[k]) == heap);
    }
    ck_assert_int_eq(sla_posix_memalign(&p, 4096, 100), 0);
    ck_assert_ptr_eq(sla_heap_of(p), heap);
    ck_assert_int_eq(sla_heap_push(inner), 0);
    ck_assert_int_eq(sla_heap_push(NULL), 0);
    ck_assert_ptr_null(sla_heap_current());
    p = sla_malloc(10);
    ck_assert_ptr_null(sla_heap_of(p));
    sla_free(p);
    sla_heap_pop();
    ck_assert_ptr_eq(sla_heap_of(sla_malloc(10)), inner);
    sla_heap_pop();
    ck_assert_ptr_eq(sla_heap_of(sla_malloc(10)), heap);
    sla_heap_pop();
    ck_assert_ptr_null(sla_heap_current());
    sla_heap_destroy(heap);
    sla_heap_destroy(inner);
}
END_TEST

START_TEST(depth_has_an_end)
{
    sla_heap_t *heap = made("deep");
    for (int i = 0; i < 64; i++)
        ck_assert_int_eq(sla_heap_push(i % 2 != 0 ? heap : NULL), 0);
    errno = 0;
    ck_assert_int_eq(sla_heap_push(heap), -1);
    ck_assert_int_eq(errno, EOVERFLOW);
    for (int i = 0; i < 64; i++)
        sla_heap_pop();
    ck_assert_ptr_null(sla_heap_current());
    sla_heap_destroy(heap);
}
END_TEST

/* --- statistics --- */

START_TEST(statistics)
{
    sla_heap_t *heap = made("counted");
    sla_heap_stats_t st;
    void *blocks[100];
    size_t part = 0;
    for (size_t i = 0; i < 100; i++)
        blocks[i] = sla_heap_malloc(heap, 1000);
    st = figures(heap);
    ck_assert_uint_eq(st.blocks, 100);
    ck_assert_uint_eq(st.live, 100 * 1024);
    ck_assert_uint_eq(st.live + st.cached + st.free, st.bytes);
    ck_assert_uint_eq(st.limit, 0);
    for (size_t i = 0; i < 100; i++)
        sla_free(blocks[i]);
    st = figures(heap);
    ck_assert_uint_eq(st.blocks, 0);
    ck_assert_uint_eq(st.live, 0);
    ck_assert_uint_gt(st.peak, 100 * 1024);
    sla_trim(0); /* where there are threads the depot keeps an empty slab of a class for a while */
    st = figures(heap);
    ck_assert_uint_eq(st.bytes, 0); /* empty slabs went back to the page heap */
    ck_assert_int_eq(sla_heap_stats(heap, (sla_heap_stats_t *)(void *)&part, sizeof part), 0);
    ck_assert_uint_eq(part, 0);
    errno = 0;
    ck_assert_int_eq(sla_heap_stats(heap, &st, 0), -1);
    ck_assert_int_eq(errno, EINVAL);
    ck_assert_int_eq(sla_heap_stats(heap, &st, 5), -1);
    sla_heap_destroy(heap);
}
END_TEST

/* --- visiting --- */

struct seen {
    size_t count, bytes, stop_at;
    int free_them, marked;
};

static int look(void *block, size_t size, void *arg)
{
    struct seen *s = arg;
    s->count++;
    s->bytes += size;
    s->marked += *(unsigned char *)block == 0x77;
    if (s->free_them)
        sla_free(block);
    return s->count == s->stop_at ? 5 : 0;
}

static int visited(sla_heap_t *heap, struct seen *s, int free_them, size_t stop_at)
{
    memset(s, 0, sizeof *s);
    s->free_them = free_them;
    s->stop_at = stop_at;
    return sla_heap_visit(heap, look, s);
}

START_TEST(visit_sees_every_live_block)
{
    sla_heap_t *heap = made("visited");
    struct seen s;
    size_t n = 0;
    for (size_t i = 0; i < 5000; i++) {
        size_t which = i % 150 == 0 ? ARRAY_LEN(sizes) - 1 - i / 150 % 3 : i % (ARRAY_LEN(sizes) - 3);
        unsigned char *p = sla_heap_malloc(heap, sizes[which] + 1); /* a few are large, and stay */
        ck_assert_ptr_nonnull(p);
        *p = 0x77;
        if (i % 3 != 0) {
            *p = 0;
            sla_free(p);
        } else {
            n++;
        }
    }
    ck_assert_uint_eq(figures(heap).blocks, n);
    ck_assert_int_eq(visited(heap, &s, 0, 0), 0);
    ck_assert_uint_eq(s.count, n);
    ck_assert_uint_eq((size_t)s.marked, n);
    ck_assert_uint_eq(s.bytes, figures(heap).live);
    ck_assert_int_eq(visited(heap, &s, 0, 10), 5);
    ck_assert_uint_eq(s.count, 10);
    ck_assert_int_eq(visited(heap, &s, 1, n / 2), 5);
    ck_assert_int_eq(visited(heap, &s, 1, 0), 0);
    ck_assert_uint_eq(s.count, n - n / 2);
    ck_assert_int_eq(visited(heap, &s, 1, 0), 0);
    ck_assert_uint_eq(s.count, 0);
    ck_assert_uint_eq(figures(heap).blocks, 0);
    ck_assert_ptr_nonnull(sla_heap_malloc(heap, 100));
    sla_heap_destroy(heap);
}
END_TEST

/* --- destruction --- */

START_TEST(destroy_frees_all)
{
    size_t before, metadata = 0;
    sla_stats_t st;
    sla_thread_idle();
    before = slabs_and_large();
    for (int round = 0; round < 20; round++) {
        sla_heap_t *heap = made("short");
        for (size_t i = 0; i < 3000; i++) {
            void *p = sla_heap_malloc(heap, sizes[i % ARRAY_LEN(sizes)] / (i % 7 + 1));
            ck_assert_ptr_nonnull(p);
            if (i % 5 == 0)
                sla_free(p);
        }
        ck_assert_uint_gt(slabs_and_large(), before);
        sla_heap_destroy(heap);
        ck_assert_uint_eq(slabs_and_large(), before);
        ck_assert_int_eq(sla_stats_get(&st, sizeof st), 0);
        if (round == 2)
            metadata = st.metadata;
        if (round > 2)
            ck_assert_uint_eq(st.metadata, metadata);
    }
}
END_TEST

/* Numbers are used again, in any order. */
START_TEST(many_heaps)
{
    enum { MANY = 500 };
    static sla_heap_t *heaps[MANY];
    static unsigned char *blocks[MANY];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MANY; i++) {
            heaps[i] = made("many");
            blocks[i] = sla_heap_malloc(heaps[i], 100);
            support_fill(blocks[i], 100, (uint64_t)i);
        }
        for (int i = 0; i < MANY; i++) {
            ck_assert_ptr_eq(sla_heap_of(blocks[i]), heaps[i]);
            ck_assert(support_matches(blocks[i], 100, (uint64_t)i));
            if (i % 2 == 0)
                sla_free(blocks[i]);
        }
        for (int i = 0; i < MANY; i++)
            sla_heap_destroy(heaps[(i * 7 + round) % MANY]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("heap");
    TCase *tc = tcase_create("blocks");
    tcase_add_loop_test(tc, blocks_are_in_their_heap, 0, (int)ARRAY_LEN(sizes));
    tcase_add_test(tc, of_knows_no_other_addresses);
    tcase_add_test(tc, alignment);
    tcase_add_test(tc, impossible_sizes);
    tcase_add_test(tc, realloc_stays);
    tcase_add_loop_test(tc, realloc_moves_between_heaps, 0, (int)ARRAY_LEN(sizes));
    tcase_add_test(tc, realloc_between_heaps_shrinks);
    tcase_add_test(tc, null_is_the_default_heap);
    tcase_add_test(tc, names);
    suite_add_tcase(suite, tc);
    tc = tcase_create("current");
    tcase_add_test(tc, pushed_heap_gets_every_allocation);
    tcase_add_test(tc, depth_has_an_end);
    suite_add_tcase(suite, tc);
    tc = tcase_create("contents");
    tcase_add_test(tc, statistics);
    tcase_add_test(tc, visit_sees_every_live_block);
    suite_add_tcase(suite, tc);
    tc = tcase_create("destruction");
    tcase_add_test(tc, destroy_frees_all);
    tcase_add_test(tc, many_heaps);
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
