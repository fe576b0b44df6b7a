/*
 * objects.c: the operations on object caches.
 *
 * Constructors leave a mark in each object, which says whose it is and where;
 * so one that is constructed twice, handed out without, or destroyed while it
 * is in use shows in its own bytes.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fuzz.h"

#include <stdio.h>

#define OWNED 24 /* bytes of the block that an object of an OWNING cache has */

/* --- callbacks --- */

static bool constructs(const struct fuzz_cache *c) { return c->kind != FUZZ_PLAIN && c->kind != FUZZ_ENDED; }
static bool destroys(const struct fuzz_cache *c) { return c->kind != FUZZ_PLAIN && c->kind != FUZZ_MADE; }

static uint64_t mark_of(const struct fuzz_cache *c, const void *object) { return c->mark ^ (uintptr_t)object; }
static size_t mark_size(const struct fuzz_cache *c) { return c->size < 8 ? c->size : 8; }

static bool is_marked(const struct fuzz_cache *c, const void *object)
{
    uint64_t mark = mark_of(c, object);
    return memcmp(object, &mark, mark_size(c)) == 0;
}

static void set_mark(const struct fuzz_cache *c, void *object, uint64_t flip)
{
    uint64_t mark = mark_of(c, object) ^ flip;
    memcpy(object, &mark, mark_size(c));
}

static void own(void *object)
{
    unsigned char *block = sla_heap_malloc(NULL, OWNED);
    size_t takes;
    FUZZ_REQUIRE(block != NULL);
    takes = sla_usable_size(block);
    fuzz_shadow_add(block, takes);
    memset(block, 0x77, OWNED);
    memcpy((char *)object + 8, &block, sizeof(block));
    fuzz.bytes += takes;
    fuzz.inner += takes;
}

static void disown(const void *object)
{
    unsigned char *block;
    size_t takes;
    memcpy(&block, (const char *)object + 8, sizeof(block));
    takes = sla_usable_size(block);
    for (unsigned i = 0; i < OWNED; i++)
        FUZZ_REQUIRE(block[i] == 0x77);
    fuzz_shadow_remove(block, takes);
    sla_free(block);
    fuzz.bytes -= takes;
    fuzz.inner -= takes;
}

static int construct(void *object, void *arg)
{
    struct fuzz_cache *c = arg;
    FUZZ_REQUIRE((uintptr_t)object % c->align == 0 && fuzz_shadow_clear(object, c->stride));
    FUZZ_REQUIRE(c->size < 8 || !destroys(c) || !is_marked(c, object));
    errno = ESRCH;
    if (c->refuse_in > 0 && --c->refuse_in == 0) {
        c->refused = true;
        return c->refuse_with;
    }
    set_mark(c, object, 0);
    if (c->kind == FUZZ_OWNING)
        own(object);
    c->made++;
    errno = ESRCH;
    return 0;
}

static void destroy(void *object, void *arg)
{
    struct fuzz_cache *c = arg;
    FUZZ_REQUIRE(fuzz_shadow_clear(object, c->stride));
    FUZZ_REQUIRE(!constructs(c) || is_marked(c, object));
    if (c->kind == FUZZ_OWNING)
        disown(object);
    set_mark(c, object, ~(uint64_t)0);
    c->gone++;
    errno = ESRCH;
}

static bool is_of(const struct fuzz_block *b, const void *cache) { return b->cache == cache; }

static int reclaim(sla_cache_t *handle, void *arg)
{
    struct fuzz_cache *c = arg;
    unsigned freed = 0;
    FUZZ_REQUIRE(handle == c->handle);
    for (; freed < c->reclaims && c->live > 0; freed++) {
        struct fuzz_block *b = fuzz_find(is_of, c);
        if (b == NULL)
            break;
        fuzz_release(b);
    }
    c->asked = true;
    errno = ESRCH;
    return freed > 0;
}

/* --- a cache's life --- */

static struct fuzz_cache *choose(void)
{
    unsigned first = fuzz_byte();
    for (unsigned i = 0; i < FUZZ_CACHES; i++) {
        struct fuzz_cache *c = &fuzz.caches[(first + i) % FUZZ_CACHES];
        if (c->handle != NULL)
            return c;
    }
    return NULL;
}

static size_t object_size(void)
{
    unsigned kind = fuzz_byte();
    if (kind < 128)
        return fuzz_byte() % 96 + 1;
    if (kind < 224)
        return fuzz_word() % 3000 + 1;
    return (kind < 250 ? fuzz_word() % 20000 : (size_t)fuzz_word() * 3) + 1;
}

static sla_cache_t *make(struct fuzz_cache *c, size_t align)
{
    return sla_cache_create(c->name, c->size, align, c->flags, constructs(c) ? construct : NULL,
                            destroys(c) ? destroy : NULL, c);
}

static void refused_create(struct fuzz_cache *c, unsigned how)
{
    size_t align = 0;
    switch (how % 4) {
    case 0: c->size = 0; break;
    case 1: c->size = SLA_CACHE_SIZE_MAX + 1; break;
    case 2: align = how & 64 ? 24 : 2 * SLA_CACHE_ALIGN_MAX; break;
    default: c->flags = SLA_CACHE_ZEROED, c->kind = FUZZ_BOTH;
    }
    FUZZ_REQUIRE(make(c, align) == NULL);
    fuzz_refused(EINVAL);
    fuzz.ops++;
}

static void look(struct fuzz_cache *c, bool exact);

void fuzz_op_cache_create(void)
{
    unsigned place = fuzz_byte() % FUZZ_CACHES, how = fuzz_byte(), kinds = fuzz_byte();
    struct fuzz_cache *c = &fuzz.caches[place], old = *c;
    size_t align = how < 160 ? 0 : (size_t)1 << (how < 250 ? how % 9 : how % 17);
    if (c->handle != NULL)
        return;
    memset(c, 0, sizeof(*c));
    c->kind = (enum fuzz_kind)(kinds % FUZZ_KINDS);
    c->flags = kinds / 8 % 16;
    c->flags &= kinds < 208 ? ~SLA_CACHE_DEBUG : ~0u; /* the slow ones more seldom */
    c->size = object_size();
    if ((c->flags & SLA_CACHE_ZEROED) != 0)
        c->kind = FUZZ_PLAIN;
    if (c->kind == FUZZ_OWNING && c->size < 16)
        c->size += 16;
    snprintf(c->name, sizeof(c->name), "cache %u of the fuzzer%.*s", place, (int)(how % 8), "; long");
    c->mark = ++fuzz.serial * 0x9e3779b97f4a7c15u | 1;
    if (how >= 150 && how < 160) {
        refused_create(c, how);
        *c = old;
        return;
    }
    c->align = align != 0 ? (align < 8 ? 8 : align) : c->size < 16 ? 8 : 16;
    c->handle = make(c, align);
    fuzz.ops++;
    FUZZ_REQUIRE(c->handle != NULL && strcmp(sla_cache_name(c->handle), c->name) == 0);
    c->most = SIZE_MAX;
    look(c, true);
}

/* What it holds, against the model. */
static void look(struct fuzz_cache *c, bool exact)
{
    sla_cache_stats_t st;
    size_t slab;
    FUZZ_REQUIRE(sla_cache_stats(c->handle, &st, sizeof(st)) == 0);
    fuzz.ops++;
    c->stride = st.stride;
    slab = (8 * st.stride + FUZZ_PAGE - 1) / FUZZ_PAGE * FUZZ_PAGE;
    FUZZ_REQUIRE(st.size == c->size && st.stride >= c->size && st.stride % c->align == 0 && st.limit == c->limit);
    FUZZ_REQUIRE((c->flags & SLA_CACHE_DEBUG) != 0 || st.stride < c->size + (c->align < 8 ? 8 : c->align));
    FUZZ_EQUAL(st.constructed, c->made);
    FUZZ_EQUAL(st.destroyed, c->gone);
    FUZZ_REQUIRE(st.bytes == st.slabs * slab && st.bytes <= c->most);
    FUZZ_REQUIRE(st.live + st.cached + st.free == st.slabs * (slab / st.stride));
    FUZZ_EQUAL(exact ? st.live : c->live, c->live);
    FUZZ_REQUIRE(!constructs(c) || !destroys(c) || c->made - c->gone >= c->live);
    FUZZ_REQUIRE((c->flags & SLA_CACHE_TYPE_STABLE) == 0 || st.bytes >= c->bytes);
    c->bytes = st.bytes;
    c->most = c->limit == 0 ? SIZE_MAX : st.bytes > c->limit ? st.bytes : c->limit;
}

void fuzz_op_cache_look(void)
{
    struct fuzz_cache *c = choose();
    bool exact = fuzz_byte() % 2 == 0;
    if (c == NULL)
        return;
    if (exact)
        fuzz_threads_settle();
    look(c, exact);
}

/* The errors a caller may see; whatever the limit is. */
static void check_refusal(const struct fuzz_cache *c)
{
    int error = errno, why = c->refuse_with > 0 ? c->refuse_with : ENOMEM;
    size_t slab = (8 * c->stride + FUZZ_PAGE - 1) / FUZZ_PAGE * FUZZ_PAGE;
    sla_cache_stats_t st;
    errno = FUZZ_ERRNO;
    if (c->refused && error == why)
        return;
    FUZZ_REQUIRE(error == ENOMEM && c->limit != 0 && sla_cache_stats(c->handle, &st, sizeof(st)) == 0);
    FUZZ_REQUIRE(st.bytes + slab > c->limit);
}

static void accept(struct fuzz_cache *c, unsigned char *object)
{
    struct fuzz_block *b = fuzz_spare();
    b->cache = c;
    b->align = c->align;
    if (constructs(c))
        FUZZ_REQUIRE(is_marked(c, object));
    if ((c->flags & SLA_CACHE_ZEROED) != 0)
        fuzz_require_zero(object, 0, c->size);
    b->skip = c->kind == FUZZ_OWNING ? 16 : 0;
    fuzz_begin(b, object, c->size);
}

void fuzz_op_cache_alloc(void)
{
    struct fuzz_cache *c = choose();
    unsigned count = fuzz_byte();
    if (c == NULL) {
        fuzz_op_cache_create();
        return;
    }
    for (count = count < 128 ? 1 : count % 64 + 1; count > 0; count--) {
        void *object;
        if (fuzz.live_count >= fuzz.live_most || fuzz.bytes + c->stride > fuzz.bytes_most)
            return;
        c->refused = c->asked = false;
        object = sla_cache_alloc(c->handle);
        fuzz.ops++;
        if (object == NULL) {
            check_refusal(c);
            return;
        }
        accept(c, object);
    }
}

void fuzz_op_cache_alloc_batch(void)
{
    struct fuzz_cache *c = choose();
    void *objects[FUZZ_BATCH];
    size_t count = fuzz_byte() % FUZZ_BATCH, got;
    if (c == NULL || fuzz.live_count + count > fuzz.live_most || fuzz.bytes + count * c->stride > fuzz.bytes_most)
        return;
    c->refused = c->asked = false;
    got = sla_cache_alloc_batch(c->handle, objects, count);
    fuzz.ops++;
    FUZZ_REQUIRE(got <= count);
    if (got < count)
        check_refusal(c);
    for (size_t i = 0; i < got; i++)
        accept(c, objects[i]);
}

/* --- freeing --- */

/* As the constructor left it. */
static void restore(const struct fuzz_block *b)
{
    if (constructs(b->cache) && b->skip == 0)
        set_mark(b->cache, b->start, 0);
}

void fuzz_object_free(struct fuzz_block *b, unsigned how)
{
    struct fuzz_cache *c = b->cache;
    unsigned char *object = b->start;
    restore(b);
    fuzz_end(b);
    fuzz.ops++;
    if (how < 2)
        sla_cache_free(c->handle, object);
    else if (how == 2)
        sla_free(object);
    else
        sla_free_sized(object, c->size);
}

void fuzz_op_cache_free(void)
{
    struct fuzz_cache *c = choose();
    unsigned count = fuzz_byte();
    if (c == NULL)
        return;
    for (count = count < 128 ? 1 : count % 64 + 1; count > 0; count--) {
        struct fuzz_block *b = c->live > 0 ? fuzz_find(is_of, c) : NULL;
        if (b == NULL) {
            sla_cache_free(c->handle, NULL);
            return;
        }
        fuzz_verify(b, b->size);
        fuzz_object_free(b, 0);
    }
}

void fuzz_op_cache_free_batch(void)
{
    struct fuzz_cache *c = choose();
    void *objects[FUZZ_BATCH];
    size_t count = fuzz_byte() % FUZZ_BATCH, n = 0;
    if (c == NULL)
        return;
    for (uint32_t i = fuzz.live_count; i-- > 0 && n < count;) {
        struct fuzz_block *b = &fuzz.blocks[fuzz.live[i]];
        if (b->cache != c)
            continue;
        fuzz_verify(b, b->size);
        restore(b);
        objects[n++] = b->start;
        fuzz_end(b);
        if (n < count && n % 16 == 7)
            objects[n++] = NULL;
    }
    sla_cache_free_batch(c->handle, objects, n);
    fuzz.ops++;
}

/* --- the rest --- */

void fuzz_op_cache_reap(void)
{
    struct fuzz_cache *c = choose();
    size_t bytes;
    if (c == NULL)
        return;
    bytes = sla_cache_reap(c->handle);
    fuzz.ops++;
    FUZZ_REQUIRE(bytes % FUZZ_PAGE == 0 && (bytes == 0 || (c->flags & SLA_CACHE_TYPE_STABLE) == 0));
    look(c, false);
}

void fuzz_op_cache_limit(void)
{
    struct fuzz_cache *c = choose();
    unsigned how = fuzz_byte();
    if (c == NULL)
        return;
    c->limit = how % 4 == 0 ? 0 : (how / 4 % 8) * ((8 * c->stride + FUZZ_PAGE - 1) / FUZZ_PAGE) * FUZZ_PAGE + how % 2;
    c->reclaims = how / 32;
    sla_cache_set_limit(c->handle, c->limit);
    sla_cache_set_reclaim(c->handle, c->reclaims > 0 ? reclaim : NULL, c);
    fuzz.ops += 2;
    c->most = SIZE_MAX; /* what is there may stay */
    look(c, false);
}

void fuzz_op_cache_refuse(void)
{
    static const int errors[] = {-1, ENOMEM, EAGAIN, EIO};
    struct fuzz_cache *c = choose();
    unsigned how = fuzz_byte();
    if (c == NULL)
        return;
    c->refuse_in = how % 64;
    c->refuse_with = errors[how / 64];
}

static int visit(void *object, void *arg)
{
    struct fuzz_cache *c = arg;
    struct fuzz_block *b = fuzz_tally_tick(object);
    FUZZ_REQUIRE(b->cache == c);
    if (fuzz_tally.frees != 0 && fuzz_tally.seen % fuzz_tally.frees == 0)
        fuzz_release(b);
    return fuzz_tally.seen == fuzz_tally.stop_after ? 7 : 0;
}

void fuzz_op_cache_iterate(void)
{
    struct fuzz_cache *c = choose();
    unsigned how = fuzz_byte();
    int result;
    if (c == NULL)
        return;
    fuzz_tally_begin(NULL, c);
    fuzz_tally.stop_after = how < 64 ? how + 1 : 0;
    fuzz_tally.frees = how % 4;
    result = sla_cache_iterate(c->handle, visit, c);
    fuzz.ops++;
    if (result == 0)
        FUZZ_REQUIRE(fuzz_tally.seen == fuzz_tally.count);
    else
        FUZZ_REQUIRE(result == 7 && fuzz_tally.seen == fuzz_tally.stop_after);
}

void fuzz_cache_end(struct fuzz_cache *c)
{
    for (struct fuzz_block *b; c->live > 0 && (b = fuzz_find(is_of, c)) != NULL;)
        fuzz_release(b);
    FUZZ_REQUIRE(c->live == 0 && sla_cache_destroy(c->handle) == 0);
    fuzz.ops++;
    if (constructs(c) && destroys(c))
        FUZZ_REQUIRE(c->made == c->gone);
    c->handle = NULL;
}

void fuzz_op_cache_destroy(void)
{
    struct fuzz_cache *c = choose();
    unsigned how = fuzz_byte();
    if (c == NULL)
        return;
    if (c->live == 0 || how % 4 != 0) {
        fuzz_cache_end(c);
        return;
    }
    fuzz_silence(true); /* it says how many */
    FUZZ_REQUIRE(sla_cache_destroy(c->handle) == -1);
    fuzz_refused(EBUSY);
    fuzz_silence(false);
    fuzz.ops++;
    look(c, true); /* no other thread has any */
}

/* --- for trim and maintain --- */

void fuzz_caches_gone(size_t *gone)
{
    for (unsigned i = 0; i < FUZZ_CACHES; i++)
        gone[i] = fuzz.caches[i].gone;
}

void fuzz_caches_check_kept(const size_t *gone)
{
    for (unsigned i = 0; i < FUZZ_CACHES; i++) {
        const struct fuzz_cache *c = &fuzz.caches[i];
        if (c->handle != NULL && (c->flags & (SLA_CACHE_NO_REAP | SLA_CACHE_TYPE_STABLE)) != 0)
            FUZZ_REQUIRE(c->gone == gone[i]);
    }
}
