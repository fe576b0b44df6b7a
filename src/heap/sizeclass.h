/*
 * Size classes: 8, then steps of 16 to 256, then eight to a doubling up to
 * 64 KiB.  So a block of more than 128 bytes is at most an eighth bigger than
 * asked for, and every multiple of 16 up to 256 is exact.  Class 0 is no class.
 */
#ifndef HEAP_SIZECLASS_H
#define HEAP_SIZECLASS_H

#include "util/bits.h"

#define SLAI_PAGE_SHIFT 16 /* the heap's page: 64 KiB, at least the system's everywhere */
#define SLAI_PAGE ((size_t)1 << SLAI_PAGE_SHIFT)
#define SLAI_CLASSES 82
#define SLAI_SMALL_MAX ((size_t)1024)   /* looked up in steps of 8 */
#define SLAI_MEDIUM_MAX ((size_t)65536) /* looked up in steps of 128; above: large */

/* Above this calloc and realloc take whole pages all the same: they may read as zero, and they grow in place. */
#define SLAI_PAGES_FROM ((size_t)32768)

/* Everything a slab or a stack of the class needs to know; constant. 32 bytes: its place is found by a shift. */
struct slai_class {
    size_t size;
    size_t keep;          /* realloc leaves a block where it is for sizes from here; class 0: more than its size */
    uint32_t reciprocal;  /* index of a block = offset * reciprocal >> 32, exact for block starts */
    uint32_t capacity;    /* blocks in a slab */
    uint16_t words;       /* 64-bit words in a bitmap of the slab */
    uint16_t pages;       /* heap pages in a slab */
    uint16_t limit_first; /* a stack's limit when new */
    uint16_t limit_max;   /* and the highest it may grow to */
};

extern const struct slai_class slai_classes[] SLA_HIDDEN;

/* From sizes to 2 * class, the scaling that the stacks use; [n] is for sizes up to 8n, 128n. */
struct slai_size_map {
    uint8_t small[SLAI_SMALL_MAX / 8 + 1];
    uint8_t medium[SLAI_MEDIUM_MAX / 128 + 1];
};

extern const struct slai_size_map slai_size_map SLA_HIDDEN;

/* The class for a size <= SLAI_MEDIUM_MAX; pure arithmetic. */
unsigned slai_class_of(size_t size);

/* The smallest class whose blocks are all aligned so; align a power of two. 0: none, use a large block. */
unsigned slai_class_aligned(size_t size, size_t align);

/* Blocks lie at multiples of their size from a page's start. */
SLA_INLINE uint32_t slai_class_size(unsigned c) { return (uint32_t)slai_classes[c].size; }

#endif
