/*
 * test_large.c: large blocks taken, given, resized in place and moved.
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "cache/depot.h"
#include "heap/large.h"
#include "heap/purge.h"
#include "os/os.h"

#include <signal.h>

#define heap slai_pageheap

static char *take(size_t size)
{
    bool zero;
    char *p = slai_large_take(size, 1, &zero);
    ck_assert_ptr_nonnull(p);
    return p;
}

static bool told; /* whether what was added reads as zero */

static void give(void *p) { slai_large_give(p, "free"); }

START_TEST(take_and_give)
{
    static const size_t sizes[] = {0, 1, 32769, 65535, 65536, 65537, 131072, 1000000, 5000000};
    size_t size = sizes[_i], pages = size == 0 ? 1 : (size + SLAI_PAGE - 1) / SLAI_PAGE;
    size_t count = heap.large_count, before = heap.large_pages;
    bool zero = false;
    unit_tidy();
    errno = SENTINEL_ERRNO;
    char *p = slai_large_take(size, 1, &zero);
    ck_assert_ptr_nonnull(p);
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    ck_assert(zero && support_is_zero(p, pages << SLAI_PAGE_SHIFT));
    ck_assert_uint_eq((uintptr_t)p % SLAI_PAGE, 0);
    ck_assert_uint_eq(slai_large_size(p), pages << SLAI_PAGE_SHIFT);
    ck_assert_uint_eq(heap.large_count, count + 1);
    ck_assert_uint_eq(heap.large_pages, before + pages);
    memset(p, 1, pages << SLAI_PAGE_SHIFT);
    unit_sound();
    give(p);
    ck_assert_uint_eq(slai_large_size(p), 0);
    ck_assert_uint_eq(heap.large_count, count);
    ck_assert_uint_eq(heap.large_pages, before);
    char *again = slai_large_take(size, 1, &zero);
    ck_assert_ptr_eq(again, p);
    ck_assert(!zero); /* dirty pages are not called zero */
    give(again);
}
END_TEST

START_TEST(aligned)
{
    size_t align = (size_t)1 << _i;
    for (size_t size = 1; size < 400000; size = size * 5 + 1) {
        bool zero;
        char *p = slai_large_take(size, align, &zero);
        ck_assert_ptr_nonnull(p);
        ck_assert_uint_eq((uintptr_t)p % align, 0);
        ck_assert_uint_ge(slai_large_size(p), size);
        memset(p, 1, size);
        unit_sound();
        give(p);
    }
}
END_TEST

START_TEST(impossible_sizes)
{
    static const struct {
        size_t size, align;
    } cases[] = {{PTRDIFF_MAX, 1}, {PTRDIFF_MAX, 65536}, {BEYOND(50), 1}, {1, BEYOND(62)}, {1, BEYOND(50)},
                 {BEYOND(47), BEYOND(47)}, {PTRDIFF_MAX, PTRDIFF_MAX / 2 + 1}};
    bool zero;
    errno = 0;
    ck_assert_ptr_null(slai_large_take(cases[_i].size, cases[_i].align, &zero));
    ck_assert_int_eq(errno, ENOMEM);
    unit_sound();
}
END_TEST

/* --- in place --- */

START_TEST(resize_both_ways)
{
    unit_tidy();
    char *p = take(40 * SLAI_PAGE);
    size_t before = heap.large_pages;
    support_fill(p, 40 * SLAI_PAGE, 1);
    static const size_t pages[] = {39, 20, 40, 7, 1, 40, 8};
    size_t least = 40;
    for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
        ck_assert(slai_large_resize(p, (pages[i] << SLAI_PAGE_SHIFT) - 5, &told));
        ck_assert_uint_eq(slai_large_size(p), pages[i] << SLAI_PAGE_SHIFT);
        ck_assert_uint_eq(heap.large_pages, before - 40 + pages[i]);
        least = pages[i] < least ? pages[i] : least;
        ck_assert(support_matches(p, least << SLAI_PAGE_SHIFT, 1));
        unit_sound();
    }
    give(p);
}
END_TEST

START_TEST(same_pages_need_nothing)
{
    char *p = take(3 * SLAI_PAGE);
    ck_assert(slai_large_resize(p, 3 * SLAI_PAGE - 1, &told));
    ck_assert(slai_large_resize(p, 2 * SLAI_PAGE + 1, &told));
    ck_assert_uint_eq(slai_large_size(p), 3 * SLAI_PAGE);
    give(p);
}
END_TEST

START_TEST(no_room_to_grow)
{
    unit_tidy();
    char *whole = take(20 * SLAI_PAGE);
    give(whole);
    char *p = take(5 * SLAI_PAGE), *wall = take(5 * SLAI_PAGE);
    ck_assert_ptr_eq(wall, p + 5 * SLAI_PAGE);
    support_fill(p, 5 * SLAI_PAGE, 2);
    ck_assert(!slai_large_resize(p, 6 * SLAI_PAGE, &told));
    ck_assert(!slai_large_resize(p, PTRDIFF_MAX, &told));
    ck_assert_uint_eq(slai_large_size(p), 5 * SLAI_PAGE);
    ck_assert(support_matches(p, 5 * SLAI_PAGE, 2));
    unit_sound();
    give(wall);
    ck_assert(slai_large_resize(p, 9 * SLAI_PAGE, &told));
    ck_assert(support_matches(p, 5 * SLAI_PAGE, 2));
    give(p);
}
END_TEST

/* What is added is called zero only if it is. */
START_TEST(growth_knows_its_zeroes)
{
    char *p = take(4 * SLAI_PAGE);
    memset(p, 1, 4 * SLAI_PAGE);
    ck_assert(slai_large_resize(p, 2 * SLAI_PAGE, &told));
    ck_assert(!told);
    ck_assert(slai_large_resize(p, 3 * SLAI_PAGE, &told)); /* what it has just given back */
    ck_assert(!told);
    ck_assert(slai_large_resize(p, 2 * SLAI_PAGE, &told));
    unit_tidy();
    ck_assert(slai_large_resize(p, 4 * SLAI_PAGE, &told)); /* purged */
    ck_assert(told && support_is_zero(p + 2 * SLAI_PAGE, 2 * SLAI_PAGE));
    ck_assert(slai_large_resize(p, 4 * SLAI_PAGE - 1, &told));
    ck_assert(!told);
    unit_sound();
    give(p);
}
END_TEST

/* --- moved --- */

START_TEST(move_carries_the_contents)
{
    size_t old = ((size_t)1 << _i) * MIB, moved = heap.moved;
    char *p = take(old), *wall = take(1);
    support_fill(p, old, 3);
    errno = SENTINEL_ERRNO;
    char *q = slai_large_move(p, 2 * old + 5, &told);
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    ck_assert(q == NULL || !told || support_is_zero(q + old, old + 5));
    if (q == NULL) { /* no mremap */
        ck_assert(support_matches(p, old, 3));
        q = p;
    } else {
        ck_assert(support_matches(q, old, 3));
        ck_assert_uint_ge(slai_large_size(q), 2 * old + 5);
        memset(q + old, 1, old + 5);
        ck_assert_uint_eq(slai_large_size(p), 0);
        ck_assert_uint_eq(heap.moved, moved + 1);
        unit_sound();
        /* What it left is good memory. */
        char *r = take(old);
        memset(r, 2, old);
        ck_assert(support_matches(q, old, 3));
        give(r);
    }
    give(q);
    give(wall);
}
END_TEST

START_TEST(small_moves_are_not_worth_it)
{
    char *p = take(MIB - SLAI_PAGE);
    unit_refuse(SLAI_CALL_MOVE, 1);
    ck_assert_ptr_null(slai_large_move(p, 4 * MIB, &told));
    ck_assert_uint_eq(slai_fault.seen[SLAI_CALL_MOVE], 0);
    ck_assert_uint_eq(slai_large_size(p), MIB - SLAI_PAGE);
    give(p);
}
END_TEST

START_TEST(too_many_moves_are_not_tried)
{
    char *p = take(2 * MIB);
    size_t moved = heap.moved;
    slai_set_relaxed(&heap.moved, 1000000);
    ck_assert_ptr_null(slai_large_move(p, 4 * MIB, &told));
    ck_assert_uint_eq(slai_fault.seen[SLAI_CALL_MOVE], 0);
    slai_set_relaxed(&heap.moved, moved);
    give(p);
}
END_TEST

START_TEST(refused_move_changes_nothing)
{
    char *p = take(2 * MIB);
    size_t count = heap.large_count, moved = heap.moved;
    support_fill(p, 2 * MIB, 4);
    unit_refuse(SLAI_CALL_MOVE, 1);
    slai_fault.err = EFAULT;
    errno = SENTINEL_ERRNO;
    ck_assert_ptr_null(slai_large_move(p, 9 * MIB, &told));
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    ck_assert(support_matches(p, 2 * MIB, 4));
    ck_assert_uint_eq(heap.large_count, count);
    ck_assert_uint_eq(heap.moved, moved);
    unit_sound();
    give(p);
}
END_TEST

/*
 * realloc of a block at its region's top, while there are free pages elsewhere:
 * whatever is refused on the way, it succeeds, with contents and errno as they should be.
 */
#define TRIES 2000

START_TEST(realloc_finds_a_way)
{
    static const enum slai_call refused[] = {SLAI_CALLS, SLAI_CALL_MOVE, SLAI_CALL_COMMIT, SLAI_CALL_COMMIT};
    static char *below[TRIES];
    char *space = take(40 * MIB), *p;
    size_t n = 0;
    for (; n < TRIES; n++) {
        const struct slai_span *s = slai_page_of(below[n] = take(2 * MIB));
        const struct slai_region *r = slai_region_of_span(s);
        if (s + s->pages == &r->spans[r->top])
            break;
    }
    ck_assert_uint_lt(n, TRIES);
    p = below[n];
    give(space);
    support_fill(p, 2 * MIB, 5);
    if (refused[_i] != SLAI_CALLS)
        unit_refuse(refused[_i], 1);
    if (_i == 3)
        unit_refuse(SLAI_CALL_MOVE, 1);
    unit_refuse(SLAI_CALL_RESERVE, 1);
    errno = SENTINEL_ERRNO;
    char *q = sla_realloc(p, 20 * MIB);
    ck_assert_ptr_nonnull(q);
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    ck_assert(refused[_i] != SLAI_CALL_COMMIT || q != p);
    ck_assert(support_matches(q, 2 * MIB, 5));
    unit_no_faults();
    unit_sound();
    sla_free(q);
    while (n > 0)
        give(below[--n]);
}
END_TEST

/* --- misuse --- */

START_TEST(wrong_addresses)
{
    static int foreign;
    char *block = take(4 * SLAI_PAGE), *freed = take(4 * SLAI_PAGE), *wall = take(1), want[128];
    give(freed);
    const struct {
        char *p;
        const char *what;
    } cases[] = {
        {(char *)&foreign, "not a block of this heap"},
        {(char *)16, "not a block of this heap"},
        {block + 1, "not the start of a large block"},
        {block + SLAI_PAGE, "not the start of a large block"},
        {block + 3 * SLAI_PAGE + 16, "not the start of a large block"},
        {freed, "large block already free"},
        {freed + SLAI_PAGE, "large block already free"},
        {freed + 8, "large block already free"},
        {slai_regions[0].base, "not a block of this heap"},
        {slai_regions[0].base + (slai_regions[0].top << SLAI_PAGE_SHIFT), "not a block of this heap"},
    };
    slai_conf.abort = 0;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        ck_assert_uint_eq(slai_large_size(cases[i].p), 0);
        unit_catch();
        slai_large_give(cases[i].p, "realloc");
        snprintf(want, sizeof(want), "slaballoc: realloc(0x%jx): %s\n", (uintmax_t)(uintptr_t)cases[i].p,
                 cases[i].what);
        ck_assert_str_eq(unit_caught(), want);
        unit_sound();
    }
    give(block);
    give(wall);
}
END_TEST

static void free_twice(void *arg)
{
    give(arg);
    support_mail[0] = 1;
    give(arg);
}

START_TEST(freed_twice_aborts)
{
    struct support_child child;
    char *p = take(100000);
    support_run_child(free_twice, p, 5, &child);
    ck_assert_int_eq(child.signal, SIGABRT);
    ck_assert_uint_eq(child.mail[0], 1);
    ck_assert(support_reported(&child, "free", (uintptr_t)p, "large block already free"));
    give(p);
}
END_TEST

/* --- at random, through realloc --- */

START_TEST(random_realloc)
{
    struct support_block b[12];
    struct support_rng rng;
    memset(b, 0, sizeof(b));
    support_seed(&rng, (uint64_t)_i + 50);
    if (_i % 2 != 0 || support_wrapped()) /* qemu forgets that where pages were moved from there still is memory */
        unit_refuse(SLAI_CALL_MOVE, 1);
    for (size_t step = 0; step < support_scaled(250); step++) {
        struct support_block *k = &b[support_below(&rng, ARRAY_LEN(b))];
        size_t size = 1 + (support_below(&rng, 4) != 0 ? support_below(&rng, 400000) : support_below(&rng, 6000000));
        void *p = sla_realloc(k->start, size);
        ck_assert_ptr_nonnull(p);
        if (k->start != NULL)
            ck_assert(support_matches(p, (k->size < size ? k->size : size) & ~(size_t)7, k->seed));
        *k = (struct support_block){p, size, step};
        support_fill(p, size, step);
        unit_sound();
    }
    ck_assert(support_disjoint(b, ARRAY_LEN(b)));
    for (size_t i = 0; i < ARRAY_LEN(b); i++) {
        ck_assert(b[i].start == NULL || support_matches(b[i].start, b[i].size, b[i].seed));
        sla_free(b[i].start);
    }
}
END_TEST

/* Before a large block is refused, slabs that rest in a depot give up their pages. */
static void *leave_a_slab(void *arg)
{
    sla_free(sla_malloc(60000));
    return arg;
}

START_TEST(idle_slabs_make_room)
{
    unsigned c = slai_class_of(60000);
    void **chain = NULL, **p;
    unit_in_thread(leave_a_slab, NULL);
    ck_assert_uint_gt(slai_depot_ready(NULL, c), 0);
    unit_refuse(SLAI_CALL_COMMIT, 1);
    unit_refuse(SLAI_CALL_RESERVE, 1);
    while ((p = sla_malloc(2 * SLAI_PAGE)) != NULL) {
        *p = chain;
        chain = p;
    }
    unit_no_faults();
    ck_assert_uint_eq(slai_depot_ready(NULL, c), 0);
    for (; chain != NULL; chain = p) {
        p = *chain;
        sla_free(chain);
    }
    unit_sound();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("large");
    TCase *tc = unit_case(suite, "large");
    tcase_add_test(tc, idle_slabs_make_room);
    tcase_add_loop_test(tc, take_and_give, 0, 9);
    tcase_add_loop_test(tc, aligned, 12, 24);
    tcase_add_loop_test(tc, impossible_sizes, 0, 7);
    tcase_add_test(tc, resize_both_ways);
    tcase_add_test(tc, same_pages_need_nothing);
    tcase_add_test(tc, no_room_to_grow);
    tcase_add_test(tc, growth_knows_its_zeroes);
    tcase_add_loop_test(tc, move_carries_the_contents, 0, 5);
    tcase_add_test(tc, small_moves_are_not_worth_it);
    tcase_add_test(tc, too_many_moves_are_not_tried);
    tcase_add_test(tc, refused_move_changes_nothing);
    tcase_add_loop_test(tc, realloc_finds_a_way, 0, 4);
    tcase_add_test(tc, wrong_addresses);
    tcase_add_test(tc, freed_twice_aborts);
    tcase_add_loop_test(tc, random_realloc, 0, 4);
    return support_main(suite);
}
