/*
 * test_purge.c: when free pages lose their memory, and when they are believed to be zero.
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "heap/large.h"
#include "heap/purge.h"
#include "os/os.h"

#define heap slai_pageheap
#define DELAY 60

/* Dirty free spans of these lengths, full of junk, apart from each other, the only dirty ones. */
#define SPANS_MAX 150
static struct slai_span *dirty[SPANS_MAX], *guards[SPANS_MAX];
static size_t dirty_count;

static void make_dirty(const size_t *lengths, size_t count)
{
    ck_assert_uint_le(count, SPANS_MAX);
    unit_tidy();
    for (size_t i = 0; i < count; i++) {
        dirty[i] = slai_pages_take(lengths[i], 1, SLAI_KIND_BUSY);
        guards[i] = slai_pages_take(1, 1, SLAI_KIND_BUSY);
        ck_assert(dirty[i] != NULL && guards[i] != NULL);
        memset(dirty[i]->start, 0xaa, lengths[i] << SLAI_PAGE_SHIFT);
    }
    for (size_t i = 0; i < count; i++)
        slai_pages_give(dirty[i]);
    dirty_count = count;
}

static void make_one_dirty(size_t pages) { make_dirty(&pages, 1); }

static void drop_guards(void)
{
    for (size_t i = 0; i < dirty_count; i++)
        slai_pages_give(guards[i]);
    dirty_count = 0;
}

START_TEST(never_unless_asked)
{
    make_one_dirty(9);
    slai_conf.purge_delay = -1;
    unit_sleep(20);
    ck_assert_uint_eq(slai_purge(SLAI_PURGE_DUE, 0), 0);
    ck_assert_uint_eq(slai_purge(SLAI_PURGE_CALM, 0), 0);
    slai_purge_poll();
    ck_assert_int_eq(slai_purge_next(), -1);
    ck_assert_int_eq(sla_maintain(), -1);
    ck_assert_uint_eq(heap.free_pages[0], 9);
    ck_assert_uint_eq(slai_purge(SLAI_PURGE_ALL, 0), 9 * SLAI_PAGE);
    ck_assert_uint_eq(heap.free_pages[0], 0);
    drop_guards();
}
END_TEST

START_TEST(at_once)
{
    unit_tidy();
    slai_conf.purge_delay = 0;
    struct slai_span *s = slai_pages_take(5, 1, SLAI_KIND_BUSY);
    memset(s->start, 1, 5 * SLAI_PAGE);
    size_t purged = heap.purged;
    errno = SENTINEL_ERRNO;
    slai_pages_give(s);
    slai_purge_after_give();
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    ck_assert_uint_eq(heap.free_pages[0], 0);
    ck_assert_uint_eq(heap.purged, purged + 5 * SLAI_PAGE);
    ck_assert_int_eq(slai_purge_next(), -1);
    char *p = sla_malloc(100000);
    memset(p, 1, 100000);
    sla_free(p);
    ck_assert_uint_eq(heap.free_pages[0], 0);
}
END_TEST

START_TEST(delay_is_respected)
{
    slai_conf.purge_delay = DELAY;
    make_one_dirty(7);
    ck_assert_uint_eq(slai_purge(SLAI_PURGE_DUE, 0), 0); /* the first look: now it is known to rest */
    uint64_t start = slai_os_clock();
    long next = slai_purge_next();
    ck_assert_int_ge(next, 1);
    ck_assert_int_le(next, DELAY);
    while (slai_purge(SLAI_PURGE_DUE, 0) == 0)
        unit_sleep(2);
    ck_assert_uint_ge(slai_os_clock() - start, DELAY - 10);
    ck_assert_uint_eq(heap.free_pages[0], 0);
    ck_assert_int_eq(slai_purge_next(), -1);
    drop_guards();
}
END_TEST

START_TEST(next_deadline_counts_down)
{
    slai_conf.purge_delay = 10000;
    make_one_dirty(3);
    long first = sla_maintain();
    ck_assert_int_le(first, 10000);
    ck_assert_int_gt(first, 5000);
    unit_sleep(30);
    long then = sla_maintain();
    ck_assert_int_le(then, first - 15);
    slai_conf.purge_delay = 10; /* the option counts now, not then */
    ck_assert_int_eq(slai_purge_next(), 0);
    ck_assert_int_eq(sla_maintain(), -1);
    ck_assert_uint_eq(heap.free_pages[0], 0);
    drop_guards();
}
END_TEST

START_TEST(calm_looks_now_and_then)
{
    slai_conf.purge_delay = 4000;
    make_one_dirty(3);
    (void)slai_purge(SLAI_PURGE_DUE, 0);
    slai_conf.purge_delay = 1000; /* a look each 250 ms */
    unit_sleep(20);
    slai_lock(&heap.lock);
    dirty[0]->stamp -= 1500; /* long due */
    slai_unlock(&heap.lock);
    ck_assert_uint_eq(slai_purge(SLAI_PURGE_CALM, 0), 0);
    slai_purge_poll();
    ck_assert_uint_eq(heap.free_pages[0], 3);
    heap.looked -= 300;
    slai_purge_poll();
    ck_assert_uint_eq(heap.free_pages[0], 0);
    drop_guards();
}
END_TEST

START_TEST(giving_pages_drives_the_clock)
{
    slai_conf.purge_delay = 20;
    make_one_dirty(3);
    (void)slai_purge(SLAI_PURGE_DUE, 0);
    unit_sleep(40);
    /* The spans taken here are others: longer ones. */
    int gives = 0;
    for (; gives < 2 * SLAI_PURGE_EVERY && !dirty[0]->clean; gives++) {
        slai_pages_give(slai_pages_take(50, 1, SLAI_KIND_BUSY));
        slai_purge_after_give();
    }
    ck_assert_uint_eq(dirty[0]->clean, 1);
    ck_assert_int_ge(gives, SLAI_PURGE_EVERY / 2);
    drop_guards();
}
END_TEST

/* --- all, but for so much --- */

START_TEST(keep_spares_the_shortest)
{
    static const size_t lengths[] = {10, 20, 5};
    static const struct {
        size_t keep, purged;
    } cases[] = {{0, 35}, {4, 35}, {5, 30}, {14, 30}, {15, 20}, {34, 20}, {35, 0}, {1000, 0}};
    make_dirty(lengths, 3);
    size_t purged = slai_purge(SLAI_PURGE_ALL, cases[_i].keep << SLAI_PAGE_SHIFT);
    ck_assert_uint_eq(purged, cases[_i].purged << SLAI_PAGE_SHIFT);
    ck_assert_uint_eq(heap.free_pages[0], 35 - cases[_i].purged);
    ck_assert_uint_eq(dirty[2]->clean, cases[_i].purged == 35);
    unit_sound();
    drop_guards();
}
END_TEST

START_TEST(many_spans_at_once)
{
    static size_t lengths[SPANS_MAX];
    size_t sum = 0;
    for (size_t i = 0; i < SPANS_MAX; i++)
        sum += lengths[i] = 1 + i % 3;
    make_dirty(lengths, SPANS_MAX);
    ck_assert_uint_eq(slai_purge(SLAI_PURGE_ALL, 0), sum << SLAI_PAGE_SHIFT);
    ck_assert_uint_eq(heap.free_pages[0], 0);
    for (size_t i = 0; i < SPANS_MAX; i++)
        ck_assert(support_is_zero(dirty[i]->start, lengths[i] << SLAI_PAGE_SHIFT));
    unit_sound();
    drop_guards();
}
END_TEST

START_TEST(trim_says_if_it_gave)
{
    make_one_dirty(4);
    size_t purged = unit_stats().purged;
    errno = SENTINEL_ERRNO;
    ck_assert_int_eq(sla_trim(SIZE_MAX), 0);
    ck_assert_int_eq(sla_trim(0), 1);
    ck_assert_int_eq(sla_trim(0), 0);
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    ck_assert_uint_ge(unit_stats().purged, purged + 4 * SLAI_PAGE);
    drop_guards();
}
END_TEST

/* --- refusals: I9 --- */

START_TEST(refused_purge_is_never_believed)
{
    make_one_dirty(40);
    unit_refuse(SLAI_CALL_PURGE, 1);
    errno = SENTINEL_ERRNO;
    ck_assert_uint_eq(slai_purge(SLAI_PURGE_ALL, 0), 0);
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    ck_assert_uint_eq(heap.free_pages[0], 40);
    ck_assert_uint_eq(dirty[0]->clean, 0);
    unit_sound();
    unsigned char *p = sla_calloc(40, SLAI_PAGE);
    ck_assert_ptr_eq(p, dirty[0]->start);
    ck_assert(support_is_zero(p, 40 * SLAI_PAGE));
    sla_free(p);
    drop_guards();
}
END_TEST

START_TEST(some_refused_some_not)
{
    static size_t lengths[90];
    size_t clean = 0;
    for (size_t i = 0; i < 90; i++)
        lengths[i] = 1 + i % 2;
    make_dirty(lengths, 90);
    slai_fault.after[SLAI_CALL_PURGE] = 20;
    slai_fault.more[SLAI_CALL_PURGE] = 9;
    (void)slai_purge(SLAI_PURGE_ALL, 0);
    unit_sound();
    for (size_t i = 0; i < 90; i++) {
        clean += dirty[i]->clean;
        if (dirty[i]->clean)
            ck_assert(support_is_zero(dirty[i]->start, lengths[i] << SLAI_PAGE_SHIFT));
        else
            ck_assert_int_eq((unsigned char)dirty[i]->start[5], 0xaa);
    }
    ck_assert_uint_ge(clean, 80);
    drop_guards();
}
END_TEST

START_TEST(refused_is_not_asked_again_and_again)
{
    unit_tidy();
    slai_conf.purge_delay = 0;
    unit_refuse(SLAI_CALL_PURGE, 1);
    make_one_dirty(6);
    slai_purge_after_give();
    slai_fault.seen[SLAI_CALL_PURGE] = 0;
    for (int i = 0; i < 20; i++)
        ck_assert_uint_eq(slai_purge(SLAI_PURGE_DUE, 0), 0);
    ck_assert_uint_eq(slai_fault.seen[SLAI_CALL_PURGE], 0);
    ck_assert_int_eq(slai_purge_next(), -1);
    unit_no_faults();
    ck_assert_uint_eq(slai_purge(SLAI_PURGE_DUE, 0), 0);
    ck_assert_uint_eq(slai_purge(SLAI_PURGE_ALL, 0), 6 * SLAI_PAGE); /* trimming asks */
    ck_assert_uint_eq(heap.free_pages[0], 0);
    slai_conf.purge_delay = -1;
    drop_guards();
}
END_TEST

/* --- mappings that were split by moving --- */

START_TEST(moved_spans_are_renewed)
{
    bool zero;
    unit_tidy();
    size_t moved = heap.moved;
    char *p = slai_large_take(2 * MIB, 1, &zero), *guard = slai_large_take(100000, 1, &zero);
    support_fill(p, 2 * MIB, 3);
    char *q = slai_large_move(p, 4 * MIB, &zero);
    if (q == NULL) { /* no mremap here */
        slai_large_give(p, "free");
    } else {
        ck_assert_uint_eq(heap.moved, moved + 1);
        ck_assert(support_matches(q, 2 * MIB, 3));
        slai_large_give(q, "free");
        (void)slai_purge(SLAI_PURGE_ALL, 0);
        ck_assert_uint_le(heap.moved, moved);
        ck_assert(support_is_zero(q, 4 * MIB));
    }
    slai_large_give(guard, "free");
}
END_TEST

/* --- other threads while the system works --- */

static void *churn(void *arg)
{
    _Atomic int *stop = arg;
    size_t bad = 0;
    for (size_t i = 0; !atomic_load(stop); i++) {
        char *p = sla_calloc(1, 40000 + i % 7 * 60000);
        bad += p == NULL || !support_is_zero(p, 40000);
        memset(p, 1, 40000);
        sla_free(p);
    }
    return bad == 0 ? NULL : arg;
}

START_TEST(purging_while_others_allocate)
{
    pthread_t threads[2];
    _Atomic int stop = 0;
    void *failed;
    for (int i = 0; i < 2; i++)
        unit_thread(&threads[i], churn, &stop);
    for (int i = 0; i < 100; i++) {
        (void)slai_purge(SLAI_PURGE_ALL, 0);
        sched_yield();
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(pthread_join(threads[i], &failed), 0);
        ck_assert_ptr_null(failed);
    }
    unit_sound();
}
END_TEST

/* A block for which the heap grows more than it ever did: dirty spans that are too short for it. */
static const struct {
    size_t size, in_use, peak; /* MiB: of the block; of another one; of what was in use once; 0: as it is */
    long delay;
    bool purged;
} growths[] = {
    {8, 0, 0, 10000, true},
    {8, 16, 0, 10000, true},
    {8, 40, 0, 10000, false}, /* it is a small part of all */
    {8, 0, 64, 10000, false}, /* it was more before */
    {8, 0, 0, -1, false},
};

START_TEST(growing_for_one_block)
{
    size_t size = growths[_i].size * MIB, purged;
    unit_tidy();
    slai_conf.purge_delay = growths[_i].delay;
    char *other = sla_malloc(growths[_i].in_use * MIB + 1), *p = sla_malloc(size);
    memset(p, 1, size);
    sla_free(p);
    struct slai_span *guard = slai_pages_take(1, 1, SLAI_KIND_BUSY);
    size_t dirty_pages = heap.free_pages[0];
    ck_assert_uint_ge(dirty_pages, (size >> SLAI_PAGE_SHIFT) - 1);
    slai_lock(&heap.lock);
    heap.peak_pages = growths[_i].peak != 0 ? growths[_i].peak * MIB >> SLAI_PAGE_SHIFT : heap.used_pages;
    slai_unlock(&heap.lock);
    purged = heap.purged;
    errno = SENTINEL_ERRNO;
    p = sla_malloc(size);
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    ck_assert_ptr_nonnull(p);
    ck_assert_uint_eq(heap.free_pages[0], growths[_i].purged ? 0 : dirty_pages);
    ck_assert_uint_eq(heap.purged - purged, growths[_i].purged ? dirty_pages << SLAI_PAGE_SHIFT : 0);
    ck_assert(support_is_zero(p, size));
    sla_free(p);
    sla_free(other);
    slai_pages_give(guard);
    unit_sound();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("purge");
    TCase *tc = unit_case(suite, "purge");
    tcase_add_test(tc, never_unless_asked);
    tcase_add_test(tc, at_once);
    tcase_add_test(tc, delay_is_respected);
    tcase_add_test(tc, next_deadline_counts_down);
    tcase_add_test(tc, calm_looks_now_and_then);
    tcase_add_test(tc, giving_pages_drives_the_clock);
    tcase_add_loop_test(tc, growing_for_one_block, 0, sizeof growths / sizeof *growths);
    tcase_add_loop_test(tc, keep_spares_the_shortest, 0, 8);
    tcase_add_test(tc, many_spans_at_once);
    tcase_add_test(tc, trim_says_if_it_gave);
    tcase_add_test(tc, refused_purge_is_never_believed);
    tcase_add_test(tc, some_refused_some_not);
    tcase_add_test(tc, refused_is_not_asked_again_and_again);
    tcase_add_test(tc, moved_spans_are_renewed);
    tcase_add_test(tc, purging_while_others_allocate);
    return support_main(suite);
}
