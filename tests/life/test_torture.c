/*
 * test_torture.c: a fork at every instant.  A thread works, and is stopped while
 * a second thread forks: at the points of util/atomic.h, before each lock and
 * each store whose order matters, and between any two instructions.  Each child
 * checks the heap, finds the blocks with their contents, and goes on allocating.
 * No stop where the thread holds a lock that the fork would wait for.
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit/unit.h"

#include "life/step.h"

#include <slaballoc/cache.h>
#include <slaballoc/heap.h>

#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define REQUIRE_SOUND() \
    do { \
        const char *wrong = slai_check_heap(); \
        if (wrong != NULL) \
            support_child_fail(__FILE__, __LINE__, wrong); \
    } while (0)

/* --- what the worker has; the child looks at it --- */

enum { NONE, MOVING, LIVE };
#define SLOTS 1200
#define MARK 16 /* bytes of each block with known contents */
static struct slot {
    _Atomic int state;
    unsigned char *start;
    sla_cache_t *cache; /* an object of it */
} slots[SLOTS];
static sla_cache_t *plain, *made;
static sla_heap_t *heap, *lent;

/* Page functions without a lock, on memory that is each process's own. */
#define UNIT (64 * KIB)
static unsigned char pool[64 * UNIT] __attribute__((aligned(64 * 1024)));
static _Atomic uint64_t pool_taken;

static void *get_pages(size_t size, int *zero, void *arg)
{
    (void)arg;
    *zero = 0;
    for (size_t i = 0; i < 62 && size <= 3 * UNIT; i += 3)
        if ((atomic_fetch_or(&pool_taken, (uint64_t)1 << i) >> i & 1) == 0)
            return pool + i * UNIT;
    return NULL;
}

static void put_pages(void *memory, size_t size, void *arg)
{
    (void)size;
    (void)arg;
    atomic_fetch_and(&pool_taken, ~((uint64_t)1 << (size_t)((unsigned char *)memory - pool) / UNIT));
}

#define MAGIC 0x6d61676963u
static int construct(void *object, void *arg)
{
    (void)arg;
    *(uint64_t *)object = MAGIC;
    return 0;
}

static void destruct(void *object, void *arg)
{
    (void)arg;
    CHILD_REQUIRE(*(uint64_t *)object == MAGIC);
    *(uint64_t *)object = 0;
}

/* Stops are in the expression alone, and not in all of them: a stepped instruction takes some 10 us. */
static size_t calls, calls_every = 1;
static int stepping;
static __thread int watched;
#define STEPPED(expression) \
    do { \
        watched = 1; \
        if (stepping && ++calls % calls_every == 0) { \
            step_on(); \
            expression; \
            step_off(); \
        } else { \
            expression; \
        } \
        watched = 0; \
    } while (0)

static void got(struct slot *s, void *p, sla_cache_t *cache)
{
    CHILD_REQUIRE(p != NULL);
    s->start = p;
    s->cache = cache;
    if (cache == NULL)
        support_fill(p, MARK, (uintptr_t)s);
    else
        CHILD_REQUIRE(cache != made || *(uint64_t *)p == MAGIC);
    atomic_store(&s->state, LIVE);
}

/* The block is not the worker's any more from here on. */
static void *leaving(struct slot *s)
{
    CHILD_REQUIRE(s->state == LIVE);
    CHILD_REQUIRE(s->cache != NULL || support_matches(s->start, MARK, (uintptr_t)s));
    atomic_store(&s->state, MOVING);
    return s->start;
}

static void take(size_t i, size_t size)
{
    void *p;
    atomic_store(&slots[i].state, MOVING);
    STEPPED(p = sla_malloc(size));
    got(&slots[i], p, NULL);
}

static void drop(size_t i)
{
    void *p = leaving(&slots[i]);
    STEPPED(sla_free(p));
    atomic_store(&slots[i].state, NONE);
}

static void take_plainly(size_t i, size_t size)
{
    got(&slots[i], sla_malloc(size), NULL);
}

static void drop_plainly(size_t i)
{
    sla_free(leaving(&slots[i]));
    atomic_store(&slots[i].state, NONE);
}

static void take_from_heap(size_t i, sla_heap_t *h, size_t size)
{
    void *p;
    atomic_store(&slots[i].state, MOVING);
    STEPPED(p = sla_heap_malloc(h, size));
    got(&slots[i], p, NULL);
}

static void take_object(size_t i, sla_cache_t *cache)
{
    void *p;
    atomic_store(&slots[i].state, MOVING);
    STEPPED(p = sla_cache_alloc(cache));
    got(&slots[i], p, cache);
}

static void drop_object(size_t i)
{
    void *p = leaving(&slots[i]);
    sla_cache_t *cache = slots[i].cache;
    STEPPED(sla_cache_free(cache, p));
    atomic_store(&slots[i].state, NONE);
}

/* --- the child --- */

static void *in_a_thread(void *arg)
{
    (void)arg;
    for (size_t size = 8; size < 300000; size *= 3)
        sla_free(sla_malloc(size));
    return NULL;
}

static void allocate_all_over(void)
{
    static struct support_block b[300];
    void *objects[20], *others[20];
    for (size_t i = 0; i < ARRAY_LEN(b); i++) {
        size_t size = i % 50 == 49 ? 70000 : 16 + i % 97 * 13;
        b[i] = (struct support_block){i % 7 == 0 ? sla_heap_malloc(heap, size) : sla_malloc(size), MARK, i};
        CHILD_REQUIRE(b[i].start != NULL);
        support_fill(b[i].start, MARK, i);
    }
    for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
        objects[i] = sla_cache_alloc(made);
        others[i] = sla_cache_alloc(plain);
        CHILD_REQUIRE(others[i] != NULL && objects[i] != NULL && *(uint64_t *)objects[i] == MAGIC);
    }
    for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
        sla_cache_free(made, objects[i]);
        sla_cache_free(plain, others[i]);
    }
    CHILD_REQUIRE(support_disjoint(b, ARRAY_LEN(b)));
    for (size_t i = 0; i < ARRAY_LEN(b); i++) {
        CHILD_REQUIRE(support_matches(b[i].start, MARK, i));
        sla_free(b[i].start);
    }
}

static size_t stops, stop_number; /* the forker's count; this child's */

static void child(void)
{
    pthread_t thread;
    alarm(20);
    REQUIRE_SOUND();
    allocate_all_over();
    for (size_t i = 0; i < SLOTS; i++) {
        if (slots[i].state != LIVE)
            continue;
        CHILD_REQUIRE(slots[i].cache != NULL || support_matches(slots[i].start, MARK, (uintptr_t)&slots[i]));
        if (slots[i].cache != NULL)
            sla_cache_free(slots[i].cache, slots[i].start);
        else
            sla_free(slots[i].start);
    }
    if (stop_number % 8 == 0) {
        CHILD_REQUIRE(pthread_create(&thread, NULL, in_a_thread, NULL) == 0);
        CHILD_REQUIRE(pthread_join(thread, NULL) == 0);
    }
    (void)sla_cache_reap(made);
    (void)sla_trim(0);
    REQUIRE_SOUND();
    _exit(0);
}

/* --- stops --- */

static sem_t asked, answered;
static _Atomic uintptr_t place; /* where the worker stands and waits for a fork; 0: it has ended */
static size_t every, phase, seen, steps, atomics_every;

static void stop_at(uintptr_t where)
{
    if (slai_lock_stops_fork())
        return;
    watched = 0;
    atomic_store(&place, where);
    sem_post(&asked);
    while (sem_wait(&answered) != 0)
        continue;
    watched = 1;
}

static void after_instruction(uintptr_t next, int after_atomic)
{
    static size_t atomics;
    int now;
    if (!watched)
        return;
    steps++;
    now = ++seen % every == phase;
    if (after_atomic)
        now |= ++atomics % atomics_every == 0;
    if (now)
        stop_at(next);
}

static void at_point(void)
{
    if (!watched)
        return;
    steps++;
    if (++seen % every == phase)
        stop_at((uintptr_t)__builtin_return_address(0));
}

static void fork_here(uintptr_t where)
{
    int status = 0;
    char text[200];
    stop_number = ++stops;
    pid_t pid = fork();
    CHILD_REQUIRE(pid >= 0);
    if (pid == 0)
        child();
    CHILD_REQUIRE(waitpid(pid, &status, 0) == pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return;
    snprintf(text, sizeof(text), "child of stop %zu at 0x%zx, every %zu phase %zu, ends well (status 0x%x)", stops,
             (size_t)step_offset(where), every, phase, (unsigned)status);
    support_child_fail(__FILE__, __LINE__, text);
}

/* --- what is done under it --- */

/* From nothing: a thread's first calls, hot paths, refills, a stack that grows, overflows. */
static void many_blocks(void)
{
    for (size_t i = 0; i < 150; i++)
        take(i, 48);
    for (size_t i = 0; i < 150; i++)
        drop(i);
    for (size_t i = 0; i < 12; i++)
        take(i, 20000);
    for (size_t i = 0; i < 12; i++)
        drop(i);
}

static void big_blocks(void)
{
    take(0, 100000);
    take(1, 3 * MIB);
    void *p = leaving(&slots[0]);
    STEPPED(p = sla_realloc(p, 150000));
    CHILD_REQUIRE(support_matches(p, MARK, (uintptr_t)&slots[0]));
    got(&slots[0], p, NULL);
    drop(1);
    drop(0);
    atomic_store(&slots[2].state, MOVING);
    STEPPED(p = sla_aligned_alloc(65536, 100));
    got(&slots[2], p, NULL);
    drop(2);
}

static void *fill_slots(void *arg)
{
    for (size_t i = 0; i < (size_t)(uintptr_t)arg; i++)
        take_plainly(i, 200);
    return NULL;
}

static void in_other_thread(void *(*function)(void *), size_t n)
{
    pthread_t thread;
    CHILD_REQUIRE(pthread_create(&thread, NULL, function, (void *)(uintptr_t)n) == 0);
    CHILD_REQUIRE(pthread_join(thread, NULL) == 0);
}

/* Frees for the depot: of slabs whose thread has ended. */
static void orphans(void)
{
    in_other_thread(fill_slots, 200);
    for (size_t i = 0; i < 200; i++)
        drop(i);
}

static struct unit_turn turn;

static void *own_and_wait(void *arg)
{
    fill_slots(arg);
    unit_pass(&turn);
    unit_await(&turn, 2);
    for (size_t i = 500; i < 600; i++)
        drop_plainly(i);
    unit_pass(&turn);
    unit_await(&turn, 4);
    return NULL;
}

/* Frees into slabs of a thread that sleeps, which frees some of ours; parking it; taking ours in. */
static void remote_frees(void)
{
    pthread_t thread;
    atomic_store(&turn.now, 0);
    for (size_t i = 500; i < 600; i++)
        take_plainly(i, 200);
    CHILD_REQUIRE(pthread_create(&thread, NULL, own_and_wait, (void *)(uintptr_t)150) == 0);
    unit_await(&turn, 1);
    for (size_t i = 0; i < 150; i++)
        drop(i);
    unit_pass(&turn);
    unit_await(&turn, 3);
    for (size_t i = 0; i < 60; i++)
        take(i, 200);
    STEPPED((void)sla_trim(0));
    for (size_t i = 0; i < 60; i++)
        drop(i);
    unit_pass(&turn);
    CHILD_REQUIRE(pthread_join(thread, NULL) == 0);
}

static void objects(void)
{
    for (size_t i = 0; i < 70; i++)
        take_object(i, i % 2 == 0 ? made : plain);
    for (size_t i = 0; i < 70; i++)
        drop_object(i);
    STEPPED((void)sla_cache_reap(made));
}

static void heaps(void)
{
    for (size_t i = 0; i < 40; i++)
        take_from_heap(i, heap, i % 10 == 9 ? 90000 : 300);
    for (size_t i = 0; i < 40; i++)
        drop(i);
    for (size_t i = 0; i < 20; i++)
        take_from_heap(i, lent, i % 10 == 9 ? 90000 : 300);
    for (size_t i = 0; i < 20; i++)
        drop(i);
}

static void tidying(void)
{
    for (size_t i = 0; i < 100; i++)
        take_plainly(i, 1000);
    for (size_t i = 0; i < 100; i++)
        if (i % 3 != 0)
            drop(i);
    STEPPED(sla_thread_idle());
    STEPPED((void)sla_maintain());
    for (size_t i = 0; i < 100; i += 3)
        drop(i);
    STEPPED((void)sla_trim(0));
}

/* The thread's end, from its own last statement to a destructor after the library's. */
static pthread_key_t last_key;
static void at_last(void *value)
{
    (void)value;
    step_off();
    watched = 0;
}

static void ending(void)
{
    for (size_t i = 0; i < 60; i++)
        take_plainly(i, 40 + i * 9);
    for (size_t i = 0; i < 30; i++)
        drop_plainly(i);
    for (size_t i = 60; i < 70; i++)
        got(&slots[i], sla_heap_malloc(heap, 100), NULL);
    pthread_setspecific(last_key, &last_key);
    watched = 1;
    if (stepping)
        step_on();
}

static void (*const works[])(void) = {
    many_blocks, big_blocks, orphans, remote_frees, objects, heaps, tidying, ending,
};
static const char *const names[] = {
    "many blocks", "big blocks", "orphans", "remote frees", "objects", "heaps", "tidying", "a thread's end",
};

static void *work(void *arg)
{
    works[(uintptr_t)arg]();
    return NULL;
}

static void clear_slots(void)
{
    for (size_t i = 0; i < SLOTS; i++) {
        if (slots[i].state == LIVE)
            sla_free(slots[i].start);
        atomic_store(&slots[i].state, NONE);
    }
}

struct plan {
    int which, stepping;
    size_t stops, steps; /* that are wanted of it */
    uint64_t seed;
};

static void *finish(void *arg)
{
    CHILD_REQUIRE(pthread_join(*(pthread_t *)arg, NULL) == 0);
    atomic_store(&place, 0);
    sem_post(&asked);
    return NULL;
}

static void one_round(int which)
{
    pthread_t thread, joiner;
    seen = 0;
    CHILD_REQUIRE(pthread_create(&thread, NULL, work, (void *)(uintptr_t)which) == 0);
    CHILD_REQUIRE(pthread_create(&joiner, NULL, finish, &thread) == 0);
    for (;;) {
        uintptr_t where;
        while (sem_wait(&asked) != 0)
            continue;
        where = atomic_load(&place);
        if (where == 0)
            break;
        fork_here(where);
        sem_post(&answered);
    }
    CHILD_REQUIRE(pthread_join(joiner, NULL) == 0);
    clear_slots();
    REQUIRE_SOUND();
}

#define INSTRUCTIONS 80000 /* of a work, about; it passes some 2000 points */
#define POINTS 2000

static void set_stride(const struct plan *plan)
{
    struct support_rng rng;
    size_t all = plan->stepping ? INSTRUCTIONS : POINTS;
    support_seed(&rng, plan->seed);
    stepping = plan->stepping;
    calls_every = stepping && all > plan->steps ? all / plan->steps : 1;
    calls = support_below(&rng, calls_every);
    every = all / calls_every / plan->stops + 1;
    atomics_every = every > 200 ? 40 : every > 20 ? 4 : 1;
    phase = support_below(&rng, every);
}

/* Rounds with stops spread over all instants, until there were as many as are wanted, or all. */
static void torture(void *arg)
{
    const struct plan *plan = arg;
    const sla_heap_pages_t pages = {get_pages, put_pages, NULL, UNIT};
    unit_begin();
    slai_conf.purge_delay = 0;
    sem_init(&asked, 0, 0);
    sem_init(&answered, 0, 0);
    plain = sla_cache_create("plain", 72, 0, 0, NULL, NULL, NULL);
    made = sla_cache_create("made", 120, 0, 0, construct, destruct, NULL);
    heap = sla_heap_create("heap");
    lent = sla_heap_create_on("lent", &pages);
    CHILD_REQUIRE(plain != NULL && made != NULL && heap != NULL && lent != NULL);
    CHILD_REQUIRE(pthread_key_create(&last_key, at_last) == 0); /* after the library's */
    set_stride(plan);
    if (stepping && !step_begin(after_instruction)) {
        support_mail[0] = SIZE_MAX;
        return;
    }
    slai_point_hook = stepping ? NULL : at_point;
    for (size_t round = 0; round < every && stops < plan->stops; round++) {
        one_round(plan->which);
        phase = (phase + 1) % every;
    }
    support_mail[0] = stops;
    support_mail[1] = steps;
}

static void run(const struct plan *plan)
{
    static struct support_child result;
    const char *unit = plan->stepping ? "instructions" : "points";
    support_run_child(torture, (void *)(uintptr_t)plan, 1500, &result);
    ck_assert_msg(result.exited && result.status == 0, "%s: status %d, signal %d: %s", names[plan->which],
                  result.status, result.signal, result.errors);
    if (result.mail[0] == SIZE_MAX) {
        support_ran("no instruction can be stepped here");
        return;
    }
    ck_assert_uint_gt(result.mail[0], 0);
    support_ran("fork torture, %s: %zu forks at %zu %s, seed %llu", names[plan->which], (size_t)result.mail[0],
                (size_t)result.mail[1], unit, (unsigned long long)plan->seed);
}

/* What to print: the environment's, if it has one. */
static uint64_t seed_of(uint64_t own)
{
    struct support_rng rng;
    support_seed(&rng, own);
    return rng.state;
}

START_TEST(at_points)
{
    struct plan plan = {_i, 0, support_plan(20, 1000, 100), 0, seed_of(20260101 + (uint64_t)_i)};
    if (!SUPPORT_TSAN)
        run(&plan);
}
END_TEST

START_TEST(at_instructions)
{
    struct plan plan = {_i, 1, support_plan(12, 1000, 100), support_plan(4000, 80000, 20000),
                        seed_of(20260111 + (uint64_t)_i)};
    if (SUPPORT_MEMORY_IS_PLAIN && STEP_POSSIBLE)
        run(&plan);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("life/torture");
    TCase *tc = tcase_create("torture");
    tcase_set_timeout(tc, 1500);
    tcase_add_loop_test(tc, at_points, 0, (int)ARRAY_LEN(works));
    tcase_add_loop_test(tc, at_instructions, 0, (int)ARRAY_LEN(works));
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
