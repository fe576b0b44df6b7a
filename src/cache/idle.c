#include "cache/idle.h"

#include "cache/depot.h"
#include "cache/heap.h"
#include "heap/purge.h"
#include "os/os.h"

#include <errno.h>

#define SPAN(l) SLA_CONTAINER(l, struct slai_span, link)
#define LOOK_MOST 512u  /* slabs seen in one look, */
#define PURGE_MOST 32u  /* and purged: a malloc waits for it */
#define DEPOT_MOST 32u  /* slabs tended under a depot's lock at a time */

/* The slabs of a class that may be purged; where blocks keep their contents none may. */
static struct slai_link *first_of(struct slai_tcache *tc, unsigned class)
{
    struct slai_bin *bin = slai_bin_at(tc, class);
    return bin != NULL && (slai_class_at(class)->flags & SLAI_CLASS_KEPT) == 0 ? bin->partial.first : NULL;
}

/* Goes on where the last look ended, at most once around. */
static size_t look_at_own(struct slai_tcache *tc, uint64_t now, uint64_t delay)
{
    size_t seen = 0, purged = 0, bytes = 0, more;
    unsigned begun = tc->look_class, class = begun;
    bool around = false;
    while (seen < LOOK_MOST && purged < PURGE_MOST && !(around && class >= begun)) {
        struct slai_link *l = tc->look != NULL ? &tc->look->link : first_of(tc, class);
        for (; l != NULL && seen < LOOK_MOST && purged < PURGE_MOST; l = l->next, seen++) {
            more = slai_slab_tend(SPAN(l), now, delay);
            purged += more > 0;
            bytes += more;
        }
        tc->look = l != NULL ? SPAN(l) : NULL;
        if (l != NULL)
            break;
        class = slai_open_after(tc, class);
        if (class == SLAI_NO_CLASS) {
            if (around)
                break;
            around = true;
            class = 0;
        }
    }
    tc->look_class = class != SLAI_NO_CLASS ? class : 0;
    return bytes;
}

void slai_idle_poll(struct slai_tcache *tc)
{
    long delay = slai_option(purge_delay);
    uint64_t now;
    size_t bytes;
    int saved = errno;
    if (delay < 0)
        return;
    now = slai_os_clock();
    if (now - tc->looked < slai_purge_interval(delay))
        return;
    tc->looked = now;
    bytes = look_at_own(tc, now, (uint64_t)delay);
    for (unsigned c = 1; c != SLAI_NO_CLASS && (tc->heap == NULL || c < SLAI_CLASSES); c = slai_class_next(c))
        slai_depot_tend(tc->heap, c, DEPOT_MOST, now, (uint64_t)delay, &bytes, NULL);
    slai_purge_count(bytes);
    errno = saved;
}

/* Every slab of every depot. */
static size_t tend_depots(uint64_t now, uint64_t delay, bool *waiting)
{
    return slai_depot_tend_all(NULL, now, delay, waiting) + slai_heaps_tend(now, delay, waiting);
}

static size_t tend_own(struct slai_tcache *tc, uint64_t now, uint64_t delay, bool *waiting)
{
    size_t bytes = 0;
    slai_lock(&tc->lock);
    for (unsigned c = slai_open_after(tc, 0); c != SLAI_NO_CLASS; c = slai_open_after(tc, c))
        for (struct slai_link *l = first_of(tc, c); l != NULL; l = l->next) {
            bytes += slai_slab_tend(SPAN(l), now, delay);
            *waiting |= SPAN(l)->stamp != SLAI_STAMP_PURGED;
        }
    slai_unlock(&tc->lock);
    return bytes;
}

bool slai_idle_due(struct slai_tcache *tc)
{
    long delay = slai_option(purge_delay);
    bool waiting = false;
    uint64_t now;
    size_t bytes;
    if (delay < 0)
        return false;
    now = slai_os_clock();
    bytes = tend_own(tc, now, (uint64_t)delay, &waiting);
    slai_heaps_lock(); /* some other thread may be destroying one of them */
    for (uint32_t n = slai_heap_next(tc, 0); n < tc->heaps_room; n = slai_heap_next(tc, n + 1))
        bytes += tend_own(tc->heaps[n], now, (uint64_t)delay, &waiting);
    slai_heaps_unlock();
    slai_purge_count(bytes + tend_depots(now, (uint64_t)delay, &waiting));
    return waiting;
}

size_t slai_idle_purge(struct slai_tcache *tc)
{
    bool waiting = false;
    size_t bytes = tend_own(tc, slai_os_clock(), 0, &waiting);
    slai_purge_count(bytes);
    return bytes;
}

size_t slai_idle_purge_others(void)
{
    size_t bytes;
    slai_threads_park_others();
    bytes = tend_depots(slai_os_clock(), 0, NULL);
    slai_purge_count(bytes);
    return bytes;
}
