/*
 * test_remote.c: blocks freed by other threads than the one that allocated
 * them: rings, queues, threads that only free.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

/* What others freed for this thread is on its way until the thread takes it in. */
static size_t live(void)
{
    sla_stats_t stats;
    sla_thread_idle();
    ck_assert_int_eq(sla_stats_get(&stats, sizeof(stats)), 0);
    return stats.live;
}

/* --- a bounded queue --- */

#define QUEUE_MAX 1024
struct queue {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct support_block items[QUEUE_MAX];
    size_t first, count, bound;
};

static void queue_init(struct queue *q, size_t bound)
{
    memset(q, 0, sizeof(*q));
    pthread_mutex_init(&q->mutex, NULL);
    pthread_cond_init(&q->changed, NULL);
    q->bound = bound;
}

static void queue_put(struct queue *q, struct support_block block)
{
    pthread_mutex_lock(&q->mutex);
    while (q->count == q->bound)
        pthread_cond_wait(&q->changed, &q->mutex);
    q->items[(q->first + q->count++) % QUEUE_MAX] = block;
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->mutex);
}

static struct support_block queue_get(struct queue *q)
{
    pthread_mutex_lock(&q->mutex);
    while (q->count == 0)
        pthread_cond_wait(&q->changed, &q->mutex);
    struct support_block block = q->items[q->first];
    q->first = (q->first + 1) % QUEUE_MAX;
    q->count--;
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->mutex);
    return block;
}

static struct support_block make(struct support_rng *rng, size_t limit)
{
    size_t size = support_below(rng, limit) + 1;
    struct support_block block = {sla_malloc(size), size, support_next(rng)};
    if (block.start != NULL)
        support_fill(block.start, size, block.seed);
    return block;
}

static int consume(struct support_block block)
{
    int good = block.start != NULL && support_matches(block.start, block.size, block.seed);
    sla_free(block.start);
    return good;
}

/* --- producers and consumers --- */

#define WORKERS_MAX 4
static const struct {
    size_t producers, consumers, limit, bound, blocks;
} flows[] = {
    {1, 1, 64, 1000, 60000},      {1, 1, 1500, 1000, 60000}, {1, 3, 256, 100, 40000},
    {3, 1, 256, 100, 40000},      {2, 2, 3000, 1000, 40000}, {4, 4, 40, 500, 60000},
    {1, 1, 32 * 1024, 16, 30000}, {1, 1, 200000, 4, 3000},
};

struct worker {
    struct queue *queue;
    size_t blocks, limit;
    uint64_t seed;
    size_t bad;
};

static void *produce_all(void *arg)
{
    struct worker *w = arg;
    struct support_rng rng;
    support_seed(&rng, w->seed);
    for (size_t i = 0; i < w->blocks; i++)
        queue_put(w->queue, make(&rng, w->limit));
    return NULL;
}

static void *consume_all(void *arg)
{
    struct worker *w = arg;
    for (size_t i = 0; i < w->blocks; i++)
        w->bad += !consume(queue_get(w->queue));
    return NULL;
}

static void run_flow(size_t flow, size_t blocks)
{
    static struct queue queue;
    struct worker workers[2 * WORKERS_MAX];
    pthread_t threads[2 * WORKERS_MAX];
    size_t producers = flows[flow].producers, consumers = flows[flow].consumers, n = producers + consumers;
    size_t total = blocks / (producers * consumers) * producers * consumers;
    queue_init(&queue, flows[flow].bound);
    for (size_t i = 0; i < n; i++) {
        int produces = i < producers;
        workers[i] =
            (struct worker){&queue, total / (produces ? producers : consumers), flows[flow].limit, i, 0};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, produces ? produce_all : consume_all, &workers[i]),
                         0);
    }
    for (size_t i = 0; i < n; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        ck_assert_uint_eq(workers[i].bad, 0);
    }
    ck_assert_uint_eq(queue.count, 0);
}

START_TEST(producers_and_consumers)
{
    size_t blocks = support_scaled(flows[_i].blocks) * (support_long() ? 50 : 1), before = live();
    run_flow((size_t)_i, blocks / 10 + 20);
    size_t rss = support_rss_kib();
    run_flow((size_t)_i, blocks);
    ck_assert_uint_eq(live(), before);
    /* What is live at any time is the queue; without drained inboxes all blocks would pile up. */
    size_t bound = flows[_i].bound * flows[_i].limit / KIB;
    if (SUPPORT_MEMORY_IS_PLAIN)
        ck_assert_msg(support_rss_kib() <= rss + 8192 + 2 * bound, "RSS went from %zu to %zu KiB", rss,
                      support_rss_kib());
}
END_TEST

/* --- a ring: each allocates and frees what its neighbour allocated --- */

#define RING 5
struct ring {
    struct queue queues[RING];
    size_t rounds;
};
struct place {
    struct ring *ring;
    size_t index, bad;
};

static void *run_place(void *arg)
{
    struct place *place = arg;
    struct support_rng rng;
    support_seed(&rng, 31 + place->index);
    for (size_t round = 0; round < place->ring->rounds; round++) {
        struct support_block out[32];
        for (size_t i = 0; i < ARRAY_LEN(out); i++)
            out[i] = make(&rng, round % 2 ? 100 : 2000);
        for (size_t i = 0; i < ARRAY_LEN(out); i++)
            queue_put(&place->ring->queues[(place->index + 1) % RING], out[i]);
        for (size_t i = 0; i < ARRAY_LEN(out); i++)
            place->bad += !consume(queue_get(&place->ring->queues[place->index]));
    }
    return NULL;
}

START_TEST(ring_of_threads)
{
    static struct ring ring;
    struct place places[RING];
    pthread_t threads[RING];
    size_t before = live();
    ring.rounds = support_scaled(1000);
    for (size_t i = 0; i < RING; i++)
        queue_init(&ring.queues[i], 512);
    for (size_t i = 0; i < RING; i++) {
        places[i] = (struct place){&ring, i, 0};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run_place, &places[i]), 0);
    }
    for (size_t i = 0; i < RING; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        ck_assert_uint_eq(places[i].bad, 0);
    }
    ck_assert_uint_eq(live(), before);
}
END_TEST

/* --- threads that never allocate --- */

static const size_t free_only_sizes[] = {16, 64, 512, 4000, 30000, 100000};

START_TEST(free_only_thread_holds_little)
{
    static struct queue queue;
    size_t size = free_only_sizes[_i], blocks = support_scaled(size < 1000 ? 100000 : 20000), peak = 0, rss;
    struct worker worker = {&queue, blocks, 0, 0, 0};
    pthread_t thread;
    queue_init(&queue, 100);
    size_t before = live();
    rss = support_rss_kib();
    ck_assert_int_eq(pthread_create(&thread, NULL, consume_all, &worker), 0);
    for (size_t i = 0; i < blocks; i++) {
        struct support_block block = {sla_malloc(size), size < 64 ? size : 64, i};
        ck_assert_ptr_nonnull(block.start);
        support_fill(block.start, block.size, i);
        queue_put(&queue, block);
        if (i % 2000 == 0 && support_rss_kib() > peak)
            peak = support_rss_kib();
    }
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_uint_eq(worker.bad, 0);
    ck_assert_uint_eq(live(), before);
    if (SUPPORT_MEMORY_IS_PLAIN)
        ck_assert_msg(peak <= rss + 8192 + 200 * size / KIB, "RSS went from %zu to %zu KiB", rss, peak);
}
END_TEST

/* An owner that sleeps does not keep what others free for it from ever being used again. */
static atomic_int owner_may_end;

static void *allocate_then_wait(void *arg)
{
    struct worker *w = arg;
    for (size_t i = 0; i < w->blocks; i++)
        queue_put(w->queue, (struct support_block){sla_malloc(w->limit), 0, 0});
    while (!atomic_load(&owner_may_end))
        sched_yield();
    return NULL;
}

START_TEST(blocks_of_an_idle_owner_come_back_after_its_end)
{
    static struct queue queue;
    size_t before = live(), blocks = 20000;
    pthread_t thread;
    queue_init(&queue, 1000);
    struct worker owner = {&queue, blocks, 100, 0, 0};
    atomic_store(&owner_may_end, 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, allocate_then_wait, &owner), 0);
    for (size_t i = 0; i < blocks; i++)
        sla_free(queue_get(&queue).start);
    atomic_store(&owner_may_end, 1);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    sla_thread_idle();
    (void)sla_trim(0);
    sla_stats_t stats;
    ck_assert_int_eq(sla_stats_get(&stats, sizeof(stats)), 0);
    ck_assert_uint_eq(stats.live, before);
    ck_assert_uint_eq(stats.dirty, 0);
    ck_assert_uint_le(stats.slabs, 2 * MIB);
}
END_TEST

/* --- realloc and usable_size of another thread's block --- */

static void *grow_others(void *arg)
{
    struct worker *w = arg;
    for (size_t i = 0; i < w->blocks; i++) {
        struct support_block block = queue_get(w->queue);
        size_t size = block.size * (i % 5 + 1) + 3;
        if (sla_usable_size(block.start) < block.size)
            w->bad++;
        block.start = sla_realloc(block.start, size);
        if (block.start == NULL || !support_matches(block.start, block.size & ~(size_t)7, block.seed))
            w->bad++;
        sla_free(block.start);
    }
    return NULL;
}

START_TEST(realloc_of_anothers_block)
{
    static struct queue queue;
    struct support_rng rng;
    size_t before = live();
    struct worker worker = {&queue, support_scaled(30000), 0, 0, 0};
    pthread_t thread;
    queue_init(&queue, 64);
    support_seed(&rng, 8);
    ck_assert_int_eq(pthread_create(&thread, NULL, grow_others, &worker), 0);
    for (size_t i = 0; i < worker.blocks; i++)
        queue_put(&queue, make(&rng, i % 100 == 0 ? 100000 : 600));
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_uint_eq(worker.bad, 0);
    ck_assert_uint_eq(live(), before);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("threads/remote");
    TCase *tc = tcase_create("remote");
    tcase_set_timeout(tc, support_long() ? 600 : 120);
    tcase_add_loop_test(tc, producers_and_consumers, 0, (int)ARRAY_LEN(flows));
    tcase_add_test(tc, ring_of_threads);
    tcase_add_loop_test(tc, free_only_thread_holds_little, 0, (int)ARRAY_LEN(free_only_sizes));
    tcase_add_test(tc, blocks_of_an_idle_owner_come_back_after_its_end);
    tcase_add_test(tc, realloc_of_anothers_block);
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
