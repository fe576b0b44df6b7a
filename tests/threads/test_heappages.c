/*
 * test_heappages.c: heaps on memory that the program lends: several threads,
 * chunks given back while others work, fork.
 *
 * SPDX-License-Identifier: MIT
 */
#include "arena.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static sla_heap_stats_t figures(sla_heap_t *heap)
{
    sla_heap_stats_t st;
    ck_assert_int_eq(sla_heap_stats(heap, &st, sizeof st), 0);
    return st;
}

#define BLOCKS 3000
struct work {
    sla_heap_t *heap;
    struct arena *arena;
    void *blocks[BLOCKS];
};

static void *allocate(void *arg)
{
    struct work *w = arg;
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t size = 16 << i % 9;
        w->blocks[i] = sla_heap_malloc(w->heap, i % 100 == 0 ? 100000 : size);
        if (w->blocks[i] == NULL || sla_heap_of(w->blocks[i]) != w->heap)
            abort();
        memset(w->blocks[i], 1, size);
    }
    return NULL;
}

static void *release(void *arg)
{
    struct work *w = arg;
    for (size_t i = 0; i < BLOCKS; i++)
        sla_free(w->blocks[(i * 7) % BLOCKS]);
    return NULL;
}

static void in_thread(void *(*function)(void *), void *arg)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, function, arg), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

START_TEST(other_threads_allocate_and_free)
{
    static struct work w;
    struct arena a;
    arena_make(&a);
    w.heap = arena_heap(&a, UNIT);
    for (int i = 0; i < 3; i++) {
        in_thread(allocate, &w);
        for (size_t k = 0; k < BLOCKS; k++)
            ck_assert(arena_holds(&a, w.blocks[k], 1));
        in_thread(release, &w);
    }
    ck_assert_uint_eq(figures(w.heap).live, 0);
    (void)sla_trim(0);
    ck_assert_uint_eq(a.used, 0);
    sla_heap_destroy(w.heap);
    arena_end(&a);
}
END_TEST

static void *churn(void *arg)
{
    struct work w = *(struct work *)arg;
    struct support_rng rng;
    void *mine[64] = {NULL};
    support_seed(&rng, (uintptr_t)&w);
    for (size_t i = 0; i < support_scaled(20000); i++) {
        size_t at = support_below(&rng, ARRAY_LEN(mine));
        sla_free(mine[at]);
        mine[at] = sla_heap_malloc(w.heap, support_below(&rng, 20) == 0 ? support_below(&rng, MIB)
                                                                       : support_below(&rng, 3000));
        if (mine[at] != NULL)
            *(char *)mine[at] = 1;
        if (i % 1000 == 0)
            (void)sla_trim(0);
    }
    for (size_t i = 0; i < ARRAY_LEN(mine); i++)
        sla_free(mine[i]);
    return NULL;
}

/* Heaps come and go while others trim, so that chunks are given back by whoever. */
static void *come_and_go(void *arg)
{
    for (size_t i = 0; i < support_scaled(300); i++) {
        struct arena *a = ((struct work *)arg)->arena;
        const sla_heap_pages_t pages = {arena_get, arena_put, a, UNIT};
        sla_heap_t *heap = sla_heap_create_on("brief", &pages);
        void *p = sla_heap_malloc(heap, 3 * UNIT), *q = sla_heap_malloc(heap, 50);
        sla_free(p);
        if (i % 2 == 0)
            sla_free(q);
        sla_heap_destroy(heap);
    }
    return NULL;
}

START_TEST(threads_at_once)
{
    static struct work w;
    pthread_t threads[4];
    struct arena a;
    arena_make(&a);
    w.heap = arena_heap(&a, UNIT);
    w.arena = &a;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, i < 2 ? churn : come_and_go, &w), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    ck_assert_uint_eq(figures(w.heap).live, 0);
    sla_heap_destroy(w.heap);
    arena_end(&a);
}
END_TEST

static void *idle(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return NULL;
}

START_TEST(fork_keeps_chunks)
{
    static struct work w;
    struct arena a;
    pthread_t thread;
    int status;
    pid_t child;
    arena_make(&a);
    w.heap = arena_heap(&a, UNIT);
    if (_i == 1)
        ck_assert_int_eq(pthread_create(&thread, NULL, idle, NULL), 0);
    in_thread(allocate, &w);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        sla_heap_t *other = arena_heap(&a, UNIT);
        void *p = sla_heap_malloc(w.heap, 200000);
        CHILD_REQUIRE(p != NULL && sla_heap_of(p) == w.heap && arena_holds(&a, p, 200000));
        release(&w);
        sla_free(p);
        CHILD_REQUIRE(sla_heap_malloc(other, 100) != NULL);
        sla_heap_destroy(w.heap);
        sla_heap_destroy(other);
        _exit(a.used != 0 || a.gets != a.puts || a.wrong);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    release(&w);
    sla_heap_destroy(w.heap);
    arena_end(&a);
}
END_TEST

/* The mutex is held across the fork, so that the arena is whole in the child. */
START_TEST(fork_amid_work)
{
    static struct work w;
    pthread_t threads[2];
    struct arena a;
    arena_make(&a);
    w.heap = arena_heap(&a, UNIT);
    w.arena = &a;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, i == 0 ? churn : come_and_go, &w), 0);
    for (int round = 0; round < 20; round++) {
        int status;
        pid_t child;
        pthread_mutex_lock(&a.mutex);
        child = fork();
        pthread_mutex_unlock(&a.mutex);
        if (child == 0) {
            void *p = sla_heap_malloc(w.heap, 200000), *q = sla_heap_malloc(w.heap, 100);
            CHILD_REQUIRE(p != NULL && q != NULL && arena_holds(&a, p, 200000) && arena_holds(&a, q, 100));
            sla_free(p);
            (void)sla_trim(0);
            sla_free(q);
            sla_heap_destroy(w.heap);
            CHILD_REQUIRE(!sla_owns(p) && !sla_owns(q));
            _exit(a.wrong);
        }
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "round %d: status %x", round, (unsigned)status);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    sla_heap_destroy(w.heap);
    arena_end(&a);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("threads and lent memory");
    TCase *tc = tcase_create("threads");
    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, other_threads_allocate_and_free);
    tcase_add_test(tc, threads_at_once);
    if (!SUPPORT_TSAN) { /* which wants threads joined in the child too */
        tcase_add_loop_test(tc, fork_keeps_chunks, 0, 2);
        tcase_add_test(tc, fork_amid_work);
    }
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
