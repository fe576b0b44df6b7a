/*
 * test_fork.c: ways to make a process beside busy threads, other than fork alone:
 * vfork, posix_spawn and daemon; and fork with object caches, heaps and page
 * functions in use, from whose callbacks others fork too.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* vfork, daemon */
#endif
#include "unit/unit.h"

#include <slaballoc/cache.h>
#include <slaballoc/heap.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define BUSY 8
#define MAGIC 0x6d61676963u

static _Atomic int stop;
static sla_cache_t *cache;
static sla_heap_t *heap, *lent;

/* --- memory that is lent: each process's own, and no lock --- */

static void *get_pages(size_t size, int *zero, void *arg)
{
    char *p = mmap(NULL, size + 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)arg;
    *zero = 1;
    return p == MAP_FAILED ? NULL : p + (-(uintptr_t)p & 65535); /* what is cut off is never given back: a test */
}

static void put_pages(void *memory, size_t size, void *arg)
{
    (void)arg;
    munmap(memory, size);
}

static int construct(void *object, void *arg)
{
    (void)arg;
    sla_free(sla_malloc(50));
    *(uint64_t *)object = MAGIC;
    return 0;
}

static void destruct(void *object, void *arg)
{
    (void)arg;
    CHILD_REQUIRE(*(uint64_t *)object == MAGIC);
    *(uint64_t *)object = 0;
}

static void make_all(void)
{
    const sla_heap_pages_t pages = {get_pages, put_pages, NULL, 65536};
    cache = sla_cache_create("objects", 80, 0, 0, construct, destruct, NULL);
    heap = sla_heap_create("heap");
    lent = sla_heap_create_on("lent", &pages);
    CHILD_REQUIRE(cache != NULL && heap != NULL && lent != NULL);
}

/* --- what the threads, and the children, do --- */

enum { PLAIN, OBJECT, HEAP, LENT, KINDS };
struct thing {
    unsigned char *start;
    int kind;
};

static void let_go(struct thing *t)
{
    if (t->start != NULL && t->kind != OBJECT)
        CHILD_REQUIRE(support_matches(t->start, 16, (uintptr_t)t));
    if (t->kind == OBJECT && t->start != NULL)
        CHILD_REQUIRE(*(uint64_t *)t->start == MAGIC);
    if (t->kind == OBJECT)
        sla_cache_free(cache, t->start);
    else
        sla_free(t->start);
    t->start = NULL;
}

static void take(struct thing *t, struct support_rng *rng)
{
    size_t size = 16 + support_below(rng, support_below(rng, 20) == 0 ? 60000 : 1500);
    t->kind = (int)support_below(rng, KINDS);
    if (t->kind == OBJECT)
        t->start = sla_cache_alloc(cache);
    else
        t->start = t->kind == PLAIN ? sla_malloc(size) : sla_heap_malloc(t->kind == HEAP ? heap : lent, size);
    CHILD_REQUIRE(t->start != NULL);
    if (t->kind != OBJECT)
        support_fill(t->start, 16, (uintptr_t)t);
}

static void use_all(struct support_rng *rng, size_t rounds)
{
    struct thing things[60] = {{NULL, PLAIN}};
    for (size_t n = 0; n < rounds; n++) {
        struct thing *t = &things[support_below(rng, ARRAY_LEN(things))];
        let_go(t);
        take(t, rng);
    }
    for (size_t i = 0; i < ARRAY_LEN(things); i++)
        let_go(&things[i]);
    if (support_below(rng, 8) == 0)
        (void)sla_cache_reap(cache);
}

static void *busy(void *arg)
{
    struct support_rng rng;
    support_seed(&rng, (uintptr_t)arg);
    (void)!nice(10); /* this thread alone, on Linux: what forks is not to wait for its turn */
    while (!atomic_load(&stop)) {
        use_all(&rng, 150);
        usleep(100); /* processors are few */
    }
    return NULL;
}

static pthread_t threads[BUSY];
static void start_busy(void)
{
    for (uintptr_t i = 0; i < BUSY; i++)
        CHILD_REQUIRE(pthread_create(&threads[i], NULL, busy, (void *)(i + 1)) == 0);
}

static void stop_busy(void)
{
    atomic_store(&stop, 1);
    for (size_t i = 0; i < BUSY; i++)
        CHILD_REQUIRE(pthread_join(threads[i], NULL) == 0);
    CHILD_REQUIRE(slai_check_heap() == NULL);
}

static void reap(pid_t pid)
{
    char text[64];
    int status = 0;
    CHILD_REQUIRE(pid > 0 && waitpid(pid, &status, 0) == pid);
    snprintf(text, sizeof(text), "the child ends well (status 0x%x)", (unsigned)status);
    if (status != 0)
        support_child_fail(__FILE__, __LINE__, text);
}

static void child_script(size_t seed)
{
    struct support_rng rng;
    alarm(20);
    CHILD_REQUIRE(slai_check_heap() == NULL);
    support_seed(&rng, seed);
    use_all(&rng, 300);
    if (seed % 8 == 0) { /* threads of its own */
        atomic_store(&stop, 0);
        start_busy();
        use_all(&rng, 100);
        stop_busy();
    }
    (void)sla_trim(0);
    CHILD_REQUIRE(slai_check_heap() == NULL);
}

/* --- the ways --- */

static void by_fork(size_t n)
{
    pid_t pid = fork();
    if (pid == 0) {
        child_script(n);
        if (n % 16 == 3) /* a child of the child */
            by_fork(n + 1);
        _exit(0);
    }
    reap(pid);
}

static char *const arguments[] = {(char *)"self", (char *)"nothing", NULL};

/* The child shares our memory, and has our thread's cache, until it is another program. */
static void by_vfork(size_t n)
{
    pid_t pid = vfork();
    (void)n;
    if (pid == 0) {
        execv("/proc/self/exe", arguments);
        _exit(1);
    }
    reap(pid);
}

static void by_posix_spawn(size_t n)
{
    pid_t pid;
    (void)n;
    CHILD_REQUIRE(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, arguments, NULL) == 0);
    reap(pid);
}

/* No helper thread of ours is missing in the daemon: what is free is given back by whoever comes along. */
static void by_daemon(size_t n)
{
    int ends[2];
    char result = 0;
    CHILD_REQUIRE(pipe(ends) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        CHILD_REQUIRE(daemon(1, 1) == 0);
        close(ends[0]);
        CHILD_REQUIRE(sla_option_set("purge_delay", 1) == 0);
        child_script(n | 8);
        void *big = sla_malloc(MIB);
        memset(big, 1, MIB);
        sla_free(big);
        while (unit_stats().dirty >= MIB) { /* until the alarm */
            unit_sleep(5);
            (void)sla_maintain();
        }
        CHILD_REQUIRE(write(ends[1], "!", 1) == 1);
        _exit(0);
    }
    close(ends[1]);
    reap(pid); /* which is not the daemon */
    CHILD_REQUIRE(read(ends[0], &result, 1) == 1 && result == '!');
    close(ends[0]);
}

static const struct {
    const char *name;
    void (*one)(size_t n);
    size_t check, extended, soak;
} ways[] = {
    {"fork", by_fork, 60, 3000, 2000},
    {"vfork and exec", by_vfork, 60, 6000, 2000},
    {"posix_spawn", by_posix_spawn, 40, 2000, 500},
    {"daemon", by_daemon, 3, 100, 50},
};

static void many(void *arg)
{
    uintptr_t way = (uintptr_t)arg;
    size_t all = support_plan(ways[way].check, ways[way].extended, ways[way].soak);
    make_all();
    start_busy();
    for (size_t n = 0; n < all; n++)
        ways[way].one(n);
    stop_busy();
    support_mail[0] = all;
}

START_TEST(beside_busy_threads)
{
    static struct support_child child;
    if (SUPPORT_TSAN || SUPPORT_ASAN)
        return; /* their own runtimes do not survive each fork */
    support_run_child(many, (void *)(uintptr_t)_i, 1200, &child);
    ck_assert_msg(child.exited && child.status == 0, "%s: status %d, signal %d: %s", ways[_i].name, child.status,
                  child.signal, child.errors);
    support_ran("processes by %s beside %d busy threads: %zu", ways[_i].name, BUSY, (size_t)child.mail[0]);
}
END_TEST

/* --- from callbacks, where no lock is held --- */

static int forks_left;
static int fork_in_constructor(void *object, void *arg)
{
    construct(object, arg);
    if (forks_left > 0) {
        pid_t pid;
        forks_left--;
        pid = fork();
        if (pid == 0) {
            forks_left = 0;
            child_script(1);
            _exit(0);
        }
        reap(pid);
    }
    return 0;
}

static void fork_in_destructor(void *object, void *arg)
{
    (void)fork_in_constructor(object, arg);
}

static int fork_in_visit(void *object, void *arg)
{
    return fork_in_constructor(object, arg);
}

static void from_callbacks(void *arg)
{
    void *objects[100];
    make_all();
    start_busy();
    sla_cache_t *own = sla_cache_create("own", 200, 0, 0, fork_in_constructor, fork_in_destructor, arg);
    for (int round = 0; round < 4; round++) {
        forks_left = 3;
        for (size_t i = 0; i < ARRAY_LEN(objects); i++)
            CHILD_REQUIRE((objects[i] = sla_cache_alloc(own)) != NULL);
        forks_left = 3;
        CHILD_REQUIRE(sla_cache_iterate(own, fork_in_visit, NULL) == 0);
        for (size_t i = 0; i < ARRAY_LEN(objects); i++)
            sla_cache_free(own, objects[i]);
        forks_left = 3;
        (void)sla_cache_reap(own);
    }
    forks_left = 0;
    CHILD_REQUIRE(sla_cache_destroy(own) == 0);
    stop_busy();
}

START_TEST(callbacks_fork)
{
    static struct support_child child;
    if (SUPPORT_TSAN || SUPPORT_ASAN)
        return;
    support_run_child(from_callbacks, NULL, 100, &child);
    ck_assert_msg(child.exited && child.status == 0, "status %d, signal %d: %s", child.status, child.signal,
                  child.errors);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "nothing") == 0)
        return EXIT_SUCCESS;
    Suite *suite = suite_create("life/fork");
    TCase *tc = unit_case(suite, "fork");
    tcase_set_timeout(tc, 1200);
    tcase_add_loop_test(tc, beside_busy_threads, 0, (int)ARRAY_LEN(ways));
    tcase_add_test(tc, callbacks_fork);
    return support_main(suite);
}
