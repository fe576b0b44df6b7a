/* Giving memory back: dirty spans that have rested for the purge delay lose their pages. */
#ifndef HEAP_PURGE_H
#define HEAP_PURGE_H

#include "heap/pageheap.h"

#include "util/conf.h"

#define SLAI_PURGE_EVERY 8 /* gives between two looks at the clock */


enum slai_purge {
    SLAI_PURGE_CALM, /* what is due, unless somebody looked a moment ago */
    SLAI_PURGE_DUE,  /* what is due */
    SLAI_PURGE_ALL   /* longest first, down to `keep` bytes */
};

/* Takes PAGEHEAP, but not while the system works. Returns the bytes purged; errno is kept. */
size_t slai_purge(enum slai_purge how, size_t keep);

/* slai_pages_take_for(), and again once all free pages are clean and joined if they alone would not do. */
struct slai_span *slai_pages_take_hard(struct slai_account *account, size_t pages, size_t align, enum slai_kind kind);

/* To be called when pages were given back, without the lock: now and then looks at the clock. */
SLA_INLINE void slai_purge_after_give(void)
{
    if (slai_load_relaxed(&slai_pageheap.given) >= SLAI_PURGE_EVERY || slai_option(purge_delay) == 0)
        slai_purge(SLAI_PURGE_CALM, 0);
}

/* How often to look, in ms: several times a delay, so that nothing rests much longer than it. */
SLA_INLINE uint64_t slai_purge_interval(long delay) { return delay > 40 ? (uint64_t)delay / 4 : 10; }

/* Adds to the statistics what was purged inside slabs. Takes PAGEHEAP. */
void slai_purge_count(size_t bytes);

/* As SLAI_PURGE_CALM, but cheap when there is nothing to do: for slow paths to call now and then. */
void slai_purge_poll(void);

/* ms until the oldest dirty span will be due; -1: nothing will. Takes PAGEHEAP. */
long slai_purge_next(void);

#endif
