/*
 * The depot: per size class the slabs that no thread owns, under a mutex.  The
 * slabs of a thread that ends come here; a thread that runs out adopts one.
 * Each heap that the program made has a depot of its own; below, heap NULL is
 * the default one, and the only one with object caches' classes.
 */
#ifndef CACHE_DEPOT_H
#define CACHE_DEPOT_H

#include "heap/slab.h"
#include "os/lock.h"

struct slai_depot {
    struct slai_lock lock;
    struct slai_list partial, full; /* under the lock */
    size_t ready;                   /* slabs in partial; looked at without it */
    struct slai_lock *turn;         /* of a heap's: the lock instead, which it shares with others'. Constant */
} __attribute__((aligned(SLA_CACHELINE)));

/* An object cache's class comes with its depot. */
struct slai_object_depot {
    struct slai_object_class kind;
    struct slai_depot depot;
};

struct sla_heap;
struct slai_depot *slai_depot_of(unsigned class); /* of the default heap */

/* Empty depots, for a heap with that number. */
void slai_depots_make(struct slai_depot *those, uint32_t number);

/* A slab of tc's heap with free blocks, now owned by tc; NULL: none there. */
struct slai_span *slai_depot_adopt(unsigned class, struct slai_tcache *tc);

/* Takes up to n free blocks of a slab that stays the depot's, made if need be, writing end[-1], end[-2], ...; how many.
   For threads that use little of a class: they share its slabs. Takes the depot's lock, PAGEHEAP, META. */
uint32_t slai_depot_lend(struct sla_heap *heap, unsigned class, void **end, uint32_t n);

/* Takes over all slabs of two lists of one heap and class; empty ones go to the page heap. */
void slai_depot_give(unsigned class, struct slai_list *partial, struct slai_list *full);

/* Frees n blocks of a slab if the depot holds it; false: some thread owns it by now. */
bool slai_depot_put(struct slai_span *s, void *const *blocks, uint32_t n);

/* Counts in the remote frees of a slab if the depot holds it; false as above. */
bool slai_depot_collect(struct slai_span *s);

/* Tends up to `most` of a class's slabs (slai_slab_tend), in turn; destroys empty ones that have rested.
   Adds to *bytes; how many slabs it saw. */
size_t slai_depot_tend(struct sla_heap *heap, unsigned class, size_t most, uint64_t now, uint64_t delay, size_t *bytes,
                       bool *waiting);

/* Every slab of the heap's depot likewise, some at a time. How many bytes. */
size_t slai_depot_tend_all(struct sla_heap *heap, uint64_t now, uint64_t delay, bool *waiting);

/* Destroys the empty ones of every class of a heap. */
void slai_depots_clear(struct sla_heap *heap);

/* Destroys every slab there, whatever is in it. No other thread may use the heap. */
void slai_depots_raze(struct sla_heap *heap);

/* Moves the class's slabs to *all. They stay the depot's, but out of its lists whatever is freed, until they are
   given or filed. */
void slai_depot_take_all(struct sla_heap *heap, unsigned class, struct slai_list *all);

/* Takes an empty slab out of the depot, if one has rested for `delay` ms and is not the only one with free blocks,
   unless `last`. It is in no list then, and the caller's to destroy. NULL: there is none. */
struct slai_span *slai_depot_take_empty(unsigned class, uint64_t now, uint64_t delay, bool last);

/* Has the depot an empty slab beside others with free blocks, which will be due to go? */
bool slai_depot_spare(unsigned class);

/* Blocks that are out of the depot's slabs of a class. */
size_t slai_depot_used(unsigned class);

/* Slabs with free blocks that the class's depot has, at some moment. */
size_t slai_depot_ready(struct sla_heap *heap, unsigned class);

/* Files a slab without owner by what is in it, wherever it was. Takes the depot's lock. */
void slai_depot_file(struct slai_span *s);

void slai_depot_lock_all(void);
void slai_depot_unlock_all(void);
void slai_depot_reset_all(bool forget); /* in a fork child; forget: empty the lists too, the repair will refile */

#endif
