/*
 * test_pageheap.c: spans found, split, joined, grown and shrunk.
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "heap/purge.h"
#include "os/os.h"

#define heap slai_pageheap

static struct slai_span *take(size_t pages)
{
    struct slai_span *s = slai_pages_take(pages, 1, SLAI_KIND_BUSY);
    ck_assert_ptr_nonnull(s);
    ck_assert_uint_eq(s->pages, pages);
    ck_assert_uint_eq(slai_kind(s), SLAI_KIND_BUSY);
    return s;
}

/* Dirty free pages, in one piece, as the only dirty ones; no longer clean span can be preferred to it. */
static struct slai_span *one_dirty(size_t pages)
{
    unit_tidy();
    struct slai_span *s = take(pages);
    slai_pages_give(s);
    ck_assert_uint_eq(heap.free_pages[0], pages);
    return s;
}

/* `count` adjacent spans of `pages` each, and a guard behind them; all dirty, no other dirty. */
static void adjacent(struct slai_span **spans, size_t count, size_t pages, struct slai_span **guard)
{
    struct slai_span *whole = one_dirty(count * pages + 1);
    for (size_t i = 0; i < count; i++) {
        spans[i] = take(pages);
        ck_assert_ptr_eq(spans[i], whole + i * pages);
    }
    *guard = take(1);
    ck_assert_uint_eq(heap.free_pages[0], 0);
}

static int is_free(const struct slai_span *s, size_t pages)
{
    return slai_kind(s) == SLAI_KIND_FREE && s->pages == pages && s->back == 0;
}

START_TEST(take_and_give)
{
    size_t pages = (size_t)_i, used = heap.used_pages;
    unit_tidy();
    errno = SENTINEL_ERRNO;
    struct slai_span *s = take(pages);
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    ck_assert_uint_eq((uintptr_t)s->start % SLAI_PAGE, 0);
    ck_assert_uint_eq(heap.used_pages, used + pages);
    ck_assert(s->clean);
    ck_assert(support_is_zero(s->start, pages << SLAI_PAGE_SHIFT));
    memset(s->start, 1, pages << SLAI_PAGE_SHIFT);
    unit_sound();
    slai_pages_give(s);
    ck_assert_uint_eq(heap.used_pages, used);
    ck_assert_uint_eq(heap.free_pages[0], pages);
    unit_sound();
}
END_TEST

START_TEST(the_rest_stays_free)
{
    struct slai_span *whole = one_dirty(10), *a = take(3);
    ck_assert_ptr_eq(a, whole);
    ck_assert(is_free(whole + 3, 7));
    ck_assert_ptr_eq(whole[3].start, whole->start + 3 * SLAI_PAGE);
    struct slai_span *b = take(7);
    ck_assert_ptr_eq(b, whole + 3);
    ck_assert_uint_eq(heap.free_pages[0], 0);
    slai_pages_give(a);
    slai_pages_give(b);
    ck_assert(is_free(whole, 10));
}
END_TEST

/* Three neighbours given back in any order are one span again. */
START_TEST(neighbours_join)
{
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    struct slai_span *s[3], *guard;
    adjacent(s, 3, 4, &guard);
    for (int i = 0; i < 3; i++) {
        slai_pages_give(s[orders[_i][i]]);
        unit_sound();
    }
    ck_assert(is_free(s[0], 12));
    ck_assert_uint_eq(s[0][11].back, 11);
    ck_assert_uint_eq(heap.free_pages[0], 12);
    slai_pages_give(guard);
    ck_assert(is_free(s[0], 13));
}
END_TEST

START_TEST(clean_and_dirty_stay_apart)
{
    struct slai_span *s[2], *guard;
    adjacent(s, 2, 4, &guard);
    slai_pages_give(s[0]);
    ck_assert_uint_eq(slai_purge(SLAI_PURGE_ALL, 0), 4 * SLAI_PAGE);
    ck_assert_uint_eq(s[0]->clean, 1);
    slai_pages_give(s[1]);
    ck_assert_uint_eq(s[1]->clean, 0);
    ck_assert(is_free(s[1], 4));
    ck_assert_uint_eq(heap.free_pages[0], 4);
    unit_sound();
    slai_pages_give(guard);
}
END_TEST

/* Free spans of 9, 3, 5 and 70 pages, apart from each other. */
START_TEST(best_fit)
{
    static const size_t lengths[] = {9, 3, 5, 70};
    static const struct {
        size_t want;
        int from;
    } cases[] = {{1, 1}, {2, 1}, {3, 1}, {4, 2}, {5, 2}, {6, 0}, {9, 0}, {10, 3}, {64, 3}, {70, 3}};
    struct slai_span *s[4], *guards[4];
    one_dirty(9 + 3 + 5 + 70 + 4);
    for (size_t i = 0; i < 4; i++) {
        s[i] = take(lengths[i]);
        guards[i] = take(1);
    }
    for (size_t i = 0; i < 4; i++)
        slai_pages_give(s[i]);
    struct slai_span *got = take(cases[_i].want);
    ck_assert_ptr_eq(got, s[cases[_i].from]);
    slai_pages_give(got);
    for (size_t i = 0; i < 4; i++)
        slai_pages_give(guards[i]);
}
END_TEST

START_TEST(best_fit_among_the_long)
{
    static const size_t lengths[] = {75, 65, 79, 68, 72};
    struct slai_span *s[5], *guards[5];
    one_dirty(75 + 65 + 79 + 68 + 72 + 5);
    for (size_t i = 0; i < 5; i++) {
        s[i] = take(lengths[i]);
        guards[i] = take(1);
    }
    for (size_t i = 0; i < 5; i++)
        slai_pages_give(s[i]);
    struct slai_span *got = take(70);
    ck_assert_ptr_eq(got, s[4]);
    slai_pages_give(got);
    for (size_t i = 0; i < 5; i++)
        slai_pages_give(guards[i]);
}
END_TEST

START_TEST(dirty_before_clean)
{
    struct slai_span *s[3], *guard;
    adjacent(s, 3, 6, &guard); /* s[1] keeps them apart */
    slai_pages_give(s[0]);
    ck_assert_uint_eq(slai_purge(SLAI_PURGE_ALL, 0), 6 * SLAI_PAGE);
    slai_pages_give(s[2]);
    struct slai_span *got = take(2);
    ck_assert_ptr_eq(got, s[2]);
    ck_assert(!got->clean);
    slai_pages_give(got);
    slai_pages_give(s[1]);
    slai_pages_give(guard);
}
END_TEST

START_TEST(aligned_spans)
{
    size_t align = (size_t)1 << _i;
    struct slai_span *odd = take(1), *s[6];
    for (size_t i = 0; i < 6; i++) {
        s[i] = slai_pages_take(3 + i, align, i % 2 != 0 ? SLAI_KIND_LARGE : SLAI_KIND_BUSY);
        ck_assert_ptr_nonnull(s[i]);
        ck_assert_uint_eq((uintptr_t)s[i]->start % (align << SLAI_PAGE_SHIFT), 0);
        ck_assert_uint_eq(s[i]->pages, 3 + i);
        ck_assert_uint_eq(slai_kind(s[i]), i % 2 != 0 ? SLAI_KIND_LARGE : SLAI_KIND_BUSY);
        unit_sound();
    }
    slai_pages_give(odd);
    for (size_t i = 0; i < 6; i++) {
        slai_lock(&heap.lock);
        if (slai_kind(s[i]) == SLAI_KIND_LARGE) {
            heap.large_pages -= s[i]->pages;
            heap.large_count--;
        }
        slai_span_free(s[i]);
        slai_unlock(&heap.lock);
        unit_sound();
    }
}
END_TEST

/* --- large blocks in place --- */

static bool grow(struct slai_span *s, size_t pages)
{
    slai_lock(&heap.lock);
    bool done = slai_span_grow(s, pages);
    slai_unlock(&heap.lock);
    return done;
}

static void shrink(struct slai_span *s, size_t pages)
{
    slai_lock(&heap.lock);
    slai_span_shrink(s, pages);
    slai_unlock(&heap.lock);
}

static struct slai_span *take_large(size_t pages)
{
    struct slai_span *s = slai_pages_take(pages, 1, SLAI_KIND_LARGE);
    ck_assert_ptr_nonnull(s);
    return s;
}

static void give_large(struct slai_span *s)
{
    slai_lock(&heap.lock);
    heap.large_pages -= s->pages;
    heap.large_count--;
    slai_span_free(s);
    slai_unlock(&heap.lock);
}

START_TEST(grow_into_what_follows)
{
    struct slai_span *whole = one_dirty(10), *s = take_large(3), *behind = take(2);
    size_t large = heap.large_pages, used = heap.used_pages;
    ck_assert_ptr_eq(s, whole);
    ck_assert(!grow(s, 4)); /* `behind` is in the way */
    ck_assert_uint_eq(s->pages, 3);
    slai_pages_give(behind);
    ck_assert(grow(s, 5));
    ck_assert_uint_eq(s->pages, 5);
    ck_assert(is_free(whole + 5, 5));
    unit_sound();
    ck_assert(grow(s, 10)); /* all of it */
    unit_sound();
    ck_assert_uint_eq(heap.free_pages[0], 0);
    ck_assert_uint_eq(heap.large_pages, large + 7);
    ck_assert_uint_eq(heap.used_pages, used - 2 + 7);
    shrink(s, 2);
    ck_assert_uint_eq(s->pages, 2);
    ck_assert(is_free(whole + 2, 8));
    ck_assert_uint_eq(heap.large_pages, large - 1);
    unit_sound();
    give_large(s);
    ck_assert(is_free(whole, 10));
}
END_TEST

START_TEST(grow_refuses_what_is_too_short)
{
    struct slai_span *whole = one_dirty(10), *s = take_large(3), *hole = take(3), *behind = take(4);
    slai_pages_give(hole);
    ck_assert(!grow(s, 7));
    ck_assert(is_free(whole + 3, 3));
    unit_sound();
    ck_assert(grow(s, 6));
    give_large(s);
    slai_pages_give(behind);
}
END_TEST

START_TEST(grow_at_the_top)
{
    /* More than all free pages together: fresh, so it ends at the top. */
    size_t pages = heap.free_pages[0] + heap.free_pages[1] + 5;
    struct slai_span *s = take_large(pages);
    const struct slai_region *r = slai_region_of_span(s);
    ck_assert_ptr_eq(s + s->pages, &r->spans[r->top]);
    ck_assert(grow(s, pages + 100));
    ck_assert_uint_eq(s->pages, pages + 100);
    ck_assert_ptr_eq(s + s->pages, &r->spans[r->top]);
    unit_sound();
    unit_refuse(SLAI_CALL_COMMIT, 1);
    slai_fault.limit = 1;
    ck_assert(!grow(s, pages + 100000));
    ck_assert_uint_eq(s->pages, pages + 100);
    unit_no_faults();
    unit_sound();
    give_large(s);
}
END_TEST

/* A clean span at the top is lengthened by as much as is missing. */
START_TEST(top_span_is_lengthened)
{
    unit_tidy();
    size_t pages = heap.free_pages[1] + 5;
    struct slai_span *s = take(pages);
    slai_pages_give(s);
    unit_tidy(); /* now clean and at the top, joined with what was clean before it */
    const struct slai_region *r = slai_region_of_span(s);
    struct slai_span *last = &r->spans[r->top - 1];
    ck_assert(slai_kind(last) == SLAI_KIND_FREE);
    size_t top = r->top, have = last->back + 1;
    struct slai_span *longer = take(have + 10);
    ck_assert_ptr_eq(longer, last - (have - 1));
    ck_assert_uint_eq(r->top, top + 10);
    ck_assert(longer->clean && support_is_zero(longer->start, SLAI_PAGE));
    unit_sound();
    slai_pages_give(longer);
}
END_TEST

/* --- counts and refusals --- */

START_TEST(peak_is_the_highest_use)
{
    size_t more = heap.peak_pages - heap.used_pages + 7;
    struct slai_span *s = take(more);
    ck_assert_uint_eq(heap.peak_pages, heap.used_pages);
    size_t peak = heap.peak_pages;
    slai_pages_give(s);
    ck_assert_uint_eq(heap.peak_pages, peak);
    ck_assert_uint_eq(unit_stats().peak, peak << SLAI_PAGE_SHIFT);
    s = take(more - 1);
    ck_assert_uint_eq(heap.peak_pages, peak);
    slai_pages_give(s);
}
END_TEST

START_TEST(refused_memory)
{
    slai_pages_give(take(1)); /* there is a region */
    size_t used = heap.used_pages, pages = heap.free_pages[0] + heap.free_pages[1] + 2000;
    unit_refuse(SLAI_CALL_COMMIT, 1);
    unit_refuse(SLAI_CALL_RESERVE, 1);
    errno = 0;
    ck_assert_ptr_null(slai_pages_take(pages, 1, SLAI_KIND_BUSY));
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_ptr_null(slai_pages_take(pages, 16, SLAI_KIND_LARGE));
    ck_assert_uint_eq(heap.used_pages, used);
    unit_sound();
    unit_no_faults();
    /* Success after a refusal leaves errno alone. */
    errno = SENTINEL_ERRNO;
    slai_fault.after[SLAI_CALL_COMMIT] = 1;
    struct slai_span *s = take(pages);
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    slai_pages_give(s);
}
END_TEST

/* --- at random --- */

#define SPANS 60

START_TEST(random_operations)
{
    struct slai_span *s[SPANS] = {NULL};
    struct support_rng rng;
    size_t used = heap.used_pages, large = heap.large_pages;
    support_seed(&rng, (uint64_t)_i);
    for (size_t step = 0; step < support_scaled(1500); step++) {
        size_t i = support_below(&rng, SPANS), dice = support_below(&rng, 10);
        size_t pages = 1 + support_below(&rng, support_below(&rng, 8) != 0 ? 12 : 150);
        if (s[i] == NULL) {
            s[i] = slai_pages_take(pages, (size_t)1 << support_below(&rng, dice == 0 ? 6 : 1), SLAI_KIND_LARGE);
            ck_assert_ptr_nonnull(s[i]);
            if (s[i]->clean)
                ck_assert(support_is_zero(s[i]->start, s[i]->pages << SLAI_PAGE_SHIFT));
            memset(s[i]->start, (int)i, 64);
            memset(s[i]->start + (s[i]->pages << SLAI_PAGE_SHIFT) - 64, (int)i, 64);
        } else if (dice < 3) {
            if (pages < s[i]->pages)
                shrink(s[i], pages);
            else if (pages > s[i]->pages)
                (void)grow(s[i], pages);
        } else {
            ck_assert_int_eq(s[i]->start[63], (int)i);
            give_large(s[i]);
            s[i] = NULL;
        }
        if (dice == 9)
            (void)slai_purge(SLAI_PURGE_ALL, support_below(&rng, 40 * SLAI_PAGE));
        unit_sound();
    }
    for (size_t i = 0; i < SPANS; i++)
        if (s[i] != NULL)
            give_large(s[i]);
    ck_assert_uint_eq(heap.used_pages, used);
    ck_assert_uint_eq(heap.large_pages, large);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pageheap");
    TCase *tc = unit_case(suite, "pageheap");
    tcase_add_loop_test(tc, take_and_give, 1, 6);
    tcase_add_loop_test(tc, take_and_give, 63, 66);
    tcase_add_loop_test(tc, take_and_give, 300, 301);
    tcase_add_test(tc, the_rest_stays_free);
    tcase_add_loop_test(tc, neighbours_join, 0, 6);
    tcase_add_test(tc, clean_and_dirty_stay_apart);
    tcase_add_loop_test(tc, best_fit, 0, 10);
    tcase_add_test(tc, best_fit_among_the_long);
    tcase_add_test(tc, dirty_before_clean);
    tcase_add_loop_test(tc, aligned_spans, 0, 9);
    tcase_add_test(tc, grow_into_what_follows);
    tcase_add_test(tc, grow_refuses_what_is_too_short);
    tcase_add_test(tc, grow_at_the_top);
    tcase_add_test(tc, top_span_is_lengthened);
    tcase_add_test(tc, peak_is_the_highest_use);
    tcase_add_test(tc, refused_memory);
    tcase_add_loop_test(tc, random_operations, 0, 4);
    return support_main(suite);
}
