/*
 * test_depot.c: slabs without owner, per class.
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "cache/depot.h"

/* A class that nothing else in this program uses. */
#define CLASS 40u

static struct slai_tcache one, other; /* owners that no thread has */
static void *taken[8192];

/* A slab with `used` blocks out, in taken[], filed in the lists as its owner would. */
static struct slai_span *make(uint32_t used, struct slai_list *partial, struct slai_list *full)
{
    struct slai_span *s = slai_slab_create(CLASS, &one);
    ck_assert_ptr_nonnull(s);
    ck_assert_uint_eq(slai_slab_take(s, taken + used, used), used);
    s->place = slai_slab_full(s) ? SLAI_FULL : SLAI_PARTIAL;
    slai_list_push(s->place == SLAI_FULL ? full : partial, &s->link);
    return s;
}

static struct slai_span *give_one(uint32_t used)
{
    struct slai_list partial = {NULL, NULL}, full = {NULL, NULL};
    struct slai_span *s = make(used, &partial, &full);
    slai_depot_give(CLASS, &partial, &full);
    ck_assert(partial.first == NULL && full.first == NULL);
    return s;
}

/* Lets the depot's slabs rest; the number of pages that empty ones gave back. */
static size_t rest(void)
{
    size_t used = slai_pageheap.used_pages, bytes = 0;
    slai_depot_tend(NULL, CLASS, SIZE_MAX, 1, 0, &bytes, NULL);
    return used - slai_pageheap.used_pages;
}

static void leave_nothing(void) { (void)rest(); }

/* Puts all blocks from..to of a slab in the depot back. */
static void put(struct slai_span *s, uint32_t from, uint32_t to)
{
    void *blocks[64];
    for (uint32_t n; from < to; from += n) {
        n = to - from < 64 ? to - from : 64;
        for (uint32_t i = 0; i < n; i++)
            blocks[i] = s->start + (size_t)(from + i) * s->size;
        ck_assert(slai_depot_put(s, blocks, n));
    }
}

START_TEST(empty_depot)
{
    struct slai_list none = {NULL, NULL}, none_either = {NULL, NULL};
    ck_assert_ptr_null(slai_depot_adopt(CLASS, &other));
    slai_depot_give(CLASS, &none, &none_either);
    ck_assert_ptr_null(slai_depot_adopt(CLASS, &other));
}
END_TEST

START_TEST(give_and_adopt)
{
    struct slai_span *s = give_one(5);
    ck_assert_ptr_null(s->owner);
    ck_assert_uint_eq(s->place, SLAI_PARTIAL);
    unit_sound();
    ck_assert_ptr_null(slai_depot_adopt(CLASS + 1, &other));
    ck_assert_ptr_eq(slai_depot_adopt(CLASS, &other), s);
    ck_assert_ptr_eq(s->owner, &other);
    ck_assert_uint_eq(s->place, SLAI_NOWHERE);
    ck_assert_ptr_null(slai_depot_adopt(CLASS, &other));
    ck_assert_uint_eq(s->used, 5);
    for (uint32_t i = 0; i < 5; i++)
        ck_assert(slai_slab_put(s, s->start + (size_t)i * s->size));
    slai_slab_destroy(s);
}
END_TEST

START_TEST(full_slabs_wait_for_a_block)
{
    uint32_t all = slai_classes[CLASS].capacity;
    struct slai_span *s = give_one(all);
    ck_assert_uint_eq(s->place, SLAI_FULL);
    ck_assert_ptr_null(slai_depot_adopt(CLASS, &other));
    unit_sound();
    put(s, 3, 4);
    ck_assert_uint_eq(s->place, SLAI_PARTIAL);
    ck_assert_ptr_eq(slai_depot_adopt(CLASS, &other), s);
    /* Back again, by the new owner. */
    struct slai_list partial = {NULL, NULL}, full = {NULL, NULL};
    s->place = SLAI_PARTIAL;
    slai_list_push(&partial, &s->link);
    slai_depot_give(CLASS, &partial, &full);
    put(s, 0, 3);
    put(s, 4, all);
    ck_assert_uint_eq(s->place, SLAI_PARTIAL); /* empty, but the only one */
    unit_sound();
    ck_assert_uint_eq(rest(), slai_classes[CLASS].pages);
    ck_assert_uint_ne(slai_kind(s), SLAI_KIND_SLAB);
    unit_sound();
}
END_TEST

START_TEST(empty_slabs_go_to_the_page_heap)
{
    struct slai_list partial = {NULL, NULL}, full = {NULL, NULL};
    size_t used = slai_pageheap.used_pages;
    make(0, &partial, &full);
    make(0, &partial, &full);
    struct slai_span *keep = make(1, &partial, &full);
    slai_depot_give(CLASS, &partial, &full);
    ck_assert_uint_eq(slai_pageheap.used_pages, used + slai_classes[CLASS].pages);
    unit_sound();
    put(keep, 0, 1);
    ck_assert_uint_eq(slai_pageheap.used_pages, used + slai_classes[CLASS].pages);
    size_t bytes = 0;
    ck_assert_uint_eq(slai_depot_tend(NULL, CLASS, 9, 100, 50, &bytes, NULL), 1);
    ck_assert_uint_eq(slai_depot_tend(NULL, CLASS, 9, 149, 50, &bytes, NULL), 1);
    ck_assert_uint_eq(slai_pageheap.used_pages, used + slai_classes[CLASS].pages); /* it rests */
    ck_assert_uint_eq(slai_depot_tend(NULL, CLASS, 9, 150, 50, &bytes, NULL), 1);
    ck_assert_uint_eq(slai_pageheap.used_pages, used);
}
END_TEST

START_TEST(lists_of_many)
{
    struct slai_list partial = {NULL, NULL}, full = {NULL, NULL};
    struct slai_span *s[6];
    uint32_t all = slai_classes[CLASS].capacity, seen = 0;
    for (uint32_t i = 0; i < 6; i++)
        s[i] = make(i % 2 != 0 ? all : i + 1, &partial, &full);
    slai_depot_give(CLASS, &partial, &full);
    unit_sound();
    for (struct slai_span *a; (a = slai_depot_adopt(CLASS, &other)) != NULL; seen++) {
        ck_assert(a == s[0] || a == s[2] || a == s[4]);
        a->place = SLAI_PARTIAL;
        slai_list_push(&partial, &a->link);
    }
    ck_assert_uint_eq(seen, 3);
    slai_depot_give(CLASS, &partial, &full);
    for (uint32_t i = 0; i < 6; i++)
        put(s[i], 0, i % 2 != 0 ? all : i + 1);
    ck_assert_uint_eq(rest(), slai_classes[CLASS].pages); /* of six, one was kept */
    ck_assert_ptr_null(slai_depot_adopt(CLASS, &other));
}
END_TEST

START_TEST(owned_slabs_are_not_the_depots)
{
    struct slai_list partial = {NULL, NULL}, full = {NULL, NULL};
    struct slai_span *s = make(2, &partial, &full);
    void *block = s->start;
    ck_assert(!slai_depot_put(s, &block, 1));
    ck_assert(!slai_depot_collect(s));
    ck_assert_uint_eq(s->used, 2);
    slai_depot_give(CLASS, &partial, &full);
    put(s, 0, 2);
}
END_TEST

START_TEST(collect_refiles)
{
    uint32_t all = slai_classes[CLASS].capacity;
    struct slai_span *s = give_one(all);
    slai_slab_remote(s)[0] |= 3;
    s->remote = 2;
    ck_assert(slai_depot_collect(s));
    ck_assert_uint_eq(s->used, all - 2);
    ck_assert_uint_eq(s->place, SLAI_PARTIAL);
    unit_sound();
    put(s, 2, all - 1);
    uint32_t last = all - 1;
    slai_slab_remote(s)[last / 64] |= (uint64_t)1 << last % 64;
    s->remote = 1;
    ck_assert(slai_depot_collect(s));
    ck_assert(slai_slab_empty(s));
    unit_sound();
}
END_TEST

/* Threads share a slab that stays the depot's. */
START_TEST(lending)
{
    uint32_t all = slai_classes[CLASS].capacity;
    size_t growth = slai_load_relaxed(&slai_slabs_made);
    void *blocks[16];
    ck_assert_uint_eq(slai_depot_lend(NULL, CLASS, blocks + 4, 4), 4);
    ck_assert_uint_eq(slai_load_relaxed(&slai_slabs_made), growth + 1);
    struct slai_span *s = slai_slab_of(blocks[0]);
    ck_assert_ptr_null(s->owner);
    ck_assert_uint_eq(s->used, 4);
    ck_assert_ptr_eq(blocks[3], s->start); /* lowest first, as a stack pops them */
    ck_assert_uint_eq(slai_depot_lend(NULL, CLASS, blocks + 12, 8), 8);
    for (uint32_t i = 0; i < 12; i++)
        ck_assert_ptr_eq(slai_slab_of(blocks[i]), s);
    ck_assert_uint_eq(slai_load_relaxed(&slai_slabs_made), growth + 1);
    unit_sound();
    /* To its end, where fewer are left than are asked for. */
    uint32_t lent = 12;
    while (s->place == SLAI_PARTIAL) {
        uint32_t n = slai_depot_lend(NULL, CLASS, blocks + 16, 8);
        ck_assert_uint_eq(n, all - lent < 8 ? all - lent : 8);
        lent += n;
    }
    ck_assert_uint_eq(lent, all);
    ck_assert_uint_eq(s->place, SLAI_FULL);
    unit_sound();
    put(s, 0, all);
    ck_assert(slai_slab_empty(s));
}
END_TEST

START_TEST(misuse_in_the_depot)
{
    struct slai_span *s = give_one(3);
    char want[128];
    void *blocks[] = {s->start, s->start, s->start + s->size};
    slai_conf.abort = 0;
    unit_catch();
    ck_assert(slai_depot_put(s, blocks, 3));
    snprintf(want, sizeof(want), "slaballoc: free(0x%jx): block already free (size class %u)\n",
             (uintmax_t)(uintptr_t)s->start, s->size);
    ck_assert_str_eq(unit_caught(), want);
    ck_assert_uint_eq(s->used, 1);
    unit_sound();
    put(s, 2, 3);
}
END_TEST

START_TEST(locking_all)
{
    slai_depot_lock_all();
    slai_depot_unlock_all();
    slai_depot_lock_all();
    slai_depot_reset_all(false);
    struct slai_span *s = give_one(1); /* all locks are free again */
    put(s, 0, 1);
}
END_TEST

START_TEST(forgotten_slabs_are_filed_anew)
{
    struct slai_span *partial = give_one(4), *full = give_one(slai_classes[CLASS].capacity), *empty = give_one(2);
    uint32_t all = full->capacity;
    slai_depot_lock_all();
    slai_depot_reset_all(true);
    ck_assert_ptr_null(slai_depot_adopt(CLASS, &other));
    slai_slab_remote(empty)[0] |= 3; /* freed, the count never added */
    struct slai_span *const slabs[] = {partial, full, empty};
    for (size_t i = 0; i < 3; i++) {
        slai_slab_recount(slabs[i]);
        slai_depot_file(slabs[i]);
    }
    ck_assert_uint_ne(slai_kind(empty), SLAI_KIND_SLAB);
    ck_assert_uint_eq(partial->place, SLAI_PARTIAL);
    ck_assert_uint_eq(full->place, SLAI_FULL);
    unit_sound();
    put(partial, 0, 4);
    put(full, 0, all);
    (void)rest();
    ck_assert_ptr_null(slai_depot_adopt(CLASS, &other));
}
END_TEST

/* --- threads adopt and give at once --- */

static void *adopt_and_give(void *arg)
{
    struct slai_tcache *me = arg;
    for (size_t i = 0; i < support_scaled(4000); i++) {
        struct slai_list partial = {NULL, NULL}, full = {NULL, NULL};
        struct slai_span *s = slai_depot_adopt(CLASS, me);
        if (s == NULL)
            continue;
        UNIT_EXPECT(s->owner == me && !slai_slab_full(s));
        void *block;
        UNIT_EXPECT(slai_slab_take(s, &block + 1, 1) == 1);
        s->place = slai_slab_full(s) ? SLAI_FULL : SLAI_PARTIAL;
        slai_list_push(s->place == SLAI_FULL ? &full : &partial, &s->link);
        slai_depot_give(CLASS, &partial, &full);
        while (!slai_depot_put(s, &block, 1)) {
            /* adopted by another: it is free with them */
            if (slai_load_acquire(&s->owner) != NULL)
                sched_yield();
        }
    }
    return NULL;
}

START_TEST(threads_at_once)
{
    static struct slai_tcache caches[3];
    struct slai_span *s[2] = {give_one(7), give_one(7)};
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        unit_thread(&threads[i], adopt_and_give, &caches[i]);
    for (int i = 0; i < 3; i++)
        unit_join(threads[i]);
    unit_sound();
    for (int i = 0; i < 2; i++) {
        ck_assert_uint_eq(s[i]->used, 7);
        put(s[i], 0, 7);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("depot");
    TCase *tc = unit_case(suite, "depot");
    tcase_add_checked_fixture(tc, NULL, leave_nothing);
    tcase_add_test(tc, empty_depot);
    tcase_add_test(tc, give_and_adopt);
    tcase_add_test(tc, full_slabs_wait_for_a_block);
    tcase_add_test(tc, empty_slabs_go_to_the_page_heap);
    tcase_add_test(tc, lists_of_many);
    tcase_add_test(tc, owned_slabs_are_not_the_depots);
    tcase_add_test(tc, collect_refiles);
    tcase_add_test(tc, lending);
    tcase_add_test(tc, misuse_in_the_depot);
    tcase_add_test(tc, locking_all);
    tcase_add_test(tc, forgotten_slabs_are_filed_anew);
    tcase_add_loop_test(tc, threads_at_once, 0, 3);
    return support_main(suite);
}
