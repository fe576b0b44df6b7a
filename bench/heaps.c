/*
 * heaps.c: heaps of a program's own, by the calls that the measured allocator
 * has for them.
 *
 * SPDX-License-Identifier: MIT
 */
#include "heaps.h"
#include "work.h"

#include <stdio.h>

static void free_block(void *heap, void *block)
{
    (void)heap;
    free(block);
}

/* --- slaballoc ------------------------------------------------------------- */

static void *(*slab_create)(const char *name);

static void *slab_make(void)
{
    return slab_create(NULL);
}

static bool slab_find(struct heap_way *way)
{
    return work_function(&slab_create, "sla_heap_create") && work_function(&way->alloc, "sla_heap_malloc") &&
           work_function(&way->end, "sla_heap_destroy");
}

/* --- mimalloc -------------------------------------------------------------- */

static bool mi_find(struct heap_way *way)
{
    return work_function(&way->make, "mi_heap_new") && work_function(&way->alloc, "mi_heap_malloc") &&
           work_function(&way->end, "mi_heap_destroy");
}

/* --- jemalloc ---------------------------------------------------------------- */

/*
 * An arena is too much to make for a request and is not meant for it: each thread keeps one, and resets it.  The
 * thread's cache is passed over, since no block may be in one when its arena is reset; a cache for the arena, flushed
 * before, costs jemalloc three times as much.
 */
struct arena {
    size_t reset[3]; /* the number of "arena.<i>.reset" */
    int flags;
};

enum { MIB_LENGTH = 3, NO_CACHE = 1 << 8, ARENA_SHIFT = 20 }; /* MALLOCX_TCACHE_NONE, MALLOCX_ARENA */

static int (*je_mallctl)(const char *name, void *old, size_t *old_size, void *new, size_t new_size);
static int (*je_name)(const char *name, size_t *mib, size_t *length);
static int (*je_bymib)(const size_t *mib, size_t length, void *old, size_t *old_size, void *new, size_t new_size);
static void *(*je_mallocx)(size_t size, int flags);
static void (*je_dallocx)(void *block, int flags);

static void *je_make(void)
{
    static _Thread_local struct arena *kept;
    size_t length = MIB_LENGTH, size = sizeof(unsigned);
    unsigned index;

    if (kept == NULL) {
        struct arena *arena = work_map(sizeof(*arena));
        if (je_mallctl("arenas.create", &index, &size, NULL, 0) != 0 ||
            je_name("arena.0.reset", arena->reset, &length) != 0) {
            return NULL;
        }
        arena->reset[1] = index;
        arena->flags = (int)((index + 1) << ARENA_SHIFT) | NO_CACHE;
        kept = arena;
    }
    return kept;
}

static void *je_alloc(void *heap, size_t size)
{
    return je_mallocx(size, ((const struct arena *)heap)->flags);
}

static void je_free(void *heap, void *block)
{
    (void)heap;
    je_dallocx(block, NO_CACHE);
}

static void je_end(void *heap)
{
    if (je_bymib(((const struct arena *)heap)->reset, MIB_LENGTH, NULL, NULL, NULL, 0) != 0) {
        work_fail("an arena cannot be reset");
    }
}

static bool je_find(struct heap_way *way)
{
    (void)way;
    return work_function(&je_mallctl, "mallctl") && work_function(&je_name, "mallctlnametomib") &&
           work_function(&je_bymib, "mallctlbymib") && work_function(&je_mallocx, "mallocx") &&
           work_function(&je_dallocx, "dallocx");
}

/* ----------------------------------------------------------------------------- */

static struct way {
    struct heap_way way;
    bool (*find)(struct heap_way *way);
} ways[] = {
    {{"sla_heap_create", slab_make, NULL, free_block, NULL}, slab_find},
    {{"mi_heap_new", NULL, NULL, free_block, NULL}, mi_find},
    {{"arena reset", je_make, je_alloc, je_free, je_end}, je_find},
};

const struct heap_way *heap_way(void)
{
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        if (ways[i].find(&ways[i].way)) {
            return &ways[i].way;
        }
    }
    return NULL;
}
