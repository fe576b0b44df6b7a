/* Heaps: making and destroying them, their caches, the current one, their limits, what a fork leaves of them. */
#include "cache/heap.h"

#include "cache/idle.h"
#include "cache/provide.h"
#include "heap/large.h"
#include "heap/meta.h"
#include "os/os.h"

#include <errno.h>
#include <string.h>

#define CACHE(l) SLA_CONTAINER(l, struct slai_tcache, heap_link)
#define ROOM_LEAST 8u /* entries of a thread's table of heaps */
#define NO_CACHE ((struct slai_tcache *)&slai_unborn)

static struct {
    struct slai_lock lock;
    struct sla_heap *unused; /* HEAPS: destroyed ones; the last one's number is used again first */
} heaps = {.lock = SLAI_LOCK_INIT(SLAI_RANK_HEAPS)};

void slai_heaps_lock(void) { slai_lock(&heaps.lock); }
void slai_heaps_unlock(void) { slai_unlock(&heaps.lock); }

/* --- A heap's life --- */

/* REQUIRES HEAPS. One that was destroyed, or a new one with a number of its own. */
static struct sla_heap *obtain(void)
{
    struct sla_heap *heap = heaps.unused;
    uint32_t number = slai_account_end;
    if (heap != NULL) {
        heaps.unused = heap->next_unused;
        return heap;
    }
    if (number == SLAI_ACCOUNTS) {
        errno = ENFILE;
        return NULL;
    }
    heap = slai_meta_keep(sizeof *heap);
    if (heap == NULL)
        return NULL;
    heap->account.number = (uint16_t)number;
    slai_depots_make(heap->depots, number);
    slai_set_release(&slai_accounts[number], &heap->account);
    slai_set_release(&slai_account_end, number + 1);
    return heap;
}

struct sla_heap *slai_heap_make(const char *name, const struct slai_provider *pages)
{
    struct sla_heap *heap;
    size_t length = 0;
    slai_lock(&heaps.lock);
    heap = obtain();
    if (heap != NULL) {
        while (length < SLAI_HEAP_NAME - 1 && name[length] != '\0')
            length++;
        memset(heap->name, 0, sizeof heap->name);
        memcpy(heap->name, name, length);
        slai_assert(heap->account.quota.used == 0 && heap->caches.first == NULL);
        slai_set_relaxed(&heap->account.quota.limit, 0);
        slai_set_relaxed(&heap->account.peak, 0);
        slai_set_relaxed(&heap->soft, 0);
        slai_set_relaxed(&heap->above, false);
        heap->pressure = NULL;
        if (pages != NULL)
            heap->pages = *pages;
        slai_set_relaxed(&heap->account.lent, pages != NULL);
        slai_set_relaxed(&heap->live, true);
    }
    slai_unlock(&heaps.lock);
    return heap;
}

/* REQUIRES HEAPS. */
static void detach(struct slai_tcache *tc)
{
    slai_list_remove(&tc->heap->caches, &tc->heap_link);
    slai_set_relaxed(&tc->home->heaps[tc->heap->account.number], NO_CACHE);
}

/* REQUIRES HEAPS. */
static void shelve(struct sla_heap *heap)
{
    slai_set_relaxed(&heap->account.lent, false);
    slai_set_relaxed(&heap->account.spare, false);
    heap->pages = (struct slai_provider){NULL, NULL, NULL, 0};
    heap->next_unused = heaps.unused;
    heaps.unused = heap;
}

/* REQUIRES HEAPS. */
static const char *in_the_way(const struct sla_heap *heap)
{
    if (!heap->live)
        return "heap already destroyed";
    return slai_load_acquire(&heap->pushed) != 0 ? "heap is a thread's current one" : NULL;
}

bool slai_heap_may_end(struct sla_heap *heap)
{
    bool may;
    slai_lock(&heaps.lock);
    may = in_the_way(heap) == NULL;
    slai_unlock(&heaps.lock);
    return may;
}

const char *slai_heap_end(struct sla_heap *heap)
{
    const char *wrong;
    bool lent = false;
    slai_lock(&heaps.lock);
    wrong = in_the_way(heap);
    if (wrong == NULL) {
        while (heap->caches.first != NULL) {
            struct slai_tcache *tc = CACHE(heap->caches.first);
            detach(tc);
            slai_cache_raze(tc);
        }
        slai_depots_raze(heap);
        slai_large_raze(&heap->account);
        slai_set_relaxed(&heap->live, false);
        lent = heap->account.lent;
        if (!lent)
            shelve(heap);
    }
    slai_unlock(&heaps.lock);
    if (lent) {
        slai_heap_give_back(heap, SLAI_CHUNKS_ALL);
        slai_lock(&heaps.lock);
        shelve(heap);
        slai_unlock(&heaps.lock);
    }
    return wrong;
}

/* --- Threads' caches --- */

static size_t table_bytes(const struct slai_tcache *home) { return home->heaps_room * sizeof(struct slai_tcache *); }

/* REQUIRES HEAPS. Makes room for a number in the thread's table. */
static bool widen(struct slai_tcache *home, uint32_t number)
{
    uint32_t room = (uint32_t)slai_ceil_pow2(number + 1 > ROOM_LEAST ? number + 1 : ROOM_LEAST);
    struct slai_tcache **wider = slai_meta_take(room * sizeof *wider), **old = home->heaps;
    if (wider == NULL)
        return false;
    for (uint32_t i = 0; i < room; i++)
        wider[i] = i < home->heaps_room ? old[i] : NO_CACHE;
    home->heaps = wider;
    if (old != NULL)
        slai_meta_give(old, table_bytes(home));
    home->heaps_room = room;
    return true;
}

struct slai_tcache *slai_heap_cache(struct sla_heap *heap)
{
    struct slai_tcache *home = slai_tcache, *tc;
    if (!slai_has_cache(home))
        return NULL;
    tc = slai_heap_cache_at(home, heap->account.number);
    if (SLA_LIKELY(tc != NO_CACHE))
        return tc;
    slai_lock(&heaps.lock);
    tc = NULL;
    if (heap->account.number < home->heaps_room || widen(home, heap->account.number))
        tc = slai_cache_birth(heap, home);
    if (tc != NULL) {
        slai_list_push(&heap->caches, &tc->heap_link);
        slai_set_relaxed(&home->heaps[heap->account.number], tc);
    }
    slai_unlock(&heaps.lock);
    return tc;
}

void slai_heaps_leave(struct slai_tcache *home)
{
    if (home->heaps_room == 0 && home->pushed == NULL)
        return;
    slai_lock(&heaps.lock);
    for (uint32_t n = slai_heap_next(home, 0); n < home->heaps_room; n = slai_heap_next(home, n + 1)) {
        struct slai_tcache *tc = home->heaps[n];
        detach(tc);
        slai_cache_retire(tc);
    }
    for (unsigned i = 0; home->pushed != NULL && i < home->pushed->depth; i++)
        if (home->pushed->heaps[i] != NULL)
            slai_add_acq_rel(&home->pushed->heaps[i]->pushed, (size_t)-1);
    slai_heaps_forget(home);
    slai_unlock(&heaps.lock);
}

void slai_heaps_forget(struct slai_tcache *home)
{
    if (home->heaps != NULL)
        slai_meta_give(home->heaps, table_bytes(home));
    if (home->pushed != NULL)
        slai_meta_give(home->pushed, sizeof *home->pushed);
    home->heaps = NULL;
    home->heaps_room = 0;
    home->pushed = NULL;
    home->pressing = false;
    home->providing = false;
}

void slai_heap_caches(struct sla_heap *heap, void (*visit)(struct slai_tcache *tc, void *arg), void *arg)
{
    slai_lock(&heaps.lock);
    for (struct slai_link *l = heap->caches.first; l != NULL; l = l->next)
        visit(CACHE(l), arg);
    slai_unlock(&heaps.lock);
}

/* --- The current heap --- */

/* False: no memory for its cache. */
static bool make_current(struct sla_heap *heap)
{
    struct slai_tcache *tc = heap != NULL ? slai_heap_cache(heap) : slai_tcache;
    if (tc != NULL)
        slai_current = tc;
    return tc != NULL;
}

bool slai_heap_push(struct sla_heap *heap)
{
    struct slai_tcache *home = slai_tcache;
    struct slai_pushed *p;
    if (!slai_has_cache(home)) {
        errno = ENOMEM;
        return false;
    }
    if (home->pushed == NULL)
        home->pushed = slai_meta_take(sizeof *home->pushed);
    p = home->pushed;
    if (p != NULL && p->depth >= SLAI_PUSH_MOST + home->pressing + home->providing) {
        errno = EOVERFLOW;
        return false;
    }
    if (p == NULL || !make_current(heap)) {
        errno = ENOMEM;
        return false;
    }
    p->heaps[p->depth++] = heap;
    if (heap != NULL)
        slai_add_acq_rel(&heap->pushed, 1);
    return true;
}

bool slai_heap_pop(void)
{
    struct slai_pushed *p;
    struct sla_heap *heap;
    if (!slai_has_cache(slai_tcache))
        return true; /* at the thread's end all were popped */
    p = slai_tcache->pushed;
    if (p == NULL || p->depth == 0)
        return false;
    heap = p->heaps[--p->depth];
    (void)make_current(p->depth > 0 ? p->heaps[p->depth - 1] : NULL); /* it has had a cache since it was pushed */
    if (heap != NULL)
        slai_add_acq_rel(&heap->pushed, (size_t)-1);
    return true;
}

/* --- Limits --- */

void slai_heap_gather(struct sla_heap *heap)
{
    slai_assert_held(&heaps.lock);
    for (struct slai_link *l = heap->caches.first; l != NULL; l = l->next) {
        if (CACHE(l)->home == slai_tcache)
            slai_cache_flush(CACHE(l));
        if (!slai_in_fork()) /* as in slai_threads_park() */
            slai_cache_park(CACHE(l));
    }
    slai_depots_clear(heap);
}

/* Calls the pressure function, in the default heap, and never within itself. True: it wants another attempt. */
static bool press(struct sla_heap *heap, size_t wanted)
{
    struct slai_tcache *home = slai_tcache;
    int (*pressure)(struct sla_heap *, size_t, void *), saved = errno;
    bool again, pushed = false;
    void *arg;
    if (!slai_has_cache(home) || home->pressing)
        return false;
    slai_lock(&heaps.lock);
    pressure = heap->pressure;
    arg = heap->arg;
    slai_unlock(&heaps.lock);
    if (pressure == NULL)
        return false;
    home->pressing = true;
    if (slai_current != home)
        pushed = slai_heap_push(NULL); /* there is room */
    again = pressure(heap, wanted, arg) != 0;
    if (pushed)
        slai_heap_pop();
    home->pressing = false;
    errno = saved;
    return again;
}

SLA_COLD bool slai_heap_relieve(struct sla_heap *heap, size_t wanted, size_t pages, unsigned step)
{
    bool system = slai_heap_wants_system(heap, pages);
    int saved = errno;
    if (step > 1 || (step == 1 && !press(heap, wanted)))
        return false;
    slai_lock(&heaps.lock);
    slai_heap_gather(heap);
    slai_unlock(&heaps.lock);
    if (system)
        (void)slai_idle_purge_others();
    errno = saved;
    return true;
}

static SLA_COLD void crossed(struct sla_heap *heap, bool above, size_t wanted)
{
    if (slai_swap_acq_rel(&heap->above, above) != above && above)
        (void)press(heap, wanted);
}

void slai_heap_grown(struct sla_heap *heap, size_t wanted)
{
    size_t soft = slai_load_relaxed(&heap->soft);
    bool above = soft != 0 && slai_load_relaxed(&heap->account.quota.used) > soft;
    if (SLA_UNLIKELY(above != slai_load_relaxed(&heap->above)))
        crossed(heap, above, wanted);
}

/* --- All of them --- */

size_t slai_heaps_tend(uint64_t now, uint64_t delay, bool *waiting)
{
    size_t bytes = 0;
    for (uint32_t n = 1; n < slai_load_acquire(&slai_account_end); n++) {
        struct sla_heap *heap = slai_heap_of(slai_account(n));
        if (!slai_load_relaxed(&heap->live))
            continue;
        slai_lock(&heaps.lock);
        if (heap->live)
            bytes += slai_depot_tend_all(heap, now, delay, waiting);
        slai_unlock(&heaps.lock);
    }
    return bytes;
}

void slai_heap_settle(struct sla_heap *heap)
{
    slai_lock(&heaps.lock);
    for (struct slai_link *l = heap->caches.first; l != NULL; l = l->next) {
        slai_cache_flush(CACHE(l));
        slai_cache_park(CACHE(l));
    }
    slai_unlock(&heaps.lock);
}

SLA_COLD void slai_heaps_lock_for_fork(void) { slai_lock_for_fork(&heaps.lock); }
SLA_COLD void slai_heaps_unlock_after_fork(void) { slai_unlock_after_fork(&heaps.lock); }
SLA_COLD void slai_heaps_reset(void)
{
    for (uint32_t n = 1; n < slai_account_end; n++)
        slai_set_relaxed(&slai_heap_of(slai_accounts[n])->putting, 0); /* by threads that are gone */
    slai_lock_reset(&heaps.lock);
}

/* In a fork child: HEAPS was held, so tables and lists are whole; the stacks of pushed heaps are not, but the own. */
SLA_COLD void slai_heaps_repair(const struct slai_tcache *self)
{
    for (uint32_t n = 1; n < slai_account_end; n++) {
        struct sla_heap *heap = slai_heap_of(slai_accounts[n]);
        for (struct slai_link *l = heap->caches.first, *next; l != NULL; l = next) {
            next = l->next;
            if (CACHE(l)->home != self)
                detach(CACHE(l));
        }
        slai_set_relaxed(&heap->pushed, 0);
    }
    for (unsigned i = 0; self != NULL && self->pushed != NULL && i < self->pushed->depth; i++)
        if (self->pushed->heaps[i] != NULL)
            self->pushed->heaps[i]->pushed++;
}
