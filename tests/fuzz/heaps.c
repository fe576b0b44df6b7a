/*
 * heaps.c: the operations on heaps, and the memory that their page functions
 * lend: an arena of 64 MiB, of which each chunk's size and owner is noted.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#define GRAINS ((size_t)1024)
#define NEAR_THE_MOST (SLA_HEAP_CHUNKS_MOST - 8)

static struct {
    unsigned char *base;
    unsigned char owner[GRAINS]; /* place of the heap + 1 */
    uint16_t length[GRAINS];     /* at a chunk's start: its grains */
} arena;

static void open_arena(void)
{
    unsigned char *all;
    if (arena.base != NULL)
        return;
    all = mmap(NULL, (GRAINS + 1) * FUZZ_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    FUZZ_REQUIRE(all != MAP_FAILED);
    arena.base = all + (FUZZ_PAGE - (uintptr_t)all % FUZZ_PAGE) % FUZZ_PAGE;
}

static size_t first_fit(size_t grains)
{
    size_t run = 0;
    for (size_t i = 0; i < GRAINS; i++) {
        run = arena.owner[i] == 0 ? run + 1 : 0;
        if (run == grains)
            return i + 1 - grains;
    }
    return GRAINS;
}

/* Callbacks may use the default heap, and must find it current. */
static void use_default(void)
{
    void *block = sla_malloc(100);
    FUZZ_REQUIRE(block != NULL && sla_heap_current() == NULL && sla_heap_of(block) == NULL);
    sla_free(block);
    errno = ESRCH;
}

static void *get(size_t size, int *zero, void *arg)
{
    struct fuzz_heap *h = arg;
    size_t grains = size / FUZZ_PAGE, at = first_fit(grains);
    unsigned char *chunk = arena.base + at * FUZZ_PAGE;
    FUZZ_REQUIRE(size % FUZZ_PAGE == 0 && size >= h->chunk);
    use_default();
    if (at == GRAINS || (h->deny_in > 0 && --h->deny_in == 0)) {
        h->denied = true;
        return NULL;
    }
    for (size_t i = at; i < at + grains; i++)
        arena.owner[i] = (unsigned char)(h - fuzz.heaps + 1);
    arena.length[at] = (uint16_t)grains;
    h->provided += size;
    h->chunks++;
    *zero = size <= 2 * FUZZ_PAGE && fuzz_random() % 4 == 0;
    if (*zero)
        memset(chunk, 0, size);
    else
        for (size_t i = 0; i < size; i += 4096)
            memset(chunk + i, 0x6b, 64);
    return chunk;
}

static void put(void *memory, size_t size, void *arg)
{
    struct fuzz_heap *h = arg;
    size_t at = (size_t)((unsigned char *)memory - arena.base) / FUZZ_PAGE, grains = size / FUZZ_PAGE;
    FUZZ_REQUIRE(at < GRAINS && arena.length[at] == grains && size % FUZZ_PAGE == 0);
    FUZZ_REQUIRE(fuzz_shadow_clear(memory, size));
    use_default();
    for (size_t i = at; i < at + grains; i++) {
        FUZZ_REQUIRE(arena.owner[i] == h - fuzz.heaps + 1);
        arena.owner[i] = 0;
    }
    arena.length[at] = 0;
    h->provided -= size;
    h->chunks--;
}

/* What a heap without put leaves. */
static void sweep(const struct fuzz_heap *h)
{
    for (size_t i = 0; i < GRAINS; i++)
        if (arena.owner[i] == h - fuzz.heaps + 1)
            arena.owner[i] = arena.length[i] = 0;
}

/* --- a heap's life --- */

static struct fuzz_heap *choose(void)
{
    unsigned first = fuzz_byte();
    for (unsigned i = 0; i < FUZZ_HEAPS; i++) {
        struct fuzz_heap *h = &fuzz.heaps[(first + i) % FUZZ_HEAPS];
        if (h->handle != NULL)
            return h;
    }
    return NULL;
}

static struct fuzz_heap *vacant(void)
{
    struct fuzz_heap *h = &fuzz.heaps[fuzz_byte() % FUZZ_HEAPS];
    if (h->handle != NULL)
        return NULL;
    memset(h, 0, sizeof(*h));
    h->most = SIZE_MAX;
    snprintf(h->name, sizeof(h->name), "heap %u", (unsigned)(h - fuzz.heaps));
    return h;
}

static void begun(struct fuzz_heap *h, sla_heap_t *handle)
{
    fuzz.ops++;
    h->handle = handle;
    FUZZ_REQUIRE(handle != NULL && strcmp(sla_heap_name(handle), h->name) == 0);
}

void fuzz_op_heap_create(void)
{
    struct fuzz_heap *h = vacant();
    if (h != NULL)
        begun(h, sla_heap_create(h->name));
}

void fuzz_op_heap_create_on(void)
{
    struct fuzz_heap *h = vacant();
    unsigned how = fuzz_byte();
    sla_heap_pages_t pages = {get, how % 4 != 0 ? put : NULL, h, (how / 4 % 8 + 1) * FUZZ_PAGE};
    if (h == NULL)
        return;
    if (how >= 248) {
        pages.chunk += how & 1 ? 4096 : 0;
        pages.get = how & 1 ? get : NULL;
        FUZZ_REQUIRE(sla_heap_create_on(NULL, how & 2 ? &pages : NULL) == NULL);
        fuzz_refused(EINVAL);
        return;
    }
    open_arena();
    h->lent = true;
    h->puts = pages.put != NULL;
    h->chunk = pages.chunk;
    begun(h, sla_heap_create_on(h->name, &pages));
}

void fuzz_heap_end(struct fuzz_heap *h)
{
    for (uint32_t i = fuzz.live_count; i-- > 0;) {
        struct fuzz_block *b = &fuzz.blocks[fuzz.live[i]];
        if (b->heap == h) {
            fuzz_verify(b, b->size);
            fuzz_end(b); /* the last one takes its place, which has been looked at */
        }
    }
    FUZZ_REQUIRE(h->blocks == 0 && h->live == 0 && h->pushed == 0);
    sla_heap_destroy(h->handle);
    fuzz.ops++;
    FUZZ_REQUIRE(!h->puts || (h->provided == 0 && h->chunks == 0));
    if (h->lent)
        sweep(h);
    h->handle = NULL;
}

void fuzz_op_heap_destroy(void)
{
    struct fuzz_heap *h = choose();
    if (h != NULL && h->pushed == 0)
        fuzz_heap_end(h);
}

/* --- what it holds --- */

void fuzz_heap_look(struct fuzz_heap *h, sla_heap_stats_t *st, bool exact)
{
    FUZZ_REQUIRE(sla_heap_stats(h->handle, st, sizeof(*st)) == 0);
    fuzz.ops++;
    FUZZ_EQUAL(exact ? st->live : h->live, h->live);
    FUZZ_EQUAL(exact ? st->blocks : h->blocks, h->blocks);
    FUZZ_REQUIRE(st->limit == h->limit && st->bytes <= h->most && st->peak >= st->bytes);
    FUZZ_REQUIRE(st->provided == h->provided && (!h->lent || st->bytes <= st->provided));
    FUZZ_REQUIRE(st->live + st->cached + st->free <= st->bytes);
    h->bytes = st->bytes;
    h->most = h->limit == 0 ? SIZE_MAX : st->bytes > h->limit ? st->bytes : h->limit;
}

void fuzz_op_heap_look(void)
{
    struct fuzz_heap *h = choose();
    bool exact = fuzz_byte() % 2 == 0;
    sla_heap_stats_t st;
    if (h == NULL)
        return;
    if (exact)
        fuzz_threads_settle();
    fuzz_heap_look(h, &st, exact);
}

void fuzz_call_begin(struct fuzz_heap *heap)
{
    if (heap != NULL)
        heap->denied = heap->pressed = false;
}

bool fuzz_may_refuse(struct fuzz_heap *heap, size_t size)
{
    sla_heap_stats_t st;
    size_t good = sla_good_size(size), need = (good <= FUZZ_PAGE ? 16 * good : good) + 2 * FUZZ_PAGE;
    if (heap == NULL)
        return false;
    fuzz_heap_look(heap, &st, false);
    return (heap->lent && (heap->denied || heap->chunks >= NEAR_THE_MOST)) ||
           (heap->limit != 0 && st.bytes + need > heap->limit);
}

static bool is_in(const struct fuzz_block *b, const void *heap) { return b->cache == NULL && b->heap == heap; }

static int pressure(sla_heap_t *handle, size_t wanted, void *arg)
{
    struct fuzz_heap *h = arg;
    unsigned freed = 0;
    (void)wanted;
    FUZZ_REQUIRE(handle == h->handle);
    use_default();
    for (; freed < h->yields && h->blocks > 0; freed++) {
        struct fuzz_block *b = fuzz_find(is_in, h);
        if (b == NULL)
            break;
        fuzz_release(b);
    }
    h->pressed = true;
    errno = ESRCH;
    return freed > 0;
}

void fuzz_op_heap_limit(void)
{
    struct fuzz_heap *h = choose();
    unsigned how = fuzz_byte(), many = fuzz_byte();
    sla_heap_stats_t st;
    if (h == NULL)
        return;
    h->limit = how % 4 == 0 ? 0 : (size_t)(many % 64) * FUZZ_PAGE + how % 2;
    h->soft = how / 4 % 4 == 0 ? 0 : h->limit != 0 ? h->limit / 2 : (size_t)(many / 4) * FUZZ_PAGE;
    h->yields = how / 16;
    h->deny_in = many / 8;
    if (h->limit != 0) {
        FUZZ_REQUIRE(sla_heap_set_limit(h->handle, h->limit + 1, h->limit, pressure, h) == -1);
        fuzz_refused(EINVAL);
    }
    FUZZ_REQUIRE(sla_heap_set_limit(h->handle, h->soft, h->limit, h->yields > 0 ? pressure : NULL, h) == 0);
    fuzz.ops++;
    h->most = SIZE_MAX; /* what is there may stay */
    fuzz_heap_look(h, &st, false);
}

static int visit(void *block, size_t size, void *arg)
{
    struct fuzz_block *b = fuzz_tally_tick(block);
    FUZZ_REQUIRE(b->heap == arg && b->usable == size);
    if (fuzz_tally.frees != 0 && fuzz_tally.seen % fuzz_tally.frees == 0)
        fuzz_release(b);
    return fuzz_tally.seen == fuzz_tally.stop_after ? 7 : 0;
}

void fuzz_op_heap_visit(void)
{
    struct fuzz_heap *h = choose();
    unsigned how = fuzz_byte();
    int result;
    if (h == NULL)
        return;
    fuzz_tally_begin(h, NULL);
    fuzz_tally.stop_after = how < 64 ? how + 1 : 0;
    fuzz_tally.frees = how % 4;
    result = sla_heap_visit(h->handle, visit, h);
    fuzz.ops++;
    if (result == 0)
        FUZZ_REQUIRE(fuzz_tally.seen == fuzz_tally.count);
    else
        FUZZ_REQUIRE(result == 7 && fuzz_tally.seen == fuzz_tally.stop_after);
}

/* --- the current one --- */

static void push(struct fuzz_heap *h)
{
    struct fuzz_thread *t = fuzz_self();
    int result = sla_heap_push(fuzz_handle(h));
    fuzz.ops++;
    if (t->depth == FUZZ_DEPTH) {
        FUZZ_REQUIRE(result == -1);
        fuzz_refused(EOVERFLOW);
        return;
    }
    FUZZ_REQUIRE(result == 0 && sla_heap_current() == fuzz_handle(h));
    t->pushed[t->depth++] = h;
    if (h != NULL)
        h->pushed++;
}

void fuzz_op_heap_push(void)
{
    unsigned how = fuzz_byte();
    struct fuzz_heap *h = how % 8 == 0 ? NULL : choose();
    for (unsigned count = how >= 252 ? how % 256 - 200 : 1; count > 0; count--)
        push(h);
}

void fuzz_op_heap_pop(void)
{
    struct fuzz_thread *t = fuzz_self();
    unsigned how = fuzz_byte();
    for (unsigned count = how >= 192 ? FUZZ_DEPTH : 1; count > 0 && t->depth > 0; count--) {
        struct fuzz_heap *h = t->pushed[--t->depth];
        sla_heap_pop();
        fuzz.ops++;
        if (h != NULL)
            h->pushed--;
    }
    FUZZ_REQUIRE(sla_heap_current() == fuzz_handle(fuzz_current_heap()));
}
