/*
 * Regions: reserved address space cut into heap pages of 64 KiB, and what each
 * page is.  A region begins with its own bookkeeping:
 *
 *   base                                                                base + data * 64 KiB
 *   | class map, 1 byte a page | metadata | span descriptors, 128 B a page | data pages ... |
 *                                     <-- | -->
 *
 * The class map is the first thing in the region, so base[page number] is the
 * scaled size class of a slab's page, 0 for all else.  Address to page to
 * descriptor is arithmetic.  The header's own pages have no descriptors, but for the
 * last of them, and metadata is taken from the end of its part; so a small heap's
 * bookkeeping is one piece, and a page of the map.  The metadata part is the arena's (heap/meta.c): were it
 * mapped elsewhere, a process at the limit of its address space could have free
 * pages in plenty and no bitmap to make a slab of them.  The first region is the window the hot path looks
 * at; more regions exist only where one big one was refused, and for memory that the program lends to its heaps
 * (heap/chunk.h): such a region is data alone, its descriptors lie elsewhere, and it has no class map.
 */
#ifndef HEAP_REGION_H
#define HEAP_REGION_H

#include "heap/sizeclass.h"
#include "util/atomic.h"
#include "util/list.h"

enum slai_kind {
    SLAI_KIND_NONE,  /* inside a span, or never used */
    SLAI_KIND_INNER, /* inside a slab of several pages: `back` leads to its first page */
    SLAI_KIND_FREE,  /* first and last page of a span in the page heap's bins */
    SLAI_KIND_BUSY,  /* taken from the page heap, not yet (or no longer) anything */
    SLAI_KIND_SLAB,
    SLAI_KIND_LARGE,
    SLAI_KIND_HEADER /* the region's own pages */
};

struct slai_tcache;

/* A run of pages; the descriptor of its first page speaks for it. Two cache lines by who writes them. */
struct slai_span {
    /* Owner thread of a slab, its depot's lock without one; PAGEHEAP for all other kinds. */
    uint8_t kind;    /* enum slai_kind; changes under PAGEHEAP, or BUSY <-> SLAB by its taker */
    uint8_t place;   /* SLAB: enum slai_place, the list it is in (I4) */
    uint8_t clean;   /* FREE and BUSY: reads as zero (I9) */
    uint8_t moved;   /* its mapping was split by slai_os_move(): purge by renewing */
    uint16_t class;  /* SLAB and INNER; an object cache's free looks at it whatever the page is */
    uint16_t capacity; /* SLAB: blocks in it */
    uint32_t pages;  /* length of the span */
    uint32_t back;   /* pages back to the first page: INNER, and last page of FREE */
    uint32_t used;   /* SLAB: blocks out, and remote frees not yet counted in; written by the owner alone */
    uint32_t size;   /* SLAB: of a block */
    uint32_t recip;  /* SLAB: as in its class */
    uint16_t words;  /* SLAB: length of each bitmap */
    uint16_t hint;   /* SLAB: no free bit below this word */
    uint64_t *free;  /* SLAB: the free set, a bit a block; the remote set follows it */
    char *start;     /* address of the first page */
    struct slai_link link;

    /* Shared: other threads add to it. */
    struct slai_tcache *owner __attribute__((aligned(SLA_CACHELINE))); /* NULL: in the depot */
    size_t remote;                /* blocks freed by others and not yet counted; 0 -> n posts the slab */
    struct slai_span *next_post;  /* in the owner's inbox */
    uint64_t stamp;               /* dirty FREE, under PAGEHEAP, or SLAB with free blocks, by its owner: when it was
                                     first seen so; 0: not since blocks came back */
    uint16_t account;             /* SLAB, INNER and LARGE: its heap's number (heap/account.h), else 0 */
    uint16_t lender;              /* of a span that a heap's page functions gave: the heap's number; else 0 */
};

#define SLAI_STAMP_REFUSED UINT64_MAX /* the system would not purge it */
#define SLAI_STAMP_PURGED UINT64_MAX  /* of a slab: there is nothing more to give back */

_Static_assert(sizeof(struct slai_span) == 2 * SLA_CACHELINE, "a descriptor is two cache lines");

/* Neighbours and statistics look at a kind while it changes: what goes with the kind is written before it. */
SLA_INLINE unsigned slai_kind(const struct slai_span *s) { return slai_load_acquire(&s->kind); }
SLA_INLINE void slai_set_kind(struct slai_span *s, unsigned kind) { slai_set_release(&s->kind, (uint8_t)kind); }

struct slai_region {
    char *base;
    size_t pages;            /* in all; 0: a dropped region's place, to be used again */
    size_t data;             /* number of the first data page */
    size_t top;              /* pages below it have been handed out; PAGEHEAP, read by anyone */
    size_t committed;        /* data pages below it are readable and writable; PAGEHEAP */
    size_t spans_committed;  /* descriptors, likewise, as an offset from base */
    size_t map_committed;    /* bytes of the class map, likewise */
    size_t metadata;         /* plus both of them: bytes of bookkeeping */
    char *meta_low, *meta_next; /* what the arena has not taken yet; META. A dedicated region has no such share */
    char *meta_ready;        /* committed from here on */
    char *raw;               /* the reservation, of which base is the aligned part */
    size_t raw_size;
    bool dedicated;          /* made for one large block: may be dropped */
    uint16_t lender;         /* the heap whose page functions gave it: data alone, the descriptors are in raw; else 0 */
    struct slai_span *spans; /* by page number, from data - 1 on */
};

/* What the hot path knows of the first region: its pages that have a byte in the class map, 0 until there is one. */
struct slai_window {
    char *base;
    size_t pages;
};

/* And the hot path of object caches: of the same region the pages that have a descriptor. */
struct slai_object_window {
    char *start;
    size_t pages;
    struct slai_span *spans;
};

#define SLAI_MAX_REGIONS 256
#define SLAI_LENT_MOST 192 /* of them, from heaps' page functions */
extern struct slai_window slai_window SLA_HIDDEN;
extern struct slai_object_window slai_object_window SLA_HIDDEN;
extern struct slai_region slai_regions[SLAI_MAX_REGIONS] SLA_HIDDEN;
extern size_t slai_region_count SLA_HIDDEN; /* PAGEHEAP; read by anyone, grows only */

/* The region p lies in, if in a page that was ever handed out; else NULL. */
struct slai_region *slai_region_of(const void *p);

/* Makes the first region if there is none. REQUIRES PAGEHEAP. */
void slai_region_first(void);

/* At least `need` zeroed bytes for the metadata arena; *size: how many. NULL: no region has room. REQUIRES META. */
char *slai_region_meta(size_t need, size_t *size);

/* Fresh pages, as a BUSY clean span; extends or adds a region. NULL with ENOMEM. REQUIRES PAGEHEAP. */
struct slai_span *slai_region_extend(size_t pages);

/* The region that grows: the last that is not lent. NULL: there is none. REQUIRES PAGEHEAP. */
struct slai_region *slai_region_last(void);

/* A region of `pages` that are not ours, with descriptors in raw, zeroed memory for two more of them: its one span,
   BUSY. Nothing there is ever read or written, committed or purged. NULL: no place, or it overlaps another region.
   REQUIRES PAGEHEAP. */
struct slai_span *slai_region_lend(char *base, size_t pages, uint16_t lender, char *raw, size_t raw_size);

/* Is every page of it free? REQUIRES PAGEHEAP. */
bool slai_region_unused(const struct slai_region *r);

/* Gives a dedicated region's address space back, or a lent one's descriptors; false if the system refuses. REQUIRES
   PAGEHEAP; no page of it is in use or in a bin. */
bool slai_region_drop(struct slai_region *r);

SLA_INLINE size_t slai_page_number(const struct slai_region *r, const void *p)
{
    return ((uintptr_t)p - (uintptr_t)slai_load_relaxed(&r->base)) >> SLAI_PAGE_SHIFT;
}

/* The descriptor of p's page, whatever that page is; NULL for a foreign address. */
SLA_INLINE struct slai_span *slai_page_of(const void *p)
{
    struct slai_region *r = slai_region_of(p);
    return r != NULL ? &r->spans[slai_page_number(r, p)] : NULL;
}

/* What is said of a page that is nobody's any more. */
extern const struct slai_span slai_no_span SLA_HIDDEN;

/* pre: p lies in a slab of ours, or did when it was freed: then the answer is no slab. */
SLA_INLINE struct slai_span *slai_slab_of(const void *p)
{
    struct slai_span *s;
    size_t page = ((uintptr_t)p - (uintptr_t)slai_load_settled(&slai_window.base)) >> SLAI_PAGE_SHIFT;
    if (SLA_LIKELY(page < slai_load_settled(&slai_window.pages))) {
        s = &slai_regions[0].spans[page];
    } else {
        s = slai_page_of(p);
        if (s == NULL)
            return (struct slai_span *)&slai_no_span;
    }
    return s - s->back;
}

/* q is not p, but in the same page: what is known of the page holds for both. */
SLA_INLINE bool slai_beside(const void *p, const void *q)
{
    return ((uintptr_t)p ^ (uintptr_t)q) - 1 < SLAI_PAGE - 1;
}

/* Scaled class of p's page in any region: 0 for all that is no slab, foreign addresses too. */
uint8_t slai_class_byte_far(const void *p);
SLA_INLINE uint8_t slai_class_byte(const void *p)
{
    const char *base = slai_load_settled(&slai_window.base);
    size_t page = ((uintptr_t)p - (uintptr_t)base) >> SLAI_PAGE_SHIFT;
    if (SLA_LIKELY(page < slai_load_settled(&slai_window.pages)))
        return slai_load_relaxed((const uint8_t *)base + page);
    return slai_class_byte_far(p);
}

/* The object cache's class of the slab p lies in; 0: in none. */
unsigned slai_object_class_of(const void *p);

/* Walks over the slabs of an object class: the first whose page is *cursor or later, which goes on behind it; NULL: no
   more. The slabs are the caller's business to keep. */
struct slai_slab_cursor {
    size_t region, page;
};
struct slai_span *slai_slab_next(struct slai_slab_cursor *cursor, unsigned class);

/* Writes the class map for a slab's pages. */
void slai_class_mark(const struct slai_span *s, uint8_t scaled);

/* The region a span's descriptor lies in. */
struct slai_region *slai_region_of_span(const struct slai_span *s);

#endif
