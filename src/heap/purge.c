#include "heap/purge.h"

#include "heap/account.h"
#include "os/os.h"
#include "util/conf.h"

#include <errno.h>

#define heap slai_pageheap
#define SPAN(l) SLA_CONTAINER(l, struct slai_span, link)
#define AT_ONCE 64 /* spans taken out of the bins together */
#define ROOM_LEAST (((size_t)1 << 20) >> SLAI_PAGE_SHIFT) /* shorter ones are worth no system call */
#define ROOM_PART 4

/* REQUIRES PAGEHEAP. Should s be purged now? Stamps what is new. */
static bool due_now(struct slai_span *s, enum slai_purge how, size_t keep, uint64_t now, long delay)
{
    if (s->stamp == 0)
        s->stamp = now;
    if (how == SLAI_PURGE_ALL)
        return heap.free_pages[0] << SLAI_PAGE_SHIFT > keep;
    if (s->stamp == SLAI_STAMP_REFUSED)
        return false; /* the system refused once; only an explicit trim asks again */
    return s->stamp <= now && now - s->stamp >= (uint64_t)delay;
}

/* REQUIRES PAGEHEAP. Takes up to AT_ONCE spans that are due out of the bins. */
static size_t collect(struct slai_span **due, enum slai_purge how, size_t keep, uint64_t now, long delay)
{
    size_t n = 0;
    for (unsigned b = SLAI_BINS; b-- > 0;) {
        for (struct slai_link *l = heap.bins[0][b].first, *next; l != NULL && n < AT_ONCE; l = next) {
            struct slai_span *s = SPAN(l);
            next = l->next;
            if (!due_now(s, how, keep, now, delay))
                continue;
            slai_span_claim(s);
            due[n++] = s;
        }
    }
    return n;
}

/* No lock held: the spans are BUSY, so nobody else touches them. */
static size_t purge(struct slai_span **due, size_t n, size_t *mended)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        struct slai_span *s = due[i];
        size_t size = (size_t)s->pages << SLAI_PAGE_SHIFT;
        bool zero = s->moved ? slai_os_renew(s->start, size) : slai_os_purge(s->start, size);
        if (zero) {
            *mended += s->moved;
            s->moved = 0;
            s->clean = 1;
            bytes += size;
        }
        s->stamp = zero ? 0 : SLAI_STAMP_REFUSED;
    }
    return bytes;
}

size_t slai_purge(enum slai_purge how, size_t keep)
{
    struct slai_span *due[AT_ONCE];
    long delay = slai_option(purge_delay);
    size_t total = 0, n, bytes, mended;
    int saved = errno;
    uint64_t now;
    if (delay < 0 && how != SLAI_PURGE_ALL)
        return 0;
    now = slai_os_clock();
    slai_lock(&heap.lock);
    slai_set_relaxed(&heap.given, 0);
    if (how == SLAI_PURGE_CALM && delay > 0 && heap.looked != 0 && now - heap.looked < slai_purge_interval(delay)) {
        slai_unlock(&heap.lock);
        return 0;
    }
    do {
        n = collect(due, how, keep, now, delay);
        slai_set_relaxed(&heap.looked, now);
        slai_unlock(&heap.lock);
        mended = 0;
        bytes = purge(due, n, &mended);
        slai_lock(&heap.lock);
        for (size_t i = 0; i < n; i++)
            slai_span_join(due[i]);
        heap.purged += bytes;
        slai_set_relaxed(&heap.moved, heap.moved - (mended < heap.moved ? mended : heap.moved));
        total += bytes;
    } while (n == AT_ONCE && bytes > 0);
    slai_unlock(&heap.lock);
    if (total > 0)
        slai_os_event("purged", total);
    errno = saved;
    return total;
}

void slai_purge_count(size_t bytes)
{
    if (bytes == 0)
        return;
    slai_lock(&heap.lock);
    heap.purged += bytes;
    slai_unlock(&heap.lock);
    slai_os_event("purged", bytes);
}

/*
 * More is in use than ever, for the sake of one block, which got pages without memory as no free span was long enough.
 * What those that are too short hold goes back: else the process is as large as all its large blocks one after another.
 * A program that has reached its size, or whose blocks are each a small part of it, pays nothing.
 */
static void make_room_for(const struct slai_span *s)
{
    size_t used = slai_load_relaxed(&heap.used_pages);
    if (s->clean && s->pages >= ROOM_LEAST && s->pages >= used / ROOM_PART && slai_option(purge_delay) >= 0 &&
        used == slai_load_relaxed(&heap.peak_pages) && slai_load_relaxed(&heap.free_pages[0]) > 0)
        slai_purge(SLAI_PURGE_ALL, 0);
}

struct slai_span *slai_pages_take_hard(struct slai_account *account, size_t pages, size_t align, enum slai_kind kind)
{
    int saved = errno;
    struct slai_span *s = slai_pages_take_for(account, pages, align, kind);
    /* Dirty and clean neighbours are not joined, so both may be too short. */
    if (SLA_UNLIKELY(s == NULL) && !(account != NULL && account->lent) && slai_purge(SLAI_PURGE_ALL, 0) > 0) {
        s = slai_pages_take_for(account, pages, align, kind);
        if (s != NULL)
            errno = saved;
    }
    if (kind == SLAI_KIND_LARGE && s != NULL)
        make_room_for(s);
    return s;
}

void slai_purge_poll(void)
{
    long delay = slai_option(purge_delay);
    if (delay < 0 || slai_load_relaxed(&heap.free_pages[0]) == 0)
        return;
    if (slai_os_clock() - slai_load_relaxed(&heap.looked) >= slai_purge_interval(delay))
        slai_purge(SLAI_PURGE_CALM, 0);
}

long slai_purge_next(void)
{
    long delay = slai_option(purge_delay);
    uint64_t oldest = UINT64_MAX, now = slai_os_clock();
    if (delay < 0)
        return -1;
    slai_lock(&heap.lock);
    for (unsigned b = 0; b < SLAI_BINS; b++) {
        for (struct slai_link *l = heap.bins[0][b].first; l != NULL; l = l->next) {
            struct slai_span *s = SPAN(l);
            if (s->stamp == 0)
                s->stamp = now;
            if (s->stamp < oldest)
                oldest = s->stamp;
        }
    }
    slai_unlock(&heap.lock);
    if (oldest == UINT64_MAX)
        return -1;
    return oldest + (uint64_t)delay > now ? (long)(oldest + (uint64_t)delay - now) : 0;
}
