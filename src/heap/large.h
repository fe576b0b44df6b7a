/*
 * Large blocks: above the largest class, or aligned beyond it.  Each is a span
 * of its own and starts at its first page.  All take PAGEHEAP.
 */
#ifndef HEAP_LARGE_H
#define HEAP_LARGE_H

#include "heap/account.h"

/* size <= PTRDIFF_MAX bytes aligned to align (a power of two), of the heap with that account (NULL: the default one);
   *zero: it reads as zero. NULL with ENOMEM. */
void *slai_large_take_for(struct slai_account *account, size_t size, size_t align, bool *zero);
SLA_INLINE void *slai_large_take(size_t size, size_t align, bool *zero)
{
    return slai_large_take_for(NULL, size, align, zero);
}

/* Frees p if it is a live large block; otherwise reports it in the name of `call`. The account it was charged to. */
struct slai_account *slai_large_give(void *p, const char *call);

/* Bytes of the live large block that starts at p; 0: there is none. Takes no lock: p is the caller's. */
size_t slai_large_size(const void *p);

/* Makes the block fit size bytes where it is, by giving back its tail or taking what follows it. *zero: pages were
   added, and they read as zero. */
bool slai_large_resize(void *p, size_t size, bool *zero);

/* Frees all of a heap's; slai_purge_after_give() should follow. */
void slai_large_raze(struct slai_account *account);

/* A new block of size bytes with p's pages moved into it, p freed; NULL: not possible or not worth it, copy. *zero as
   above. */
void *slai_large_move(void *p, size_t size, bool *zero);

#endif
