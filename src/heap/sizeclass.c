#include "heap/sizeclass.h"

#include "util/assert.h"

#define FINE_CLASSES 17 /* 8, 16, 32, ... 256 */
#define FINE_MAX 256u
#define STEPS 8u /* per doubling above */

/* A stack's limits in bytes and blocks: what a thread may keep of one class. With the slot below it, a power of two. */
#define FIRST_BYTES 4096u
#define FIRST_MIN 2u
#define FIRST_MAX 31u
#define MOST_BYTES 65536u
#define MOST_MIN 8u
#define MOST_MAX 1023u
#define SLAB_MIN_BLOCKS 8u

_Static_assert(FINE_CLASSES + 1 + 7 * STEPS == SLAI_CLASSES, "classes from 8 to 32768");
_Static_assert(2 * SLAI_CLASSES <= 256, "a scaled class fits a byte of the class map");

struct slai_class slai_classes[SLAI_CLASSES];
struct slai_size_map slai_size_map;

static uint32_t size_of(unsigned c)
{
    if (c <= 1)
        return c * 8;
    if (c <= FINE_CLASSES)
        return (c - 1) * 16;
    unsigned doubling = (c - FINE_CLASSES - 1) / STEPS, step = (c - FINE_CLASSES - 1) % STEPS;
    return (FINE_MAX + (step + 1) * (FINE_MAX / STEPS)) << doubling;
}

unsigned slai_class_of(size_t size)
{
    slai_assert(size <= SLAI_MEDIUM_MAX);
    if (size <= 8)
        return 1;
    if (size <= FINE_MAX)
        return (unsigned)((size + 15) / 16 + 1);
    unsigned doubling = slai_log2(size - 1) - 8; /* 256 < size - 1 + 1 <= 512: 0 */
    unsigned step = (unsigned)((size - 1) >> (doubling + 5)) - STEPS;
    return FINE_CLASSES + 1 + doubling * STEPS + step;
}

unsigned slai_class_aligned(size_t size, size_t align)
{
    if (size > SLAI_MEDIUM_MAX || align > SLAI_MEDIUM_MAX)
        return 0;
    size = slai_round_up(size != 0 ? size : 1, align);
    if (size > SLAI_MEDIUM_MAX)
        return 0;
    unsigned c = slai_class_of(size);
    while (c < SLAI_CLASSES && size_of(c) % align != 0)
        c++;
    return c < SLAI_CLASSES ? c : 0;
}

static uint32_t clamp(uint32_t v, uint32_t low, uint32_t high)
{
    return v < low ? low : v > high ? high : v;
}

void slai_classes_init(void)
{
    for (unsigned c = 1; c < SLAI_CLASSES; c++) {
        struct slai_class *k = &slai_classes[c];
        uint32_t size = size_of(c);
        size_t pages = (SLAB_MIN_BLOCKS * (size_t)size + SLAI_PAGE - 1) >> SLAI_PAGE_SHIFT;
        k->size = size;
        k->reciprocal = (uint32_t)((((uint64_t)1 << 32) + size - 1) / size);
        k->pages = (uint16_t)pages;
        k->capacity = (uint32_t)((pages << SLAI_PAGE_SHIFT) / size);
        k->words = (uint16_t)((k->capacity + SLAI_WORD_BITS - 1) / SLAI_WORD_BITS);
        k->limit_first = (uint16_t)clamp(FIRST_BYTES / size, FIRST_MIN, FIRST_MAX);
        k->limit_max = (uint16_t)clamp(MOST_BYTES / size, MOST_MIN, MOST_MAX);
    }
    for (size_t i = 0; i < sizeof slai_size_map.small; i++)
        slai_size_map.small[i] = (uint8_t)(2 * slai_class_of(i * 8));
    for (size_t i = 0; i < sizeof slai_size_map.medium; i++)
        slai_size_map.medium[i] = (uint8_t)(2 * slai_class_of(i * 128));
}
