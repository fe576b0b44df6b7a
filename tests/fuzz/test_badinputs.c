/*
 * test_badinputs.c: arguments that must be refused, for every function that
 * takes a size, an alignment or a count: the result, errno, and all that is to
 * be left alone.  First a table of the edges, then random ones.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include "heap/check.h"

#include <slaballoc/cache.h>
#include <slaballoc/heap.h>

#define LENGTH 200
#define BIG_LENGTH ((size_t)300000)

/* --- what must stay as it is --- */

static struct {
    unsigned char *small, *big, *inner; /* the last is a heap's */
    sla_heap_t *heap;
    sla_cache_t *cache;
    size_t live, done;
} world;

static size_t live_bytes(void)
{
    sla_stats_t st;
    ck_assert_int_eq(sla_stats_get(&st, sizeof(st)), 0);
    return st.live;
}

static void begin(void)
{
    world.heap = sla_heap_create("h");
    world.cache = sla_cache_create("c", 64, 0, 0, NULL, NULL, NULL);
    world.small = sla_malloc(LENGTH);
    world.big = sla_malloc(BIG_LENGTH);
    world.inner = sla_heap_malloc(world.heap, LENGTH);
    ck_assert(world.heap != NULL && world.cache != NULL && world.small != NULL);
    ck_assert(world.big != NULL && world.inner != NULL);
    support_fill(world.small, LENGTH, 1);
    support_fill(world.big, BIG_LENGTH, 2);
    support_fill(world.inner, LENGTH, 3);
    world.live = live_bytes();
    world.done = 0;
    errno = SENTINEL_ERRNO;
}

static void check_all(void)
{
    ck_assert(support_matches(world.small, LENGTH, 1) && support_matches(world.inner, LENGTH, 3));
    ck_assert(support_matches(world.big, BIG_LENGTH, 2));
    ck_assert_uint_eq(live_bytes(), world.live);
    ck_assert_ptr_null(slai_check_heap());
}

static void end(void)
{
    check_all();
    sla_free(world.small);
    sla_free(world.big);
    ck_assert_int_eq(sla_cache_destroy(world.cache), 0);
    sla_heap_destroy(world.heap);
}

/* --- what a call gave --- */

#define REFUSED(condition, error) refused((condition), (error), #condition)

static void refused(int as_it_must, int error, const char *what)
{
    if (!as_it_must || errno != error)
        ck_abort_msg("%s: %s, errno %d and not %d", what, as_it_must ? "true" : "false", errno, error);
    errno = SENTINEL_ERRNO;
    if (++world.done % 4096 == 0)
        check_all();
}

static void *const untouched = &world;

/* A size that no call can give; whatever the alignment is. */
static void bad_size(size_t size)
{
    size_t usable = 1;
    void *out[2] = {untouched, untouched};
    REFUSED(sla_malloc(size) == NULL, ENOMEM);
    REFUSED(sla_calloc(1, size) == NULL, ENOMEM);
    REFUSED(sla_calloc(size, 1) == NULL, ENOMEM);
    REFUSED(sla_malloc_usable(size, &usable) == NULL && usable == 0, ENOMEM);
    REFUSED(sla_realloc(NULL, size) == NULL, ENOMEM);
    REFUSED(sla_realloc(world.small, size) == NULL, ENOMEM);
    REFUSED(sla_realloc(world.big, size) == NULL, ENOMEM);
    REFUSED(sla_realloc(world.inner, size) == NULL, ENOMEM);
    REFUSED(sla_reallocarray(world.small, 1, size) == NULL, ENOMEM);
    REFUSED(sla_reallocarray(world.big, size, 1) == NULL, ENOMEM);
    REFUSED(sla_rezalloc(NULL, 0, size) == NULL, ENOMEM);
    REFUSED(sla_rezalloc(world.small, 8, size) == NULL, ENOMEM);
    REFUSED(sla_rezalloc(world.big, 8, size) == NULL, ENOMEM);
    REFUSED(sla_try_expand(world.small, size, size) == 0, ENOMEM);
    REFUSED(sla_try_expand(world.big, size, SIZE_MAX) == 0, ENOMEM);
    REFUSED(sla_try_expand(world.inner, size, size) == 0, ENOMEM);
    REFUSED(sla_alloc_batch(size, out, 2) == 0 && out[0] == untouched && out[1] == untouched, ENOMEM);
    REFUSED(sla_heap_malloc(NULL, size) == NULL, ENOMEM);
    REFUSED(sla_heap_malloc(world.heap, size) == NULL, ENOMEM);
    REFUSED(sla_heap_calloc(world.heap, size, 1) == NULL, ENOMEM);
    REFUSED(sla_heap_calloc(NULL, 1, size) == NULL, ENOMEM);
    REFUSED(sla_heap_realloc(world.heap, NULL, size) == NULL, ENOMEM);
    REFUSED(sla_heap_realloc(world.heap, world.small, size) == NULL, ENOMEM);
    REFUSED(sla_heap_realloc(world.heap, world.inner, size) == NULL, ENOMEM);
    REFUSED(sla_heap_realloc(NULL, world.inner, size) == NULL, ENOMEM);
    REFUSED(sla_cache_create("x", size, 0, 0, NULL, NULL, NULL) == NULL, EINVAL);
}

/* Both good for themselves, but there is no such block. */
static void bad_aligned_size(size_t alignment, size_t size)
{
    void *out = untouched;
    REFUSED(sla_aligned_alloc(alignment, size) == NULL, ENOMEM);
    REFUSED(sla_memalign(alignment, size) == NULL, ENOMEM);
    REFUSED(sla_heap_aligned_alloc(world.heap, alignment, size) == NULL, ENOMEM);
    REFUSED(sla_heap_aligned_alloc(NULL, alignment, size) == NULL, ENOMEM);
    if (alignment >= sizeof(void *))
        REFUSED(sla_posix_memalign(&out, alignment, size) == ENOMEM && out == untouched, SENTINEL_ERRNO);
}

/* No power of two. */
static void bad_alignment(size_t alignment, size_t size)
{
    void *out = untouched;
    REFUSED(sla_aligned_alloc(alignment, size) == NULL, EINVAL);
    REFUSED(sla_heap_aligned_alloc(world.heap, alignment, size) == NULL, EINVAL);
    REFUSED(sla_posix_memalign(&out, alignment, size) == EINVAL && out == untouched, SENTINEL_ERRNO);
    if (alignment > SIZE_MAX / 2 + 1)
        REFUSED(sla_memalign(alignment, size) == NULL, EINVAL);
    if (alignment != 0)
        REFUSED(sla_cache_create("x", 64, alignment, 0, NULL, NULL, NULL) == NULL, EINVAL);
}

/* The product does not fit, or is too much. */
static void bad_product(size_t count, size_t size)
{
    REFUSED(sla_calloc(count, size) == NULL, ENOMEM);
    REFUSED(sla_reallocarray(NULL, count, size) == NULL, ENOMEM);
    REFUSED(sla_reallocarray(world.small, count, size) == NULL, ENOMEM);
    REFUSED(sla_reallocarray(world.big, count, size) == NULL, ENOMEM);
    REFUSED(sla_heap_calloc(NULL, count, size) == NULL, ENOMEM);
    REFUSED(sla_heap_calloc(world.heap, count, size) == NULL, ENOMEM);
}

/* What a block does not have. */
static void bad_old_size(size_t old, size_t size)
{
    REFUSED(sla_rezalloc(world.small, old, size) == NULL, EINVAL);
    REFUSED(sla_rezalloc(world.inner, old, size) == NULL, EINVAL);
    REFUSED(sla_rezalloc(NULL, old, size) == NULL, EINVAL);
    REFUSED(sla_try_expand(world.small, old, old - 1) == 0, EINVAL);
    REFUSED(sla_try_expand(NULL, size, old > size ? old : size) == 0, EINVAL);
    REFUSED(sla_heap_set_limit(world.heap, old, old - 1, NULL, NULL) == -1, EINVAL);
}

/* Not of whole words. */
static void bad_struct_size(size_t size)
{
    sla_stats_t st;
    sla_heap_stats_t hst;
    sla_cache_stats_t cst;
    memset(&st, 0x11, sizeof(st));
    REFUSED(sla_stats_get(&st, size) == -1 && st.live == (size_t)0x1111111111111111u, EINVAL);
    REFUSED(sla_heap_stats(world.heap, &hst, size) == -1, EINVAL);
    REFUSED(sla_cache_stats(world.cache, &cst, size) == -1, EINVAL);
}

static void bad_cache(size_t size, size_t alignment, unsigned flags)
{
    REFUSED(sla_cache_create(NULL, size, alignment, flags, NULL, NULL, NULL) == NULL, EINVAL);
}

static void *no_pages(size_t size, int *zero, void *arg)
{
    (void)size, (void)zero, (void)arg;
    return NULL;
}

static void bad_chunk(size_t chunk)
{
    sla_heap_pages_t pages = {no_pages, NULL, NULL, chunk};
    REFUSED(sla_heap_create_on("x", &pages) == NULL, EINVAL);
}

static void bad_option(const char *name, long value, int error)
{
    long old = 5;
    if (error == ENOENT)
        REFUSED(sla_option_get(name, &old) == -1 && old == 5, ENOENT);
    REFUSED(sla_option_set(name, value) == -1, error);
}

/* --- the edges --- */

#define BITS (8 * sizeof(size_t))
#define WIDE (BITS > 32) /* else a program may really have all that is not above PTRDIFF_MAX */
static const size_t tops[] = {SIZE_MAX, (size_t)PTRDIFF_MAX + 1 + 9000, SIZE_MAX - SIZE_MAX / 4,
                              WIDE ? PTRDIFF_MAX : SIZE_MAX, WIDE ? SIZE_MAX / 4 : SIZE_MAX,
                              WIDE ? SIZE_MAX >> 14 : SIZE_MAX};
static const size_t steps[] = {0, 1, 2, 7, 8, 15, 16, 31, 4095, 4096, 8191, 8192};

static void sizes_and_alignments(void)
{
    for (size_t i = 0; i < ARRAY_LEN(tops) * ARRAY_LEN(steps); i++) {
        size_t size = tops[i / ARRAY_LEN(steps)] - steps[i % ARRAY_LEN(steps)];
        bad_size(size);
        for (size_t shift = 0; shift < BITS - 1; shift += 7)
            bad_aligned_size((size_t)1 << shift, size);
    }
    for (size_t shift = WIDE ? 48 : BITS - 1; shift < BITS; shift++)
        for (size_t size = 1; size <= 1000000; size *= 100)
            bad_aligned_size((size_t)1 << shift, size);
    for (size_t shift = 1; shift < BITS; shift++) {
        size_t power = (size_t)1 << shift;
        for (size_t size = 0; size <= 100000; size = 10 * size + 1) {
            bad_alignment(power + 1 > 2 ? power + 1 : 3, size);
            bad_alignment(shift > 1 ? power - 1 : 0, size);
            bad_alignment(shift > 1 ? power + power / 2 : 5, size);
        }
    }
    for (size_t alignment = 1; alignment < sizeof(void *); alignment *= 2) {
        void *out = untouched;
        REFUSED(sla_posix_memalign(&out, alignment, 64) == EINVAL && out == untouched, SENTINEL_ERRNO);
    }
}

static void products_and_the_rest(void)
{
    static const char *const names[] = {"", " ", "purge", "purge_delay ", "Abort", "abort=1", "cache_size\n"};
    static const char *const options[] = {"purge_delay", "stats_at_exit", "verbose", "abort", "huge_pages",
                                          "cache_size", "reserve"};
    for (size_t count = 2; count < SIZE_MAX / 3; count = 3 * count + 1)
        for (size_t more = 0; more < 3; more++) {
            bad_product(count, SIZE_MAX / count + 1 + more);
            bad_product(SIZE_MAX / count + 1 + more, count);
            bad_product(count, PTRDIFF_MAX / count + 1 + more);
        }
    for (size_t old = sla_usable_size(world.small) + 1; old < SIZE_MAX / 2; old *= 3)
        bad_old_size(old, 100);
    for (size_t size = 0; size < 400; size++)
        if (size == 0 || size % sizeof(size_t) != 0)
            bad_struct_size(size);
    for (unsigned bit = 4; bit < 32; bit++)
        bad_cache(64, 0, 1u << bit);
    bad_cache(0, 0, 0);
    for (size_t more = 1; more < SIZE_MAX >> 24; more *= 5)
        bad_cache(SLA_CACHE_SIZE_MAX + more, 16, 0);
    for (size_t alignment = 2 * SLA_CACHE_ALIGN_MAX; alignment != 0; alignment *= 2)
        bad_cache(64, alignment, 0);
    for (size_t chunk = 1; chunk < SIZE_MAX / 8; chunk = 7 * chunk + 1)
        bad_chunk(chunk | 4096);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        bad_option(names[i], 1, ENOENT);
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        bad_option(options[i], -2, EINVAL);
        bad_option(options[i], PTRDIFF_MAX, EINVAL);
        bad_option(options[i], -PTRDIFF_MAX, EINVAL);
        bad_option(options[i], (1L << 30) + 1, EINVAL);
    }
}

START_TEST(edges)
{
    begin();
    sizes_and_alignments();
    products_and_the_rest();
    end();
    ck_assert_uint_ge(world.done, 2000);
    support_ran("bad inputs at the edges, %zu", world.done);
}
END_TEST

/* --- random ones --- */

static size_t random_top(struct support_rng *rng)
{
    size_t size = tops[support_below(rng, ARRAY_LEN(tops))] - support_below(rng, 9000);
    return support_below(rng, 4) != 0 ? size : (SIZE_MAX / 2 + 1) | support_next(rng);
}

static size_t random_odd(struct support_rng *rng)
{
    size_t alignment;
    do
        alignment = support_next(rng) >> support_below(rng, 60);
    while ((alignment & (alignment - 1)) == 0);
    return alignment;
}

static void random_one(struct support_rng *rng)
{
    size_t factor = support_below(rng, 100000) + 2, size = support_below(rng, 5000);
    switch (support_below(rng, 8)) {
    case 0: bad_size(random_top(rng)); break;
    case 1: bad_aligned_size((size_t)1 << support_below(rng, BITS - 1), random_top(rng)); break;
    case 2: bad_alignment(random_odd(rng), size); break;
    case 3: bad_product(factor, SIZE_MAX / factor + 1 + size); break;
    case 4: bad_product(SIZE_MAX / factor + 1 + size, factor); break;
    case 5: bad_old_size(sla_usable_size(world.small) + factor, size); break;
    case 6: bad_struct_size(size / sizeof(size_t) * sizeof(size_t) + 1 + factor % (sizeof(size_t) - 1)); break;
    default: bad_cache(SLA_CACHE_SIZE_MAX + factor, 0, (unsigned)factor % 16);
    }
}

#define SEED 4711
START_TEST(random_ones)
{
    struct support_rng rng;
    size_t wanted = support_plan(500000, 2000000, 10000000);
    support_seed(&rng, SEED);
    begin();
    while (world.done < wanted)
        random_one(&rng);
    end();
    support_ran("bad inputs at random, %zu, seed %d", world.done, SEED);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fuzz/badinputs");
    TCase *tc = tcase_create("badinputs");
    tcase_set_timeout(tc, support_long() ? 600 : 120);
    tcase_add_test(tc, edges);
    tcase_add_test(tc, random_ones);
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
