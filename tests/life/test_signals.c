/*
 * test_signals.c: signals and the heap: reports of misuse, whose SIGABRT may be
 * caught by a handler that allocates, and timers that interrupt allocations.
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit/unit.h"

#include <slaballoc/cache.h>
#include <slaballoc/heap.h>

#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- the handler of SIGABRT allocates, whatever was held where the misuse was found --- */

#define HANDLED 42

static void allocate_and_leave(int number)
{
    void *p[200];
    (void)number;
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        CHILD_REQUIRE((p[i] = sla_malloc(i < 100 ? i * 24 : i * 1000)) != NULL);
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        sla_free(p[i]);
    sla_free(sla_calloc(100, 64));
    sla_thread_idle();
    (void)sla_trim(0);
    _exit(HANDLED);
}

#define MANY 3000
static void *blocks[MANY];

static void take_many(void)
{
    for (size_t i = 0; i < MANY; i++)
        CHILD_REQUIRE((blocks[i] = sla_malloc(64)) != NULL);
}

static void free_many(void)
{
    for (size_t i = 0; i < MANY; i++)
        sla_free(blocks[i]);
}

/* Twice in a stack, found as it is flushed to the own slab. */
static void own_slab(void)
{
    take_many();
    sla_free(blocks[0]);
    sla_free(blocks[1]);
    sla_free(blocks[0]);
    sla_thread_idle();
}

/* The same where the stack is full. */
static void own_overflow(void)
{
    take_many();
    sla_free(blocks[7]);
    free_many();
}

static void *in_thread(void *arg)
{
    void (*function)(void) = *(void (**)(void))arg;
    function();
    return NULL;
}

static void run_in_thread(void (*function)(void))
{
    unit_in_thread(in_thread, &function);
}

/* Twice in a stack, found as another's blocks are sent to their slab. */
static void free_twice_and_idle(void)
{
    sla_free(blocks[0]);
    sla_free(blocks[1]);
    sla_free(blocks[0]);
    sla_thread_idle();
}

static void anothers_slab(void)
{
    take_many();
    run_in_thread(free_twice_and_idle);
}

/* Freed by two threads, found as the second's come in at the first's. */
static void free_first_and_idle(void)
{
    sla_free(blocks[0]);
    sla_thread_idle();
}

static void comes_in(void)
{
    take_many();
    run_in_thread(free_first_and_idle);
    sla_free(blocks[0]);
    sla_thread_idle();
}

/* In a slab of the depot's. */
static void of_the_depot(void)
{
    run_in_thread(take_many);
    free_twice_and_idle();
}

/* At the thread's end. */
static void free_twice(void)
{
    sla_free(blocks[0]);
    sla_free(blocks[1]);
    sla_free(blocks[0]);
}

static void at_the_end(void)
{
    take_many();
    run_in_thread(free_twice);
}

/* By a thread that has no cache any more, so that all is under the shared one's lock. */
static pthread_key_t late_key;
static void too_late(void *value)
{
    (void)value;
    CHILD_REQUIRE(!slai_has_cache(slai_tcache));
    free_twice();
    for (size_t i = 2; i < MANY; i++)
        sla_free(blocks[i]);
    (void)sla_trim(0);
}

static void twice_in_a_row(void *value)
{
    (void)value;
    sla_free(blocks[0]);
    sla_free(blocks[0]);
}

static void arm_late(void)
{
    sla_free(sla_malloc(10));
    CHILD_REQUIRE(pthread_setspecific(late_key, &late_key) == 0);
}

static void without_a_cache(void)
{
    take_many();
    CHILD_REQUIRE(pthread_key_create(&late_key, too_late) == 0);
    run_in_thread(arm_late);
}

static void without_a_cache_in_a_row(void)
{
    take_many();
    CHILD_REQUIRE(pthread_key_create(&late_key, twice_in_a_row) == 0);
    run_in_thread(arm_late);
}

/* Blocks of a heap, and objects. */
static void of_a_heap(void)
{
    sla_heap_t *heap = sla_heap_create("heap");
    for (size_t i = 0; i < MANY; i++)
        blocks[i] = sla_heap_malloc(heap, 64);
    free_twice_and_idle();
}

static void of_a_heap_elsewhere(void)
{
    sla_heap_t *heap = sla_heap_create("heap");
    for (size_t i = 0; i < MANY; i++)
        blocks[i] = sla_heap_malloc(heap, 64);
    run_in_thread(free_twice);
    sla_free(blocks[0]);
    sla_thread_idle();
}

static void objects(void)
{
    sla_cache_t *cache = sla_cache_create("objects", 64, 0, 0, NULL, NULL, NULL);
    for (size_t i = 0; i < 10; i++)
        blocks[i] = sla_cache_alloc(cache);
    sla_cache_free(cache, blocks[0]);
    sla_cache_free(cache, blocks[1]);
    sla_cache_free(cache, blocks[0]);
    (void)sla_cache_reap(cache);
}

/* Found by a thread that parks the one that sleeps. */
static struct unit_turn turn;
static void *sleeper(void *arg)
{
    (void)arg;
    take_many();
    unit_pass(&turn);
    unit_await(&turn, 2);
    return NULL;
}

static void by_parking(void)
{
    pthread_t thread;
    unit_thread(&thread, sleeper, NULL);
    unit_await(&turn, 1);
    free_first_and_idle();
    run_in_thread(free_first_and_idle);
    (void)sla_trim(0);
}

static void (*const misdeeds[])(void) = {
    own_slab, own_overflow, anothers_slab, comes_in, of_the_depot, at_the_end, without_a_cache,
    without_a_cache_in_a_row, of_a_heap, of_a_heap_elsewhere, objects, by_parking,
};

static void misbehave(void *arg)
{
    CHILD_REQUIRE(signal(SIGABRT, allocate_and_leave) != SIG_ERR);
    misdeeds[(uintptr_t)arg]();
}

START_TEST(handler_of_an_abort_allocates)
{
    struct support_child child;
    support_run_child(misbehave, (void *)(uintptr_t)_i, 10, &child);
    ck_assert_msg(child.exited && child.status == HANDLED, "status %d, signal %d (%d: it hangs): %s", child.status,
                  child.signal, SIGALRM, child.errors);
    ck_assert_ptr_nonnull(strstr(child.errors, "block already free"));
}
END_TEST

/* --- a timer interrupts whatever goes on --- */

static _Atomic size_t ticks;
static void tick(int number)
{
    (void)number;
    atomic_fetch_add(&ticks, 1);
}

static void *work(void *arg)
{
    struct support_rng rng;
    void *held[200] = {NULL};
    support_seed(&rng, (uintptr_t)arg);
    while (atomic_load(&ticks) < support_plan(150, 20000, 5000)) {
        size_t i = support_below(&rng, ARRAY_LEN(held));
        sla_free(held[i]);
        held[i] = sla_malloc(support_random_size(&rng));
        CHILD_REQUIRE(held[i] != NULL);
    }
    for (size_t i = 0; i < ARRAY_LEN(held); i++)
        sla_free(held[i]);
    return NULL;
}

static void under_a_timer(void *arg)
{
    struct sigaction action = {.sa_handler = tick};
    struct itimerval each = {{0, 1000}, {0, 1000}};
    pthread_t threads[3];
    (void)arg;
    CHILD_REQUIRE(sigaction(SIGPROF, &action, NULL) == 0 && setitimer(ITIMER_PROF, &each, NULL) == 0);
    for (uintptr_t i = 0; i < ARRAY_LEN(threads); i++)
        CHILD_REQUIRE(pthread_create(&threads[i], NULL, work, (void *)(i + 1)) == 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        CHILD_REQUIRE(pthread_join(threads[i], NULL) == 0);
    CHILD_REQUIRE(setitimer(ITIMER_PROF, &(struct itimerval){{0, 0}, {0, 0}}, NULL) == 0);
    CHILD_REQUIRE(slai_check_heap() == NULL);
    support_mail[0] = atomic_load(&ticks);
}

START_TEST(interrupted_by_a_timer)
{
    struct support_child child;
    support_run_child(under_a_timer, NULL, 600, &child);
    ck_assert_msg(child.exited && child.status == 0, "status %d, signal %d: %s", child.status, child.signal,
                  child.errors);
    support_ran("allocations under SIGPROF: %zu signals", (size_t)child.mail[0]);
}
END_TEST

/* --- processes that are stopped, continued and killed at any instant: they share nothing to be left behind --- */

#define GROUP 5
static pid_t group[GROUP];
static _Atomic int enough;

static void finish(int number)
{
    (void)number;
    atomic_store(&enough, 1);
}

static void *until_enough(void *arg)
{
    struct support_rng rng;
    void *held[100] = {NULL};
    support_seed(&rng, (uintptr_t)arg);
    while (!atomic_load(&enough)) {
        size_t i = support_below(&rng, ARRAY_LEN(held));
        sla_free(held[i]);
        held[i] = sla_malloc(support_random_size(&rng));
        CHILD_REQUIRE(held[i] != NULL);
    }
    for (size_t i = 0; i < ARRAY_LEN(held); i++)
        sla_free(held[i]);
    return NULL;
}

static void member(int number)
{
    pthread_t threads[3];
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        CHILD_REQUIRE(pthread_create(&threads[i], NULL, until_enough, (void *)(uintptr_t)(number * 3 + (int)i)) == 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        CHILD_REQUIRE(pthread_join(threads[i], NULL) == 0);
    CHILD_REQUIRE(slai_check_heap() == NULL);
    _exit(0);
}

static void begin_member(int number)
{
    group[number] = fork();
    CHILD_REQUIRE(group[number] >= 0);
    if (group[number] == 0)
        member(number);
}

static void torment(void *arg)
{
    struct support_rng rng;
    size_t all = support_plan(100, 10000, 2000), killed = 0;
    support_seed(&rng, *(uint64_t *)arg);
    CHILD_REQUIRE(signal(SIGUSR1, finish) != SIG_ERR);
    for (int i = 0; i < GROUP; i++)
        begin_member(i);
    for (size_t n = 0; n < all; n++) {
        static const int kinds[] = {SIGSTOP, SIGCONT, SIGSTOP, SIGCONT, SIGKILL};
        int victim = (int)support_below(&rng, GROUP), kind = kinds[support_below(&rng, ARRAY_LEN(kinds))], status;
        usleep((useconds_t)support_below(&rng, 3000));
        CHILD_REQUIRE(kill(group[victim], kind) == 0);
        if (kind != SIGKILL)
            continue;
        CHILD_REQUIRE(waitpid(group[victim], &status, 0) == group[victim]);
        CHILD_REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL); /* it did not end by itself before */
        begin_member(victim);
        killed++;
    }
    for (int i = 0; i < GROUP; i++) {
        int status = -1;
        CHILD_REQUIRE(kill(group[i], SIGCONT) == 0 && kill(group[i], SIGUSR1) == 0);
        CHILD_REQUIRE(waitpid(group[i], &status, 0) == group[i] && status == 0);
    }
    support_mail[0] = all;
    support_mail[1] = killed;
}

START_TEST(stopped_and_killed)
{
    static uint64_t seed = 20260501;
    struct support_child child;
    support_run_child(torment, &seed, 600, &child);
    ck_assert_msg(child.exited && child.status == 0, "status %d, signal %d: %s", child.status, child.signal,
                  child.errors);
    support_ran("processes stopped, continued and killed: %zu signals, %zu killed, seed %llu", (size_t)child.mail[0],
                (size_t)child.mail[1], (unsigned long long)seed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("life/signals");
    TCase *tc = unit_case(suite, "signals");
    tcase_set_timeout(tc, 620);
    if (!SUPPORT_ASAN)
        tcase_add_loop_test(tc, handler_of_an_abort_allocates, 0, (int)ARRAY_LEN(misdeeds));
    tcase_add_test(tc, interrupted_by_a_timer);
    tcase_add_test(tc, stopped_and_killed);
    return support_main(suite);
}
