/*
 * slaballoc.h: a slab allocator for C programs.
 *
 * Every function may be called from any thread; a block may be freed from any
 * thread.  Sizes are in bytes.  No function is async-signal-safe.  Failure is
 * NULL (or the value named below) with errno set; success leaves errno alone.
 * Each function has a manual page in section 3; slaballoc(7) explains how it
 * works, slaballoc(3) is the overview.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SLABALLOC_H
#define SLABALLOC_H

#include <stddef.h>

#define SLA_VERSION_MAJOR 0
#define SLA_VERSION_MINOR 1
#define SLA_VERSION_PATCH 0
#define SLA_VERSION_STRING "0.1.0"

#ifdef __cplusplus
extern "C" {
#define SLA_NOEXCEPT noexcept
#else
#define SLA_NOEXCEPT
#endif

#if defined(__GNUC__)
#define SLA_API __attribute__((visibility("default")))
#define SLA_MALLOC_LIKE __attribute__((malloc, warn_unused_result))
#define SLA_RESULT __attribute__((warn_unused_result))
#define SLA_SIZE1(n) __attribute__((alloc_size(n)))
#define SLA_SIZE2(n, m) __attribute__((alloc_size(n, m)))
#define SLA_ALIGNED(n) __attribute__((alloc_align(n)))
#else
#define SLA_API
#define SLA_MALLOC_LIKE
#define SLA_RESULT
#define SLA_SIZE1(n)
#define SLA_SIZE2(n, m)
#define SLA_ALIGNED(n)
#endif

/*
 * Allocation.  Blocks of 16 bytes and more are aligned to 16, smaller ones to
 * 8.  A size of 0 gives a unique block that must be freed.  ENOMEM: no memory,
 * or a size (or product of sizes) above PTRDIFF_MAX.
 */
SLA_API void *sla_malloc(size_t size) SLA_NOEXCEPT SLA_MALLOC_LIKE SLA_SIZE1(1);
SLA_API void *sla_calloc(size_t count, size_t size) SLA_NOEXCEPT SLA_MALLOC_LIKE SLA_SIZE2(1, 2);

/*
 * The same, and *usable is what the block really has, all of which may be used (0 on failure).  Compilers do not
 * take `size` for the block's size, as they do with sla_malloc: neither they nor _FORTIFY_SOURCE object to its use.
 */
SLA_API void *sla_malloc_usable(size_t size, size_t *usable) SLA_NOEXCEPT SLA_MALLOC_LIKE;

/*
 * Resizing.  The contents up to the smaller size are kept.  block NULL is
 * sla_malloc; size 0 frees the block and returns NULL.  On failure the block
 * is left as it was.
 */
SLA_API void *sla_realloc(void *block, size_t size) SLA_NOEXCEPT SLA_RESULT SLA_SIZE1(2);
SLA_API void *sla_reallocarray(void *block, size_t count, size_t size) SLA_NOEXCEPT SLA_RESULT SLA_SIZE2(2, 3);

/*
 * The same, and bytes from old_size to size read as zero; old_size is at most what the block has (EINVAL), 0 for
 * NULL.
 */
SLA_API void *sla_rezalloc(void *block, size_t old_size, size_t size) SLA_NOEXCEPT SLA_RESULT SLA_SIZE1(3);

/*
 * Room for `preferred` bytes, or at least for `min`, without moving the block: what it has then, or 0 with ENOMEM,
 * and it is as it was.  EINVAL: block NULL, or min > preferred.
 */
SLA_API size_t sla_try_expand(void *block, size_t min, size_t preferred) SLA_NOEXCEPT;

/*
 * Freeing.  NULL is ignored.  errno is never changed.  The sized forms accept
 * the size (and alignment) the block was asked for with; it is checked.  A
 * pointer that is no live block is reported on standard error, then abort():
 * at once if it is not of this heap, a large block's or freed twice in a row,
 * otherwise when the thread's cache gives it back to its slab.
 */
SLA_API void sla_free(void *block) SLA_NOEXCEPT;
SLA_API void sla_free_sized(void *block, size_t size) SLA_NOEXCEPT;
SLA_API void sla_free_aligned_sized(void *block, size_t alignment, size_t size) SLA_NOEXCEPT;

/*
 * Many blocks at a time.  sla_alloc_batch allocates count blocks of size bytes, writes them to blocks[0] and on, and
 * returns how many: less than count, with ENOMEM, when memory runs out.  sla_free_batch frees count blocks, each as
 * sla_free does.
 */
SLA_API size_t sla_alloc_batch(size_t size, void **blocks, size_t count) SLA_NOEXCEPT SLA_RESULT;
SLA_API void sla_free_batch(void **blocks, size_t count) SLA_NOEXCEPT;

/*
 * Aligned allocation; alignment is a power of two (EINVAL otherwise), size any
 * value.  sla_posix_memalign also wants a multiple of sizeof(void *), returns
 * the error instead of setting errno and leaves *out alone on failure;
 * sla_memalign rounds the alignment up to a power of two.
 */
SLA_API void *sla_aligned_alloc(size_t alignment, size_t size)
    SLA_NOEXCEPT SLA_MALLOC_LIKE SLA_ALIGNED(1) SLA_SIZE1(2);
SLA_API int sla_posix_memalign(void **out, size_t alignment, size_t size) SLA_NOEXCEPT SLA_RESULT;
SLA_API void *sla_memalign(size_t alignment, size_t size) SLA_NOEXCEPT SLA_MALLOC_LIKE SLA_SIZE1(2);

/* Bytes the block really has (0 for NULL); what sla_malloc(size) would give; is it ours (1) or not (0). */
SLA_API size_t sla_usable_size(const void *block) SLA_NOEXCEPT;
SLA_API size_t sla_good_size(size_t size) SLA_NOEXCEPT;
SLA_API int sla_owns(const void *address) SLA_NOEXCEPT;

/*
 * Options, by the names of slaballoc(7).  0, or -1 with errno ENOENT (no such
 * option) or EINVAL (value out of range).
 */
SLA_API int sla_option_get(const char *name, long *value) SLA_NOEXCEPT;
SLA_API int sla_option_set(const char *name, long value) SLA_NOEXCEPT;

/*
 * Memory return.  sla_trim gives back what the calling thread has cached and
 * all free pages, and returns 1 if any went to the system, else 0; keep is the
 * number of bytes of free pages that may stay.
 * sla_maintain purges what is due and returns the milliseconds until more will
 * be, or -1 for none: call it from an event loop.  sla_thread_idle gives back
 * what the calling thread has cached.
 */
SLA_API int sla_trim(size_t keep) SLA_NOEXCEPT;
SLA_API long sla_maintain(void) SLA_NOEXCEPT;
SLA_API void sla_thread_idle(void) SLA_NOEXCEPT;

/* The version of the library that runs, "major.minor.patch". */
SLA_API const char *sla_version(void) SLA_NOEXCEPT;

#ifdef __cplusplus
}
#endif
#endif
