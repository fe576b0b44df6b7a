/*
 * Fork.  Before it every lock is taken in rank order, so the child finds all
 * that locks protect in order.  What the other threads did without locks is
 * repaired by slai_threads_repair().  The handlers are registered when a second
 * thread comes to allocate: with one there is nobody to hold a lock or to vanish,
 * and a small program is spared the pages of libc that this would touch.
 */
#include "api/api.h"
#include "cache/depot.h"
#include "cache/thread.h"
#include "heap/meta.h"
#include "heap/pageheap.h"

static void prepare(void)
{
    slai_threads_lock();
    slai_depot_lock_all();
    slai_lock_for_fork(&slai_pageheap.lock);
    slai_meta_lock();
    slai_fork_begin();
}

static void parent(void)
{
    slai_fork_end();
    slai_meta_unlock();
    slai_unlock_after_fork(&slai_pageheap.lock);
    slai_depot_unlock_all();
    slai_threads_unlock();
}

static void child(void)
{
    bool alone = slai_threads_alone();
    slai_fork_end();
    slai_meta_reset();
    slai_lock_reset(&slai_pageheap.lock);
    slai_depot_reset_all(!alone);
    slai_threads_reset();
    if (!alone)
        slai_threads_repair();
}

void slai_fork_init(void)
{
    static bool done;
    if (!slai_swap_acq_rel(&done, true))
        (void)slai_os_at_fork(prepare, parent, child); /* refusal is reported by the OS layer */
}
