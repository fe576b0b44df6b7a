/* Caches' birth and death, those who have none, and what a fork leaves of them. */
#include "cache/thread.h"

#include "cache/depot.h"
#include "cache/remote.h"
#include "heap/meta.h"
#include "heap/pageheap.h"
#include "util/conf.h"

#include <string.h>

#define CACHE(l) SLA_CONTAINER(l, struct slai_tcache, link)

/* Every stack of a thread without a cache: one slot that holds NULL, and no room. */
static void *const nothing[1];
#define NO_STACK {(void **)nothing, (void **)nothing}
const struct slai_no_cache slai_unborn = {.stacks = {[0 ... SLAI_CLASSES - 1] = NO_STACK}};
struct slai_no_cache slai_dead; /* not initialised: that would be 150 relocations at each start */

SLA_TLS struct slai_tcache *slai_tcache = (struct slai_tcache *)&slai_unborn;

static struct {
    struct slai_lock lock;
    struct slai_list live;   /* THREADS */
    size_t count;            /* THREADS: of the live */
    struct slai_list unused; /* THREADS: caches of ended threads, empty and closed */
    void (*watch)(void);     /* constant after init */
} threads = {.lock = SLAI_LOCK_INIT(SLAI_RANK_THREADS)};

static struct {
    struct slai_lock lock;
    struct slai_tcache cache; /* SHARED; its inbox anyone's */
    bool ready;               /* SHARED; looked at without */
} shared = {.lock = SLAI_LOCK_INIT(SLAI_RANK_SHARED)};

/* Slots of the first stacks, with the one below each that holds NULL. */
static size_t first_slots(void)
{
    size_t n = 1; /* class 0 */
    for (unsigned c = 1; c < SLAI_CLASSES; c++)
        n += slai_classes[c].limit_first + 1u;
    return n;
}

/* What the limits may still grow by, beyond the first ones. */
static long first_budget(void)
{
    long left = slai_option(cache_size);
    for (unsigned c = 1; c < SLAI_CLASSES; c++)
        left -= (long)slai_classes[c].limit_first * (long)slai_class_size(c);
    return left > 0 ? left : 0;
}

/* Points every stack at its first, empty slots. */
static void lay_out(struct slai_tcache *tc)
{
    void **slot = tc->slots;
    for (unsigned c = 0; c < SLAI_CLASSES; c++) {
        const struct slai_class *k = &slai_classes[c];
        struct slai_bin *bin = &tc->bins[c];
        bin->base = slot;
        bin->room = k->limit_first;
        bin->batch = k->limit_first < 4 ? k->limit_first : 4;
        bin->refilled = bin->idle = 0;
        bin->held = 0;
        tc->stacks[c].limit = slot + k->limit_first; /* class 0: top == limit for ever */
        slai_set_relaxed(&tc->stacks[c].top, slot);
        slot += k->limit_first + 1u;
    }
}

#define PARK_LEAST 16   /* slabs, at least 1 MiB */
#define PARK_A_THREAD 4 /* for each live thread: many that grow together are not asleep */
size_t slai_growth, slai_park_every = PARK_LEAST;

/* REQUIRES THREADS. */
static void count_live(long more)
{
    size_t every;
    threads.count += (size_t)more;
    every = PARK_A_THREAD * threads.count;
    slai_set_relaxed(&slai_park_every, every > PARK_LEAST ? every : PARK_LEAST);
}

/* Fills in a zeroed cache. False: no memory for its stacks. */
static bool set_up(struct slai_tcache *tc)
{
    tc->slots = slai_meta_take(first_slots() * sizeof(void *));
    if (tc->slots == NULL)
        return false;
    memcpy(&tc->map, &slai_size_map, sizeof tc->map);
    tc->lock.rank = SLAI_RANK_CACHE;
    lay_out(tc);
    tc->budget = first_budget();
    return true;
}

static struct slai_tcache *make(void)
{
    struct slai_tcache *tc = slai_meta_take(sizeof *tc);
    if (tc != NULL && !set_up(tc)) {
        slai_meta_give(tc, sizeof *tc);
        tc = NULL;
    }
    return tc;
}

static struct slai_tcache *birth(void)
{
    struct slai_tcache *tc = NULL;
    slai_lock(&threads.lock);
    if (threads.unused.first != NULL) {
        tc = CACHE(threads.unused.first);
        slai_list_remove(&threads.unused, &tc->link);
        slai_set_release(&tc->inbox, NULL); /* open again */
    } else {
        tc = make();
    }
    if (tc != NULL) {
        slai_list_push(&threads.live, &tc->link);
        count_live(1);
        tc->live = true;
        tc->parked = false;
        tc->budget = first_budget();
    }
    slai_unlock(&threads.lock);
    return tc;
}

#define BUSY_ALL (SLAI_CLASSES + 1u) /* every stack is being rebuilt */

/* Returns grown stacks to the arena; the stacks are empty. */
static void shrink_stacks(struct slai_tcache *tc)
{
    slai_set_relaxed(&tc->busy, BUSY_ALL);
    slai_fence_release();
    for (unsigned c = 1; c < SLAI_CLASSES; c++)
        if (tc->bins[c].room > slai_classes[c].limit_first)
            slai_meta_give(tc->bins[c].base, (tc->bins[c].room + 1) * sizeof(void *));
    lay_out(tc);
    slai_set_release(&tc->busy, 0);
}

/* Slabs that were posted to a cache that has given them away: on to who owns them now. */
static void settle_none(struct slai_tcache *tc, struct slai_span *s)
{
    (void)tc;
    (void)s;
    slai_panic("a cache without slabs owns one");
}

/* All slabs go to the depot; what the inbox becomes tells if there may be others later. REQUIRES CACHE. */
static void hand_over(struct slai_tcache *tc, struct slai_span *inbox)
{
    slai_assert_held(&tc->lock);
    tc->look = NULL;
    for (unsigned c = 1; c < SLAI_CLASSES; c++)
        slai_depot_give(c, &tc->bins[c].partial, &tc->bins[c].full);
    slai_remote_drain(tc, slai_swap_acq_rel(&tc->inbox, inbox), settle_none);
}

/* All that the thread had goes to the depot; its struct waits for the next thread. */
static void retire(struct slai_tcache *tc)
{
    slai_cache_flush(tc);
    slai_lock(&tc->lock);
    hand_over(tc, SLAI_INBOX_CLOSED);
    slai_unlock(&tc->lock);
    shrink_stacks(tc);
    slai_lock(&threads.lock);
    slai_list_remove(&threads.live, &tc->link);
    count_live(-1);
    slai_list_push(&threads.unused, &tc->link);
    tc->live = false;
    slai_unlock(&threads.lock);
}

static void park(struct slai_tcache *tc)
{
    slai_lock(&tc->lock);
    if (slai_load_relaxed(&tc->inbox) != SLAI_INBOX_CLOSED) {
        slai_cache_drain(tc);
        hand_over(tc, NULL);
        slai_set_relaxed(&tc->parked, true);
    }
    slai_unlock(&tc->lock);
}

/* Has its owner taken no slow path while so many slabs were made? */
static bool asleep(const struct slai_tcache *tc, size_t slabs)
{
    size_t seen = slai_load_relaxed(&tc->seen);
    return (ptrdiff_t)(slai_load_relaxed(&slai_growth) - seen) >= (ptrdiff_t)slabs; /* it may just have woken */
}

static void park_all(size_t slabs)
{
    slai_lock(&threads.lock);
    for (struct slai_link *l = threads.live.first; l != NULL; l = l->next) {
        struct slai_tcache *tc = CACHE(l);
        bool has = !slai_load_relaxed(&tc->parked) || slai_load_relaxed(&tc->inbox) != NULL;
        if (tc != slai_tcache && has && (slabs == 0 || asleep(tc, slabs)))
            park(tc);
    }
    slai_unlock(&threads.lock);
}

void slai_threads_park(void) { park_all(slai_load_relaxed(&slai_park_every)); }
void slai_threads_park_others(void) { park_all(0); }

void slai_cache_none(void)
{
    slai_lock(&threads.lock);
    if (slai_dead.stacks[0].limit == NULL)
        memcpy(&slai_dead, &slai_unborn, sizeof slai_dead);
    slai_unlock(&threads.lock);
    slai_tcache = (struct slai_tcache *)&slai_dead;
}

/* The hook at a thread's end. Later calls by the same thread (other hooks, the C library's own) share a cache. */
static void thread_end(void *value)
{
    threads.watch();
    slai_cache_none();
    retire(value);
}

bool slai_threads_init(void (*watch)(void))
{
    threads.watch = watch;
    return slai_tls_hook(thread_end);
}

struct slai_tcache *slai_cache_get(void)
{
    struct slai_tcache *tc = slai_tcache;
    if (slai_has_cache(tc))
        return tc;
    if ((const void *)tc == &slai_dead)
        return NULL;
    tc = birth();
    if (tc == NULL)
        return NULL;
    /* First the pointer, then the hook: arming it may allocate. */
    slai_tcache = tc;
    if (!slai_tls_arm(tc)) {
        thread_end(tc); /* without the hook this cache would leak */
        return NULL;
    }
    return tc;
}

struct slai_tcache *slai_shared_lock(void)
{
    slai_lock(&shared.lock);
    if (!shared.ready)
        slai_set_relaxed(&shared.ready, set_up(&shared.cache));
    if (shared.ready)
        return &shared.cache;
    slai_unlock(&shared.lock);
    return NULL;
}

bool slai_shared_used(void) { return slai_load_relaxed(&shared.ready); }

void slai_shared_unlock(void) { slai_unlock(&shared.lock); }

void slai_threads_visit(void (*visit)(struct slai_tcache *tc, void *arg), void *arg)
{
    slai_lock(&threads.lock);
    for (struct slai_link *l = threads.live.first; l != NULL; l = l->next)
        visit(CACHE(l), arg);
    slai_unlock(&threads.lock);
    slai_lock(&shared.lock);
    if (shared.ready)
        visit(&shared.cache, arg);
    slai_unlock(&shared.lock);
}

void slai_threads_lock(void)
{
    slai_lock_for_fork(&threads.lock);
    slai_lock_for_fork(&shared.lock);
}

void slai_threads_unlock(void)
{
    slai_unlock_after_fork(&shared.lock);
    slai_unlock_after_fork(&threads.lock);
}

void slai_threads_reset(void)
{
    for (struct slai_link *l = threads.live.first; l != NULL; l = l->next)
        slai_lock_reset(&CACHE(l)->lock);
    slai_lock_reset(&shared.cache.lock);
    slai_lock_reset(&shared.lock);
    slai_lock_reset(&threads.lock);
}

bool slai_threads_alone(void)
{
    const struct slai_link *first = threads.live.first;
    return first == NULL || (first->next == NULL && CACHE(first) == slai_tcache);
}

/*
 * In a fork child.  The other threads are gone, perhaps in the middle of a slow
 * path: their lists and counts may be half changed, and a slab may have freed
 * blocks whose number was never added or posted.  So nothing of theirs is
 * followed.  Every slab is counted anew from its bitmaps, and filed anew: those
 * of the survivor under it, all others in the depot.  Then the blocks in the
 * vanished threads' stacks are freed, but for a stack that was being rebuilt,
 * whose blocks are lost (a few, once a fork, at most).  Before all that, pages
 * that were in no list, as somebody was purging them, go back to the page heap.
 */
static void forget_lists(struct slai_tcache *tc)
{
    for (unsigned c = 1; c < SLAI_CLASSES; c++)
        tc->bins[c].partial = tc->bins[c].full = (struct slai_list){NULL, NULL};
    tc->look = NULL;
    slai_set_relaxed(&tc->inbox, NULL);
}

static void refile(struct slai_span *s, struct slai_tcache *self)
{
    struct slai_tcache *owner = s->owner;
    slai_slab_recount(s);
    if (owner != NULL && (owner == self || owner == &shared.cache)) {
        struct slai_bin *bin = &owner->bins[s->class];
        s->place = slai_slab_full(s) ? SLAI_FULL : SLAI_PARTIAL;
        slai_list_push(s->place == SLAI_FULL ? &bin->full : &bin->partial, &s->link);
    } else {
        slai_set_relaxed(&s->owner, NULL);
        slai_depot_file(s);
    }
}

static void refile_all(struct slai_tcache *self)
{
    for (size_t i = 0; i < slai_region_count; i++) {
        struct slai_region *r = &slai_regions[i];
        for (size_t p = r->data, next; p < r->top; p = next) {
            struct slai_span *s = &r->spans[p];
            next = p + (s->pages > 0 ? s->pages : 1);
            if (slai_kind(s) == SLAI_KIND_SLAB)
                refile(s, self);
        }
    }
}

static void bury(struct slai_tcache *tc)
{
    uint32_t busy = tc->busy;
    tc->busy = 0;
    if (busy == BUSY_ALL) {
        lay_out(tc); /* they were empty; what they had grown to is lost */
    } else if (busy != 0) {
        struct slai_bin *bin = &tc->bins[busy - 1];
        bin->base = tc->stacks[busy - 1].top = tc->slots; /* which memory it was in is uncertain: let it be */
        bin->room = 0;
    }
    retire(tc);
}

void slai_threads_repair(void)
{
    struct slai_tcache *self = slai_tcache;
    struct slai_link *l, *next;
    if (!slai_has_cache(self))
        self = NULL;
    for (l = threads.live.first; l != NULL; l = l->next)
        forget_lists(CACHE(l));
    if (shared.ready)
        forget_lists(&shared.cache);
    slai_pages_repair();
    refile_all(self);
    for (l = threads.live.first; l != NULL; l = next) {
        next = l->next;
        if (CACHE(l) != self)
            bury(CACHE(l));
    }
}
