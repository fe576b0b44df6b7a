/*
 * The metadata arena: caches, stacks and bitmaps.  It bumps through the regions'
 * headers, apart from user data, and keeps what is given back on free lists by
 * size; nothing is ever unmapped, so a stale look at a struct finds a struct.
 */
#ifndef HEAP_META_H
#define HEAP_META_H

#include "util/compiler.h"

#define SLAI_META_MAX ((size_t)1 << 20)

/* size bytes of zeroes, aligned to a cache line; 0 < size <= SLAI_META_MAX. NULL: no memory. Takes META. */
void *slai_meta_take(size_t size);

/* The same, for what is never given back: not rounded up as above 4 KiB the others are. */
void *slai_meta_keep(size_t size);

/* p came from slai_meta_take(size) with the same size. Takes META. */
void slai_meta_give(void *p, size_t size);

/* Bytes mapped for metadata so far. */
size_t slai_meta_bytes(void);

/* Around fork. */
void slai_meta_lock(void);
void slai_meta_unlock(void);
void slai_meta_reset(void);

#endif
