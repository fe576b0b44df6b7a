/*
 * heaps.h: heaps of a program's own, by the calls that the measured allocator
 * has for them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_HEAPS_H
#define BENCH_HEAPS_H

#include <stddef.h>

struct heap_way {
    const char *name;                         /* what the heap is made by */
    void *(*make)(void);                      /* NULL: there is none */
    void *(*alloc)(void *heap, size_t size);  /* NULL: no memory */
    void (*free)(void *heap, void *block);
    void (*end)(void *heap);                  /* the heap and all its blocks; by the thread that made it */
};

const struct heap_way *heap_way(void); /* NULL: it has no heaps but malloc's */

#endif
