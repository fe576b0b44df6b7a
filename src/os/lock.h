/*
 * A mutex of one word: free, held, held with sleepers.  Locks are taken in
 * rank order; the debug twin panics when they are not (witness, after jemalloc).
 */
#ifndef OS_LOCK_H
#define OS_LOCK_H

#include "util/assert.h"
#include "util/atomic.h"

/* The lock order: a thread takes locks only of a higher rank than it holds. */
enum slai_rank {
    SLAI_RANK_NONE, /* not checked; a lock must not stay so */
    SLAI_RANK_INIT,
    SLAI_RANK_THREADS,
    SLAI_RANK_SHARED,
    SLAI_RANK_OBJCACHE,
    SLAI_RANK_DEPOT,                       /* + the size class: depots are locked in class order */
    SLAI_RANK_PAGEHEAP = SLAI_RANK_DEPOT + 128,
    SLAI_RANK_META
};

struct slai_lock {
    uint32_t state; /* 0 free, 1 held, 2 held and someone may sleep */
    uint32_t rank;
};

#define SLAI_LOCK_INIT(r) {0, (r)}

/* Cold halves, in lock.c. */
SLA_COLD void slai_lock_wait(struct slai_lock *l);
SLA_COLD void slai_lock_wake(struct slai_lock *l);
void slai_lock_note(const struct slai_lock *l);   /* about to take: check the order, remember */
void slai_lock_forget(const struct slai_lock *l); /* about to release */
bool slai_lock_held(const struct slai_lock *l);   /* by this thread; true without SLA_DEBUG >= 2 */

SLA_INLINE void slai_lock(struct slai_lock *l)
{
    uint32_t expected = 0;
    if (SLA_DEBUG >= 2)
        slai_lock_note(l);
    if (SLA_UNLIKELY(!slai_cas_acquire(&l->state, &expected, 1)))
        slai_lock_wait(l);
}

SLA_INLINE void slai_unlock(struct slai_lock *l)
{
    if (SLA_DEBUG >= 2)
        slai_lock_forget(l);
    if (SLA_UNLIKELY(slai_swap_release(&l->state, 0) == 2))
        slai_lock_wake(l);
}

SLA_INLINE void slai_assert_held(const struct slai_lock *l) { slai_assert(slai_lock_held(l)); }

/* In a fork child: the holder may not exist any more. */
SLA_INLINE void slai_lock_reset(struct slai_lock *l)
{
    if (SLA_DEBUG >= 2 && slai_lock_held(l))
        slai_lock_forget(l);
    slai_set_relaxed(&l->state, 0);
}

#endif
