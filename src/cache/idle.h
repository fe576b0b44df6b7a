/*
 * Free pages inside slabs.  A slab of which blocks are out cannot go back to the
 * page heap, but the system pages on which only free blocks lie can go back to
 * the system: when nothing came back to the slab for the purge delay, or at once
 * when the program asks.  One survivor a slab then costs a page, not 64 KiB.
 */
#ifndef CACHE_IDLE_H
#define CACHE_IDLE_H

#include "cache/thread.h"

/* Now and then looks at some of the slabs of the cache, whose owner calls, and of the depot. For slow paths. */
void slai_idle_poll(struct slai_tcache *tc);

/* Looks at all of the cache's and the depot's slabs. True: some have not rested long enough. */
bool slai_idle_due(struct slai_tcache *tc);

/* All of the cache's slabs, now. How many bytes. */
size_t slai_idle_purge(struct slai_tcache *tc);

/* The same for the depot's slabs, after parking all other threads' caches. */
size_t slai_idle_purge_others(void);

#endif
