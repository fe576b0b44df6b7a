/*
 * test_fork.c: fork out of a process that is busy allocating.  Every child
 * runs a script of allocations within five seconds; the parent goes on.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * A sanitizer's own runtime does not survive every fork: TSan refuses threads
 * in the child of a process with threads, and ASan's own malloc, which
 * pthread_create uses, may be locked there for good.
 */
#define BUSY 8
#define FORKS 2000

/* --- what a child does --- */

static void *child_thread(void *arg)
{
    void **blocks = arg;
    for (size_t i = 0; i < 50; i++) {
        sla_free(blocks[i]);
        blocks[i] = sla_calloc(1, 16 << i % 9);
    }
    return NULL;
}

static void script(int with_thread)
{
    struct support_block own[200];
    static void *shared[50];
    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        size_t size = i % 40 == 0 ? 60000 : i * 11;
        own[i] = (struct support_block){sla_malloc(size), size, i};
        CHILD_REQUIRE(own[i].start != NULL);
        support_fill(own[i].start, size, i);
    }
    CHILD_REQUIRE(support_disjoint(own, ARRAY_LEN(own)));
    if (with_thread && !SUPPORT_ASAN) {
        pthread_t thread;
        for (size_t i = 0; i < 50; i++)
            shared[i] = sla_malloc(100);
        CHILD_REQUIRE(pthread_create(&thread, NULL, child_thread, shared) == 0);
        CHILD_REQUIRE(pthread_join(thread, NULL) == 0);
        for (size_t i = 0; i < 50; i++)
            sla_free(shared[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        CHILD_REQUIRE(support_matches(own[i].start, own[i].size, i));
        own[i].start = sla_realloc(own[i].start, own[i].size + 100);
        CHILD_REQUIRE(support_matches(own[i].start, own[i].size & ~(size_t)7, i));
        sla_free(own[i].start);
    }
    sla_thread_idle();
    (void)sla_trim(0);
    (void)sla_maintain();
}

static void reap(pid_t pid)
{
    int status = 0;
    CHILD_REQUIRE(pid > 0);
    CHILD_REQUIRE(waitpid(pid, &status, 0) == pid);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        support_child_fail(__FILE__, __LINE__, "child ends within 5 seconds");
    if (WIFSIGNALED(status)) {
        char text[64];
        snprintf(text, sizeof(text), "child ends by itself, not by signal %d", WTERMSIG(status));
        support_child_fail(__FILE__, __LINE__, text);
    }
    CHILD_REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* --- the busy threads --- */

static atomic_int stop;
static atomic_size_t operations;
static pthread_mutex_t exchange_lock = PTHREAD_MUTEX_INITIALIZER;
static void *exchange[64];

static void *swap(size_t i, void *block)
{
    pthread_mutex_lock(&exchange_lock);
    void *old = exchange[i % 64];
    exchange[i % 64] = block;
    pthread_mutex_unlock(&exchange_lock);
    return old;
}

static void *busy(void *arg)
{
    struct support_rng rng;
    void *blocks[100] = {NULL};
    size_t count = 0;
    support_seed_part(&rng, (uint64_t)(uintptr_t)arg);
    (void)!nice(10); /* this thread alone, on Linux: what forks is not to wait for its turn */
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        size_t i = support_below(&rng, 100), dice = support_below(&rng, 1000);
        sla_free(blocks[i]);
        blocks[i] = sla_malloc(dice < 20 ? 60000 : support_below(&rng, 2000));
        CHILD_REQUIRE(blocks[i] != NULL);
        if (dice < 300)
            blocks[i] = swap(i, blocks[i]);
        else if (dice == 999)
            sla_thread_idle();
        else if (dice == 998)
            (void)sla_trim(0);
        if (++count % 512 == 0)
            usleep(100); /* leave the forker a share of few processors */
    }
    for (size_t i = 0; i < 100; i++)
        sla_free(blocks[i]);
    atomic_fetch_add(&operations, count);
    return NULL;
}

static void start_busy(pthread_t *threads)
{
    atomic_store(&stop, 0);
    for (uintptr_t i = 0; i < BUSY; i++)
        CHILD_REQUIRE(pthread_create(&threads[i], NULL, busy, (void *)(i + 1)) == 0);
}

static void stop_busy(pthread_t *threads)
{
    atomic_store(&stop, 1);
    for (size_t i = 0; i < BUSY; i++)
        CHILD_REQUIRE(pthread_join(threads[i], NULL) == 0);
    for (size_t i = 0; i < 64; i++)
        sla_free(swap(i, NULL));
}

/* --- cases; each runs in a child of its own, away from Check's process --- */

static void many_forks(void *arg)
{
    pthread_t threads[BUSY];
    (void)arg;
    start_busy(threads);
    /* All of them take a minute where processors are few: the extended level takes that time. */
    double deadline = support_seconds() + 8;
    size_t done = 0;
    for (; done < FORKS &&
         (support_level() == SUPPORT_EXTENDED || done < 100 || support_seconds() < deadline);
         done++) {
        void *parents = sla_malloc(300);
        support_fill(parents, 300, done);
        pid_t pid = fork();
        if (pid == 0) {
            alarm(5);
            CHILD_REQUIRE(support_matches(parents, 300, done));
            sla_free(parents);
            script(done % 4 == 0);
            _exit(0);
        }
        CHILD_REQUIRE(support_matches(parents, 300, done));
        sla_free(parents);
        reap(pid);
    }
    stop_busy(threads);
    CHILD_REQUIRE(atomic_load(&operations) > done);
    script(1);
    support_mail[0] = done;
}

static void nested_forks(void *arg)
{
    pthread_t threads[BUSY];
    (void)arg;
    start_busy(threads);
    for (int round = 0; round < 20; round++) {
        pid_t pid = fork();
        if (pid == 0) {
            alarm(5);
            script(1);
            pid_t grandchild = fork();
            if (grandchild == 0) {
                alarm(4);
                script(1);
                pid_t last = fork();
                if (last == 0) {
                    script(0);
                    _exit(0);
                }
                reap(last);
                _exit(0);
            }
            script(0);
            reap(grandchild);
            _exit(0);
        }
        reap(pid);
    }
    stop_busy(threads);
    script(1);
}

/* The child becomes busy itself and forks again. */
static void child_goes_on(void *arg)
{
    pthread_t threads[BUSY];
    (void)arg;
    for (int round = 0; round < 5; round++) {
        start_busy(threads);
        pid_t pid = fork();
        if (pid == 0) {
            pthread_t own[BUSY];
            alarm(10);
            /* A thread may have been between lock and unlock of the test's own lock. */
            exchange_lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
            start_busy(own);
            for (int i = 0; i < 10; i++) {
                pid_t inner = fork();
                if (inner == 0) {
                    alarm(5);
                    script(1);
                    _exit(0);
                }
                reap(inner);
            }
            stop_busy(own);
            _exit(0);
        }
        reap(pid);
        stop_busy(threads);
    }
}

static void single_threaded(void *arg)
{
    void *blocks[500];
    (void)arg;
    for (size_t i = 0; i < 500; i++)
        blocks[i] = sla_malloc(i * 3);
    for (int round = 0; round < 300; round++) {
        pid_t pid = fork();
        if (pid == 0) {
            alarm(5);
            script(round % 10 == 0);
            for (size_t i = 0; i < 500; i++)
                sla_free(blocks[i]);
            _exit(0);
        }
        reap(pid);
    }
    for (size_t i = 0; i < 500; i++)
        sla_free(blocks[i]);
    script(1);
}

static void *forker(void *arg)
{
    for (size_t i = 0; i < (size_t)(uintptr_t)arg; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            alarm(5);
            script(i % 5 == 0);
            _exit(0);
        }
        reap(pid);
    }
    return NULL;
}

static void several_forkers(void *arg)
{
    pthread_t threads[BUSY], forkers[3];
    (void)arg;
    start_busy(threads);
    for (size_t i = 0; i < 3; i++)
        CHILD_REQUIRE(pthread_create(&forkers[i], NULL, forker, (void *)(uintptr_t)60) == 0);
    for (size_t i = 0; i < 3; i++)
        CHILD_REQUIRE(pthread_join(forkers[i], NULL) == 0);
    stop_busy(threads);
    script(1);
}

/* What vanished threads held must not be lost: many generations, each with orphans, in bounded space. */
static void generations(void *arg)
{
    sla_stats_t stats;
    pthread_t threads[BUSY];
    (void)arg;
    for (int generation = 0; generation < 30; generation++) {
        start_busy(threads);
        usleep(2000);
        pid_t pid = fork();
        if (pid != 0) {
            /* Each parent waits for its child and ends with its verdict. */
            stop_busy(threads);
            reap(pid);
            _exit(0);
        }
        exchange_lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
        alarm(20);
    }
    script(1);
    CHILD_REQUIRE(sla_stats_get(&stats, sizeof(stats)) == 0);
    CHILD_REQUIRE(stats.slabs <= 200 * MIB);
}

/* --- handlers --- */

static void *kept;
static int handled;

static void allocate_in_handler(void)
{
    void *blocks[200];
    for (size_t i = 0; i < 200; i++)
        CHILD_REQUIRE((blocks[i] = sla_malloc(i * 20)) != NULL);
    for (size_t i = 0; i < 200; i++)
        sla_free(blocks[i]);
    sla_free(kept);
    kept = sla_malloc(100000);
    /* Enough to make the library look for sleepers, whose slabs it must leave alone now; as must a trim. */
    static void *many[1500];
    for (size_t i = 0; i < 1500; i++)
        CHILD_REQUIRE((many[i] = sla_malloc(1000)) != NULL);
    if (handled % 2 != 0)
        (void)sla_trim(0);
    for (size_t i = 0; i < 1500; i++)
        sla_free(many[i]);
    handled++;
}

static void fork_with_handlers(void)
{
    pthread_t threads[BUSY];
    start_busy(threads);
    for (int round = 0; round < 50; round++) {
        handled = 0;
        pid_t pid = fork();
        if (pid == 0) {
            alarm(5);
            CHILD_REQUIRE(handled == 6); /* three layers, prepare and child */
            script(1);
            _exit(0);
        }
        CHILD_REQUIRE(handled == 6);
        reap(pid);
    }
    stop_busy(threads);
    script(1);
}

static int run_handlers(void)
{
    CHILD_REQUIRE(pthread_atfork(allocate_in_handler, allocate_in_handler, allocate_in_handler) == 0);
    sla_free(sla_malloc(10));
    CHILD_REQUIRE(pthread_atfork(allocate_in_handler, allocate_in_handler, allocate_in_handler) == 0);
    script(1);
    CHILD_REQUIRE(pthread_atfork(allocate_in_handler, allocate_in_handler, allocate_in_handler) == 0);
    fork_with_handlers();
    return EXIT_SUCCESS;
}

static void (*const cases[])(void *) = {
    many_forks, nested_forks, child_goes_on, single_threaded, several_forkers, generations
};

START_TEST(fork_case)
{
    static struct support_child child;
    if (SUPPORT_TSAN && cases[_i] != single_threaded)
        return;
    if (SUPPORT_ASAN && (cases[_i] == child_goes_on || cases[_i] == generations))
        return;
    support_run_child(cases[_i], NULL, 100, &child);
    ck_assert_msg(child.exited && child.status == 0, "status %d, signal %d: %s", child.status, child.signal,
                  child.errors);
    if (cases[_i] == many_forks) {
        support_ran("fork: %zu forks among %d busy threads, seed %ju", (size_t)child.mail[0], BUSY,
                    (uintmax_t)support_seed_number());
        ck_assert_uint_ge(child.mail[0], support_level() == SUPPORT_EXTENDED ? FORKS : 100);
    }
}
END_TEST

START_TEST(handlers_allocate)
{
    static struct support_child child;
    if (SUPPORT_TSAN)
        return;
    support_run_self("handlers", NULL, NULL, &child);
    ck_assert_msg(child.exited && child.status == 0, "status %d, signal %d: %s", child.status, child.signal,
                  child.errors);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "handlers") == 0)
        return run_handlers();
    Suite *suite = suite_create("threads/fork");
    TCase *tc = tcase_create("fork");
    if (!SUPPORT_MEMORY_IS_PLAIN)
        printf("fork: threads in children not tested under this sanitizer, which does not support them\n");
    tcase_set_timeout(tc, support_long() ? 900 : 150);
    tcase_add_loop_test(tc, fork_case, 0, (int)ARRAY_LEN(cases));
    tcase_add_test(tc, handlers_allocate);
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
