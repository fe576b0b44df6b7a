/*
 * test_heappages.c: heaps on memory that the program lends: where blocks lie,
 * what is touched and what is not, getting and giving back, refusals.
 *
 * SPDX-License-Identifier: MIT
 */
#include "arena.h"

#include <slaballoc/cache.h>
#include <sys/mman.h>

static sla_heap_stats_t figures(sla_heap_t *heap)
{
    sla_heap_stats_t st;
    ck_assert_int_eq(sla_heap_stats(heap, &st, sizeof st), 0);
    return st;
}

static const size_t sizes[] = {0, 1, 64, 100, 1024, 5000, 32768, 40000, 65536, 65537, 200000, 3000000, 6000000};

/* --- blocks --- */

START_TEST(blocks_lie_in_chunks)
{
    struct arena a;
    sla_heap_t *heap;
    unsigned char *p[ARRAY_LEN(sizes)];
    arena_make(&a);
    heap = arena_heap(&a, _i == 0 ? 0 : UNIT);
    ck_assert_uint_eq(a.gets, 0);
    errno = SENTINEL_ERRNO;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        p[i] = sla_heap_malloc(heap, sizes[i]);
        ck_assert(p[i] != NULL && arena_holds(&a, p[i], sla_usable_size(p[i])));
        ck_assert_ptr_eq(sla_heap_of(p[i]), heap);
        ck_assert_ptr_eq(sla_heap_of(p[i] + sizes[i] / 2), heap);
        ck_assert(sla_owns(p[i]));
        support_fill(p[i], sizes[i], i);
    }
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    ck_assert_uint_eq(figures(heap).provided, a.used);
    ck_assert_uint_le(figures(heap).bytes, a.used);
    ck_assert_uint_eq(figures(heap).blocks, ARRAY_LEN(sizes));
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        ck_assert(support_matches(p[i], sizes[i], i));
        if (i % 2 == 0)
            sla_free(p[i]);
        else
            sla_free_sized(p[i], sizes[i]);
    }
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    ck_assert_uint_eq(figures(heap).live, 0);
    sla_heap_destroy(heap);
    arena_end(&a);
}
END_TEST

START_TEST(current_heap_and_batches)
{
    struct arena a;
    void *p[300];
    sla_heap_t *heap;
    arena_make(&a);
    heap = arena_heap(&a, UNIT);
    ck_assert_int_eq(sla_heap_push(heap), 0);
    for (size_t round = 0; round < 50; round++) {
        ck_assert_uint_eq(sla_alloc_batch(1000, p, ARRAY_LEN(p)), ARRAY_LEN(p));
        for (size_t i = 0; i < ARRAY_LEN(p); i++)
            ck_assert(arena_holds(&a, p[i], 1000));
        p[0] = sla_realloc(p[0], 2000);
        ck_assert(arena_holds(&a, p[0], 2000));
        sla_free_batch(p, ARRAY_LEN(p));
    }
    ck_assert_ptr_eq(sla_heap_current(), heap);
    sla_heap_pop();
    sla_heap_destroy(heap);
    arena_end(&a);
}
END_TEST

START_TEST(alignment)
{
    struct arena a;
    sla_heap_t *heap;
    arena_make(&a);
    heap = arena_heap(&a, UNIT);
    for (size_t align = 1; align <= 4 * MIB; align *= 2) {
        void *p = sla_heap_aligned_alloc(heap, align, 100), *q = sla_heap_aligned_alloc(heap, align, 100000);
        ck_assert(p != NULL && q != NULL && ((uintptr_t)p | (uintptr_t)q) % align == 0);
        ck_assert(arena_holds(&a, p, 100) && arena_holds(&a, q, 100000));
        sla_free_aligned_sized(p, align, 100);
        sla_free(q);
    }
    sla_heap_destroy(heap);
    arena_end(&a);
}
END_TEST

START_TEST(zero_is_believed_if_said)
{
    struct arena a;
    sla_heap_t *heap;
    unsigned char *p, *q;
    arena_make(&a);
    a.zero = _i;
    heap = arena_heap(&a, 0);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        p = sla_heap_calloc(heap, 1, sizes[i]);
        ck_assert(p != NULL && support_is_zero(p, sizes[i]));
        memset(p, 1, sizes[i]);
        p = sla_rezalloc(p, sizes[i], sizes[i] + 300000);
        ck_assert(p != NULL && support_is_zero(p + sizes[i], 300000) && (sizes[i] == 0 || p[sizes[i] - 1] == 1));
        memset(p, 1, sizes[i] + 300000);
        sla_free(p);
        q = sla_heap_calloc(heap, 3, 100000); /* used before */
        ck_assert(q != NULL && support_is_zero(q, 300000));
        memset(q, 1, 300000);
        sla_free(q);
    }
    sla_heap_destroy(heap);
    arena_end(&a);
}
END_TEST

START_TEST(large_blocks_grow_and_move)
{
    struct arena a;
    unsigned char *p, *q = NULL;
    sla_heap_t *heap;
    size_t old = 70000, moved = 0;
    arena_make(&a);
    heap = arena_heap(&a, 0);
    p = sla_heap_malloc(heap, old);
    support_fill(p, old, 1);
    for (size_t size = old; size < 20 * MIB; size += size / 3) {
        unsigned char *next = sla_realloc(p, size);
        ck_assert(next != NULL && arena_holds(&a, next, size) && support_matches(next, old < size ? old : size, 1));
        moved += next != p;
        p = next;
        support_fill(p, size, 1);
        if (q == NULL) {
            q = sla_heap_malloc(heap, 100000);
            support_fill(q, 100000, 2);
        }
        old = size;
    }
    ck_assert_uint_gt(moved, 0);
    p = sla_realloc(p, MIB);
    ck_assert(arena_holds(&a, p, MIB) && support_matches(p, MIB, 1) && support_matches(q, 100000, 2));
    ck_assert_uint_ge(sla_try_expand(p, 2 * MIB, 2 * MIB), 2 * MIB); /* what was just cut off */
    sla_free(p);
    sla_free(q);
    sla_heap_destroy(heap);
    arena_end(&a);
}
END_TEST

/* --- what is touched --- */

/* Nothing but the blocks is ever written, and nothing dropped, whatever is freed, trimmed or maintained. */
START_TEST(chunks_are_left_alone)
{
    struct arena a;
    unsigned char *p[200], *big, *mirror, *anchor;
    sla_heap_t *heap;
    arena_make(&a);
    heap = arena_heap(&a, 0);
    anchor = sla_heap_malloc(heap, 3000);
    ck_assert_uint_eq(a.used, 4 * MIB);
    for (size_t i = 0; i < ARRAY_LEN(p); i++) {
        size_t size = 64 << i % 9;
        p[i] = sla_heap_malloc(heap, size);
        support_fill(p[i], size, i);
    }
    big = sla_heap_malloc(heap, 500000);
    memset(big, 7, 500000);
    ck_assert_uint_eq(a.used, 4 * MIB);
    mirror = malloc(4 * MIB);
    memcpy(mirror, a.start, 4 * MIB);
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        sla_free(p[i]);
    sla_free(big);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(sla_option_set("purge_delay", 0), 0);
        sla_thread_idle();
        (void)sla_maintain();
        (void)sla_trim(0);
    }
    ck_assert_int_eq(sla_option_set("purge_delay", 1000), 0);
    ck_assert_int_eq(memcmp(mirror, a.start, 4 * MIB), 0);
    ck_assert_ptr_eq(sla_heap_of(anchor), heap);
    free(mirror);
    sla_heap_destroy(heap);
    arena_end(&a);
}
END_TEST

/* What the library keeps of a chunk lies elsewhere: an untouched one may lose its pages altogether. */
START_TEST(nothing_of_ours_is_in_a_chunk)
{
    struct arena a;
    sla_heap_t *heap;
    void *p, *q;
    size_t others = 0;
    arena_make(&a);
    heap = arena_heap(&a, MIB);
    p = sla_heap_malloc(heap, 700000);
    q = sla_heap_malloc(heap, 30);
    support_fill(p, 700000, 1);
    for (unsigned char *c = a.start; c < a.start + a.used; c++)
        others += *c != GARBAGE && (c < (unsigned char *)p || c >= (unsigned char *)p + 700000);
    ck_assert_uint_eq(others, 0);
    ck_assert_int_eq(mprotect(a.start, a.used, PROT_NONE), 0);
    ck_assert_uint_eq(sla_usable_size(q), 32);
    ck_assert_ptr_eq(sla_heap_of(p), heap);
    ck_assert_uint_eq(figures(heap).blocks, 2);
    sla_free(p);
    p = sla_heap_malloc(heap, 600000);
    ck_assert_ptr_nonnull(p);
    sla_free(q);
    (void)sla_trim(0);
    sla_heap_destroy(heap);
    ck_assert_int_eq(mprotect(a.start, MIB, PROT_READ | PROT_WRITE), 0);
    ck_assert(!sla_owns(p) && !sla_owns(q));
    ck_assert_ptr_null(sla_heap_of(p));
    arena_end(&a);
}
END_TEST

/* --- getting and giving back --- */

START_TEST(refusal_is_enomem_and_loses_nothing)
{
    struct arena a;
    sla_heap_t *heap;
    void *p[1000];
    size_t n = 0, before;
    arena_make(&a);
    a.most = 2 * MIB;
    heap = arena_heap(&a, MIB);
    while (n < ARRAY_LEN(p) && (p[n] = sla_heap_malloc(heap, 4096)) != NULL)
        memset(p[n], (int)n, 4096), n++;
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_uint_ge(n, 2 * MIB / 4096 - 16);
    ck_assert_uint_gt(a.refused, 0);
    errno = 0;
    ck_assert_ptr_null(sla_heap_malloc(heap, 300000));
    ck_assert_int_eq(errno, ENOMEM);
    before = figures(heap).bytes;
    ck_assert_uint_eq(before, 2 * MIB);
    for (size_t i = 0; i < n; i++)
        sla_free(p[i]);
    ck_assert_ptr_nonnull(p[0] = sla_heap_malloc(heap, 900000)); /* after a look at what caches hold */
    sla_free(p[0]);
    errno = 0;
    ck_assert_ptr_null(sla_heap_malloc(heap, support_size(SIZE_MAX / 2)));
    ck_assert_int_eq(errno, ENOMEM);
    sla_heap_destroy(heap);
    ck_assert_uint_eq(a.peak, 2 * MIB);
    arena_end(&a);
}
END_TEST

START_TEST(chunks_grow_and_fall_back)
{
    struct arena a;
    sla_heap_t *heap;
    arena_make(&a);
    heap = arena_heap(&a, UNIT);
    for (size_t i = 0; i < 450; i++)
        ck_assert_ptr_nonnull(sla_heap_malloc(heap, 2 * UNIT));
    ck_assert_uint_le(a.gets, 60); /* 192 are the most */
    ck_assert_uint_gt(a.refused, 0); /* half as much again was too much at the end */
    ck_assert_uint_eq(figures(heap).provided, a.used);
    ck_assert_uint_eq(figures(heap).bytes, 900 * UNIT);
    sla_heap_destroy(heap);
    arena_end(&a);
}
END_TEST

START_TEST(empty_chunks_go_back)
{
    struct arena a;
    sla_heap_t *heap;
    void *p, *q, *r;
    arena_make(&a);
    heap = arena_heap(&a, MIB);
    p = sla_heap_malloc(heap, MIB);
    q = sla_heap_malloc(heap, MIB);
    r = sla_heap_malloc(heap, MIB);
    ck_assert_uint_eq(a.gets, 3);
    errno = SENTINEL_ERRNO;
    sla_free(p);
    ck_assert_uint_eq(a.puts, 0); /* one may stay */
    sla_free(q);
    ck_assert_uint_eq(a.puts, 1);
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    ck_assert_int_ne(sla_trim(0), 0);
    ck_assert_uint_eq(a.puts, 2);
    ck_assert_uint_eq(figures(heap).provided, MIB);
    sla_free(r);
    p = sla_heap_malloc(heap, 100);
    sla_free(p);
    ck_assert_uint_eq(a.gets, 3);
    ck_assert_int_ne(sla_trim(0), 0);
    ck_assert_uint_eq(figures(heap).provided, 0);
    ck_assert_uint_eq(figures(heap).bytes, 0);
    p = sla_heap_malloc(heap, MIB);
    sla_free(p);
    (void)sla_maintain();
    ck_assert_uint_eq(a.used, 0);
    sla_heap_destroy(heap);
    arena_end(&a);
}
END_TEST

START_TEST(limit_comes_before_get)
{
    struct arena a;
    sla_heap_t *heap;
    void *p;
    arena_make(&a);
    heap = arena_heap(&a, UNIT);
    ck_assert_int_eq(sla_heap_set_limit(heap, 0, 4 * UNIT, NULL, NULL), 0);
    p = sla_heap_malloc(heap, 3 * UNIT);
    ck_assert_ptr_nonnull(p);
    ck_assert_ptr_null(sla_heap_malloc(heap, 2 * UNIT));
    ck_assert_uint_eq(a.gets, 1);
    ck_assert_uint_eq(a.refused, 0);
    sla_free(p);
    sla_heap_destroy(heap);
    arena_end(&a);
}
END_TEST

static int press(sla_heap_t *heap, size_t wanted, void *arg)
{
    struct arena *a = arg;
    (void)heap;
    (void)wanted;
    a->most += MIB;
    return 1;
}

START_TEST(pressure_may_make_room_for_get)
{
    struct arena a;
    sla_heap_t *heap;
    arena_make(&a);
    a.most = 0;
    heap = arena_heap(&a, MIB);
    ck_assert_int_eq(sla_heap_set_limit(heap, 0, 0, press, &a), 0);
    ck_assert_ptr_nonnull(sla_heap_malloc(heap, 100000));
    ck_assert_ptr_nonnull(sla_heap_malloc(heap, 10));
    ck_assert_uint_eq(a.used, MIB);
    sla_heap_destroy(heap);
    arena_end(&a);
}
END_TEST

START_TEST(arguments)
{
    const sla_heap_pages_t none = {NULL, arena_put, NULL, 0}, odd = {arena_get, arena_put, NULL, 1000};
    struct arena a;
    sla_heap_pages_t kept = {arena_get, NULL, &a, MIB};
    sla_heap_t *heap;
    errno = 0;
    ck_assert_ptr_null(sla_heap_create_on("x", &none));
    ck_assert_int_eq(errno, EINVAL);
    errno = 0;
    ck_assert_ptr_null(sla_heap_create_on("x", &odd));
    ck_assert_int_eq(errno, EINVAL);
    arena_make(&a);
    heap = sla_heap_create_on(NULL, &kept);
    kept.get = NULL; /* it was copied */
    ck_assert_str_eq(sla_heap_name(heap), "heap");
    sla_free(sla_heap_malloc(heap, 2 * MIB));
    sla_free(sla_heap_malloc(heap, 3 * MIB));
    (void)sla_trim(0);
    ck_assert_uint_eq(figures(heap).provided, a.used);
    sla_heap_destroy(heap);
    ck_assert_uint_eq(a.puts, 0);
    ck_assert_int_eq(munmap(a.start, UNITS * UNIT), 0);
}
END_TEST

static sla_heap_t *nested;
static void *get_from_itself(size_t size, int *zero, void *arg)
{
    (void)zero;
    return sla_heap_malloc(nested, 10) != NULL ? NULL : arena_get(size, zero, arg);
}

START_TEST(get_that_uses_its_heap)
{
    struct arena a;
    const sla_heap_pages_t pages = {get_from_itself, arena_put, &a, 0};
    arena_make(&a);
    nested = sla_heap_create_on("x", &pages);
    ck_assert_ptr_nonnull(sla_heap_malloc(nested, 10));
    sla_heap_destroy(nested);
    arena_end(&a);
}
END_TEST

#define MANY 250
START_TEST(many_chunks)
{
    struct arena a;
    sla_heap_t *heaps[MANY];
    size_t served = 0;
    void *large;
    arena_make(&a);
    for (int round = 0; round < 3; round++) {
        served = 0;
        for (size_t i = 0; i < MANY; i++) {
            heaps[i] = arena_heap(&a, UNIT);
            served += sla_heap_malloc(heaps[i], 10) != NULL;
        }
        ck_assert_uint_eq(served, SLA_HEAP_CHUNKS_MOST);
        large = sla_malloc(GIB / 4); /* the default heap has places left */
        ck_assert_ptr_nonnull(large);
        sla_free(large);
        for (size_t i = 0; i < MANY; i++)
            sla_heap_destroy(heaps[(i * 7 + (size_t)round) % MANY]);
        ck_assert_uint_eq(a.used, 0);
    }
    arena_end(&a);
}
END_TEST

static size_t asked, in_heap;
static void *get_nothing(size_t size, int *zero, void *arg)
{
    (void)size;
    (void)zero;
    (void)arg;
    in_heap += sla_heap_current() != NULL;
    return NULL;
}

static int count_asking(sla_cache_t *cache, void *arg)
{
    (void)cache;
    (void)arg;
    asked++;
    return 1;
}

/* What was not got is in no figure, and nobody else is asked for it; page functions have the default heap, always. */
START_TEST(refused_in_vain)
{
    static const sla_heap_pages_t none = {get_nothing, NULL, NULL, 0};
    sla_heap_t *heap = sla_heap_create_on("none", &none);
    sla_cache_t *cache = sla_cache_create("bystander", 256, 0, 0, NULL, NULL, NULL);
    ck_assert(heap != NULL && cache != NULL);
    sla_cache_set_reclaim(cache, count_asking, NULL);
    asked = in_heap = 0;
    ck_assert(sla_heap_malloc(heap, 100) == NULL && errno == ENOMEM);
    ck_assert(sla_heap_malloc(heap, support_size(GIB)) == NULL && errno == ENOMEM);
    ck_assert_uint_eq(figures(heap).bytes, 0);
    ck_assert_uint_eq(figures(heap).peak, 0);
    ck_assert_int_eq(sla_cache_destroy(cache), 0);
    ck_assert_uint_eq(asked, 0);
    for (int i = 0; i < 63; i++)
        ck_assert_int_eq(sla_heap_push(NULL), 0);
    ck_assert_int_eq(sla_heap_push(heap), 0);
    ck_assert(sla_malloc(support_size(100)) == NULL && sla_malloc(support_size(100000)) == NULL);
    ck_assert_uint_eq(in_heap, 0);
    ck_assert(sla_heap_push(NULL) == -1 && errno == EOVERFLOW);
    for (int i = 0; i < 64; i++)
        sla_heap_pop();
    sla_heap_destroy(heap);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("heaps on lent memory");
    TCase *tc = tcase_create("blocks");
    tcase_add_loop_test(tc, blocks_lie_in_chunks, 0, 2);
    tcase_add_test(tc, current_heap_and_batches);
    tcase_add_test(tc, alignment);
    tcase_add_loop_test(tc, zero_is_believed_if_said, 0, 2);
    tcase_add_test(tc, large_blocks_grow_and_move);
    suite_add_tcase(suite, tc);
    tc = tcase_create("touch");
    tcase_add_test(tc, chunks_are_left_alone);
    tcase_add_test(tc, nothing_of_ours_is_in_a_chunk);
    suite_add_tcase(suite, tc);
    tc = tcase_create("functions");
    tcase_add_test(tc, refusal_is_enomem_and_loses_nothing);
    tcase_add_test(tc, chunks_grow_and_fall_back);
    tcase_add_test(tc, empty_chunks_go_back);
    tcase_add_test(tc, limit_comes_before_get);
    tcase_add_test(tc, pressure_may_make_room_for_get);
    tcase_add_test(tc, arguments);
    tcase_add_test(tc, get_that_uses_its_heap);
    tcase_add_test(tc, many_chunks);
    tcase_add_test(tc, refused_in_vain);
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
