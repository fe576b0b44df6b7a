/*
 * slaballoc/cache.h: object caches, after Bonwick (USENIX 1994, 2001).
 *
 * A cache hands out objects of one size.  With a constructor, an object is set
 * up before it is first handed out and stays so from free to alloc: the caller
 * gives it back in the state the constructor left it in.  The destructor runs
 * when the memory goes back.  With either, or TYPE_STABLE, no free object is
 * written to (DEBUG excepted); else what is in one is lost.
 *
 * Every function may be called from any thread, and an object may be freed from
 * any thread; no other may use the cache during sla_cache_destroy, nor after it.
 * Callbacks run with no lock held and may use the library, this cache too.  A
 * constructor may run for more objects than were asked for, a destructor in any
 * thread that allocates: neither may wait for a lock held around allocations.
 * Sizes are in bytes.  See sla_cache_create(3).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SLABALLOC_CACHE_H
#define SLABALLOC_CACHE_H

#include <slaballoc.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sla_cache sla_cache_t;

/* An object of a cache: 1 to SLA_CACHE_SIZE_MAX bytes, aligned to a power of two up to SLA_CACHE_ALIGN_MAX. */
#define SLA_CACHE_SIZE_MAX ((size_t)1 << 20)
#define SLA_CACHE_ALIGN_MAX ((size_t)65536)
#define SLA_CACHE_MOST 2048 /* caches at a time */

/* Flags of sla_cache_create; any of them may be combined, but for ZEROED with a constructor or destructor. */
#define SLA_CACHE_ZEROED 1u      /* every object that is handed out reads as zero */
#define SLA_CACHE_TYPE_STABLE 2u /* until sla_cache_destroy the memory serves this cache alone and stays readable */
#define SLA_CACHE_NO_REAP 4u     /* time, sla_trim, lack of memory leave the cache alone; sla_cache_reap does not */
#define SLA_CACHE_DEBUG 8u       /* poison, red zone and last user of each object, checked at alloc and free; each
                                    is constructed when allocated and destroyed when freed */

/*
 * The constructor returns 0, or an errno value (or -1) when the object cannot be set up: then the allocation fails
 * with it.  name (copied, cut at 31 bytes; NULL: "cache") is for reports and statistics; align 0: as sla_malloc
 * aligns.  NULL with EINVAL (size, alignment or flags), ENOMEM, or ENFILE (SLA_CACHE_MOST caches exist).
 */
SLA_API sla_cache_t *sla_cache_create(const char *name, size_t size, size_t align, unsigned flags,
                                      int (*constructor)(void *object, void *arg),
                                      void (*destructor)(void *object, void *arg), void *arg) SLA_NOEXCEPT SLA_RESULT;

/*
 * Destroys all free objects and gives everything back.  0; or -1 with EBUSY, and a line on standard error, while
 * objects are allocated: then the cache stays as it is, and may be used and destroyed later.  NULL is ignored.
 * A cache that was destroyed before is reported as misuse.
 */
SLA_API int sla_cache_destroy(sla_cache_t *cache) SLA_NOEXCEPT;

/* NULL with ENOMEM (no memory, or the cache's limit), or with what the constructor returned. */
SLA_API void *sla_cache_alloc(sla_cache_t *cache) SLA_NOEXCEPT SLA_RESULT;

/* NULL is ignored.  errno is never changed.  An object of another cache, or no object, is reported, then abort().
   sla_free() of an object does the same, finding its cache by the address. */
SLA_API void sla_cache_free(sla_cache_t *cache, void *object) SLA_NOEXCEPT;

/* Allocates up to count objects into objects[]; how many.  Fewer than count: as sla_cache_alloc, errno says why. */
SLA_API size_t sla_cache_alloc_batch(sla_cache_t *cache, void **objects, size_t count) SLA_NOEXCEPT SLA_RESULT;
SLA_API void sla_cache_free_batch(sla_cache_t *cache, void **objects, size_t count) SLA_NOEXCEPT;

/* Gives back what no object in use needs: free objects of all threads are destroyed where a whole slab of them is
   free, but for the few that other threads hold ready.  Returns the bytes that went back.  A TYPE_STABLE cache gives
   nothing. */
SLA_API size_t sla_cache_reap(sla_cache_t *cache) SLA_NOEXCEPT;

/*
 * At most `bytes` of memory, in whole slabs, from now on; 0: no limit.  What is there already stays.  When an
 * allocation would pass the limit, or the system has no memory, the cache's reclaim function is called, which may free
 * objects, and the allocation tried once more if it returned not 0.  The same when any other allocation of the program
 * finds no memory, but for NO_REAP.  Of several threads that fail each may call it; none calls one from within another.
 */
SLA_API void sla_cache_set_limit(sla_cache_t *cache, size_t bytes) SLA_NOEXCEPT;
SLA_API void sla_cache_set_reclaim(sla_cache_t *cache, int (*reclaim)(sla_cache_t *cache, void *arg),
                                   void *arg) SLA_NOEXCEPT;

/*
 * What a cache holds.  Only ever extended at the end; sizeof tells the library what the caller knows.  Figures of
 * threads at work are as of their last slow path.
 */
typedef struct {
    size_t size;         /* bytes of an object, as asked for */
    size_t stride;       /* bytes it takes */
    size_t live;         /* objects allocated */
    size_t cached;       /* objects free in threads' caches */
    size_t free;         /* objects free in slabs */
    size_t slabs;        /* slabs */
    size_t bytes;        /* bytes of slabs */
    size_t limit;        /* as set, 0: none */
    size_t constructed;  /* objects constructed, ever: constructor calls that succeeded */
    size_t destroyed;    /* destructor calls, ever */
} sla_cache_stats_t;

/* 0, or -1 with EINVAL: size is 0 or not a multiple of sizeof(size_t). */
SLA_API int sla_cache_stats(sla_cache_t *cache, sla_cache_stats_t *stats, size_t size) SLA_NOEXCEPT;

/*
 * Calls visit for each allocated object until it returns not 0, and returns that, or 0.  No thread may allocate or free
 * objects of the cache meanwhile; visit may free the one it is given.
 */
SLA_API int sla_cache_iterate(sla_cache_t *cache, int (*visit)(void *object, void *arg), void *arg) SLA_NOEXCEPT;

/* The cache of an object (or of a free one's memory); NULL: the address is in no cache's slab. */
SLA_API sla_cache_t *sla_cache_of(const void *address) SLA_NOEXCEPT;

/* Its name; valid until it is destroyed. */
SLA_API const char *sla_cache_name(const sla_cache_t *cache) SLA_NOEXCEPT;

#ifdef __cplusplus
}
#endif
#endif
