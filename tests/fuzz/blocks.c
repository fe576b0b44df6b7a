/*
 * blocks.c: the operations of malloc's family.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fuzz.h"


/* --- arguments --- */

static size_t raw_size(void)
{
    unsigned kind = fuzz_byte();
    switch (kind % 16) {
    case 0: case 1: case 2: case 3: case 4: case 5: case 6: case 7:
        return fuzz_byte();
    case 8: case 9: case 10:
        return fuzz_word() % 2049;
    case 11:
        return fuzz_word() / 2 + 1;
    case 12: { /* about a class's size */
        size_t step = (size_t)1 << (kind / 16 % 10 + 5), size = 8 * step + fuzz_byte() % 9 * step;
        return size - 1 + fuzz_byte() % 3;
    }
    case 13:
        return fuzz_word() + fuzz_byte() * 20;
    case 14:
        return (size_t)fuzz_word() * (kind / 16 < 8 ? 6 : 1) / 2;
    default:
        return (size_t)fuzz_word() * (kind / 16 < 3 ? 40 : 1);
    }
}

size_t fuzz_size(void)
{
    size_t size = raw_size();
    if (size > fuzz.size_most)
        size %= fuzz.size_most + 1;
    return fuzz.bytes + size > fuzz.bytes_most ? size % 256 : size;
}

static size_t alignment(void)
{
    unsigned byte = fuzz_byte();
    return (size_t)1 << (byte < 224 ? byte % 13 : byte % 21);
}

/* So that one more may be had. */
static void make_room(void)
{
    while (fuzz.live_count >= fuzz.live_most)
        fuzz_release(&fuzz.blocks[fuzz.live[fuzz_random() % fuzz.live_count]]);
}

/* A place for a block that a call is about to make in this heap. */
static struct fuzz_block *expect(struct fuzz_heap *heap, size_t align)
{
    struct fuzz_block *b;
    make_room();
    b = fuzz_spare();
    b->heap = heap;
    b->align = align;
    fuzz_call_begin(heap);
    return b;
}

/* What the call gave. */
static bool accept(struct fuzz_block *b, void *start, size_t size)
{
    fuzz.ops++;
    if (start != NULL) {
        fuzz_begin(b, start, size);
        return true;
    }
    fuzz_refused(ENOMEM);
    FUZZ_REQUIRE(fuzz_may_refuse(b->heap, (size + !size + b->align - 1) & -b->align)); /* 0 bytes take a block, too */
    fuzz_unspare(b);
    return false;
}

/* --- making --- */

void fuzz_op_malloc(void)
{
    size_t size = fuzz_size();
    struct fuzz_block *b = expect(fuzz_current_heap(), 1);
    if (accept(b, sla_malloc(size), size))
        FUZZ_REQUIRE(b->usable == sla_good_size(size));
}

static void *zeroed(struct fuzz_heap *heap, bool by_name, size_t count, size_t size)
{
    void *start = by_name ? sla_heap_calloc(fuzz_handle(heap), count, size) : sla_calloc(count, size);
    if (start != NULL)
        fuzz_require_zero(start, 0, count * size);
    return start;
}

void fuzz_op_calloc(void)
{
    size_t size = fuzz_size(), count = 1 + fuzz_byte() % 4 * (size_t)(size < 1024);
    struct fuzz_block *b = expect(fuzz_current_heap(), 1);
    (void)accept(b, zeroed(b->heap, false, count, size), count * size);
}

void fuzz_op_aligned(void)
{
    size_t align = alignment(), size = fuzz_size();
    unsigned how = fuzz_byte() % 3;
    struct fuzz_block *b = expect(fuzz_current_heap(), align);
    void *start = &fuzz;
    if (how == 0) {
        start = sla_aligned_alloc(align, size);
    } else if (how == 1) {
        b->align = align < 2 ? 1 : align;
        start = sla_memalign(align - (align > 4 ? align / 4 : 0), size); /* rounded up */
    } else {
        int error;
        b->align = align < sizeof(void *) ? sizeof(void *) : align;
        error = sla_posix_memalign(&start, b->align, size);
        if (error != 0) {
            FUZZ_REQUIRE(error == ENOMEM && start == &fuzz && errno == FUZZ_ERRNO);
            errno = error;
            start = NULL;
        }
    }
    (void)accept(b, start, size);
}

void fuzz_op_malloc_usable(void)
{
    size_t size = fuzz_size(), usable = 1;
    struct fuzz_block *b = expect(fuzz_current_heap(), 1);
    void *start = sla_malloc_usable(size, &usable);
    FUZZ_REQUIRE((start == NULL) == (usable == 0));
    if (accept(b, start, start != NULL ? usable : size))
        FUZZ_REQUIRE(b->usable == usable && usable >= size);
}

void fuzz_op_alloc_batch(void)
{
    void *blocks[FUZZ_BATCH];
    size_t size = fuzz_size(), count = fuzz_byte() % FUZZ_BATCH, got;
    struct fuzz_heap *heap = fuzz_current_heap();
    count = size > 4096 ? count % 8 : count;
    if (fuzz.live_count + count > fuzz.live_most)
        return;
    fuzz_call_begin(heap);
    got = sla_alloc_batch(size, blocks, count);
    fuzz.ops++;
    FUZZ_REQUIRE(got <= count);
    if (got < count)
        fuzz_refused(ENOMEM);
    for (size_t i = 0; i < got; i++) {
        struct fuzz_block *b = fuzz_spare();
        b->heap = heap;
        fuzz_begin(b, blocks[i], size);
    }
    FUZZ_REQUIRE(got == count || fuzz_may_refuse(heap, size));
}

void fuzz_op_burst(void)
{
    size_t size = fuzz_size(), count = 2 * fuzz_byte() + 1;
    struct fuzz_heap *heap = fuzz_current_heap();
    count = size > 4096 ? count % 16 : count;
    for (size_t i = 0; i < count && fuzz.live_count < fuzz.live_most; i++) {
        struct fuzz_block *b = expect(heap, 1);
        if (!accept(b, sla_malloc(size), size))
            return;
    }
}

/* --- by a heap's name --- */

static struct fuzz_heap *some_heap(void)
{
    struct fuzz_heap *h = &fuzz.heaps[fuzz_byte() % (FUZZ_HEAPS + 1) % FUZZ_HEAPS];
    return h->handle != NULL ? h : NULL;
}

void fuzz_op_heap_malloc(void)
{
    struct fuzz_heap *h = some_heap();
    size_t size = fuzz_size();
    struct fuzz_block *b = expect(h, 1);
    if (accept(b, sla_heap_malloc(fuzz_handle(h), size), size))
        FUZZ_REQUIRE(b->usable == sla_good_size(size));
}

void fuzz_op_heap_calloc(void)
{
    struct fuzz_heap *h = some_heap();
    size_t size = fuzz_size(), count = 1 + fuzz_byte() % 4 * (size_t)(size < 1024);
    struct fuzz_block *b = expect(h, 1);
    (void)accept(b, zeroed(h, true, count, size), count * size);
}

void fuzz_op_heap_aligned(void)
{
    struct fuzz_heap *h = some_heap();
    size_t align = alignment(), size = fuzz_size();
    struct fuzz_block *b = expect(h, align);
    (void)accept(b, sla_heap_aligned_alloc(fuzz_handle(h), align, size), size);
}

/* --- resizing --- */

/* After a call that was to resize b, which fuzz_leave() has taken out: `kept` bytes of it are where they were. */
static void moved(struct fuzz_block *b, struct fuzz_heap *to, void *start, size_t size, size_t kept)
{
    fuzz.ops++;
    if (start == NULL) {
        fuzz_refused(ENOMEM);
        fuzz_enter(b, b->start, b->size);
        fuzz_verify(b, b->size);
        FUZZ_REQUIRE(size > b->usable || b->heap != to);
        FUZZ_REQUIRE(fuzz_may_refuse(to, size));
        return;
    }
    b->start = start;
    fuzz_verify(b, kept < b->size ? kept : b->size);
    b->heap = to;
    b->align = 1;
    fuzz_begin(b, start, size);
}

static void gone(struct fuzz_block *b, const void *start)
{
    fuzz.ops++;
    FUZZ_REQUIRE(start == NULL && errno == FUZZ_ERRNO);
    fuzz_unspare(b);
}

static struct fuzz_block *choose_block(void)
{
    struct fuzz_block *b = fuzz_choose();
    if (b != NULL && b->cache == NULL)
        return b;
    fuzz_op_malloc();
    return NULL;
}

void fuzz_op_realloc(void)
{
    struct fuzz_block *b = choose_block();
    size_t size = fuzz_size();
    unsigned how = fuzz_byte();
    void *start;
    if (b == NULL)
        return;
    if (how % 4 == 1) /* in small steps */
        size = b->size + size % 64;
    if (size > fuzz.size_most + 64 || fuzz.bytes + size > fuzz.bytes_most)
        size = b->size / 2;
    fuzz_verify(b, b->size);
    fuzz_leave(b);
    fuzz_call_begin(b->heap);
    start = how % 2 == 0 ? sla_realloc(b->start, size)
                         : sla_reallocarray(b->start, size % 3 == 0 ? 3 : 1, size % 3 == 0 ? size / 3 : size);
    if (size == 0)
        gone(b, start);
    else
        moved(b, b->heap, start, size, size);
}

void fuzz_op_heap_realloc(void)
{
    struct fuzz_heap *h = some_heap();
    size_t size = fuzz_size();
    bool fresh = fuzz_byte() % 8 == 0;
    struct fuzz_block *b = fresh ? NULL : fuzz_choose();
    void *start;
    if (b == NULL || b->cache != NULL) {
        b = expect(h, 1);
        (void)accept(b, sla_heap_realloc(fuzz_handle(h), NULL, size), size);
        return;
    }
    fuzz_verify(b, b->size);
    fuzz_leave(b);
    fuzz_call_begin(h);
    start = sla_heap_realloc(fuzz_handle(h), b->start, size);
    if (size == 0)
        gone(b, start);
    else
        moved(b, h, start, size, size);
}

void fuzz_op_rezalloc(void)
{
    struct fuzz_block *b = choose_block();
    size_t size = fuzz_size(), old;
    unsigned how = fuzz_byte();
    void *start;
    if (b == NULL)
        return;
    old = how % 4 == 0 ? b->usable : how % 4 == 1 ? b->size / 2 : b->size;
    fuzz_verify(b, b->size);
    if (how % 16 == 15) {
        FUZZ_REQUIRE(sla_rezalloc(b->start, b->usable + 1 + how, size) == NULL);
        fuzz_refused(EINVAL);
        fuzz.ops++;
        return;
    }
    fuzz_leave(b);
    fuzz_call_begin(b->heap);
    start = sla_rezalloc(b->start, old, size);
    if (size == 0) {
        gone(b, start);
        return;
    }
    if (start != NULL && old < size)
        fuzz_require_zero(start, old, size);
    moved(b, b->heap, start, size, old < size ? old : size);
}

void fuzz_op_try_expand(void)
{
    struct fuzz_block *b = choose_block();
    size_t least = fuzz_size(), most = fuzz_size(), got;
    if (b == NULL)
        return;
    fuzz_call_begin(b->heap);
    fuzz.ops++;
    if (least > most) {
        FUZZ_REQUIRE(sla_try_expand(b->start, least, most) == 0);
        fuzz_refused(EINVAL);
        return;
    }
    fuzz_verify(b, b->size);
    fuzz_leave(b);
    got = sla_try_expand(b->start, least, most);
    if (got == 0) {
        fuzz_refused(ENOMEM);
        fuzz_enter(b, b->start, b->size);
        FUZZ_REQUIRE(b->usable < least);
        return;
    }
    FUZZ_REQUIRE(got >= least && got >= b->usable && got <= (most > b->usable ? most + FUZZ_PAGE : b->usable));
    fuzz_verify(b, b->size);
    fuzz_begin(b, b->start, got > b->usable ? got : b->size);
    FUZZ_REQUIRE(b->usable == got);
}

/* --- freeing --- */

void fuzz_op_free(void)
{
    struct fuzz_block *b = fuzz_choose();
    if (b != NULL) {
        fuzz_release(b);
    } else {
        sla_free(NULL);
        fuzz.ops++;
    }
}

void fuzz_op_free_sized(void)
{
    struct fuzz_block *b = fuzz_choose();
    unsigned how = fuzz_byte();
    unsigned char *start;
    size_t size, align;
    if (b == NULL || b->cache != NULL)
        return;
    start = b->start;
    size = how & 1 ? b->size : b->usable;
    align = b->align;
    fuzz_verify(b, b->size);
    fuzz_end(b);
    if ((how & 6) != 0)
        sla_free_sized(start, size);
    else
        sla_free_aligned_sized(start, align, size);
    fuzz.ops++;
}

void fuzz_op_free_batch(void)
{
    void *blocks[FUZZ_BATCH];
    size_t count = fuzz_byte() % FUZZ_BATCH;
    unsigned how = fuzz_byte();
    for (size_t i = 0; i < count; i++) {
        size_t n = fuzz.live_count;
        struct fuzz_block *b = n > 0 ? &fuzz.blocks[fuzz.live[how & 1 ? n - 1 : fuzz_random() % n]] : NULL;
        blocks[i] = NULL;
        if (b == NULL || b->cache != NULL)
            continue;
        fuzz_verify(b, b->size);
        blocks[i] = b->start;
        fuzz_end(b);
    }
    if (how & 2) /* back to front */
        for (size_t i = 0; i < count / 2; i++) {
            void *other = blocks[i];
            blocks[i] = blocks[count - 1 - i];
            blocks[count - 1 - i] = other;
        }
    sla_free_batch(blocks, count);
    fuzz.ops++;
}

static bool same_size(const struct fuzz_block *b, const void *arg) { return b->usable == *(const size_t *)arg; }

void fuzz_op_drain(void)
{
    size_t count = 2 * fuzz_byte() + 1;
    unsigned how = fuzz_byte();
    struct fuzz_block *b = fuzz_choose();
    size_t usable = b != NULL ? b->usable : 0;
    for (; count > 0 && fuzz.live_count > 0 && b != NULL; count--) {
        switch (how % 4) {
        case 0: b = &fuzz.blocks[fuzz.live[0]]; break;
        case 1: b = &fuzz.blocks[fuzz.live[fuzz.live_count - 1]]; break;
        case 2: b = &fuzz.blocks[fuzz.live[fuzz_random() % fuzz.live_count]]; break;
        default: b = fuzz_find(same_size, &usable);
        }
        if (b != NULL)
            fuzz_release(b);
    }
}

/* One goes, one comes, both at random. */
void fuzz_op_churn(void)
{
    size_t count = 2 * fuzz_byte() + 1, most = fuzz_size() % 4096 + 1;
    struct fuzz_heap *heap = fuzz_current_heap();
    for (; count > 0; count--) {
        size_t size = fuzz_random() % most;
        struct fuzz_block *b = fuzz.live_count > 0 ? &fuzz.blocks[fuzz.live[fuzz_random() % fuzz.live_count]] : NULL;
        if (b != NULL && b->cache == NULL)
            fuzz_release(b);
        b = expect(heap, 1);
        if (!accept(b, sla_malloc(size), size))
            return;
    }
}

void fuzz_op_verify(void)
{
    struct fuzz_block *b = fuzz_choose();
    if (b != NULL)
        fuzz_verify(b, b->size);
}

/* --- what must be refused, whatever the heap --- */

void fuzz_op_refused(void)
{
    unsigned how = fuzz_byte();
    /* Volatile: out of the compiler's sight, which warns of such sizes. */
    volatile size_t hidden = (how & 16 ? SIZE_MAX : (size_t)PTRDIFF_MAX + 65536) - fuzz_word();
    size_t size = hidden, usable = 1;
    size_t count = fuzz_byte() + 2, odd = 3 + 2 * (size_t)fuzz_byte();
    struct fuzz_block *b = fuzz_choose();
    void *start = b != NULL && b->cache == NULL ? b->start : NULL, *out = &fuzz, *got = NULL;
    sla_heap_t *heap = fuzz_handle(some_heap());
    int error = ENOMEM;
    size += size <= PTRDIFF_MAX ? PTRDIFF_MAX / 2 : 0;
    switch (how % 16) {
    case 0: got = sla_malloc(size); break;
    case 1: got = sla_calloc(SIZE_MAX / count + 1, count); break;
    case 2: got = sla_malloc_usable(size, &usable); break;
    case 3: got = sla_realloc(start, size); break;
    case 4: got = sla_reallocarray(start, count, SIZE_MAX / count + 1); break;
    case 5: got = sla_rezalloc(start, 0, size); break;
    case 6: got = sla_aligned_alloc(count & 1 ? 4096 : 64, size); break;
    case 7: got = sla_memalign(64, size); break;
    case 8: errno = sla_posix_memalign(&out, 64, size); break;
    case 9: got = sla_aligned_alloc(odd, 64), error = EINVAL; break;
    case 10: errno = sla_posix_memalign(&out, odd, 64), error = EINVAL; break;
    case 11: got = sla_heap_malloc(heap, size); break;
    case 12: got = sla_heap_calloc(heap, count, SIZE_MAX / count + 1); break;
    case 13: got = sla_heap_realloc(heap, start, size); break;
    case 14: got = sla_heap_aligned_alloc(heap, odd, 64), error = EINVAL; break;
    default: usable = sla_alloc_batch(size, &got, 1);
    }
    fuzz.ops++;
    FUZZ_REQUIRE(got == NULL && out == (void *)&fuzz && (usable == 0 || (how % 16 != 2 && how % 16 != 15)));
    fuzz_refused(error);
    if (start != NULL)
        fuzz_verify(b, b->size);
}
