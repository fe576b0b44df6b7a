/* Options, giving memory back, the version. */
#include "api/api.h"
#include "api/objcache.h"
#include "cache/heap.h"
#include "cache/idle.h"
#include "cache/provide.h"
#include "heap/purge.h"

#include <errno.h>
#include <slaballoc.h>

static int result(int err)
{
    if (err == 0)
        return 0;
    errno = err;
    return -1;
}

/* The environment is read first, so that what the program sets is not overwritten by it later. */
int sla_option_get(const char *name, long *value) SLA_NOEXCEPT
{
    slai_init();
    return result(slai_conf_get(name, value));
}

int sla_option_set(const char *name, long value) SLA_NOEXCEPT
{
    slai_init();
    return result(slai_conf_set(name, value));
}

/* What a cache holds without using it, to the slabs, the page heap and the system. Bytes purged inside slabs. */
static size_t give_up(struct slai_tcache *tc)
{
    slai_cache_flush(tc);
    return slai_idle_purge(tc);
}

static size_t give_up_own(void)
{
    struct slai_tcache *home = slai_tcache;
    size_t bytes = 0;
    if (!slai_has_cache(home))
        return 0;
    slai_heaps_lock(); /* some other thread may be destroying one of them */
    for (uint32_t n = slai_heap_next(home, 0); n < home->heaps_room; n = slai_heap_next(home, n + 1))
        bytes += give_up(home->heaps[n]);
    slai_heaps_unlock();
    return bytes + give_up(home);
}

void sla_thread_idle(void) SLA_NOEXCEPT
{
    int saved = errno;
    slai_fork_insist();
    give_up_own();
    slai_misuse_due();
    errno = saved;
}

int slai_trim(size_t keep)
{
    int saved = errno;
    size_t purged;
    struct slai_tcache *tc;
    slai_arrive();
    slai_fork_insist();
    purged = give_up_own();
    tc = slai_shared_used() ? slai_shared_lock() : NULL;
    if (tc != NULL) {
        purged += give_up(tc);
        slai_shared_unlock();
    }
    purged += slai_idle_purge_others();
    purged += slai_heaps_give_back(true);
    (void)slai_objcaches_reap(0, NULL); /* its pages are purged below */
    purged += slai_purge(SLAI_PURGE_ALL, keep);
    slai_misuse_due();
    errno = saved;
    return purged > 0;
}

int sla_trim(size_t keep) SLA_NOEXCEPT { return slai_trim(keep); }

/*
 * libc's knob box.  What exists here is taken, all else is refused (0): glibc's
 * arenas, bins, mmap and trim thresholds have no counterpart.
 */
int slai_mallopt(int parameter, int value)
{
    enum { M_PURGE_NOW = -101, M_DECAY = -100 }; /* as bionic and scudo number them */
    if (parameter == M_PURGE_NOW) {
        slai_trim(0);
        return 1;
    }
    if (parameter == M_DECAY && value >= 0) {
        slai_init();
        return slai_conf_set("purge_delay", value) == 0;
    }
    return 0;
}

long sla_maintain(void) SLA_NOEXCEPT
{
    bool waiting;
    long next;
    int saved = errno;
    slai_arrive();
    waiting = slai_has_cache(slai_tcache) && slai_idle_due(slai_tcache);
    if (slai_option(purge_delay) >= 0)
        (void)slai_objcaches_reap((uint64_t)slai_option(purge_delay), &waiting);
    if (slai_option(purge_delay) >= 0)
        (void)slai_heaps_give_back(false);
    slai_purge(SLAI_PURGE_DUE, 0);
    next = slai_purge_next();
    errno = saved;
    return waiting && next < 0 ? slai_option(purge_delay) : next;
}

const char *sla_version(void) SLA_NOEXCEPT { return SLA_VERSION_STRING; }
