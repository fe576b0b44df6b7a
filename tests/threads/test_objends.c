/*
 * test_objends.c: object caches that come and go while other threads allocate,
 * trim and end, and callbacks that fork.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <slaballoc/cache.h>

static atomic_int stop;

static void passes(void (*function)(void *), void *arg, unsigned seconds)
{
    struct support_child child;
    support_run_child(function, arg, seconds, &child);
    ck_assert_msg(child.exited && child.status == 0, "signal %d, %s", child.signal, child.errors);
    ck_assert_str_eq(child.errors, "");
}

/* --- caches that come and go while others allocate, trim and end --- */

static void *trims(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        void *p[40];
        for (size_t i = 0; i < ARRAY_LEN(p); i++)
            p[i] = sla_malloc(100 * i);
        for (size_t i = 0; i < ARRAY_LEN(p); i++)
            sla_free(p[i]);
        (void)sla_trim(0);
        (void)sla_maintain();
    }
    return NULL;
}

static void *uses_and_ends(void *arg)
{
    void *objects[500];
    size_t n = sla_cache_alloc_batch(arg, objects, ARRAY_LEN(objects));
    CHILD_REQUIRE(n == ARRAY_LEN(objects));
    for (size_t i = 0; i < n; i++)
        memset(objects[i], 1, 16);
    sla_cache_free_batch(arg, objects, n);
    return NULL;
}

static int count_one(void *object, void *arg)
{
    CHILD_REQUIRE(object != NULL);
    ++*(size_t *)arg;
    return 0;
}

/* Objects that are counted in and out. */
struct count {
    atomic_size_t in, out;
};

static int count_in(void *object, void *arg)
{
    *(void **)object = arg;
    atomic_fetch_add(&((struct count *)arg)->in, 1);
    return 0;
}

static void count_out(void *object, void *arg)
{
    (void)object;
    atomic_fetch_add(&((struct count *)arg)->out, 1);
}

/* Others use a cache, tell its owner, and end; it ends while they may still be on their way out. */
static _Atomic int finished;
static void *uses_and_tells(void *arg)
{
    uses_and_ends(arg);
    atomic_fetch_add(&finished, 1);
    return NULL;
}

static void *comes_and_goes(void *arg)
{
    struct support_rng rng;
    support_seed(&rng, (uintptr_t)arg);
    for (size_t round = 0; round < support_scaled(3000); round++) {
        static _Atomic(sla_cache_t *) seen[2];
        struct count count = {0, 0};
        size_t live = 0, size = 16 + support_below(&rng, 2000), kind = support_below(&rng, 4);
        sla_cache_t *cache = sla_cache_create("passing", size, 0, kind == 1 ? SLA_CACHE_TYPE_STABLE : 0,
                                              kind > 1 ? count_in : NULL, kind > 1 ? count_out : NULL, &count);
        CHILD_REQUIRE(cache != NULL);
        atomic_store(&seen[(uintptr_t)arg % 2], cache);
        CHILD_REQUIRE(atomic_load(&seen[((uintptr_t)arg + 1) % 2]) != cache);
        uses_and_ends(cache);
        void *one = sla_cache_alloc(cache);
        CHILD_REQUIRE(sla_cache_of(one) == cache);
        CHILD_REQUIRE(sla_cache_iterate(cache, count_one, &live) == 0 && live == 1);
        sla_cache_free(cache, one);
        atomic_store(&seen[(uintptr_t)arg % 2], NULL);
        CHILD_REQUIRE(sla_cache_destroy(cache) == 0); /* others, who trim, may be destroying objects of it */
        CHILD_REQUIRE(atomic_load(&count.in) == atomic_load(&count.out));
        CHILD_REQUIRE(kind <= 1 || atomic_load(&count.in) >= 500);
    }
    return NULL;
}

static void passing(void *arg)
{
    pthread_t threads[3], user[3];
    (void)arg;
    CHILD_REQUIRE(sla_option_set("purge_delay", 0) == 0);
    CHILD_REQUIRE(pthread_create(&threads[0], NULL, trims, NULL) == 0);
    CHILD_REQUIRE(pthread_create(&threads[1], NULL, comes_and_goes, (void *)1) == 0);
    CHILD_REQUIRE(pthread_create(&threads[2], NULL, comes_and_goes, (void *)2) == 0);
    for (size_t round = 0; round < support_scaled(3000); round++) {
        sla_cache_t *cache = sla_cache_create("used", 16 + round % 3000, 0, 0, NULL, NULL, NULL);
        atomic_store(&finished, 0);
        for (size_t i = 0; i < ARRAY_LEN(user); i++)
            CHILD_REQUIRE(pthread_create(&user[i], NULL, uses_and_tells, cache) == 0);
        while (atomic_load(&finished) < (int)ARRAY_LEN(user))
            sched_yield();
        CHILD_REQUIRE(sla_cache_destroy(cache) == 0); /* as they end */
        for (size_t i = 0; i < ARRAY_LEN(user); i++)
            CHILD_REQUIRE(pthread_join(user[i], NULL) == 0);
    }
    pthread_join(threads[1], NULL);
    pthread_join(threads[2], NULL);
    atomic_store(&stop, 1);
    pthread_join(threads[0], NULL);
}

START_TEST(caches_come_and_go)
{
    passes(passing, NULL, 120);
}
END_TEST

/* A destructor forks; the child goes on where it is. */
static pid_t forked;
static void forking_end(void *object, void *arg)
{
    count_out(object, arg);
    if (forked < 0)
        forked = fork();
}

static void *waits(void *arg)
{
    sla_free(sla_malloc(support_size(100)));
    while (!atomic_load(&stop))
        usleep(1000);
    return arg;
}

static void fork_in_a_callback(void *arg)
{
    struct count count = {0, 0};
    int status = 0;
    pthread_t thread;
    sla_cache_t *cache = sla_cache_create("forking", 100, 0, 0, count_in, forking_end, &count);
    forked = -1;
    if (arg != NULL)
        CHILD_REQUIRE(pthread_create(&thread, NULL, waits, NULL) == 0);
    uses_and_ends(cache);
    (void)sla_trim(0);
    CHILD_REQUIRE(forked >= 0 && atomic_load(&count.in) == atomic_load(&count.out));
    uses_and_ends(cache);
    (void)sla_trim(0);
    CHILD_REQUIRE(sla_cache_destroy(cache) == 0); /* nobody is awaited who is not there */
    if (forked == 0)
        _exit(0);
    atomic_store(&stop, 1);
    CHILD_REQUIRE(arg == NULL || pthread_join(thread, NULL) == 0);
    CHILD_REQUIRE(waitpid(forked, &status, 0) == forked && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

START_TEST(forking_callbacks)
{
    passes(fork_in_a_callback, _i == 0 ? NULL : &forked, 20);
}
END_TEST

/* --- a cache that is looked at does not end meanwhile --- */

static sla_cache_t *shown;
static atomic_int looking, ended;

static void *end_shown(void *arg)
{
    while (!atomic_load(&looking))
        sched_yield();
    CHILD_REQUIRE(sla_cache_destroy(shown) == 0);
    atomic_store(&ended, 1);
    return arg;
}

static void look_for_a_while(void *arg, const char *line)
{
    struct timespec while_ = {0, 60000000};
    (void)arg;
    if (strstr(line, "cache shown") == NULL)
        return;
    atomic_store(&looking, 1);
    nanosleep(&while_, NULL);
    CHILD_REQUIRE(!atomic_load(&ended));
}

static void end_while_looked_at(void *arg)
{
    pthread_t thread;
    (void)arg;
    CHILD_REQUIRE((shown = sla_cache_create("shown", 64, 0, 0, NULL, NULL, NULL)) != NULL);
    CHILD_REQUIRE(pthread_create(&thread, NULL, end_shown, NULL) == 0);
    sla_stats_print(look_for_a_while, NULL);
    CHILD_REQUIRE(pthread_join(thread, NULL) == 0 && atomic_load(&ended));
}

START_TEST(looked_at) { passes(end_while_looked_at, NULL, 20); }
END_TEST

int main(void)
{
    Suite *suite = suite_create("threads/objends");
    TCase *tc = tcase_create("objends");
    suite_add_tcase(suite, tc);
    tcase_set_timeout(tc, 300);
    tcase_add_test(tc, caches_come_and_go);
    tcase_add_test(tc, looked_at);
    tcase_add_loop_test(tc, forking_callbacks, 0, SUPPORT_TSAN ? 1 : 2); /* alone, and with another thread */
    return support_main(suite);
}
