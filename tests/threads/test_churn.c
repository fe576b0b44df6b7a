/*
 * test_churn.c: threads that come and go.  The footprint and the number of
 * mappings stay flat and nothing stays live.
 *
 * the extended level makes it a million threads.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <pthread.h>

#define BLOCKS 64

struct job {
    void *given[BLOCKS]; /* to be freed by the thread */
    void *left[BLOCKS];  /* what the thread leaves behind */
    uint64_t seed;
    int bad;
};

static void *allocate_and_free(void *arg)
{
    struct job *job = arg;
    struct support_rng rng;
    void *blocks[BLOCKS];
    size_t sizes[BLOCKS];
    support_seed_part(&rng, job->seed);
    for (size_t i = 0; i < BLOCKS; i++) {
        sizes[i] = support_below(&rng, 1500);
        blocks[i] = sla_malloc(sizes[i]);
        if (blocks[i] == NULL)
            job->bad++;
        else
            support_fill(blocks[i], sizes[i], job->seed + i);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        if (!support_matches(blocks[i], sizes[i], job->seed + i))
            job->bad++;
        sla_free(blocks[i]);
    }
    return NULL;
}

static void *leave_blocks(void *arg)
{
    struct job *job = arg;
    for (size_t i = 0; i < BLOCKS; i++) {
        job->left[i] = sla_malloc(16 << i % 8);
        memset(job->left[i], (int)i, 16 << i % 8);
    }
    return NULL;
}

static void *free_given(void *arg)
{
    struct job *job = arg;
    for (size_t i = 0; i < BLOCKS; i++)
        sla_free(job->given[i]);
    return NULL;
}

static void *exchange(void *arg)
{
    free_given(arg);
    return leave_blocks(arg);
}

static void *use_large(void *arg)
{
    struct job *job = arg;
    unsigned char *block = sla_calloc(1, 200000);
    if (block == NULL || !support_is_zero(block, 200000))
        job->bad++;
    memset(block, 1, 200000);
    sla_free(block);
    return NULL;
}

static void *cache_and_go_idle(void *arg)
{
    allocate_and_free(arg);
    sla_thread_idle();
    return NULL;
}

static void *one_block(void *arg)
{
    /* One block, the smallest life of a thread. */
    (void)arg;
    sla_free(sla_malloc(24));
    return NULL;
}

static const struct {
    void *(*run)(void *);
    int takes, leaves; /* blocks of the main thread; blocks for the main thread */
} kinds[] = {
    {allocate_and_free, 0, 0}, {leave_blocks, 0, 1}, {free_given, 1, 0},        {exchange, 1, 1},
    {use_large, 0, 0},         {one_block, 0, 0},    {cache_and_go_idle, 0, 0},
};

static void one_thread(int kind, uint64_t seed)
{
    static struct job job;
    pthread_t thread;
    job.seed = seed;
    for (size_t i = 0; kinds[kind].takes && i < BLOCKS; i++)
        job.given[i] = sla_malloc(16 << i % 8);
    ck_assert_int_eq(pthread_create(&thread, NULL, kinds[kind].run, &job), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(job.bad, 0);
    for (size_t i = 0; kinds[kind].leaves && i < BLOCKS; i++)
        sla_free(job.left[i]);
}

/* What others freed for this thread is on its way until the thread takes it in. */
static size_t live(void)
{
    sla_stats_t stats;
    sla_thread_idle();
    ck_assert_int_eq(sla_stats_get(&stats, sizeof(stats)), 0);
    return stats.live;
}

static size_t thread_count(void)
{
    sla_stats_t stats;
    ck_assert_int_eq(sla_stats_get(&stats, sizeof(stats)), 0);
    return stats.threads;
}

START_TEST(one_after_another)
{
    size_t total = support_plan(10000, 1000000, 100000) / (_i == 0 ? 1 : 5), warm = total / 10;
    size_t live_before = live(), rss = 0, mappings = 0, n;
    for (n = 0; n < warm; n++)
        one_thread(_i, n);
    rss = support_rss_kib();
    mappings = support_mappings();
    for (; n < total; n++)
        one_thread(_i, n);
    ck_assert_uint_eq(live(), live_before);
    ck_assert_uint_le(thread_count(), 3);
    support_ran("churn: %zu threads of kind %d; RSS %zu then %zu KiB, seed %ju", total, _i, rss, support_rss_kib(),
                (uintmax_t)support_seed_number());
    if (!SUPPORT_MEMORY_IS_PLAIN)
        return;
    ck_assert_msg(support_rss_kib() <= rss + 512, "RSS went from %zu to %zu KiB", rss, support_rss_kib());
    ck_assert_msg(support_mappings() <= mappings + 3, "mappings went from %zu to %zu", mappings,
                  support_mappings());
}
END_TEST

#define CROWD 12

START_TEST(crowds)
{
    static struct job jobs[CROWD];
    pthread_t threads[CROWD];
    size_t rounds = support_scaled(300), live_before = live(), rss = 0, mappings = 0;
    for (size_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < CROWD; i++) {
            jobs[i].seed = round * CROWD + i;
            ck_assert_int_eq(pthread_create(&threads[i], NULL, allocate_and_free, &jobs[i]), 0);
        }
        for (size_t i = 0; i < CROWD; i++) {
            ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
            ck_assert_int_eq(jobs[i].bad, 0);
        }
        if (round == rounds / 3) {
            rss = support_rss_kib();
            mappings = support_mappings();
        }
    }
    ck_assert_uint_eq(live(), live_before);
    ck_assert_uint_le(thread_count(), 3);
    if (SUPPORT_MEMORY_IS_PLAIN) {
        ck_assert_uint_le(support_rss_kib(), rss + 2048);
        ck_assert_uint_le(support_mappings(), mappings + CROWD);
    }
}
END_TEST

/* Many alive at once, then none: what they held is returned. */
START_TEST(big_crowd_leaves_nothing)
{
    enum { BIG = 200 };
    static struct job jobs[BIG];
    static pthread_t threads[BIG];
    pthread_attr_t attr;
    size_t live_before = live(), count = support_scaled(BIG) < 20 ? 20 : support_scaled(BIG);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 256 * KIB);
    for (size_t i = 0; i < count; i++) {
        jobs[i].seed = i;
        ck_assert_int_eq(pthread_create(&threads[i], &attr, leave_blocks, &jobs[i]), 0);
    }
    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    for (size_t i = 0; i < count; i++)
        for (size_t b = 0; b < BLOCKS; b++) {
            unsigned char *block = jobs[i].left[b];
            ck_assert_uint_eq(block[0], b);
            ck_assert_uint_eq(block[(16 << b % 8) - 1], b);
            sla_free(block);
        }
    ck_assert_uint_eq(live(), live_before);
    ck_assert_uint_le(thread_count(), 3);
    pthread_attr_destroy(&attr);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("threads/churn");
    TCase *tc = tcase_create("churn");
    tcase_set_timeout(tc, support_long() ? 900 : 120);
    tcase_add_loop_test(tc, one_after_another, 0, (int)ARRAY_LEN(kinds));
    tcase_add_test(tc, crowds);
    tcase_add_test(tc, big_crowd_leaves_nothing);
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
