#include "os/lock.h"

#include "os/os.h"
#include "os/tls.h"

#include <pthread.h>

#ifndef SPINS
#define SPINS 64 /* a holder on another processor is nearly always out by then */
#endif
/* Every depot around a fork. A compiler that does not optimize keeps `held` even where nothing uses it. */
#define MAX_HELD (SLA_DEBUG >= 2 ? 2560 : 1)

/* What this thread holds, in the order taken; only the debug twin has it. */
static SLA_TLS struct {
    unsigned count;
    uint16_t ranks[MAX_HELD];
} held;

/* The thread between slai_fork_begin() and slai_fork_end(); in it no lock order is checked, it holds them all. */
static pthread_t forker;
static bool forking; /* written by the forker alone, under every lock; read by anyone */

bool slai_in_fork(void) { return slai_load_acquire(&forking) && pthread_equal(forker, pthread_self()); }

void slai_lock_wait(struct slai_lock *l)
{
    uint32_t s;
    for (int i = 0; i < SPINS; i++) {
        s = slai_load_relaxed(&l->state);
        if (s == SLAI_LOCK_FREE && slai_cas_acquire(&l->state, &s, SLAI_LOCK_HELD))
            return;
        SLA_PAUSE();
    }
    for (;;) {
        s = slai_load_relaxed(&l->state);
        if (s == SLAI_LOCK_FREE) {
            /* Perhaps others sleep too: a needless wake at worst, never a lost one. */
            if (slai_cas_acquire(&l->state, &s, SLAI_LOCK_AWAITED))
                return;
        } else if (s == SLAI_LOCK_FORK) {
            if (slai_in_fork())
                return; /* ours already */
            slai_os_wait(&l->state, SLAI_LOCK_FORK);
        } else if (s == SLAI_LOCK_AWAITED || slai_cas_acquire(&l->state, &s, SLAI_LOCK_AWAITED)) {
            slai_os_wait(&l->state, SLAI_LOCK_AWAITED);
        }
    }
}

/* Not simply held: somebody may sleep, or it is held around a fork and we are a handler of it. */
void slai_unlock_wake(struct slai_lock *l)
{
    if (slai_load_relaxed(&l->state) == SLAI_LOCK_FORK)
        return;
    slai_swap_release(&l->state, SLAI_LOCK_FREE);
    slai_os_wake(&l->state);
}

void slai_lock_for_fork(struct slai_lock *l)
{
    slai_lock(l);
    slai_swap_acquire(&l->state, SLAI_LOCK_FORK);
}

void slai_fork_begin(void)
{
    forker = pthread_self();
    slai_set_release(&forking, true);
}

void slai_fork_end(void) { slai_set_release(&forking, false); }

void slai_unlock_after_fork(struct slai_lock *l)
{
    if (SLA_DEBUG >= 2)
        slai_lock_forget(l);
    slai_swap_release(&l->state, SLAI_LOCK_FREE);
    slai_os_wake(&l->state); /* that someone slept was forgotten; the one woken wakes the next */
}

void slai_lock_reset(struct slai_lock *l)
{
    if (SLA_DEBUG >= 2 && slai_lock_held(l))
        slai_lock_forget(l);
    slai_set_relaxed(&l->state, SLAI_LOCK_FREE);
}

void slai_lock_note(const struct slai_lock *l)
{
    if (SLA_DEBUG < 2 || slai_in_fork())
        return;
    uint32_t rank = slai_load_relaxed(&l->rank);
    if (rank == SLAI_RANK_NONE)
        slai_panic("lock without a rank");
    if (held.count > 0 && held.ranks[held.count - 1] >= rank)
        slai_panic("lock order violated");
    if (held.count == MAX_HELD)
        slai_panic("too many locks held");
    held.ranks[held.count] = (uint16_t)rank;
    slai_forget_registers(); /* a signal handler may look */
    held.count++;
}

void slai_lock_forget(const struct slai_lock *l)
{
    unsigned i;
    if (SLA_DEBUG < 2 || slai_in_fork())
        return;
    for (i = held.count; i > 0 && held.ranks[i - 1] != slai_load_relaxed(&l->rank); i--)
        ;
    if (i == 0)
        slai_panic("unlock of a lock not held");
    for (; i < held.count; i++)
        held.ranks[i - 1] = held.ranks[i];
    held.count--;
}

bool slai_lock_held(const struct slai_lock *l)
{
    if (SLA_DEBUG < 2 || slai_in_fork()) /* what a fork handler takes is not noted */
        return true;
    for (unsigned i = 0; i < held.count; i++)
        if (held.ranks[i] == slai_load_relaxed(&l->rank))
            return true;
    return false;
}

bool slai_lock_stops_fork(void)
{
    for (unsigned i = 0; i < held.count; i++)
        if (held.ranks[i] != SLAI_RANK_CACHE)
            return true;
    return false;
}

bool slai_lock_any(void) { return SLA_DEBUG >= 2 && held.count > 0 && !slai_in_fork(); }
