/*
 * test_region.c: address to page, growth under refusals, several regions.
 *
 * What needs a heap without regions runs this program again.
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "heap/large.h"
#include "heap/region.h"
#include "heap/slab.h"
#include "os/os.h"

#include <sched.h>
#include <signal.h>
#include <sys/resource.h>

/* --- look-ups in the first region --- */

START_TEST(foreign_addresses)
{
    static int in_data;
    int on_stack = 0;
    char *map = slai_os_reserve(SLAI_PAGE);
    support_sink = sla_malloc(1);
    const struct slai_region *r = &slai_regions[0];
    char *end = r->base + (r->pages << SLAI_PAGE_SHIFT);
    const void *const foreign[] = {NULL, (void *)1, (void *)UINTPTR_MAX, &in_data, &on_stack, map, slai_regions,
                                   r->base - 1, end, (void *)((uintptr_t)r->base ^ BEYOND(63)),
                                   /* its own bookkeeping, and what was never handed out */
                                   r->base, r->spans, r->base + (r->data << SLAI_PAGE_SHIFT) - 1,
                                   r->base + (r->top << SLAI_PAGE_SHIFT), end - 1};
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
        ck_assert_msg(slai_region_of(foreign[i]) == NULL, "address %zu", i);
        ck_assert_ptr_null(slai_page_of(foreign[i]));
        ck_assert_uint_eq(slai_class_byte(foreign[i]), 0);
        ck_assert_uint_eq(slai_large_size(foreign[i]), 0);
        ck_assert(!sla_owns(foreign[i]));
    }
    sla_free(support_sink);
    ck_assert(slai_os_release(map, SLAI_PAGE));
}
END_TEST

/* One page past the window the class map need not even be memory. */
static void free_past_the_window(void *arg)
{
    (void)arg;
    sla_free((char *)slai_window.base + (slai_window.pages << SLAI_PAGE_SHIFT));
}

START_TEST(window_has_an_end)
{
    struct support_child child;
    uintptr_t past = (uintptr_t)slai_window.base + (slai_window.pages << SLAI_PAGE_SHIFT);
    support_run_child(free_past_the_window, NULL, 10, &child);
    ck_assert_int_eq(child.signal, SIGABRT);
    ck_assert(support_reported(&child, "free", past, "not a block of this heap"));
}
END_TEST

START_TEST(window_is_the_first_region)
{
    support_sink = sla_malloc(1);
    ck_assert_uint_ge(slai_region_count, 1);
    ck_assert_ptr_eq(slai_window.base, slai_regions[0].base);
    ck_assert_uint_le(slai_window.pages, slai_regions[0].pages);
    ck_assert_uint_le(slai_window.pages, slai_regions[0].map_committed);
    ck_assert_uint_ge(slai_window.pages, slai_regions[0].top);
    ck_assert_uint_eq((uintptr_t)slai_window.base % SLAI_PAGE, 0);
    sla_free(support_sink);
}
END_TEST

/* _i is the class: all addresses of a slab lead to it. */
START_TEST(slab_pages)
{
    struct slai_span *s = slai_slab_create((unsigned)_i, slai_cache_get());
    ck_assert_ptr_nonnull(s);
    size_t bytes = (size_t)s->pages << SLAI_PAGE_SHIFT;
    ck_assert_uint_eq((uintptr_t)s->start % SLAI_PAGE, 0);
    for (size_t offset = 0; offset < bytes; offset += offset % 4096 == 0 ? 4095 : 1) {
        UNIT_QUICK(slai_slab_of(s->start + offset) == s);
        UNIT_QUICK(slai_class_byte(s->start + offset) == 2 * (unsigned)_i);
        UNIT_QUICK(slai_page_of(s->start + offset) == s + (offset >> SLAI_PAGE_SHIFT));
    }
    ck_assert_ptr_eq(slai_region_of_span(s), slai_region_of(s->start));
    char *start = s->start;
    slai_slab_destroy(s);
    for (size_t offset = 0; offset < bytes; offset += SLAI_PAGE)
        ck_assert_uint_eq(slai_class_byte(start + offset), 0);
}
END_TEST

START_TEST(large_pages)
{
    bool zero;
    char *p = slai_large_take(5 * SLAI_PAGE, 1, &zero);
    struct slai_span *s = slai_page_of(p);
    ck_assert_uint_eq(s->pages, 5);
    ck_assert_ptr_eq(s->start, p);
    ck_assert_ptr_eq(slai_page_of(p + 5 * SLAI_PAGE - 1), s + 4);
    ck_assert_uint_eq(slai_class_byte(p), 0);
    ck_assert_uint_eq(slai_class_byte(p + 4 * SLAI_PAGE), 0);
    slai_large_give(p, "free");
}
END_TEST

START_TEST(no_region_span)
{
    static struct slai_span other;
    ck_assert_ptr_null(slai_region_of_span(&other));
}
END_TEST

START_TEST(too_many_pages)
{
    struct slai_region before = slai_regions[0];
    size_t count = slai_region_count;
    slai_lock(&slai_pageheap.lock);
    errno = 0;
    void *got = slai_region_extend(UINT32_MAX / 2); /* all addresses of a processor with 47 bits */
    slai_unlock(&slai_pageheap.lock);
    ck_assert_ptr_null(got);
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_uint_eq(slai_region_count, count);
    ck_assert_uint_eq(slai_regions[0].top, before.top);
}
END_TEST

/* Where the generous step ahead is refused, the modest one will do: no other region for that. */
START_TEST(modest_growth)
{
    size_t count = slai_region_count;
    struct slai_region *r = slai_region_last();
    size_t bytes = (r->committed - r->top + 1) << SLAI_PAGE_SHIFT;
    unit_tidy();
    slai_fault.after[SLAI_CALL_COMMIT] = 1;
    slai_lock(&slai_pageheap.lock);
    struct slai_span *s = slai_region_extend(bytes >> SLAI_PAGE_SHIFT);
    slai_unlock(&slai_pageheap.lock);
    unit_no_faults();
    ck_assert_ptr_nonnull(s);
    ck_assert_uint_eq(slai_region_count, count);
    slai_lock(&slai_pageheap.lock);
    slai_span_join(s);
    slai_unlock(&slai_pageheap.lock);
    unit_sound();
}
END_TEST

/* The n-th commit fails, and the next one: growth is refused or found another way, and all stays in order. */
START_TEST(refused_growth)
{
    char *blocks[6];
    errno = 0;
    slai_fault.after[SLAI_CALL_COMMIT] = _i;
    slai_fault.more[SLAI_CALL_COMMIT] = 1;
    slai_fault.limit = 1; /* no way out by another region */
    for (size_t i = 0; i < 6; i++) {
        blocks[i] = sla_malloc(3 * MIB);
        if (blocks[i] == NULL)
            ck_assert_int_eq(errno, ENOMEM);
        else
            support_fill(blocks[i], 3 * MIB, i);
        unit_sound();
    }
    unit_no_faults();
    for (size_t i = 0; i < 6; i++) {
        if (blocks[i] == NULL) {
            blocks[i] = sla_malloc(3 * MIB);
            ck_assert_ptr_nonnull(blocks[i]);
            support_fill(blocks[i], 3 * MIB, i);
        }
    }
    for (size_t i = 0; i < 6; i++) {
        ck_assert(support_matches(blocks[i], 3 * MIB, i));
        sla_free(blocks[i]);
    }
}
END_TEST

/* --- fresh heaps: this program again, by mode --- */

#define REQUIRE_SOUND() CHILD_REQUIRE(slai_check_heap() == NULL)
#define BLOCKS 400
static struct support_block blocks[BLOCKS];

static void fill_up(size_t size, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        blocks[i] = (struct support_block){sla_malloc(size), size, i};
        CHILD_REQUIRE(blocks[i].start != NULL);
        support_fill(blocks[i].start, size, i);
    }
    CHILD_REQUIRE(support_disjoint(blocks, count));
    REQUIRE_SOUND();
}

static void empty(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        CHILD_REQUIRE(support_matches(blocks[i].start, blocks[i].size, blocks[i].seed));
        CHILD_REQUIRE(sla_owns(blocks[i].start));
        sla_free(blocks[i].start);
    }
    sla_thread_idle();
    REQUIRE_SOUND();
    sla_stats_t stats;
    CHILD_REQUIRE(sla_stats_get(&stats, sizeof(stats)) == 0 && stats.live == 0);
}

/* Big reservations are refused: blocks of every kind in several regions, all addresses found. */
static void several_regions(void)
{
    slai_fault.limit = 4 * MIB;
    fill_up(300 * KIB, 100);
    size_t regions = slai_region_count;
    CHILD_REQUIRE(regions >= 8);
    errno = 0;
    CHILD_REQUIRE(sla_malloc(support_size(8 * MIB)) == NULL && errno == ENOMEM);
    for (size_t i = 0; i < 100; i++) {
        struct slai_region *r = slai_region_of(blocks[i].start);
        CHILD_REQUIRE(r != NULL && r == slai_region_of(blocks[i].start + blocks[i].size - 1));
        CHILD_REQUIRE(slai_region_of_span(slai_page_of(blocks[i].start)) == r);
    }
    empty(100);
    fill_up(300 * KIB, 100);
    CHILD_REQUIRE(slai_region_count <= regions + 1);
    empty(100);
    (void)sla_trim(0);
    /* Slabs beyond the window. */
    for (size_t size = 16; size <= 32768; size *= 2) {
        fill_up(size, BLOCKS);
        size_t outside = 0;
        for (size_t i = 0; i < BLOCKS; i++) {
            CHILD_REQUIRE(sla_usable_size(blocks[i].start) == size);
            outside += slai_region_of(blocks[i].start) != &slai_regions[0];
        }
        CHILD_REQUIRE(size < 32768 || outside > 0);
        empty(BLOCKS);
    }
}

static void reserve_refused(void)
{
    void *out = &out;
    unit_refuse(SLAI_CALL_RESERVE, 1);
    for (int i = 0; i < 3; i++) {
        errno = 0;
        CHILD_REQUIRE(sla_malloc(support_size(100)) == NULL && errno == ENOMEM);
        errno = 0;
        CHILD_REQUIRE(sla_malloc(support_size(100000)) == NULL && errno == ENOMEM);
        errno = 0;
        CHILD_REQUIRE(sla_calloc(10, support_size(10)) == NULL && errno == ENOMEM);
        errno = 0;
        CHILD_REQUIRE(sla_realloc(NULL, support_size(20000)) == NULL && errno == ENOMEM);
        errno = 0;
        CHILD_REQUIRE(sla_aligned_alloc(4096, support_size(64)) == NULL && errno == ENOMEM);
        CHILD_REQUIRE(sla_posix_memalign(&out, 64, support_size(64)) == ENOMEM && out == &out);
    }
    CHILD_REQUIRE(slai_region_count == 0 && slai_window.pages == 0);
    sla_free(NULL);
    CHILD_REQUIRE(!sla_owns(&out));
    REQUIRE_SOUND();
    unit_no_faults();
    fill_up(100, BLOCKS);
    empty(BLOCKS);
    fill_up(100000, 20);
    empty(20);
}

/* The commit calls of a first region's set-up fail one after the other. */
static void set_up_refused(void)
{
    for (long n = 1; n <= 6; n++) {
        size_t regions = slai_region_count;
        slai_fault.after[SLAI_CALL_COMMIT] = n;
        slai_fault.more[SLAI_CALL_COMMIT] = -1;
        void *p = sla_malloc(100000);
        if (p == NULL)
            CHILD_REQUIRE(errno == ENOMEM && slai_region_count == regions);
        REQUIRE_SOUND();
        sla_free(p);
    }
    /* What was reserved in vain has been released; a region and a chunk of metadata may have come of the rest. */
    CHILD_REQUIRE(slai_fault.seen[SLAI_CALL_RELEASE] + 2 >= slai_fault.seen[SLAI_CALL_RESERVE]);
    unit_no_faults();
    fill_up(100000, 20);
    empty(20);
}

static void most_regions(void)
{
    size_t n = 0;
    void *p, *chain = NULL;
    slai_fault.limit = 1200000;
    for (; (p = sla_malloc(400 * KIB)) != NULL; n++) {
        *(void **)p = chain;
        chain = p;
    }
    CHILD_REQUIRE(errno == ENOMEM);
    CHILD_REQUIRE(slai_region_count == SLAI_MAX_REGIONS);
    CHILD_REQUIRE(n >= SLAI_MAX_REGIONS);
    REQUIRE_SOUND();
    for (void *next; chain != NULL; chain = next) {
        next = *(void **)chain;
        sla_free(chain);
    }
    REQUIRE_SOUND();
    unit_no_faults(); /* no place for one more even so */
    errno = 0;
    CHILD_REQUIRE(sla_malloc(support_size(100 * MIB)) == NULL && errno == ENOMEM);
    fill_up(400 * KIB, 200);
    empty(200);
}

/* Of a commit charge that runs out, nearly all can be used. */
static void commit_budget(void)
{
    const size_t budget = 40 * MIB + 1;
    size_t n = 0;
    sla_free(sla_malloc(support_size(1))); /* the first region is there, its read-only parts cost nothing */
    slai_fault.committed = budget;
    while (n < BLOCKS && (blocks[n].start = sla_malloc(200 * KIB)) != NULL) {
        blocks[n].size = 200 * KIB;
        blocks[n].seed = n;
        support_fill(blocks[n].start, blocks[n].size, n);
        n++;
    }
    CHILD_REQUIRE(errno == ENOMEM);
    CHILD_REQUIRE(n * 256 * KIB >= budget - 3 * MIB);
    REQUIRE_SOUND();
    empty(n);
    fill_up(200 * KIB, n);
    empty(n);
}

static void address_limit(void)
{
    struct rlimit limit = {512 * MIB, 512 * MIB};
    CHILD_REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0);
    fill_up(300 * KIB, 250);
    CHILD_REQUIRE(slai_regions[0].pages << SLAI_PAGE_SHIFT <= 64 * MIB);
    CHILD_REQUIRE(slai_region_count > 1);
    empty(250);
    char *one = sla_malloc(support_size(150 * MIB)); /* more than the usual region */
    CHILD_REQUIRE(one != NULL);
    one[0] = one[150 * MIB - 1] = 1;
    sla_free(one);
    REQUIRE_SOUND();
}

static void huge_pages(void)
{
    static const long wanted[] = {SLAI_HUGE_ALWAYS, SLAI_HUGE_NEVER, SLAI_HUGE_DEFAULT};
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        CHILD_REQUIRE(sla_option_set("huge_pages", wanted[i]) == 0);
        fill_up(3 * MIB, 5);
        fill_up(100, 5);
    }
    REQUIRE_SOUND();
}

/* Asked about addresses while regions come: the thread sanitizer is to see no race. */
static _Atomic int enough;

static void *asks(void *arg)
{
    while (atomic_load_explicit(&enough, memory_order_relaxed) == 0)
        for (uintptr_t i = 1; i < 2000; i++)
            CHILD_REQUIRE(!sla_owns((char *)arg + i));
    return arg;
}

static void regions_come(void)
{
    static char mine[2000];
    pthread_t thread;
    void *ours[40];
    slai_conf.reserve = 1;
    CHILD_REQUIRE(pthread_create(&thread, NULL, asks, mine) == 0);
    for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
        CHILD_REQUIRE((ours[i] = sla_malloc(3 * MIB)) != NULL);
        sched_yield();
    }
    CHILD_REQUIRE(slai_region_count > 4);
    atomic_store(&enough, 1);
    CHILD_REQUIRE(pthread_join(thread, NULL) == 0);
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        sla_free(ours[i]);
}

static const struct mode {
    const char *name;
    void (*function)(void);
} modes[] = {
    {"several_regions", several_regions}, {"reserve_refused", reserve_refused}, {"set_up_refused", set_up_refused},
    {"most_regions", most_regions},       {"commit_budget", commit_budget},     {"address_limit", address_limit},
    {"huge_pages", huge_pages},           {"regions_come", regions_come},
};

START_TEST(fresh_heap)
{
    struct support_child child;
    if (!SUPPORT_MEMORY_IS_PLAIN && modes[_i].function == address_limit)
        return;
    /* The set-up counts reservations: no system refuses one of 64 MiB. */
    const char *conf = modes[_i].function == set_up_refused ? "purge_delay=-1,reserve=64" : "purge_delay=-1";
    support_run_self(modes[_i].name, "SLABALLOC_CONF", conf, &child);
    ck_assert_msg(child.exited && child.status == 0, "%s: signal %d, %s", modes[_i].name, child.signal, child.errors);
    ck_assert_str_eq(child.errors, "");
}
END_TEST

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < ARRAY_LEN(modes); i++) {
        if (strcmp(argv[1], modes[i].name) == 0) {
            modes[i].function();
            return 0;
        }
    }
    Suite *suite = suite_create("region");
    TCase *tc = unit_case(suite, "region");
    tcase_add_test(tc, foreign_addresses);
    tcase_add_test(tc, window_has_an_end);
    tcase_add_test(tc, window_is_the_first_region);
    tcase_add_loop_test(tc, slab_pages, 1, SLAI_CLASSES);
    tcase_add_test(tc, large_pages);
    tcase_add_test(tc, no_region_span);
    tcase_add_test(tc, too_many_pages);
    tcase_add_test(tc, modest_growth);
    tcase_add_loop_test(tc, refused_growth, 1, 9);
    tcase_add_loop_test(tc, fresh_heap, 0, (int)ARRAY_LEN(modes));
    return support_main(suite);
}
