/*
 * test_threads.c: threads that only free, are cancelled, detached, left behind
 * by exit or exec, that run fibers, or of which there are many on one processor.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* processors' sets */
#endif
#include "unit/unit.h"

#include <sched.h>
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#define THREADS 8

static void check_child(const struct support_child *child)
{
    ck_assert_msg(child->exited && child->status == 0, "status %d, signal %d: %s", child->status, child->signal,
                  child->errors);
}

static void start(pthread_t *thread, void *(*function)(void *), void *arg)
{
    CHILD_REQUIRE(pthread_create(thread, NULL, function, arg) == 0);
}

static void join(pthread_t thread) { CHILD_REQUIRE(pthread_join(thread, NULL) == 0); }

static void some_work(struct support_rng *rng, size_t rounds)
{
    void *held[64] = {NULL};
    for (size_t n = 0; n < rounds; n++) {
        size_t i = support_below(rng, ARRAY_LEN(held));
        sla_free(held[i]);
        held[i] = sla_malloc(support_random_size(rng));
        CHILD_REQUIRE(held[i] != NULL);
    }
    for (size_t i = 0; i < ARRAY_LEN(held); i++)
        sla_free(held[i]);
}

static void *endless(void *arg)
{
    struct support_rng rng;
    support_seed(&rng, (uintptr_t)arg);
    for (;;)
        some_work(&rng, 500);
    return NULL;
}

/* --- a thread that only frees --- */

#define BATCH 1000
static void *batches[BATCH];
static struct unit_turn turn;

static void *only_frees(void *arg)
{
    for (int n = 0; n < (int)(uintptr_t)arg; n++) {
        unit_await(&turn, 2 * n + 1);
        for (size_t i = 0; i < BATCH; i++)
            sla_free(batches[i]);
        unit_pass(&turn);
    }
    return NULL;
}

START_TEST(free_only_thread_keeps_little)
{
    pthread_t thread;
    size_t rounds = support_plan(200, 5000, 2000), warm = 0;
    atomic_store(&turn.now, 0);
    unit_thread(&thread, only_frees, (void *)(uintptr_t)rounds);
    for (size_t n = 0; n < rounds; n++) {
        for (size_t i = 0; i < BATCH; i++)
            memset(batches[i] = sla_malloc(64 + i % 7 * 200), 1, 64);
        unit_pass(&turn);
        unit_await(&turn, 2 * (int)n + 2);
        if (n == rounds / 4)
            warm = support_rss_kib();
    }
    unit_join(thread);
    if (SUPPORT_MEMORY_IS_PLAIN)
        ck_assert_msg(support_rss_kib() <= warm + warm / 10 + 512, "RSS went from %zu to %zu KiB", warm,
                      support_rss_kib());
    support_ran("a thread that only frees: %zu blocks", rounds * BATCH);
}
END_TEST

/* --- cancellation: malloc and free are no cancellation points --- */

static _Atomic int at_work;
static void *cancelled_at_a_point(void *arg)
{
    struct support_rng rng;
    support_seed(&rng, (uintptr_t)arg);
    atomic_fetch_add(&at_work, 1);
    for (;;) {
        some_work(&rng, 40);
        pthread_testcancel();
    }
    return NULL;
}

START_TEST(cancelled_threads_leave_nothing)
{
    size_t live, threads = 0;
    sla_thread_idle();
    live = unit_stats().live;
    for (size_t n = 0; n < support_plan(20, 1000, 300); n++) {
        pthread_t some[THREADS];
        atomic_store(&at_work, 0);
        for (uintptr_t i = 0; i < THREADS; i++)
            unit_thread(&some[i], cancelled_at_a_point, (void *)(n * THREADS + i));
        while (atomic_load(&at_work) < THREADS / 2) /* the others at the latest when they come to life */
            sched_yield();
        for (size_t i = 0; i < THREADS; i++, threads++)
            ck_assert_int_eq(pthread_cancel(some[i]), 0);
        for (size_t i = 0; i < THREADS; i++)
            unit_join(some[i]);
    }
    sla_thread_idle();
    ck_assert_uint_eq(unit_stats().live, live);
    unit_sound();
    support_ran("cancelled threads: %zu", threads);
}
END_TEST

/* --- detached threads --- */

static _Atomic size_t ended;
static void *ends_alone(void *arg)
{
    struct support_rng rng;
    support_seed(&rng, (uintptr_t)arg);
    some_work(&rng, 100);
    atomic_fetch_add(&ended, 1);
    return NULL;
}

START_TEST(detached_threads)
{
    size_t all = support_plan(300, 20000, 5000);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    for (size_t n = 0; n < all; n++) {
        pthread_t thread;
        while (n - atomic_load(&ended) >= 16)
            sched_yield();
        ck_assert_int_eq(pthread_create(&thread, &attributes, ends_alone, (void *)n), 0);
    }
    while (atomic_load(&ended) < all)
        sched_yield();
    for (int i = 0; i < 2000 && unit_stats().threads > 2; i++)
        unit_sleep(1); /* they are counted out after their last statement */
    ck_assert_uint_le(unit_stats().threads, 2);
    pthread_attr_destroy(&attributes);
}
END_TEST

/* --- destructors of C++'s thread_local variables, which run before those of keys --- */

extern int __cxa_thread_atexit_impl(void (*)(void *), void *, void *) __attribute__((weak));
extern void *__dso_handle;
static _Atomic size_t destroyed;

static void destroy_local(void *object)
{
    struct support_rng rng;
    CHILD_REQUIRE(support_matches(object, 100, 5));
    sla_free(object);
    support_seed(&rng, 1);
    some_work(&rng, 50);
    atomic_fetch_add(&destroyed, 1);
}

static void *with_locals(void *arg)
{
    for (size_t i = 0; i < (size_t)(uintptr_t)arg; i++) {
        void *object = sla_malloc(100);
        support_fill(object, 100, 5);
        CHILD_REQUIRE(__cxa_thread_atexit_impl(destroy_local, object, &__dso_handle) == 0);
    }
    return NULL;
}

START_TEST(thread_local_destructors)
{
    size_t live;
    if (__cxa_thread_atexit_impl == NULL)
        return;
    sla_thread_idle();
    live = unit_stats().live;
    for (uintptr_t n = 0; n < 50; n++)
        unit_in_thread(with_locals, (void *)(n % 9));
    ck_assert_uint_eq(atomic_load(&destroyed), 50 / 9 * 36 + 10);
    ck_assert_uint_eq(unit_stats().live, live);
}
END_TEST

/* --- the process ends while threads are at work --- */

static void in_a_handler(void)
{
    struct support_rng rng;
    support_seed(&rng, 9);
    some_work(&rng, 200);
}

static void *ends_the_process(void *arg)
{
    struct support_rng rng;
    support_seed(&rng, (uintptr_t)arg);
    some_work(&rng, 300);
    exit(EXIT_SUCCESS);
}

/* exit() from main, from another thread, from a return of main, quick_exit(), and exec. */
static int run_end(const char *way)
{
    pthread_t threads[THREADS];
    char *argv[] = {(char *)"self", (char *)"nothing", NULL};
    atexit(in_a_handler);
    at_quick_exit(in_a_handler);
    for (uintptr_t i = 0; i < THREADS; i++)
        start(&threads[i], endless, (void *)(i + 1));
    atexit(in_a_handler);
    in_a_handler();
    switch (way[0]) {
    case 'e':
        exit(EXIT_SUCCESS);
    case 't':
        start(&threads[0], ends_the_process, NULL);
        pause();
        break;
    case 'q':
        quick_exit(EXIT_SUCCESS);
    case 'x':
        execv("/proc/self/exe", argv);
        return EXIT_FAILURE;
    default:
        break;
    }
    return EXIT_SUCCESS;
}

START_TEST(ends_beside_threads)
{
    static const char *const ways[] = {"end e", "end t", "end q", "end x", "end r"};
    struct support_child child;
    size_t all = support_plan(6, 400, 50);
    for (size_t n = 0; n < all; n++) {
        support_run_self(ways[_i], NULL, NULL, &child);
        check_child(&child);
    }
    support_ran("processes that end beside %d threads (%s): %zu", THREADS, ways[_i], all);
}
END_TEST

/* --- fibers: contexts that go on in another thread than they stood still in --- */

#define FIBERS 40
#define FIBER_STACK (64 * KIB)
static struct fiber {
    ucontext_t context, back;
    void *held[20];
    size_t steps;
    int over;
} fibers[FIBERS];
static struct fiber *ready[FIBERS];
static size_t ready_count, fiber_steps;
static pthread_mutex_t ready_lock = PTHREAD_MUTEX_INITIALIZER;

static void run_fiber(unsigned number)
{
    struct fiber *f = &fibers[number];
    struct support_rng rng;
    support_seed(&rng, number);
    for (; f->steps > 0; f->steps--) {
        size_t i = support_below(&rng, ARRAY_LEN(f->held));
        CHILD_REQUIRE(f->held[i] == NULL || support_matches(f->held[i], 8, number));
        sla_free(f->held[i]);
        f->held[i] = sla_malloc(8 + support_below(&rng, 3000));
        support_fill(f->held[i], 8, number);
        swapcontext(&f->context, &f->back);
    }
    for (size_t i = 0; i < ARRAY_LEN(f->held); i++)
        sla_free(f->held[i]);
    f->over = 1;
    setcontext(&f->back);
}

static void *run_fibers(void *arg)
{
    size_t left = FIBERS;
    (void)arg;
    while (left > 0) {
        struct fiber *f = NULL;
        pthread_mutex_lock(&ready_lock);
        if (ready_count > 0)
            f = ready[--ready_count];
        pthread_mutex_unlock(&ready_lock);
        if (f == NULL)
            break;
        swapcontext(&f->back, &f->context);
        pthread_mutex_lock(&ready_lock);
        fiber_steps++;
        if (!f->over) { /* to the bottom: another takes it */
            memmove(ready + 1, ready, ready_count++ * sizeof(*ready));
            ready[0] = f;
        }
        pthread_mutex_unlock(&ready_lock);
    }
    return NULL;
}

static void make_fiber(unsigned n)
{
    static unsigned char stacks[FIBERS][FIBER_STACK];
    CHILD_REQUIRE(getcontext(&fibers[n].context) == 0);
    fibers[n].context.uc_stack.ss_sp = stacks[n];
    fibers[n].context.uc_stack.ss_size = FIBER_STACK;
    fibers[n].steps = support_plan(300, 20000, 5000);
    makecontext(&fibers[n].context, (void (*)(void))run_fiber, 1, n);
    ready[ready_count++] = &fibers[n];
}

static void with_fibers(void *arg)
{
    pthread_t threads[4];
    (void)arg;
    for (unsigned n = 0; n < FIBERS; n++)
        make_fiber(n);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        start(&threads[i], run_fibers, NULL);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        join(threads[i]);
    CHILD_REQUIRE(slai_check_heap() == NULL);
    support_mail[0] = fiber_steps;
}

START_TEST(fibers_that_change_threads)
{
    struct support_child child;
    if (SUPPORT_TSAN || SUPPORT_ASAN)
        return; /* they want to be told of each switch */
    support_run_child(with_fibers, NULL, 600, &child);
    check_child(&child);
    support_ran("fibers that change threads: %zu switches", (size_t)child.mail[0]);
}
END_TEST

/* --- many threads on one processor, and one that must not be interrupted --- */

static void *fixed_work(void *arg)
{
    struct support_rng rng;
    support_seed(&rng, (uintptr_t)arg);
    for (size_t n = 0; n < support_plan(4, 200, 100); n++) {
        void *p = sla_malloc(70000); /* a lock of all */
        some_work(&rng, 60);
        sla_free(p);
        sla_thread_idle();
    }
    return NULL;
}

static void *first_in_first_out(void *arg)
{
    struct sched_param priority = {.sched_priority = 1};
    support_mail[0] = pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority) == 0;
    return fixed_work(arg);
}

static void one_processor(void *arg)
{
    pthread_t threads[64];
    cpu_set_t set;
    (void)arg;
    CPU_ZERO(&set);
    CPU_SET(sched_getcpu(), &set);
    CHILD_REQUIRE(sched_setaffinity(0, sizeof(set), &set) == 0);
    for (uintptr_t i = 0; i < ARRAY_LEN(threads); i++)
        start(&threads[i], i == 5 ? first_in_first_out : fixed_work, (void *)(i + 1));
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        join(threads[i]);
    CHILD_REQUIRE(slai_check_heap() == NULL);
}

START_TEST(many_on_one_processor)
{
    struct support_child child;
    support_run_child(one_processor, NULL, 600, &child);
    check_child(&child);
    support_ran("64 threads on one processor, %s of them SCHED_FIFO", child.mail[0] ? "one" : "none");
}
END_TEST

int main(int argc, char **argv)
{
    if (argc == 2)
        return strncmp(argv[1], "end ", 4) == 0 ? run_end(argv[1] + 4) : EXIT_SUCCESS;
    Suite *suite = suite_create("life/threads");
    TCase *tc = unit_case(suite, "threads");
    tcase_set_timeout(tc, 620);
    tcase_add_test(tc, free_only_thread_keeps_little);
    tcase_add_test(tc, cancelled_threads_leave_nothing);
    tcase_add_test(tc, detached_threads);
    tcase_add_test(tc, thread_local_destructors);
    tcase_add_loop_test(tc, ends_beside_threads, 0, 5);
    tcase_add_test(tc, fibers_that_change_threads);
    tcase_add_test(tc, many_on_one_processor);
    return support_main(suite);
}
