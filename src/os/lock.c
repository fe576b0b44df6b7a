#include "os/lock.h"

#include "os/os.h"
#include "os/tls.h"

#define SPINS 64 /* a holder on another processor is nearly always out by then */
#define MAX_HELD 192

/* What this thread holds, in the order taken; only the debug twin has it. */
static SLA_TLS struct {
    unsigned count;
    uint16_t ranks[MAX_HELD];
} held;

void slai_lock_wait(struct slai_lock *l)
{
    for (int i = 0; i < SPINS; i++) {
        uint32_t expected = 0;
        if (slai_load_relaxed(&l->state) == 0 && slai_cas_acquire(&l->state, &expected, 1))
            return;
        SLA_PAUSE();
    }
    /* From here on the state says 2: a needless wake at worst, never a lost one. */
    while (slai_swap_acquire(&l->state, 2) != 0)
        slai_os_wait(&l->state, 2);
}

void slai_lock_wake(struct slai_lock *l) { slai_os_wake(&l->state); }

void slai_lock_note(const struct slai_lock *l)
{
    if (SLA_DEBUG < 2)
        return;
    uint32_t rank = slai_load_relaxed(&l->rank);
    if (rank == SLAI_RANK_NONE)
        slai_panic("lock without a rank");
    if (held.count > 0 && held.ranks[held.count - 1] >= rank)
        slai_panic("lock order violated");
    if (held.count == MAX_HELD)
        slai_panic("too many locks held");
    held.ranks[held.count++] = (uint16_t)rank;
}

void slai_lock_forget(const struct slai_lock *l)
{
    unsigned i;
    if (SLA_DEBUG < 2)
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
    if (SLA_DEBUG < 2)
        return true;
    for (unsigned i = 0; i < held.count; i++)
        if (held.ranks[i] == slai_load_relaxed(&l->rank))
            return true;
    return false;
}
