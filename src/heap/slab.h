/*
 * A slab: a span cut into equal blocks.  Which blocks are free is a bitmap in
 * the metadata arena, so a free block's memory is never written or read here:
 * no link to corrupt, no cold line to fetch.  A second bitmap takes the blocks
 * that other threads free (cache/remote.c).  Free blocks are handed out lowest
 * address first, so memory that was never needed is never touched.
 *
 * Each function REQUIRES that the caller owns the slab: the CACHE lock of
 * its thread, or the lock of its depot when it has none (I5).
 */
#ifndef HEAP_SLAB_H
#define HEAP_SLAB_H

#include "heap/account.h"
#include "heap/misuse.h"
#include "heap/region.h"

/* Apart: a depot's, while a heap's blocks are visited. */
enum slai_place { SLAI_NOWHERE, SLAI_PARTIAL, SLAI_FULL, SLAI_APART };

#define SLAI_NO_INDEX UINT32_MAX

/* How many were made so far; a clock of the heap's growth. */
extern size_t slai_slabs_made SLA_HIDDEN;

/* A new slab of the heap with that account (NULL: the default heap), all blocks free, in no list. NULL with ENOMEM.
   Takes PAGEHEAP, META. */
struct slai_span *slai_slab_create_for(struct slai_account *account, unsigned class, struct slai_tcache *owner);
SLA_INLINE struct slai_span *slai_slab_create(unsigned class, struct slai_tcache *owner)
{
    return slai_slab_create_for(NULL, class, owner);
}

/* pre: used == 0, in no list. Takes PAGEHEAP, META. */
void slai_slab_destroy(struct slai_span *s);

/* The same with all of a list, whatever blocks are out; slai_purge_after_give() is the caller's. */
void slai_slabs_raze(struct slai_list *slabs);

/* Takes up to n free blocks, writing end[-1], end[-2], ... in address order; how many. */
uint32_t slai_slab_take(struct slai_span *s, void **end, uint32_t n);

/* Counts in what other threads have freed. */
void slai_slab_collect(struct slai_span *s);

/* Gives the system back the pages that lie under free blocks alone. How many bytes. */
size_t slai_slab_purge(struct slai_span *s);

/* Did nothing come back to an own slab for `delay` ms? Starts counting if need be. */
bool slai_slab_rested(struct slai_span *s, uint64_t now, uint64_t delay);

/* Purges an own slab to which nothing came back for `delay` ms; starts counting if need be. How many bytes. */
size_t slai_slab_tend(struct slai_span *s, uint64_t now, uint64_t delay);

/* Blocks came back: there may be something to purge again. */
SLA_INLINE void slai_slab_touch(struct slai_span *s)
{
    if (s->stamp != 0)
        s->stamp = 0;
}

/* In a fork child the quotas may be half done: forgets them, and each slab's recount counts it in again. */
void slai_slabs_repair(void);

/* In a fork child, where no count can be half done: counts anew from the bitmaps. */
void slai_slab_recount(struct slai_span *s);

SLA_INLINE bool slai_slab_empty(const struct slai_span *s) { return s->used == 0; }
SLA_INLINE bool slai_slab_full(const struct slai_span *s) { return s->used == s->capacity; }
SLA_INLINE uint64_t *slai_slab_remote(const struct slai_span *s) { return s->free + s->words; }

/* Of a class with SLAI_CLASS_MADE: its constructed blocks. A block's bit is changed by who holds the block. */
SLA_INLINE uint64_t *slai_slab_made(const struct slai_span *s) { return s->free + 2 * s->words; }

/* Number of the block that starts at p, or SLAI_NO_INDEX if none does. Any thread with a pending free may ask. */
SLA_INLINE uint32_t slai_slab_index(const struct slai_span *s, const void *p)
{
    uint32_t offset = (uint32_t)((const char *)p - s->start);
    uint32_t i = (uint32_t)((uint64_t)offset * s->recip >> 32);
    return SLA_LIKELY(i * s->size == offset && i < s->capacity) ? i : SLAI_NO_INDEX;
}

/* A block that is to be put back is none, or not out. */
SLA_COLD void slai_slab_refuse(const struct slai_span *s, const void *p);

/*
 * Puts back the blocks of this slab that `blocks`, of n > 0, begins with; how many, with the first whatever it is.
 * Those that are not out are reported and left.  The slab's fields stay in registers for as long as the run is.
 */
SLA_INLINE uint32_t slai_slab_put_run(struct slai_span *s, void *const *blocks, uint32_t n)
{
    const char *start = s->start;
    uint64_t *free = s->free, size = s->size, recip = s->recip, hint = s->hint;
    uint64_t end = s->capacity * size, offset = (uintptr_t)blocks[0] - (uintptr_t)start;
    void *const *b = blocks, *const *stop = blocks + n;
    uint32_t refused = 0;
    if (SLA_UNLIKELY(offset >= end)) {
        slai_slab_refuse(s, blocks[0]);
        return 1;
    }
    do {
        uint64_t i = offset * recip >> 32, word = i / SLAI_WORD_BITS;
        uint64_t bits = free[word], bit = (uint64_t)1 << i % SLAI_WORD_BITS;
        if (SLA_UNLIKELY(i * size != offset || (bits & bit) != 0)) {
            slai_slab_refuse(s, *b);
            refused++;
        } else {
            free[word] = bits | bit;
            hint = word < hint ? word : hint;
        }
        if (++b == stop)
            break;
        offset = (uintptr_t)*b - (uintptr_t)start;
    } while (offset < end);
    s->hint = (uint16_t)hint;
    slai_set_relaxed(&s->used, s->used - ((uint32_t)(b - blocks) - refused));
    return (uint32_t)(b - blocks);
}

/* Puts one block back; false (and reported) if it is not out. */
SLA_INLINE bool slai_slab_put(struct slai_span *s, void *p)
{
    uint32_t used = s->used;
    (void)slai_slab_put_run(s, &p, 1);
    return s->used != used;
}

#endif
