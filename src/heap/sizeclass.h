/*
 * Size classes: 8, then steps of 16 to 256, then eight to a doubling up to
 * 64 KiB.  So a block of more than 128 bytes is at most an eighth bigger than
 * asked for, and every multiple of 16 up to 256 is exact.  Class 0 is no class.
 */
#ifndef HEAP_SIZECLASS_H
#define HEAP_SIZECLASS_H

#include "util/atomic.h"
#include "util/bits.h"

#define SLAI_PAGE_SHIFT 16 /* the heap's page: 64 KiB, at least the system's everywhere */
#define SLAI_PAGE ((size_t)1 << SLAI_PAGE_SHIFT)
#define SLAI_CLASSES 82
#define SLAI_SMALL_MAX ((size_t)1024)   /* looked up in steps of 8 */
#define SLAI_MEDIUM_MAX ((size_t)65536) /* looked up in steps of 128; above: large */

/* Above this calloc and realloc take whole pages all the same: they may read as zero, and they grow in place. */
#define SLAI_PAGES_FROM ((size_t)32768)

#define SLAI_SLAB_WORDS 128 /* a bitmap is no longer */

/* Everything a slab or a stack of the class needs to know; constant. 32 bytes: its place is found by a shift. */
struct slai_class {
    size_t size;
    size_t keep;          /* realloc leaves a block where it is for sizes from here; class 0: more than its size */
    uint32_t reciprocal;  /* index of a block = offset * reciprocal >> 32, exact for block starts */
    uint16_t capacity;    /* blocks in a slab */
    uint16_t flags;       /* SLAI_CLASS_... */
    uint16_t words;       /* 64-bit words in a bitmap of the slab */
    uint16_t pages;       /* heap pages in a slab */
    uint16_t limit_first; /* a stack's limit when new */
    uint16_t limit_max;   /* and the highest it may grow to */
};

extern const struct slai_class slai_classes[] SLA_HIDDEN;

/* Of object caches' classes: */
#define SLAI_CLASS_KEPT 1u /* its cache alone destroys slabs, nobody purges them: free blocks keep their contents */
#define SLAI_CLASS_MADE 2u /* a slab has a third bitmap, of the blocks that are constructed; implies KEPT */

/*
 * An object cache has a class of its own, made at run time.  Their numbers go on above those of malloc, four apart, so
 * that the number, counted in pointers, is the place of a stack (cache/thread.h).  The class map holds 0 for their
 * slabs.
 */
#define SLAI_OBJECT_FIRST 84u
#define SLAI_OBJECT_STEP 4u
#define SLAI_OBJECT_CLASSES 2048u
#define SLAI_OBJECT_END (SLAI_OBJECT_FIRST + SLAI_OBJECT_STEP * SLAI_OBJECT_CLASSES)
#define SLAI_NO_CLASS UINT32_MAX

/* What the pages of a heap or of a class may come to. */
struct slai_quota {
    size_t used, limit; /* in bytes; limit 0: none */
};

/* Adds `bytes`; false, and nothing changed, where that would pass the limit. */
bool slai_quota_take(struct slai_quota *q, size_t bytes);
void slai_quota_give(struct slai_quota *q, size_t bytes);

struct slai_object_class {
    struct slai_class class;
    struct slai_quota quota;
};

/* By number; a place that was ever filled stays, as its class may be looked at while the cache ends. */
extern struct slai_object_class *slai_object_classes[SLAI_OBJECT_CLASSES] SLA_HIDDEN;
extern uint32_t slai_object_end SLA_HIDDEN; /* no class has this number or a higher one */

/* Fills in the geometry for blocks of `size` bytes, at most SLAI_OBJECT_MAX. */
#define SLAI_OBJECT_MAX ((size_t)2 << 20)
void slai_class_make(struct slai_class *k, size_t size, unsigned flags);

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

SLA_INLINE bool slai_class_is_object(unsigned c) { return SLA_UNLIKELY(c >= SLAI_CLASSES); }
SLA_INLINE unsigned slai_object_number(unsigned c) { return (c - SLAI_OBJECT_FIRST) / SLAI_OBJECT_STEP; }

SLA_INLINE struct slai_object_class *slai_object_class(unsigned c)
{
    return slai_load_acquire(&slai_object_classes[slai_object_number(c)]);
}

SLA_INLINE const struct slai_class *slai_class_at(unsigned c)
{
    return slai_class_is_object(c) ? &slai_object_class(c)->class : &slai_classes[c];
}

/* The class after c, of malloc or of an object cache that was ever made; SLAI_NO_CLASS: there is none. */
SLA_INLINE unsigned slai_class_next(unsigned c)
{
    if (c + 1 < SLAI_CLASSES)
        return c + 1;
    c = c < SLAI_OBJECT_FIRST ? SLAI_OBJECT_FIRST : c + SLAI_OBJECT_STEP;
    return c < slai_load_acquire(&slai_object_end) ? c : SLAI_NO_CLASS;
}

/* Blocks lie at multiples of their size from a page's start. */
SLA_INLINE uint32_t slai_class_size(unsigned c) { return (uint32_t)slai_class_at(c)->size; }

#endif
