/*
 * arena.h: memory that tests lend to heaps.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SLABALLOC_TESTS_ARENA_H
#define SLABALLOC_TESTS_ARENA_H

#include "support.h"

#include <pthread.h>
#include <slaballoc/heap.h>

#define UNIT (64 * KIB)
#define UNITS ((size_t)1024)
#define GARBAGE 0xa5

/* An arena, in shared memory, so that what is dropped from it would read as zero. */
struct arena {
    pthread_mutex_t mutex;
    unsigned char *start;
    unsigned char taken[UNITS]; /* 0: free; 1: within a chunk; 2: its first unit */
    size_t used, peak, gets, puts, refused, most; /* most: bytes it may give */
    int zero, wrong, in_heap;
};

void arena_make(struct arena *a);
void arena_end(struct arena *a); /* everything must have come back */

/* The page functions, arg being an arena, and a heap on them. */
void *arena_get(size_t size, int *zero, void *arg);
void arena_put(void *memory, size_t size, void *arg);
sla_heap_t *arena_heap(struct arena *a, size_t chunk);

/* Do all those bytes lie in chunks? */
int arena_holds(const struct arena *a, const void *p, size_t size);

#endif
