/*
 * faults.c: one fault a run, by name, for memcheck to find in a build that tells
 * it of blocks; run.sh has what it is to say.  FAULTS_LIBC is set where the C
 * library's names are meant, on the drop-in.
 *
 * SPDX-License-Identifier: MIT
 */
#include <slaballoc.h>
#include <slaballoc/cache.h>
#include <slaballoc/heap.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef FAULTS_LIBC
#define sla_malloc malloc
#define sla_calloc calloc
#define sla_realloc realloc
#define sla_free free
#define sla_aligned_alloc aligned_alloc
#endif

static volatile unsigned char sink;
static void *volatile kept[64];

/* The compiler would see through all of this. */
static unsigned char *hidden(void *p)
{
    void *volatile q = p;
    return q;
}

static void read_one(const unsigned char *p) { sink = *(const volatile unsigned char *)p; }
static void write_one(unsigned char *p) { *(volatile unsigned char *)p = 1; }

static void depend_on(const unsigned char *p)
{
    if (*(const volatile unsigned char *)p == 7)
        puts("seven");
}

/* --- the faults --- */

static void after_free(void)
{
    unsigned char *p = hidden(sla_malloc(100));
    sla_free(p);
    read_one(p + 10);
}

static void after_free_large(void)
{
    unsigned char *p = hidden(sla_malloc(300000));
    sla_free(p);
    write_one(p + 200000);
}

static void behind_end(void)
{
    unsigned char *p = hidden(sla_malloc(100));
    write_one(p + 100); /* in the block's slack: its class has 112 bytes */
    sla_free(p);
}

static void behind_exact(void)
{
    unsigned char *p = hidden(sla_malloc(64));
    kept[0] = hidden(sla_malloc(64));
    write_one(p + 64); /* 64 is a class */
    sla_free(p);
    sla_free(kept[0]);
}

static void before_start(void)
{
    unsigned char *p;
    for (int i = 0; i < 8; i++)
        kept[i] = hidden(sla_malloc(200));
    p = kept[4];
    write_one(p - 1);
    for (int i = 0; i < 8; i++)
        sla_free(kept[i]);
}

static void behind_large(void)
{
    unsigned char *p = hidden(sla_malloc(100001));
    read_one(p + 100001);
    sla_free(p);
}

static void uninitialised(void)
{
    unsigned char *p = hidden(sla_malloc(48));
    depend_on(p + 5);
    sla_free(p);
}

static void reused(void)
{
    unsigned char *p = hidden(sla_malloc(48));
    memset(p, 1, 48);
    sla_free(p);
    p = hidden(sla_malloc(48)); /* the same block, whose contents are nobody's business now */
    depend_on(p);
    sla_free(p);
}

static void realloc_grown(void)
{
    unsigned char *p = hidden(sla_malloc(40));
    memset(p, 1, 40);
    p = hidden(sla_realloc(p, 4000));
    depend_on(p + 39);
    depend_on(p + 40); /* the fault */
    sla_free(p);
}

static void realloc_shrunk(void)
{
    unsigned char *p = hidden(sla_malloc(112));
    memset(p, 1, 112);
    p = hidden(sla_realloc(p, 100));
    read_one(p + 100);
    sla_free(p);
}

static void realloc_old(void)
{
    unsigned char *p = hidden(sla_malloc(100)), *q = hidden(sla_realloc(p, 9000));
    read_one(p);
    sla_free(q);
}

static void aligned(void)
{
    unsigned char *p = hidden(sla_aligned_alloc(256, 300));
    write_one(p + 300);
    sla_free(p);
}

static void batch(void)
{
    void *p[20];
    size_t n = sla_alloc_batch(24, p, 20);
    write_one(hidden(p[19]) + 24);
    sla_free_batch(p, n);
    read_one(hidden(p[3]));
}

static void object(void)
{
    sla_cache_t *cache = sla_cache_create("things", 40, 0, 0, NULL, NULL, NULL);
    unsigned char *p = hidden(sla_cache_alloc(cache));
    write_one(p + 39);
    sla_cache_free(cache, p);
    read_one(p + 39);
    sla_cache_destroy(cache);
}

static void heap_block(void)
{
    sla_heap_t *heap = sla_heap_create("work");
    unsigned char *p = hidden(sla_heap_malloc(heap, 500)), *q = hidden(sla_heap_calloc(heap, 1, 90000));
    write_one(p + 499);
    depend_on(q);
    sla_heap_destroy(heap);
    read_one(p + 100);
    read_one(q + 80000);
}

static __attribute__((noinline)) void lose(void)
{
    memset(hidden(sla_malloc(1234)), 0, 1234);
    memset(hidden(sla_malloc(70000)), 0, 70000);
    memset(hidden(sla_malloc(16)), 0, 16);
}

static void leak(void)
{
    volatile unsigned char over[4096]; /* where their addresses may still lie */
    lose();
    for (size_t i = 0; i < sizeof(over); i++)
        over[i] = 0;
    sla_free(hidden(sla_malloc(10)));
}

/* --- and none --- */

static int make_thing(void *object, void *arg)
{
    (void)arg;
    memset(object, 1, 40);
    return 0;
}

static void end_thing(void *object, void *arg)
{
    (void)arg;
    depend_on(object);
}

static void clean_blocks(void)
{
    for (size_t size = 0; size < 200000; size = size * 5 / 4 + 1) {
        unsigned char *p = hidden(sla_malloc(size)), *q = hidden(sla_calloc(3, size));
        memset(p, 1, size);
        for (size_t i = 0; i < 3 * size; i += 61)
            depend_on(q + i);
        p = hidden(sla_realloc(p, size * 2 + 1));
        memset(p + size, 2, size + 1);
        depend_on(p);
        p = hidden(sla_realloc(p, size / 3 + 1));
        depend_on(p + size / 3);
        sla_free(p);
        sla_free(q);
    }
}

static void clean_objects(void)
{
    for (unsigned flags = 0; flags < 16; flags++) {
        void *objects[100];
        int zeroed = (flags & SLA_CACHE_ZEROED) != 0;
        sla_cache_t *cache = sla_cache_create("things", 40, 0, flags, zeroed ? NULL : make_thing,
                                              zeroed ? NULL : end_thing, NULL);
        for (int round = 0; round < 3; round++) {
            if (sla_cache_alloc_batch(cache, objects, 99) != 99)
                abort();
            objects[99] = sla_cache_alloc(cache);
            for (int i = 0; i < 100; i++)
                depend_on((unsigned char *)objects[i] + 39);
            sla_cache_free(cache, objects[0]);
            sla_cache_free_batch(cache, objects + 1, 99);
            if ((flags & SLA_CACHE_TYPE_STABLE) != 0)
                read_one(objects[50]);
            sla_cache_reap(cache);
        }
        if (sla_cache_destroy(cache) != 0)
            abort();
    }
}

static void clean(void)
{
    sla_heap_t *heap = sla_heap_create("work");
    unsigned char *p = hidden(sla_malloc(33));
    size_t n;
    p[0] = 1;
    n = sla_usable_size(p);
    memset(p, 1, n); /* the program asked, so they are its own */
    depend_on(p + n - 1);
    sla_free(p);
    clean_blocks();
    clean_objects();
    sla_heap_push(heap);
    clean_blocks();
    sla_heap_pop();
    for (int i = 0; i < 100; i++)
        memset(sla_heap_malloc(heap, 1000), 1, 1000);
    sla_heap_destroy(heap);
    sla_trim(0);
}

static const struct {
    const char *name;
    void (*run)(void);
} faults[] = {
    {"after_free", after_free},
    {"after_free_large", after_free_large},
    {"aligned", aligned},
    {"batch", batch},
    {"before_start", before_start},
    {"behind_end", behind_end},
    {"behind_exact", behind_exact},
    {"behind_large", behind_large},
    {"clean", clean},
    {"heap_block", heap_block},
    {"leak", leak},
    {"object", object},
    {"realloc_grown", realloc_grown},
    {"realloc_old", realloc_old},
    {"realloc_shrunk", realloc_shrunk},
    {"reused", reused},
    {"uninitialised", uninitialised},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]) && argc == 2; i++) {
        if (strcmp(argv[1], faults[i].name) != 0)
            continue;
        faults[i].run();
        return 0;
    }
    return 2;
}
