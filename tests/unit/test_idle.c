/*
 * test_idle.c: the free pages inside slabs that go back to the system while blocks of the slab are out.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* mincore */
#endif
#include "unit.h"

#include "cache/depot.h"
#include "cache/idle.h"
#include "heap/purge.h"
#include "os/os.h"

#include <sys/mman.h>
#include <unistd.h>

#define SIZE 512
#define CLASS slai_class_of(SIZE)
#define MANY (3 * SLAI_PAGE / SIZE)

/* Can a slab be purged in part? Where a page is as large as it, only whole slabs go, which the page heap sees to. */
static int has_parts(void) { return slai_os_page() < SLAI_PAGE; }

static size_t resident(const struct slai_span *s)
{
    unsigned char in[64];
    size_t bytes = (size_t)s->pages << SLAI_PAGE_SHIFT, n = 0;
    size_t page = (size_t)sysconf(_SC_PAGESIZE); /* the system's own, whatever slai_os_page is told to say */
    ck_assert_uint_le(bytes / page, sizeof(in));
    ck_assert_int_eq(mincore(s->start, bytes, in), 0);
    for (size_t i = 0; i < bytes / page; i++)
        n += in[i] & 1;
    return n * page;
}

/* A slab of this thread's in its partial list, with `out` blocks taken and filled; `blocks` in address order. */
static struct slai_span *slab_with(void **blocks, uint32_t out)
{
    struct slai_tcache *tc = slai_cache_get();
    struct slai_span *s = slai_slab_create(CLASS, tc);
    void *taken[SLAI_PAGE / SIZE];
    ck_assert_ptr_nonnull(s);
    ck_assert_uint_le(out, s->capacity);
    ck_assert_uint_eq(slai_slab_take(s, taken + out, out), out);
    for (uint32_t i = 0; i < out; i++) {
        blocks[i] = taken[out - 1 - i];
        memset(blocks[i], (int)i, SIZE);
    }
    s->place = slai_slab_full(s) ? SLAI_FULL : SLAI_PARTIAL;
    slai_list_push(s->place == SLAI_FULL ? &tc->bins[CLASS].full : &tc->bins[CLASS].partial, &s->link);
    return s;
}

/* Back to its slab, past the stack. */
static void put(struct slai_span *s, void *block)
{
    struct slai_bin *bin = &slai_slab_of(block)->owner->bins[s->class];
    ck_assert(slai_slab_put(s, block));
    if (s->place == SLAI_FULL) {
        slai_list_remove(&bin->full, &s->link);
        slai_list_push(&bin->partial, &s->link);
        s->place = SLAI_PARTIAL;
    }
    slai_slab_touch(s);
}

static void drop(struct slai_span *s)
{
    slai_list_remove(&s->owner->bins[s->class].partial, &s->link);
    s->place = SLAI_NOWHERE;
    slai_slab_destroy(s);
}

static int holds(const void *block, uint32_t i)
{
    const unsigned char *byte = block;
    return byte[0] == (unsigned char)i && memcmp(byte, byte + 1, SIZE - 1) == 0;
}

/* --- one slab --- */

/* Blocks [from, to) are free: exactly the pages inside them go, and no other block changes. */
static const struct {
    uint32_t from, to;
} runs[] = {{0, 8}, {0, 7}, {1, 8}, {1, 16}, {8, 24}, {7, 25}, {63, 65}, {56, 72}, {60, 100}, {120, 128}, {121, 128},
            {0, 127}, {1, 128}};

START_TEST(pages_of_a_run)
{
    void *blocks[SLAI_PAGE / SIZE];
    uint32_t from = runs[_i].from, to = runs[_i].to, all = (uint32_t)ARRAY_LEN(blocks);
    size_t page = slai_os_page();
    size_t low = slai_round_up(from * (size_t)SIZE, page), high = slai_round_down(to * (size_t)SIZE, page);
    size_t want = low < high ? high - low : 0;
    struct slai_span *s = slab_with(blocks, all);
    ck_assert_uint_eq(resident(s), SLAI_PAGE);
    for (uint32_t i = from; i < to; i++)
        put(s, blocks[i]);
    ck_assert_uint_eq(slai_slab_purge(s), want);
    ck_assert_uint_eq(resident(s), SLAI_PAGE - want);
    unit_sound();
    for (uint32_t i = 0; i < all; i++) {
        if (i >= from && i < to)
            continue;
        ck_assert(holds(blocks[i], i));
        put(s, blocks[i]);
    }
    drop(s);
}
END_TEST

/* A whole slab's worth of every class, random blocks of it freed: the rest stays as it was. */
START_TEST(every_class_any_blocks)
{
    struct slai_tcache *tc = slai_cache_get();
    unsigned class = (unsigned)_i;
    struct support_rng rng;
    support_seed(&rng, (uint64_t)_i);
    struct slai_span *s = slai_slab_create(class, tc);
    ck_assert_ptr_nonnull(s);
    uint32_t n = s->capacity, chance = 1 + (uint32_t)support_below(&rng, 16);
    void **blocks = malloc(n * sizeof(*blocks));
    char *out = calloc(n, 1);
    ck_assert_uint_eq(slai_slab_take(s, blocks + n, n), n);
    for (uint32_t i = 0; i < n; i++)
        support_fill(blocks[i], s->size, i);
    for (uint32_t i = 0; i < n; i++) {
        out[i] = support_below(&rng, 16) < chance;
        if (!out[i])
            UNIT_QUICK(slai_slab_put(s, blocks[i]));
    }
    size_t bytes = slai_slab_purge(s);
    ck_assert_uint_le(bytes, (size_t)s->pages << SLAI_PAGE_SHIFT);
    for (uint32_t i = 0; i < n; i++)
        if (out[i]) {
            UNIT_QUICK(support_matches(blocks[i], s->size, i));
            UNIT_QUICK(slai_slab_put(s, blocks[i]));
        }
    ck_assert_uint_eq(slai_slab_purge(s), (size_t)s->pages << SLAI_PAGE_SHIFT);
    slai_slab_destroy(s);
    free(out);
    free(blocks);
}
END_TEST

START_TEST(rests_first)
{
    void *blocks[64];
    struct slai_span *s = slab_with(blocks, 64);
    for (uint32_t i = 8; i < 32; i++)
        put(s, blocks[i]);
    size_t free = 24 * SIZE + (SLAI_PAGE - 64 * SIZE);
    ck_assert_uint_eq(s->stamp, 0);
    ck_assert_uint_eq(slai_slab_tend(s, 1000, 100), 0); /* seen */
    ck_assert_uint_eq(s->stamp, 1000);
    ck_assert_uint_eq(slai_slab_tend(s, 1099, 100), 0);
    ck_assert_uint_eq(slai_slab_tend(s, 999, 100), 0); /* a clock of another processor */
    put(s, blocks[32]);
    free += SIZE;
    ck_assert_uint_eq(slai_slab_tend(s, 1100, 100), 0); /* something came back: from the start */
    ck_assert_uint_eq(slai_slab_tend(s, 1200, 100), slai_round_down(free, slai_os_page()));
    ck_assert_uint_eq(slai_slab_tend(s, 9999, 100), 0); /* all gone already */
    ck_assert_uint_eq(slai_slab_tend(s, 9999, 0), 0);
    put(s, blocks[33]);
    ck_assert_int_eq(slai_slab_tend(s, 9999, 0) > 0, has_parts()); /* 0: at once */
    for (uint32_t i = 0; i < 64; i++)
        if (i < 8 || i > 33) {
            ck_assert(holds(blocks[i], i));
            put(s, blocks[i]);
        }
    drop(s);
}
END_TEST

START_TEST(refused)
{
    void *blocks[64];
    struct slai_span *s = slab_with(blocks, 64);
    put(s, blocks[0]);
    unit_refuse(SLAI_CALL_PURGE, 1);
    ck_assert_uint_eq(slai_slab_tend(s, 1000, 0), 0);
    unit_no_faults();
    ck_assert_uint_eq(slai_slab_tend(s, 2000, 0), 0); /* it is not asked again and again */
    for (uint32_t i = 1; i < 64; i++) {
        ck_assert(holds(blocks[i], i));
        put(s, blocks[i]);
    }
    drop(s);
}
END_TEST

/* --- a thread's slabs, by the calls that programs make --- */

static void *many[MANY];

static void fill_many(void)
{
    for (size_t i = 0; i < MANY; i++) {
        many[i] = sla_malloc(SIZE);
        memset(many[i], (int)i, SIZE);
    }
}

/* One block in sixteen survives, or so few that there are pages without. */
static size_t apart(void)
{
    size_t two_pages = 2 * slai_os_page() / SIZE;
    return two_pages > 16 ? two_pages : 16;
}

static void free_most(void)
{
    for (size_t i = 0; i < MANY; i++)
        if (i % apart() != 0)
            sla_free(many[i]);
}

static void free_rest(void)
{
    for (size_t i = 0; i < MANY; i += apart()) {
        UNIT_EXPECT(holds(many[i], (uint32_t)i));
        sla_free(many[i]);
    }
}

static size_t resident_many(void)
{
    size_t n = 0;
    const struct slai_span *last = NULL;
    for (size_t i = 0; i < MANY; i += apart())
        if (slai_slab_of(many[i]) != last) {
            last = slai_slab_of(many[i]);
            n += resident(last);
        }
    return n;
}

START_TEST(trim_and_idle)
{
    void (*const idle)(void) = sla_thread_idle;
    if (_i != 0 && !SLAI_OS_KNOWS_THREADS)
        return; /* some are in slabs that are lent, and not the thread's own */
    unit_tidy();
    fill_many();
    size_t before = resident_many(), purged = unit_stats().purged;
    free_most();
    if (_i == 0)
        ck_assert_int_eq(sla_trim(0), 1);
    else
        idle();
    /* A survivor keeps its page of eight blocks; every other page is gone. */
    ck_assert_uint_le(resident_many(), before / 2 + 2 * slai_os_page());
    if (has_parts() || _i == 0)
        ck_assert_uint_gt(unit_stats().purged, purged);
    unit_sound();
    free_rest();
}
END_TEST

START_TEST(maintain_waits_its_time)
{
    unit_tidy();
    slai_conf.purge_delay = 60;
    fill_many();
    size_t before = resident_many();
    free_most();
    slai_cache_flush(slai_cache_get());
    long next = sla_maintain();
    ck_assert_int_ge(next, 0);
    ck_assert_int_le(next, 60);
    ck_assert_uint_gt(resident_many(), before - before / 4);
    unit_sleep(100);
    (void)sla_maintain();
    ck_assert_uint_le(resident_many(), before / 2 + 2 * slai_os_page());
    ck_assert_int_eq(sla_maintain(), -1);
    slai_conf.purge_delay = -1;
    free_rest();
}
END_TEST

/* Slow paths look, without being asked. */
START_TEST(polled)
{
    struct slai_tcache *tc = slai_cache_get();
    unit_tidy();
    fill_many();
    size_t before = resident_many();
    free_most();
    slai_cache_flush(tc);
    slai_idle_poll(tc); /* the option says never */
    ck_assert_uint_gt(resident_many(), before - before / 4);
    slai_conf.purge_delay = 20;
    for (int i = 0; i < 40 && resident_many() > before / 2 + 2 * slai_os_page(); i++) {
        unit_sleep(15);
        slai_idle_poll(tc);
    }
    ck_assert_uint_le(resident_many(), before / 2 + 2 * slai_os_page());
    slai_conf.purge_delay = -1;
    unit_sound();
    free_rest();
}
END_TEST

/* The slab that the next look is to begin with may be gone by then. */
START_TEST(look_begins_anew)
{
    struct slai_tcache *tc = slai_cache_get();
    void *block;
    unit_tidy();
    tc->look = slab_with(&block, 1);
    tc->look_class = CLASS;
    sla_free(block);
    slai_cache_flush(tc);
    ck_assert_ptr_null(tc->look);
    unit_sound();
}
END_TEST

/* --- other threads' --- */

static void *end_with_most_free(void *unused)
{
    (void)unused;
    fill_many();
    free_most();
    return NULL;
}

START_TEST(depot)
{
    unit_in_thread(end_with_most_free, NULL);
    size_t before = resident_many();
    ck_assert_ptr_null(slai_slab_of(many[0])->owner);
    ck_assert_int_eq(slai_idle_purge_others() > 0, has_parts());
    ck_assert_uint_le(resident_many(), before / 2 + 2 * slai_os_page());
    unit_sound();
    free_rest();
}
END_TEST

/* What the depot's slabs wait for is told too; and a refusal is no failure of the call. */
START_TEST(maintain_knows_the_depot)
{
    sla_free(sla_malloc(support_size(8)));
    unit_tidy();
    slai_conf.purge_delay = 60;
    unit_in_thread(end_with_most_free, NULL);
    (void)slai_purge(SLAI_PURGE_ALL, 0);
    ck_assert_int_eq(sla_maintain(), 60);
    unit_sleep(100);
    unit_refuse(SLAI_CALL_PURGE, 1);
    errno = SENTINEL_ERRNO;
    (void)sla_maintain();
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    unit_no_faults();
    ck_assert_int_eq(sla_maintain(), -1);
    slai_conf.purge_delay = -1;
    free_rest();
}
END_TEST

static struct unit_turn turn;

static void *sleep_on_it(void *unused)
{
    (void)unused;
    fill_many();
    unit_pass(&turn);
    unit_await(&turn, 2);
    /* Awake again: all that was freed can be had again, and the survivors are whole. */
    for (size_t i = 0; i < MANY; i++)
        if (i % apart() != 0) {
            many[i] = sla_malloc(SIZE);
            UNIT_EXPECT(many[i] != NULL);
            memset(many[i], (int)i, SIZE);
        }
    for (size_t i = 0; i < MANY; i++)
        UNIT_EXPECT(holds(many[i], (uint32_t)i));
    free_most();
    free_rest();
    return NULL;
}

START_TEST(slabs_of_a_sleeper)
{
    pthread_t thread;
    turn.now = 0;
    unit_thread(&thread, sleep_on_it, NULL);
    unit_await(&turn, 1);
    size_t before = resident_many();
    free_most();
    ck_assert_int_eq(sla_trim(0), 1);
    ck_assert_uint_le(resident_many(), before / 2 + 4 * slai_os_page());
    ck_assert_ptr_null(slai_load_acquire(&slai_slab_of(many[0])->owner)); /* parked: anyone may adopt it */
    unit_sound();
    unit_pass(&turn);
    unit_join(thread);
}
END_TEST

/* Blocks come and go between threads while another trims: contents hold, counts come out. */
#define ROUNDS 60
static struct {
    void *_Atomic slots[64];
    _Atomic int stop;
} mill;

static void *grind(void *arg)
{
    struct support_rng rng;
    support_seed(&rng, (uintptr_t)arg);
    while (!mill.stop) {
        size_t size = 16 + support_below(&rng, 3000);
        unsigned char *p = sla_malloc(size + 16), *old;
        UNIT_EXPECT(p != NULL);
        memcpy(p, &size, sizeof(size));
        support_fill(p + 16, size, size);
        old = atomic_exchange(&mill.slots[support_below(&rng, 64)], p);
        if (old != NULL) {
            memcpy(&size, old, sizeof(size));
            UNIT_EXPECT(support_matches(old + 16, size, size));
            sla_free(old);
        }
    }
    return NULL;
}

START_TEST(trimmed_while_used)
{
    pthread_t threads[3];
    mill.stop = 0;
    for (uintptr_t i = 0; i < ARRAY_LEN(threads); i++)
        unit_thread(&threads[i], grind, (void *)(i + 1));
    for (int i = 0; i < ROUNDS; i++) {
        unit_sleep(2);
        (void)sla_trim(0);
    }
    mill.stop = 1;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        unit_join(threads[i]);
    for (size_t i = 0; i < ARRAY_LEN(mill.slots); i++) {
        sla_free(mill.slots[i]);
        mill.slots[i] = NULL;
    }
    unit_sound();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("idle");
    TCase *tc = unit_case(suite, "slab");
    tcase_add_loop_test(tc, pages_of_a_run, 0, (int)ARRAY_LEN(runs));
    tcase_add_loop_test(tc, every_class_any_blocks, 1, SLAI_CLASSES);
    tcase_add_test(tc, rests_first);
    tcase_add_test(tc, refused);
    tc = unit_case(suite, "own");
    tcase_add_loop_test(tc, trim_and_idle, 0, 2);
    tcase_add_test(tc, maintain_waits_its_time);
    tcase_add_test(tc, polled);
    tcase_add_test(tc, look_begins_anew);
    tc = unit_case(suite, "others");
    tcase_add_test(tc, depot);
    tcase_add_test(tc, maintain_knows_the_depot);
    tcase_add_test(tc, slabs_of_a_sleeper);
    tcase_add_test(tc, trimmed_while_used);
    return support_main(suite);
}
