/*
 * Fork.  Before it every lock but those of the threads' caches is taken in rank
 * order, so the child finds all that they protect in order.  What the other
 * threads did to their own caches and slabs is repaired by slai_threads_repair().
 * The handlers must be registered before there can be a second thread; with one
 * there is nobody to hold a lock or to vanish.  The plain library does it when
 * it is loaded.  The drop-in does it when libc callocs for the first thread that
 * is created (and in any slow path that finds itself in a process of several),
 * so that a small program is spared the pages of libc that this touches.
 */
#include "api/api.h"
#include "api/objcache.h"
#include "cache/depot.h"
#include "cache/heap.h"
#include "cache/thread.h"
#include "heap/meta.h"
#include "heap/pageheap.h"
#include "os/os.h"

#include <errno.h>

static void prepare(void)
{
    slai_init_lock();
    slai_heaps_lock_for_fork();
    slai_threads_lock();
    slai_objcaches_lock();
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
    slai_objcaches_unlock();
    slai_threads_unlock();
    slai_heaps_unlock_after_fork();
    slai_init_unlock();
}

static void child(void)
{
    bool alone = slai_threads_alone();
    slai_fork_end();
    slai_meta_reset();
    slai_lock_reset(&slai_pageheap.lock);
    slai_depot_reset_all(!alone);
    slai_objcaches_reset();
    slai_threads_reset();
    slai_heaps_reset();
    slai_init_reset();
    if (!alone)
        slai_threads_repair();
}

bool slai_fork_watched;
static bool refused; /* for want of memory, which may be had later */

static void enroll(void)
{
    int saved = errno; /* that of an allocation that succeeds all the same (I8) */
    if (!slai_os_at_fork(prepare, parent, child)) /* which reports it */
        slai_set_relaxed(&refused, true);
    errno = saved;
}

void slai_fork_init(void)
{
    if (!slai_swap_acq_rel(&slai_fork_watched, true))
        enroll();
}

/* Not in malloc's slow path: libc may have called that for a handler of the program's, under a lock. */
void slai_fork_insist(void)
{
    slai_fork_watch();
    if (SLA_UNLIKELY(slai_load_relaxed(&refused)) && slai_swap_acq_rel(&refused, false))
        enroll();
}
