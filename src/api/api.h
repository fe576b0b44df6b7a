/*
 * The entry points under their internal names.  Public functions call these and
 * never each other, so no call inside the library can be interposed.
 */
#ifndef API_API_H
#define API_API_H

#include "heap/account.h"
#include "os/os.h"
#include "os/shadow.h"
#include "util/atomic.h"

/* malloc.c: what the hot path in api/fast.h falls back on. */
SLA_NOINLINE void *slai_malloc_medium(size_t size); /* above SLAI_SMALL_MAX */
SLA_NOINLINE void *slai_malloc_slow(size_t size);   /* the stack is empty */
SLA_NOINLINE void slai_free_slow(void *p);          /* full stack, no slab's block, or freed twice in a row */
void slai_free_as(void *p, const char *call);       /* free, reporting misuse in the name of call */
void *slai_malloc_class(unsigned class);            /* a block of a class, of the default heap */

/* In a heap, NULL: the default one, whichever is current. */
struct sla_heap;
void *slai_malloc_in(struct sla_heap *heap, size_t size);
void *slai_class_in(struct sla_heap *heap, unsigned class);
void *slai_calloc_in(struct sla_heap *heap, size_t count, size_t size);
void *slai_aligned_in(struct sla_heap *heap, size_t align, size_t size);

/* heap.c: what a heap's own blocks take. A block of a class; p freed, its page's descriptor being s. */
void *slai_heap_block(struct sla_heap *heap, unsigned class);
void slai_heap_free(struct slai_span *s, void *p, const char *call);

/* The slab p lies in where the class map holds 0. NULL: none. */
struct slai_span *slai_unmapped_slab(const void *p);

/* The same for classes of either sort, one step at a time; for object caches. */
void *slai_pop_class(unsigned class);                                        /* from the stack alone, or NULL */
uint32_t slai_draw_class(unsigned class, void **out, uint32_t most);         /* past the stack; 0 with ENOMEM */
void slai_shed_class(unsigned class, void *block);                           /* back to its slab */
void slai_free_class(unsigned class, void *block, const char *call);         /* to the stack, of a full one too */

/* Bytes in the live block at p; 0, and reported in the name of call, if there is none. p may not be NULL. */
size_t slai_size_of(const void *p, const char *call);

/* The calling thread is known to the heap from here on, as every one that may take a lock must be (fork). */
void slai_arrive(void);

/* resize.c */
void *slai_calloc(size_t count, size_t size);
void *slai_realloc(void *p, size_t size);
void *slai_reallocarray(void *p, size_t count, size_t size);
void slai_free_sized(void *p, size_t size);
void slai_free_aligned_sized(void *p, size_t align, size_t size);
size_t slai_usable_size(const void *p);

/* align.c */
void *slai_aligned_alloc(size_t align, size_t size);
int slai_posix_memalign(void **out, size_t align, size_t size);
void *slai_memalign(size_t align, size_t size);
void *slai_valloc(size_t size);  /* aligned to a system page */
void *slai_pvalloc(size_t size); /* and rounded up to whole ones */

/* control.c */
int slai_trim(size_t keep);
int slai_mallopt(int parameter, int value);

/* init.c: sets up the library; at once after the first time. */
void slai_init(void);

void slai_init_lock(void); /* around fork */
void slai_init_unlock(void);
void slai_init_reset(void);

/* fork.c: registers the handlers; once. May allocate. */
SLA_COLD void slai_fork_init(void);
SLA_COLD void slai_fork_insist(void); /* and again if that was refused, where no libc lock is held */
extern bool slai_fork_watched SLA_HIDDEN;

/* Defined in override.c, so that its address tells whether this is the drop-in. */
extern const char slai_dropin SLA_HIDDEN __attribute__((weak));

/* To be called before a lock is taken, by the thread that creates the first other one at the latest. */
SLA_INLINE void slai_fork_watch(void)
{
    if (SLA_UNLIKELY(!slai_os_single_threaded() && !slai_load_relaxed(&slai_fork_watched)))
        slai_fork_init();
}

/* slai_large_take_for(), and again with what other threads' caches and the depot could give; after slai_arrive(). */
void *slai_large(struct sla_heap *heap, size_t size, size_t align, bool *zero);

#endif
