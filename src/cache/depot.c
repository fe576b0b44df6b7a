#include "cache/depot.h"

#include "cache/heap.h"
#include "cache/thread.h"
#include "os/lock.h"

#include <string.h>

static SLA_RARE struct slai_depot depots[SLAI_CLASSES];

#define SPAN(l) SLA_CONTAINER(l, struct slai_span, link)
#define TEND_MOST 32u /* slabs tended under a lock at a time, */
#define SEEN_MOST 512u /* and looked at for an empty one */

/* The ranks cannot be initialised statically without writing 82 initialisers, so each use makes sure. */
struct slai_depot *slai_depot_of(unsigned class)
{
    struct slai_depot *d = &depots[class < SLAI_CLASSES ? class : 0];
    if (slai_class_is_object(class))
        d = &SLA_CONTAINER(slai_object_class(class), struct slai_object_depot, kind)->depot;
    if (SLA_DEBUG >= 2 && SLA_UNLIKELY(slai_load_relaxed(&d->lock.rank) == SLAI_RANK_NONE))
        slai_set_relaxed(&d->lock.rank, SLAI_RANK_DEPOT + class);
    return d;
}

/* Heaps may be many, so their depots share a few locks: a fork has to take them all. */
#define TURNS 64u
static SLA_RARE struct turn {
    struct slai_lock lock __attribute__((aligned(SLA_CACHELINE)));
} turns[TURNS];
static bool turns_taken; /* around a fork; */
static unsigned classes_taken; /* likewise, the end of them */

void slai_depots_make(struct slai_depot *those, uint32_t number)
{
    for (unsigned c = 0; c < SLAI_CLASSES; c++) {
        struct slai_depot *d = &those[c];
        unsigned i = (number + c) % TURNS;
        memset(d, 0, sizeof *d);
        d->turn = &turns[i].lock;
        if (SLA_DEBUG >= 2)
            slai_set_relaxed(&turns[i].lock.rank, SLAI_RANK_TURN + i);
    }
}

static struct slai_depot *depot_of(struct sla_heap *heap, unsigned class)
{
    return SLA_LIKELY(heap == NULL) ? slai_depot_of(class) : &heap->depots[class];
}

static struct slai_depot *depot_for(const struct slai_span *s)
{
    return depot_of(slai_heap_of(slai_account_of(s)), s->class);
}

static struct slai_lock *lock_of(struct slai_depot *d) { return SLA_LIKELY(d->turn == NULL) ? &d->lock : d->turn; }

static struct slai_list *list_of(struct slai_depot *d, enum slai_place place)
{
    return place == SLAI_PARTIAL ? &d->partial : &d->full;
}

static void move(struct slai_depot *d, struct slai_span *s, enum slai_place place)
{
    slai_assert_held(lock_of(d));
    if (s->place == place)
        return;
    if (s->place != SLAI_NOWHERE)
        slai_list_remove(list_of(d, s->place), &s->link);
    if (place != SLAI_NOWHERE)
        slai_list_push(list_of(d, place), &s->link);
    if (place == SLAI_PARTIAL)
        slai_set_relaxed(&d->ready, d->ready + 1);
    else if (s->place == SLAI_PARTIAL)
        slai_set_relaxed(&d->ready, d->ready - 1);
    s->place = (uint8_t)place;
}

static bool kept(unsigned class) { return (slai_class_at(class)->flags & SLAI_CLASS_KEPT) != 0; }

/* After blocks came back: refiles the slab. True: it is empty, out of the lists, and the caller's to destroy; one is
   kept for the next thread while there is no other with free blocks. */
static bool settle(struct slai_depot *d, struct slai_span *s)
{
    if (SLA_UNLIKELY(s->place == SLAI_APART))
        return false;
    if (slai_slab_empty(s) && d->ready > (s->place == SLAI_PARTIAL) && !kept(s->class)) {
        move(d, s, SLAI_NOWHERE);
        return true;
    }
    slai_slab_touch(s);
    move(d, s, slai_slab_full(s) ? SLAI_FULL : SLAI_PARTIAL);
    return false;
}

struct slai_span *slai_depot_adopt(unsigned class, struct slai_tcache *tc)
{
    struct slai_depot *d = depot_of(tc->heap, class);
    struct slai_span *s = NULL;
    if (slai_load_relaxed(&d->ready) == 0)
        return NULL; /* a moment's staleness costs one slab, not correctness */
    slai_lock(lock_of(d));
    if (d->partial.first != NULL) {
        s = SPAN(d->partial.first);
        move(d, s, SLAI_NOWHERE);
        slai_set_release(&s->owner, tc);
    }
    slai_unlock(lock_of(d));
    return s;
}

uint32_t slai_depot_lend(struct sla_heap *heap, unsigned class, void **end, uint32_t n)
{
    struct slai_depot *d = depot_of(heap, class);
    struct slai_span *s;
    uint32_t lent = 0;
    slai_lock(lock_of(d));
    s = d->partial.first != NULL ? SPAN(d->partial.first) : slai_slab_create_for(slai_account_for(heap), class, NULL);
    if (s != NULL) {
        lent = slai_slab_take(s, end, n);
        move(d, s, slai_slab_full(s) ? SLAI_FULL : SLAI_PARTIAL);
    }
    slai_unlock(lock_of(d));
    return lent;
}

static void destroy(struct slai_list *empty)
{
    while (empty->first != NULL) {
        struct slai_span *s = SPAN(empty->first);
        slai_list_remove(empty, &s->link);
        slai_slab_destroy(s);
    }
}

static void take_over(struct slai_depot *d, struct slai_list *from, struct slai_list *empty)
{
    while (from->first != NULL) {
        struct slai_span *s = SPAN(from->first);
        slai_list_remove(from, &s->link);
        s->place = SLAI_NOWHERE;
        slai_set_release(&s->owner, NULL);
        if (settle(d, s))
            slai_list_push(empty, &s->link);
    }
}

void slai_depot_give(unsigned class, struct slai_list *partial, struct slai_list *full)
{
    struct slai_link *any = partial->first != NULL ? partial->first : full->first;
    struct slai_list empty = {NULL, NULL};
    struct slai_depot *d;
    if (any == NULL)
        return;
    d = depot_for(SPAN(any));
    slai_assert(SPAN(any)->class == class);
    slai_lock(lock_of(d));
    take_over(d, partial, &empty);
    take_over(d, full, &empty);
    slai_unlock(lock_of(d));
    destroy(&empty);
}

bool slai_depot_put(struct slai_span *s, void *const *blocks, uint32_t n)
{
    struct slai_depot *d = depot_for(s);
    bool empty = false, ours;
    slai_lock(lock_of(d));
    ours = slai_load_relaxed(&s->owner) == NULL;
    if (ours) {
        for (uint32_t i = 0; i < n;)
            i += slai_slab_put_run(s, blocks + i, n - i);
        empty = settle(d, s);
    }
    slai_unlock(lock_of(d));
    if (empty)
        slai_slab_destroy(s);
    return ours;
}

bool slai_depot_collect(struct slai_span *s)
{
    struct slai_depot *d = depot_for(s);
    bool empty = false, ours;
    slai_lock(lock_of(d));
    ours = slai_load_relaxed(&s->owner) == NULL;
    if (ours) {
        slai_slab_collect(s);
        empty = settle(d, s);
    }
    slai_unlock(lock_of(d));
    if (empty)
        slai_slab_destroy(s);
    return ours;
}

size_t slai_depot_ready(struct sla_heap *heap, unsigned class)
{
    return slai_load_relaxed(&depot_of(heap, class)->ready);
}

size_t slai_depot_tend(struct sla_heap *heap, unsigned class, size_t most, uint64_t now, uint64_t delay, size_t *bytes,
                       bool *waiting)
{
    struct slai_depot *d = depot_of(heap, class);
    struct slai_list empty = {NULL, NULL};
    size_t n = 0, ready;
    if (slai_depot_ready(heap, class) == 0)
        return 0;
    slai_lock(lock_of(d));
    ready = kept(class) ? 0 : d->ready; /* under the lock: the place may be another cache's by now */
    for (; n < most && n < ready; n++) {
        struct slai_span *s = SPAN(d->partial.first);
        if (slai_slab_empty(s) && slai_slab_rested(s, now, delay)) {
            move(d, s, SLAI_NOWHERE);
            slai_list_push(&empty, &s->link);
            continue;
        }
        slai_list_remove(&d->partial, &s->link); /* the next look begins with another */
        slai_list_append(&d->partial, &s->link);
        *bytes += slai_slab_tend(s, now, delay);
        if (waiting != NULL)
            *waiting |= s->stamp != SLAI_STAMP_PURGED;
    }
    if (slai_class_is_object(class))
        destroy(&empty); /* at once: the end of a cache must find its last slabs, whoever has them */
    slai_unlock(lock_of(d));
    destroy(&empty);
    return n;
}

bool slai_depot_spare(unsigned class)
{
    struct slai_depot *d = slai_depot_of(class);
    bool any = false;
    size_t n = 0;
    slai_lock(&d->lock);
    for (struct slai_link *l = d->partial.first; l != NULL && !any && d->ready > 1 && n < SEEN_MOST; l = l->next, n++)
        any = slai_slab_empty(SPAN(l));
    slai_unlock(&d->lock);
    return any;
}

static size_t used_in(const struct slai_list *list)
{
    size_t n = 0;
    for (struct slai_link *l = list->first; l != NULL; l = l->next)
        n += SPAN(l)->used;
    return n;
}

size_t slai_depot_used(unsigned class)
{
    struct slai_depot *d = slai_depot_of(class);
    size_t n;
    slai_lock(&d->lock);
    n = used_in(&d->partial) + used_in(&d->full);
    slai_unlock(&d->lock);
    return n;
}

/* The class after c of a heap; object caches are in the default one alone. */
static unsigned class_next(const struct sla_heap *heap, unsigned c)
{
    c = slai_class_next(c);
    return heap == NULL || c < SLAI_CLASSES ? c : SLAI_NO_CLASS;
}

size_t slai_depot_tend_all(struct sla_heap *heap, uint64_t now, uint64_t delay, bool *waiting)
{
    size_t bytes = 0;
    for (unsigned c = 1; c != SLAI_NO_CLASS; c = class_next(heap, c))
        for (size_t left = slai_depot_ready(heap, c), n; left > 0; left -= n < left ? n : left) {
            n = slai_depot_tend(heap, c, TEND_MOST, now, delay, &bytes, waiting);
            if (n == 0)
                break;
        }
    return bytes;
}

static struct slai_span *take_empty(struct slai_depot *d, uint64_t now, uint64_t delay, bool last)
{
    struct slai_span *found = NULL;
    slai_lock(lock_of(d));
    for (struct slai_link *l = d->partial.first; l != NULL && found == NULL && d->ready > !last; l = l->next)
        if (slai_slab_empty(SPAN(l)) && slai_slab_rested(SPAN(l), now, delay))
            found = SPAN(l);
    if (found != NULL)
        move(d, found, SLAI_NOWHERE);
    slai_unlock(lock_of(d));
    return found;
}

struct slai_span *slai_depot_take_empty(unsigned class, uint64_t now, uint64_t delay, bool last)
{
    return take_empty(slai_depot_of(class), now, delay, last);
}

void slai_depots_clear(struct sla_heap *heap)
{
    struct slai_span *s;
    for (unsigned c = 1; c < SLAI_CLASSES; c++)
        while (slai_depot_ready(heap, c) > 0 && (s = take_empty(depot_of(heap, c), 0, 0, true)) != NULL)
            slai_slab_destroy(s);
}

SLA_COLD void slai_depots_raze(struct sla_heap *heap)
{
    for (unsigned c = 1; c < SLAI_CLASSES; c++) {
        struct slai_depot *d = &heap->depots[c];
        slai_slabs_raze(&d->partial);
        slai_slabs_raze(&d->full);
        slai_set_relaxed(&d->ready, 0);
    }
}

SLA_COLD void slai_depot_take_all(struct sla_heap *heap, unsigned class, struct slai_list *all)
{
    struct slai_depot *d = depot_of(heap, class);
    slai_lock(lock_of(d));
    for (struct slai_list *from = &d->partial; from != NULL; from = from == &d->partial ? &d->full : NULL)
        while (from->first != NULL) {
            struct slai_span *s = SPAN(from->first);
            move(d, s, SLAI_NOWHERE);
            s->place = SLAI_APART;
            slai_list_push(all, &s->link);
        }
    slai_unlock(lock_of(d));
}

void slai_depot_file(struct slai_span *s)
{
    struct slai_depot *d = depot_for(s);
    bool empty;
    slai_lock(lock_of(d));
    s->place = SLAI_NOWHERE;
    empty = settle(d, s);
    slai_unlock(lock_of(d));
    if (empty)
        slai_slab_destroy(s);
}

SLA_COLD void slai_depot_lock_all(void)
{
    classes_taken = slai_object_end; /* a handler that runs before parent or child may make a cache, */
    turns_taken = slai_account_end > 1; /* or the first heap */
    for (unsigned c = 1; c < classes_taken; c = slai_class_next(c))
        slai_lock_for_fork(&slai_depot_of(c)->lock);
    for (unsigned i = 0; i < TURNS && turns_taken; i++)
        slai_lock_for_fork(&turns[i].lock);
}

SLA_COLD void slai_depot_unlock_all(void)
{
    for (unsigned i = TURNS; i-- > 0 && turns_taken;)
        slai_unlock_after_fork(&turns[i].lock);
    for (unsigned c = 1; c < classes_taken; c = slai_class_next(c))
        slai_unlock_after_fork(&slai_depot_of(c)->lock);
}

static void reset(struct slai_depot *d, bool forget)
{
    slai_lock_reset(&d->lock);
    if (forget) {
        d->partial = d->full = (struct slai_list){NULL, NULL};
        d->ready = 0;
    }
}

SLA_COLD void slai_depot_reset_all(bool forget)
{
    for (unsigned i = 0; i < TURNS && turns_taken; i++)
        slai_lock_reset(&turns[i].lock);
    for (unsigned c = 1; c != SLAI_NO_CLASS; c = slai_class_next(c))
        reset(slai_depot_of(c), forget);
    for (uint32_t n = 1; n < slai_account_end && forget; n++)
        for (unsigned c = 1; c < SLAI_CLASSES; c++)
            reset(&slai_heap_of(slai_accounts[n])->depots[c], true);
}
