/*
 * arena.c: memory that tests lend to heaps.
 *
 * SPDX-License-Identifier: MIT
 */
#include "arena.h"

#include <sys/mman.h>

void arena_make(struct arena *a)
{
    unsigned char *p = mmap(NULL, (UNITS + 1) * UNIT, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(p != MAP_FAILED);
    memset(a, 0, sizeof *a);
    pthread_mutex_init(&a->mutex, NULL);
    a->start = p + (-(uintptr_t)p & (UNIT - 1));
    a->most = SIZE_MAX;
}

void arena_end(struct arena *a)
{
    ck_assert_uint_eq(a->used, 0);
    ck_assert_uint_eq(a->gets, a->puts);
    ck_assert(!a->wrong && !a->in_heap);
    ck_assert_int_eq(munmap(a->start, UNITS * UNIT), 0);
    pthread_mutex_destroy(&a->mutex);
}

static size_t fit(const struct arena *a, size_t units)
{
    size_t run = 0;
    for (size_t i = 0; i < UNITS; i++) {
        run = a->taken[i] == 0 ? run + 1 : 0;
        if (run == units)
            return i + 1 - units;
    }
    return UNITS;
}

void *arena_get(size_t size, int *zero, void *arg)
{
    struct arena *a = arg;
    size_t units = size / UNIT, at;
    void *p = NULL;
    pthread_mutex_lock(&a->mutex);
    a->wrong |= size == 0 || size % UNIT != 0 || *zero != 0;
    a->in_heap |= sla_heap_current() != NULL;
    support_sink = sla_malloc(100); /* no lock is held */
    sla_free(support_sink);
    at = a->used + size <= a->most ? fit(a, units) : UNITS;
    if (at < UNITS) {
        p = a->start + at * UNIT;
        memset(a->taken + at, 1, units);
        a->taken[at] = 2;
        memset(p, a->zero ? 0 : GARBAGE, size);
        *zero = a->zero;
        a->used += size;
        a->peak = a->used > a->peak ? a->used : a->peak;
        a->gets++;
    } else {
        a->refused++;
    }
    pthread_mutex_unlock(&a->mutex);
    errno = ENOSPC; /* nobody sees it */
    return p;
}

void arena_put(void *memory, size_t size, void *arg)
{
    struct arena *a = arg;
    size_t at = (size_t)((unsigned char *)memory - a->start) / UNIT, units = size / UNIT;
    pthread_mutex_lock(&a->mutex);
    a->in_heap |= sla_heap_current() != NULL;
    a->wrong |= (unsigned char *)memory < a->start || at + units > UNITS || a->taken[at] != 2 ||
                (at + units < UNITS && a->taken[at + units] == 1);
    for (size_t i = 1; i < units && !a->wrong; i++)
        a->wrong |= a->taken[at + i] != 1;
    if (!a->wrong)
        memset(a->taken + at, 0, units);
    a->used -= size;
    a->puts++;
    sla_free(sla_malloc(100));
    pthread_mutex_unlock(&a->mutex);
    errno = ENOSPC;
}

int arena_holds(const struct arena *a, const void *p, size_t size)
{
    size_t at = (size_t)((const unsigned char *)p - a->start);
    if ((const unsigned char *)p < a->start || at + size > UNITS * UNIT)
        return 0;
    for (size_t u = at / UNIT; u <= (at + (size > 0 ? size - 1 : 0)) / UNIT; u++)
        if (a->taken[u] == 0)
            return 0;
    return 1;
}

sla_heap_t *arena_heap(struct arena *a, size_t chunk)
{
    const sla_heap_pages_t pages = {arena_get, arena_put, a, chunk};
    sla_heap_t *heap = sla_heap_create_on("lent", &pages);
    ck_assert_ptr_nonnull(heap);
    return heap;
}
