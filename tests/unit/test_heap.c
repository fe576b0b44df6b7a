/*
 * test_heap.c: heaps from inside: that the invariants hold, what is charged and
 * recounted, threads without a cache of the heap, numbers that are used again.
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "cache/heap.h"
#include "heap/slab.h"

#include <slaballoc/heap.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCKS 3000
static void *blocks[BLOCKS];

static void fill(sla_heap_t *heap)
{
    struct support_rng rng;
    support_seed(&rng, 5);
    for (size_t i = 0; i < BLOCKS; i++)
        UNIT_QUICK((blocks[i] = sla_heap_malloc(heap, support_random_size(&rng) % 200000)) != NULL);
}

static size_t pages_of(const sla_heap_t *heap)
{
    size_t pages = 0;
    for (size_t i = 0; i < slai_region_count; i++) {
        const struct slai_region *r = &slai_regions[i];
        for (size_t p = r->data; p < r->top; p += r->spans[p].pages) {
            unsigned kind = slai_kind(&r->spans[p]);
            if ((kind == SLAI_KIND_SLAB || kind == SLAI_KIND_LARGE) && r->spans[p].account == heap->account.number)
                pages += r->spans[p].pages;
        }
    }
    return pages;
}

START_TEST(what_is_charged_is_there)
{
    sla_heap_t *heap = sla_heap_create("charged");
    for (int round = 0; round < 3; round++) {
        fill(heap);
        unit_sound();
        ck_assert_uint_eq(heap->account.quota.used, pages_of(heap) << SLAI_PAGE_SHIFT);
        for (size_t i = (size_t)round; i < BLOCKS; i += 2) {
            blocks[i] = sla_realloc(blocks[i], i * 50 + 1);
            UNIT_QUICK(blocks[i] != NULL && sla_heap_of(blocks[i]) == heap);
        }
        unit_sound();
        ck_assert_uint_eq(heap->account.quota.used, pages_of(heap) << SLAI_PAGE_SHIFT);
        for (size_t i = 0; i < BLOCKS; i++)
            sla_free(blocks[i]);
        unit_sound();
    }
    fill(heap);
    sla_heap_destroy(heap);
    unit_sound();
    ck_assert_uint_eq(heap->account.quota.used, 0);
    ck_assert_uint_eq(pages_of(heap), 0);
}
END_TEST

START_TEST(slabs_are_not_in_the_class_map)
{
    sla_heap_t *heap = sla_heap_create("map");
    char *p = sla_heap_malloc(heap, 60000); /* a slab of several pages */
    struct slai_span *s = slai_slab_of(p);
    ck_assert_uint_eq(slai_class_byte(p), 0);
    ck_assert_uint_eq(s->account, heap->account.number);
    for (uint32_t i = 1; i < s->pages; i++)
        ck_assert_uint_eq(s[i].account, heap->account.number);
    sla_heap_destroy(heap);
    for (uint32_t i = 0; i < 8; i++)
        ck_assert_uint_eq(s[i].account, 0);
    unit_sound();
}
END_TEST

START_TEST(numbers_are_used_again)
{
    sla_heap_t *first = sla_heap_create("first"), *second;
    uint32_t end = slai_account_end;
    sla_free(sla_heap_malloc(first, 10));
    ck_assert(slai_has_cache(slai_heap_cache_at(slai_tcache, first->account.number)));
    sla_heap_destroy(first);
    ck_assert(!slai_has_cache(slai_heap_cache_at(slai_tcache, first->account.number)));
    second = sla_heap_create("second");
    ck_assert_ptr_eq(first, second);
    ck_assert_uint_eq(slai_account_end, end);
    sla_heap_destroy(second);
}
END_TEST

/* However wide the thread's table of heaps becomes, it has one cache of each. */
START_TEST(one_cache_a_heap)
{
    sla_heap_t *heaps[40];
    for (size_t round = 0; round < 2; round++)
        for (size_t i = 0; i < ARRAY_LEN(heaps); i++) {
            if (round == 0)
                ck_assert_ptr_nonnull(heaps[i] = sla_heap_create("one"));
            ck_assert_ptr_nonnull(sla_heap_malloc(heaps[i], 100));
            ck_assert_ptr_eq(heaps[i]->caches.first, heaps[i]->caches.last);
            ck_assert_ptr_eq(heaps[i]->caches.first, &slai_heap_cache(heaps[i])->heap_link);
        }
    for (size_t i = 0; i < ARRAY_LEN(heaps); i++)
        sla_heap_destroy(heaps[i]);
    unit_sound();
}
END_TEST

/* A stranger's frees of the heap: the first few go to the slabs, then it gets a cache. */
static void *stranger(void *arg)
{
    sla_heap_t *heap = arg;
    for (size_t i = 0; i < 100; i++) {
        sla_free(blocks[i]);
        if (i == 10)
            UNIT_EXPECT(!slai_has_cache(slai_heap_cache_at(slai_tcache, heap->account.number)));
    }
    UNIT_EXPECT(slai_has_cache(slai_heap_cache_at(slai_tcache, heap->account.number)));
    return NULL;
}

START_TEST(strangers_get_a_cache_late)
{
    sla_heap_t *heap = sla_heap_create("strange");
    for (size_t i = 0; i < 100; i++)
        blocks[i] = sla_heap_malloc(heap, 64);
    unit_in_thread(stranger, heap);
    unit_sound();
    sla_heap_stats_t st;
    slai_cache_flush(slai_heap_cache(heap));
    ck_assert_int_eq(sla_heap_stats(heap, &st, sizeof(st)), 0);
    ck_assert_uint_eq(st.blocks, 0); /* none was lost on either way */
    sla_heap_destroy(heap);
    unit_sound();
}
END_TEST

/* A thread at its end has no cache; blocks come from the depot and go there. */
static void *cacheless(void *arg)
{
    sla_heap_t *heap = arg;
    sla_free(sla_malloc(1));
    slai_cache_none();
    for (size_t i = 0; i < 300; i++) {
        blocks[i] = sla_heap_malloc(heap, i * 10);
        UNIT_EXPECT(blocks[i] != NULL && sla_heap_of(blocks[i]) == heap);
        UNIT_EXPECT(slai_class_byte(blocks[i]) == 0);
    }
    for (size_t i = 0; i < 300; i++)
        sla_free(blocks[i]);
    errno = 0;
    UNIT_EXPECT(sla_heap_push(heap) == -1 && errno == ENOMEM);
    UNIT_EXPECT(sla_heap_current() == NULL);
    return NULL;
}

START_TEST(threads_without_a_cache)
{
    sla_heap_t *heap = sla_heap_create("cacheless");
    unit_in_thread(cacheless, heap);
    unit_sound();
    ck_assert_ptr_null(heap->caches.first);
    sla_heap_destroy(heap);
    unit_sound();
}
END_TEST

static int in_default(sla_heap_t *heap, size_t wanted, void *calls)
{
    (void)wanted;
    ++*(unsigned *)calls;
    UNIT_EXPECT(sla_heap_current() == NULL);
    UNIT_EXPECT(sla_heap_push(heap) == -1 && errno == EOVERFLOW); /* as many are pushed as can be, and one more */
    return 0;
}

START_TEST(pressure_at_full_depth)
{
    sla_heap_t *heap = sla_heap_create("deep");
    unsigned calls = 0;
    ck_assert_int_eq(sla_heap_set_limit(heap, 0, SLAI_PAGE, in_default, &calls), 0);
    for (unsigned i = 0; i < SLAI_PUSH_MOST; i++)
        ck_assert_int_eq(sla_heap_push(heap), 0);
    ck_assert_ptr_null(sla_malloc(2 * SLAI_PAGE));
    ck_assert_uint_eq(calls, 1);
    ck_assert_ptr_eq(sla_heap_current(), heap);
    for (unsigned i = 0; i < SLAI_PUSH_MOST; i++)
        sla_heap_pop();
    ck_assert_ptr_null(sla_heap_current());
    sla_heap_destroy(heap);
}
END_TEST

static bool over;

/* Asks for more than there may ever be. */
static void *asks_in_vain(void *heap)
{
    while (!slai_load_relaxed(&over))
        UNIT_EXPECT(sla_heap_malloc(heap, 1000 * SLAI_PAGE) == NULL);
    return NULL;
}

/* Who is refused takes nothing from others, nor is it seen in the peak. */
START_TEST(refusals_are_not_charged)
{
    sla_heap_t *heap = sla_heap_create("refused");
    sla_heap_stats_t st;
    pthread_t thread;
    ck_assert_int_eq(sla_heap_set_limit(heap, 0, 10 * SLAI_PAGE, NULL, NULL), 0);
    unit_thread(&thread, asks_in_vain, heap);
    for (size_t i = 0, n = support_scaled(100000); i < n; i++) {
        void *block = sla_heap_malloc(heap, 3 * SLAI_PAGE);
        ck_assert_ptr_nonnull(block);
        sla_free(block);
    }
    slai_set_relaxed(&over, true);
    unit_join(thread);
    ck_assert_int_eq(sla_heap_stats(heap, &st, sizeof(st)), 0);
    ck_assert_uint_eq(st.peak, 3 * SLAI_PAGE);
    sla_heap_destroy(heap);
}
END_TEST

static int check_inside(void *block, size_t size, void *arg)
{
    (void)size;
    if (arg != NULL)
        sla_free(block);
    return slai_check_heap() != NULL;
}

START_TEST(invariants_hold_during_a_visit)
{
    sla_heap_t *heap = sla_heap_create("visited");
    for (size_t i = 0; i < 300; i++)
        UNIT_QUICK(sla_heap_malloc(heap, i * 100) != NULL);
    ck_assert_int_eq(sla_heap_visit(heap, check_inside, NULL), 0);
    ck_assert_int_eq(sla_heap_visit(heap, check_inside, heap), 0);
    unit_sound();
    sla_heap_destroy(heap);
}
END_TEST

/* --- fork --- */

static struct unit_turn turn;

static void *in_the_way(void *arg)
{
    sla_heap_t *heap = arg;
    for (size_t i = 0; i < 500; i++)
        support_sink = sla_heap_malloc(heap, 100 + i);
    UNIT_EXPECT(sla_heap_push(heap) == 0);
    unit_pass(&turn);
    unit_await(&turn, 2);
    sla_heap_pop();
    return NULL;
}

START_TEST(a_fork_child_counts_anew)
{
    sla_heap_t *heap = sla_heap_create("forked");
    pthread_t thread;
    int status;
    pid_t child;
    turn.now = 0;
    fill(heap);
    unit_thread(&thread, in_the_way, heap);
    unit_await(&turn, 1);
    child = fork();
    if (child == 0) {
        size_t used = heap->account.quota.used;
        bool right = slai_check_heap() == NULL && used == pages_of(heap) << SLAI_PAGE_SHIFT && heap->pushed == 0;
        right = right && heap->caches.first != NULL && heap->caches.first->next == NULL;
        sla_heap_destroy(heap);
        _exit(right && slai_check_heap() == NULL && heap->account.quota.used == 0 ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    unit_pass(&turn);
    unit_join(thread);
    sla_heap_destroy(heap);
    unit_sound();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("heap");
    TCase *tc = unit_case(suite, "heap");
    tcase_add_test(tc, what_is_charged_is_there);
    tcase_add_test(tc, slabs_are_not_in_the_class_map);
    tcase_add_test(tc, numbers_are_used_again);
    tcase_add_test(tc, one_cache_a_heap);
    tcase_add_test(tc, strangers_get_a_cache_late);
    tcase_add_test(tc, threads_without_a_cache);
    tcase_add_test(tc, pressure_at_full_depth);
    tcase_add_test(tc, refusals_are_not_charged);
    tcase_add_test(tc, invariants_hold_during_a_visit);
    if (!SUPPORT_TSAN)
        tcase_add_test(tc, a_fork_child_counts_anew);
    return support_main(suite);
}
