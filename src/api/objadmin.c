/* Object caches: made, ended, trimmed and asked about. */
#include "api/objcache.h"

#include "api/api.h"
#include "cache/idle.h"
#include "heap/meta.h"
#include "heap/pageheap.h"

#include <errno.h>
#include <string.h>

static struct {
    struct slai_lock lock;
    size_t alive; /* OBJCACHE; looked at without */
} registry = {.lock = SLAI_LOCK_INIT(SLAI_RANK_OBJCACHE)};

#define FLAGS (SLA_CACHE_ZEROED | SLA_CACHE_TYPE_STABLE | SLA_CACHE_NO_REAP | SLA_CACHE_DEBUG)

/* A struct stays with its place in the class table: whoever looks at a stale one finds one. REQUIRES OBJCACHE. */
static struct sla_cache *vacancy(void)
{
    unsigned class = SLAI_OBJECT_FIRST;
    struct sla_cache *cache;
    for (; class < slai_object_end; class += SLAI_OBJECT_STEP)
        if (!slai_objcache_at(class)->taken)
            return slai_objcache_at(class);
    if (class >= SLAI_OBJECT_END) {
        errno = ENFILE;
        return NULL;
    }
    cache = slai_meta_keep(sizeof *cache);
    if (cache == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    cache->class = (uint16_t)class;
    slai_class_make(&cache->store.kind.class, 16, 0); /* any, until a cache moves in below */
    slai_set_release(&slai_object_classes[slai_object_number(class)], &cache->store.kind);
    slai_set_release(&slai_object_end, class + SLAI_OBJECT_STEP);
    return cache;
}

static unsigned class_flags(const struct sla_cache *cache)
{
    bool debug = (cache->flags & SLA_CACHE_DEBUG) != 0;
    if (cache->constructor != NULL || cache->destructor != NULL || debug)
        return SLAI_CLASS_KEPT | SLAI_CLASS_MADE;
    return (cache->flags & (SLA_CACHE_TYPE_STABLE | SLA_CACHE_NO_REAP)) != 0 ? SLAI_CLASS_KEPT : 0;
}

static void set_name(struct sla_cache *cache, const char *name)
{
    size_t i = 0;
    if (name == NULL)
        name = "cache";
    for (; i + 1 < sizeof cache->name && name[i] != '\0'; i++)
        cache->name[i] = name[i];
    cache->name[i] = '\0';
}

/* The place may still be looked at as the one it was: what its depot's lock protects changes under it. */
static void move_in(struct sla_cache *cache, size_t stride)
{
    struct slai_depot *depot = slai_depot_of(cache->class);
    slai_lock(&depot->lock);
    slai_class_make(&cache->store.kind.class, stride, class_flags(cache));
    slai_unlock(&depot->lock);
    cache->give = (cache->flags & SLA_CACHE_DEBUG) != 0 ? SLAI_OBJECT_NEVER : cache->class;
    cache->take = (cache->flags & SLA_CACHE_ZEROED) != 0 ? SLAI_OBJECT_NEVER : cache->give;
    slai_set_relaxed(&cache->reclaim, NULL);
    cache->constructed = cache->destroyed = 0;
    slai_set_relaxed(&cache->store.kind.quota.limit, 0);
    cache->taken = cache->alive = true;
    slai_add_relaxed(&registry.alive, 1);
}

sla_cache_t *sla_cache_create(const char *name, size_t size, size_t align, unsigned flags,
                              int (*constructor)(void *object, void *arg),
                              void (*destructor)(void *object, void *arg), void *arg) SLA_NOEXCEPT
{
    struct sla_cache *cache;
    bool zeroed = (flags & SLA_CACHE_ZEROED) != 0;
    size_t stride;
    if (align == 0)
        align = size < 16 ? 8 : 16;
    if (size == 0 || size > SLA_CACHE_SIZE_MAX || !slai_is_pow2(align) || align > SLA_CACHE_ALIGN_MAX ||
        (flags & ~FLAGS) != 0 || (zeroed && (constructor != NULL || destructor != NULL))) {
        errno = EINVAL;
        return NULL;
    }
    if (align < 8)
        align = 8;
    stride = (flags & SLA_CACHE_DEBUG) != 0 ? slai_objdebug_stride(size, align)
                                            : slai_round_up(slai_shadow_room(size), align);
    slai_arrive();
    slai_lock(&registry.lock);
    cache = vacancy();
    if (cache != NULL) {
        cache->flags = flags;
        cache->size = size;
        cache->constructor = constructor;
        cache->destructor = destructor;
        cache->arg = arg;
        set_name(cache, name);
        move_in(cache, stride);
    }
    slai_unlock(&registry.lock);
    return cache;
}

/* The end of the objects of an empty slab that is in no list. False: a callback forked, and the child's repair has put
   it into the depot again, with those that are left. */
static bool unmake(struct sla_cache *cache, struct slai_span *s)
{
    uint64_t *made = slai_slab_made(s);
    for (unsigned w = 0; w < s->words; w++) {
        while (made[w] != 0 && s->place == SLAI_NOWHERE) {
            void *object = s->start + ((size_t)w * SLAI_WORD_BITS + slai_low_bit(made[w])) * s->size;
            slai_shadow_show(object, s->size, true);
            made[w] &= made[w] - 1; /* first: in a fork child it is not destroyed again */
            if ((cache->flags & SLA_CACHE_DEBUG) != 0) {
                slai_objdebug_audit(cache, object, "cache_reap");
            } else if (cache->destructor != NULL) {
                cache->destructor(object, cache->arg);
                slai_add_relaxed(&cache->destroyed, 1);
            }
            slai_shadow_hide(object, s->size);
        }
    }
    return s->place == SLAI_NOWHERE;
}

size_t slai_objcache_reap(struct sla_cache *cache, uint64_t delay, size_t most, bool last)
{
    const struct slai_class *k = &cache->store.kind.class;
    uint64_t now = slai_os_clock();
    size_t n = 0;
    struct slai_span *s;
    while (n < most && (s = slai_depot_take_empty(cache->class, now, delay, last)) != NULL) {
        if ((k->flags & SLAI_CLASS_MADE) != 0 && !unmake(cache, s))
            continue;
        slai_slab_destroy(s);
        n++;
    }
    return n * ((size_t)k->pages << SLAI_PAGE_SHIFT);
}

/* While others look at the cache of themselves it does not end. False: there is none. */
static bool begin_visit(struct sla_cache *cache)
{
    bool alive;
    slai_lock(&registry.lock);
    alive = cache->alive;
    if (alive)
        slai_set_relaxed(&cache->visitors, cache->visitors + 1);
    slai_unlock(&registry.lock);
    return alive;
}

static void end_visit(struct sla_cache *cache)
{
    slai_lock(&registry.lock);
    if (cache->visitors > 0) /* a callback may have forked: the child begins with none */
        slai_set_release(&cache->visitors, cache->visitors - 1);
    slai_unlock(&registry.lock);
    slai_os_wake(&cache->visitors);
}

static void await_visitors(struct sla_cache *cache)
{
    uint32_t n;
    while ((n = slai_load_acquire(&cache->visitors)) != 0)
        slai_os_wait(&cache->visitors, n);
}

void slai_objcaches_visit(void (*visit)(struct sla_cache *cache, void *arg), void *arg)
{
    if (slai_load_relaxed(&registry.alive) == 0)
        return;
    for (unsigned c = SLAI_OBJECT_FIRST; c < slai_load_acquire(&slai_object_end); c += SLAI_OBJECT_STEP) {
        struct sla_cache *cache = slai_objcache_at(c);
        if (begin_visit(cache)) {
            visit(cache, arg);
            end_visit(cache);
        }
    }
}

struct reaping {
    uint64_t delay;
    size_t bytes;
    bool waiting;
};

static void reap_one(struct sla_cache *cache, void *arg)
{
    struct reaping *r = arg;
    if ((cache->flags & (SLA_CACHE_NO_REAP | SLA_CACHE_TYPE_STABLE)) != 0)
        return;
    r->bytes += slai_objcache_reap(cache, r->delay, SIZE_MAX, r->delay == 0);
    r->waiting |= slai_depot_spare(cache->class);
}

size_t slai_objcaches_reap(uint64_t delay, bool *waiting)
{
    struct reaping r = {delay, 0, false};
    slai_objcaches_visit(reap_one, &r);
    if (waiting != NULL)
        *waiting |= r.waiting;
    return r.bytes;
}

static void set_alive(struct sla_cache *cache, bool alive)
{
    slai_lock(&registry.lock);
    cache->alive = alive;
    slai_add_relaxed(&registry.alive, alive ? (size_t)1 : (size_t)-1);
    slai_unlock(&registry.lock);
}

static SLA_COLD void report_live(const struct sla_cache *cache, size_t live)
{
    struct slai_line l;
    slai_line_start(&l);
    slai_line_text(&l, "cache_destroy: ");
    slai_line_dec(&l, live);
    slai_line_text(&l, live == 1 ? " object of cache '" : " objects of cache '");
    slai_line_text(&l, cache->name);
    slai_line_text(&l, "' still allocated");
    slai_line_end(&l);
}

int sla_cache_destroy(sla_cache_t *cache) SLA_NOEXCEPT
{
    size_t live;
    int saved = errno;
    if (cache == NULL)
        return 0;
    slai_arrive();
    if (slai_in_fork()) { /* a handler: other threads' caches are out of reach */
        errno = EBUSY;
        return -1;
    }
    if (!cache->taken) {
        slai_misuse("cache_destroy", cache, "cache already destroyed", 0);
        errno = EINVAL; /* with abort=0 the program goes on */
        return -1;
    }
    set_alive(cache, false);
    await_visitors(cache);
    slai_threads_close(cache->class);
    slai_misuse_due();
    live = slai_depot_used(cache->class);
    if (live > 0) {
        set_alive(cache, true);
        report_live(cache, live);
        errno = EBUSY;
        return -1;
    }
    (void)slai_objcache_reap(cache, 0, SIZE_MAX, true);
    slai_assert(slai_load_relaxed(&cache->store.kind.quota.used) == 0);
    slai_lock(&registry.lock);
    cache->taken = false;
    slai_unlock(&registry.lock);
    errno = saved;
    return 0;
}

size_t sla_cache_reap(sla_cache_t *cache) SLA_NOEXCEPT
{
    int saved = errno;
    size_t *used = &cache->store.kind.quota.used, before, after, bytes;
    struct slai_tcache *tc;
    slai_arrive();
    if ((cache->flags & SLA_CACHE_TYPE_STABLE) != 0)
        return 0;
    tc = slai_tcache;
    before = slai_load_relaxed(used);
    if (slai_has_cache(tc))
        slai_stack_empty(tc, cache->class);
    if (slai_shared_used() && (tc = slai_shared_lock()) != NULL) {
        slai_stack_empty(tc, cache->class);
        slai_shared_unlock();
    }
    slai_threads_park_others();
    slai_misuse_due();
    bytes = slai_objcache_reap(cache, 0, SIZE_MAX, true);
    after = slai_load_relaxed(used);
    errno = saved;
    return before > after + bytes ? before - after : bytes; /* some slabs go as soon as they are empty */
}

void sla_cache_set_limit(sla_cache_t *cache, size_t bytes) SLA_NOEXCEPT
{
    slai_set_relaxed(&cache->store.kind.quota.limit, bytes);
}

void sla_cache_set_reclaim(sla_cache_t *cache, int (*reclaim)(sla_cache_t *cache, void *arg), void *arg) SLA_NOEXCEPT
{
    slai_lock(&registry.lock);
    slai_set_relaxed(&cache->reclaim, reclaim);
    cache->reclaim_arg = arg;
    slai_unlock(&registry.lock);
}

bool slai_objcache_ask(struct sla_cache *cache)
{
    int (*reclaim)(struct sla_cache *, void *);
    void *arg;
    slai_lock(&registry.lock);
    reclaim = cache->reclaim;
    arg = cache->reclaim_arg;
    slai_unlock(&registry.lock);
    return reclaim != NULL && reclaim(cache, arg) != 0;
}

struct holding {
    unsigned class;
    size_t held;
};

static void add_held(struct slai_tcache *tc, void *arg)
{
    struct holding *h = arg;
    slai_lock(&tc->lock);
    if (slai_is_open(tc, h->class))
        h->held += tc == slai_tcache || !tc->live ? slai_stack_count(tc, h->class)
                                                  : slai_load_relaxed(&slai_bin_at(tc, h->class)->held);
    slai_unlock(&tc->lock);
}

void slai_objcache_collect(const struct sla_cache *cache, sla_cache_stats_t *st)
{
    const struct slai_class *k = &cache->store.kind.class;
    struct slai_slab_cursor cursor = {0, 0};
    struct holding h = {cache->class, 0};
    size_t used = 0, all;
    memset(st, 0, sizeof *st);
    slai_lock(&slai_pageheap.lock); /* no region goes */
    for (struct slai_span *s; (s = slai_slab_next(&cursor, cache->class)) != NULL;) {
        size_t out = slai_load_relaxed(&s->used), remote = slai_load_relaxed(&s->remote);
        used += out > remote ? out - remote : 0;
        st->slabs++;
    }
    slai_unlock(&slai_pageheap.lock);
    if (!slai_in_fork()) /* CACHE locks are not taken then */
        slai_threads_visit(add_held, &h);
    all = st->slabs * k->capacity;
    st->size = cache->size;
    st->stride = k->size;
    st->cached = h.held < used ? h.held : used;
    st->live = used - st->cached;
    st->free = all > used ? all - used : 0;
    st->bytes = st->slabs * ((size_t)k->pages << SLAI_PAGE_SHIFT);
    st->limit = slai_load_relaxed(&cache->store.kind.quota.limit);
    st->constructed = slai_load_relaxed(&cache->constructed);
    st->destroyed = slai_load_relaxed(&cache->destroyed);
}

int sla_cache_stats(sla_cache_t *cache, sla_cache_stats_t *stats, size_t size) SLA_NOEXCEPT
{
    sla_cache_stats_t all;
    if (size == 0 || size % sizeof(size_t) != 0) {
        errno = EINVAL;
        return -1;
    }
    slai_arrive();
    slai_objcache_collect(cache, &all);
    memset(stats, 0, size);
    memcpy(stats, &all, size < sizeof all ? size : sizeof all);
    return 0;
}

/* What a slab has: it may go while its last objects are freed by visit, so it is not looked at again. */
struct view {
    char *start;
    size_t size;
    unsigned words;
    uint64_t out[SLAI_SLAB_WORDS]; /* its allocated objects */
};

/* The next slab of the class. The depot has all of them, and under its lock none that has a place there can go. */
static bool next_view(struct slai_slab_cursor *cursor, unsigned class, struct view *v)
{
    struct slai_depot *d = slai_depot_of(class);
    const struct slai_span *s;
    slai_lock(&d->lock);
    slai_lock(&slai_pageheap.lock); /* no region goes */
    do
        s = slai_slab_next(cursor, class);
    while (s != NULL && s->place == SLAI_NOWHERE);
    slai_unlock(&slai_pageheap.lock);
    if (s != NULL) {
        v->start = s->start;
        v->size = s->size;
        v->words = s->words;
        for (unsigned w = 0; w < s->words; w++)
            v->out[w] = ~(s->free[w] | slai_load_acquire(&slai_slab_remote(s)[w]));
        v->out[s->words - 1] &= slai_low_mask(s->capacity - (s->words - 1u) * SLAI_WORD_BITS);
    }
    slai_unlock(&d->lock);
    return s != NULL;
}

static int visit_slab(struct view *v, int (*visit)(void *object, void *arg), void *arg)
{
    for (unsigned w = 0; w < v->words; w++)
        for (; v->out[w] != 0; v->out[w] &= v->out[w] - 1) {
            int stop = visit(v->start + ((size_t)w * SLAI_WORD_BITS + slai_low_bit(v->out[w])) * v->size, arg);
            if (stop != 0)
                return stop;
        }
    return 0;
}

int sla_cache_iterate(sla_cache_t *cache, int (*visit)(void *object, void *arg), void *arg) SLA_NOEXCEPT
{
    struct slai_slab_cursor cursor = {0, 0};
    struct view v;
    int stop = 0;
    slai_arrive();
    slai_threads_close(cache->class); /* what is in stacks is not allocated */
    slai_misuse_due();
    while (stop == 0 && next_view(&cursor, cache->class, &v))
        stop = visit_slab(&v, visit, arg);
    return stop;
}

sla_cache_t *sla_cache_of(const void *address) SLA_NOEXCEPT
{
    unsigned class = slai_object_class_of(address);
    return class != 0 ? slai_objcache_at(class) : NULL;
}

const char *sla_cache_name(const sla_cache_t *cache) SLA_NOEXCEPT { return cache->name; }

SLA_COLD void slai_objcaches_lock(void) { slai_lock_for_fork(&registry.lock); }
SLA_COLD void slai_objcaches_unlock(void) { slai_unlock_after_fork(&registry.lock); }

/* Nobody else is there to be visiting. */
SLA_COLD void slai_objcaches_reset(void)
{
    for (unsigned c = SLAI_OBJECT_FIRST; c < slai_object_end; c += SLAI_OBJECT_STEP)
        slai_objcache_at(c)->visitors = 0;
    slai_lock_reset(&registry.lock);
}
