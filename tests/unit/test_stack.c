/*
 * test_stack.c: refill, overflow, flush, limits and the sweep.
 *
 * Each test runs in a thread of its own, so that its stacks are as a thread's first.
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "heap/meta.h"
#include "heap/purge.h"
#include "util/list.h"

#define MOST 40000
static void *blocks[MOST];

/* Of a class not used yet: what it begins with. */
static size_t limit_of(const struct slai_tcache *tc, unsigned c)
{
    if (tc->bins[c].base == NULL)
        return slai_classes[c].limit_first;
    return (size_t)(tc->stacks[c].limit - tc->bins[c].base);
}

/* What limits have grown by, in bytes. */
static long grown(const struct slai_tcache *tc)
{
    long sum = 0;
    for (unsigned c = 1; c < SLAI_CLASSES; c++)
        sum += ((long)limit_of(tc, c) - (long)slai_classes[c].limit_first) * (long)slai_class_size(c);
    return sum;
}

/* The cache is in order, and its budget, of `all` bytes, is kept. */
static void expect_in_order(struct slai_tcache *tc, long all)
{
    for (unsigned c = 1; c < SLAI_CLASSES; c++) {
        const struct slai_bin *bin = &tc->bins[c];
        UNIT_EXPECT((bin->base != NULL) == (slai_open_after(tc, c - 1) == c));
        if (bin->base == NULL) {
            UNIT_EXPECT(*tc->stacks[c].top == NULL && tc->stacks[c].top == tc->stacks[c].limit);
            UNIT_EXPECT(bin->partial.first == NULL && bin->full.first == NULL);
            continue;
        }
        UNIT_EXPECT(bin->base[0] == NULL);
        UNIT_EXPECT(slai_stack_count(tc, c) <= limit_of(tc, c));
        UNIT_EXPECT(limit_of(tc, c) <= bin->room || bin->room == 0);
        UNIT_EXPECT(limit_of(tc, c) >= slai_classes[c].limit_first);
        UNIT_EXPECT(limit_of(tc, c) <= slai_classes[c].limit_max);
        for (const struct slai_link *l = bin->partial.first; l != NULL; l = l->next) {
            const struct slai_span *s = SLA_CONTAINER(l, struct slai_span, link);
            UNIT_EXPECT(s->owner == tc && s->class == c && s->place == SLAI_PARTIAL && !slai_slab_full(s));
        }
        for (const struct slai_link *l = bin->full.first; l != NULL; l = l->next) {
            const struct slai_span *s = SLA_CONTAINER(l, struct slai_span, link);
            UNIT_EXPECT(s->owner == tc && s->class == c && s->place == SLAI_FULL && slai_slab_full(s));
        }
    }
    UNIT_EXPECT(tc->busy == 0);
    UNIT_EXPECT(tc->budget >= 0);
    UNIT_EXPECT(tc->budget + grown(tc) == all);
}

/* --- refill; the argument is the class --- */

static void *refill_lowest_first(void *arg)
{
    unsigned c = *(unsigned *)arg;
    struct slai_tcache *tc = slai_cache_get();
    uint32_t want = 4, limit = slai_classes[c].limit_first;
    size_t n = 0, size = slai_class_size(c);
    for (int round = 0; round < 6; round++) {
        uint32_t batch = want < limit ? want : limit;
        void *block = slai_stack_refill(tc, c);
        UNIT_EXPECT(block != NULL && tc->bins[c].refilled == 1);
        UNIT_EXPECT(slai_stack_count(tc, c) <= batch - 1); /* less only where a slab ends */
        UNIT_EXPECT(tc->bins[c].held == slai_stack_count(tc, c));
        blocks[n++] = block;
        while (slai_stack_count(tc, c) > 0)
            blocks[n++] = *tc->stacks[c].top--;
        want *= 2;
    }
    for (size_t i = 1; i < n; i++) /* within a slab upwards, without a gap */
        UNIT_EXPECT(slai_slab_of(blocks[i]) != slai_slab_of(blocks[i - 1]) ||
                    (char *)blocks[i] == (char *)blocks[i - 1] + size);
    UNIT_EXPECT_SOUND();
    for (size_t i = 0; i < n; i++)
        sla_free(blocks[i]);
    return NULL;
}

static void *free_many(void *arg)
{
    unsigned c = *(unsigned *)arg;
    struct slai_tcache *tc = slai_cache_get();
    long all = tc->budget;
    size_t n = slai_classes[c].limit_max * (size_t)3, size = slai_class_size(c);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < n; i++)
            UNIT_EXPECT((blocks[i] = sla_malloc(size)) != NULL);
        expect_in_order(tc, all);
        for (size_t i = 0; i < n; i++)
            sla_free(blocks[i]);
        expect_in_order(tc, all);
    }
    /* Demand has raised the limit; by how much the class and the budget allow. */
    UNIT_EXPECT(limit_of(tc, c) > slai_classes[c].limit_first);
    UNIT_EXPECT_SOUND();
    return NULL;
}

static void *flush_oldest_first(void *arg)
{
    unsigned c = *(unsigned *)arg;
    struct slai_tcache *tc = slai_cache_get();
    uint32_t n = slai_classes[c].limit_first;
    for (uint32_t i = 0; i < n; i++)
        blocks[i] = sla_malloc(slai_class_size(c));
    sla_thread_idle();
    for (uint32_t i = 0; i < n; i++)
        sla_free(blocks[i]);
    UNIT_EXPECT(slai_stack_count(tc, c) == n);
    slai_stack_flush(tc, c, n / 2);
    UNIT_EXPECT(slai_stack_count(tc, c) == n - n / 2);
    UNIT_EXPECT(tc->bins[c].held == n - n / 2);
    for (uint32_t i = n; i-- > n / 2;)
        UNIT_EXPECT(*tc->stacks[c].top-- == blocks[i]);
    UNIT_EXPECT(*tc->stacks[c].top == NULL);
    for (uint32_t i = n / 2; i < n; i++)
        sla_free(blocks[i]);
    UNIT_EXPECT_SOUND();
    return NULL;
}

static void *idle_leaves_nothing(void *arg)
{
    unsigned c = *(unsigned *)arg;
    struct slai_tcache *tc = slai_cache_get();
    (void)sla_trim(0); /* and what the depot keeps */
    size_t used = slai_pageheap.used_pages, n = slai_classes[c].capacity * (size_t)2 + 3;
    for (size_t i = 0; i < n; i++)
        UNIT_EXPECT((blocks[i] = sla_malloc(slai_class_size(c))) != NULL);
    for (size_t i = 0; i < n; i++)
        if (i != 1)
            sla_free(blocks[i]);
    sla_thread_idle();
    UNIT_EXPECT(slai_stack_count(tc, c) == 0);
    UNIT_EXPECT(slai_pageheap.used_pages == used + slai_classes[c].pages);
    UNIT_EXPECT(slai_slab_of(blocks[1])->used == 1);
    sla_free(blocks[1]);
    sla_thread_idle();
    UNIT_EXPECT(tc->bins[c].partial.first == NULL && tc->bins[c].full.first == NULL);
    (void)sla_trim(0);
    UNIT_EXPECT(slai_pageheap.used_pages == used);
    UNIT_EXPECT_SOUND();
    return NULL;
}

static void *(*const per_class[])(void *) = {refill_lowest_first, free_many, flush_oldest_first, idle_leaves_nothing};

START_TEST(class_by_class)
{
    unsigned c = 1 + (unsigned)_i % (SLAI_CLASSES - 1);
    sla_thread_idle();
    unit_in_thread(per_class[_i / (SLAI_CLASSES - 1)], &c);
}
END_TEST

/* --- limits --- */

static void *budget_is_kept(void *arg)
{
    struct slai_tcache *tc = slai_cache_get();
    struct support_rng rng;
    long all = 20000;
    size_t count = 0;
    support_seed(&rng, *(unsigned *)arg);
    tc->budget = all;
    for (size_t step = 0; step < 20000; step++) {
        if (count == 3000 || (count > 0 && support_below(&rng, 2) != 0)) {
            size_t i = support_below(&rng, count);
            sla_free(blocks[i]);
            blocks[i] = blocks[--count];
        } else {
            size_t size = support_below(&rng, 3) != 0 ? support_below(&rng, 600) : support_below(&rng, 32769);
            UNIT_EXPECT((blocks[count++] = sla_malloc(size)) != NULL);
        }
        if (step % 1000 == 0)
            expect_in_order(tc, all);
    }
    while (count > 0)
        sla_free(blocks[--count]);
    expect_in_order(tc, all);
    UNIT_EXPECT(tc->budget < all);
    UNIT_EXPECT_SOUND();
    return NULL;
}

START_TEST(budget)
{
    unsigned seed = (unsigned)_i;
    unit_in_thread(budget_is_kept, &seed);
}
END_TEST

static void *allocate_many(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < 4000; i++)
        blocks[i] = sla_malloc(256);
    return NULL;
}

/* A thread that only frees keeps little. */
static void *only_free(void *arg)
{
    struct slai_tcache *tc = slai_cache_get();
    unsigned c = slai_class_of(256);
    (void)arg;
    for (size_t i = 0; i < 4000; i++)
        sla_free(blocks[i]);
    UNIT_EXPECT(slai_stack_count(tc, c) * 256 <= 16384);
    return NULL;
}

START_TEST(one_way)
{
    unit_in_thread(allocate_many, NULL);
    unit_in_thread(only_free, NULL);
}
END_TEST

/* Demand that swings by a little less than the limit soon needs no slow path. */
static void *swing(void *arg)
{
    struct slai_tcache *tc = slai_cache_get();
    unsigned c = *(unsigned *)arg;
    uint32_t n = slai_classes[c].limit_max * 39u / 40, events = 0;
    for (int round = 0; round < 50; round++) {
        if (round == 40)
            events = tc->events;
        for (uint32_t i = 0; i < n; i++)
            UNIT_EXPECT((blocks[i] = sla_malloc(slai_class_size(c))) != NULL);
        for (uint32_t i = n; i-- > 0;)
            sla_free(blocks[i]);
    }
    UNIT_EXPECT(tc->events == events);
    UNIT_EXPECT_SOUND();
    return NULL;
}

START_TEST(swing_soon_fits)
{
    static const size_t sizes[] = {16, 64, 100, 1000, 5000, 20000, 65536};
    unsigned c = slai_class_of(sizes[_i]);
    unit_in_thread(swing, &c);
}
END_TEST

/* After a flush that followed a refill the next batch is smaller, and as it is for some refills. */
static void *batch_adapts(void *arg)
{
    struct slai_tcache *tc = slai_cache_get();
    unsigned c = slai_class_of(64);
    struct slai_bin *bin = &tc->bins[c];
    (void)arg;
    tc->budget = 0;
    for (size_t i = 0; i < 60; i++)
        blocks[i] = sla_malloc(64);
    uint32_t batch = bin->batch;
    UNIT_EXPECT(batch >= 16 && bin->calm == 0);
    for (size_t i = 0; i < 50; i++)
        sla_free(blocks[i]);
    UNIT_EXPECT(bin->batch == batch / 2 && bin->refilled == 0 && bin->calm > 0);
    for (unsigned calm = bin->calm; calm > 0; calm--) {
        slai_stack_flush(tc, c, slai_stack_count(tc, c));
        sla_free(slai_stack_refill(tc, c));
        UNIT_EXPECT(bin->batch == batch / 2);
    }
    slai_stack_flush(tc, c, slai_stack_count(tc, c));
    sla_free(slai_stack_refill(tc, c));
    UNIT_EXPECT(bin->batch == batch / 2 * 2);
    for (size_t i = 50; i < 60; i++)
        sla_free(blocks[i]);
    UNIT_EXPECT_SOUND();
    return NULL;
}

START_TEST(batch) { unit_in_thread(batch_adapts, NULL); }
END_TEST

/* --- the sweep --- */

static void *idle_class_is_swept(void *arg)
{
    struct slai_tcache *tc = slai_cache_get();
    unsigned c = slai_class_of(64), busy = slai_class_of(512);
    long all = tc->budget;
    (void)arg;
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < 3000; i++)
            blocks[i] = sla_malloc(64);
        for (size_t i = 0; i < 3000; i++)
            sla_free(blocks[i]);
    }
    uint32_t count = slai_stack_count(tc, c);
    size_t limit = limit_of(tc, c);
    UNIT_EXPECT(limit >= 4 * slai_classes[c].limit_first && count > limit / 4);
    for (int sweep = 0; sweep < 14; sweep++) {
        for (int i = 0; i < 1024; i++)
            slai_stack_overflow(tc, busy); /* not full: only the tick */
        UNIT_EXPECT(slai_stack_count(tc, c) <= count && limit_of(tc, c) <= limit);
        UNIT_EXPECT(sweep < 1 || slai_stack_count(tc, c) <= (count + 1) / 2 || count <= 1);
        count = slai_stack_count(tc, c);
        limit = limit_of(tc, c);
        expect_in_order(tc, all);
    }
    UNIT_EXPECT(count == 0);
    UNIT_EXPECT(limit == slai_classes[c].limit_first);
    UNIT_EXPECT(tc->budget == all);
    UNIT_EXPECT_SOUND();
    return NULL;
}

START_TEST(sweep) { unit_in_thread(idle_class_is_swept, NULL); }
END_TEST

static void *slow_paths_purge(void *arg)
{
    struct slai_tcache *tc = slai_cache_get();
    (void)arg;
    sla_free(sla_malloc(support_size(100000)));
    (void)slai_purge(SLAI_PURGE_DUE, 0); /* stamps */
    unit_sleep(40);
    for (int i = 0; i < 64; i++)
        slai_stack_overflow(tc, 1);
    UNIT_EXPECT(slai_pageheap.free_pages[0] == 0);
    return NULL;
}

START_TEST(purging_is_seen_to)
{
    unit_tidy();
    slai_conf.purge_delay = 10;
    unit_in_thread(slow_paths_purge, NULL);
}
END_TEST

/* --- refusals --- */

#define HOARD_MAX 20000
static struct slai_span *hoard[HOARD_MAX];

static void *refill_refused(void *arg)
{
    unsigned c = *(unsigned *)arg;
    struct slai_tcache *tc = slai_cache_get();
    size_t n = 0;
    unit_refuse(SLAI_CALL_COMMIT, 1);
    unit_refuse(SLAI_CALL_RESERVE, 1);
    (void)sla_trim(0);
    while (n < HOARD_MAX && (hoard[n] = slai_pages_take(1, 1, SLAI_KIND_BUSY)) != NULL)
        n++;
    /* What slabs of other threads have left is found before memory counts as out. */
    void *chain = NULL, *next;
    while ((next = sla_malloc(slai_class_size(c))) != NULL) {
        *(void **)next = chain;
        chain = next;
    }
    for (int i = 0; i < 3; i++) {
        errno = 0;
        UNIT_EXPECT(slai_stack_refill(tc, c) == NULL && errno == ENOMEM);
        UNIT_EXPECT(slai_stack_count(tc, c) == 0 && tc->busy == 0 && tc->bins[c].held == 0);
        errno = 0;
        UNIT_EXPECT(sla_malloc(slai_class_size(c)) == NULL && errno == ENOMEM);
    }
    UNIT_EXPECT_SOUND();
    unit_no_faults();
    while (n > 0)
        slai_pages_give(hoard[--n]);
    for (; chain != NULL; chain = next) {
        next = *(void **)chain;
        sla_free(chain);
    }
    errno = SENTINEL_ERRNO;
    void *p = sla_malloc(slai_class_size(c));
    UNIT_EXPECT(p != NULL && errno == SENTINEL_ERRNO);
    sla_free(p);
    return NULL;
}

START_TEST(refill_without_memory)
{
    unsigned c = 1 + (unsigned)_i * 12;
    sla_thread_idle();
    unit_in_thread(refill_refused, &c);
}
END_TEST

/* No metadata for a longer stack: it stays as it is and flushes. */
static void *growth_refused(void *arg)
{
    struct slai_tcache *tc = slai_cache_get();
    unsigned c = slai_class_of(128);
    size_t first = slai_classes[c].limit_first, bytes = (first * 2 + 1) * sizeof(void *);
    long all = tc->budget;
    void **chain = NULL, **p;
    (void)arg;
    for (size_t i = 0; i < 500; i++)
        blocks[i] = sla_malloc(128);
    unit_refuse(SLAI_CALL_RESERVE, 1);
    unit_refuse(SLAI_CALL_COMMIT, 1);
    while ((p = slai_meta_take(bytes)) != NULL) {
        *p = chain;
        chain = p;
    }
    errno = SENTINEL_ERRNO;
    for (size_t i = 0; i < 500; i++)
        sla_free(blocks[i]);
    UNIT_EXPECT(errno == SENTINEL_ERRNO); /* I8 */
    UNIT_EXPECT(limit_of(tc, c) == first);
    expect_in_order(tc, all);
    UNIT_EXPECT_SOUND();
    unit_no_faults();
    while (chain != NULL) {
        void **next = *chain;
        slai_meta_give(chain, bytes);
        chain = next;
    }
    return NULL;
}

START_TEST(growth_without_metadata) { unit_in_thread(growth_refused, NULL); }
END_TEST

/* --- misuse found by flushing --- */

static void *double_free_is_found(void *arg)
{
    (void)arg;
    slai_conf.abort = 0;
    void *a = sla_malloc(200), *b = sla_malloc(200);
    sla_free(a);
    sla_free(b);
    sla_free(a); /* not the block freed last, so it goes through to the slab */
    sla_thread_idle();
    blocks[0] = a;
    UNIT_EXPECT_SOUND();
    return NULL;
}

static void *block_of_a_gone_slab(void *arg)
{
    (void)arg;
    slai_conf.abort = 0;
    void *a = sla_malloc(208), *b = sla_malloc(208);
    sla_free(a);
    sla_free(b);
    (void)sla_trim(0);
    UNIT_EXPECT(slai_kind(slai_page_of(a)) != SLAI_KIND_SLAB);
    struct slai_tcache *tc = slai_tcache;
    unsigned c = slai_class_of(208);
    tc->stacks[c].top[1] = a; /* as a free would that raced with the end of the slab */
    tc->stacks[c].top++;
    sla_thread_idle();
    blocks[0] = a;
    UNIT_EXPECT(slai_stack_count(tc, c) == 0);
    UNIT_EXPECT_SOUND();
    return NULL;
}

START_TEST(misuse_is_found_at_the_flush)
{
    static void *(*const ways[])(void *) = {double_free_is_found, block_of_a_gone_slab};
    char want[128];
    unit_catch();
    unit_in_thread(ways[_i], NULL);
    snprintf(want, sizeof(want), "slaballoc: free(0x%jx): block already free (size class 208)\n",
             (uintmax_t)(uintptr_t)blocks[0]);
    ck_assert_str_eq(unit_caught(), want);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stack");
    TCase *tc = unit_case(suite, "stack");
    tcase_add_loop_test(tc, class_by_class, 0, 4 * (SLAI_CLASSES - 1));
    tcase_add_loop_test(tc, budget, 0, 3);
    tcase_add_test(tc, one_way);
    tcase_add_loop_test(tc, swing_soon_fits, 0, 7);
    tcase_add_test(tc, batch);
    tcase_add_test(tc, sweep);
    tcase_add_test(tc, purging_is_seen_to);
    tcase_add_loop_test(tc, refill_without_memory, 0, 6);
    tcase_add_test(tc, growth_without_metadata);
    tcase_add_loop_test(tc, misuse_is_found_at_the_flush, 0, 2);
    return support_main(suite);
}
