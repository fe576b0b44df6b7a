/*
 * test_order.c: what a program may rely on without any synchronisation of its
 * own: all it did to a block before the free happens before all that the next
 * holder does after the malloc, whichever thread that is and whichever way the
 * block took.
 *
 * Two threads.  Here blocks go over to the worker with a release; from it they
 * come back through the allocator alone, and carry its mark: so the test knows
 * that they did.  Nothing is atomic about the contents, so the thread sanitizer
 * reports a free that does not release, or a malloc that does not acquire.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include <slaballoc/cache.h>
#include <slaballoc/heap.h>

#define BLOCKS 200
#define MARK 0x6b72614d6b72614du /* what the worker leaves */

struct way {
    const char *name;
    size_t size, count;
    void (*take)(void **blocks, const struct way *way);
    void (*give)(void **blocks, const struct way *way);
    int workers_own; /* the worker takes its blocks itself */
    int idle;        /* the worker gives up what it has ready, too */
};

static sla_heap_t *heap, *lent;
static sla_cache_t *cache, *built, *debugged;

/* --- ways in and out --- */

static void by_malloc(void **blocks, const struct way *way)
{
    for (size_t i = 0; i < way->count; i++)
        blocks[i] = sla_malloc(way->size);
}

static void by_free(void **blocks, const struct way *way)
{
    for (size_t i = 0; i < way->count; i++)
        sla_free(blocks[i]);
}

static void by_batch(void **blocks, const struct way *way)
{
    if (sla_alloc_batch(way->size, blocks, way->count) != way->count)
        abort();
}

static void by_free_batch(void **blocks, const struct way *way) { sla_free_batch(blocks, way->count); }

/* Each block moves once before it is free. */
static void by_realloc(void **blocks, const struct way *way)
{
    for (size_t i = 0; i < way->count; i++) {
        void *moved = sla_realloc(blocks[i], way->size * 3);
        if (moved == NULL)
            abort();
        sla_free(moved);
    }
}

static void by_aligned(void **blocks, const struct way *way)
{
    for (size_t i = 0; i < way->count; i++)
        blocks[i] = sla_aligned_alloc(256, way->size);
}

static void from(sla_heap_t *which, void **blocks, const struct way *way)
{
    for (size_t i = 0; i < way->count; i++)
        blocks[i] = sla_heap_malloc(which, way->size);
}

static void by_heap(void **blocks, const struct way *way) { from(heap, blocks, way); }
static void by_lent(void **blocks, const struct way *way) { from(lent, blocks, way); }

static void objects_of(sla_cache_t *which, void **blocks, const struct way *way)
{
    for (size_t i = 0; i < way->count; i++)
        blocks[i] = sla_cache_alloc(which);
}

static void by_cache(void **blocks, const struct way *way) { objects_of(cache, blocks, way); }
static void by_built(void **blocks, const struct way *way) { objects_of(built, blocks, way); }
static void by_debugged(void **blocks, const struct way *way) { objects_of(debugged, blocks, way); }

static void by_cache_batch(void **blocks, const struct way *way)
{
    if (sla_cache_alloc_batch(cache, blocks, way->count) != way->count)
        abort();
}

static void into_cache_batch(void **blocks, const struct way *way) { sla_cache_free_batch(cache, blocks, way->count); }

/* Once an object, not once an allocation: marks stay. */
static int construct(void *object, void *arg)
{
    (void)arg;
    memset(object, 0, 64);
    return 0;
}

static const struct way ways[] = {
    {"remote frees", 64, BLOCKS, by_malloc, by_free, 0, 1},
    {"remote frees", 1000, BLOCKS, by_malloc, by_free, 0, 1},
    {"remote frees", 20000, 40, by_malloc, by_free, 0, 1},
    {"remote frees, cached", 64, BLOCKS, by_malloc, by_free, 0, 0},
    {"large blocks", 150000, 10, by_malloc, by_free, 0, 0},
    {"large blocks of the worker", 150000, 10, by_malloc, by_free, 1, 0},
    {"through the depot", 64, BLOCKS, by_malloc, by_free, 1, 1},
    {"through the depot", 5000, BLOCKS, by_malloc, by_free, 1, 1},
    {"batches", 64, BLOCKS, by_batch, by_free_batch, 0, 1},
    {"batches of the worker", 200, BLOCKS, by_batch, by_free_batch, 1, 1},
    {"moved", 300, BLOCKS, by_malloc, by_realloc, 0, 1},
    {"aligned", 700, BLOCKS, by_aligned, by_free, 0, 1},
    {"a heap's", 64, BLOCKS, by_heap, by_free, 0, 1},
    {"a heap's, of the worker", 3000, BLOCKS, by_heap, by_free, 1, 1},
    {"a heap's, large", 150000, 10, by_heap, by_free, 0, 0},
    {"lent memory", 500, BLOCKS, by_lent, by_free, 0, 1},
    {"lent memory, large", 150000, 10, by_lent, by_free, 0, 0},
    {"objects", 64, BLOCKS, by_cache, by_free, 0, 1},
    {"objects of the worker", 64, BLOCKS, by_cache, by_free, 1, 1},
    {"objects in batches", 64, BLOCKS, by_cache_batch, into_cache_batch, 0, 1},
    {"constructed objects", 64, BLOCKS, by_built, by_free, 0, 1},
    {"debugged objects", 64, BLOCKS, by_debugged, by_free, 0, 1},
};

/* --- the two threads --- */

static struct {
    const struct way *way;
    _Atomic(void *) blocks[BLOCKS];
    atomic_size_t turn; /* released here, acquired by the worker */
    atomic_size_t done; /* relaxed, as the blocks' addresses: tells when, and orders nothing */
} shared;
#define OVER SIZE_MAX

static void *work(void *arg)
{
    const struct way *way = shared.way;
    void *blocks[BLOCKS];
    (void)arg;
    for (size_t round = 1;; round++) {
        size_t now;
        while ((now = atomic_load_explicit(&shared.turn, memory_order_acquire)) < round)
            sched_yield();
        if (now == OVER)
            return NULL;
        for (size_t i = 0; i < way->count; i++)
            blocks[i] = atomic_load_explicit(&shared.blocks[i], memory_order_relaxed);
        if (way->workers_own)
            way->take(blocks, way);
        for (size_t i = 0; i < way->count; i++)
            for (size_t word = 0; word < 8; word++)
                ((uint64_t *)blocks[i])[word] = MARK;
        way->give(blocks, way);
        if (way->idle)
            sla_thread_idle();
        atomic_store_explicit(&shared.done, round, memory_order_relaxed);
    }
}

/* How many of the blocks have the worker's mark; then all are written to. */
static size_t came_over(void **blocks, size_t count)
{
    size_t marked = 0;
    for (size_t i = 0; i < count; i++) {
        const uint64_t *words = blocks[i];
        marked += words[0] == MARK && words[7] == MARK;
        memset(blocks[i], 0, 64);
    }
    return marked;
}

START_TEST(free_happens_before_malloc)
{
    const struct way *way = &ways[_i];
    size_t rounds = support_plan(1000, 20000, 100000), crossed = 0;
    void *blocks[BLOCKS], *mine[BLOCKS];
    pthread_t thread;
    shared.way = way;
    atomic_store(&shared.turn, 0);
    atomic_store(&shared.done, 0);
    rounds = rounds < 10 ? 10 : way->size > 100000 ? rounds / 5 + 5 : rounds;
    ck_assert_int_eq(pthread_create(&thread, NULL, work, NULL), 0);
    for (size_t round = 1; round <= rounds; round++) {
        way->take(mine, way); /* so that some slabs have both threads' blocks */
        if (!way->workers_own)
            way->take(blocks, way);
        for (size_t i = 0; i < way->count && !way->workers_own; i++)
            atomic_store_explicit(&shared.blocks[i], blocks[i], memory_order_relaxed);
        atomic_store_explicit(&shared.turn, round, memory_order_release);
        while (atomic_load_explicit(&shared.done, memory_order_relaxed) < round)
            sched_yield();
        way->take(blocks, way);
        crossed += came_over(blocks, way->count);
        by_free(blocks, way);
        (void)came_over(mine, way->count);
        by_free(mine, way);
        sla_thread_idle();
    }
    atomic_store_explicit(&shared.turn, OVER, memory_order_release);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    /* Certain where the worker keeps nothing back, of slabs that are not its own, and nobody writes to it meanwhile. */
    int certain = !way->workers_own && way->idle && way->take != by_debugged;
    ck_assert_msg(crossed > 0 || !certain, "%s: none of the blocks came over", way->name);
}
END_TEST

/* --- what the ways need --- */

static void *map_pages(size_t size, int *zero, void *arg)
{
    char *memory = mmap(NULL, size + 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)arg;
    *zero = 1;
    return memory == MAP_FAILED ? NULL : memory + (-(uintptr_t)memory & 65535);
}

static void begin(void)
{
    static const sla_heap_pages_t pages = {map_pages, NULL, NULL, 0};
    heap = sla_heap_create("order");
    lent = sla_heap_create_on("lent", &pages);
    cache = sla_cache_create("plain", 64, 0, 0, NULL, NULL, NULL);
    built = sla_cache_create("built", 64, 0, 0, construct, NULL, NULL);
    debugged = sla_cache_create("debugged", 64, 0, SLA_CACHE_DEBUG, NULL, NULL, NULL);
    ck_assert(heap != NULL && lent != NULL && cache != NULL && built != NULL && debugged != NULL);
}

static void end(void)
{
    sla_thread_idle();
    ck_assert_int_eq(sla_cache_destroy(cache), 0);
    ck_assert_int_eq(sla_cache_destroy(built), 0);
    ck_assert_int_eq(sla_cache_destroy(debugged), 0);
    sla_heap_destroy(heap);
    sla_heap_destroy(lent);
}

int main(void)
{
    Suite *suite = suite_create("threads/order");
    TCase *tc = tcase_create("order");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, begin, end);
    tcase_add_loop_test(tc, free_happens_before_malloc, 0, (int)ARRAY_LEN(ways));
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
