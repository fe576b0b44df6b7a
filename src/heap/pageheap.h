/*
 * The page heap: spans of free pages in bins by length, dirty ones (with memory
 * behind them) apart from clean ones (without, reading as zero).  Neighbours of
 * a kind are joined; dirty spans age and are purged after the purge delay.
 */
#ifndef HEAP_PAGEHEAP_H
#define HEAP_PAGEHEAP_H

#include "heap/region.h"
#include "os/lock.h"

#define SLAI_BINS 144 /* 0..63 exact, then four to a doubling up to 2^26 pages */

struct slai_pageheap {
    struct slai_lock lock;
    uint64_t mask[2][3];              /* bins that are not empty; [clean] */
    size_t free_pages[2];             /* [clean] */
    size_t used_pages;                /* BUSY, SLAB and LARGE */
    size_t peak_pages;
    size_t large_pages, large_count;
    size_t purged;                    /* bytes, ever */
    size_t moved;                     /* mappings split by slai_os_move() and not mended, about */
    uint64_t looked;                  /* clock at the last look for spans to purge */
    uint32_t given;                   /* gives since then; read by anyone */
    struct slai_list bins[2][SLAI_BINS];
};

extern struct slai_pageheap slai_pageheap SLA_HIDDEN;

/* A span of `pages` pages whose start is a multiple of `align` pages, BUSY or LARGE as asked; ->clean tells if it
   reads as zero. NULL with ENOMEM. A heap whose pages are lent (heap/chunk.h) gets none but those. Takes PAGEHEAP. */
struct slai_account;
struct slai_span *slai_pages_take_for(struct slai_account *account, size_t pages, size_t align, enum slai_kind kind);
SLA_INLINE struct slai_span *slai_pages_take(size_t pages, size_t align, enum slai_kind kind)
{
    return slai_pages_take_for(NULL, pages, align, kind);
}

/* Would that many be found among the pages lent to a heap? Takes PAGEHEAP. */
bool slai_pages_fit(struct slai_account *account, size_t pages);

/* Gives a BUSY span back; slai_purge_after_give() should follow. Takes PAGEHEAP. */
void slai_pages_give(struct slai_span *s);

/* In a fork child, whose other threads are gone: what they had in hand becomes free. Takes PAGEHEAP. */
void slai_pages_repair(void);

/* For large blocks; all REQUIRE PAGEHEAP. */
void slai_span_free(struct slai_span *s);                      /* a used span becomes free; joins neighbours */
bool slai_span_grow(struct slai_span *s, size_t pages);        /* in place, into what follows it */
void slai_span_shrink(struct slai_span *s, size_t pages);      /* frees the tail */

/* For purge.c; REQUIRE PAGEHEAP. */
void slai_bin_remove(struct slai_span *s);
void slai_bin_insert(struct slai_span *s);
void slai_span_claim(struct slai_span *s); /* a free span becomes BUSY and is in no count */
void slai_span_join(struct slai_span *s); /* as slai_span_free, but s is in no count and its clean bit and stamp hold */

#endif
