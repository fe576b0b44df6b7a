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
    SLAI_RANK_HEAPS,
    SLAI_RANK_THREADS,
    SLAI_RANK_SHARED,
    SLAI_RANK_OBJCACHE,
    SLAI_RANK_CACHE,
    SLAI_RANK_DEPOT,                       /* + the size class: depots are locked in class order */
    SLAI_RANK_TURN = SLAI_RANK_DEPOT + 16000, /* + its number: the depots of heaps */
    SLAI_RANK_PAGEHEAP = SLAI_RANK_DEPOT + 16384,
    SLAI_RANK_META
};

enum { SLAI_LOCK_FREE, SLAI_LOCK_HELD, SLAI_LOCK_AWAITED, SLAI_LOCK_FORK };

struct slai_lock {
    uint32_t state; /* free; held; held and someone may sleep; held around a fork */
    uint32_t rank;
};

/* All zero where ranks are not checked: a struct with a lock then costs a start no page of the file. */
#define SLAI_LOCK_INIT(r) {0, SLA_DEBUG >= 2 ? (r) : SLAI_RANK_NONE}

/* Cold halves, in lock.c. */
/*
 * Around a fork its thread holds every lock, and the fork handlers of others, before or after ours, may allocate in it.
 * Locks taken so let their own thread pass and go on holding: take all, begin; end, give up all or reset all.
 */
void slai_lock_for_fork(struct slai_lock *l);
void slai_fork_begin(void);
bool slai_in_fork(void); /* is the caller a fork handler, between prepare and parent or child? */
void slai_fork_end(void);
void slai_unlock_after_fork(struct slai_lock *l); /* in the parent */
void slai_lock_reset(struct slai_lock *l);        /* in the child */

SLA_COLD void slai_lock_wait(struct slai_lock *l);
SLA_COLD void slai_unlock_wake(struct slai_lock *l);
void slai_lock_note(const struct slai_lock *l);   /* about to take: check the order, remember */
void slai_lock_forget(const struct slai_lock *l); /* released */
bool slai_lock_held(const struct slai_lock *l);   /* by this thread; true without SLA_DEBUG >= 2 */
bool slai_lock_any(void); /* does this thread hold any? false without SLA_DEBUG >= 2 */
bool slai_lock_stops_fork(void); /* does this thread, perhaps, hold a lock that a fork waits for? SLA_DEBUG >= 2 */

SLA_INLINE void slai_lock(struct slai_lock *l)
{
    uint32_t expected = SLAI_LOCK_FREE;
    if (SLA_DEBUG >= 2)
        slai_lock_note(l);
    if (SLA_UNLIKELY(!slai_cas_acquire(&l->state, &expected, SLAI_LOCK_HELD)))
        slai_lock_wait(l);
}

SLA_INLINE void slai_unlock(struct slai_lock *l)
{
    uint32_t expected = SLAI_LOCK_HELD;
    if (SLA_UNLIKELY(!slai_cas_release(&l->state, &expected, SLAI_LOCK_FREE)))
        slai_unlock_wake(l);
    if (SLA_DEBUG >= 2) /* last: what is not noted is not held, at each instant (slai_lock_stops_fork) */
        slai_lock_forget(l);
}

SLA_INLINE void slai_assert_held(const struct slai_lock *l) { slai_assert(slai_lock_held(l)); }

#endif
