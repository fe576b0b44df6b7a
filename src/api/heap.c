/* The calls of slaballoc/heap.h, and what becomes of a heap's blocks in the slow paths of malloc and free. */
#include "api/fast.h"
#include "api/objcache.h"
#include "cache/heap.h"
#include "cache/provide.h"
#include "cache/remote.h"
#include "heap/large.h"
#include "heap/pageheap.h"
#include "heap/purge.h"

#include <errno.h>
#include <slaballoc/heap.h>
#include <string.h>

#define CHUNK ((size_t)4 << 20) /* the least to ask page functions for, if the program does not say */
_Static_assert(SLA_HEAP_CHUNKS_MOST == SLAI_LENT_MOST, "as many chunks as the header says");
#define STRANGE_EVERY 32u /* blocks freed of heaps that the thread does not use, and it gets a cache of the next */

/* --- Blocks --- */

/* By the caller's cache of the heap; a thread without any takes from the depot. */
static void *take(struct sla_heap *heap, unsigned class)
{
    struct slai_tcache *tc = slai_heap_cache(heap);
    void *block;
    if (SLA_UNLIKELY(tc == NULL))
        return slai_depot_lend(heap, class, &block + 1, 1) > 0 ? block : NULL;
    block = *tc->stacks[class].top;
    if (block == NULL)
        return slai_stack_refill(tc, class);
    tc->stacks[class].top--;
    return block;
}

void *slai_heap_block(struct sla_heap *heap, unsigned class)
{
    size_t size = slai_class_size(class), slab = (size_t)slai_classes[class].pages << SLAI_PAGE_SHIFT;
    struct slai_tries tries = {0, 0};
    int saved = errno;
    void *block;
    slai_arrive();
    block = take(heap, class);
    while (SLA_UNLIKELY(block == NULL) && slai_heap_retry(heap, size, slab, SLAI_PAGE, &tries))
        block = take(heap, class);
    if (SLA_UNLIKELY(block == NULL) && slai_heap_wants_system(heap, slab) && slai_objcaches_relieve())
        block = take(heap, class);
    if (SLA_LIKELY(block != NULL)) {
        errno = saved;
        slai_heap_grown(heap, size);
    } else {
        errno = ENOMEM;
    }
    slai_misuse_due();
    return block;
}

/* The caller's cache of the heap; NULL: it has none, and has not freed enough to need one. */
static struct slai_tcache *cache_to_free(struct sla_heap *heap)
{
    struct slai_tcache *home = slai_tcache;
    if (!slai_has_cache(home))
        return NULL;
    if (slai_has_cache(slai_heap_cache_at(home, heap->account.number)) || ++home->strange % STRANGE_EVERY == 0)
        return slai_heap_cache(heap);
    return NULL;
}

void slai_heap_free(struct slai_span *s, void *p, const char *call)
{
    struct sla_heap *heap = slai_heap_of(slai_account_of(s));
    struct slai_tcache *tc = cache_to_free(heap);
    struct slai_stack *stack = tc != NULL ? &tc->stacks[s->class] : NULL;
    if (tc == NULL) {
        slai_remote_free(s, &p, 1);
    } else if (*stack->top == p) {
        slai_misuse(call, p, "block already free", s->size);
    } else if (stack->top == stack->limit && !slai_stack_overflow(tc, s->class)) {
        slai_stack_bypass(tc, s->class, p);
    } else {
        stack->top[1] = p;
        slai_set_release(&stack->top, stack->top + 1);
    }
    slai_heap_spare(heap);
}

void *sla_heap_malloc(sla_heap_t *heap, size_t size) SLA_NOEXCEPT
{
    struct slai_tcache *tc = slai_tcache;
    struct slai_stack *stack;
    void *block;
    size_t scaled, room = slai_shadow_room(size);
    if (SLA_LIKELY(heap != NULL))
        tc = slai_heap_cache_at(tc, heap->account.number);
    if (SLA_UNLIKELY(room > SLAI_MEDIUM_MAX))
        return slai_shadow_alloc(slai_malloc_in(heap, room), size, false);
    scaled = SLA_LIKELY(room <= SLAI_SMALL_MAX) ? tc->map.small[(room + 7) / 8] : tc->map.medium[(room + 127) / 128];
    stack = slai_stack_of(tc, scaled);
    block = *stack->top;
    if (SLA_UNLIKELY(block == NULL))
        return slai_shadow_alloc(slai_malloc_in(heap, room), size, false);
    slai_forget_registers();
    stack->top--;
    return slai_shadow_alloc(block, size, false);
}

void *sla_heap_calloc(sla_heap_t *heap, size_t count, size_t size) SLA_NOEXCEPT
{
    return slai_calloc_in(heap, count, size);
}

void *sla_heap_realloc(sla_heap_t *heap, void *block, size_t size) SLA_NOEXCEPT
{
    size_t old;
    void *moved;
    if (block == NULL)
        return slai_shadow_alloc(slai_malloc_in(heap, slai_shadow_room(size)), size, false);
    if (size == 0 || slai_heap_of(slai_account_at(block)) == heap)
        return slai_realloc(block, size);
    old = slai_size_of(block, "realloc");
    moved = old != 0 ? slai_malloc_in(heap, slai_shadow_room(size)) : NULL;
    if (moved != NULL) {
        slai_shadow_alloc(moved, size, false);
        memcpy(moved, block, slai_shadow_size(block, old < size ? old : size));
        slai_free(block);
    } else if (old == 0) {
        errno = EINVAL; /* reported; with abort=0 the program goes on */
    }
    return moved;
}

void *sla_heap_aligned_alloc(sla_heap_t *heap, size_t alignment, size_t size) SLA_NOEXCEPT
{
    if (!slai_is_pow2(alignment)) {
        errno = EINVAL;
        return NULL;
    }
    return slai_aligned_in(heap, alignment, size);
}

/* --- Heaps --- */

sla_heap_t *sla_heap_create(const char *name) SLA_NOEXCEPT
{
    slai_arrive();
    return slai_heap_make(name != NULL ? name : "heap", NULL);
}

sla_heap_t *sla_heap_create_on(const char *name, const sla_heap_pages_t *pages) SLA_NOEXCEPT
{
    struct slai_provider own;
    if (pages == NULL || pages->get == NULL || pages->chunk % SLAI_PAGE != 0) {
        errno = EINVAL;
        return NULL;
    }
    own.get = pages->get;
    own.put = pages->put;
    own.arg = pages->arg;
    own.chunk = pages->chunk != 0 ? pages->chunk : CHUNK;
    slai_arrive();
    return slai_heap_make(name != NULL ? name : "heap", &own);
}

sla_heap_t *sla_heap_of(const void *address) SLA_NOEXCEPT { return slai_heap_of(slai_account_at(address)); }

const char *sla_heap_name(const sla_heap_t *heap) SLA_NOEXCEPT { return heap != NULL ? heap->name : "default"; }

int sla_heap_push(sla_heap_t *heap) SLA_NOEXCEPT
{
    slai_arrive();
    return slai_heap_push(heap) ? 0 : -1;
}

void sla_heap_pop(void) SLA_NOEXCEPT
{
    slai_arrive();
    if (!slai_heap_pop())
        slai_misuse("heap_pop", NULL, "no heap was pushed", 0);
}

sla_heap_t *sla_heap_current(void) SLA_NOEXCEPT { return slai_heap_current(); }

int sla_heap_set_limit(sla_heap_t *heap, size_t soft, size_t bytes,
                       int (*pressure)(sla_heap_t *heap, size_t wanted, void *arg), void *arg) SLA_NOEXCEPT
{
    if (bytes != 0 && soft > bytes) {
        errno = EINVAL;
        return -1;
    }
    slai_arrive();
    slai_heaps_lock();
    heap->pressure = pressure;
    heap->arg = arg;
    slai_set_relaxed(&heap->soft, soft);
    slai_set_relaxed(&heap->account.quota.limit, bytes);
    slai_heaps_unlock();
    return 0;
}

/* --- What is in them --- */

struct sums {
    size_t used, all, blocks; /* bytes of slabs' blocks out and in all; blocks out */
    size_t cached, cached_blocks;
};

/* REQUIRES PAGEHEAP. */
static void add_region(struct sums *sums, const struct slai_region *r, unsigned number)
{
    for (size_t p = r->data; p < r->top; p += r->spans[p].pages) {
        const struct slai_span *s = &r->spans[p];
        size_t used, remote;
        if (slai_kind(s) != SLAI_KIND_SLAB || slai_load_relaxed(&s->account) != number)
            continue;
        used = slai_load_relaxed(&s->used);
        remote = slai_load_relaxed(&s->remote);
        used = used > remote ? used - remote : 0; /* what others freed is free, if not counted in yet */
        sums->blocks += used;
        sums->used += used * s->size;
        sums->all += (size_t)s->capacity * s->size;
    }
}

/* As in api/stats.c: exact for the caller's own cache. */
static void add_cache(struct slai_tcache *tc, void *arg)
{
    struct sums *sums = arg;
    for (unsigned c = 1; c < SLAI_CLASSES; c++) {
        size_t n = tc->home == slai_tcache ? slai_stack_count(tc, c) : slai_load_relaxed(&tc->bins[c].held);
        sums->cached += n * slai_class_size(c);
        sums->cached_blocks += n;
    }
}

int sla_heap_stats(sla_heap_t *heap, sla_heap_stats_t *stats, size_t size) SLA_NOEXCEPT
{
    struct sums sums = {0, 0, 0, 0, 0};
    sla_heap_stats_t all;
    if (size == 0 || size % sizeof(size_t) != 0) {
        errno = EINVAL;
        return -1;
    }
    slai_arrive();
    memset(&all, 0, sizeof all);
    slai_heap_caches(heap, add_cache, &sums);
    slai_lock(&slai_pageheap.lock);
    for (size_t i = 0; i < slai_region_count; i++)
        add_region(&sums, &slai_regions[i], heap->account.number);
    all.blocks = heap->account.large_count;
    all.live = heap->account.large_pages << SLAI_PAGE_SHIFT;
    slai_unlock(&slai_pageheap.lock);
    all.cached = sums.cached < sums.used ? sums.cached : sums.used;
    all.live += sums.used - all.cached;
    all.blocks += sums.blocks > sums.cached_blocks ? sums.blocks - sums.cached_blocks : 0;
    all.free = sums.all - sums.used;
    all.bytes = slai_load_relaxed(&heap->account.quota.used);
    all.peak = slai_load_relaxed(&heap->account.peak);
    all.limit = slai_load_relaxed(&heap->account.quota.limit);
    all.provided = slai_load_relaxed(&heap->account.provided);
    memset(stats, 0, size);
    memcpy(stats, &all, size < sizeof all ? size : sizeof all);
    return 0;
}

static char forgotten; /* the argument of a visit that tells memcheck of a heap's end */

struct visitor {
    int (*visit)(void *block, size_t size, void *arg);
    void *arg;
};

static int visit_block(const struct visitor *v, void *block, size_t size)
{
    size = slai_shadow_usable(size);
    if (v->arg != &forgotten)
        slai_shadow_resize(block, size, size, false); /* it is told of them, so it may use them */
    return v->visit(block, size, v->arg);
}

/* The slab is the depot's, but out of its lists: what visit frees cannot have it destroyed. */
static int visit_slab(struct slai_span *s, const struct visitor *v)
{
    int result = 0;
    for (uint32_t i = 0; i < s->capacity && result == 0; i++)
        if ((slai_load_relaxed(&s->free[i / SLAI_WORD_BITS]) >> i % SLAI_WORD_BITS & 1) == 0)
            result = visit_block(v, s->start + (size_t)i * s->size, s->size);
    return result;
}

static int visit_slabs(struct sla_heap *heap, unsigned class, const struct visitor *v)
{
    struct slai_list todo = {NULL, NULL}, none = {NULL, NULL};
    int result = 0;
    slai_depot_take_all(heap, class, &todo);
    while (todo.first != NULL && result == 0) {
        struct slai_span *s = SLA_CONTAINER(todo.first, struct slai_span, link);
        slai_list_remove(&todo, &s->link);
        result = visit_slab(s, v);
        slai_depot_file(s);
    }
    slai_depot_give(class, &todo, &none);
    return result;
}

static int visit_large(struct sla_heap *heap, const struct visitor *v)
{
    struct slai_link *l, *next;
    int result = 0;
    slai_lock(&slai_pageheap.lock);
    l = heap->account.large.first;
    slai_unlock(&slai_pageheap.lock);
    for (; l != NULL && result == 0; l = next) {
        struct slai_span *s = SLA_CONTAINER(l, struct slai_span, link);
        slai_lock(&slai_pageheap.lock);
        next = l->next;
        slai_unlock(&slai_pageheap.lock);
        result = visit_block(v, s->start, (size_t)s->pages << SLAI_PAGE_SHIFT);
    }
    return result;
}

static int visit_all(struct sla_heap *heap, const struct visitor *v)
{
    int result = 0;
    slai_heap_settle(heap);
    slai_misuse_due();
    for (unsigned c = 1; c < SLAI_CLASSES && result == 0; c++)
        result = visit_slabs(heap, c, v);
    return result == 0 ? visit_large(heap, v) : result;
}

int sla_heap_visit(sla_heap_t *heap, int (*visit)(void *block, size_t size, void *arg), void *arg) SLA_NOEXCEPT
{
    const struct visitor v = {visit, arg};
    slai_arrive();
    return visit_all(heap, &v);
}

/* --- The end --- */

static int forget(void *block, size_t size, void *arg)
{
    (void)size;
    (void)arg;
    (void)slai_shadow_free(block);
    return 0;
}

void sla_heap_destroy(sla_heap_t *heap) SLA_NOEXCEPT
{
    int saved = errno;
    const char *wrong;
    if (heap == NULL)
        return;
    slai_arrive();
    if (slai_shadow_on() && slai_heap_may_end(heap))
        (void)visit_all(heap, &(struct visitor){forget, &forgotten});
    wrong = slai_heap_end(heap);
    if (wrong == NULL)
        slai_purge_after_give();
    else
        slai_misuse("heap_destroy", heap, wrong, 0);
    errno = saved;
}
