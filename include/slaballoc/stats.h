/*
 * slaballoc/stats.h: where the memory went.
 *
 * The figures are collected while other threads run: each is right for some
 * moment of the call, their sums may be off by what moved meanwhile.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SLABALLOC_STATS_H
#define SLABALLOC_STATS_H

#include <slaballoc.h>

#ifdef __cplusplus
extern "C" {
#endif

/* All in bytes unless said otherwise.  New members are added at the end only. */
typedef struct sla_stats {
    size_t reserved;     /* address space held, mostly without memory behind it */
    size_t committed;    /* of it, readable and writable */
    size_t slabs;        /* in slabs of small blocks */
    size_t large;        /* in large blocks held by the program */
    size_t large_count;  /* number of large blocks */
    size_t live;         /* held by the program: small and large, as rounded up */
    size_t cached;       /* free blocks in thread caches */
    size_t slab_free;    /* free blocks in slabs, not all with memory behind them */
    size_t dirty;        /* free pages that may have memory behind them */
    size_t clean;        /* free pages without */
    size_t metadata;     /* the allocator's own bookkeeping */
    size_t purged;       /* given back to the system since the start, total */
    size_t regions;      /* number of reserved regions */
    size_t threads;      /* number of thread caches in use */
    size_t peak;         /* highest value of slabs + large */
} sla_stats_t;

/*
 * Fills *stats, of which the caller knows size bytes (sizeof(sla_stats_t)).
 * 0, or -1 with errno EINVAL for a size that is 0 or not a multiple of
 * sizeof(size_t).  Members the library does not know are set to 0.
 */
SLA_API int sla_stats_get(sla_stats_t *stats, size_t size) SLA_NOEXCEPT;

/*
 * Writes a report, line by line, through out(arg, line); each line ends in a
 * newline.  out NULL: to standard error.  out may call the allocator.
 */
SLA_API void sla_stats_print(void (*out)(void *arg, const char *line), void *arg) SLA_NOEXCEPT;

#ifdef __cplusplus
}
#endif
#endif
