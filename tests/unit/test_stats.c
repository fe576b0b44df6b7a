/*
 * test_stats.c: the figures, against what is known from inside.
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "heap/meta.h"
#include "heap/purge.h"

#include <slaballoc/cache.h>
#include <slaballoc/heap.h>

/* --- the call itself --- */

START_TEST(size_of_the_structure)
{
    sla_stats_t all[2];
    size_t *words = (size_t *)(void *)all;
    const size_t known = sizeof(all[0]) / sizeof(size_t);
    for (size_t n = 1; n <= 2 * known; n++) {
        memset(all, 0xee, sizeof(all));
        ck_assert_int_eq(sla_stats_get(&all[0], n * sizeof(size_t)), 0);
        for (size_t i = known; i < n; i++)
            ck_assert_uint_eq(words[i], 0); /* members the library does not know */
        for (size_t i = n; i < 2 * known; i++)
            ck_assert_uint_eq(words[i], (size_t)0xeeeeeeeeeeeeeeee);
    }
    static const size_t bad[] = {0, 1, sizeof(size_t) - 1, sizeof(size_t) + 1, sizeof(sla_stats_t) - 1};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        memset(all, 0xee, sizeof(all));
        errno = 0;
        ck_assert_int_eq(sla_stats_get(&all[0], bad[i]), -1);
        ck_assert_int_eq(errno, EINVAL);
        ck_assert_uint_eq(words[0], (size_t)0xeeeeeeeeeeeeeeee);
    }
}
END_TEST

START_TEST(success_keeps_errno)
{
    sla_stats_t stats;
    errno = SENTINEL_ERRNO;
    ck_assert_int_eq(sla_stats_get(&stats, sizeof(stats)), 0);
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
}
END_TEST

/* --- figures --- */

#define COUNT 500

/* Blocks of a class, by the program and then in the cache and then in slabs. */
START_TEST(where_small_blocks_are)
{
    static const size_t sizes[] = {8, 100, 1000, 8192, 32768};
    size_t size = sizes[_i], block = sla_good_size(size);
    void *p[COUNT];
    unit_tidy();
    sla_stats_t start = unit_stats();
    for (size_t i = 0; i < COUNT; i++)
        p[i] = sla_malloc(size);
    sla_stats_t held = unit_stats();
    ck_assert_uint_eq(held.live, start.live + COUNT * block);
    ck_assert_uint_eq(held.large, start.large);
    ck_assert_uint_ge(held.slabs - start.slabs, COUNT * block);
    for (size_t i = 0; i < COUNT; i++)
        sla_free(p[i]);
    sla_stats_t cached = unit_stats();
    uint32_t in_stack = slai_stack_count(slai_tcache, slai_class_of(size));
    ck_assert_uint_eq(cached.live, start.live);
    ck_assert_uint_gt(in_stack, 0);
    ck_assert_uint_eq(cached.cached, start.cached + in_stack * block);
    unit_idle();
    sla_stats_t idle = unit_stats();
    ck_assert_uint_eq(idle.live, start.live);
    ck_assert_uint_eq(idle.cached, 0);
    ck_assert_uint_eq(idle.slabs, start.slabs);
    ck_assert_uint_ge(idle.peak, held.slabs + held.large);
}
END_TEST

START_TEST(large_blocks)
{
    unit_tidy();
    sla_stats_t start = unit_stats();
    void *p = sla_malloc(100000), *q = sla_malloc(1000000);
    sla_stats_t held = unit_stats();
    ck_assert_uint_eq(held.large_count, start.large_count + 2);
    ck_assert_uint_eq(held.large, start.large + sla_usable_size(p) + sla_usable_size(q));
    ck_assert_uint_eq(held.live, start.live + sla_usable_size(p) + sla_usable_size(q));
    ck_assert_uint_eq(held.slabs, start.slabs);
    size_t bytes = sla_usable_size(p) + sla_usable_size(q);
    sla_free(p);
    sla_free(q);
    sla_stats_t freed = unit_stats();
    ck_assert_uint_eq(freed.large, start.large);
    ck_assert_uint_eq(freed.dirty, start.dirty + bytes);
    ck_assert_int_eq(sla_trim(0), 1);
    sla_stats_t trimmed = unit_stats();
    ck_assert_uint_eq(trimmed.dirty, 0);
    ck_assert_uint_eq(trimmed.clean, freed.clean + freed.dirty);
    ck_assert_uint_eq(trimmed.purged, freed.purged + freed.dirty);
}
END_TEST

START_TEST(sums_of_bytes)
{
    void *p = sla_malloc(100), *q = sla_malloc(100000);
    sla_stats_t s = unit_stats();
    size_t handed_out = 0, reserved = 0;
    for (size_t i = 0; i < slai_region_count; i++) {
        handed_out += (slai_regions[i].top - slai_regions[i].data) << SLAI_PAGE_SHIFT;
        reserved += slai_regions[i].pages << SLAI_PAGE_SHIFT;
    }
    ck_assert_uint_eq(s.slabs + s.large + s.dirty + s.clean, handed_out);
    ck_assert_uint_eq(s.reserved, reserved);
    ck_assert_uint_eq(s.regions, slai_region_count);
    ck_assert_uint_ge(s.committed, handed_out);
    ck_assert_uint_le(s.committed, s.reserved);
    ck_assert_uint_ge(s.metadata, slai_meta_bytes());
    ck_assert_uint_lt(s.metadata, slai_meta_bytes() + s.committed / 100 + 2 * MIB);
    ck_assert_uint_le(s.live + s.cached + s.slab_free, s.slabs + s.large);
    ck_assert_uint_ge(s.live, sla_usable_size(p) + sla_usable_size(q));
    ck_assert_uint_ge(s.threads, 1);
    sla_free(p);
    sla_free(q);
}
END_TEST

/* Another thread's stack is known as of its last slow path: after a flush exactly. */
static struct unit_turn turn;

static void *cache_some(void *arg)
{
    void *p[10];
    (void)arg;
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        p[i] = sla_malloc(640);
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        sla_free(p[i]);
    unit_pass(&turn);
    unit_await(&turn, 2);
    sla_thread_idle();
    unit_pass(&turn);
    unit_await(&turn, 4);
    return NULL;
}

START_TEST(other_threads)
{
    pthread_t thread;
    sla_thread_idle();
    sla_stats_t start = unit_stats();
    atomic_store(&turn.now, 0);
    unit_thread(&thread, cache_some, NULL);
    unit_await(&turn, 1);
    sla_stats_t during = unit_stats();
    ck_assert_uint_eq(during.threads, start.threads + 1);
    /* Which of its blocks it uses is not known to others; that they are out of the slabs is. */
    size_t out = during.live + during.cached - start.live - start.cached;
    ck_assert_uint_ge(out, 10 * 640);
    ck_assert_uint_eq(out % 640, 0);
    unit_pass(&turn);
    unit_await(&turn, 3);
    sla_stats_t after = unit_stats();
    ck_assert_uint_eq(after.live, start.live);
    ck_assert_uint_eq(after.cached, start.cached);
    unit_pass(&turn);
    unit_join(thread);
    ck_assert_uint_eq(unit_stats().threads, start.threads);
}
END_TEST

#define AWAY 3000 /* and small: who takes many at a time has slabs of its own */
static void *away[AWAY];

static void *lend_some(void *arg)
{
    sla_heap_t *heap = arg;
    for (size_t i = 0; i < AWAY; i++)
        UNIT_EXPECT((away[i] = heap != NULL ? sla_heap_malloc(heap, 64) : sla_malloc(64)) != NULL);
    unit_pass(&turn);
    unit_await(&turn, 2);
    return NULL;
}

/* What others freed is free, though its owner has not looked yet: in the default heap, and in another. */
START_TEST(freed_by_others)
{
    pthread_t thread;
    sla_heap_t *heap = _i == 0 ? NULL : sla_heap_create("lent");
    sla_heap_stats_t st = {0};
    sla_thread_idle();
    size_t live = unit_stats().live;
    atomic_store(&turn.now, 0);
    unit_thread(&thread, lend_some, heap);
    unit_await(&turn, 1);
    for (size_t i = 0; i < AWAY; i++)
        sla_free(away[i]);
    sla_thread_idle();
    ck_assert_uint_lt(unit_stats().live, live + AWAY / 2 * 64);
    if (heap != NULL)
        ck_assert_int_eq(sla_heap_stats(heap, &st, sizeof(st)), 0);
    ck_assert_uint_lt(st.live, AWAY / 2 * 64);
    ck_assert_uint_lt(st.blocks, AWAY / 2);
    unit_pass(&turn);
    unit_join(thread);
    sla_heap_destroy(heap);
}
END_TEST

/* Pops its stack empty on the hot path, then is idle: the slow path before had left some there. */
static void *use_all(void *arg)
{
    unsigned class = slai_class_of(640);
    void **p = arg;
    size_t n = 0;
    do
        p[n++] = sla_malloc(640);
    while (slai_stack_count(slai_tcache, class) > 0 || slai_tcache->bins[class].held == 0);
    sla_thread_idle();
    unit_pass(&turn);
    unit_await(&turn, 2);
    while (n > 0)
        sla_free(p[--n]);
    return NULL;
}

START_TEST(idle_thread_without_blocks)
{
    static void *p[64];
    pthread_t thread;
    sla_thread_idle();
    sla_stats_t start = unit_stats();
    atomic_store(&turn.now, 0);
    unit_thread(&thread, use_all, p);
    unit_await(&turn, 1);
    sla_stats_t during = unit_stats();
    ck_assert_uint_eq(during.cached, start.cached);
    ck_assert_uint_gt(during.live, start.live);
    unit_pass(&turn);
    unit_join(thread);
    ck_assert_uint_eq(unit_stats().live, start.live);
}
END_TEST

/* --- printing --- */

#define LINES 120
static struct report {
    size_t count;
    char lines[LINES][256];
} report;

static void keep(void *arg, const char *line)
{
    struct report *r = arg;
    ck_assert_uint_lt(r->count, LINES);
    ck_assert_uint_lt(strlen(line), sizeof(r->lines[0]));
    strcpy(r->lines[r->count++], line);
}

/* The number in the line that begins with this name. */
static size_t printed(const char *name)
{
    char start[64];
    snprintf(start, sizeof(start), "slaballoc: %s ", name);
    for (size_t i = 0; i < report.count; i++)
        if (strncmp(report.lines[i], start, strlen(start)) == 0)
            return strtoul(report.lines[i] + strlen(start), NULL, 10);
    ck_abort_msg("no line for %s", name);
    return 0;
}

START_TEST(report_has_all_figures)
{
    void *p = sla_malloc(300), *q = sla_malloc(300000);
    memset(&report, 0, sizeof(report));
    errno = SENTINEL_ERRNO;
    sla_stats_print(keep, &report);
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    sla_stats_t s = unit_stats();
    const struct {
        const char *name;
        size_t value;
    } figures[] = {{"live", s.live},           {"  of it large", s.large}, {"  large blocks", s.large_count},
                   {"cached", s.cached},       {"slab free", s.slab_free}, {"slabs", s.slabs},
                   {"dirty", s.dirty},         {"clean", s.clean},         {"purged", s.purged},
                   {"metadata", s.metadata},   {"peak", s.peak},           {"committed", s.committed},
                   {"reserved", s.reserved},   {"regions", s.regions},     {"threads", s.threads}};
    for (size_t i = 0; i < ARRAY_LEN(figures); i++)
        ck_assert_msg(printed(figures[i].name) == figures[i].value, "%s", figures[i].name);
    for (size_t i = 0; i < report.count; i++) {
        size_t length = strlen(report.lines[i]);
        ck_assert_int_eq(strncmp(report.lines[i], "slaballoc: ", 11), 0);
        ck_assert_int_eq(report.lines[i][length - 1], '\n');
        ck_assert_ptr_eq(strchr(report.lines[i], '\n'), report.lines[i] + length - 1);
    }
    sla_free(p);
    sla_free(q);
}
END_TEST

/* Columns: size, slabs, live, cached, free. */
START_TEST(report_of_classes)
{
    void *p[30];
    size_t live = 0, cached = 0, free_bytes = 0, rows = 0, last = 0;
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        p[i] = sla_malloc(i * 200);
    memset(&report, 0, sizeof(report));
    sla_stats_print(keep, &report);
    sla_stats_t s = unit_stats();
    for (size_t i = 0; i < report.count; i++) {
        size_t v[5];
        const char *text = report.lines[i] + strlen("slaballoc: ");
        if (sscanf(text, "%zu %zu %zu %zu %zu", &v[0], &v[1], &v[2], &v[3], &v[4]) != 5)
            continue;
        unsigned c = slai_class_of(v[0]);
        ck_assert_uint_eq(slai_class_size(c), v[0]);
        ck_assert_uint_gt(v[0], last);
        ck_assert_uint_eq(v[2] + v[3] + v[4], v[1] * slai_classes[c].capacity);
        last = v[0];
        live += v[0] * v[2];
        cached += v[0] * v[3];
        free_bytes += v[0] * v[4];
        rows++;
    }
    ck_assert_uint_ge(rows, 10);
    ck_assert_uint_eq(live, s.live - s.large);
    ck_assert_uint_eq(cached, s.cached);
    ck_assert_uint_eq(free_bytes, s.slab_free);
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        sla_free(p[i]);
}
END_TEST

/* I7: no lock is held, so the callback may use the heap. */
static void allocate_in_between(void *arg, const char *line)
{
    size_t *lines = arg;
    char *copy = sla_malloc(strlen(line) + 1 + *lines * 3000);
    strcpy(copy, line);
    (void)sla_trim(0);
    (void)unit_stats();
    ck_assert_str_eq(copy, line);
    sla_free(copy);
    ++*lines;
}

/* A line for each object cache, which ends with its name. */
START_TEST(report_of_object_caches)
{
    sla_cache_t *cache = sla_cache_create("of figures", 1000, 0, 0, NULL, NULL, NULL);
    void *objects[300];
    sla_cache_stats_t st;
    size_t v[5], found = 0;
    ck_assert_uint_eq(sla_cache_alloc_batch(cache, objects, 300), 300);
    sla_cache_free_batch(cache, objects, 37); /* ready, in the thread's stack */
    memset(&report, 0, sizeof(report));
    sla_stats_print(keep, &report);
    ck_assert_int_eq(sla_cache_stats(cache, &st, sizeof(st)), 0);
    for (size_t i = 0; i < report.count; i++)
        if (sscanf(report.lines[i], "slaballoc: %zu %zu %zu %zu %zu  cache of figures", &v[0], &v[1], &v[2], &v[3],
                   &v[4]) == 5 && strstr(report.lines[i], "  cache of figures\n") != NULL) {
            found++;
            ck_assert(v[0] == st.stride && v[1] == st.slabs && v[2] == st.live && v[3] == st.cached && v[4] == st.free);
        }
    ck_assert_uint_eq(found, 1);
    ck_assert_uint_eq(st.live, 263);
    ck_assert_uint_gt(st.cached, 0);
    sla_stats_t all = unit_stats();
    ck_assert_uint_ge(all.live, 263 * st.stride);
    ck_assert_uint_ge(all.cached, st.cached * st.stride);
    sla_cache_free_batch(cache, objects + 37, 263);
    ck_assert_int_eq(sla_cache_destroy(cache), 0);
}
END_TEST

START_TEST(callback_may_allocate)
{
    size_t lines = 0;
    sla_stats_print(allocate_in_between, &lines);
    ck_assert_uint_ge(lines, 15);
}
END_TEST

START_TEST(report_on_standard_error)
{
    sla_free(sla_malloc(support_size(10)));
    memset(&report, 0, sizeof(report));
    sla_stats_print(keep, &report);
    unit_catch();
    sla_stats_print(NULL, NULL);
    const char *text = unit_caught();
    for (size_t i = 0; i < report.count; i++) {
        ck_assert_msg(strncmp(text, report.lines[i], strlen(report.lines[i])) == 0, "line %zu", i);
        text += strlen(report.lines[i]);
    }
    ck_assert_str_eq(text, "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stats");
    TCase *tc = unit_case(suite, "stats");
    tcase_add_test(tc, size_of_the_structure);
    tcase_add_test(tc, success_keeps_errno);
    tcase_add_loop_test(tc, where_small_blocks_are, 0, 5);
    tcase_add_test(tc, large_blocks);
    tcase_add_test(tc, sums_of_bytes);
    tcase_add_test(tc, other_threads);
    tcase_add_loop_test(tc, freed_by_others, 0, 2);
    tcase_add_test(tc, idle_thread_without_blocks);
    tcase_add_test(tc, report_has_all_figures);
    tcase_add_test(tc, report_of_classes);
    tcase_add_test(tc, report_of_object_caches);
    tcase_add_test(tc, callback_may_allocate);
    tcase_add_test(tc, report_on_standard_error);
    return support_main(suite);
}
