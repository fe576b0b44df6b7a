/* The slow paths of a stack: refill, overflow, flush, and the budget that bounds what a thread keeps. */
#include "cache/depot.h"
#include "cache/heap.h"
#include "cache/idle.h"
#include "cache/remote.h"
#include "heap/meta.h"
#include "heap/purge.h"
#include "os/os.h"

#include <errno.h>
#include <string.h>

#define SPAN(l) SLA_CONTAINER(l, struct slai_span, link)
#define CHUNK 64u           /* blocks flushed together: bounds the stack frame */
#define RUN_LEAST 8u        /* neighbours of one slab that are a message of their own; fewer are gathered by slab */
#define BATCH_MAX 128u      /* blocks a refill takes, or an overflow flushes, at most */
#define BATCH_LEAST 4u      /* blocks a refill takes at least, where there is room */
#define LEND_MOST 8u        /* blocks that may come at a time from a slab that threads share, */
#define LEND_LEAST 64u      /* if they have this size: smaller ones would share cache lines */
#define CALM 4u             /* refills after an overflow for which the batch stays as it is */
#define POLL_EVERY 64u      /* slow paths between looks at the purge clock */
#define SWEEP_EVERY 1024u   /* and between sweeps for idle classes */
#define GROW_BYTES 32768u   /* by which a limit rises at a time, or by one block if that is more */
#define ONE_WAY_BYTES 16384 /* a stack that only overflows (its thread only frees) may grow up to this */

/* A fork child sees this thread's memory as of some instant; it drops the stack named busy. */
static void begin(struct slai_tcache *tc, unsigned class)
{
    slai_set_relaxed(&tc->busy, class + 1);
    slai_fence_release();
}

static void end(struct slai_tcache *tc, unsigned class, void **top)
{
    struct slai_bin *bin = slai_bin_at(tc, class);
    slai_set_release(&slai_stack_at(tc, class)->top, top);
    slai_set_relaxed(&bin->held, (uint32_t)(top - bin->base));
    slai_set_release(&tc->busy, 0);
}

static void move(struct slai_tcache *tc, struct slai_span *s, enum slai_place place)
{
    struct slai_bin *bin = slai_bin_at(tc, s->class);
    if (s->place == place)
        return;
    if (SLA_UNLIKELY(tc->look == s))
        tc->look = NULL;
    if (s->place != SLAI_NOWHERE)
        slai_list_remove(s->place == SLAI_PARTIAL ? &bin->partial : &bin->full, &s->link);
    if (place != SLAI_NOWHERE)
        slai_list_push(place == SLAI_PARTIAL ? &bin->partial : &bin->full, &s->link);
    s->place = (uint8_t)place;
}

/* An empty slab leaves the cache: to the page heap, or where others may have it before its objects are destroyed. */
static void drop(struct slai_tcache *tc, struct slai_span *s)
{
    struct slai_list one = {NULL, NULL}, none = {NULL, NULL};
    move(tc, s, SLAI_NOWHERE);
    if ((slai_class_at(s->class)->flags & SLAI_CLASS_KEPT) == 0) {
        slai_slab_destroy(s);
    } else {
        slai_list_push(&one, &s->link);
        slai_depot_give(s->class, &one, &none);
    }
}

/* Files an own slab by what is in it. An empty one is kept only while the class has no other to take from. */
static SLA_NOINLINE void refile(struct slai_tcache *tc, struct slai_span *s)
{
    struct slai_bin *bin = slai_bin_at(tc, s->class);
    bool other = bin->partial.first != NULL && (bin->partial.first != &s->link || s->link.next != NULL);
    if (slai_slab_empty(s) && other) {
        drop(tc, s);
    } else {
        move(tc, s, slai_slab_full(s) ? SLAI_FULL : SLAI_PARTIAL);
    }
}

/* To be called when blocks came back to an own slab; mostly it stays where it is. */
SLA_INLINE void settle(struct slai_tcache *tc, struct slai_span *s)
{
    slai_slab_touch(s);
    if (SLA_UNLIKELY(s->place != SLAI_PARTIAL || slai_slab_empty(s)))
        refile(tc, s);
}

static void settle_drained(struct slai_tcache *tc, struct slai_span *s) { settle(tc, s); }

void slai_cache_drain(struct slai_tcache *tc)
{
    if (SLA_UNLIKELY(slai_load_relaxed(&tc->inbox) != NULL))
        slai_remote_drain(tc, slai_swap_acq_rel(&tc->inbox, NULL), settle_drained);
}

/* A class that saw no slow path since the last sweep gives back half of what it keeps, and of its limit. */
static void sweep(struct slai_tcache *tc)
{
    for (unsigned c = slai_open_after(tc, 0); c != SLAI_NO_CLASS; c = slai_open_after(tc, c)) {
        struct slai_bin *bin = slai_bin_at(tc, c);
        uint32_t limit = (uint32_t)(slai_stack_at(tc, c)->limit - bin->base), first = slai_class_at(c)->limit_first;
        uint32_t count = slai_stack_count(tc, c);
        if (bin->idle == 0) {
            bin->idle = 1;
            continue;
        }
        if (count > 0)
            slai_stack_flush(tc, c, (count + 1) / 2);
        if (limit > first && count - (count + 1) / 2 <= limit / 2) {
            uint32_t less = limit / 2 > first ? limit / 2 : first;
            slai_stack_at(tc, c)->limit = bin->base + less;
            tc->budget += (long)(limit - less) * (long)slai_class_size(c);
        }
    }
}

/* What every slow path does: note the activity, and now and then look after what nobody else does. */
static void tick(struct slai_tcache *tc, unsigned class)
{
    slai_bin_at(tc, class)->idle = 0;
    if (SLA_LIKELY(++tc->events % POLL_EVERY != 0))
        return;
    slai_purge_poll();
    slai_idle_poll(tc);
    if (tc->events % SWEEP_EVERY == 0)
        sweep(tc);
}

/* A slab with free blocks: an own one, one from the depot, a new one. In the partial list, or NULL. */
static struct slai_span *find_slab(struct slai_tcache *tc, unsigned class, bool anew)
{
    struct slai_bin *bin = slai_bin_at(tc, class);
    struct slai_span *s;
    if (bin->partial.first != NULL)
        return SPAN(bin->partial.first);
    if (!anew)
        return NULL;
    s = slai_depot_adopt(class, tc);
    if (s == NULL)
        s = slai_slab_create_for(slai_account_for(tc->heap), class, tc);
    if (s != NULL)
        move(tc, s, SLAI_PARTIAL);
    return s;
}

/*
 * Small batches of a class come from a slab of the depot where there are several threads: most threads use little of
 * most classes, and a slab for each would cost a page or more. A thread that takes and frees much has larger ones soon.
 */
static uint32_t borrow(struct slai_tcache *tc, unsigned class, void **end, uint32_t n)
{
    const struct slai_bin *bin = slai_bin_at(tc, class);
    bool own = bin->partial.first != NULL || bin->full.first != NULL;
    if (own || n > LEND_MOST || slai_class_size(class) < LEND_LEAST || slai_os_single_threaded())
        return 0;
    return slai_depot_lend(tc->heap, class, end, n);
}

/* How many blocks the next refill takes. */
static uint32_t demand(struct slai_tcache *tc, unsigned class)
{
    struct slai_bin *bin = slai_bin_at(tc, class);
    uint32_t limit = (uint32_t)(slai_stack_at(tc, class)->limit - bin->base);
    uint32_t most = limit < BATCH_MAX ? limit : BATCH_MAX, want = bin->batch > BATCH_LEAST ? bin->batch : BATCH_LEAST;
    if (bin->calm > 0)
        bin->calm--;
    else if (bin->refilled != 0)
        want *= 2; /* demand goes on */
    want = want < most ? want : most;
    bin->batch = (uint16_t)want;
    bin->refilled = 1;
    return want;
}

/* Takes up to `want` blocks, to low[0], low[1], ..., the lowest address last, as it is to be popped first; how many. */
static uint32_t draw(struct slai_tcache *tc, unsigned class, void **low, uint32_t want)
{
    void **high = low + want, **w = high;
    w -= borrow(tc, class, w, want);
    while (w > low) {
        struct slai_span *s = find_slab(tc, class, w == high);
        if (s == NULL)
            break;
        w -= slai_slab_take(s, w, (uint32_t)(w - low));
        if (slai_slab_full(s))
            move(tc, s, SLAI_FULL);
    }
    if (SLA_UNLIKELY(w == high))
        errno = ENOMEM;
    else if (w != low)
        memmove(low, w, (size_t)(high - w) * sizeof *w);
    return (uint32_t)(high - w);
}

static void *refill(struct slai_tcache *tc, unsigned class)
{
    struct slai_bin *bin;
    uint32_t n;
    void *block;
    if (SLA_UNLIKELY(!slai_is_open(tc, class)) && !slai_stack_open(tc, class))
        return NULL;
    bin = slai_bin_at(tc, class);
    slai_cache_drain(tc);
    tick(tc, class);
    n = demand(tc, class);
    begin(tc, class);
    n = draw(tc, class, bin->base + 1, n);
    block = n > 0 ? bin->base[n] : NULL;
    end(tc, class, bin->base + (n > 0 ? n - 1 : 0));
    return block;
}

/* The owner is awake. */
static void enter(struct slai_tcache *tc)
{
    slai_lock(&tc->lock);
    slai_set_relaxed(&tc->seen, slai_load_relaxed(&slai_slabs_made));
    if (SLA_UNLIKELY(tc->parked))
        slai_set_relaxed(&tc->parked, false);
}

static void *refill_locked(struct slai_tcache *tc, unsigned class)
{
    void *block;
    enter(tc);
    block = refill(tc, class);
    slai_unlock(&tc->lock);
    return block;
}

/* After a refill: looks for sleepers. True: it failed, others have given what they could, try again. Only a thread's
   own caches may do so: the shared one's lock ranks higher. What a heap can do is slai_heap_relieve()'s business. */
static bool look_around(const struct slai_tcache *tc, bool failed)
{
    if (SLA_UNLIKELY(tc->home != slai_tcache))
        return false;
    if (SLA_UNLIKELY(slai_threads_crowded()))
        slai_threads_park();
    if (SLA_LIKELY(!failed) || tc->heap != NULL)
        return false;
    (void)slai_idle_purge_others();
    return true;
}

void *slai_stack_refill(struct slai_tcache *tc, unsigned class)
{
    int saved = errno;
    void *block = refill_locked(tc, class);
    if (SLA_UNLIKELY(look_around(tc, block == NULL)))
        block = refill_locked(tc, class);
    if (SLA_LIKELY(block != NULL))
        errno = saved; /* whatever was refused on the way, a slab to lend for instance */
    return block;
}

static uint32_t draw_locked(struct slai_tcache *tc, unsigned class, void **out, uint32_t most)
{
    uint32_t n = 0;
    enter(tc);
    if (slai_is_open(tc, class) || slai_stack_open(tc, class)) {
        slai_cache_drain(tc);
        tick(tc, class);
        n = demand(tc, class);
        n = draw(tc, class, out, n < most ? n : most);
    }
    slai_unlock(&tc->lock);
    return n;
}

uint32_t slai_stack_draw(struct slai_tcache *tc, unsigned class, void **out, uint32_t most)
{
    int saved = errno;
    uint32_t n = draw_locked(tc, class, out, most);
    if (SLA_UNLIKELY(look_around(tc, n == 0)))
        n = draw_locked(tc, class, out, most);
    if (SLA_LIKELY(n > 0))
        errno = saved;
    return n;
}

SLA_INLINE bool inside(const struct slai_span *s, const void *p)
{
    return (uintptr_t)p - (uintptr_t)s->start < (size_t)s->pages << SLAI_PAGE_SHIFT;
}

/* How many of n > 0 blocks, from the first on, are in its slab. */
SLA_INLINE uint32_t same_slab(const struct slai_span *s, void *const *blocks, uint32_t n)
{
    uint32_t k = 1;
    while (k < n && inside(s, blocks[k]))
        k++;
    return k;
}

/* Reports a block whose slab is gone: it had come back before. */
SLA_INLINE bool gone(const struct slai_span *s, unsigned class, const void *block)
{
    if (SLA_LIKELY(slai_kind(s) == SLAI_KIND_SLAB && s->class == class))
        return false;
    slai_misuse_later(block, "block already free", slai_class_size(class));
    return true;
}

/* One message for all of a slab's blocks that are here: gathers them at the front. */
static void deliver(unsigned class, void **blocks, uint32_t n)
{
    while (n > 0) {
        struct slai_span *s = slai_slab_of(blocks[0]);
        uint32_t k = 1;
        if (gone(s, class, blocks[0])) { /* with a longer run that was delivered first */
            blocks++;
            n--;
            continue;
        }
        for (uint32_t i = 1; i < n; i++) {
            if (inside(s, blocks[i])) {
                void *t = blocks[k];
                blocks[k++] = blocks[i];
                blocks[i] = t;
            }
        }
        slai_remote_free(s, blocks, k);
        blocks += k;
        n -= k;
    }
}

/* Frees n <= CHUNK blocks that are in no stack any more. */
static void give_back(struct slai_tcache *tc, unsigned class, void *const *blocks, uint32_t n)
{
    void *remote[CHUNK];
    uint32_t away = 0;
    for (uint32_t i = 0; i < n;) {
        struct slai_span *s = slai_slab_of(blocks[i]);
        if (gone(s, class, blocks[i])) {
            i++;
        } else if (SLA_LIKELY(slai_load_relaxed(&s->owner) == tc)) {
            i += slai_slab_put_run(s, blocks + i, n - i);
            settle(tc, s);
        } else {
            uint32_t run = same_slab(s, blocks + i, n - i);
            if (run >= RUN_LEAST)
                slai_remote_free(s, blocks + i, run);
            else
                for (uint32_t k = 0; k < run; k++)
                    remote[away++] = blocks[i + k];
            i += run;
        }
    }
    deliver(class, remote, away);
}

void slai_stack_flush(struct slai_tcache *tc, unsigned class, uint32_t n)
{
    struct slai_bin *bin = slai_bin_at(tc, class);
    void **low = bin->base + 1, **top = slai_stack_at(tc, class)->top;
    uint32_t left = (uint32_t)(top - bin->base) - n;
    begin(tc, class);
    for (uint32_t done = 0; done < n; done += CHUNK)
        give_back(tc, class, low + done, n - done < CHUNK ? n - done : CHUNK);
    memmove(low, low + n, left * sizeof *low);
    end(tc, class, bin->base + left);
}

/* Gives the stack `room` slots. False: no metadata memory; nothing changed. */
static bool resize(struct slai_tcache *tc, unsigned class, uint32_t room)
{
    struct slai_bin *bin = slai_bin_at(tc, class);
    uint32_t count = slai_stack_count(tc, class), old_room = bin->room;
    size_t limit = (size_t)(slai_stack_at(tc, class)->limit - bin->base);
    void **old = bin->base, **base = slai_meta_take((room + 1) * sizeof(void *));
    if (base == NULL)
        return false;
    memcpy(base, old, (count + 1) * sizeof *base);
    begin(tc, class);
    slai_stack_place(tc, class, base);
    bin->room = room;
    slai_stack_at(tc, class)->limit = base + limit;
    end(tc, class, base + count);
    slai_meta_give(old, (old_room + 1) * sizeof(void *));
    return true;
}

/* Raises the limit if the class's maximum and the thread's budget allow: doubles it, but by GROW_BYTES at most. */
static bool grow(struct slai_tcache *tc, unsigned class)
{
    struct slai_bin *bin = slai_bin_at(tc, class);
    uint32_t limit = (uint32_t)(slai_stack_at(tc, class)->limit - bin->base), most = slai_class_at(class)->limit_max;
    uint32_t size = slai_class_size(class), step = size < GROW_BYTES ? GROW_BYTES / size : 1;
    uint32_t twice = limit * 2 + 1 < most ? limit * 2 + 1 : most;
    uint32_t more = limit + step < twice ? limit + step : twice;
    long cost = (long)(more - limit) * (long)size;
    if (limit >= most || cost > tc->budget || (bin->refilled == 0 && (size_t)more * size > ONE_WAY_BYTES))
        return false;
    if (more > bin->room && !resize(tc, class, twice))
        return false;
    slai_stack_at(tc, class)->limit = bin->base + more;
    tc->budget -= cost;
    return true;
}

/*
 * How many blocks a full stack sheds.  Half of them when nothing was taken since it last shed: the thread frees.
 * After a refill little, and the next one takes less: where demand swings by almost the limit, all the swing soon
 * fits the stack, and where it swings by more, what is in excess alone goes to the slabs and comes back.
 */
static uint32_t surplus(struct slai_tcache *tc, unsigned class)
{
    struct slai_bin *bin = slai_bin_at(tc, class);
    uint32_t limit = (uint32_t)(slai_stack_at(tc, class)->limit - bin->base), half = (limit + 1) / 2, some = limit / 16;
    if (bin->refilled == 0)
        return half < BATCH_MAX ? half : BATCH_MAX;
    bin->batch = bin->batch / 2 > BATCH_LEAST ? bin->batch / 2 : BATCH_LEAST;
    bin->calm = CALM;
    return some > 0 ? some : 1;
}

void slai_stack_bypass(struct slai_tcache *tc, unsigned class, void *block)
{
    enter(tc);
    give_back(tc, class, &block, 1);
    slai_unlock(&tc->lock);
}

bool slai_stack_overflow(struct slai_tcache *tc, unsigned class)
{
    enter(tc);
    if (SLA_UNLIKELY(!slai_is_open(tc, class)) && !slai_stack_open(tc, class)) {
        slai_unlock(&tc->lock);
        return false;
    }
    tick(tc, class);
    if (slai_stack_at(tc, class)->top == slai_stack_at(tc, class)->limit && !grow(tc, class)) {
        slai_stack_flush(tc, class, surplus(tc, class));
        slai_cache_drain(tc);
    }
    slai_bin_at(tc, class)->refilled = 0;
    slai_unlock(&tc->lock);
    return true;
}

void slai_cache_flush(struct slai_tcache *tc)
{
    enter(tc);
    slai_cache_drain(tc);
    for (unsigned c = slai_open_after(tc, 0); c != SLAI_NO_CLASS; c = slai_open_after(tc, c)) {
        struct slai_bin *bin = slai_bin_at(tc, c);
        uint32_t count = slai_stack_count(tc, c);
        if (count > 0)
            slai_stack_flush(tc, c, count);
        else
            slai_set_relaxed(&bin->held, 0); /* what was in the stack then has been popped since */
        for (struct slai_link *l = bin->partial.first, *next; l != NULL; l = next) {
            struct slai_span *s = SPAN(l);
            next = l->next;
            if (slai_slab_empty(s))
                drop(tc, s);
        }
    }
    slai_unlock(&tc->lock);
}
