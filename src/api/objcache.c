/* Object caches: allocating and freeing. */
#include "api/objcache.h"

#include "api/api.h"
#include "cache/idle.h"
#include "os/shadow.h"

#include <errno.h>
#include <string.h>

#define DRAW_MOST 32u  /* objects constructed at a time */
#define REAP_EVERY 64u /* slow allocations between looks at rested slabs, */
#define REAP_MOST 4u   /* which destroy so many at most: an allocation waits for it */

/* The hot path sees a thread's table as words: those of a struct slai_object_stack begin at its class number. */
enum { TOP, LIMIT, BASE };
_Static_assert(offsetof(struct slai_object_stack, stack.top) == TOP * sizeof(void *) &&
                   offsetof(struct slai_object_stack, stack.limit) == LIMIT * sizeof(void *) &&
                   offsetof(struct slai_object_stack, base) == BASE * sizeof(void *),
               "three words");

static SLA_NOINLINE void *alloc_slow(struct sla_cache *cache);
static SLA_NOINLINE void free_slow(struct sla_cache *cache, void *object);

/* What memcheck is told: of an object whose contents were kept nobody knows what was written to it before. */
SLA_INLINE void *hand_out(const struct sla_cache *cache, void *object)
{
    bool kept = (cache->store.kind.class.flags & SLAI_CLASS_KEPT) != 0;
    bool made = (cache->flags & SLA_CACHE_DEBUG) == 0 || cache->constructor != NULL;
    return slai_shadow_alloc(object, cache->size, (kept && made) || (cache->flags & SLA_CACHE_ZEROED) != 0);
}

SLA_INLINE void take_back(const struct sla_cache *cache, void *object)
{
    (void)slai_shadow_free(object);
    if (SLA_VALGRIND && object != NULL && (cache->flags & SLA_CACHE_TYPE_STABLE) != 0)
        slai_shadow_show(object, cache->size, true); /* it may still be read */
}

/* Between the two a free object, and what a debugged one has behind it, is written to. */
static void unwrap(const struct sla_cache *cache, void *object, bool defined)
{
    slai_shadow_show(object, cache->store.kind.class.size, defined);
}

static void wrap(const struct sla_cache *cache, void *object)
{
    slai_shadow_hide(object, cache->store.kind.class.size);
    if ((cache->flags & SLA_CACHE_TYPE_STABLE) != 0)
        slai_shadow_show(object, cache->size, true);
}

void *sla_cache_alloc(sla_cache_t *cache) SLA_NOEXCEPT
{
    size_t i = cache->take;
    void ***table = (void ***)slai_tcache->objects, **top = table[i + TOP], *object;
    SLA_INDEX(i);
    if (SLA_UNLIKELY(top == table[i + BASE]))
        return hand_out(cache, alloc_slow(cache));
    object = *top;
    slai_forget_registers(); /* so that the last line but one is one instruction on memory */
    SLA_INDEX(i);
    table[i + TOP]--;
    return hand_out(cache, object);
}

/* Is the object in a page of this cache's? Only the pages the hot path knows: false means, look closer. */
SLA_INLINE bool is_near(const struct sla_cache *cache, const void *object)
{
    size_t page = ((uintptr_t)object - (uintptr_t)slai_load_settled(&slai_object_window.start)) >> SLAI_PAGE_SHIFT;
    return SLA_LIKELY(page < slai_load_settled(&slai_object_window.pages)) &&
           SLA_LIKELY(slai_load_relaxed(&slai_load_settled(&slai_object_window.spans)[page].class) == cache->give);
}

/* False: there is no room, or the object is on top already. */
SLA_INLINE bool push(const struct sla_cache *cache, void *object)
{
    size_t i = cache->give;
    void ***table = (void ***)slai_tcache->objects, **top = table[i + TOP];
    SLA_INDEX(i);
    if (SLA_UNLIKELY(top == table[i + LIMIT]) || SLA_UNLIKELY(*top == object))
        return false;
    top[1] = object;
    SLA_INDEX(i);
    slai_increment_release(&table[i + TOP]); /* a fork child must never find a stale slot below top */
    return true;
}

void sla_cache_free(sla_cache_t *cache, void *object) SLA_NOEXCEPT
{
    take_back(cache, object);
    if (!is_near(cache, object) || !push(cache, object))
        free_slow(cache, object);
}

static uint64_t *made_word(const void *object, uint64_t *bit)
{
    struct slai_span *s = slai_slab_of(object);
    uint32_t i = slai_slab_index(s, object);
    *bit = (uint64_t)1 << i % SLAI_WORD_BITS;
    return &slai_slab_made(s)[i / SLAI_WORD_BITS];
}

/* False with errno: the constructor would not. */
static bool construct(struct sla_cache *cache, void *object)
{
    int err;
    if (cache->constructor == NULL)
        return true;
    err = cache->constructor(object, cache->arg);
    if (err == 0)
        slai_add_relaxed(&cache->constructed, 1);
    else
        errno = err > 0 ? err : ENOMEM;
    return err == 0;
}

/* An object that left its slab is constructed if it is not. False with errno, as above. */
static bool make(struct sla_cache *cache, void *object)
{
    uint64_t bit, *word = made_word(object, &bit);
    bool made;
    if ((slai_load_relaxed(word) & bit) != 0)
        return true;
    unwrap(cache, object, false);
    made = construct(cache, object);
    wrap(cache, object);
    if (!made)
        return false;
    slai_or_relaxed(word, bit); /* others' bits are in the word; whoever reads ours gets the object from us */
    return true;
}

/* As slai_malloc_class(), where objects are constructed: outside all locks, and before they are in a stack. */
static void *take_made(struct sla_cache *cache)
{
    void *objects[DRAW_MOST], *first = slai_pop_class(cache->class);
    uint32_t n, made = 0;
    int err = 0;
    if (first != NULL)
        return first;
    n = slai_draw_class(cache->class, objects, DRAW_MOST);
    for (uint32_t i = n; i-- > 0 && err == 0;) { /* the lowest is last */
        if (make(cache, objects[i]))
            made++;
        else
            err = errno;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (i < n - made)
            slai_shed_class(cache->class, objects[i]); /* as it was, to its slab */
        else if (i + 1 < n)
            slai_free_class(cache->class, objects[i], "cache_alloc");
    }
    if (made > 0)
        return objects[n - 1];
    errno = err != 0 ? err : ENOMEM;
    return NULL;
}

/* A debugged cache constructs each object as it is handed out, and destroys it as it comes back. */
static void *take_debugged(struct sla_cache *cache)
{
    void *object = slai_malloc_class(cache->class);
    int err;
    if (object == NULL)
        return NULL;
    unwrap(cache, object, true);
    slai_objdebug_take(cache, object);
    if (construct(cache, object)) {
        wrap(cache, object);
        return object;
    }
    err = errno;
    slai_objdebug_poison(cache, object);
    wrap(cache, object);
    slai_free_class(cache->class, object, "cache_alloc");
    errno = err;
    return NULL;
}

static void *take(struct sla_cache *cache)
{
    unsigned flags = cache->store.kind.class.flags;
    if ((cache->flags & SLA_CACHE_DEBUG) != 0)
        return take_debugged(cache);
    return (flags & SLAI_CLASS_MADE) != 0 ? take_made(cache) : slai_malloc_class(cache->class);
}

/* A thread that makes room does not do so again from the callbacks. False: it is, or has no cache to remember it. */
static bool begin_relief(void)
{
    struct slai_tcache *tc = slai_tcache;
    if (!slai_has_cache(tc) || tc->relieving)
        return false;
    return tc->relieving = true;
}

static void end_relief(void) { slai_tcache->relieving = false; }

/* Asks the cache's owner to free something. */
static bool ask(struct sla_cache *cache)
{
    int saved = errno;
    bool more;
    if (slai_load_relaxed(&cache->reclaim) == NULL || !begin_relief())
        return false;
    more = slai_objcache_ask(cache);
    end_relief();
    errno = saved;
    return more;
}

static void ask_each(struct sla_cache *cache, void *more)
{
    if ((cache->flags & SLA_CACHE_NO_REAP) == 0 && slai_objcache_ask(cache))
        *(bool *)more = true;
}

bool slai_objcaches_relieve(void)
{
    int saved = errno;
    bool more;
    if (!begin_relief())
        return false;
    more = slai_objcaches_reap(0, NULL) > 0;
    slai_objcaches_visit(ask_each, &more);
    end_relief();
    errno = saved;
    return more;
}

/* Slabs that have rested go back, where they may. */
static void look_after(struct sla_cache *cache)
{
    long delay = slai_option(purge_delay);
    if ((cache->store.kind.class.flags & SLAI_CLASS_KEPT) == 0 ||
        (cache->flags & (SLA_CACHE_TYPE_STABLE | SLA_CACHE_NO_REAP)) != 0)
        return;
    if (slai_add_relaxed(&cache->events, 1) % REAP_EVERY == REAP_EVERY - 1 && delay >= 0)
        (void)slai_objcache_reap(cache, (uint64_t)delay, REAP_MOST, false);
}

static void zero(const struct sla_cache *cache, void *object)
{
    unwrap(cache, object, false);
    memset(object, 0, cache->size);
    wrap(cache, object);
}

/* The hot path leaves these to the slow one, which has what is ready in the stack at hand. */
static void *pop_zeroed(struct sla_cache *cache)
{
    struct slai_object_stack *o = slai_object_stack(slai_tcache, cache->give);
    void *object = o->stack.top != o->base ? *o->stack.top : NULL;
    if (object == NULL)
        return NULL;
    o->stack.top--;
    zero(cache, object);
    return object;
}

/* Callbacks may change errno; it changes on failure alone. */
static void *alloc_slow(struct sla_cache *cache)
{
    int saved = errno;
    void *object = (cache->flags & SLA_CACHE_ZEROED) != 0 ? pop_zeroed(cache) : NULL;
    if (object != NULL)
        return object;
    object = take(cache);
    if (object == NULL && errno == ENOMEM && ask(cache))
        object = take(cache);
    saved = object != NULL ? saved : errno;
    look_after(cache);
    if (object != NULL && (cache->flags & SLA_CACHE_ZEROED) != 0)
        zero(cache, object);
    errno = saved;
    return object;
}

void slai_objcache_put(unsigned class, void *object, const char *call)
{
    struct sla_cache *cache = slai_objcache_at(class);
    if ((cache->flags & SLA_CACHE_DEBUG) != 0) {
        unwrap(cache, object, true);
        if (!slai_objdebug_check(cache, object, call))
            return;
        if (cache->destructor != NULL) {
            cache->destructor(object, cache->arg);
            slai_add_relaxed(&cache->destroyed, 1);
        }
        slai_objdebug_poison(cache, object);
        wrap(cache, object);
    }
    slai_free_class(class, object, call);
}

size_t slai_objcache_usable(unsigned class)
{
    const struct sla_cache *cache = slai_objcache_at(class);
    return (cache->flags & SLA_CACHE_DEBUG) != 0 ? slai_shadow_room(cache->size) : cache->store.kind.class.size;
}

SLA_COLD void slai_objcache_misuse(const char *call, const void *object, const char *what,
                                   const struct sla_cache *cache, const char *then, const struct sla_cache *other)
{
    struct slai_line l;
    slai_misuse_begin(&l, call, object);
    slai_line_text(&l, what);
    slai_line_text(&l, " '");
    slai_line_text(&l, cache->name);
    slai_line_text(&l, "'");
    slai_line_text(&l, then);
    if (other != NULL) {
        slai_line_text(&l, " '");
        slai_line_text(&l, other->name);
        slai_line_text(&l, "'");
    }
    slai_misuse_end(&l);
}

static void free_slow(struct sla_cache *cache, void *object)
{
    int saved = errno;
    unsigned class;
    if (object == NULL)
        return;
    slai_arrive();
    class = slai_object_class_of(object);
    if (class == cache->class)
        slai_objcache_put(class, object, "cache_free");
    else if (class != 0)
        slai_objcache_misuse("cache_free", object, "object of cache", slai_objcache_at(class), " freed into cache",
                             cache);
    else
        slai_objcache_misuse("cache_free", object, "not an object of cache", cache, "", NULL);
    errno = saved;
}

size_t sla_cache_alloc_batch(sla_cache_t *cache, void **objects, size_t count) SLA_NOEXCEPT
{
    size_t n = 0;
    while (n < count) {
        struct slai_object_stack *o = slai_object_stack(slai_tcache, cache->take);
        size_t ready = (size_t)(o->stack.top - o->base), some = ready < count - n ? ready : count - n;
        if (some > 0) { /* else it may be the table that is never written */
            memcpy(objects + n, o->stack.top - some + 1, some * sizeof *objects);
            slai_forget_registers();
            o->stack.top -= some;
            n += some;
        }
        if (n < count) {
            void *one = alloc_slow(cache);
            if (one == NULL)
                break;
            objects[n++] = one;
        }
    }
    for (size_t i = 0; SLA_VALGRIND && i < n; i++)
        (void)hand_out(cache, objects[i]);
    return n;
}

/* How many of objects[], the first included, lie in one page one after the other, and none just after itself. */
static size_t run_of(void *const *objects, size_t count)
{
    size_t n = 1;
    for (; n + 3 < count; n += 4) {
        void *const *o = objects + n;
        if (SLA_UNLIKELY(!slai_beside(o[0], o[-1])) || SLA_UNLIKELY(!slai_beside(o[1], o[0])) ||
            SLA_UNLIKELY(!slai_beside(o[2], o[1])) || SLA_UNLIKELY(!slai_beside(o[3], o[2])))
            break;
    }
    while (n < count && slai_beside(objects[n], objects[n - 1]))
        n++;
    return n;
}

/* Frees what objects[] begins with, as far as it lies in one page of the cache's and fits the stack; how many. */
static size_t push_run(const struct sla_cache *cache, void *const *objects, size_t count)
{
    struct slai_stack *stack = &slai_object_stack(slai_tcache, cache->give)->stack;
    size_t room = (size_t)(stack->limit - stack->top);
    if (room == 0 || !is_near(cache, objects[0]) || *stack->top == objects[0])
        return 0;
    count = run_of(objects, count < room ? count : room);
    memcpy(stack->top + 1, objects, count * sizeof *objects);
    slai_set_release(&stack->top, stack->top + count); /* a fork child must never find a stale slot below top */
    return count;
}

void sla_cache_free_batch(sla_cache_t *cache, void **objects, size_t count) SLA_NOEXCEPT
{
    for (size_t i = 0; SLA_VALGRIND && i < count; i++)
        take_back(cache, objects[i]);
    for (size_t n = 0, some; n < count; n += some) {
        some = push_run(cache, objects + n, count - n);
        if (some == 0) {
            free_slow(cache, objects[n]);
            some = 1;
        }
    }
}
