/*
 * test_heap.c: heaps that several threads use: frees from elsewhere, threads
 * that end or sleep with blocks in their caches, fork, limits, and random
 * operations against a model.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <slaballoc/heap.h>
#include <sys/wait.h>
#include <unistd.h>

static sla_heap_stats_t figures(sla_heap_t *heap)
{
    sla_heap_stats_t st;
    if (sla_heap_stats(heap, &st, sizeof st) != 0)
        abort();
    return st;
}

static size_t slabs_and_large(void)
{
    sla_stats_t st;
    (void)sla_stats_get(&st, sizeof st);
    return st.slabs + st.large;
}

static void in_thread(void *(*function)(void *), void *arg)
{
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, function, arg), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

/* Threads that go step by step. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int step;

static void go(int n)
{
    pthread_mutex_lock(&mutex);
    step = n;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static int reached(int n)
{
    int yes;
    pthread_mutex_lock(&mutex);
    yes = step >= n;
    pthread_mutex_unlock(&mutex);
    return yes;
}

static void await(int n)
{
    pthread_mutex_lock(&mutex);
    while (step < n)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

/* --- frees from elsewhere, thread exit --- */

#define BLOCKS 5000
struct work {
    sla_heap_t *heap;
    void *blocks[BLOCKS];
    size_t size;
};

static void *allocate(void *arg)
{
    struct work *w = arg;
    for (size_t i = 0; i < BLOCKS; i++) {
        w->blocks[i] = sla_heap_malloc(w->heap, w->size);
        if (w->blocks[i] == NULL)
            abort();
        memset(w->blocks[i], (int)i, w->size);
    }
    return NULL;
}

static void *release(void *arg)
{
    struct work *w = arg;
    for (size_t i = 0; i < BLOCKS; i++)
        sla_free(w->blocks[i]);
    return NULL;
}

START_TEST(blocks_outlive_their_thread_and_end_elsewhere)
{
    static struct work w;
    w.heap = sla_heap_create("shared");
    w.size = _i == 0 ? 100 : 3000;
    for (int round = 0; round < 3; round++) {
        in_thread(allocate, &w);
        ck_assert_uint_eq(figures(w.heap).blocks, BLOCKS);
        if (round == 0)
            (void)release(&w);
        else
            in_thread(release, &w);
        sla_thread_idle();
        ck_assert_uint_eq(figures(w.heap).live, 0);
    }
    (void)sla_trim(0);
    ck_assert_uint_eq(figures(w.heap).bytes, 0); /* empty slabs are the page heap's */
    sla_heap_destroy(w.heap);
}
END_TEST

/* A thread that frees little of a heap gets no cache of it. */
static void *release_few(void *arg)
{
    struct work *w = arg;
    for (size_t i = 0; i < 10; i++)
        sla_free(w->blocks[i]);
    return NULL;
}

START_TEST(few_frees_from_elsewhere)
{
    static struct work w;
    w.heap = sla_heap_create("few");
    w.size = 64;
    (void)allocate(&w);
    in_thread(release_few, &w);
    sla_thread_idle();
    ck_assert_uint_eq(figures(w.heap).blocks, BLOCKS - 10);
    ck_assert_uint_eq(figures(w.heap).live, (BLOCKS - 10) * 64);
    sla_heap_destroy(w.heap);
}
END_TEST

static void *push_and_end(void *arg)
{
    if (sla_heap_push(arg) != 0 || sla_heap_of(sla_malloc(100)) != arg)
        abort();
    return NULL;
}

START_TEST(thread_ends_with_a_heap_pushed)
{
    sla_heap_t *heap = sla_heap_create("pushed");
    in_thread(push_and_end, heap);
    ck_assert_uint_eq(figures(heap).blocks, 1);
    sla_heap_destroy(heap); /* nobody's current one */
}
END_TEST

static pthread_key_t key;
static int late_of_heap;

static void late(void *arg)
{
    static __thread int rounds;
    sla_heap_t *heap = arg;
    void *p;
    if (++rounds < (SUPPORT_TSAN ? 3 : 4)) {
        pthread_setspecific(key, arg);
        return;
    }
    /* The library's own end may have been: blocks come and go without a cache. */
    for (int i = 0; i < 200; i++) {
        p = sla_heap_malloc(heap, 100);
        late_of_heap += sla_heap_of(p) == heap;
        if (i % 2 != 0)
            sla_free(p);
    }
    if (sla_heap_push(heap) == 0)
        sla_heap_pop();
    sla_heap_pop(); /* belongs to the push below */
}

static void *end_late(void *arg)
{
    if (sla_heap_push(arg) != 0)
        abort();
    sla_free(sla_heap_malloc(arg, 10));
    pthread_setspecific(key, arg);
    return NULL;
}

START_TEST(heap_is_used_after_the_threads_end_hook)
{
    sla_heap_t *heap = sla_heap_create("late");
    ck_assert_int_eq(pthread_key_create(&key, late), 0);
    late_of_heap = 0;
    in_thread(end_late, heap);
    ck_assert_int_eq(late_of_heap, 200);
    ck_assert_uint_eq(figures(heap).blocks, 100);
    sla_heap_destroy(heap);
    pthread_key_delete(key);
}
END_TEST

/* --- destruction while others hold blocks in their caches --- */

static void *use_and_wait(void *arg)
{
    struct work *w = arg;
    (void)allocate(w);
    for (size_t i = 0; i < BLOCKS / 2; i++)
        sla_free(w->blocks[i]);
    go(1);
    await(2); /* meanwhile the heap ends */
    w->heap = sla_heap_create("next"); /* most likely with the same number */
    (void)allocate(w);
    for (size_t i = 0; i < BLOCKS; i++)
        if (sla_heap_of(w->blocks[i]) != w->heap)
            abort();
    go(3);
    await(4);
    return NULL; /* ends after its heap */
}

START_TEST(destroy_while_a_thread_sleeps)
{
    static struct work w;
    pthread_t thread;
    size_t before;
    step = 0;
    w.heap = sla_heap_create("first");
    w.size = 200;
    sla_thread_idle();
    before = slabs_and_large();
    ck_assert_int_eq(pthread_create(&thread, NULL, use_and_wait, &w), 0);
    await(1);
    sla_heap_destroy(w.heap);
    ck_assert_uint_le(slabs_and_large(), before + 64 * KIB); /* what the thread itself took of the default heap */
    go(2);
    await(3);
    sla_heap_destroy(w.heap);
    go(4);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

/* A thread's upkeep looks at its caches of heaps that others destroy: it is no use of the heap. */
static void *upkeep(void *arg)
{
    struct work *w = arg;
    for (int round = 0; round < 30; round++) {
        await(2 * round + 1);
        for (size_t i = 0; i < 1000; i++)
            w->blocks[i] = sla_heap_malloc(w->heap, w->size);
        for (size_t i = 0; i < 1000; i += 2)
            sla_free(w->blocks[i]);
        go(2 * round + 2);
        for (int i = 0; i < 10; i++) {
            sla_thread_idle();
            (void)sla_maintain();
            (void)sla_trim(0);
        }
    }
    return NULL;
}

START_TEST(destroy_during_a_threads_upkeep)
{
    static struct work w;
    pthread_t thread;
    step = 0;
    w.size = 300;
    ck_assert_int_eq(pthread_create(&thread, NULL, upkeep, &w), 0);
    for (int round = 0; round < 30; round++) {
        w.heap = sla_heap_create("kept");
        go(2 * round + 1);
        await(2 * round + 2);
        sla_heap_destroy(w.heap);
    }
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

/* --- limits --- */

struct tenant {
    sla_heap_t *heap;
    size_t got, limit;
};

static void *exhaust(void *arg)
{
    struct tenant *t = arg;
    while (sla_heap_malloc(t->heap, 1000) != NULL)
        t->got++;
    return NULL;
}

START_TEST(tenants_fail_alone)
{
    struct tenant tenants[4];
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        tenants[i] = (struct tenant){sla_heap_create("tenant"), 0, (i + 1) * MIB};
        ck_assert_int_eq(sla_heap_set_limit(tenants[i].heap, 0, tenants[i].limit, NULL, NULL), 0);
        ck_assert_int_eq(pthread_create(&threads[i], NULL, exhaust, &tenants[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        ck_assert_uint_eq(tenants[i].got, tenants[i].limit / (64 * KIB) * 64);
        ck_assert_uint_eq(figures(tenants[i].heap).bytes, tenants[i].limit);
        sla_heap_destroy(tenants[i].heap);
    }
}
END_TEST

/* What another thread's slabs have free is found before an allocation fails. */
static void *hold_and_wait(void *arg)
{
    struct work *w = arg;
    (void)allocate(w);
    for (size_t i = 0; i < BLOCKS; i++)
        sla_free(w->blocks[i]);
    go(1);
    await(2);
    return NULL;
}

START_TEST(limit_takes_from_sleepers)
{
    static struct work w;
    pthread_t thread;
    step = 0;
    w.heap = sla_heap_create("limited");
    w.size = 128;
    ck_assert_int_eq(sla_heap_set_limit(w.heap, 0, 16 * 64 * KIB, NULL, NULL), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, hold_and_wait, &w), 0);
    await(1);
    ck_assert_ptr_nonnull(sla_heap_malloc(w.heap, 8 * 64 * KIB));
    go(2);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    sla_heap_destroy(w.heap);
}
END_TEST

/* --- fork --- */

static void *fork_user(void *arg)
{
    struct work *w = arg;
    (void)allocate(w);
    (void)sla_heap_push(w->heap);
    go(1);
    for (int i = 0; !reached(2); i++) { /* the child is to find it at work */
        sla_free(w->blocks[i % BLOCKS]);
        w->blocks[i % BLOCKS] = sla_malloc(w->size);
    }
    sla_heap_pop();
    return NULL;
}

static void use_in_child(sla_heap_t *heap, void *mine)
{
    static struct work w;
    void *large;
    w.heap = heap;
    w.size = 100;
    (void)allocate(&w);
    large = sla_heap_malloc(heap, 1000000);
    if (large == NULL || sla_heap_of(mine) != heap || sla_heap_current() != heap)
        _exit(1);
    (void)release(&w);
    sla_free(mine);
    sla_heap_pop();
    sla_heap_destroy(heap); /* no other thread's current one any more */
    heap = sla_heap_create("child");
    w.heap = heap;
    (void)allocate(&w);
    (void)release(&w);
    sla_thread_idle();
    if (figures(heap).blocks != 0 || figures(heap).bytes != 0)
        _exit(2);
    sla_heap_destroy(heap);
    _exit(0);
}

START_TEST(fork_keeps_heaps)
{
    static struct work w;
    pthread_t thread;
    step = 0;
    w.heap = sla_heap_create("forked");
    w.size = 100;
    ck_assert_int_eq(sla_heap_push(w.heap), 0);
    if (_i != 0) {
        ck_assert_int_eq(pthread_create(&thread, NULL, fork_user, &w), 0);
        await(1);
    }
    for (int round = 0; round < 20; round++) {
        void *mine = sla_malloc(100);
        int status;
        pid_t child = fork();
        if (child == 0)
            use_in_child(w.heap, mine);
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "round %d: status %x", round, (unsigned)status);
        sla_free(mine);
    }
    sla_heap_pop();
    if (_i != 0) {
        go(2);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
    }
    sla_heap_destroy(w.heap);
}
END_TEST

/* --- random operations against a model --- */

#define THREADS 4
#define HEAPS 6
#define PLACES 512
struct place {
    unsigned char *block;
    size_t size;
    uint64_t seed;
    int heap; /* HEAPS: the default one */
};

static sla_heap_t *heaps[HEAPS + 1];
static struct place places[PLACES];
static pthread_mutex_t locks[PLACES];

static void change(struct place *p, struct support_rng *rng)
{
    size_t size = support_random_size(rng) % 100000 + 1, old = p->size < size ? p->size : size;
    int heap = (int)support_below(rng, HEAPS + 1);
    unsigned what = (unsigned)support_below(rng, 4);
    if (p->block != NULL && (!support_matches(p->block, p->size, p->seed) || sla_heap_of(p->block) != heaps[p->heap] ||
                             sla_usable_size(p->block) < p->size))
        abort();
    if (p->block == NULL) {
        p->heap = heap;
        p->block = what == 0 ? sla_heap_calloc(heaps[heap], 1, size) : sla_heap_malloc(heaps[heap], size);
        if (what == 0 && p->block != NULL && !support_is_zero(p->block, size))
            abort();
    } else if (what < 2) {
        sla_free(p->block);
        p->block = NULL;
        return;
    } else {
        unsigned char *moved = what == 2 ? sla_realloc(p->block, size) : sla_heap_realloc(heaps[heap], p->block, size);
        if (moved == NULL)
            return;
        p->block = moved;
        if (what == 3)
            p->heap = heap;
        if (!support_matches(moved, old, p->seed))
            abort();
    }
    if (p->block == NULL)
        return;
    p->size = size;
    p->seed = support_next(rng);
    support_fill(p->block, size, p->seed);
}

static void *operate(void *arg)
{
    struct support_rng rng;
    support_seed(&rng, (uint64_t)(uintptr_t)arg);
    for (size_t i = 0, n = support_scaled(40000); i < n; i++) {
        size_t k = support_below(&rng, PLACES);
        sla_heap_t *pushed = heaps[support_below(&rng, HEAPS + 1)];
        if (i % 16 == 0 && sla_heap_push(pushed) != 0)
            abort();
        pthread_mutex_lock(&locks[k]);
        change(&places[k], &rng);
        pthread_mutex_unlock(&locks[k]);
        if (i % 16 == 0)
            sla_heap_pop();
        if (i % 4096 == 1)
            sla_thread_idle();
        if (i % 8192 == 1)
            (void)sla_trim(0);
    }
    return NULL;
}

static int count(void *block, size_t size, void *arg)
{
    (void)block;
    (void)size;
    ++*(size_t *)arg;
    return 0;
}

START_TEST(random_operations)
{
    pthread_t threads[THREADS];
    for (size_t i = 0; i < PLACES; i++)
        pthread_mutex_init(&locks[i], NULL);
    for (size_t i = 0; i < HEAPS; i++)
        heaps[i] = sla_heap_create("random");
    ck_assert_int_eq(sla_heap_set_limit(heaps[0], 0, 2 * MIB, NULL, NULL), 0);
    for (uintptr_t round = 0; round < 2; round++) {
        for (uintptr_t i = 0; i < THREADS; i++)
            ck_assert_int_eq(pthread_create(&threads[i], NULL, operate, (void *)(round * THREADS + i + 1)), 0);
        for (size_t i = 0; i < THREADS; i++)
            ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    }
    for (int h = 0; h < HEAPS; h++) {
        size_t mine = 0, seen = 0;
        for (size_t i = 0; i < PLACES; i++)
            mine += places[i].block != NULL && places[i].heap == h;
        ck_assert_int_eq(sla_heap_visit(heaps[h], count, &seen), 0);
        ck_assert_uint_eq(seen, mine);
        ck_assert_uint_eq(figures(heaps[h]).blocks, mine);
        sla_heap_destroy(heaps[h]);
    }
    for (size_t i = 0; i < PLACES; i++)
        if (places[i].block != NULL && places[i].heap == HEAPS)
            sla_free(places[i].block);
    memset(places, 0, sizeof places);
}
END_TEST

/* Heaps come and go in each thread. */
static void *come_and_go(void *arg)
{
    struct support_rng rng;
    support_seed(&rng, (uint64_t)(uintptr_t)arg);
    for (size_t i = 0, n = support_scaled(300); i < n; i++) {
        sla_heap_t *heap = sla_heap_create("request");
        unsigned char *last = NULL;
        for (size_t k = support_below(&rng, 300); k-- > 0;) {
            last = sla_heap_malloc(heap, support_random_size(&rng) % 20000);
            if (sla_heap_of(last) != heap)
                abort();
            if (k % 3 == 0)
                sla_free(last);
        }
        if (i % 8 == 0)
            (void)slabs_and_large(); /* looks at slabs that others destroy */
        sla_heap_destroy(heap);
    }
    return NULL;
}

START_TEST(a_heap_for_each_request)
{
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, come_and_go, (void *)(i + 1)), 0);
    for (int i = 0; i < 20; i++) {
        (void)sla_trim(0);
        (void)sla_maintain();
        sched_yield();
    }
    for (size_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("heap threads");
    TCase *tc = tcase_create("threads");
    tcase_add_loop_test(tc, blocks_outlive_their_thread_and_end_elsewhere, 0, 2);
    tcase_add_test(tc, few_frees_from_elsewhere);
    tcase_add_test(tc, thread_ends_with_a_heap_pushed);
    tcase_add_test(tc, heap_is_used_after_the_threads_end_hook);
    tcase_add_test(tc, destroy_while_a_thread_sleeps);
    tcase_add_test(tc, destroy_during_a_threads_upkeep);
    tcase_add_test(tc, tenants_fail_alone);
    tcase_add_test(tc, limit_takes_from_sleepers);
    suite_add_tcase(suite, tc);
    tc = tcase_create("fork");
    if (!SUPPORT_TSAN)
        tcase_add_loop_test(tc, fork_keeps_heaps, 0, 2);
    suite_add_tcase(suite, tc);
    tc = tcase_create("random");
    tcase_add_test(tc, random_operations);
    tcase_add_test(tc, a_heap_for_each_request);
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
