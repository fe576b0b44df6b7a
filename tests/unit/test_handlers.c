/*
 * test_handlers.c: what others' fork handlers may do between ours, and callbacks
 * that fork, or last, while caches are reaped and destroyed.
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "api/objcache.h"
#include "cache/depot.h"
#include "cache/heap.h"
#include "heap/meta.h"

#include <slaballoc/cache.h>
#include <slaballoc/heap.h>
#include <sys/wait.h>
#include <unistd.h>

/* As api/fork.c does it. */
static void prepare(void)
{
    slai_init_lock();
    slai_heaps_lock_for_fork();
    slai_threads_lock();
    slai_objcaches_lock();
    slai_depot_lock_all();
    slai_lock_for_fork(&slai_pageheap.lock);
    slai_meta_lock();
    slai_fork_begin();
}

static void parent(void)
{
    slai_fork_end();
    slai_meta_unlock();
    slai_unlock_after_fork(&slai_pageheap.lock);
    slai_depot_unlock_all();
    slai_objcaches_unlock();
    slai_threads_unlock();
    slai_heaps_unlock_after_fork();
    slai_init_unlock();
}

static struct unit_turn turn;

/* Another thread's caches are out of a handler's reach. */
static void *stand_by(void *arg)
{
    void *p[100], *objects[50];
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        p[i] = sla_malloc(i * 30);
    for (size_t i = 0; i < ARRAY_LEN(objects); i++)
        UNIT_EXPECT((objects[i] = sla_cache_alloc(arg)) != NULL);
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        sla_free(p[i]);
    for (size_t i = 0; i < ARRAY_LEN(objects); i++)
        sla_cache_free(arg, objects[i]);
    unit_pass(&turn);
    unit_await(&turn, 2);
    return NULL;
}

static void ignore(void *arg, const char *line) { *(size_t *)arg += strlen(line); }

static int count(void *object, void *arg)
{
    (void)object;
    ++*(size_t *)arg;
    return 0;
}

static void in_handler(sla_cache_t *cache, sla_heap_t *heap)
{
    sla_stats_t st;
    sla_cache_stats_t of_cache;
    sla_heap_stats_t of_heap;
    size_t seen = 0, printed = 0;
    void *p[100], *object = sla_cache_alloc(cache);
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        ck_assert_ptr_nonnull(p[i] = i % 2 == 0 ? sla_malloc(i * 500) : sla_heap_malloc(heap, i * 20));
    ck_assert_ptr_null(sla_heap_malloc(heap, 40 * SLAI_PAGE)); /* the limit; what could be gathered was */
    ck_assert_int_eq(sla_stats_get(&st, sizeof(st)), 0);
    ck_assert_int_eq(sla_cache_stats(cache, &of_cache, sizeof(of_cache)), 0);
    ck_assert_uint_ge(of_cache.live, 1);
    ck_assert_int_eq(sla_heap_stats(heap, &of_heap, sizeof(of_heap)), 0);
    ck_assert_uint_ge(of_heap.blocks, 50);
    sla_stats_print(ignore, &printed);
    ck_assert_uint_gt(printed, 0);
    ck_assert_int_eq(sla_cache_iterate(cache, count, &seen), 0);
    ck_assert_uint_ge(seen, 1);
    (void)sla_trim(0);
    (void)sla_maintain();
    (void)sla_cache_reap(cache);
    errno = 0;
    ck_assert_int_eq(sla_cache_destroy(cache), -1);
    ck_assert_int_eq(errno, EBUSY);
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        sla_free(p[i]);
    sla_cache_free(cache, object);
}

START_TEST(calls_between_the_handlers)
{
    sla_cache_t *cache = sla_cache_create("handled", 300, 0, 0, NULL, NULL, NULL);
    sla_heap_t *heap = sla_heap_create("handled");
    pthread_t thread;
    ck_assert_int_eq(sla_heap_set_limit(heap, 0, 32 * SLAI_PAGE, NULL, NULL), 0);
    turn.now = 0;
    unit_thread(&thread, stand_by, cache);
    unit_await(&turn, 1);
    prepare();
    in_handler(cache, heap);
    parent();
    unit_sound();
    unit_pass(&turn);
    unit_join(thread);
    ck_assert_int_eq(sla_cache_destroy(cache), 0);
    sla_heap_destroy(heap);
    unit_sound();
}
END_TEST

/* --- a destructor that forks, in the middle of a slab --- */

static size_t ended, forked_at, exit_of_child;

static void forks_once(void *object, void *arg)
{
    (void)object;
    (void)arg;
    if (++ended != forked_at)
        return;
    int status = -1;
    pid_t pid = fork();
    if (pid != 0) {
        exit_of_child = waitpid(pid, &status, 0) == pid && status == 0 ? 0 : 1;
        return;
    }
    forked_at = 0; /* the child goes on with the reaping that the parent began; see below */
    exit_of_child = SIZE_MAX;
}

static int construct(void *object, void *arg)
{
    (void)arg;
    *(int *)object = 1;
    return 0;
}

START_TEST(destructor_forks)
{
    sla_cache_t *cache = sla_cache_create("forks", 5000, 0, 0, construct, forks_once, NULL);
    static void *objects[100];
    sla_cache_stats_t st;
    pthread_t thread;
    turn.now = 0;
    ended = 0;
    forked_at = 30;
    unit_thread(&thread, stand_by, cache); /* so there is something to repair */
    unit_await(&turn, 1);
    ck_assert_uint_eq(sla_cache_alloc_batch(cache, objects, 100), 100);
    sla_cache_free_batch(cache, objects, 100);
    (void)sla_cache_reap(cache);
    if (exit_of_child == SIZE_MAX) { /* the child: nothing was destroyed twice, nor forgotten */
        bool right = slai_check_heap() == NULL;
        (void)sla_cache_reap(cache);
        right = right && sla_cache_stats(cache, &st, sizeof(st)) == 0 && st.live == 0 && st.slabs == 0;
        right = right && st.destroyed == ended && st.constructed == ended && slai_check_heap() == NULL;
        _exit(right && sla_cache_destroy(cache) == 0 ? 0 : 1);
    }
    ck_assert_uint_eq(exit_of_child, 0);
    unit_pass(&turn);
    unit_join(thread);
    ck_assert_int_eq(sla_cache_destroy(cache), 0);
    ck_assert_uint_ge(ended, 100);
    unit_sound();
}
END_TEST

/* --- a cache whose function runs while it is destroyed --- */

static sla_cache_t *asked;
static _Atomic int asking, destroying, answered;

/* Lasts until somebody is destroying the cache. */
static int lasts(sla_cache_t *cache, void *arg)
{
    (void)cache;
    (void)arg;
    atomic_store(&asking, 1);
    while (!atomic_load(&destroying))
        usleep(100);
    usleep(50000); /* it is waiting for us by now, most likely */
    atomic_store(&answered, 1);
    return 0;
}

static void *asks(void *arg)
{
    (void)arg;
    UNIT_EXPECT(sla_malloc((size_t)PTRDIFF_MAX - 70000) == NULL);
    (void)slai_objcaches_relieve();
    return NULL;
}

START_TEST(destroy_waits_for_visitors)
{
    pthread_t thread;
    asked = sla_cache_create("asked", 100, 0, 0, NULL, NULL, NULL);
    atomic_store(&asking, 0);
    atomic_store(&answered, 0);
    atomic_store(&destroying, 0);
    sla_cache_set_reclaim(asked, lasts, NULL);
    sla_cache_free(asked, sla_cache_alloc(asked));
    unit_thread(&thread, asks, NULL);
    while (!atomic_load(&asking))
        usleep(100);
    atomic_store(&destroying, 1);
    ck_assert_int_eq(sla_cache_destroy(asked), 0);
    ck_assert_int_eq(atomic_load(&answered), 1);
    unit_join(thread);
    unit_sound();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("handlers");
    TCase *tc = unit_case(suite, "handlers");
    tcase_add_test(tc, calls_between_the_handlers);
    if (!SUPPORT_TSAN)
        tcase_add_test(tc, destructor_forks);
    tcase_add_test(tc, destroy_waits_for_visitors);
    return support_main(suite);
}
