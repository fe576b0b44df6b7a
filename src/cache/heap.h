/*
 * Heaps that the program makes.  Each has an account, which its slabs and large
 * blocks bear and are charged to, a depot, and a cache in each thread that uses
 * it.  The class map holds 0 for its slabs, so a free of its blocks leaves the
 * hot path, and is told by the page's descriptor where to go.
 *
 * HEAPS protects the set of heaps, which caches they have, and the threads'
 * tables of them; it is held while a heap is destroyed, so that a fork finds
 * heaps whole; lent chunks alone are given back after it (cache/provide.h).
 * Nobody else uses a heap that is being destroyed: that is the program's promise.
 */
#ifndef CACHE_HEAP_H
#define CACHE_HEAP_H

#include "cache/depot.h"
#include "cache/thread.h"

#define SLAI_HEAP_NAME 32

/* Where a heap's pages come from, if not from the page heap; get NULL: they do. */
struct slai_provider {
    void *(*get)(size_t size, int *zero, void *arg);
    void (*put)(void *memory, size_t size, void *arg);
    void *arg;
    size_t chunk;
};

struct sla_heap {
    struct slai_account account;
    bool live;                     /* HEAPS */
    struct sla_heap *next_unused;  /* HEAPS */
    char name[SLAI_HEAP_NAME];     /* constant while live */
    struct slai_list caches;       /* HEAPS */
    size_t pushed;                 /* how often it is in a thread's stack of heaps, atomic */
    size_t soft;                   /* read by anyone */
    bool above;                    /* soft was passed, atomic */
    int (*pressure)(struct sla_heap *heap, size_t wanted, void *arg); /* HEAPS */
    void *arg;                     /* HEAPS */
    struct slai_provider pages;    /* constant while live */
    uint32_t putting;              /* threads that give a chunk back and do not use the heap else, atomic */
    struct slai_depot depots[SLAI_CLASSES];
};

#define SLAI_PUSH_MOST 64u
struct slai_pushed {
    unsigned depth;
    struct sla_heap *heaps[SLAI_PUSH_MOST + 2]; /* NULL: the default one. Two more, for pressure and page functions */
};

SLA_INLINE struct sla_heap *slai_heap_of(struct slai_account *a)
{
    return SLA_UNLIKELY(a != NULL) ? SLA_CONTAINER(a, struct sla_heap, account) : NULL;
}

SLA_INLINE struct slai_account *slai_account_for(struct sla_heap *heap)
{
    return SLA_UNLIKELY(heap != NULL) ? &heap->account : NULL;
}

/* A new heap, name cut to fit, on pages of its own if pages is not NULL. NULL with ENOMEM or ENFILE. Takes HEAPS. */
struct sla_heap *slai_heap_make(const char *name, const struct slai_provider *pages);

/* Gives all it has to the page heap, and its chunks to its page functions, without a look at its blocks;
   slai_purge_after_give() should follow. NULL, or why it cannot be. Takes HEAPS and all below. No lock may be held. */
const char *slai_heap_end(struct sla_heap *heap);
bool slai_heap_may_end(struct sla_heap *heap); /* is nothing in the way of that? Takes HEAPS */

/* The cache that the thread with that home has of a heap; slai_unborn if none. By the thread itself. */
SLA_INLINE struct slai_tcache *slai_heap_cache_at(const struct slai_tcache *home, uint32_t number)
{
    return SLA_LIKELY(number < home->heaps_room) ? home->heaps[number] : (struct slai_tcache *)&slai_unborn;
}

/* The same, made if need be. NULL: no memory, or the thread has no cache at all. Takes HEAPS, THREADS. */
struct slai_tcache *slai_heap_cache(struct sla_heap *heap);

/* Makes a heap (NULL: the default one) the calling thread's current one, until it is popped. False with ENOMEM,
   EOVERFLOW. Pop: false: nothing was pushed. */
bool slai_heap_push(struct sla_heap *heap);
bool slai_heap_pop(void);

/* The calling thread's current heap; NULL: the default one. */
SLA_INLINE struct sla_heap *slai_heap_current(void)
{
    return slai_has_cache(slai_current) ? slai_current->heap : NULL;
}

/*
 * Something of `wanted` bytes, for which `pages` bytes would be charged, did not fit: on account of the limit, or there
 * is no memory.  True: try again.  To be called with step 0, 1, ...: first what caches hold goes to the slabs, and
 * empty slabs to the page heap; then the heap's pressure function may free blocks.  No lock may be held.
 */
bool slai_heap_relieve(struct sla_heap *heap, size_t wanted, size_t pages, unsigned step);

/* Would so many bytes more be within the limit? */
SLA_INLINE bool slai_heap_allows(const struct sla_heap *heap, size_t bytes)
{
    const struct slai_quota *q = &heap->account.quota;
    size_t limit = slai_load_relaxed(&q->limit), used = slai_load_relaxed(&q->used);
    return limit == 0 || (used < limit && bytes <= limit - used);
}

/* Is it the system's memory that such an allocation lacks: it met neither the limit nor the end of what is lent. */
SLA_INLINE bool slai_heap_wants_system(const struct sla_heap *heap, size_t bytes)
{
    return !heap->account.lent && slai_heap_allows(heap, bytes);
}

/* REQUIRES HEAPS. What caches hold goes to the slabs, and empty slabs to the page heap. Other threads' stacks are
   theirs. */
void slai_heap_gather(struct sla_heap *heap);

/* The heap may have grown: calls its pressure function if it has come above the soft limit. No lock may be held. */
void slai_heap_grown(struct sla_heap *heap, size_t wanted);

/* The next number from n on of a heap of which the thread with that home has a cache; home->heaps_room: there is none.
   REQUIRES HEAPS: what the caller does not use may be destroyed. */
SLA_INLINE uint32_t slai_heap_next(const struct slai_tcache *home, uint32_t n)
{
    while (n < home->heaps_room && !slai_has_cache(home->heaps[n]))
        n++;
    return n;
}

/* Tends all slabs in heaps' depots (slai_depot_tend_all). How many bytes. Takes HEAPS. */
size_t slai_heaps_tend(uint64_t now, uint64_t delay, bool *waiting);

/* Every cache of every heap comes empty, and all slabs are in the heap's depot. No thread may use the heap. */
void slai_heap_settle(struct sla_heap *heap);

/* Calls visit for each cache of a heap. HEAPS is held. */
void slai_heap_caches(struct sla_heap *heap, void (*visit)(struct slai_tcache *tc, void *arg), void *arg);

/* The thread with that home ends. */
void slai_heaps_leave(struct slai_tcache *home);

/* HEAPS, for what is not done here; and around fork. */
void slai_heaps_lock(void);
void slai_heaps_unlock(void);
void slai_heaps_lock_for_fork(void);
void slai_heaps_unlock_after_fork(void);
void slai_heaps_reset(void);
void slai_heaps_repair(const struct slai_tcache *self); /* the other threads' caches leave the heaps */
void slai_heaps_forget(struct slai_tcache *home);       /* and heaps them */

#endif
