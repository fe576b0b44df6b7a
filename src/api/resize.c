/* calloc, the realloc family, the sized frees and the questions about a block's size. */
#include "api/fast.h"
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

static SLA_NOINLINE void *calloc_large(size_t size)
{
    bool zero = false;
    void *p;
    if (size > PTRDIFF_MAX) {
        errno = ENOMEM;
        return NULL;
    }
    slai_init();
    p = slai_large_take(size, 1, &zero);
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
    if (SLA_UNLIKELY(n > SLAI_MEDIUM_MAX))
        return calloc_large(n);
    p = slai_malloc(n);
    return SLA_LIKELY(p != NULL) ? memset(p, 0, n) : NULL;
}

/* Bytes in p's block, checked only as far as a class map look-up does by itself. */
SLA_INLINE size_t size_of(const void *p, const char *call)
{
    size_t page = ((uintptr_t)p - (uintptr_t)slai_window.base) >> SLAI_PAGE_SHIFT;
    unsigned class = 0;
    if (SLA_LIKELY(page < slai_window.pages))
        class = slai_load_relaxed((const uint8_t *)slai_window.base + page) / 2;
    return SLA_LIKELY(class != 0) ? slai_class_size(class) : slai_size_of(p, call);
}

static SLA_NOINLINE void *realloc_moving(void *p, size_t old, size_t size)
{
    void *q;
    if (size > PTRDIFF_MAX) {
        errno = ENOMEM;
        return NULL;
    }
    /* Only a large block is above the largest class. */
    if (old > SLAI_MEDIUM_MAX && size > SLAI_MEDIUM_MAX) {
        if (slai_large_resize(p, size))
            return p;
        q = slai_large_move(p, size);
        if (q != NULL)
            return q;
    }
    q = slai_malloc(size);
    if (q == NULL)
        return NULL;
    memcpy(q, p, old < size ? old : size);
    slai_free(p);
    return q;
}

void *slai_realloc(void *p, size_t size)
{
    size_t old;
    if (SLA_UNLIKELY(p == NULL))
        return slai_malloc(size);
    if (SLA_UNLIKELY(size == 0)) {
        slai_free_as(p, "realloc");
        return NULL;
    }
    old = size_of(p, "realloc");
    if (SLA_UNLIKELY(old == 0)) { /* misuse, reported; with abort=0 the program goes on */
        errno = EINVAL;
        return NULL;
    }
    /* In place while the block fits and is at least half used. */
    if (size <= old && size >= old / 2)
        return p;
    return realloc_moving(p, old, size);
}

void *slai_reallocarray(void *p, size_t count, size_t size)
{
    size_t n;
    return product(count, size, &n) ? slai_realloc(p, n) : NULL;
}

void slai_free_sized(void *p, size_t size)
{
    if (p != NULL) {
        size_t have = size_of(p, "free_sized");
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
        size_t have = size_of(p, "free_aligned_sized");
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

size_t slai_usable_size(const void *p) { return p != NULL ? slai_size_of(p, "usable_size") : 0; }

void *sla_calloc(size_t count, size_t size) SLA_NOEXCEPT { return slai_calloc(count, size); }
void *sla_realloc(void *p, size_t size) SLA_NOEXCEPT { return slai_realloc(p, size); }
void *sla_reallocarray(void *p, size_t count, size_t size) SLA_NOEXCEPT { return slai_reallocarray(p, count, size); }
void sla_free_sized(void *p, size_t size) SLA_NOEXCEPT { slai_free_sized(p, size); }
void sla_free_aligned_sized(void *p, size_t align, size_t size) SLA_NOEXCEPT
{
    slai_free_aligned_sized(p, align, size);
}
size_t sla_usable_size(const void *p) SLA_NOEXCEPT { return slai_usable_size(p); }

size_t sla_good_size(size_t size) SLA_NOEXCEPT
{
    slai_init();
    if (size <= SLAI_MEDIUM_MAX)
        return slai_class_size(slai_class_of(size));
    return size <= PTRDIFF_MAX ? slai_round_up(size, SLAI_PAGE) : size;
}

int sla_owns(const void *p) SLA_NOEXCEPT { return slai_region_of(p) != NULL; }
