/*
 * Chunks: memory that a heap's page functions gave.  Each is a region of its
 * own, so its addresses find their descriptors, which lie in memory of ours; the
 * heap's slabs and large blocks are cut from it, and no other pages.  Whose
 * memory it is nobody asks: what no block holds is never read, written, purged,
 * protected or moved.  All take PAGEHEAP.
 */
#ifndef HEAP_CHUNK_H
#define HEAP_CHUNK_H

#include "heap/account.h"

enum slai_chunks {
    SLAI_CHUNKS_ALL,   /* whatever is in them */
    SLAI_CHUNKS_EMPTY, /* without block or slab */
    SLAI_CHUNKS_SPARE  /* the same, but one of them */
};

/* size: a multiple of 64 KiB, as is memory. False with ENOMEM: there are too many, or it overlaps what we have. */
bool slai_chunk_add(struct slai_account *a, void *memory, size_t size, bool zero);

/* Takes one of those chunks from the heap: its memory and size, which are the caller's to give back. NULL: none. */
void *slai_chunk_remove(struct slai_account *a, enum slai_chunks which, size_t *size);

#endif
