/*
 * parts.c: the script's steps that need state of their own: object caches, heaps, threads.
 *
 * SPDX-License-Identifier: MIT
 */
#include "parts.h"

#include <pthread.h>
#include <slaballoc/cache.h>
#include <slaballoc/heap.h>
#include <sys/mman.h>

/* --- object caches --- */

#define CACHES 4
#define OBJECTS 120
static struct {
    sla_cache_t *cache;
    size_t size, alive; /* constructed objects */
    unsigned char *objects[OBJECTS];
    int made; /* there is a constructor */
} caches[CACHES];

static int construct(void *object, void *arg)
{
    size_t *alive = arg;
    ++*alive;
    *(unsigned char *)object = 0xc0;
    return 0;
}

static void destruct(void *object, void *arg)
{
    size_t *alive = arg;
    CHILD_REQUIRE(*(unsigned char *)object == 0xc0 && *alive > 0);
    --*alive;
}

static int reclaim(sla_cache_t *cache, void *arg)
{
    (void)cache;
    (void)arg;
    return 0;
}

static void make_cache(size_t i)
{
    static const unsigned flags[] = {0, 0, SLA_CACHE_ZEROED, SLA_CACHE_TYPE_STABLE, SLA_CACHE_DEBUG, SLA_CACHE_NO_REAP};
    unsigned flag = flags[support_below(&script_rng, ARRAY_LEN(flags))];
    size_t size = 8 + support_below(&script_rng, support_below(&script_rng, 8) == 0 ? 70000 : 900);
    caches[i].made = flag != SLA_CACHE_ZEROED && support_below(&script_rng, 3) != 0;
    caches[i].size = size;
    caches[i].alive = 0;
    errno = SENTINEL_ERRNO;
    caches[i].cache = sla_cache_create("script", size, 8, flag, caches[i].made ? construct : NULL,
                                       caches[i].made ? destruct : NULL, &caches[i].alive);
    if (script_got(caches[i].cache))
        sla_cache_set_reclaim(caches[i].cache, reclaim, NULL);
}

static void give_object(size_t i, size_t j)
{
    unsigned char *object = caches[i].objects[j];
    if (object == NULL)
        return;
    CHILD_REQUIRE(object[caches[i].made ? 0 : caches[i].size - 1] == (caches[i].made ? 0xc0 : (unsigned char)j));
    errno = SENTINEL_ERRNO;
    if (j % 2 == 0)
        sla_cache_free(caches[i].cache, object);
    else
        sla_free(object);
    CHILD_REQUIRE(errno == SENTINEL_ERRNO);
    caches[i].objects[j] = NULL;
}

static void destroy_cache(size_t i)
{
    if (caches[i].cache == NULL)
        return;
    for (size_t j = 0; j < OBJECTS; j++)
        give_object(i, j);
    CHILD_REQUIRE(sla_cache_destroy(caches[i].cache) == 0 && caches[i].alive == 0);
    caches[i].cache = NULL;
}

static void use_cache(size_t i)
{
    size_t from = support_below(&script_rng, OBJECTS), n = 1 + support_below(&script_rng, 30);
    for (size_t j = from; j < from + n && j < OBJECTS; j++) {
        if (caches[i].objects[j] != NULL) {
            give_object(i, j);
            continue;
        }
        errno = SENTINEL_ERRNO;
        caches[i].objects[j] = sla_cache_alloc(caches[i].cache);
        if (!script_got(caches[i].objects[j]))
            break;
        if (caches[i].made)
            CHILD_REQUIRE(caches[i].objects[j][0] == 0xc0);
        else
            memset(caches[i].objects[j], (int)j, caches[i].size);
    }
}

static void use_batch(size_t i)
{
    void *objects[60];
    errno = SENTINEL_ERRNO;
    size_t n = sla_cache_alloc_batch(caches[i].cache, objects, ARRAY_LEN(objects));
    CHILD_REQUIRE(errno == (n == ARRAY_LEN(objects) ? SENTINEL_ERRNO : ENOMEM));
    script_tally.refused += n < ARRAY_LEN(objects);
    errno = SENTINEL_ERRNO;
    sla_cache_free_batch(caches[i].cache, objects, n);
    CHILD_REQUIRE(errno == SENTINEL_ERRNO);
}

void parts_cache(void)
{
    size_t i = support_below(&script_rng, CACHES), dice = support_below(&script_rng, 40);
    if (caches[i].cache == NULL)
        make_cache(i);
    if (caches[i].cache == NULL)
        return;
    if (dice == 0)
        destroy_cache(i);
    else if (dice == 1)
        (void)sla_cache_reap(caches[i].cache);
    else if (dice < 5)
        use_batch(i);
    else
        use_cache(i);
}

/* --- heaps --- */

#define HEAPS 3
#define BLOCKS 80
static struct {
    sla_heap_t *heap;
    struct support_block blocks[BLOCKS];
    size_t lent; /* bytes that get gave and put did not take back */
} heaps[HEAPS];

/* Twice the size, of which the aligned half is lent, and found again by what is kept in front of it. */
static void *lend(size_t size, int *zero, void *arg)
{
    size_t *lent = arg, unit = 64 * KIB;
    char *p, *start;
    p = mmap(NULL, size + 2 * unit, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    start = p + unit + (-(uintptr_t)p & (unit - 1));
    memcpy(start - sizeof p, &p, sizeof p);
    *lent += size;
    *zero = 1;
    return start;
}

static void take_back(void *memory, size_t size, void *arg)
{
    size_t *lent = arg;
    char *p;
    memcpy(&p, (char *)memory - sizeof p, sizeof p);
    CHILD_REQUIRE(*lent >= size);
    *lent -= size;
    CHILD_REQUIRE(munmap(p, size + 128 * KIB) == 0);
}

static void make_heap(size_t i)
{
    const sla_heap_pages_t pages = {lend, take_back, &heaps[i].lent, 1 * MIB};
    errno = SENTINEL_ERRNO;
    heaps[i].heap = support_below(&script_rng, 2) != 0 ? sla_heap_create("script") : sla_heap_create_on("lent", &pages);
    (void)script_got(heaps[i].heap);
}

static void give_block(struct support_block *b)
{
    if (b->start == NULL)
        return;
    CHILD_REQUIRE(support_matches(b->start, b->size, b->seed));
    errno = SENTINEL_ERRNO;
    sla_free(b->start);
    CHILD_REQUIRE(errno == SENTINEL_ERRNO);
    b->start = NULL;
}

static void destroy_heap(size_t i)
{
    if (heaps[i].heap == NULL)
        return;
    for (size_t j = 0; j < BLOCKS; j += 2) /* the other half goes with the heap */
        give_block(&heaps[i].blocks[j]);
    memset(heaps[i].blocks, 0, sizeof heaps[i].blocks);
    sla_heap_destroy(heaps[i].heap);
    heaps[i].heap = NULL;
    CHILD_REQUIRE(heaps[i].lent == 0);
}

static void change_block(sla_heap_t *heap, struct support_block *b)
{
    size_t size = support_random_size(&script_rng) + 1, kept = size < b->size ? size : b->size;
    void *p;
    errno = SENTINEL_ERRNO;
    p = sla_heap_realloc(heap, b->start, size);
    if (!script_got(p)) {
        CHILD_REQUIRE(support_matches(b->start, b->size, b->seed));
        return;
    }
    CHILD_REQUIRE(kept < 8 || support_matches(p, kept - kept % 8, b->seed));
    *b = (struct support_block){p, size, b->seed};
    support_fill(p, size, b->seed);
}

static void new_block(sla_heap_t *heap, struct support_block *b)
{
    size_t size = support_random_size(&script_rng), how = support_below(&script_rng, 4);
    void *p;
    errno = SENTINEL_ERRNO;
    if (how == 3) {
        if (sla_heap_push(heap) != 0) {
            CHILD_REQUIRE(errno == ENOMEM); /* or the thread has no cache, and never will */
            return;
        }
        p = sla_malloc(size);
        sla_heap_pop();
    } else {
        p = how == 0   ? sla_heap_malloc(heap, size)
            : how == 1 ? sla_heap_calloc(heap, 1, size)
                       : sla_heap_aligned_alloc(heap, 256, size);
    }
    if (!script_got(p))
        return;
    CHILD_REQUIRE(how != 1 || support_is_zero(p, size));
    CHILD_REQUIRE(sla_heap_of(p) == heap);
    *b = (struct support_block){p, size, support_next(&script_rng)};
    support_fill(p, size, b->seed);
}

void parts_heap(void)
{
    size_t i = support_below(&script_rng, HEAPS), n = 1 + support_below(&script_rng, 20);
    if (heaps[i].heap == NULL)
        make_heap(i);
    if (heaps[i].heap == NULL)
        return;
    if (support_below(&script_rng, 50) == 0) {
        destroy_heap(i);
        return;
    }
    while (n-- > 0) {
        struct support_block *b = &heaps[i].blocks[support_below(&script_rng, BLOCKS)];
        if (b->start == NULL)
            new_block(heaps[i].heap, b);
        else if (n % 3 == 0)
            change_block(heaps[i].heap, b);
        else
            give_block(b);
    }
}

/* --- threads --- */

#define PASSED 60
static void *passed[PASSED]; /* blocks that one thread allocates and another frees */

static void work(void)
{
    for (size_t i = 0; i < PASSED; i++) {
        errno = SENTINEL_ERRNO;
        if (passed[i] != NULL) {
            sla_free(passed[i]);
            CHILD_REQUIRE(errno == SENTINEL_ERRNO);
            passed[i] = NULL;
        } else {
            passed[i] = sla_malloc(24 + 40 * i);
            if (script_got(passed[i]))
                memset(passed[i], 1, 24 + 40 * i);
        }
    }
}

static void *born(void *arg)
{
    work();
    if (support_below(&script_rng, 2) == 0)
        work();
    return arg;
}

void parts_thread(void)
{
    pthread_t thread;
    CHILD_REQUIRE(pthread_create(&thread, NULL, born, NULL) == 0);
    CHILD_REQUIRE(pthread_join(thread, NULL) == 0);
}

/* One step at a time: main waits until the worker has done it. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    pthread_t thread;
    int there, wanted, ending;
} worker = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void *serve(void *arg)
{
    pthread_mutex_lock(&worker.mutex);
    for (;;) {
        while (!worker.wanted)
            pthread_cond_wait(&worker.changed, &worker.mutex);
        if (!worker.ending)
            work();
        worker.wanted = 0;
        pthread_cond_broadcast(&worker.changed);
        if (worker.ending)
            break;
    }
    pthread_mutex_unlock(&worker.mutex);
    return arg;
}

static void ask(int ending)
{
    pthread_mutex_lock(&worker.mutex);
    worker.wanted = 1;
    worker.ending = ending;
    pthread_cond_broadcast(&worker.changed);
    while (worker.wanted)
        pthread_cond_wait(&worker.changed, &worker.mutex);
    pthread_mutex_unlock(&worker.mutex);
}

void parts_worker(void)
{
    if (!worker.there) {
        worker.ending = 0;
        CHILD_REQUIRE(pthread_create(&worker.thread, NULL, serve, NULL) == 0);
        worker.there = 1;
    }
    ask(0);
    if (support_below(&script_rng, 3) == 0)
        work(); /* frees what the other allocated, or the other way round */
}

void parts_forget(void) { worker.there = 0; }

void parts_end(void)
{
    for (size_t i = 0; i < CACHES; i++)
        destroy_cache(i);
    for (size_t i = 0; i < HEAPS; i++)
        destroy_heap(i);
    if (worker.there) {
        ask(1);
        CHILD_REQUIRE(pthread_join(worker.thread, NULL) == 0);
        worker.there = 0;
    }
    for (size_t i = 0; i < PASSED; i++) {
        sla_free(passed[i]);
        passed[i] = NULL;
    }
}
