/*
 * test_control.c: options, return of memory, statistics, ownership, version.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <limits.h>
#include <unistd.h>

struct option {
    const char *name;
    long initial, low, high;
};
static const struct option options[] = {
    {"purge_delay", 500, -1, 86400000}, {"stats_at_exit", 0, 0, 1}, {"verbose", 0, 0, 2},
    {"abort", 1, 0, 1},                 {"huge_pages", 1, 0, 2},    {"cache_size", LONG_MIN, 16384, 1L << 30},
};

static long value_of(const char *name)
{
    long value = LONG_MIN;
    ck_assert_int_eq(sla_option_get(name, &value), 0);
    return value;
}

START_TEST(option_has_its_default)
{
    const struct option *o = &options[_i];
    ck_assert(o->initial == LONG_MIN || value_of(o->name) == o->initial);
    ck_assert(value_of(o->name) >= o->low && value_of(o->name) <= o->high);
}
END_TEST

START_TEST(option_takes_its_range)
{
    const struct option *o = &options[_i];
    long before = value_of(o->name), tried[] = {o->low, o->high, o->low + 1};
    for (size_t i = 0; i < ARRAY_LEN(tried); i++) {
        errno = SENTINEL_ERRNO;
        int set = sla_option_set(o->name, tried[i]);
        ck_assert(set == 0 || (set == -1 && errno == EPERM));
        if (set == 0)
            ck_assert_int_eq(errno, SENTINEL_ERRNO);
        ck_assert_int_eq(value_of(o->name), set == 0 ? tried[i] : before);
    }
    (void)sla_option_set(o->name, before);
    ck_assert_int_eq(value_of(o->name), before);
}
END_TEST

START_TEST(option_refuses_the_rest)
{
    const struct option *o = &options[_i];
    long before = value_of(o->name), bad[] = {o->low - 1, o->high + 1, LONG_MAX, LONG_MIN};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        errno = 0;
        ck_assert_int_eq(sla_option_set(o->name, bad[i]), -1);
        ck_assert(errno == EINVAL);
        ck_assert_int_eq(value_of(o->name), before);
    }
}
END_TEST

START_TEST(unknown_option_is_enoent)
{
    static const char *const names[] = {"",      "no_such", "purge_dela", "purge_delayx",
                                        "ABORT", "abort ",  "abort=1",    ","};
    long value = 77;
    errno = 0;
    ck_assert_int_eq(sla_option_get(names[_i], &value), -1);
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_int_eq(value, 77);
    errno = 0;
    ck_assert_int_eq(sla_option_set(names[_i], 1), -1);
    ck_assert_int_eq(errno, ENOENT);
}
END_TEST

START_TEST(version_matches_the_header)
{
    char text[32];
    snprintf(text, sizeof(text), "%d.%d.%d", SLA_VERSION_MAJOR, SLA_VERSION_MINOR, SLA_VERSION_PATCH);
    ck_assert_str_eq(sla_version(), text);
    ck_assert_str_eq(sla_version(), SLA_VERSION_STRING);
}
END_TEST

/* --- whose is it --- */

static int in_data = 1;

START_TEST(owns_its_blocks_only)
{
    static const size_t sizes[] = {0, 1, 64, 1000, 32768, 40000, 100000, 5000000};
    int on_stack = 0;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        void *block = sla_malloc(sizes[i]);
        ck_assert_int_eq(sla_owns(block), 1);
        sla_free(block);
    }
    void *foreign = malloc(64);
    ck_assert_int_eq(sla_owns(foreign), 0);
    free(foreign);
    ck_assert_int_eq(sla_owns(NULL), 0);
    ck_assert_int_eq(sla_owns(&on_stack), 0);
    ck_assert_int_eq(sla_owns(&in_data), 0);
    ck_assert_int_eq(sla_owns(support_pointer((void *)1)), 0);
    ck_assert_int_eq(sla_owns(support_pointer((void *)UINTPTR_MAX)), 0);
    ck_assert_int_eq(sla_owns(support_pointer((void *)BEYOND(63))), 0);
    ck_assert_int_eq(sla_owns(support_pointer((void *)(UINTPTR_MAX >> 16))), 0);
}
END_TEST

/* --- return of memory --- */

static sla_stats_t stats_now(void)
{
    sla_stats_t stats;
    ck_assert_int_eq(sla_stats_get(&stats, sizeof(stats)), 0);
    return stats;
}

#define BULK 40000

static void use_and_free(size_t size, size_t count)
{
    static void *blocks[BULK];
    for (size_t i = 0; i < count; i++) {
        blocks[i] = sla_malloc(size);
        ck_assert_ptr_nonnull(blocks[i]);
        memset(blocks[i], 1, size);
    }
    for (size_t i = 0; i < count; i++)
        sla_free(blocks[i]);
}

static const struct {
    size_t size, count;
} bulks[] = {{64, BULK},    {1000, BULK},  {8000, 8000}, {30000, 2000},
             {50000, 1000}, {1000000, 60}, {64 * MIB, 1}};

START_TEST(trim_returns_memory)
{
    use_and_free(16, 1);
    size_t before = support_rss_kib();
    long delay = value_of("purge_delay");
    ck_assert_int_eq(sla_option_set("purge_delay", -1), 0);
    use_and_free(bulks[_i].size, bulks[_i].count);
    sla_thread_idle();
    ck_assert_int_ge(sla_trim(0), 0);
    ck_assert_uint_eq(stats_now().dirty, 0);
    if (SUPPORT_MEMORY_IS_PLAIN)
        ck_assert_uint_le(support_rss_kib(), before + 2048);
    ck_assert_int_eq(sla_trim(0), 0); /* nothing left to give */
    ck_assert_int_eq(sla_option_set("purge_delay", delay), 0);
}
END_TEST

START_TEST(trim_keeps_what_it_is_asked_to)
{
    ck_assert_int_eq(sla_option_set("purge_delay", -1), 0);
    (void)sla_trim(0);
    use_and_free(200000, 100);
    sla_thread_idle();
    size_t dirty = stats_now().dirty;
    ck_assert_int_eq(sla_trim(SIZE_MAX), 0);
    ck_assert_uint_eq(stats_now().dirty, dirty);
    (void)sla_trim(4 * MIB);
    ck_assert_uint_le(stats_now().dirty, 4 * MIB);
    (void)sla_trim(0);
    ck_assert_uint_eq(stats_now().dirty, 0);
    ck_assert_int_eq(sla_option_set("purge_delay", 500), 0);
}
END_TEST

START_TEST(maintain_purges_what_is_due)
{
    double start = support_seconds();
    ck_assert_int_eq(sla_option_set("purge_delay", 100), 0);
    use_and_free(100000, 300);
    sla_thread_idle();
    long wait = sla_maintain();
    while (wait >= 0 && support_seconds() - start < 10) {
        ck_assert_int_le(wait, 100);
        usleep((useconds_t)wait * 1000 + 1000);
        wait = sla_maintain();
    }
    ck_assert_int_eq(wait, -1);
    ck_assert_uint_eq(stats_now().dirty, 0);
    ck_assert_int_eq(sla_option_set("purge_delay", 500), 0);
}
END_TEST

START_TEST(never_purging_means_never)
{
    ck_assert_int_eq(sla_option_set("purge_delay", -1), 0);
    use_and_free(100000, 100);
    sla_thread_idle();
    size_t purged = stats_now().purged;
    ck_assert_int_eq(sla_maintain(), -1);
    usleep(20000);
    use_and_free(100000, 50);
    ck_assert_uint_eq(stats_now().purged, purged);
    ck_assert_int_eq(sla_option_set("purge_delay", 500), 0);
}
END_TEST

START_TEST(purging_at_once_leaves_nothing)
{
    ck_assert_int_eq(sla_option_set("purge_delay", 0), 0);
    use_and_free(300000, 50);
    (void)sla_maintain();
    ck_assert_uint_eq(stats_now().dirty, 0);
    ck_assert_int_eq(sla_option_set("purge_delay", 500), 0);
}
END_TEST

/* --- statistics --- */

START_TEST(stats_follow_live_blocks)
{
    size_t size = bulks[_i].size, count = bulks[_i].count > 500 ? 500 : bulks[_i].count;
    static void *blocks[500];
    sla_stats_t before = stats_now();
    for (size_t i = 0; i < count; i++)
        blocks[i] = sla_malloc(size);
    sla_stats_t during = stats_now();
    size_t wanted = count * sla_good_size(size);
    ck_assert_uint_eq(during.live - before.live, wanted);
    if (size > 64 * KIB) {
        ck_assert_uint_eq(during.large_count - before.large_count, count);
        ck_assert_uint_ge(during.large - before.large, wanted);
    }
    ck_assert_uint_ge(during.slabs + during.large, during.live);
    ck_assert_uint_ge(during.peak, during.slabs + during.large);
    ck_assert_uint_ge(during.committed, during.slabs + during.large);
    ck_assert_uint_ge(during.reserved, during.committed);
    for (size_t i = 0; i < count; i++)
        sla_free(blocks[i]);
    sla_stats_t after = stats_now();
    ck_assert_uint_eq(after.live, before.live);
    ck_assert_uint_eq(after.large_count, before.large_count);
    ck_assert_uint_ge(after.peak, during.peak);
}
END_TEST

START_TEST(stats_know_the_caches)
{
    sla_thread_idle();
    use_and_free(64, 1);
    ck_assert_uint_ge(stats_now().cached, 64);
    ck_assert_uint_ge(stats_now().threads, 1);
    ck_assert_uint_ge(stats_now().regions, 1);
    ck_assert_uint_gt(stats_now().metadata, 0);
    sla_thread_idle();
    ck_assert_uint_eq(stats_now().cached, 0);
}
END_TEST

START_TEST(stats_of_other_sizes)
{
    size_t words[64];
    memset(words, 0xff, sizeof(words));
    ck_assert_int_eq(sla_stats_get((sla_stats_t *)words, 3 * sizeof(size_t)), 0);
    ck_assert_uint_eq(words[3], SIZE_MAX); /* beyond what the caller knows */
    ck_assert_uint_ne(words[0], SIZE_MAX);
    ck_assert_int_eq(sla_stats_get((sla_stats_t *)words, sizeof(words)), 0);
    for (size_t i = sizeof(sla_stats_t) / sizeof(size_t); i < ARRAY_LEN(words); i++)
        ck_assert_uint_eq(words[i], 0); /* beyond what the library knows */
    static const size_t bad[] = {0, 1, 7, 9, sizeof(sla_stats_t) + 1};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        errno = 0;
        ck_assert_int_eq(sla_stats_get((sla_stats_t *)words, bad[i]), -1);
        ck_assert_int_eq(errno, EINVAL);
    }
}
END_TEST

struct lines {
    size_t count, bad;
    void *kept[200];
};

static void take_line(void *arg, const char *line)
{
    struct lines *lines = arg;
    size_t length = strlen(line);
    if (length == 0 || line[length - 1] != '\n' || memchr(line, '\n', length - 1) != NULL)
        lines->bad++;
    /* The report may be kept in memory of the heap it is about. */
    char *copy = sla_malloc(length + 1);
    memcpy(copy, line, length + 1);
    if (lines->count < ARRAY_LEN(lines->kept))
        lines->kept[lines->count++] = copy;
}

START_TEST(report_comes_in_lines)
{
    static struct lines lines;
    sla_stats_print(take_line, &lines);
    ck_assert_uint_ge(lines.count, 5);
    ck_assert_uint_eq(lines.bad, 0);
    for (size_t i = 0; i < lines.count; i++)
        sla_free(lines.kept[i]);
}
END_TEST

static void print_report(void *arg)
{
    (void)arg;
    sla_stats_print(NULL, NULL);
}

START_TEST(report_goes_to_standard_error)
{
    struct support_child child;
    support_run_child(print_report, NULL, 10, &child);
    ck_assert(child.exited && child.status == 0);
    ck_assert_uint_gt(child.length, 100);
}
END_TEST

static TCase *tcase_of_memory(void)
{
    TCase *tc = tcase_create("memory");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, trim_returns_memory, 0, (int)ARRAY_LEN(bulks));
    tcase_add_test(tc, trim_keeps_what_it_is_asked_to);
    tcase_add_test(tc, maintain_purges_what_is_due);
    tcase_add_test(tc, never_purging_means_never);
    tcase_add_test(tc, purging_at_once_leaves_nothing);
    return tc;
}

int main(void)
{
    Suite *suite = suite_create("api/control");
    TCase *tc = tcase_create("control");
    int all = (int)ARRAY_LEN(options);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, option_has_its_default, 0, all);
    tcase_add_loop_test(tc, option_takes_its_range, 0, all);
    tcase_add_loop_test(tc, option_refuses_the_rest, 0, all);
    tcase_add_loop_test(tc, unknown_option_is_enoent, 0, 8);
    tcase_add_test(tc, version_matches_the_header);
    tcase_add_test(tc, owns_its_blocks_only);
    tcase_add_loop_test(tc, stats_follow_live_blocks, 0, (int)ARRAY_LEN(bulks));
    tcase_add_test(tc, stats_know_the_caches);
    tcase_add_test(tc, stats_of_other_sizes);
    tcase_add_test(tc, report_comes_in_lines);
    tcase_add_test(tc, report_goes_to_standard_error);
    suite_add_tcase(suite, tc);
    suite_add_tcase(suite, tcase_of_memory());
    return support_main(suite);
}
