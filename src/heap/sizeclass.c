#include "heap/sizeclass.h"

#include "util/assert.h"

#define FINE_CLASSES 17 /* 8, 16, 32, ... 256 */
#define FINE_MAX 256u
#define STEPS 8u /* per doubling above */

/* A stack's limits in bytes and blocks: what a thread may keep of one class. With the slot below it, a power of two. */
#define FIRST_BYTES 4096u
#define FIRST_MIN 1u
#define FIRST_MAX 31u
#define MOST_BYTES 65536u
#define MOST_MIN 12u
#define MOST_MAX 1023u
#define SLAB_MIN_BLOCKS 8u

_Static_assert(FINE_CLASSES + 1 + 8 * STEPS == SLAI_CLASSES, "classes from 8 to 65536");
_Static_assert(2 * SLAI_CLASSES <= 256, "a scaled class fits a byte of the class map");

/* The tables are constants, made by macros: filling them in would be a fifth of the instructions of a start. */
#define LOG2(x) (63u - (unsigned)__builtin_clzll((x) | 1))
#define CLAMP(v, low, high) ((v) < (low) ? (low) : (v) > (high) ? (high) : (v))

/* Of class c: the doubling above FINE_MAX it is in, and its step there. */
#define DOUBLING(c) ((c) > FINE_CLASSES ? ((c) - FINE_CLASSES - 1) / STEPS : 0)
#define STEP(c) (((c) - FINE_CLASSES - 1) % STEPS)
#define SIZE_OF(c) \
    ((c) <= 1              ? (c) * 8 \
     : (c) <= FINE_CLASSES ? ((c) - 1) * 16 \
                           : (FINE_MAX + (STEP(c) + 1) * (FINE_MAX / STEPS)) << DOUBLING(c))

/* 256 < size <= 512: doubling 0, where a step is 32. The remainder is for compilers that look at what is not chosen. */
#define CLASS_OF(size) \
    ((size) <= 8          ? 1u \
     : (size) <= FINE_MAX ? (unsigned)(((size) + 15) / 16 + 1) \
                          : FINE_CLASSES + 1 + (LOG2((size) - 1) - 8) * STEPS + \
                                (unsigned)(((size) - 1) >> (LOG2((size) - 1) - 3) % 64) - STEPS)

#define PAGES(size) ((SLAB_MIN_BLOCKS * (size_t)(size) + SLAI_PAGE - 1) >> SLAI_PAGE_SHIFT)
#define CAPACITY(size) ((uint16_t)((PAGES(size) << SLAI_PAGE_SHIFT) / (size)))
#define CLASS_LINE(s, k, f) \
    { \
        .size = (s), .keep = (k), .reciprocal = (uint32_t)((((uint64_t)1 << 32) + (s) - 1) / (s)), \
        .capacity = CAPACITY(s), .flags = (f), .words = (CAPACITY(s) + SLAI_WORD_BITS - 1) / SLAI_WORD_BITS, \
        .pages = (uint16_t)PAGES(s), .limit_first = CLAMP(FIRST_BYTES / (s), FIRST_MIN, FIRST_MAX), \
        .limit_max = CLAMP(MOST_BYTES / (s), MOST_MIN, MOST_MAX), \
    }
#define CLASS(c) CLASS_LINE(SIZE_OF(c), (c) == 1 ? 1 : SIZE_OF(c) / 2, 0)
#define SMALL(n) 2 * CLASS_OF((size_t)(n) * 8)
#define MEDIUM(n) 2 * CLASS_OF((size_t)(n) * 128)

#define TWO(f, n) f(n), f(n + 1u)
#define EIGHT(f, n) TWO(f, n), TWO(f, n + 2u), TWO(f, n + 4u), TWO(f, n + 6u)
#define MANY(f, n) /* 64 */ \
    EIGHT(f, n), EIGHT(f, n + 8u), EIGHT(f, n + 16u), EIGHT(f, n + 24u), EIGHT(f, n + 32u), EIGHT(f, n + 40u), \
        EIGHT(f, n + 48u), EIGHT(f, n + 56u)

const struct slai_class slai_classes[] = {
    {.size = 0, .keep = 1}, CLASS(1u), TWO(CLASS, 2u), TWO(CLASS, 4u), TWO(CLASS, 6u), MANY(CLASS, 8u),
    EIGHT(CLASS, 72u), TWO(CLASS, 80u),
};
_Static_assert(SLA_ARRAY_LEN(slai_classes) == SLAI_CLASSES, "a line for each class");

const struct slai_size_map slai_size_map = {
    {MANY(SMALL, 0u), MANY(SMALL, 64u), SMALL(128u)},
    {MANY(MEDIUM, 0u), MANY(MEDIUM, 64u), MANY(MEDIUM, 128u), MANY(MEDIUM, 192u), MANY(MEDIUM, 256u),
     MANY(MEDIUM, 320u), MANY(MEDIUM, 384u), MANY(MEDIUM, 448u), MEDIUM(512u)},
};
_Static_assert(SLAI_SMALL_MAX == 128 * 8 && SLAI_MEDIUM_MAX == 512 * 128, "an entry for each step");

unsigned slai_class_of(size_t size)
{
    slai_assert(size <= SLAI_MEDIUM_MAX);
    return CLASS_OF(size);
}

unsigned slai_class_aligned(size_t size, size_t align)
{
    if (size > SLAI_MEDIUM_MAX || align > SLAI_MEDIUM_MAX)
        return 0;
    /* The steps between classes are powers of two: a multiple of align is in a class that is one too. */
    size = slai_round_up(size != 0 ? size : 1, align);
    slai_assert(slai_class_size(slai_class_of(size)) % align == 0);
    return slai_class_of(size);
}

SLA_RARE struct slai_object_class *slai_object_classes[SLAI_OBJECT_CLASSES];
uint32_t slai_object_end = SLAI_OBJECT_FIRST;
_Static_assert(SLAI_OBJECT_FIRST >= SLAI_CLASSES && SLAI_OBJECT_END <= UINT16_MAX, "a class number has 16 bits");

void slai_class_make(struct slai_class *k, size_t size, unsigned flags)
{
    const struct slai_class made = CLASS_LINE(size, 0, (uint16_t)flags);
    slai_assert(size > 0 && size <= SLAI_OBJECT_MAX);
    *k = made;
}

bool slai_quota_take(struct slai_quota *q, size_t bytes)
{
    size_t used = slai_load_relaxed(&q->used), limit = slai_load_relaxed(&q->limit);
    do { /* not to add and take back: others would be refused meanwhile */
        if (limit != 0 && (used > limit || bytes > limit - used))
            return false;
    } while (!slai_cas_acq_rel(&q->used, &used, used + bytes));
    return true;
}

void slai_quota_give(struct slai_quota *q, size_t bytes) { slai_add_relaxed(&q->used, -bytes); }
