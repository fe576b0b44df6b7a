/*
 * test_scarce.c: threads that have no cache, and what is done where there is no
 * memory for a stack, a table, a better fit: less good, but done.
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "../arena.h"
#include "cache/heap.h"
#include "heap/meta.h"
#include "heap/slab.h"

#include <signal.h>
#include <slaballoc/cache.h>
#include <sys/wait.h>
#include <unistd.h>

static void passes(void (*function)(void *), void *arg)
{
    struct support_child child;
    support_run_child(function, arg, 60, &child);
    ck_assert_msg(child.exited && child.status == 0, "signal %d, %s", child.signal, child.errors);
}

/* --- without a cache --- */

static void *no_cache(void *arg)
{
    sla_free(sla_malloc(1));
    slai_cache_none();
    (*(void (**)(void *))arg)(((void **)arg)[1]);
    return NULL;
}

/* In a thread, by the cache that those without one share. */
static void cacheless(void (*function)(void *), void *arg)
{
    struct {
        void (*function)(void *);
        void *arg;
    } task = {function, arg};
    unit_in_thread(no_cache, &task);
}

static void use_lent(void *arg)
{
    sla_heap_t *heap = arg;
    void *p[40];
    for (size_t i = 0; i < ARRAY_LEN(p); i++) {
        UNIT_EXPECT((p[i] = sla_heap_malloc(heap, 100 << i % 12)) != NULL);
        UNIT_EXPECT(sla_heap_of(p[i]) == heap);
    }
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        sla_free(p[i]);
    (void)sla_trim(0);
    UNIT_EXPECT_SOUND();
}

START_TEST(page_functions_without_a_cache)
{
    struct arena a;
    sla_heap_t *heap;
    arena_make(&a);
    heap = arena_heap(&a, 0);
    cacheless(use_lent, heap);
    ck_assert_uint_gt(a.gets, 0);
    ck_assert_uint_eq(a.gets, a.puts); /* trimmed */
    sla_heap_destroy(heap);
    arena_end(&a);
}
END_TEST

static unsigned pressed;

static int count_pressure(sla_heap_t *heap, size_t wanted, void *arg)
{
    (void)heap;
    (void)wanted;
    (void)arg;
    pressed++;
    return 0;
}

static void go_beyond(void *heap)
{
    errno = 0;
    UNIT_EXPECT(sla_heap_malloc(heap, 10 * SLAI_PAGE) == NULL && errno == ENOMEM);
    UNIT_EXPECT(sla_heap_malloc(heap, 10) != NULL);
    sla_heap_pop(); /* as at a thread's end: nothing to report */
}

START_TEST(no_pressure_without_a_cache)
{
    sla_heap_t *heap = sla_heap_create("pressed");
    pressed = 0;
    ck_assert_int_eq(sla_heap_set_limit(heap, 0, 4 * SLAI_PAGE, count_pressure, NULL), 0);
    cacheless(go_beyond, heap);
    ck_assert_uint_eq(pressed, 0);
    ck_assert_ptr_null(sla_heap_malloc(heap, 10 * SLAI_PAGE));
    ck_assert_uint_eq(pressed, 1);
    sla_heap_destroy(heap);
}
END_TEST

static struct unit_turn turn;

static void *stand_by(void *arg)
{
    void *p[200];
    (void)arg;
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        p[i] = sla_malloc(i * 8);
    for (size_t i = 0; i < ARRAY_LEN(p); i += 2)
        sla_free(p[i]);
    unit_pass(&turn);
    unit_await(&turn, 2);
    for (size_t i = 1; i < ARRAY_LEN(p); i += 2)
        sla_free(p[i]);
    return NULL;
}

static void fork_here(void *blocks)
{
    void **p = blocks;
    int status = -1;
    for (size_t i = 0; i < 100; i++)
        UNIT_EXPECT((p[i] = sla_malloc(i * 50)) != NULL);
    for (size_t i = 0; i < 100; i += 3)
        sla_free(p[i]);
    pid_t pid = fork();
    if (pid == 0) {
        bool sound = slai_check_heap() == NULL;
        for (size_t i = 0; i < 100; i++)
            if (i % 3 != 0)
                sla_free(p[i]);
        for (size_t i = 0; i < 100; i++)
            support_sink = sla_malloc(i * 50);
        (void)sla_trim(0);
        _exit(sound && slai_check_heap() == NULL ? 0 : 1);
    }
    UNIT_EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
    for (size_t i = 0; i < 100; i++)
        if (i % 3 != 0)
            sla_free(p[i]);
}

/* By a thread without a cache; and by one that has one, while the shared one is in use. */
START_TEST(fork_around_the_shared_cache)
{
    static void *blocks[100];
    pthread_t thread;
    turn.now = 0;
    unit_thread(&thread, stand_by, NULL);
    unit_await(&turn, 1);
    cacheless(fork_here, blocks);
    ck_assert(slai_shared_used());
    fork_here(blocks);
    unit_pass(&turn);
    unit_join(thread);
    unit_sound();
}
END_TEST

/* --- without metadata --- */

/* For good: in a child. */
static void no_metadata(void)
{
    unit_refuse(SLAI_CALL_RESERVE, 1);
    unit_refuse(SLAI_CALL_COMMIT, 1);
    for (size_t size = SLAI_META_MAX; size >= 64; size /= 2)
        while (slai_meta_take(size) != NULL)
            continue;
    for (size_t size = 4096; size >= 64; size -= 64) /* lists by exact size */
        while (slai_meta_take(size) != NULL)
            continue;
    while (slai_meta_keep(64) != NULL)
        continue;
}

struct given {
    size_t size; /* of a class that the tests' thread has no stack for */
    sla_heap_t *heap, *other;
    sla_cache_t *cache;
    void *small, *of_heap, *object, *left;
};

static void *allocate_given(void *arg)
{
    struct given *g = arg;
    g->small = sla_malloc(g->size);
    g->of_heap = sla_heap_malloc(g->heap, 3000);
    g->object = sla_cache_alloc(g->cache);
    g->left = sla_heap_malloc(g->other, 300);
    return NULL;
}

static sla_heap_stats_t heap_stats(sla_heap_t *heap)
{
    sla_heap_stats_t st;
    CHILD_REQUIRE(sla_heap_stats(heap, &st, sizeof(st)) == 0);
    return st;
}

static size_t live(void)
{
    sla_stats_t st;
    CHILD_REQUIRE(sla_stats_get(&st, sizeof(st)) == 0);
    return st.live;
}

/* Blocks of classes that this thread has no stack for, and none can be had: they go straight to their slabs. */
static void free_without_stacks(void *arg)
{
    struct given *g = arg;
    size_t before = live(), of_heap = heap_stats(g->heap).live;
    void *block;
    no_metadata();
    CHILD_REQUIRE(slai_tcache->bins[slai_class_of(g->size)].base == NULL);
    sla_free(g->small);
    CHILD_REQUIRE(slai_tcache->bins[slai_class_of(g->size)].base == NULL);
    CHILD_REQUIRE(live() == before - g->size);
    sla_free(g->of_heap);
    CHILD_REQUIRE(heap_stats(g->heap).live == of_heap - sla_good_size(3000));
    sla_cache_free(g->cache, g->object);
    CHILD_REQUIRE(slai_check_heap() == NULL);
    /* No table, no cache of that heap: from the depot, where its last thread left a slab. */
    block = sla_heap_malloc(g->other, 300);
    CHILD_REQUIRE(block != NULL && block != g->left && sla_heap_of(block) == g->other);
    sla_free(block);
    errno = 0;
    CHILD_REQUIRE(sla_heap_push(g->heap) == -1 && errno == ENOMEM);
    errno = 0;
    CHILD_REQUIRE(sla_heap_create("no") == NULL && errno == ENOMEM);
    CHILD_REQUIRE(sla_heap_current() == NULL && slai_check_heap() == NULL);
    unit_no_faults();
    CHILD_REQUIRE(sla_heap_push(g->heap) == 0);
    sla_heap_pop();
    CHILD_REQUIRE(sla_cache_destroy(g->cache) == 0);
    sla_heap_destroy(g->heap);
    sla_heap_destroy(g->other);
    CHILD_REQUIRE(slai_check_heap() == NULL);
}

START_TEST(blocks_without_a_stack)
{
    struct given g = {.heap = sla_heap_create("of this thread")};
    unsigned unopened = SLAI_CLASSES - 1;
    sla_heap_t *many[9];
    sla_free(sla_heap_malloc(g.heap, 10)); /* this thread has a cache of it, with one stack */
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = sla_heap_create("fill"); /* the next number is beyond this thread's table */
    g.other = sla_heap_create("strange");
    g.cache = sla_cache_create("scarce", 700, 0, 0, NULL, NULL, NULL);
    while (slai_tcache->bins[unopened].base != NULL)
        unopened--;
    g.size = slai_class_size(unopened);
    unit_in_thread(allocate_given, &g);
    passes(free_without_stacks, &g);
    sla_free(g.small);
    sla_free(g.of_heap);
    sla_free(g.object);
    sla_thread_idle();
    ck_assert_int_eq(sla_cache_destroy(g.cache), 0);
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        sla_heap_destroy(many[i]);
    sla_heap_destroy(g.heap);
    sla_heap_destroy(g.other);
    unit_sound();
}
END_TEST

static void out_of_numbers(void *arg)
{
    uint32_t end = slai_account_end;
    (void)arg;
    slai_account_end = SLAI_ACCOUNTS;
    errno = 0;
    while (sla_heap_create("one more") != NULL) /* with a number that was used before */
        continue;
    CHILD_REQUIRE(errno == ENFILE);
    slai_account_end = end;
    CHILD_REQUIRE(sla_heap_create("again") != NULL);
}

START_TEST(heaps_have_an_end) { passes(out_of_numbers, NULL); }
END_TEST

/* --- without memory --- */

static void use_up(size_t size)
{
    while (sla_malloc(size) != NULL)
        continue;
    CHILD_REQUIRE(errno == ENOMEM);
}

/* Growing in small steps realloc asks for some more than it must; that failing, for what it must. */
static void realloc_to_the_point(void *arg)
{
    size_t must = 1150, more = sla_good_size(must + must / 16), good = sla_good_size(must);
    unsigned char *p = sla_malloc(sla_good_size(1024)), *spare = sla_malloc(good), *q;
    (void)arg;
    CHILD_REQUIRE(p != NULL && spare != NULL && sla_good_size(1024) == 1024 && good == 1152 && more > good);
    support_fill(p, 1024, 5);
    unit_refuse(SLAI_CALL_RESERVE, 1);
    unit_refuse(SLAI_CALL_COMMIT, 1);
    use_up(SLAI_PAGE); /* whole pages: no slab is to be had */
    use_up(more);
    sla_free(spare);
    errno = SENTINEL_ERRNO;
    q = sla_realloc(p, must);
    CHILD_REQUIRE(q != NULL && errno == SENTINEL_ERRNO && sla_usable_size(q) == good);
    CHILD_REQUIRE(support_matches(q, 1024, 5));
    use_up(good);
    use_up(1300);
    errno = 0;
    CHILD_REQUIRE(sla_realloc(q, 1300) == NULL && errno == ENOMEM);
    CHILD_REQUIRE(support_matches(q, 1024, 5) && slai_check_heap() == NULL);
}

START_TEST(realloc_asks_for_less) { passes(realloc_to_the_point, NULL); }
END_TEST

#define HELD (64 * MIB)
static void *held;

static int let_go(sla_cache_t *cache, void *arg)
{
    int more = held != NULL;
    (void)cache;
    (void)arg;
    sla_free(held);
    held = NULL;
    return more;
}

/* What object caches' functions give back serves large blocks too, of any heap. */
static void ask_in_need(void *arg)
{
    sla_heap_t *heap = arg != NULL ? sla_heap_create("in need") : NULL;
    sla_cache_t *cache = sla_cache_create("asked", 100, 0, 0, NULL, NULL, NULL);
    CHILD_REQUIRE(cache != NULL && (held = sla_malloc(HELD)) != NULL);
    sla_cache_set_reclaim(cache, let_go, NULL);
    unit_refuse(SLAI_CALL_RESERVE, 1);
    unit_refuse(SLAI_CALL_COMMIT, 1);
    use_up(40 * MIB); /* asks too, and gets what was held: so once more */
    CHILD_REQUIRE(held == NULL);
    unit_no_faults();
    CHILD_REQUIRE((held = sla_malloc(HELD)) != NULL);
    unit_refuse(SLAI_CALL_RESERVE, 1);
    unit_refuse(SLAI_CALL_COMMIT, 1);
    errno = SENTINEL_ERRNO;
    void *block = sla_heap_malloc(heap, HELD);
    CHILD_REQUIRE(block != NULL && errno == SENTINEL_ERRNO && held == NULL);
    errno = 0;
    CHILD_REQUIRE(sla_heap_malloc(heap, HELD) == NULL && errno == ENOMEM);
    CHILD_REQUIRE(slai_check_heap() == NULL);
}

START_TEST(caches_help_large_blocks) { passes(ask_in_need, _i == 0 ? NULL : &held); }
END_TEST

/* --- addresses above all blocks --- */

static char *above_all(void)
{
    void *large = sla_malloc(support_size(100 * MIB));
    const struct slai_region *r = slai_region_of(large);
    char *above = r->top + 3 < r->pages ? r->base + ((r->top + 3) << SLAI_PAGE_SHIFT) : NULL;
    sla_free(large);
    return above;
}

static void free_above(void *above) { sla_free(above); }

START_TEST(above_the_last_block)
{
    struct support_child child;
    char *above = above_all();
    ck_assert_ptr_nonnull(above);
    ck_assert_int_eq(sla_owns(above), 0);
    ck_assert_ptr_null(sla_heap_of(above));
    ck_assert_ptr_null(sla_cache_of(above));
    support_run_child(free_above, above, 10, &child);
    ck_assert_int_eq(child.signal, SIGABRT);
    ck_assert(support_reported(&child, "free", (uintptr_t)above, "not a block of this heap"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("scarce");
    TCase *tc = unit_case(suite, "no cache");
    tcase_add_test(tc, page_functions_without_a_cache);
    tcase_add_test(tc, no_pressure_without_a_cache);
    if (!SUPPORT_TSAN)
        tcase_add_test(tc, fork_around_the_shared_cache);
    tc = unit_case(suite, "no metadata");
    tcase_add_test(tc, blocks_without_a_stack);
    tcase_add_test(tc, heaps_have_an_end);
    tc = unit_case(suite, "no memory");
    tcase_add_test(tc, realloc_asks_for_less);
    tcase_add_loop_test(tc, caches_help_large_blocks, 0, 2);
    tcase_add_test(tc, above_the_last_block);
    return support_main(suite);
}
