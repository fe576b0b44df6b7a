/*
 * test_objcache.c: object caches used by many threads at once: objects handed
 * from one to another, threads that end, others that reap and trim, forks, and
 * at the end the books balance.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include <slaballoc/cache.h>

#define THREADS 4
#define CACHES 5
#define SLOTS 512 /* objects on their way from thread to thread */
#define OWN 200
#define BATCH 48

static atomic_size_t made[CACHES], ended[CACHES], broken;
static sla_cache_t *caches[CACHES];
static const size_t sizes[CACHES] = {64, 24, 200, 1000, 20000};
static _Atomic(void *) slots[CACHES][SLOTS];
static atomic_int stop;
static size_t work; /* operations of a thread */



static int set_up(void *object, void *arg)
{
    size_t *state = object, which = (size_t)(uintptr_t)arg;
    state[0] = which + 1;
    state[1] = 0;
    atomic_fetch_add_explicit(&made[which], 1, memory_order_relaxed);
    return 0;
}

static void tear_down(void *object, void *arg)
{
    size_t *state = object, which = (size_t)(uintptr_t)arg;
    if (state[0] != which + 1 || state[1] != 0)
        atomic_fetch_add(&broken, 1);
    state[0] = 0;
    atomic_fetch_add_explicit(&ended[which], 1, memory_order_relaxed);
}

/* 0: constructed; 1: plain; 2: constructed and type-stable; 3: destructor, no reap; 4: large and limited. */
static void make_caches(void)
{
    for (size_t i = 0; i < CACHES; i++) {
        unsigned flags = i == 2 ? SLA_CACHE_TYPE_STABLE : i == 3 ? SLA_CACHE_NO_REAP : 0;
        caches[i] = sla_cache_create("threads", sizes[i], 0, flags, i != 1 ? set_up : NULL, i != 1 ? tear_down : NULL,
                                     (void *)(uintptr_t)i);
        CHILD_REQUIRE(caches[i] != NULL);
        atomic_store(&made[i], 0);
        atomic_store(&ended[i], 0);
    }
    sla_cache_set_limit(caches[4], 8 * MIB);
}

/* An object is its holder's alone: whoever else had it would find the mark. */
static void hold(size_t which, void *object)
{
    size_t *state = object;
    CHILD_REQUIRE(which == 1 || (state[0] == which + 1 && state[1] == 0));
    state[1] = (size_t)(uintptr_t)object;
}

static void release(void *object)
{
    size_t *state = object;
    CHILD_REQUIRE(state[1] == (size_t)(uintptr_t)object);
    state[1] = 0;
}

static void put(size_t which, void *object)
{
    if (object != NULL) {
        release(object);
        sla_cache_free(caches[which], object);
    }
}

static void batch(size_t which, size_t count)
{
    void *objects[BATCH];
    size_t n = sla_cache_alloc_batch(caches[which], objects, count);
    CHILD_REQUIRE(n == count || (which == 4 && errno == ENOMEM));
    for (size_t i = 0; i < n; i++)
        hold(which, objects[i]);
    for (size_t i = 0; i < n; i++) /* some go to other threads, theirs come back */
        if (i % 3 == 0) {
            void *theirs = atomic_exchange(&slots[which][((uintptr_t)objects[i] >> 4) % SLOTS], objects[i]);
            objects[i] = theirs;
        }
    for (size_t i = 0; i < n; i++)
        if (objects[i] != NULL)
            release(objects[i]);
    sla_cache_free_batch(caches[which], objects, n); /* with NULLs in it */
}

struct worker {
    struct support_rng rng;
    void *own[CACHES][OWN];
};

static void step(struct worker *w)
{
    size_t which = support_below(&w->rng, 16), i = support_below(&w->rng, OWN), dice = support_below(&w->rng, 100000);
    which = which < CACHES - 1 ? which : which == 15 ? 4 : which % 3;
    if (dice < 3)
        (void)sla_cache_reap(caches[which]);
    else if (dice == 3)
        (void)sla_trim(0);
    else if (dice < 7)
        sla_thread_idle();
    else if (dice == 7)
        (void)sla_maintain();
    else if (dice == 8) {
        sla_cache_stats_t st;
        CHILD_REQUIRE(sla_cache_stats(caches[which], &st, sizeof(st)) == 0);
    } else if (dice < 1000)
        batch(which, 1 + support_below(&w->rng, which == 4 ? 4 : BATCH));
    put(which, w->own[which][i]);
    w->own[which][i] = sla_cache_alloc(caches[which]);
    CHILD_REQUIRE(w->own[which][i] != NULL || (which == 4 && errno == ENOMEM));
    if (w->own[which][i] != NULL)
        hold(which, w->own[which][i]);
    if (dice % 8 == 0)
        w->own[which][i] = atomic_exchange(&slots[which][support_below(&w->rng, SLOTS)], w->own[which][i]);
    else if (dice % 64 == 1)
        sla_free(sla_malloc(support_below(&w->rng, 3000)));
}

static void work_on(struct worker *w, size_t count)
{
    for (; count > 0 && !atomic_load_explicit(&stop, memory_order_relaxed); count--)
        step(w);
    for (size_t c = 0; c < CACHES; c++)
        for (size_t i = 0; i < OWN; i++)
            put(c, w->own[c][i]);
}

static void *long_lived(void *arg)
{
    static _Atomic unsigned born;
    struct worker *w = calloc(1, sizeof(*w));
    support_seed_part(&w->rng, (uintptr_t)arg * 1000 + atomic_fetch_add(&born, 1));
    work_on(w, work);
    free(w);
    return NULL;
}

/* Threads that come and go all the while. */
static void *churn(void *arg)
{
    for (size_t n = 0; n < work / 4000; n++) {
        pthread_t thread;
        struct worker *w = calloc(1, sizeof(*w));
        CHILD_REQUIRE(w != NULL);
        free(w);
        CHILD_REQUIRE(pthread_create(&thread, NULL, arg, NULL) == 0);
        CHILD_REQUIRE(pthread_join(thread, NULL) == 0);
    }
    return NULL;
}

static void *short_lived(void *arg)
{
    struct worker *w = calloc(1, sizeof(*w));
    static _Atomic unsigned born;
    (void)arg;
    support_seed_part(&w->rng, 77 + atomic_fetch_add(&born, 1));
    work_on(w, 2000);
    free(w);
    return NULL;
}

static void empty_slots(void)
{
    for (size_t c = 0; c < CACHES; c++)
        for (size_t i = 0; i < SLOTS; i++)
            put(c, atomic_exchange(&slots[c][i], NULL));
}

/* Nothing is live, and what was made is ended. */
static void balance(void)
{
    for (size_t c = 0; c < CACHES; c++) {
        sla_cache_stats_t st;
        CHILD_REQUIRE(sla_cache_stats(caches[c], &st, sizeof(st)) == 0);
        CHILD_REQUIRE(st.constructed == (c == 1 ? 0 : atomic_load(&made[c])));
        CHILD_REQUIRE(st.destroyed == atomic_load(&ended[c]));
        CHILD_REQUIRE(c != 4 || st.bytes <= 8 * MIB);
        CHILD_REQUIRE(sla_cache_destroy(caches[c]) == 0);
        CHILD_REQUIRE(atomic_load(&made[c]) == atomic_load(&ended[c]));
    }
    CHILD_REQUIRE(atomic_load(&broken) == 0);
}

static void passes(void (*function)(void *), void *arg, unsigned seconds)
{
    struct support_child child;
    support_run_child(function, arg, seconds, &child);
    ck_assert_msg(child.exited && child.status == 0, "signal %d, %s", child.signal, child.errors);
    ck_assert_str_eq(child.errors, "");
}

static void storm(void *arg)
{
    pthread_t threads[THREADS + 1];
    (void)arg;
    work = support_scaled(10000000) / (THREADS + 1) * (support_level() == SUPPORT_EXTENDED ? 5 : 1);
    make_caches();
    for (size_t i = 0; i < THREADS; i++)
        CHILD_REQUIRE(pthread_create(&threads[i], NULL, long_lived, (void *)(i + 1)) == 0);
    CHILD_REQUIRE(pthread_create(&threads[THREADS], NULL, churn, (void *)short_lived) == 0);
    for (size_t i = 0; i <= THREADS; i++)
        CHILD_REQUIRE(pthread_join(threads[i], NULL) == 0);
    empty_slots();
    balance();
}

START_TEST(random_storm)
{
    passes(storm, NULL, 300);
    support_ran("objects: a storm of %d threads and what comes and goes, seed %ju", THREADS,
                (uintmax_t)support_seed_number());
}
END_TEST

/* --- a type-stable cache's memory is nobody else's before its end --- */

#define STABLE_SIZE 96
static void *not_its_own(void *arg)
{
    struct support_rng rng;
    void *blocks[300] = {NULL};
    support_seed_part(&rng, (uintptr_t)arg);
    while (!atomic_load(&stop)) {
        size_t i = support_below(&rng, ARRAY_LEN(blocks));
        sla_cache_t *other = caches[1 + i % 2];
        if (i % 3 == 0) {
            sla_free(blocks[i]);
            blocks[i] = sla_malloc(support_below(&rng, 200));
        } else {
            sla_cache_free(other, blocks[i]);
            blocks[i] = sla_cache_alloc(other);
        }
        CHILD_REQUIRE(blocks[i] != NULL);
        CHILD_REQUIRE(sla_cache_of(blocks[i]) == (i % 3 == 0 ? NULL : other));
    }
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
        sla_free(blocks[i]);
    return NULL;
}

static void stable(void *arg)
{
    enum { MANY = 5000 };
    static void *ever[MANY], *now[MANY];
    pthread_t threads[2];
    (void)arg;
    caches[0] = sla_cache_create("stable", STABLE_SIZE, 0, SLA_CACHE_TYPE_STABLE, NULL, NULL, NULL);
    caches[1] = sla_cache_create("other", STABLE_SIZE, 0, 0, NULL, NULL, NULL);
    caches[2] = sla_cache_create("third", 40, 0, 0, NULL, NULL, NULL);
    CHILD_REQUIRE(sla_option_set("purge_delay", 0) == 0);
    for (size_t i = 0; i < MANY; i++)
        CHILD_REQUIRE((ever[i] = sla_cache_alloc(caches[0])) != NULL);
    for (size_t i = 0; i < 2; i++)
        CHILD_REQUIRE(pthread_create(&threads[i], NULL, not_its_own, (void *)(i + 1)) == 0);
    for (size_t round = 0; round < support_scaled(200); round++) {
        size_t n = round % 2 == 0 ? MANY : MANY / 10;
        for (size_t i = 0; i < MANY; i++) {
            *(size_t *)ever[i] = i;
            sla_cache_free(caches[0], ever[i]);
        }
        (void)sla_cache_reap(caches[0]);
        (void)sla_trim(0);
        for (size_t i = 0; i < MANY; i++) { /* stale as they are, they may be read */
            CHILD_REQUIRE(*(volatile size_t *)ever[i] == i);
            CHILD_REQUIRE(sla_cache_of(ever[i]) == caches[0]);
        }
        for (size_t i = 0; i < n; i++)
            CHILD_REQUIRE((now[i] = sla_cache_alloc(caches[0])) != NULL);
        sla_cache_free_batch(caches[0], now, n);
        for (size_t i = 0; i < MANY; i++)
            CHILD_REQUIRE((ever[i] = sla_cache_alloc(caches[0])) != NULL);
    }
    atomic_store(&stop, 1);
    for (size_t i = 0; i < 2; i++)
        CHILD_REQUIRE(pthread_join(threads[i], NULL) == 0);
    sla_cache_free_batch(caches[0], ever, MANY);
    for (size_t i = 0; i < 3; i++)
        CHILD_REQUIRE(sla_cache_destroy(caches[i]) == 0);
}

START_TEST(type_stable)
{
    passes(stable, NULL, 120);
}
END_TEST

/* --- fork in the middle --- */

static void child_script(void)
{
    void *objects[300];
    for (size_t c = 0; c < CACHES; c++) {
        size_t n = sla_cache_alloc_batch(caches[c], objects, c == 4 ? 5 : 300);
        CHILD_REQUIRE(n == 300 || c == 4);
        for (size_t i = 0; i < n; i++) {
            size_t *state = objects[i];
            CHILD_REQUIRE(c == 1 || state[0] == c + 1);
            memset(state + 2, 0xaa, sizes[c] - 16 > 64 ? 64 : sizes[c] - 16);
        }
        sla_cache_free_batch(caches[c], objects, n);
        (void)sla_cache_reap(caches[c]);
    }
    sla_cache_t *cache = sla_cache_create("child", 100, 0, 0, NULL, NULL, NULL);
    CHILD_REQUIRE(cache != NULL && sla_cache_alloc_batch(cache, objects, 300) == 300);
    sla_cache_free_batch(cache, objects, 300);
    CHILD_REQUIRE(sla_cache_destroy(cache) == 0);
    (void)sla_trim(0);
    for (size_t c = 0; c < CACHES; c++) { /* the vanished threads' objects are out */
        sla_cache_stats_t st;
        CHILD_REQUIRE(sla_cache_stats(caches[c], &st, sizeof(st)) == 0);
        if (st.live > 0 && c > 0)
            continue;
        CHILD_REQUIRE(st.live == 0 || freopen("/dev/null", "w", stderr) != NULL); /* for the line it writes */
        CHILD_REQUIRE(sla_cache_destroy(caches[c]) == (st.live > 0 ? -1 : 0));
    }
}

static void forks(void *arg)
{
    pthread_t threads[THREADS];
    (void)arg;
    work = SIZE_MAX;
    make_caches();
    for (size_t i = 0; i < THREADS; i++)
        CHILD_REQUIRE(pthread_create(&threads[i], NULL, long_lived, (void *)(i + 1)) == 0);
    for (size_t i = 0; i < support_scaled(400); i++) {
        int status = 0;
        pid_t pid = fork();
        CHILD_REQUIRE(pid >= 0);
        if (pid == 0) {
            alarm(20);
            child_script();
            _exit(0);
        }
        CHILD_REQUIRE(waitpid(pid, &status, 0) == pid);
        CHILD_REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    atomic_store(&stop, 1);
    for (size_t i = 0; i < THREADS; i++)
        CHILD_REQUIRE(pthread_join(threads[i], NULL) == 0);
    empty_slots();
    balance();
}

START_TEST(fork_in_the_middle)
{
    passes(forks, NULL, 200);
}
END_TEST

/* A child of an idle process destroys the cache; the parent's is as it was. */
static void fork_quietly(void *arg)
{
    void *objects[300];
    int status = 0;
    (void)arg;
    make_caches();
    for (size_t i = 0; i < 300; i++)
        CHILD_REQUIRE((objects[i] = sla_cache_alloc(caches[0])) != NULL);
    pid_t pid = fork();
    CHILD_REQUIRE(pid >= 0);
    for (size_t i = 0; i < 300; i++) {
        CHILD_REQUIRE(*(size_t *)objects[i] == 1);
        sla_cache_free(caches[0], objects[i]);
    }
    balance();
    if (pid == 0)
        _exit(0);
    CHILD_REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

START_TEST(fork_when_idle)
{
    passes(fork_quietly, NULL, 30);
}
END_TEST

/* --- after a thread's own cache is gone --- */

static pthread_key_t late_key;

static void late(void *value)
{
    void *objects[200];
    (void)value;
    for (size_t c = 0; c < 4; c++) {
        for (size_t i = 0; i < 100; i++)
            CHILD_REQUIRE((objects[i] = sla_cache_alloc(caches[c])) != NULL);
        CHILD_REQUIRE(sla_cache_alloc_batch(caches[c], objects + 100, 100) == 100);
        for (size_t i = 0; i < 200; i++)
            CHILD_REQUIRE(c == 1 || *(size_t *)objects[i] == c + 1);
        for (size_t i = 0; i < 100; i++)
            sla_cache_free(caches[c], objects[i]);
        sla_cache_free_batch(caches[c], objects + 100, 99);
        (void)sla_cache_reap(caches[c]);
        sla_free(objects[199]);
    }
}

static void *has_late_work(void *arg)
{
    (void)arg;
    CHILD_REQUIRE(pthread_setspecific(late_key, &late_key) == 0);
    sla_cache_free(caches[0], sla_cache_alloc(caches[0]));
    return NULL;
}

static void late_destructors(void *arg)
{
    (void)arg;
    make_caches(); /* our key is made after the library's, and its destructor runs after the library's */
    CHILD_REQUIRE(pthread_key_create(&late_key, late) == 0);
    for (int i = 0; i < 20; i++) {
        pthread_t thread[2];
        for (int k = 0; k < 2; k++)
            CHILD_REQUIRE(pthread_create(&thread[k], NULL, has_late_work, NULL) == 0);
        for (int k = 0; k < 2; k++)
            CHILD_REQUIRE(pthread_join(thread[k], NULL) == 0);
    }
    for (size_t c = 0; c < CACHES; c++) {
        sla_cache_stats_t st;
        CHILD_REQUIRE(sla_cache_stats(caches[c], &st, sizeof(st)) == 0 && st.live == 0);
    }
    balance();
}

START_TEST(late_thread_destructors)
{
    passes(late_destructors, NULL, 30);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("threads/objcache");
    TCase *tc = tcase_create("objcache");
    suite_add_tcase(suite, tc);
    tcase_set_timeout(tc, 300);
    tcase_add_test(tc, random_storm);
    tcase_add_test(tc, type_stable);
    if (!SUPPORT_TSAN)
        tcase_add_test(tc, fork_in_the_middle);
    tcase_add_test(tc, fork_when_idle);
    tcase_add_test(tc, late_thread_destructors);
    return support_main(suite);
}
