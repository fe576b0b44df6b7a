/* calloc, the realloc family, the sized frees and the questions about a block's size. */
#include "api/fast.h"
#include "cache/heap.h"
#include "heap/large.h"

#include <errno.h>
#include <slaballoc.h>
#include <string.h>

static bool product(size_t a, size_t b, size_t *out)
{
    if (SLA_LIKELY(!__builtin_mul_overflow(a, b, out)))
        return true;
    errno = ENOMEM;
    return false;
}

static SLA_NOINLINE void *calloc_large(struct sla_heap *heap, size_t size)
{
    bool zero = false;
    void *p;
    if (size > PTRDIFF_MAX) {
        errno = ENOMEM;
        return NULL;
    }
    slai_arrive();
    p = slai_large(heap, slai_shadow_room(size), 1, &zero);
    slai_shadow_alloc(p, size, zero);
    if (p != NULL && !zero)
        memset(p, 0, size);
    return p;
}

void *slai_calloc(size_t count, size_t size)
{
    size_t n;
    void *p;
    if (SLA_UNLIKELY(!product(count, size, &n)))
        return NULL;
    slai_fork_watch(); /* glibc callocs for each new thread, in the one that creates it */
    if (SLA_UNLIKELY(n > SLAI_PAGES_FROM))
        return calloc_large(slai_heap_current(), n);
    p = slai_malloc(n);
    return SLA_LIKELY(p != NULL) ? memset(p, 0, n) : NULL;
}

void *slai_calloc_in(struct sla_heap *heap, size_t count, size_t size)
{
    size_t n;
    void *p;
    if (SLA_UNLIKELY(!product(count, size, &n)))
        return NULL;
    if (SLA_UNLIKELY(n > SLAI_PAGES_FROM))
        return calloc_large(heap, n);
    p = slai_shadow_alloc(slai_malloc_in(heap, slai_shadow_room(n)), n, false);
    return SLA_LIKELY(p != NULL) ? memset(p, 0, n) : NULL;
}

/* The class of p's page by one look at the class map, class 0 where there is no slab. NULL: p is not in the window. */
SLA_INLINE const struct slai_class *look_up(const void *p, size_t *scaled)
{
    const char *base = slai_load_settled(&slai_window.base);
    size_t page = ((uintptr_t)p - (uintptr_t)base) >> SLAI_PAGE_SHIFT;
    if (SLA_UNLIKELY(page >= slai_load_settled(&slai_window.pages)))
        return NULL;
    *scaled = slai_load_relaxed((const uint8_t *)base + page);
    return (const void *)((const char *)slai_classes + *scaled * (sizeof(struct slai_class) / 2));
}

SLA_INLINE size_t block_size(const void *p, const char *call)
{
    size_t scaled;
    const struct slai_class *class = look_up(p, &scaled);
    return SLA_LIKELY(class != NULL && class->size != 0) ? class->size : slai_size_of(p, call);
}

/* What sla_malloc(size) gives; size <= PTRDIFF_MAX. */
static size_t good_size(size_t size)
{
    size_t room = slai_shadow_room(size);
    return slai_shadow_usable(room <= SLAI_MEDIUM_MAX ? slai_class_size(slai_class_of(room))
                                                      : slai_round_up(room, SLAI_PAGE));
}

/* There is no memory for a new block, but the old one will do if it was to shrink: then nothing failed. */
static SLA_COLD void *kept(void *p, size_t old, size_t size, int saved)
{
    if (size > old)
        return NULL;
    errno = saved;
    return slai_shadow_resize(p, old, size, false);
}

/*
 * Of the block p, of `old` bytes, which may be large, a block of size > 0 bytes with what the first `keep` bytes hold.
 * Those from *blank on are known to read as zero.
 */
static void *resize(void *p, size_t old, size_t keep, size_t size, size_t *blank)
{
    const struct slai_span *s = slai_unmapped_slab(p);
    struct sla_heap *heap;
    size_t room = slai_shadow_room(size);
    bool zero = false;
    int saved = errno;
    void *q;
    *blank = size;
    if (size > PTRDIFF_MAX) {
        errno = ENOMEM;
        return NULL;
    }
    /* A large block keeps at most an eighth that it does not need. */
    if (room <= old && room >= (s != NULL ? slai_classes[s->class].keep : old - old / 8))
        return slai_shadow_resize(p, old, size, false);
    slai_arrive();
    heap = slai_heap_of(slai_account_at(p)); /* it stays there, whichever is current */
    if (size > SLAI_PAGES_FROM && slai_large_size(p) != 0) {
        q = slai_large_resize(p, room, &zero) ? p : slai_large_move(p, room, &zero);
        if (q != NULL) {
            if (SLA_UNLIKELY(heap != NULL))
                slai_heap_grown(heap, size);
            *blank = zero ? old : size;
            return slai_shadow_resize(q, old, size, zero);
        }
    }
    q = size > SLAI_PAGES_FROM ? slai_large(heap, room, 1, &zero) : slai_malloc_in(heap, room);
    if (q == NULL)
        return kept(p, old, size, saved);
    keep = keep < size ? keep : size;
    slai_shadow_alloc(q, size, zero);
    memcpy(q, p, slai_shadow_size(p, keep));
    *blank = zero ? keep : size;
    slai_free(p);
    return q;
}

/* Everything but a small block that stays or becomes another small block. */
static SLA_NOINLINE void *realloc_other(void *p, size_t size)
{
    size_t old, blank;
    if (p == NULL)
        return slai_malloc(size);
    if (size == 0) {
        (void)slai_shadow_free(p);
        slai_free_as(p, "realloc");
        return NULL;
    }
    old = slai_size_of(p, "realloc");
    if (old == 0) { /* misuse, reported; with abort=0 the program goes on */
        errno = EINVAL;
        return NULL;
    }
    return resize(p, old, old, size, &blank);
}

/* As below, where no block is at hand, or not even a cache. */
static SLA_NOINLINE void *move_slowly(void *p, size_t size, size_t want, size_t old)
{
    int saved = errno;
    void *q = slai_malloc_in(NULL, want);
    if (q == NULL && want > slai_shadow_room(size))
        q = slai_malloc_in(NULL, slai_shadow_room(size));
    if (SLA_UNLIKELY(q == NULL))
        return kept(p, old, size, saved);
    errno = saved;
    slai_shadow_alloc(q, size, false);
    memcpy(q, p, slai_shadow_size(p, old < size ? old : size));
    slai_free(p);
    return q;
}

/*
 * From one small block to another.  A block that outgrew its class by less than an eighth is taken to grow on in
 * small steps: it gets a sixteenth more, which about halves the copies.  One that doubles gets what it asks for.
 */
static SLA_NOINLINE void *realloc_small(void *p, const struct slai_class *class, size_t scaled, size_t size)
{
    struct slai_tcache *tc = slai_tcache;
    struct slai_stack *from = slai_stack_of(tc, scaled), *to;
    size_t old = class->size;
    size_t room = slai_shadow_room(size), want = room - old < old / 8 ? room + room / 16 : room;
    void *q;
    to = slai_stack_of(tc, want <= SLAI_SMALL_MAX ? tc->map.small[(want + 7) / 8] : tc->map.medium[(want + 127) / 128]);
    q = *to->top;
    if (SLA_UNLIKELY(q == NULL))
        return move_slowly(p, size, want, old);
    slai_forget_registers();
    to->top--;
    slai_shadow_alloc(q, size, false);
    q = memcpy(q, p, slai_shadow_size(p, old < size ? old : size));
    (void)slai_shadow_free(p);
    slai_push(from, p);
    return q;
}

void *slai_realloc(void *p, size_t size)
{
    size_t scaled, room = slai_shadow_room(size);
    const struct slai_class *class = look_up(p, &scaled);
    if (SLA_UNLIKELY(class == NULL))
        return realloc_other(p, size);
    /* In place while the block fits and is at least half used. */
    if (SLA_LIKELY(room <= class->size && room >= class->keep) && SLA_LIKELY(!SLA_VALGRIND || size > 0))
        return slai_shadow_resize(p, class->size, size, false);
    if (SLA_UNLIKELY(scaled == 0 || size - 1 >= SLAI_PAGES_FROM))
        return realloc_other(p, size);
    return realloc_small(p, class, scaled, size);
}

void *slai_reallocarray(void *p, size_t count, size_t size)
{
    size_t n;
    return product(count, size, &n) ? slai_realloc(p, n) : NULL;
}

void slai_free_sized(void *p, size_t size)
{
    if (p != NULL) {
        size_t have = block_size(p, "free_sized");
        if (SLA_UNLIKELY(have == 0))
            return;
        if (SLA_UNLIKELY(size > have)) {
            slai_misuse_sized("free_sized", p, "size", size, have);
            return;
        }
    }
    slai_free(p);
}

void slai_free_aligned_sized(void *p, size_t align, size_t size)
{
    if (p != NULL) {
        size_t have = block_size(p, "free_aligned_sized");
        if (SLA_UNLIKELY(have == 0))
            return;
        if (SLA_UNLIKELY(size > have)) {
            slai_misuse_sized("free_aligned_sized", p, "size", size, have);
            return;
        }
        if (SLA_UNLIKELY(!slai_is_pow2(align) || ((uintptr_t)p & (align - 1)) != 0)) {
            slai_misuse_sized("free_aligned_sized", p, "alignment", align, have);
            return;
        }
    }
    slai_free(p);
}

/* Of p's first `meant` bytes something is to be kept; all others of the new block read as zero. */
static void *rezalloc(void *p, size_t meant, size_t size)
{
    size_t old, blank = size;
    void *q;
    if (p == NULL && meant == 0)
        return slai_calloc(1, size);
    old = p != NULL ? slai_size_of(p, "rezalloc") : 0;
    if (old == 0 || meant > old) {
        errno = EINVAL;
        return NULL;
    }
    q = size > SLAI_PAGES_FROM && size > old ? resize(p, old, meant, size, &blank) : slai_realloc(p, size);
    if (q != NULL && meant < blank)
        memset((char *)q + meant, 0, blank - meant);
    return q;
}

static bool expand_large(void *p, size_t size)
{
    bool zero;
    return size <= PTRDIFF_MAX && slai_large_resize(p, size, &zero);
}

static size_t try_expand(void *p, size_t least, size_t most)
{
    struct sla_heap *heap;
    size_t old = p != NULL && least <= most ? slai_size_of(p, "try_expand") : 0;
    if (old == 0) {
        errno = EINVAL;
        return 0;
    }
    if (slai_shadow_room(most) > old && slai_large_size(p) != 0) {
        slai_arrive();
        if (!expand_large(p, slai_shadow_room(most)) && old < slai_shadow_room(least))
            (void)expand_large(p, slai_shadow_room(least));
        old = slai_large_size(p);
        heap = slai_heap_of(slai_account_at(p));
        if (SLA_UNLIKELY(heap != NULL))
            slai_heap_grown(heap, least);
    }
    old = slai_shadow_usable(old);
    if (old >= least) {
        slai_shadow_resize(p, old, old, false);
        return old;
    }
    errno = ENOMEM;
    return 0;
}

/* Who asks means to use them all. */
size_t slai_usable_size(const void *p)
{
    size_t size = p != NULL ? slai_shadow_usable(slai_size_of(p, "usable_size")) : 0;
    if (size != 0)
        slai_shadow_resize((void *)(uintptr_t)p, size, size, false);
    return size;
}

void *sla_calloc(size_t count, size_t size) SLA_NOEXCEPT { return slai_calloc(count, size); }
void *sla_realloc(void *p, size_t size) SLA_NOEXCEPT { return slai_realloc(p, size); }
void *sla_reallocarray(void *p, size_t count, size_t size) SLA_NOEXCEPT { return slai_reallocarray(p, count, size); }
void sla_free_sized(void *p, size_t size) SLA_NOEXCEPT { slai_free_sized(p, size); }
void sla_free_aligned_sized(void *p, size_t align, size_t size) SLA_NOEXCEPT
{
    slai_free_aligned_sized(p, align, size);
}
void *sla_rezalloc(void *p, size_t old, size_t size) SLA_NOEXCEPT { return rezalloc(p, old, size); }
size_t sla_try_expand(void *p, size_t least, size_t most) SLA_NOEXCEPT { return try_expand(p, least, most); }
size_t sla_usable_size(const void *p) SLA_NOEXCEPT { return slai_usable_size(p); }

size_t sla_good_size(size_t size) SLA_NOEXCEPT
{
    slai_init();
    return size <= PTRDIFF_MAX ? good_size(size) : size;
}

void *sla_malloc_usable(size_t size, size_t *usable) SLA_NOEXCEPT
{
    void *p = slai_malloc(size);
    *usable = p != NULL ? good_size(size) : 0;
    return slai_shadow_resize(p, *usable, *usable, false);
}

int sla_owns(const void *p) SLA_NOEXCEPT { return slai_region_of(p) != NULL; }
