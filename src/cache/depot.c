#include "cache/depot.h"

#include "cache/thread.h"
#include "os/lock.h"

static SLA_RARE struct slai_depot depots[SLAI_CLASSES];

#define SPAN(l) SLA_CONTAINER(l, struct slai_span, link)

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

static struct slai_list *list_of(struct slai_depot *d, enum slai_place place)
{
    return place == SLAI_PARTIAL ? &d->partial : &d->full;
}

static void move(struct slai_depot *d, struct slai_span *s, enum slai_place place)
{
    slai_assert_held(&d->lock);
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
    struct slai_depot *d = slai_depot_of(class);
    struct slai_span *s = NULL;
    if (slai_load_relaxed(&d->ready) == 0)
        return NULL; /* a moment's staleness costs one slab, not correctness */
    slai_lock(&d->lock);
    if (d->partial.first != NULL) {
        s = SPAN(d->partial.first);
        move(d, s, SLAI_NOWHERE);
        slai_set_release(&s->owner, tc);
    }
    slai_unlock(&d->lock);
    return s;
}

uint32_t slai_depot_lend(unsigned class, void **end, uint32_t n)
{
    struct slai_depot *d = slai_depot_of(class);
    struct slai_span *s;
    uint32_t lent = 0;
    slai_lock(&d->lock);
    s = d->partial.first != NULL ? SPAN(d->partial.first) : slai_slab_create(class, NULL);
    if (s != NULL) {
        lent = slai_slab_take(s, end, n);
        move(d, s, slai_slab_full(s) ? SLAI_FULL : SLAI_PARTIAL);
    }
    slai_unlock(&d->lock);
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
    struct slai_depot *d = slai_depot_of(class);
    struct slai_list empty = {NULL, NULL};
    if (partial->first == NULL && full->first == NULL)
        return;
    slai_lock(&d->lock);
    take_over(d, partial, &empty);
    take_over(d, full, &empty);
    slai_unlock(&d->lock);
    destroy(&empty);
}

bool slai_depot_put(struct slai_span *s, void *const *blocks, uint32_t n)
{
    struct slai_depot *d = slai_depot_of(s->class);
    bool empty = false, ours;
    slai_lock(&d->lock);
    ours = slai_load_relaxed(&s->owner) == NULL;
    if (ours) {
        for (uint32_t i = 0; i < n;)
            i += slai_slab_put_run(s, blocks + i, n - i);
        empty = settle(d, s);
    }
    slai_unlock(&d->lock);
    if (empty)
        slai_slab_destroy(s);
    return ours;
}

bool slai_depot_collect(struct slai_span *s)
{
    struct slai_depot *d = slai_depot_of(s->class);
    bool empty = false, ours;
    slai_lock(&d->lock);
    ours = slai_load_relaxed(&s->owner) == NULL;
    if (ours) {
        slai_slab_collect(s);
        empty = settle(d, s);
    }
    slai_unlock(&d->lock);
    if (empty)
        slai_slab_destroy(s);
    return ours;
}

size_t slai_depot_ready(unsigned class) { return slai_load_relaxed(&slai_depot_of(class)->ready); }

size_t slai_depot_tend(unsigned class, size_t most, uint64_t now, uint64_t delay, size_t *bytes, bool *waiting)
{
    struct slai_depot *d = slai_depot_of(class);
    struct slai_list empty = {NULL, NULL};
    size_t n = 0;
    if (slai_depot_ready(class) == 0 || kept(class))
        return 0;
    slai_lock(&d->lock);
    for (size_t ready = d->ready; n < most && n < ready; n++) {
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
    slai_unlock(&d->lock);
    destroy(&empty);
    return n;
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

struct slai_span *slai_depot_take_empty(unsigned class, uint64_t now, uint64_t delay, bool last)
{
    struct slai_depot *d = slai_depot_of(class);
    struct slai_span *found = NULL;
    slai_lock(&d->lock);
    for (struct slai_link *l = d->partial.first; l != NULL && found == NULL && d->ready > !last; l = l->next)
        if (slai_slab_empty(SPAN(l)) && slai_slab_rested(SPAN(l), now, delay))
            found = SPAN(l);
    if (found != NULL)
        move(d, found, SLAI_NOWHERE);
    slai_unlock(&d->lock);
    return found;
}

void slai_depot_file(struct slai_span *s)
{
    struct slai_depot *d = slai_depot_of(s->class);
    bool empty;
    slai_lock(&d->lock);
    s->place = SLAI_NOWHERE;
    empty = settle(d, s);
    slai_unlock(&d->lock);
    if (empty)
        slai_slab_destroy(s);
}

SLA_COLD void slai_depot_lock_all(void)
{
    for (unsigned c = 1; c != SLAI_NO_CLASS; c = slai_class_next(c))
        slai_lock_for_fork(&slai_depot_of(c)->lock);
}

SLA_COLD void slai_depot_unlock_all(void)
{
    for (unsigned c = 1; c != SLAI_NO_CLASS; c = slai_class_next(c))
        slai_unlock_after_fork(&slai_depot_of(c)->lock);
}

SLA_COLD void slai_depot_reset_all(bool forget)
{
    for (unsigned c = 1; c != SLAI_NO_CLASS; c = slai_class_next(c)) {
        struct slai_depot *d = slai_depot_of(c);
        slai_lock_reset(&d->lock);
        if (forget) {
            d->partial = d->full = (struct slai_list){NULL, NULL};
            d->ready = 0;
        }
    }
}
