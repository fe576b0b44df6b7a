/* malloc and free: the hot path is api/fast.h, what follows it is here. */
#include "api/fast.h"
#include "api/objcache.h"
#include "cache/heap.h"
#include "cache/idle.h"
#include "cache/provide.h"
#include "heap/large.h"
#include "heap/pageheap.h"

#include <errno.h>
#include <slaballoc.h>

void *sla_malloc(size_t size) SLA_NOEXCEPT { return slai_malloc(size); }
void sla_free(void *p) SLA_NOEXCEPT { slai_free(p); }

/* A heap's: as much as it holds itself may help. */
static void *large_of_heap(struct sla_heap *heap, size_t size, size_t align, bool *zero)
{
    struct slai_tries tries = {0, 0};
    int saved = errno;
    size_t pages = slai_round_up(size != 0 ? size : 1, SLAI_PAGE);
    void *p = slai_large_take_for(&heap->account, size, align, zero);
    while (SLA_UNLIKELY(p == NULL) && slai_heap_retry(heap, size, pages, align, &tries))
        p = slai_large_take_for(&heap->account, size, align, zero);
    if (SLA_UNLIKELY(p == NULL) && slai_heap_wants_system(heap, pages) && slai_objcaches_relieve())
        p = slai_large_take_for(&heap->account, size, align, zero);
    if (p != NULL) {
        errno = saved;
        slai_heap_grown(heap, size);
    }
    return p;
}

static void *large_of_all(size_t size, size_t align, bool *zero)
{
    int saved = errno;
    size_t pages = slai_load_relaxed(&slai_pageheap.used_pages) + slai_load_relaxed(&slai_pageheap.free_pages[0]);
    void *p = slai_large_take(size, align, zero);
    if (SLA_LIKELY(p != NULL) || size >> SLAI_PAGE_SHIFT > pages)
        return p; /* or more than all there is: in vain */
    (void)slai_idle_purge_others();
    p = slai_large_take(size, align, zero);
    if (p == NULL && slai_objcaches_relieve())
        p = slai_large_take(size, align, zero);
    if (p != NULL)
        errno = saved;
    return p;
}

void *slai_large(struct sla_heap *heap, size_t size, size_t align, bool *zero)
{
    void *p = SLA_LIKELY(heap == NULL) ? large_of_all(size, align, zero) : large_of_heap(heap, size, align, zero);
    slai_misuse_due(); /* of what was counted in to make room */
    return p;
}

static void *large_in(struct sla_heap *heap, size_t size)
{
    bool zero;
    if (size > PTRDIFF_MAX) {
        errno = ENOMEM;
        return NULL;
    }
    slai_arrive();
    return slai_large(heap, size, 1, &zero);
}

static SLA_NOINLINE void *malloc_large(size_t size) { return large_in(slai_heap_current(), size); }

void *slai_malloc_medium(size_t size)
{
    struct slai_tcache *tc = slai_current;
    if (SLA_UNLIKELY(size > SLAI_MEDIUM_MAX))
        return malloc_large(size);
    return slai_pop(tc, tc->map.medium[(size + 127) / 128], size);
}

static SLA_NOINLINE void arrive_first(void)
{
    int saved = errno; /* a cache or its hook refused is no failure: there is the shared one */
    slai_init();
    (void)slai_cache_get();
    errno = saved;
}

SLA_INLINE void arrive(void)
{
    slai_fork_watch();
    if (SLA_UNLIKELY(!slai_has_cache(slai_tcache)))
        arrive_first();
}

void slai_arrive(void) { arrive(); }

/* The calling thread's cache; the shared one, locked, for a thread that has none. NULL: no memory. */
static struct slai_tcache *enter(void)
{
    struct slai_tcache *tc;
    arrive();
    tc = slai_tcache;
    return SLA_LIKELY(slai_has_cache(tc)) ? tc : slai_shared_lock();
}

static void leave(const struct slai_tcache *tc)
{
    if (SLA_UNLIKELY(tc != slai_tcache))
        slai_shared_unlock();
    slai_misuse_due();
}

static void *pop(struct slai_tcache *tc, unsigned class)
{
    struct slai_stack *stack = slai_stack_at(tc, class);
    void *block = slai_is_open(tc, class) ? *stack->top : NULL;
    if (block != NULL)
        stack->top--;
    return block;
}

/* Arming a new cache may allocate, so the stack can be non-empty by the time we come here. */
static void *take(unsigned class)
{
    struct slai_tcache *tc = enter();
    void *block;
    if (tc == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    block = pop(tc, class);
    if (block == NULL)
        block = slai_stack_refill(tc, class);
    leave(tc);
    return block;
}

/* The class's cache may have no more, whatever others give. */
static bool at_limit(unsigned class)
{
    const struct slai_object_class *o = slai_class_is_object(class) ? slai_object_class(class) : NULL;
    size_t limit = o != NULL ? slai_load_relaxed(&o->quota.limit) : 0;
    return limit != 0 && slai_load_relaxed(&o->quota.used) + ((size_t)o->class.pages << SLAI_PAGE_SHIFT) > limit;
}

void *slai_malloc_class(unsigned class)
{
    int saved = errno;
    void *block = take(class);
    if (SLA_UNLIKELY(block == NULL) && !at_limit(class) && slai_objcaches_relieve()) {
        block = take(class);
        if (block != NULL)
            errno = saved;
    }
    return block;
}

void *slai_pop_class(unsigned class)
{
    struct slai_tcache *tc = enter();
    void *block = tc != NULL ? pop(tc, class) : NULL;
    if (tc != NULL)
        leave(tc);
    return block;
}

static uint32_t draw(unsigned class, void **out, uint32_t most)
{
    struct slai_tcache *tc = enter();
    uint32_t n = 0;
    if (tc != NULL) {
        n = slai_stack_draw(tc, class, out, most);
        leave(tc);
    }
    return n;
}

uint32_t slai_draw_class(unsigned class, void **out, uint32_t most)
{
    uint32_t n = draw(class, out, most);
    return n == 0 && !at_limit(class) && slai_objcaches_relieve() ? draw(class, out, most) : n;
}

void slai_shed_class(unsigned class, void *block)
{
    struct slai_tcache *tc = enter();
    if (tc == NULL)
        return; /* lost, as in a free below */
    slai_stack_bypass(tc, class, block);
    leave(tc);
}

void *slai_class_in(struct sla_heap *heap, unsigned class)
{
    return SLA_LIKELY(heap == NULL) ? slai_malloc_class(class) : slai_heap_block(heap, class);
}

void *slai_malloc_in(struct sla_heap *heap, size_t size)
{
    return size <= SLAI_MEDIUM_MAX ? slai_class_in(heap, slai_class_of(size)) : large_in(heap, size);
}

void *slai_malloc_slow(size_t size) { return slai_class_in(slai_heap_current(), slai_class_of(size)); }

/* A block of a slab that did not fit its stack, or whose thread has none. */
void slai_free_class(unsigned class, void *p, const char *call)
{
    struct slai_tcache *tc = enter();
    struct slai_stack *stack;
    bool twice;
    if (tc == NULL)
        return; /* no memory for even a first cache: the block is lost, not the program */
    stack = slai_stack_at(tc, class);
    twice = stack->top != NULL && *stack->top == p;
    if (!twice && stack->top == stack->limit && !slai_stack_overflow(tc, class)) {
        slai_stack_bypass(tc, class, p);
    } else if (!twice) {
        stack = slai_stack_at(tc, class); /* its table may be new */
        stack->top[1] = p;
        slai_set_release(&stack->top, stack->top + 1);
    }
    leave(tc);
    if (SLA_UNLIKELY(twice))
        slai_misuse(call, p, "block already free", slai_class_size(class));
}

void slai_free_as(void *p, const char *call)
{
    int saved = errno; /* free() leaves errno alone (I8), whatever the system says below */
    struct slai_span *s;
    unsigned class;
    if (p == NULL)
        return;
    arrive(); /* misuse may be the program's first call, and options say what comes of it */
    class = slai_class_byte(p) / 2;
    if (class != 0)
        slai_free_class(class, p, call);
    else if ((s = slai_unmapped_slab(p)) != NULL)
        slai_heap_free(s, p, call);
    else if ((class = slai_object_class_of(p)) != 0)
        slai_objcache_put(class, p, call);
    else
        slai_heap_spare(slai_heap_of(slai_large_give(p, call)));
    slai_misuse_due();
    errno = saved;
}

/* Puts p, in the page that s describes, into the thread's cache of its heap; false: there is none, or no room. */
SLA_INLINE bool push_to_heap(const struct slai_span *s, void *p)
{
    struct slai_stack *stack;
    uint32_t number = slai_load_relaxed(&s->account);
    if (SLA_UNLIKELY(number == 0))
        return false;
    stack = &slai_heap_cache_at(slai_tcache, number)->stacks[s->class]; /* a large block's class is 0, without room */
    if (SLA_UNLIKELY(stack->top == stack->limit || *stack->top == p))
        return false;
    stack->top[1] = p;
    slai_increment_release(&stack->top);
    return true;
}

/* Not in the first region: in a chunk lent to a heap, perhaps. */
static SLA_NOINLINE void free_far(void *p)
{
    struct slai_span *s = slai_load_relaxed(&slai_region_count) > 1 && p != NULL ? slai_page_of(p) : NULL;
    if (s == NULL || !push_to_heap(s, p))
        slai_free_as(p, "free");
}

void slai_free_slow(void *p)
{
    size_t page = ((uintptr_t)p - (uintptr_t)slai_load_settled(&slai_object_window.start)) >> SLAI_PAGE_SHIFT;
    if (SLA_UNLIKELY(page >= slai_load_settled(&slai_object_window.pages)))
        free_far(p);
    else if (!push_to_heap(&slai_load_settled(&slai_object_window.spans)[page], p))
        slai_free_as(p, "free");
}

struct slai_span *slai_unmapped_slab(const void *p)
{
    struct slai_span *s = slai_page_of(p);
    unsigned kind = s != NULL && slai_load_relaxed(&s->account) != 0 ? slai_kind(s) : SLAI_KIND_NONE;
    return kind == SLAI_KIND_SLAB || kind == SLAI_KIND_INNER ? s - s->back : NULL;
}

size_t slai_size_of(const void *p, const char *call)
{
    struct slai_span *s;
    unsigned class;
    size_t size;
    slai_init();
    class = slai_class_byte(p) / 2;
    if (SLA_UNLIKELY(class == 0) && (s = slai_unmapped_slab(p)) != NULL)
        class = s->class;
    else if (class == 0)
        class = slai_object_class_of(p);
    size = class != 0 ? slai_class_size(class) : slai_large_size(p);
    if (SLA_UNLIKELY(size == 0)) {
        slai_misuse_unknown(call, p);
        return 0;
    }
    if (class != 0 && SLA_UNLIKELY(slai_slab_index(slai_slab_of(p), p) == SLAI_NO_INDEX)) {
        slai_misuse(call, p, "not the start of a block", size);
        return 0;
    }
    if (SLA_UNLIKELY(slai_class_is_object(class)))
        size = slai_objcache_usable(class);
    return size;
}
