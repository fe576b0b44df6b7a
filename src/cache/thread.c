/* Caches' birth and death, those who have none, and what a fork leaves of them. */
#include "cache/thread.h"

#include "cache/depot.h"
#include "cache/heap.h"
#include "cache/remote.h"
#include "heap/meta.h"
#include "heap/pageheap.h"
#include "util/conf.h"

#include <string.h>

#define CACHE(l) SLA_CONTAINER(l, struct slai_tcache, link)

/* Every stack of a thread without a cache, or of a class not used yet: one slot that holds NULL, and no room. */
static void *const nothing[1];
#define NO_STACK {(void **)nothing, (void **)nothing}
/* The rest is filled in at set-up, before there is a block that could be freed: else 150 relocations at each start. */
struct slai_no_cache slai_unborn = {.stacks = {NO_STACK}, .objects = &slai_no_objects};
SLA_RARE struct slai_objects slai_no_objects;
SLA_RARE struct slai_no_cache slai_dead;

SLA_TLS struct slai_tcache *slai_tcache = (struct slai_tcache *)&slai_unborn;
SLA_TLS struct slai_tcache *slai_current = (struct slai_tcache *)&slai_unborn;

static struct {
    struct slai_lock lock;
    struct slai_list live;   /* THREADS */
    size_t count;            /* THREADS: of the live */
    struct slai_list unused; /* THREADS: caches of ended threads, empty and closed */
    void (*watch)(void);     /* constant after init */
    size_t first_bytes;      /* likewise: what fits in all first stacks */
} threads = {.lock = SLAI_LOCK_INIT(SLAI_RANK_THREADS)};

static struct {
    struct slai_lock lock;
    struct slai_tcache *cache; /* SHARED; NULL until needed, looked at without. Its inbox is anyone's */
} shared = {.lock = SLAI_LOCK_INIT(SLAI_RANK_SHARED)};

/* What the limits may still grow by, beyond the first ones. */
static long first_budget(void)
{
    long left = slai_option(cache_size) - (long)threads.first_bytes;
    return left > 0 ? left : 0;
}

#define PARK_LEAST 16   /* slabs, at least 1 MiB */
#define PARK_A_THREAD 4 /* for each live thread: many that grow together are not asleep */
struct slai_growth slai_growth = {.every = PARK_LEAST};

/* REQUIRES THREADS. */
static void count_live(const struct slai_tcache *tc, long more)
{
    size_t every;
    if (tc->heap != NULL) /* a thread may have many */
        return;
    threads.count += (size_t)more;
    every = PARK_A_THREAD * threads.count;
    slai_set_relaxed(&slai_growth.every, every > PARK_LEAST ? every : PARK_LEAST);
}

static struct slai_tcache *make(void)
{
    struct slai_tcache *tc = slai_meta_keep(sizeof *tc);
    if (tc == NULL)
        return NULL;
    memcpy(tc->stacks, slai_unborn.stacks, sizeof tc->stacks);
    memcpy(&tc->map, &slai_size_map, sizeof tc->map);
    tc->objects = &slai_no_objects;
    tc->lock.rank = SLAI_RANK_CACHE;
    tc->budget = first_budget();
    tc->home = tc;
    return tc;
}

/* An empty stack: as good as new, whatever it was. */
static void renew(struct slai_bin *bin, uint32_t limit)
{
    bin->room = limit;
    bin->batch = (uint16_t)(limit < 4 ? limit : 4);
    bin->refilled = bin->idle = bin->calm = 0;
}

/* Room for what an object class needs beside its stack. */
static bool equip(struct slai_tcache *tc, unsigned class)
{
    if (tc->objects == &slai_no_objects) {
        struct slai_objects *objects = slai_meta_keep(sizeof *objects);
        if (objects == NULL)
            return false;
        slai_set_release(&tc->objects, objects);
    }
    if (slai_object_stack(tc, class)->bin == NULL)
        slai_object_stack(tc, class)->bin = slai_meta_take(sizeof(struct slai_bin));
    return slai_object_stack(tc, class)->bin != NULL;
}

static void mark_open(struct slai_tcache *tc, unsigned class, bool open)
{
    bool object = slai_class_is_object(class);
    unsigned i = object ? slai_object_number(class) : class;
    uint64_t *words = object ? tc->objects->open : tc->open, bit = (uint64_t)1 << i % SLAI_WORD_BITS;
    words += i / SLAI_WORD_BITS;
    *words = open ? *words | bit : *words & ~bit;
}

bool slai_stack_open(struct slai_tcache *tc, unsigned class)
{
    uint32_t limit = slai_class_at(class)->limit_first;
    void **base;
    slai_assert(!slai_is_open(tc, class));
    if (slai_class_is_object(class) && !equip(tc, class))
        return false;
    base = slai_meta_take((limit + 1) * sizeof(void *));
    if (base == NULL)
        return false;
    slai_set_relaxed(&tc->busy, class + 1);
    slai_fence_release();
    mark_open(tc, class, true);
    renew(slai_bin_at(tc, class), limit);
    slai_stack_place(tc, class, base);
    slai_stack_at(tc, class)->limit = base + limit;
    slai_set_relaxed(&slai_stack_at(tc, class)->top, base);
    slai_set_release(&tc->busy, 0);
    return true;
}

static struct slai_tcache *birth(struct sla_heap *heap, struct slai_tcache *home)
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
        tc->heap = heap;
        tc->home = home != NULL ? home : tc;
        slai_list_push(&threads.live, &tc->link);
        count_live(tc, 1);
        tc->live = true;
        tc->parked = false;
        tc->relieving = false; /* its last thread may have ended in the middle */
        tc->budget = first_budget();
    }
    slai_unlock(&threads.lock);
    return tc;
}

struct slai_tcache *slai_cache_birth(struct sla_heap *heap, struct slai_tcache *home) { return birth(heap, home); }

#define BUSY_ALL UINT32_MAX /* every stack is being rebuilt */

/* The class has no stack any more. What the stack was in is the caller's business. */
static void close_stack(struct slai_tcache *tc, unsigned class)
{
    const struct slai_stack none = {NULL, NULL};
    if (slai_bin_at(tc, class) == NULL)
        return;
    *slai_stack_at(tc, class) = slai_class_is_object(class) ? none : slai_unborn.stacks[0];
    slai_stack_place(tc, class, NULL);
    slai_set_relaxed(&slai_bin_at(tc, class)->held, 0);
    mark_open(tc, class, false);
}

/* The same with its memory; it is empty. */
static void discard(struct slai_tcache *tc, unsigned class)
{
    struct slai_bin *bin = slai_bin_at(tc, class);
    slai_meta_give(bin->base, (bin->room + 1) * sizeof(void *));
    close_stack(tc, class);
    if (slai_class_is_object(class)) {
        slai_object_stack(tc, class)->bin = NULL;
        slai_meta_give(bin, sizeof *bin);
    }
}

/* Returns grown stacks to the arena; the others are for the next thread. All are empty. */
static void shrink_stacks(struct slai_tcache *tc)
{
    slai_set_relaxed(&tc->busy, BUSY_ALL);
    slai_fence_release();
    for (unsigned c = slai_open_after(tc, 0); c != SLAI_NO_CLASS; c = slai_open_after(tc, c)) {
        struct slai_bin *bin = slai_bin_at(tc, c);
        uint32_t first = slai_class_at(c)->limit_first;
        if (bin->room > first || slai_class_is_object(c)) {
            discard(tc, c);
        } else {
            renew(bin, first);
        }
    }
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
    for (unsigned c = slai_open_after(tc, 0); c != SLAI_NO_CLASS; c = slai_open_after(tc, c))
        slai_depot_give(c, &slai_bin_at(tc, c)->partial, &slai_bin_at(tc, c)->full);
    slai_remote_drain(tc, slai_swap_acq_rel(&tc->inbox, inbox), settle_none);
}

/* All that the thread had goes to the depot; its struct waits for the next thread. */
void slai_cache_retire(struct slai_tcache *tc)
{
    slai_cache_flush(tc);
    slai_lock(&tc->lock);
    hand_over(tc, SLAI_INBOX_CLOSED);
    shrink_stacks(tc); /* it is still in the list: others may ask about its object classes, or close them */
    slai_unlock(&tc->lock);
    slai_lock(&threads.lock);
    slai_list_remove(&threads.live, &tc->link);
    count_live(tc, -1);
    slai_list_push(&threads.unused, &tc->link);
    tc->live = false;
    slai_unlock(&threads.lock);
}

/* REQUIRES CACHE; the class has a stack. */
static void empty_class(struct slai_tcache *tc, unsigned class)
{
    struct slai_bin *bin = slai_bin_at(tc, class);
    if (slai_stack_count(tc, class) > 0)
        slai_stack_flush(tc, class, slai_stack_count(tc, class));
    slai_depot_give(class, &bin->partial, &bin->full);
    tc->look = NULL;
}

void slai_stack_empty(struct slai_tcache *tc, unsigned class)
{
    slai_lock(&tc->lock);
    slai_cache_drain(tc);
    if (slai_is_open(tc, class))
        empty_class(tc, class);
    slai_unlock(&tc->lock);
}

SLA_COLD void slai_cache_raze(struct slai_tcache *tc)
{
    slai_lock(&threads.lock);
    slai_list_remove(&threads.live, &tc->link); /* nobody parks or visits it from here on */
    tc->live = false;
    slai_unlock(&threads.lock);
    tc->look = NULL;
    for (unsigned c = slai_open_after(tc, 0); c != SLAI_NO_CLASS; c = slai_open_after(tc, c)) {
        struct slai_bin *bin = &tc->bins[c];
        slai_slabs_raze(&bin->partial);
        slai_slabs_raze(&bin->full);
        slai_set_relaxed(&tc->busy, c + 1);
        slai_fence_release();
        tc->stacks[c].top = bin->base;
        bin->held = 0;
        slai_set_release(&tc->busy, 0);
    }
    slai_set_relaxed(&tc->inbox, SLAI_INBOX_CLOSED);
    shrink_stacks(tc);
    slai_lock(&threads.lock);
    slai_list_push(&threads.unused, &tc->link);
    slai_unlock(&threads.lock);
}

void slai_stack_close(struct slai_tcache *tc, unsigned class)
{
    slai_lock(&tc->lock);
    if (slai_load_relaxed(&tc->inbox) != SLAI_INBOX_CLOSED) /* its thread is ending: it has nothing left */
        slai_cache_drain(tc);
    if (slai_is_open(tc, class)) {
        long limit = slai_stack_at(tc, class)->limit - slai_bin_at(tc, class)->base;
        empty_class(tc, class);
        tc->budget += (limit - slai_class_at(class)->limit_first) * (long)slai_class_size(class);
        slai_set_relaxed(&tc->busy, class + 1);
        slai_fence_release();
        discard(tc, class);
        slai_set_release(&tc->busy, 0);
    }
    slai_unlock(&tc->lock);
}

static void close_everywhere(unsigned class)
{
    slai_lock(&threads.lock);
    for (struct slai_link *l = threads.live.first; l != NULL; l = l->next)
        if (CACHE(l) == slai_tcache || !slai_in_fork()) /* CACHE locks are not taken around a fork */
            slai_stack_close(CACHE(l), class);
    slai_unlock(&threads.lock);
    slai_lock(&shared.lock);
    if (shared.cache != NULL)
        slai_stack_close(shared.cache, class);
    slai_unlock(&shared.lock);
}

/* A thread that flushes as it is at work, or ends, may post to another that was closed a moment before. After the first
   round nobody holds a block of the class, and who was flushing is done; so the second finds the last of them. */
SLA_COLD void slai_threads_close(unsigned class)
{
    close_everywhere(class);
    close_everywhere(class);
}

void slai_cache_park(struct slai_tcache *tc)
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
    return (ptrdiff_t)(slai_load_relaxed(&slai_slabs_made) - seen) >= (ptrdiff_t)slabs; /* it may just have woken */
}

static void park_all(size_t slabs)
{
    if (slai_in_fork()) /* CACHE locks are not taken around a fork: their holders wait for us, or are gone */
        return;
    slai_lock(&threads.lock);
    for (struct slai_link *l = threads.live.first; l != NULL; l = l->next) {
        struct slai_tcache *tc = CACHE(l);
        bool has = !slai_load_relaxed(&tc->parked) || slai_load_relaxed(&tc->inbox) != NULL;
        if (tc != slai_tcache && has && (slabs == 0 || asleep(tc, slabs)))
            slai_cache_park(tc);
    }
    slai_unlock(&threads.lock);
}

void slai_threads_park(void)
{
    size_t searched = slai_load_relaxed(&slai_growth.searched);
    if (slai_cas_acq_rel(&slai_growth.searched, &searched, slai_load_relaxed(&slai_slabs_made)))
        park_all(slai_load_relaxed(&slai_growth.every)); /* else another thread does */
}

void slai_threads_park_others(void) { park_all(0); }

SLA_COLD void slai_cache_none(void)
{
    slai_lock(&threads.lock);
    if (slai_dead.stacks[0].limit == NULL)
        memcpy(&slai_dead, &slai_unborn, sizeof slai_dead);
    slai_unlock(&threads.lock);
    slai_tcache = slai_current = (struct slai_tcache *)&slai_dead;
}

/* The hook at a thread's end. Later calls by the same thread (other hooks, the C library's own) share a cache. */
static void end_of(struct slai_tcache *tc)
{
    slai_cache_none();
    slai_heaps_leave(tc);
    slai_cache_retire(tc);
    slai_misuse_due();
}

static void thread_end(void *value)
{
    threads.watch();
    end_of(value);
}

void slai_threads_init(void (*watch)(void))
{
    threads.watch = watch;
    for (unsigned c = 1; c < SLAI_CLASSES; c++) {
        slai_unborn.stacks[c] = slai_unborn.stacks[0];
        threads.first_bytes += (size_t)slai_classes[c].limit_first * slai_class_size(c);
    }
}

struct slai_tcache *slai_cache_get(void)
{
    struct slai_tcache *tc = slai_tcache;
    if (slai_has_cache(tc))
        return tc;
    if ((const void *)tc == &slai_dead)
        return NULL;
    tc = birth(NULL, NULL);
    if (tc == NULL)
        return NULL;
    /* First the pointer, then the hook: arming it may allocate. */
    slai_tcache = slai_current = tc;
    if (!slai_tls_arm(thread_end, tc)) {
        end_of(tc); /* without the hook this cache would leak */
        return NULL;
    }
    return tc;
}

struct slai_tcache *slai_shared_lock(void)
{
    slai_lock(&shared.lock);
    if (shared.cache == NULL)
        slai_set_relaxed(&shared.cache, make());
    if (shared.cache != NULL)
        return shared.cache;
    slai_unlock(&shared.lock);
    return NULL;
}

bool slai_shared_used(void) { return slai_load_relaxed(&shared.cache) != NULL; }

void slai_shared_unlock(void) { slai_unlock(&shared.lock); }

SLA_COLD void slai_threads_visit(void (*visit)(struct slai_tcache *tc, void *arg), void *arg)
{
    slai_lock(&threads.lock);
    for (struct slai_link *l = threads.live.first; l != NULL; l = l->next)
        visit(CACHE(l), arg);
    slai_unlock(&threads.lock);
    slai_lock(&shared.lock);
    if (shared.cache != NULL)
        visit(shared.cache, arg);
    slai_unlock(&shared.lock);
}

SLA_COLD void slai_threads_lock(void)
{
    slai_lock_for_fork(&threads.lock);
    slai_lock_for_fork(&shared.lock);
}

SLA_COLD void slai_threads_unlock(void)
{
    slai_unlock_after_fork(&shared.lock);
    slai_unlock_after_fork(&threads.lock);
}

SLA_COLD void slai_threads_reset(void)
{
    for (struct slai_link *l = threads.live.first; l != NULL; l = l->next)
        slai_lock_reset(&CACHE(l)->lock);
    if (shared.cache != NULL)
        slai_lock_reset(&shared.cache->lock);
    slai_lock_reset(&shared.lock);
    slai_lock_reset(&threads.lock);
}

SLA_COLD bool slai_threads_alone(void)
{
    const struct slai_link *l = threads.live.first;
    while (l != NULL && CACHE(l)->home == slai_tcache)
        l = l->next;
    return l == NULL;
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
    for (unsigned c = 1; c != SLAI_NO_CLASS; c = slai_class_next(c))
        if (slai_bin_at(tc, c) != NULL)
            slai_bin_at(tc, c)->partial = slai_bin_at(tc, c)->full = (struct slai_list){NULL, NULL};
    tc->look = NULL;
    slai_set_relaxed(&tc->inbox, NULL);
}

static void refile(struct slai_span *s, struct slai_tcache *self)
{
    struct slai_tcache *owner = s->owner;
    slai_slab_recount(s);
    if (owner != NULL && ((self != NULL && owner->home == self) || owner == shared.cache)) {
        struct slai_bin *bin = slai_bin_at(owner, s->class);
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
    slai_heaps_forget(tc);
    tc->busy = 0;
    if (busy == BUSY_ALL) {
        for (unsigned c = 1; c != SLAI_NO_CLASS; c = slai_class_next(c))
            close_stack(tc, c); /* they were empty; their memory is lost */
    } else if (busy != 0) {
        close_stack(tc, busy - 1); /* which memory it was in is uncertain: let it be */
    }
    slai_cache_retire(tc);
}

SLA_COLD void slai_threads_repair(void)
{
    struct slai_tcache *self = slai_tcache;
    struct slai_link *l, *next;
    if (!slai_has_cache(self))
        self = NULL;
    for (l = threads.live.first; l != NULL; l = l->next)
        forget_lists(CACHE(l));
    if (shared.cache != NULL)
        forget_lists(shared.cache);
    slai_pages_repair();
    slai_slabs_repair();
    refile_all(self);
    slai_heaps_repair(self);
    for (l = threads.live.first; l != NULL; l = next) {
        next = l->next;
        if (CACHE(l)->home != self)
            bury(CACHE(l));
    }
}
