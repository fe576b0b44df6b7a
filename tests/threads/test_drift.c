/*
 * test_drift.c: window after window of mixed work in one process.  Between them
 * nothing is live, the invariants hold, and after a trim neither the memory nor
 * the mappings have grown since the first windows.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include "heap/check.h"

#include <pthread.h>
#include <stdatomic.h>

#include <slaballoc/cache.h>
#include <slaballoc/heap.h>

#define THREADS 4
#define OWN 400
#define SHARED 256
#define WARM 4 /* windows after which it may grow no more, */
#define SLACK_KIB ((size_t)2 * 1024)
#define SLACK_MAPPINGS 24

static _Atomic(void *) shared[SHARED];
static sla_cache_t *cache;
static sla_heap_t *heap;
static size_t steps;
static uint64_t seed;

/* A block has its own size at its start. */
static void end(size_t *block)
{
    if (block != NULL && (block[0] < sizeof(*block) || sla_usable_size(block) < block[0]))
        abort();
    sla_free(block);
}

static size_t *begin(struct support_rng *rng)
{
    size_t size = sizeof(size_t) + support_random_size(rng), dice = support_below(rng, 16);
    size_t *block = dice == 0   ? sla_aligned_alloc((size_t)16 << support_below(rng, 9), size)
                    : dice == 1 ? sla_calloc(1, size)
                    : dice == 2 ? sla_heap_malloc(heap, size)
                                : sla_malloc(size);
    if (block == NULL)
        abort();
    block[0] = size;
    return block;
}

static size_t *grow(size_t *block, struct support_rng *rng)
{
    size_t size = sizeof(size_t) + support_random_size(rng);
    if (block == NULL)
        return NULL;
    block = sla_realloc(block, size);
    if (block == NULL)
        abort();
    block[0] = size;
    return block;
}

static void *work(void *arg)
{
    size_t *own[OWN] = {NULL};
    void *object = NULL;
    struct support_rng rng = {seed + (uintptr_t)arg * 0x9e3779b97f4a7c15u};
    for (size_t n = 0; n < steps; n++) {
        size_t i = support_below(&rng, OWN), dice = support_below(&rng, 5000);
        if (dice < 1000)
            own[i] = atomic_exchange(&shared[support_below(&rng, SHARED)], (void *)own[i]);
        else if (dice < 1500)
            own[i] = grow(own[i], &rng);
        end(own[i]);
        own[i] = begin(&rng);
        if (dice % 50 == 0) {
            sla_cache_free(cache, object);
            object = sla_cache_alloc(cache);
        }
        if (dice == 4999)
            sla_thread_idle();
        else if (dice == 4998)
            sla_trim(support_below(&rng, 2) * MIB);
    }
    for (size_t i = 0; i < OWN; i++)
        end(own[i]);
    sla_cache_free(cache, object);
    return NULL;
}

static void window(size_t number)
{
    pthread_t threads[THREADS];
    cache = sla_cache_create("drift", 72, 0, 0, NULL, NULL, NULL);
    heap = sla_heap_create("drift");
    ck_assert(cache != NULL && heap != NULL);
    for (uintptr_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, work, (void *)(number * THREADS + i)), 0);
    for (size_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    for (size_t i = 0; i < SHARED; i++)
        end(atomic_exchange(&shared[i], NULL));
    ck_assert_int_eq(sla_cache_destroy(cache), 0);
    sla_heap_destroy(heap);
    sla_thread_idle();
    sla_trim(0);
    ck_assert_msg(slai_check_heap() == NULL, "window %zu of seed %ju: %s", number, (uintmax_t)seed, slai_check_heap());
}

START_TEST(windows)
{
    size_t count = support_plan(8, 40, 60), rss = 0, mappings = 0, last_rss = 0, last_mappings = 0;
    struct support_rng rng;
    sla_stats_t before, after;
    support_seed(&rng, 1);
    seed = rng.state;
    steps = support_plan(8000, 60000, 100000);
    ck_assert_int_eq(sla_stats_get(&before, sizeof(before)), 0);
    for (size_t number = 1; number <= count; number++) {
        window(number);
        last_rss = support_rss_kib();
        last_mappings = support_mappings();
        if (number <= WARM && last_rss > rss)
            rss = last_rss;
        if (number <= WARM && last_mappings > mappings)
            mappings = last_mappings;
        if (number > WARM && SUPPORT_MEMORY_IS_PLAIN) {
            ck_assert_msg(last_rss <= rss + SLACK_KIB, "window %zu of seed %ju: %zu KiB, once %zu", number,
                          (uintmax_t)seed, last_rss, rss);
            ck_assert_msg(last_mappings <= mappings + SLACK_MAPPINGS, "window %zu of seed %ju: %zu mappings, once %zu",
                          number, (uintmax_t)seed, last_mappings, mappings);
        }
    }
    ck_assert_int_eq(sla_stats_get(&after, sizeof(after)), 0);
    ck_assert_uint_eq(after.live, before.live);
    support_ran("drift: %zu windows of %zu steps, invariants scanned after each; RSS %zu then %zu KiB, "
                "mappings %zu then %zu, seed %ju", count, steps * THREADS, rss, last_rss, mappings, last_mappings,
                (uintmax_t)seed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("threads/drift");
    TCase *tc = tcase_create("drift");
    tcase_set_timeout(tc, support_long() ? 900 : 120);
    tcase_add_test(tc, windows);
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
