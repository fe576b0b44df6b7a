/*
 * test_stress.c: threads at random, with contents checked, against one shared
 * table of blocks; and the order of memory between free and malloc.
 *
 * SLABALLOC_TEST_SEED=n replays one seed.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <pthread.h>
#include <stdatomic.h>

#define THREADS_MAX 16
#define SHARED 4096
#define LOCKS 64

struct shared {
    pthread_mutex_t locks[LOCKS];
    struct support_block slots[SHARED];
    size_t rounds, size_limit;
};
struct member {
    struct shared *shared;
    uint64_t seed;
    size_t bad;
};

static struct support_block make(struct support_rng *rng, size_t limit)
{
    size_t size = limit != 0 ? support_below(rng, limit) : support_random_size(rng);
    struct support_block block = {NULL, size, support_next(rng)};
    switch (support_below(rng, 6)) {
    case 0:
        block.start = sla_calloc(1, size);
        if (block.start != NULL && !support_is_zero(block.start, size))
            block.start = NULL;
        break;
    case 1:
        block.start = sla_aligned_alloc((size_t)16 << support_below(rng, 5), size);
        break;
    default:
        block.start = sla_malloc(size);
    }
    if (block.start != NULL)
        support_fill(block.start, size, block.seed);
    return block;
}

static int check_and_free(struct support_block block)
{
    if (block.start == NULL)
        return 1;
    int good = support_matches(block.start, block.size, block.seed);
    sla_free(block.start);
    return good;
}

static struct support_block exchange(struct shared *shared, size_t i, struct support_block block)
{
    pthread_mutex_lock(&shared->locks[i % LOCKS]);
    struct support_block old = shared->slots[i];
    shared->slots[i] = block;
    pthread_mutex_unlock(&shared->locks[i % LOCKS]);
    return old;
}

static void *take_part(void *arg)
{
    struct member *m = arg;
    struct support_block own[256];
    struct support_rng rng;
    memset(own, 0, sizeof(own));
    support_seed_part(&rng, m->seed);
    for (size_t round = 0; round < m->shared->rounds; round++) {
        size_t i = support_below(&rng, ARRAY_LEN(own)), dice = support_below(&rng, 4096);
        m->bad += !check_and_free(own[i]);
        own[i] = make(&rng, m->shared->size_limit);
        m->bad += own[i].start == NULL;
        if (dice < 1024)
            own[i] = exchange(m->shared, support_below(&rng, SHARED), own[i]);
        else if (dice == 4095)
            sla_thread_idle();
        else if (dice == 4094)
            (void)sla_trim(support_below(&rng, 2) * MIB);
        else if (dice == 4093)
            (void)sla_maintain();
    }
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        m->bad += !check_and_free(own[i]);
    return NULL;
}

/* What others freed for this thread is on its way until the thread takes it in. */
static size_t live(void)
{
    sla_stats_t stats;
    sla_thread_idle();
    ck_assert_int_eq(sla_stats_get(&stats, sizeof(stats)), 0);
    return stats.live;
}

static const struct {
    size_t threads, rounds, limit;
    long purge_delay;
} plans[] = {
    {2, 100000, 0, 500}, {4, 50000, 0, 500},     {8, 30000, 0, 0},      {16, 15000, 0, 10},
    {4, 80000, 64, 500}, {8, 40000, 1000, 500},  {3, 80000, 9, 500},    {4, 10000, 100000, 0},
    {8, 3000, 300000, 5}, {6, 30000, 33000, -1}, {2, 100000, 16, 0},    {5, 40000, 0, 1},
};

static void run_round(struct shared *shared, size_t threads, uint64_t seed)
{
    struct member members[THREADS_MAX];
    pthread_t ids[THREADS_MAX];
    for (size_t i = 0; i < threads; i++) {
        members[i] = (struct member){shared, seed * 100 + i, 0};
        ck_assert_int_eq(pthread_create(&ids[i], NULL, take_part, &members[i]), 0);
    }
    for (size_t i = 0; i < threads; i++) {
        ck_assert_int_eq(pthread_join(ids[i], NULL), 0);
        ck_assert_msg(members[i].bad == 0, "thread %zu of seed %ju: %zu blocks bad", i, (uintmax_t)seed,
                      members[i].bad);
    }
    ck_assert(support_disjoint(shared->slots, SHARED));
}

START_TEST(random_threads)
{
    static struct shared shared;
    size_t before = live(), generations = support_level() == SUPPORT_SOAK ? 15 : support_long() ? 60 : 3;
    long delay = 500;
    memset(&shared, 0, sizeof(shared));
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_init(&shared.locks[i], NULL);
    shared.rounds = support_scaled(plans[_i].rounds) / (support_long() ? 3 : 10);
    shared.size_limit = plans[_i].limit;
    ck_assert_int_eq(sla_option_get("purge_delay", &delay), 0);
    ck_assert_int_eq(sla_option_set("purge_delay", plans[_i].purge_delay), 0);
    /* Blocks of one generation of threads are freed by the next. */
    for (size_t generation = 0; generation < generations; generation++)
        run_round(&shared, plans[_i].threads, 1000 * (uint64_t)_i + generation);
    for (size_t i = 0; i < SHARED; i++)
        ck_assert(check_and_free(shared.slots[i]));
    ck_assert_uint_eq(live(), before);
    ck_assert_int_eq(sla_option_set("purge_delay", delay), 0);
    support_ran("stress: plan %d, %zu generations of %zu threads, %zu rounds each, seed %ju", _i, generations,
                plans[_i].threads, shared.rounds, (uintmax_t)support_seed_number());
}
END_TEST

/*
 * Order of memory.  Threads write to every block and share nothing but the
 * allocator: what one wrote before free happens before what the next writes
 * after malloc.  ThreadSanitizer sees a race here if the allocator does not
 * order them.
 */
struct writer {
    size_t rounds, size;
    unsigned char mark;
    size_t bad;
};

static void *write_and_free(void *arg)
{
    struct writer *w = arg;
    unsigned char *blocks[300];
    for (size_t round = 0; round < w->rounds; round++) {
        for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
            blocks[i] = sla_malloc(w->size);
            memset(blocks[i], w->mark, w->size);
        }
        for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
            w->bad += blocks[i][0] != w->mark || blocks[i][w->size - 1] != w->mark;
            sla_free(blocks[i]);
        }
        if (round % 3 == 0)
            sla_thread_idle();
    }
    return NULL;
}

static const size_t ordered_sizes[] = {16, 48, 256, 1000, 5000, 30000, 70000};

START_TEST(free_happens_before_malloc)
{
    struct writer writers[4];
    pthread_t threads[4];
    size_t rounds = ordered_sizes[_i] < 2000 ? 300 : 30;
    for (size_t i = 0; i < ARRAY_LEN(writers); i++) {
        writers[i] = (struct writer){support_scaled(rounds), ordered_sizes[_i], (unsigned char)(i + 1), 0};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, write_and_free, &writers[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(writers); i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        ck_assert_uint_eq(writers[i].bad, 0);
    }
}
END_TEST

/* The same through remote frees: the block goes over with release, and comes back by the allocator alone. */
static _Atomic(unsigned char *) mailbox[512];
static atomic_int sender_done;
static size_t mail_size;

static void *receive(void *arg)
{
    size_t *received = arg;
    int last = 0;
    while (!last) {
        last = atomic_load_explicit(&sender_done, memory_order_acquire);
        for (size_t i = 0; i < ARRAY_LEN(mailbox); i++) {
            unsigned char *block = atomic_exchange_explicit(&mailbox[i], NULL, memory_order_acquire);
            if (block == NULL)
                continue;
            memset(block, 0xbb, mail_size);
            sla_free(block);
            ++*received;
        }
    }
    return NULL;
}

START_TEST(remote_free_happens_before_malloc)
{
    pthread_t thread;
    size_t received = 0, sent = 0, before = live(),
           count = support_scaled(60000) * (ordered_sizes[_i] < 2000 ? 1 : 0) + support_scaled(5000);
    atomic_store(&sender_done, 0);
    mail_size = ordered_sizes[_i];
    ck_assert_int_eq(pthread_create(&thread, NULL, receive, &received), 0);
    for (size_t i = 0; i < count; i++) {
        unsigned char *block = sla_malloc(mail_size), *none = NULL;
        memset(block, 0xaa, mail_size);
        if (atomic_compare_exchange_strong_explicit(&mailbox[i % ARRAY_LEN(mailbox)], &none, block,
                                                    memory_order_release, memory_order_relaxed))
            sent++;
        else
            sla_free(block);
    }
    atomic_store_explicit(&sender_done, 1, memory_order_release);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_uint_eq(sent, received);
    ck_assert_uint_eq(live(), before);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("threads/stress");
    TCase *tc = tcase_create("stress");
    tcase_set_timeout(tc, support_long() ? 900 : 120);
    tcase_add_loop_test(tc, random_threads, 0, (int)ARRAY_LEN(plans));
    tcase_add_loop_test(tc, free_happens_before_malloc, 0, (int)ARRAY_LEN(ordered_sizes));
    tcase_add_loop_test(tc, remote_free_happens_before_malloc, 0, (int)ARRAY_LEN(ordered_sizes));
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
