/*
 * Heaps whose pages the program lends: getting chunks (heap/chunk.h) by the
 * heap's functions, and giving them back.  No lock may be held by a caller, and
 * the functions run with the default heap current.
 */
#ifndef CACHE_PROVIDE_H
#define CACHE_PROVIDE_H

#include "cache/heap.h"
#include "heap/chunk.h"

/* Attempts of one allocation; all 0 at first. */
struct slai_tries {
    unsigned gets, steps;
};

/*
 * Something of `wanted` bytes, for which `bytes` would be charged, aligned to `align`, did not fit.  True: try again:
 * a chunk was got, or slai_heap_relieve() helped.
 */
bool slai_heap_retry(struct sla_heap *heap, size_t wanted, size_t bytes, size_t align, struct slai_tries *tries);

/* Chunks go back to the heap's functions; for ALL whatever is in them. By a call that uses the heap. */
void slai_heap_give_back(struct sla_heap *heap, enum slai_chunks which);

/* The same with what frees left empty, but one chunk. After a free of the heap's block; NULL: nothing to do. */
SLA_INLINE void slai_heap_spare(struct sla_heap *heap)
{
    if (SLA_UNLIKELY(heap != NULL) && SLA_UNLIKELY(slai_load_relaxed(&heap->account.spare)))
        slai_heap_give_back(heap, SLAI_CHUNKS_SPARE);
}

/* All empty chunks of all heaps, after slai_heap_gather() if so asked. How many bytes. Takes HEAPS and all below. */
size_t slai_heaps_give_back(bool gather);

#endif
