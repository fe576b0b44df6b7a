/*
 * model.c: the live blocks.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fuzz.h"

struct fuzz fuzz;
struct fuzz_tally fuzz_tally;

/* --- places --- */

struct fuzz_block *fuzz_spare(void)
{
    struct fuzz_block *b;
    FUZZ_REQUIRE(fuzz.spare_count > 0);
    b = &fuzz.blocks[fuzz.spare[--fuzz.spare_count]];
    memset(b, 0, sizeof(*b));
    b->align = 1;
    return b;
}

void fuzz_unspare(struct fuzz_block *b) { fuzz.spare[fuzz.spare_count++] = (uint32_t)(b - fuzz.blocks); }

void fuzz_count_heap(struct fuzz_heap *heap, size_t bytes, bool more)
{
    fuzz.bytes = more ? fuzz.bytes + bytes : fuzz.bytes - bytes;
    if (heap != NULL)
        heap->live = more ? heap->live + bytes : heap->live - bytes;
}

static size_t natural(size_t size) { return size >= 16 ? 16 : 8; }

static void check_whereabouts(const struct fuzz_block *b)
{
    FUZZ_REQUIRE(sla_owns(b->start) == 1);
    FUZZ_REQUIRE(sla_heap_of(b->start) == fuzz_handle(b->heap));
    FUZZ_REQUIRE(sla_cache_of(b->start) == (b->cache != NULL ? b->cache->handle : NULL));
}

void fuzz_enter(struct fuzz_block *b, void *start, size_t size)
{
    FUZZ_REQUIRE(start != NULL);
    b->start = start;
    b->size = size;
    b->usable = sla_usable_size(start);
    b->takes = b->cache != NULL ? b->cache->stride : b->usable;
    FUZZ_REQUIRE(b->usable >= size && b->usable > 0 && b->usable <= b->takes);
    FUZZ_REQUIRE((uintptr_t)start % b->align == 0);
    FUZZ_REQUIRE(b->cache != NULL || (uintptr_t)start % natural(size) == 0);
    fuzz_shadow_add(start, b->takes);
    fuzz_count_heap(b->heap, b->takes, true);
    if (b->heap != NULL)
        b->heap->blocks++;
    if (b->cache != NULL)
        b->cache->live++;
    if (fuzz_random() % 16 == 0)
        check_whereabouts(b);
    b->place = fuzz.live_count;
    fuzz.live[fuzz.live_count++] = (uint32_t)(b - fuzz.blocks);
}

void fuzz_leave(struct fuzz_block *b)
{
    uint32_t last = fuzz.live[--fuzz.live_count];
    fuzz_shadow_remove(b->start, b->takes);
    fuzz_count_heap(b->heap, b->takes, false);
    if (b->heap != NULL)
        b->heap->blocks--;
    if (b->cache != NULL)
        b->cache->live--;
    fuzz.live[b->place] = last;
    fuzz.blocks[last].place = b->place;
}

void fuzz_begin(struct fuzz_block *b, void *start, size_t size)
{
    fuzz_enter(b, start, size);
    fuzz_paint(b);
}

void fuzz_end(struct fuzz_block *b)
{
    fuzz_leave(b);
    fuzz_unspare(b);
}

/* --- which --- */

struct fuzz_block *fuzz_choose(void)
{
    unsigned how = fuzz_byte();
    size_t at;
    if (fuzz.live_count == 0)
        return NULL;
    if (how < 96) /* of the last ones */
        at = fuzz.live_count - 1 - how % 4 % fuzz.live_count;
    else
        at = ((size_t)fuzz_word() * fuzz.live_count) >> 16;
    return &fuzz.blocks[fuzz.live[at]];
}

struct fuzz_block *fuzz_find(bool (*fits)(const struct fuzz_block *b, const void *arg), const void *arg)
{
    uint32_t count = fuzz.live_count, at = count > 0 ? (uint32_t)(fuzz_random() % count) : 0;
    for (uint32_t n = 0; n < count; n++, at = at + 1 < count ? at + 1 : 0) {
        struct fuzz_block *b = &fuzz.blocks[fuzz.live[at]];
        if (fits(b, arg))
            return b;
    }
    return NULL;
}

void fuzz_release(struct fuzz_block *b)
{
    unsigned char *start = b->start;
    fuzz_verify(b, b->size);
    if (b->cache != NULL) {
        fuzz_object_free(b, (unsigned)fuzz_random() % 4);
        return;
    }
    fuzz_end(b);
    sla_free(start);
    fuzz.ops++;
}

/* --- visitors --- */

void fuzz_tally_begin(const struct fuzz_heap *heap, const struct fuzz_cache *cache)
{
    struct fuzz_tally *t = &fuzz_tally;
    size_t gap;
    t->count = t->seen = 0;
    for (uint32_t i = 0; i < fuzz.live_count; i++) {
        const struct fuzz_block *b = &fuzz.blocks[fuzz.live[i]];
        if (cache != NULL ? b->cache == cache : b->cache == NULL && b->heap == heap)
            t->ids[t->count++] = fuzz.live[i];
    }
    for (gap = 1; gap < t->count / 3; gap = 3 * gap + 1)
        continue;
    for (; gap > 0; gap /= 3) /* by address */
        for (size_t i = gap; i < t->count; i++) {
            uint32_t id = t->ids[i];
            size_t j = i;
            for (; j >= gap && fuzz.blocks[t->ids[j - gap]].start > fuzz.blocks[id].start; j -= gap)
                t->ids[j] = t->ids[j - gap];
            t->ids[j] = id;
        }
    memset(t->ticked, 0, t->count * sizeof(t->ticked[0]));
}

struct fuzz_block *fuzz_tally_tick(const void *start)
{
    struct fuzz_tally *t = &fuzz_tally;
    size_t low = 0, high = t->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if ((const void *)fuzz.blocks[t->ids[middle]].start < start)
            low = middle + 1;
        else
            high = middle;
    }
    FUZZ_REQUIRE(low < t->count && !t->ticked[low] && fuzz.blocks[t->ids[low]].start == start);
    t->ticked[low] = true;
    t->seen++;
    return &fuzz.blocks[t->ids[low]];
}
