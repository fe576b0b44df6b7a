/*
 * test_chunk.c: chunks lent to heaps, from inside: the invariants, refusals by
 * the system, memory that cannot be lent, what a fork repairs.
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "../arena.h"
#include "cache/heap.h"
#include "heap/chunk.h"

/* Random operations; a third of the pages read as zero, and it is not lost which. */
START_TEST(sound_throughout)
{
    struct support_rng rng;
    struct arena a;
    unsigned char *p[200] = {NULL};
    sla_heap_t *heap;
    support_seed(&rng, 7);
    arena_make(&a);
    a.most = 24 * MIB;
    heap = arena_heap(&a, 4 * UNIT);
    for (size_t i = 0; i < support_scaled(40000); i++) {
        size_t at = support_below(&rng, ARRAY_LEN(p));
        size_t size = support_below(&rng, 4) == 0 ? support_below(&rng, 10 * UNIT) : support_below(&rng, 20000);
        a.zero = i / 64 % 3 == 0;
        if (support_below(&rng, 3) == 0 && p[at] != NULL) {
            unsigned char *q = sla_realloc(p[at], size + 1);
            p[at] = q != NULL ? q : p[at];
        } else {
            sla_free(p[at]);
            p[at] = i % 2 == 0 ? sla_heap_malloc(heap, size) : sla_heap_calloc(heap, 1, size);
            if (p[at] != NULL && i % 2 != 0)
                UNIT_QUICK(support_is_zero(p[at], size));
        }
        if (p[at] != NULL)
            memset(p[at], (int)i | 1, sla_usable_size(p[at]));
        if (i % 256 == 0)
            unit_sound();
        if (i % 5000 == 4999)
            (void)sla_trim(0);
    }
    unit_sound();
    sla_heap_destroy(heap);
    unit_sound();
    arena_end(&a);
}
END_TEST

START_TEST(no_memory_for_descriptors)
{
    static const enum slai_call calls[] = {SLAI_CALL_RESERVE, SLAI_CALL_COMMIT};
    struct arena a;
    sla_heap_t *heap;
    void *p;
    arena_make(&a);
    heap = arena_heap(&a, 0);
    sla_free(sla_heap_malloc(NULL, 10));
    unit_refuse(calls[_i], 1);
    errno = 0;
    p = sla_heap_malloc(heap, 200000);
    unit_no_faults();
    ck_assert_ptr_null(p);
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert(a.gets > 0 && a.puts == a.gets);
    ck_assert_uint_eq(heap->account.provided, 0);
    unit_sound();
    ck_assert_ptr_nonnull(sla_heap_malloc(heap, 200000));
    unit_refuse(SLAI_CALL_RELEASE, 1); /* the descriptors are lost, no more */
    sla_heap_destroy(heap);
    unit_no_faults();
    arena_end(&a);
}
END_TEST

START_TEST(chunks_do_not_overlap)
{
    struct arena a;
    sla_heap_t *heap, *other;
    void *p;
    size_t size;
    arena_make(&a);
    heap = arena_heap(&a, 4 * UNIT);
    other = arena_heap(&a, 4 * UNIT);
    p = sla_heap_malloc(heap, 4 * UNIT);
    ck_assert_ptr_eq(p, a.start);
    ck_assert(!slai_chunk_add(&other->account, a.start + 3 * UNIT, 2 * UNIT, false));
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert(!slai_chunk_add(&other->account, slai_regions[0].base + 64 * UNIT, UNIT, false));
    ck_assert(slai_chunk_add(&other->account, a.start + 4 * UNIT, UNIT, false));
    ck_assert(!slai_chunk_add(&other->account, a.start + 3 * UNIT, UNIT, false));
    ck_assert(slai_chunk_add(&other->account, a.start + 8 * UNIT, UNIT, false));
    ck_assert(!slai_chunk_add(&other->account, a.start + 7 * UNIT, 2 * UNIT, false));
    ck_assert_ptr_eq(slai_chunk_remove(&other->account, SLAI_CHUNKS_SPARE, &size), a.start + 8 * UNIT);
    unit_sound();
    ck_assert_ptr_null(slai_chunk_remove(&heap->account, SLAI_CHUNKS_EMPTY, &size));
    ck_assert_ptr_null(slai_chunk_remove(&other->account, SLAI_CHUNKS_SPARE, &size));
    ck_assert_ptr_eq(slai_chunk_remove(&other->account, SLAI_CHUNKS_EMPTY, &size), a.start + 4 * UNIT);
    ck_assert_uint_eq(size, UNIT);
    sla_heap_destroy(heap);
    sla_heap_destroy(other);
    arena_end(&a);
}
END_TEST

/* Clean and dirty neighbours are joined where both are too short; a span never reaches beyond its chunk. */
START_TEST(neighbours)
{
    struct arena a;
    sla_heap_t *heap;
    struct slai_span *s, *t;
    int zero = 0;
    arena_make(&a);
    a.zero = 1;
    heap = arena_heap(&a, 8 * UNIT);
    sla_free(sla_heap_malloc(heap, 4 * UNIT));
    ck_assert_uint_eq(a.gets, 1);
    s = slai_pages_take_for(&heap->account, 2, 1, SLAI_KIND_BUSY);
    ck_assert(s != NULL && !s->clean && s->lender == heap->account.number);
    slai_pages_give(s);
    unit_sound();
    ck_assert(slai_pages_fit(&heap->account, 8));
    s = slai_pages_take_for(&heap->account, 8, 1, SLAI_KIND_BUSY);
    ck_assert(s != NULL && !s->clean);
    ck_assert_ptr_eq(s->start, a.start);
    ck_assert(slai_chunk_add(&heap->account, arena_get(4 * UNIT, &zero, &a), 4 * UNIT, false));
    slai_pages_give(s);
    t = slai_pages_take_for(&heap->account, 9, 1, SLAI_KIND_BUSY);
    ck_assert_ptr_null(t);
    ck_assert_int_eq(errno, ENOMEM);
    unit_sound();
    sla_heap_destroy(heap);
    arena_end(&a);
}
END_TEST

/* What another thread had in hand when it vanished. */
START_TEST(repair)
{
    struct arena a;
    sla_heap_t *heap;
    size_t used;
    void *p, *q;
    arena_make(&a);
    heap = arena_heap(&a, 16 * UNIT);
    p = sla_heap_malloc(heap, 100);
    q = sla_heap_malloc(heap, 3 * UNIT);
    memset(a.start, GARBAGE, 16 * UNIT);
    used = heap->account.quota.used;
    ck_assert_ptr_nonnull(slai_pages_take_for(&heap->account, 3, 1, SLAI_KIND_BUSY));
    ck_assert_ptr_nonnull(slai_pages_take_for(&heap->account, 2, 1, SLAI_KIND_LARGE)); /* not yet the heap's */
    slai_pages_repair();
    unit_sound();
    ck_assert_uint_eq(heap->account.quota.used, used);
    ck_assert(slai_pages_fit(&heap->account, 3));
    ck_assert(sla_heap_of(p) == heap && sla_heap_of(q) == heap);
    for (size_t i = 0; i < 16 * UNIT; i++)
        UNIT_QUICK(a.start[i] == GARBAGE);
    sla_heap_destroy(heap);
    unit_sound();
    arena_end(&a);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("chunk");
    TCase *tc = unit_case(suite, "chunk");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, sound_throughout);
    tcase_add_loop_test(tc, no_memory_for_descriptors, 0, 2);
    tcase_add_test(tc, chunks_do_not_overlap);
    tcase_add_test(tc, neighbours);
    tcase_add_test(tc, repair);
    return support_main(suite);
}
