/*
 * test_mix.c: the traffic between threads that programs are known for, with all
 * contents checked: tables that are handed on to the next generation of threads
 * (after larson), whole batches made here and freed there (after xmalloc), slots
 * that all exchange (after mstress), objects passed on, and all of it at once.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <pthread.h>
#include <stdatomic.h>

#include <slaballoc/cache.h>
#include <slaballoc/heap.h>

#define THREADS 4
#define TABLE 300
#define SLOTS 128
#define BATCH 60

static size_t work; /* steps of a thread */
static atomic_size_t broken;
static sla_cache_t *cache;
static sla_heap_t *heap;

struct block {
    size_t size;
    uint64_t seed;
    unsigned char contents[];
};

static struct block *filled(struct block *block, size_t size, uint64_t seed)
{
    if (block == NULL) {
        atomic_fetch_add(&broken, 1);
        return NULL;
    }
    block->size = size;
    block->seed = seed;
    support_fill(block->contents, size, seed);
    return block;
}

static struct block *made(struct support_rng *rng)
{
    size_t size = support_random_size(rng) % 20000, all = sizeof(struct block) + size;
    int from_heap = support_below(rng, 4) == 0;
    return filled(from_heap ? sla_heap_malloc(heap, all) : sla_malloc(all), size, support_next(rng));
}

static void checked(struct block *block)
{
    if (block != NULL && !support_matches(block->contents, block->size, block->seed))
        atomic_fetch_add(&broken, 1);
}

static void end(struct block *block)
{
    checked(block);
    sla_free(block);
}

/* --- generations --- */

struct generation {
    struct block *table[TABLE];
    uint64_t seed;
};

static void *live(void *arg)
{
    struct generation *g = arg;
    struct support_rng rng = {g->seed += 1000};
    for (size_t i = 0; i < work / 4; i++) {
        struct block **place = &g->table[support_below(&rng, TABLE)];
        end(*place);
        *place = made(&rng);
    }
    return NULL;
}

static void *generations(void *arg)
{
    struct generation *g = calloc(1, sizeof(*g));
    g->seed = *(uint64_t *)arg;
    for (int left = 4; left > 0; left--) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, live, g) != 0 || pthread_join(thread, NULL) != 0)
            abort();
    }
    for (size_t i = 0; i < TABLE; i++)
        end(g->table[i]);
    free(g);
    return NULL;
}

/* --- slots that all exchange: blocks, batches, objects --- */

static _Atomic(struct block *) blocks[SLOTS];
static _Atomic(void **) batches[SLOTS];
static _Atomic(uint64_t *) objects[SLOTS];

static void *exchanges(void *arg)
{
    struct support_rng rng = {*(uint64_t *)arg};
    for (size_t i = 0; i < work * 2; i++) {
        struct block *block = support_below(&rng, 8) != 0 ? made(&rng) : NULL;
        if (block != NULL && support_below(&rng, 5) == 0) {
            checked(block);
            block = filled(sla_realloc(block, sizeof(*block) + block->size * 2), block->size * 2, support_next(&rng));
        }
        end(atomic_exchange(&blocks[support_below(&rng, SLOTS)], block));
        if (support_below(&rng, 2000) == 0)
            (void)sla_trim(0);
    }
    return NULL;
}

static void end_batch(void **batch)
{
    if (batch == NULL)
        return;
    for (size_t i = 1; i < BATCH; i++)
        checked(batch[i]);
    sla_free_batch(batch + 1, BATCH - 1);
    sla_free(batch);
}

static void *makes_batches(void *arg)
{
    struct support_rng rng = {*(uint64_t *)arg};
    for (size_t i = 0; i < work / 10; i++) {
        size_t size = 8 + support_below(&rng, 300);
        void **batch = sla_malloc(BATCH * sizeof(void *));
        if (batch == NULL || sla_alloc_batch(sizeof(struct block) + size, batch + 1, BATCH - 1) != BATCH - 1)
            abort();
        for (size_t k = 1; k < BATCH; k++)
            (void)filled(batch[k], size, support_next(&rng));
        end_batch(atomic_exchange(&batches[support_below(&rng, SLOTS)], batch));
    }
    return NULL;
}

/* An object is constructed with its own address in it, and is given back with it. */
static int construct(void *object, void *arg)
{
    (void)arg;
    *(uint64_t *)object = (uintptr_t)object;
    return 0;
}

static void end_object(uint64_t *object)
{
    if (object == NULL)
        return;
    if (object[0] != (uintptr_t)object)
        atomic_fetch_add(&broken, 1);
    sla_cache_free(cache, object);
}

static void *passes_objects(void *arg)
{
    struct support_rng rng = {*(uint64_t *)arg};
    for (size_t i = 0; i < work * 4; i++) {
        uint64_t *object = sla_cache_alloc(cache);
        if (object == NULL || object[0] != (uintptr_t)object)
            abort();
        object[1 + support_below(&rng, 7)] = support_next(&rng);
        end_object(atomic_exchange(&objects[support_below(&rng, SLOTS)], object));
        if (support_below(&rng, 3000) == 0)
            (void)sla_cache_reap(cache);
    }
    return NULL;
}

static void empty_slots(void)
{
    for (size_t i = 0; i < SLOTS; i++) {
        end(atomic_exchange(&blocks[i], NULL));
        end_batch(atomic_exchange(&batches[i], NULL));
        end_object(atomic_exchange(&objects[i], NULL));
    }
}

/* --- each by itself, and all at once --- */

static void *(*const patterns[])(void *) = {generations, exchanges, makes_batches, passes_objects};
#define ALL ARRAY_LEN(patterns)

START_TEST(traffic)
{
    struct support_rng rng;
    uint64_t seeds[THREADS], seed;
    pthread_t threads[THREADS];
    support_seed(&rng, 20 + (uint64_t)_i);
    seed = rng.state;
    work = support_plan(4000, 60000, 400000);
    atomic_store(&broken, 0);
    cache = sla_cache_create("mix", 64, 0, 0, construct, NULL, NULL);
    heap = sla_heap_create("mix");
    ck_assert(cache != NULL && heap != NULL);
    for (size_t i = 0; i < THREADS; i++) {
        seeds[i] = support_next(&rng);
        size_t pattern = (size_t)_i < ALL ? (size_t)_i : i % ALL;
        ck_assert_int_eq(pthread_create(&threads[i], NULL, patterns[pattern], &seeds[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    empty_slots();
    ck_assert_uint_eq(atomic_load(&broken), 0);
    sla_thread_idle();
    ck_assert_int_eq(sla_cache_destroy(cache), 0);
    sla_heap_stats_t st;
    ck_assert_int_eq(sla_heap_stats(heap, &st, sizeof(st)), 0);
    ck_assert_uint_eq(st.live, 0);
    sla_heap_destroy(heap);
    support_ran("traffic between threads, %zu steps each, seed %ju", work, (uintmax_t)seed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("threads/mix");
    TCase *tc = tcase_create("mix");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, traffic, 0, (int)ALL + 1);
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
