/*
 * test_invariants.c: the checker accepts a heap under random use, and reports each way of breaking it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "heap/large.h"
#include "heap/purge.h"

/* --- random use --- */

#define BLOCKS 600
static struct support_block blocks[BLOCKS];

static void *any_allocation(struct support_rng *rng, size_t size)
{
    void *p = NULL;
    switch (support_below(rng, 6)) {
    case 0: return sla_calloc(1, size);
    case 1: return sla_aligned_alloc((size_t)1 << support_below(rng, 18), size);
    case 2: return sla_posix_memalign(&p, 64, size) == 0 ? p : NULL;
    default: return sla_malloc(size);
    }
}

static void any_free(struct support_rng *rng, struct support_block *b)
{
    if (support_below(rng, 4) == 0)
        sla_free_sized(b->start, b->size);
    else
        sla_free(b->start);
    b->start = NULL;
}

static void step(struct support_rng *rng)
{
    struct support_block *b = &blocks[support_below(rng, BLOCKS)];
    size_t size = support_random_size(rng), dice = support_below(rng, 1000);
    if (dice == 0)
        sla_thread_idle();
    else if (dice == 1)
        (void)sla_trim(support_below(rng, 4 * MIB));
    else if (dice == 2)
        (void)sla_maintain();
    if (b->start == NULL) {
        b->start = any_allocation(rng, size);
        ck_assert_ptr_nonnull(b->start);
    } else {
        ck_assert(support_matches(b->start, b->size, b->seed));
        if (dice % 4 != 0 || size == 0) {
            any_free(rng, b);
            return;
        }
        size_t kept = (b->size < size ? b->size : size) & ~(size_t)7;
        b->start = sla_realloc(b->start, size);
        ck_assert_ptr_nonnull(b->start);
        ck_assert(support_matches(b->start, kept, b->seed));
    }
    b->size = size;
    b->seed = dice;
    ck_assert_uint_ge(sla_usable_size(b->start), size);
    support_fill(b->start, size, dice);
}

START_TEST(random_use)
{
    static const long delays[] = {-1, 0, 5};
    struct support_rng rng;
    unit_idle();
    size_t live = unit_stats().live, used = slai_pageheap.used_pages;
    support_seed(&rng, (uint64_t)_i * 77);
    slai_conf.purge_delay = delays[_i % 3];
    if (_i >= 6) { /* the system refuses now and then */
        slai_fault.after[SLAI_CALL_PURGE] = 3;
        slai_fault.more[SLAI_CALL_PURGE] = 40;
        unit_refuse(SLAI_CALL_MOVE, 2);
    }
    memset(blocks, 0, sizeof(blocks));
    for (size_t i = 0; i < support_scaled(12000); i++) {
        step(&rng);
        if (i % 150 == 0)
            unit_sound();
    }
    ck_assert(support_disjoint(blocks, BLOCKS));
    for (size_t i = 0; i < BLOCKS; i++)
        if (blocks[i].start != NULL)
            any_free(&rng, &blocks[i]);
    unit_sound();
    unit_idle();
    unit_sound();
    ck_assert_uint_eq(unit_stats().live, live);
    ck_assert_uint_eq(unit_stats().cached, 0);
    ck_assert_uint_eq(slai_pageheap.used_pages, used);
}
END_TEST

/* --- each breach is reported --- */

/* A slab with blocks out and blocks free, a large block, and free spans of both kinds beside them. */
static struct scene {
    char *slab_block, *large, *wall;
    struct slai_span *slab, *multi, *span, *dirty, *clean;
} scene;

static void set_scene(void)
{
    bool zero;
    unit_tidy();
    scene.slab_block = sla_malloc(64);
    scene.slab = slai_slab_of(scene.slab_block);
    void *big = sla_malloc(20000); /* a slab of several pages */
    scene.multi = slai_slab_of(big);
    ck_assert_uint_gt(scene.multi->pages, 1);
    sla_free(big);
    struct slai_span *clean = slai_pages_take(5, 1, SLAI_KIND_BUSY);
    scene.large = slai_large_take(6 * SLAI_PAGE, 1, &zero);
    struct slai_span *dirty = slai_pages_take(4, 1, SLAI_KIND_BUSY);
    scene.wall = slai_large_take(1, 1, &zero);
    slai_pages_give(clean);
    (void)slai_purge(SLAI_PURGE_ALL, 0);
    slai_pages_give(dirty);
    scene.span = slai_page_of(scene.large);
    scene.clean = clean;
    scene.dirty = dirty;
    ck_assert(dirty->kind == SLAI_KIND_FREE && !dirty->clean);
    if (clean->kind == SLAI_KIND_NONE) /* joined with what was clean before it */
        scene.clean = clean + 4 - clean[4].back;
    ck_assert(scene.clean->kind == SLAI_KIND_FREE && scene.clean->clean);
    unit_sound();
}

static void clear_scene(void)
{
    slai_large_give(scene.large, "free");
    slai_large_give(scene.wall, "free");
    sla_free(scene.slab_block);
    sla_thread_idle();
}

/* Which byte, or word, of the scene to change, and what the checker has to say. */
enum place {
    FREE_BIT_SET,
    FREE_BIT_CLEARED,
    REMOTE_BIT,
    REMOTE_TWICE,
    REMOTE_COUNT,
    USED,
    HINT,
    PAST_CAPACITY,
    CLASS,
    SIZE,
    CLASS_MAP,
    CLASS_MAP_INNER,
    CLASS_MAP_FREE,
    CLASS_MAP_LARGE,
    INNER_BACK,
    INNER_KIND,
    PLACE,
    SLAB_START,
    LARGE_PAGES,
    LARGE_START,
    LARGE_BACK,
    LARGE_KIND,
    FREE_BACK,
    FREE_CLEAN,
    FREE_STALE_TAG,
    FREE_LENGTH,
    BIN_MASK,
    BIN_LOST,
    COUNT_USED,
    COUNT_FREE,
    COUNT_LARGE,
    COUNT_LARGE_PAGES,
    PLACES
};

static const char *const reports[PLACES] = {
    [FREE_BIT_SET] = "I2:",      [FREE_BIT_CLEARED] = "I2:", [REMOTE_BIT] = "I2:",      [REMOTE_TWICE] = "I3:",
    [REMOTE_COUNT] = "I2:",      [USED] = "I2:",             [HINT] = "I2:",            [PAST_CAPACITY] = "I2:",
    [CLASS] = "I1:",             [SIZE] = "I1:",             [CLASS_MAP] = "I1:",       [CLASS_MAP_INNER] = "I1:",
    [INNER_BACK] = "I1:",        [INNER_KIND] = "I1:",       [PLACE] = "I4:",           [SLAB_START] = "I1:",
    [LARGE_PAGES] = "I",         [LARGE_START] = "I1:",      [LARGE_BACK] = "I1:",      [LARGE_KIND] = "I1:",
    [FREE_BACK] = "I1:",         [FREE_CLEAN] = "I4:",       [FREE_STALE_TAG] = "I1:",  [FREE_LENGTH] = "I",
    [BIN_MASK] = "I4:",          [BIN_LOST] = "I4:",         [COUNT_USED] = "I1:",      [COUNT_FREE] = "I4:",
    [COUNT_LARGE] = "I1:",       [COUNT_LARGE_PAGES] = "I1:", [CLASS_MAP_FREE] = "I1:", [CLASS_MAP_LARGE] = "I1:",
};

/* The word that holds the bit of block i. */
static uint64_t *word_of(uint64_t *set, uint32_t i) { return &set[i / 64]; }
static uint64_t bit_of(uint32_t i) { return (uint64_t)1 << i % 64; }

/* Breaks the slab, or mends it: each change undoes itself the second time. */
static void flip_slab(enum place place)
{
    struct slai_span *s = scene.slab, *m = scene.multi;
    uint8_t *map = (uint8_t *)slai_regions[0].base;
    uint32_t out = slai_slab_index(s, scene.slab_block);
    uint32_t in = s->capacity - 1u; /* never handed out so far */
    size_t page = slai_page_number(&slai_regions[0], s->start);
    size_t inner = slai_page_number(&slai_regions[0], m->start) + 1;
    switch (place) {
    case FREE_BIT_SET: *word_of(s->free, out) ^= bit_of(out); break;
    case FREE_BIT_CLEARED: *word_of(s->free, in) ^= bit_of(in); break;
    case REMOTE_BIT: *word_of(slai_slab_remote(s), out) ^= bit_of(out); break;
    case REMOTE_TWICE: *word_of(slai_slab_remote(s), in) ^= bit_of(in); break;
    case REMOTE_COUNT: s->remote ^= 1; break;
    case USED: s->used ^= 1; break;
    case HINT: s->hint ^= 8; break;
    case PAST_CAPACITY: m->free[m->words - 1] ^= (uint64_t)1 << 63; break;
    case CLASS: s->class ^= 1; break;
    case SIZE: s->size ^= 16; break;
    case CLASS_MAP: map[page] ^= 2; break;
    case CLASS_MAP_INNER: map[inner] ^= 4; break;
    case CLASS_MAP_FREE: map[slai_page_number(&slai_regions[0], scene.dirty->start) + 1] ^= 4; break;
    case CLASS_MAP_LARGE: map[slai_page_number(&slai_regions[0], scene.span->start)] ^= 4; break;
    case INNER_BACK: m[1].back ^= 2; break;
    case INNER_KIND: m[1].kind ^= SLAI_KIND_INNER; break;
    case PLACE: s->place ^= SLAI_PARTIAL ^ SLAI_FULL; break;
    default: s->start = (char *)((uintptr_t)s->start ^ SLAI_PAGE); break;
    }
}

static void flip_bins(enum place place)
{
    static struct slai_link *kept;
    unsigned b = 4;
    struct slai_list *bin = &slai_pageheap.bins[0][b];
    if (place == BIN_MASK) {
        slai_pageheap.mask[1][2] ^= (uint64_t)1 << 15;
    } else if (kept == NULL) {
        ck_assert_ptr_eq(bin->first, &scene.dirty->link);
        kept = bin->first;
        bin->first = bin->last = NULL;
        slai_pageheap.mask[0][0] ^= (uint64_t)1 << b;
    } else {
        bin->first = bin->last = kept;
        slai_pageheap.mask[0][0] ^= (uint64_t)1 << b;
        kept = NULL;
    }
}

static void flip(enum place place)
{
    struct slai_span *l = scene.span, *d = scene.dirty;
    switch (place) {
    case LARGE_PAGES: l->pages ^= 1; break;
    case LARGE_START: l->start = (char *)((uintptr_t)l->start ^ SLAI_PAGE); break;
    case LARGE_BACK: l->back ^= 3; break;
    case LARGE_KIND: l->kind ^= SLAI_KIND_LARGE; break;
    case FREE_BACK: d[d->pages - 1].back ^= 1; break;
    case FREE_CLEAN: d->clean ^= 1; break;
    case FREE_STALE_TAG: d[1].kind ^= SLAI_KIND_BUSY; break;
    case FREE_LENGTH: d->pages ^= 1; break;
    case BIN_MASK:
    case BIN_LOST: flip_bins(place); break;
    case COUNT_USED: slai_pageheap.used_pages ^= 1; break;
    case COUNT_FREE: slai_pageheap.free_pages[0] ^= 1; break;
    case COUNT_LARGE: slai_pageheap.large_count ^= 1; break;
    case COUNT_LARGE_PAGES: slai_pageheap.large_pages ^= 1; break;
    default: flip_slab(place); break;
    }
}

START_TEST(breach_is_reported)
{
    set_scene();
    flip((enum place)_i);
    const char *report = slai_check_heap();
    flip((enum place)_i);
    ck_assert_ptr_nonnull(report);
    ck_assert_msg(strncmp(report, reports[_i], strlen(reports[_i])) == 0, "%s", report);
    unit_sound();
    clear_scene();
}
END_TEST

/* Neighbours of a kind that were not joined: as giving pages back without joining would leave them. */
START_TEST(unjoined_neighbours)
{
    unit_tidy();
    struct slai_span *whole = slai_pages_take(9, 1, SLAI_KIND_BUSY);
    slai_pages_give(whole); /* now one dirty span, from which neighbours are cut */
    struct slai_span *a = slai_pages_take(4, 1, SLAI_KIND_BUSY), *b = slai_pages_take(5, 1, SLAI_KIND_BUSY);
    ck_assert_ptr_eq(b, a + 4);
    slai_pages_give(a);
    slai_lock(&slai_pageheap.lock);
    slai_pageheap.used_pages -= 5;
    b->clean = 0;
    b->stamp = 0;
    slai_set_kind(b, SLAI_KIND_FREE);
    slai_set_kind(&b[4], SLAI_KIND_FREE);
    b[4].back = 4;
    slai_bin_insert(b);
    slai_unlock(&slai_pageheap.lock);
    const char *report = slai_check_heap();
    ck_assert_ptr_nonnull(report);
    ck_assert_str_eq(report, "I4: neighbours not joined");
    slai_lock(&slai_pageheap.lock);
    slai_bin_remove(b);
    slai_set_kind(&b[4], SLAI_KIND_NONE);
    slai_set_kind(b, SLAI_KIND_BUSY);
    slai_span_join(b);
    slai_unlock(&slai_pageheap.lock);
    unit_sound();
}
END_TEST

START_TEST(slab_of_nobody_in_no_list)
{
    set_scene();
    struct slai_tcache *owner = scene.slab->owner;
    uint8_t place = scene.slab->place;
    scene.slab->owner = NULL;
    scene.slab->place = SLAI_NOWHERE;
    const char *report = slai_check_heap();
    scene.slab->owner = owner;
    scene.slab->place = place;
    ck_assert_ptr_nonnull(report);
    ck_assert_str_eq(report, "I4: slab without owner in no list");
    clear_scene();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("invariants");
    TCase *tc = unit_case(suite, "invariants");
    tcase_add_loop_test(tc, random_use, 0, 9);
    tcase_add_loop_test(tc, breach_is_reported, 0, PLACES);
    tcase_add_test(tc, unjoined_neighbours);
    tcase_add_test(tc, slab_of_nobody_in_no_list);
    return support_main(suite);
}
