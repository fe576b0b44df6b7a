/*
 * slaballoc/heap.h: heaps of their own.
 *
 * A heap is memory apart: for a request, a tenant, a plug-in.  It has its own
 * slabs and large blocks, may be given a limit, tells what it holds, and is
 * freed in one call without a look at its blocks.  The program's malloc is the
 * default heap; what a heap hands out is freed, resized and asked about by the
 * ordinary calls (sla_free, sla_realloc, sla_usable_size ...), which find the
 * heap by the address.
 *
 * Every function may be called from any thread, and a block may be freed from
 * any thread; sla_heap_destroy alone must be the last call with its heap and
 * its blocks.  Callbacks run with no lock held.  Sizes are in bytes.  See
 * sla_heap_create(3).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SLABALLOC_HEAP_H
#define SLABALLOC_HEAP_H

#include <slaballoc.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sla_heap sla_heap_t;

#define SLA_HEAP_MOST 65535 /* heaps at a time */

/* name: copied, cut at 31 bytes; NULL: "heap".  NULL with ENOMEM, or ENFILE: SLA_HEAP_MOST heaps exist. */
SLA_API sla_heap_t *sla_heap_create(const char *name) SLA_NOEXCEPT SLA_RESULT;

/*
 * Where a heap's pages come from: memory that the program has for it, shared,
 * in huge pages, near a device.  Both functions are called by a thread that
 * allocates, frees, trims or destroys, with the default heap current, and may
 * run in several threads at once; they may not call what uses the heap.
 */
typedef struct {
    void *(*get)(size_t size, int *zero, void *arg); /* size: a multiple of 64 KiB, as the address must be; readable
                                                        and writable; NULL: none. *zero = 1: it reads as zero */
    void (*put)(void *memory, size_t size, void *arg); /* takes back what one call of get gave; NULL: nobody does */
    void *arg;
    size_t chunk; /* the least to ask for at a time, a multiple of 64 KiB; 0: 4 MiB */
} sla_heap_pages_t;

#define SLA_HEAP_CHUNKS_MOST 192 /* chunks at a time, of all heaps together */

/*
 * A heap whose blocks lie in what get gave, and nowhere else; the library keeps
 * nothing of its own there, and does not touch what no block holds.  A chunk
 * is put back when the heap is destroyed, and when it is empty.  Errors as
 * above; EINVAL: get is missing, or chunk is no multiple.
 */
SLA_API sla_heap_t *sla_heap_create_on(const char *name, const sla_heap_pages_t *pages) SLA_NOEXCEPT SLA_RESULT;

/*
 * Frees the heap and every block in it.  NULL is ignored.  A heap that a thread
 * has pushed and not popped again, or that was destroyed before, is reported as
 * misuse.
 */
SLA_API void sla_heap_destroy(sla_heap_t *heap) SLA_NOEXCEPT;

/*
 * As their namesakes, from this heap; NULL: the default one, whichever is
 * current.  ENOMEM at the heap's limit too.  sla_heap_realloc moves a block of
 * another heap into this one; sla_realloc leaves a block in the heap it is in.
 */
SLA_API void *sla_heap_malloc(sla_heap_t *heap, size_t size) SLA_NOEXCEPT SLA_MALLOC_LIKE SLA_SIZE1(2);
SLA_API void *sla_heap_calloc(sla_heap_t *heap, size_t count, size_t size)
    SLA_NOEXCEPT SLA_MALLOC_LIKE SLA_SIZE2(2, 3);
SLA_API void *sla_heap_realloc(sla_heap_t *heap, void *block, size_t size) SLA_NOEXCEPT SLA_RESULT SLA_SIZE1(3);
SLA_API void *sla_heap_aligned_alloc(sla_heap_t *heap, size_t alignment, size_t size)
    SLA_NOEXCEPT SLA_MALLOC_LIKE SLA_ALIGNED(2) SLA_SIZE1(3);

/* The heap an address is in; NULL: the default one, or none at all (sla_owns tells). */
SLA_API sla_heap_t *sla_heap_of(const void *address) SLA_NOEXCEPT;
SLA_API const char *sla_heap_name(const sla_heap_t *heap) SLA_NOEXCEPT; /* "default" for NULL */

/*
 * The calling thread's current heap: malloc, calloc, aligned_alloc and their
 * like, realloc(NULL) and operator new allocate there.  push makes `heap`
 * (NULL: the default one) current until the pop that belongs to it; up to 64
 * deep.  0, or -1 with EOVERFLOW or ENOMEM.  A pop without a push is reported
 * as misuse.  On the drop-in this is also where the C library allocates what it
 * keeps, a stream's buffer or a new thread's tables: see sla_heap_push(3).
 */
SLA_API int sla_heap_push(sla_heap_t *heap) SLA_NOEXCEPT;
SLA_API void sla_heap_pop(void) SLA_NOEXCEPT;
SLA_API sla_heap_t *sla_heap_current(void) SLA_NOEXCEPT; /* NULL: the default one */

/*
 * Slabs and large blocks of the heap may come to `bytes`; 0: no limit.  What is
 * there already stays.  pressure (NULL: none) is called by the thread that
 * allocates, with the default heap current: when the heap has come above `soft`
 * bytes (0: never), once each time; and before an allocation fails, which is
 * tried once more if it returns not 0.  It may free blocks of the heap.  Where
 * it allocates in a heap itself, no pressure function is called on that account.
 * 0, or -1 with EINVAL: soft is above bytes.
 */
SLA_API int sla_heap_set_limit(sla_heap_t *heap, size_t soft, size_t bytes,
                               int (*pressure)(sla_heap_t *heap, size_t wanted, void *arg), void *arg) SLA_NOEXCEPT;

/*
 * What a heap holds.  Only ever extended at the end; sizeof tells the library
 * what the caller knows.  Figures of threads at work are as of their last slow
 * path.
 */
typedef struct {
    size_t live;   /* bytes held by the program, as rounded up */
    size_t blocks; /* number of blocks they are in */
    size_t cached; /* bytes free in threads' caches */
    size_t free;   /* bytes free in slabs */
    size_t bytes;  /* of slabs and large blocks: what the limit is about */
    size_t peak;   /* highest value of bytes */
    size_t limit;  /* as set; 0: none */
    size_t provided; /* bytes in chunks that get gave and put did not take back */
} sla_heap_stats_t;

/* 0, or -1 with EINVAL: size is 0 or not a multiple of sizeof(size_t). */
SLA_API int sla_heap_stats(sla_heap_t *heap, sla_heap_stats_t *stats, size_t size) SLA_NOEXCEPT;

/*
 * Calls visit for each live block, with its usable size, until it returns not
 * 0, and returns that, or 0.  No thread may allocate from or free into the heap
 * meanwhile, but visit may free the block it is given.
 */
SLA_API int sla_heap_visit(sla_heap_t *heap, int (*visit)(void *block, size_t size, void *arg), void *arg) SLA_NOEXCEPT;

#ifdef __cplusplus
}
#endif
#endif
