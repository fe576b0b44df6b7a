/*
 * test_forkrepair.c: what a fork leaves of other threads' caches.
 *
 * Threads are parked, or run, with blocks in their stacks; the child checks
 * the heap, finds their free blocks, and goes on allocating.
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "cache/remote.h"
#include "heap/meta.h"
#include "heap/purge.h"

#include <unistd.h>

#define REQUIRE_SOUND() \
    do { \
        const char *wrong = slai_check_heap(); \
        if (wrong != NULL) \
            support_child_fail(__FILE__, __LINE__, wrong); \
    } while (0)

#define PARKED 6
#define HELD 50

static struct unit_turn turn;
static struct parked {
    pthread_t thread;
    struct slai_tcache *tc;
    void *blocks[HELD]; /* with the program */
    size_t size;
} parked[PARKED];

/* Holds some blocks, has others in its stacks, and waits. */
static void *park(void *arg)
{
    struct parked *self = arg;
    void *p[200];
    for (size_t i = 0; i < HELD; i++)
        self->blocks[i] = sla_malloc(self->size);
    for (size_t k = 0; k < 5; k++) {
        for (size_t i = 0; i < ARRAY_LEN(p); i++)
            p[i] = sla_malloc(self->size * (k + 1) % 9000);
        for (size_t i = 0; i < ARRAY_LEN(p); i++)
            sla_free(p[i]);
    }
    self->tc = slai_tcache;
    unit_pass(&turn);
    unit_await(&turn, 1000);
    for (size_t i = 0; i < HELD; i++)
        sla_free(self->blocks[i]);
    return NULL;
}

static size_t live_before;

static void park_all(void)
{
    sla_thread_idle();
    live_before = unit_stats().live;
    atomic_store(&turn.now, 0);
    for (size_t i = 0; i < PARKED; i++) {
        parked[i].size = (size_t)8 << (2 * i);
        unit_thread(&parked[i].thread, park, &parked[i]);
        unit_await(&turn, (int)i + 1);
    }
}

static void release_all(void)
{
    atomic_store(&turn.now, 1000);
    for (size_t i = 0; i < PARKED; i++)
        unit_join(parked[i].thread);
    sla_thread_idle();
    ck_assert_uint_eq(unit_stats().live, live_before);
}

static size_t held_bytes(void)
{
    size_t sum = live_before;
    for (size_t i = 0; i < PARKED; i++)
        sum += HELD * sla_good_size(parked[i].size);
    return sum;
}

static sla_stats_t child_stats(void)
{
    sla_stats_t stats;
    CHILD_REQUIRE(sla_stats_get(&stats, sizeof(stats)) == 0);
    return stats;
}

/* Allocates, checks and frees in every class. */
static void use_every_class(void)
{
    static struct support_block b[SLAI_CLASSES * 4];
    for (size_t i = 0; i < ARRAY_LEN(b); i++) {
        size_t size = slai_class_size(1 + (unsigned)(i % (SLAI_CLASSES - 1)));
        b[i] = (struct support_block){sla_malloc(size), size, i};
        CHILD_REQUIRE(b[i].start != NULL);
        support_fill(b[i].start, size, i);
    }
    CHILD_REQUIRE(support_disjoint(b, ARRAY_LEN(b)));
    for (size_t i = 0; i < ARRAY_LEN(b); i++) {
        CHILD_REQUIRE(support_matches(b[i].start, b[i].size, i));
        sla_free(b[i].start);
    }
    sla_thread_idle();
    REQUIRE_SOUND();
}

/* --- what a child does, with the parked threads gone --- */

static void heap_is_sound(void *arg)
{
    (void)arg;
    REQUIRE_SOUND();
    use_every_class();
}

static void blocks_are_found_again(void *arg)
{
    (void)arg;
    sla_stats_t stats = child_stats();
    CHILD_REQUIRE(stats.threads <= 2); /* this one, and the shared one if there is one */
    CHILD_REQUIRE(stats.live == held_bytes());
    for (size_t i = 0; i < PARKED; i++) {
        for (unsigned c = 1; c < SLAI_CLASSES; c++)
            CHILD_REQUIRE(slai_stack_count(parked[i].tc, c) == 0);
        CHILD_REQUIRE(!parked[i].tc->live);
    }
    for (size_t i = 0; i < PARKED; i++)
        for (size_t k = 0; k < HELD; k++)
            sla_free(parked[i].blocks[k]);
    sla_thread_idle();
    REQUIRE_SOUND();
    CHILD_REQUIRE(child_stats().live == live_before);
}

static void *child_thread(void *arg)
{
    (void)arg;
    use_every_class();
    sla_free(parked[0].blocks[0]);
    return NULL;
}

static void threads_start_again(void *arg)
{
    pthread_t threads[PARKED + 2];
    size_t metadata = child_stats().metadata;
    (void)arg;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        CHILD_REQUIRE(pthread_create(&threads[i], NULL, child_thread, NULL) == 0);
        CHILD_REQUIRE(pthread_join(threads[i], NULL) == 0);
        parked[0].blocks[0] = sla_malloc(parked[0].size);
    }
    CHILD_REQUIRE(child_stats().metadata <= metadata + 65536); /* with the caches of those that vanished */
    REQUIRE_SOUND();
}

static void forks_again(void *arg)
{
    struct support_child grandchild;
    for (int i = 0; i < 3; i++) {
        support_run_child(heap_is_sound, arg, 10, &grandchild);
        CHILD_REQUIRE(grandchild.exited && grandchild.status == 0);
        use_every_class();
    }
}

static void (*const children[])(void *) = {heap_is_sound, blocks_are_found_again, threads_start_again, forks_again};

static void expect_good(const struct support_child *child)
{
    ck_assert_msg(child->exited && child->status == 0, "signal %d, %s", child->signal, child->errors);
    ck_assert_str_eq(child->errors, "");
}

START_TEST(parked_threads)
{
    struct support_child child;
    if (SUPPORT_TSAN)
        return; /* it does not go on in the child of several threads */
    if (support_wrapped() && children[_i] == threads_start_again)
        return; /* qemu-user fails an assertion of its own in such a child's second thread */
    park_all();
    for (int i = 0; i < 2; i++) {
        support_run_child(children[_i], NULL, 10, &child);
        expect_good(&child);
    }
    release_all();
}
END_TEST

/* --- as of some instant: what another thread was doing --- */

static void in_a_refill(void)
{
    unsigned c = slai_class_of(parked[1].size);
    parked[1].tc->busy = c + 1;
    parked[1].tc->stacks[c].top = (void **)(uintptr_t)8; /* must not be followed */
}

static void rebuilding_all(void)
{
    parked[2].tc->busy = SLAI_CLASSES + 1;
    for (unsigned c = 1; c < SLAI_CLASSES; c++)
        parked[2].tc->stacks[c].top = parked[2].tc->bins[c].base;
}

static void counting(void)
{
    struct slai_span *s = slai_slab_of(parked[3].blocks[0]);
    s->used += 5;
    s->hint = (uint16_t)(s->words - 1);
}

static void refiling(void)
{
    struct slai_span *s = slai_slab_of(parked[0].blocks[0]);
    s->link.next = s->link.prev = (struct slai_link *)(uintptr_t)16;
    s->place = SLAI_NOWHERE;
    parked[0].tc->bins[s->class].partial.first = (struct slai_link *)(uintptr_t)24;
}

/* Bits set, the number not yet added; the block is free in the child. */
static void freeing_remotely(void)
{
    struct slai_span *s = slai_slab_of(parked[1].blocks[3]);
    uint32_t i = slai_slab_index(s, parked[1].blocks[3]);
    slai_or_release(&slai_slab_remote(s)[i / 64], (uint64_t)1 << i % 64);
}

/* Number added, not yet posted. */
static void about_to_post(void)
{
    freeing_remotely();
    slai_slab_of(parked[1].blocks[3])->remote = 1;
}

static void posted(void)
{
    about_to_post();
    parked[1].tc->inbox = slai_slab_of(parked[1].blocks[3]);
}

static void losing_pages(void)
{
    /* Taken from the page heap, and not yet (or no longer) a slab. */
    support_sink = slai_pages_take(5, 1, SLAI_KIND_BUSY);
}

static const struct {
    void (*state)(void);
    size_t lost;  /* at most so many blocks are lost with a stack */
    size_t freed; /* blocks that the program had */
} instants[] = {
    {in_a_refill, 1024, 0}, {rebuilding_all, 4000, 0}, {counting, 0, 0}, {refiling, 0, 0},
    {freeing_remotely, 0, 1}, {about_to_post, 0, 1},   {posted, 0, 1},   {losing_pages, 0, 0},
};

static int instant;

/* Its own fork: the state is made just before, in memory that only the grandchild goes on with. */
static void grandchild(void *arg)
{
    (void)arg;
    REQUIRE_SOUND();
    size_t live = child_stats().live, held = held_bytes() - instants[instant].freed * parked[1].size;
    CHILD_REQUIRE(live >= held);
    CHILD_REQUIRE(instants[instant].lost > 0 || live == held);
    if (support_sink != NULL) /* pages that were nobody's */
        CHILD_REQUIRE(slai_kind(support_sink) != SLAI_KIND_BUSY);
    use_every_class();
}

START_TEST(at_any_instant)
{
    struct support_child child;
    struct slai_tcache saved;
    struct slai_span before, *s;
    if (SUPPORT_TSAN)
        return;
    park_all();
    instant = _i;
    /* The parked threads look at nothing meanwhile, so their state can be bent and mended. */
    struct parked *victim = &parked[_i == 0 ? 1 : _i == 1 ? 2 : _i == 2 ? 3 : _i == 3 ? 0 : 1];
    s = slai_slab_of(victim->blocks[3]);
    ck_assert_ptr_eq(s, slai_slab_of(victim->blocks[0]));
    memcpy(&saved, victim->tc, sizeof(saved));
    memcpy(&before, s, sizeof(before));
    uint64_t bits = slai_slab_remote(s)[0];
    support_sink = NULL;
    instants[_i].state();
    support_run_child(grandchild, NULL, 10, &child);
    slai_slab_remote(s)[0] = bits;
    memcpy(s, &before, sizeof(before));
    memcpy(victim->tc, &saved, sizeof(saved));
    if (support_sink != NULL)
        slai_pages_give(support_sink);
    expect_good(&child);
    release_all();
}
END_TEST

/* --- threads that run --- */

static _Atomic int stop;

static void *churn(void *arg)
{
    struct support_rng rng;
    void *p[100] = {NULL};
    support_seed(&rng, (uint64_t)(uintptr_t)arg);
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        size_t i = support_below(&rng, ARRAY_LEN(p));
        sla_free(p[i]);
        p[i] = sla_malloc(support_random_size(&rng));
        if (support_below(&rng, 400) == 0)
            sla_thread_idle();
        if (support_below(&rng, 1000) == 0)
            (void)sla_trim(0);
    }
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        sla_free(p[i]);
    return NULL;
}

static void *churn_batches(void *arg)
{
    struct support_rng rng;
    void *p[300];
    support_seed(&rng, (uint64_t)(uintptr_t)arg);
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        size_t n = support_below(&rng, ARRAY_LEN(p));
        n = sla_alloc_batch(support_below(&rng, 3000), p, n);
        sla_free_batch(p, n);
    }
    return NULL;
}

static void *brief(void *arg)
{
    void *p[30];
    (void)arg;
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        p[i] = sla_malloc(i * 100);
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        sla_free(p[i]);
    return NULL;
}

static void *come_and_go(void *arg)
{
    pthread_t thread;
    (void)arg;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        if (pthread_create(&thread, NULL, brief, NULL) == 0)
            pthread_join(thread, NULL);
    }
    return NULL;
}

START_TEST(running_threads)
{
    pthread_t threads[5];
    struct support_child child;
    size_t rounds = support_scaled(25);
    if (SUPPORT_TSAN)
        return;
    atomic_store(&stop, 0);
    slai_conf.purge_delay = _i == 0 ? -1 : 0;
    for (uintptr_t i = 0; i < 3; i++)
        unit_thread(&threads[i], churn, (void *)(i + 1));
    unit_thread(&threads[3], come_and_go, NULL);
    unit_thread(&threads[4], churn_batches, (void *)(uintptr_t)4);
    for (size_t i = 0; i < rounds; i++) {
        support_run_child(heap_is_sound, NULL, 10, &child);
        if (!child.exited || child.status != 0)
            break;
    }
    atomic_store(&stop, 1);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        unit_join(threads[i]);
    expect_good(&child);
}
END_TEST

/* A fork without other threads leaves all as it is: nothing is counted or filed anew. */
static void still_there(void *arg)
{
    struct slai_tcache *tc = slai_tcache;
    unsigned c = slai_class_of(64);
    CHILD_REQUIRE(slai_stack_count(tc, c) == *(uint32_t *)arg);
    heap_is_sound(NULL);
}

/* --- while another thread is in the metadata, which waits for the system --- */

static _Thread_local int is_slow;
static atomic_int inside;

static bool slow_commit(enum slai_call call, size_t size)
{
    (void)size;
    if (call == SLAI_CALL_COMMIT && is_slow && atomic_exchange(&inside, 1) == 0)
        unit_sleep(100);
    return false;
}

static void *takes_metadata(void *arg)
{
    is_slow = 1;
    while (atomic_load(&inside) == 0)
        UNIT_EXPECT(slai_meta_take(4000) != NULL);
    return arg;
}

static void takes_some_too(void *arg)
{
    (void)arg;
    CHILD_REQUIRE(slai_meta_take(100) != NULL);
    heap_is_sound(NULL);
}

START_TEST(amid_metadata)
{
    struct support_child child;
    pthread_t thread;
    if (SUPPORT_TSAN)
        return;
    atomic_store(&inside, 0);
    slai_fault.ask = slow_commit;
    unit_thread(&thread, takes_metadata, NULL);
    while (atomic_load(&inside) == 0)
        continue;
    support_run_child(takes_some_too, NULL, 10, &child);
    unit_join(thread);
    slai_fault.ask = NULL;
    expect_good(&child);
}
END_TEST

/* The plain library's are there before the first thread is. */
static int watched_at_the_start;

START_TEST(handlers_in_time)
{
    ck_assert_int_eq(watched_at_the_start, 1);
}
END_TEST

START_TEST(alone)
{
    struct support_child child;
    sla_free(sla_malloc(support_size(64)));
    uint32_t count = slai_stack_count(slai_tcache, slai_class_of(64));
    ck_assert_uint_gt(count, 0);
    support_run_child(still_there, &count, 10, &child);
    expect_good(&child);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("forkrepair");
    watched_at_the_start = slai_fork_watched;
    TCase *tc = unit_case(suite, "forkrepair");
    tcase_add_loop_test(tc, parked_threads, 0, (int)ARRAY_LEN(children));
    tcase_add_loop_test(tc, at_any_instant, 0, (int)ARRAY_LEN(instants));
    tcase_add_loop_test(tc, running_threads, 0, 2);
    tcase_add_test(tc, amid_metadata);
    tcase_add_test(tc, handlers_in_time);
    tcase_add_test(tc, alone);
    return support_main(suite);
}
