/*
 * test_conf.c: the options and their parser, every message included.
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "util/panic.h"

#include <limits.h>

static long value_of(const char *name)
{
    long value = LONG_MIN;
    ck_assert_int_eq(slai_conf_get(name, &value), 0);
    return value;
}

/* --- by name --- */

static const struct {
    const char *name;
    long *field, low, high;
} table[] = {
    {"purge_delay", &slai_conf.purge_delay, -1, 86400000},
    {"stats_at_exit", &slai_conf.stats_at_exit, 0, 1},
    {"verbose", &slai_conf.verbose, 0, 2},
    {"abort", &slai_conf.abort, 0, 1},
    {"huge_pages", &slai_conf.huge_pages, 0, 2},
    {"cache_size", &slai_conf.cache_size, 16384, 1L << 30},
};

START_TEST(set_reaches_its_field)
{
    for (long v = table[_i].low; v <= table[_i].low + 1; v++) {
        ck_assert_int_eq(slai_conf_set(table[_i].name, v), 0);
        ck_assert_int_eq(*table[_i].field, v);
        ck_assert_int_eq(value_of(table[_i].name), v);
    }
    ck_assert_int_eq(slai_conf_set(table[_i].name, table[_i].high), 0);
    ck_assert_int_eq(*table[_i].field, table[_i].high);
    ck_assert_int_eq(slai_conf_set(table[_i].name, table[_i].high + 1), EINVAL);
    ck_assert_int_eq(slai_conf_set(table[_i].name, table[_i].low - 1), EINVAL);
    ck_assert_int_eq(*table[_i].field, table[_i].high);
}
END_TEST

START_TEST(no_such_name)
{
    static const char *const bad[] = {"", "purge", "purge_delay ", "purge_delayy", "Abort", "verbose=1"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        long value = 5;
        ck_assert_int_eq(slai_conf_get(bad[i], &value), ENOENT);
        ck_assert_int_eq(value, 5);
        ck_assert_int_eq(slai_conf_set(bad[i], 1), ENOENT);
    }
}
END_TEST

/* --- good text --- */

static const struct {
    const char *text, *name;
    long value;
} good[] = {
    {"purge_delay=0", "purge_delay", 0},
    {"purge_delay=-1", "purge_delay", -1},
    {"purge_delay=-0", "purge_delay", 0},
    {"purge_delay=0007", "purge_delay", 7},
    {"purge_delay=86400000", "purge_delay", 86400000},
    {"stats_at_exit=1", "stats_at_exit", 1},
    {"verbose=2", "verbose", 2},
    {"abort=0", "abort", 0},
    {"huge_pages=never", "huge_pages", SLAI_HUGE_NEVER},
    {"huge_pages=default", "huge_pages", SLAI_HUGE_DEFAULT},
    {"huge_pages=always", "huge_pages", SLAI_HUGE_ALWAYS},
    {"huge_pages=0", "huge_pages", 0},
    {"huge_pages=2", "huge_pages", 2},
    {"cache_size=16384", "cache_size", 16384},
    {"cache_size=1073741824", "cache_size", 1073741824},
    {",,verbose=1", "verbose", 1},
    {"verbose=1,,", "verbose", 1},
    {"verbose=0,verbose=2", "verbose", 2},
    {"abort=0,purge_delay=3,verbose=1", "purge_delay", 3},
};

START_TEST(good_text)
{
    unit_catch();
    int bad = slai_conf_parse(good[_i].text);
    ck_assert_str_eq(unit_caught(), "");
    ck_assert_int_eq(bad, 0);
    ck_assert_int_eq(value_of(good[_i].name), good[_i].value);
}
END_TEST

START_TEST(nothing_to_parse)
{
    struct slai_conf before = slai_conf;
    ck_assert_int_eq(slai_conf_parse(NULL), 0);
    ck_assert_int_eq(slai_conf_parse(""), 0);
    ck_assert_int_eq(slai_conf_parse(","), 0);
    ck_assert_int_eq(slai_conf_parse(",,,,"), 0);
    ck_assert_mem_eq(&before, &slai_conf, sizeof(before));
}
END_TEST

/* --- bad text: one line each, the option untouched --- */

#define KEPT "; default kept\n"
static const struct {
    const char *text, *message;
} bad[] = {
    {"nonsense", "option 'nonsense': unknown" KEPT},
    {"nonsense=1", "option 'nonsense': unknown" KEPT},
    {"=1", "option '': unknown" KEPT},
    {"=", "option '': unknown" KEPT},
    {"Verbose=1", "option 'Verbose': unknown" KEPT},
    {" verbose=1", "option ' verbose': unknown" KEPT},
    {"verbose =1", "option 'verbose ': unknown" KEPT},
    {"verbos=1", "option 'verbos': unknown" KEPT},
    {"verbose", "option 'verbose': no value, want 0 to 2" KEPT},
    {"verbose=", "option 'verbose': no value, want 0 to 2" KEPT},
    {"verbose=x", "option 'verbose': not a number, want 0 to 2" KEPT},
    {"verbose=1x", "option 'verbose': not a number, want 0 to 2" KEPT},
    {"verbose= 1", "option 'verbose': not a number, want 0 to 2" KEPT},
    {"verbose=+1", "option 'verbose': not a number, want 0 to 2" KEPT},
    {"verbose=0x1", "option 'verbose': not a number, want 0 to 2" KEPT},
    {"verbose=-", "option 'verbose': not a number, want 0 to 2" KEPT},
    {"verbose=--1", "option 'verbose': not a number, want 0 to 2" KEPT},
    {"verbose=1=1", "option 'verbose': not a number, want 0 to 2" KEPT},
    {"verbose=never", "option 'verbose': not a number, want 0 to 2" KEPT},
    {"verbose=3", "option 'verbose': out of range, want 0 to 2" KEPT},
    {"verbose=-1", "option 'verbose': out of range, want 0 to 2" KEPT},
    {"abort=2", "option 'abort': out of range, want 0 to 1" KEPT},
    {"abort=yes", "option 'abort': not a number, want 0 to 1" KEPT},
    {"stats_at_exit=9", "option 'stats_at_exit': out of range, want 0 to 1" KEPT},
    {"purge_delay=-2", "option 'purge_delay': out of range, want -1 to 86400000" KEPT},
    {"purge_delay=86400001", "option 'purge_delay': out of range, want -1 to 86400000" KEPT},
    {"purge_delay=99999999999999999999999", "option 'purge_delay': not a number, want -1 to 86400000" KEPT},
    {"cache_size=16383", "option 'cache_size': out of range, want 16384 to 1073741824" KEPT},
    {"cache_size=1m", "option 'cache_size': not a number, want 16384 to 1073741824" KEPT},
    {"huge_pages=sometimes", "option 'huge_pages': not a number, want 0 to 2" KEPT},
    {"huge_pages=nevermore", "option 'huge_pages': not a number, want 0 to 2" KEPT},
    {"huge_pages=3", "option 'huge_pages': out of range, want 0 to 2" KEPT},
    {"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddEEE=1",
     "option 'aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd': unknown" KEPT},
};

START_TEST(bad_text)
{
    char want[256];
    struct slai_conf before = slai_conf;
    snprintf(want, sizeof(want), "slaballoc: %s", bad[_i].message);
    unit_catch();
    errno = SENTINEL_ERRNO;
    int count = slai_conf_parse(bad[_i].text);
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    ck_assert_str_eq(unit_caught(), want);
    ck_assert_int_eq(count, 1);
    ck_assert_mem_eq(&before, &slai_conf, sizeof(before));
}
END_TEST

START_TEST(bad_among_good)
{
    unit_catch();
    int count = slai_conf_parse("verbose=1,oops,abort=0,huge_pages=7,cache_size=20000,");
    ck_assert_str_eq(unit_caught(), "slaballoc: option 'oops': unknown; default kept\n"
                                    "slaballoc: option 'huge_pages': out of range, want 0 to 2; default kept\n");
    ck_assert_int_eq(count, 2);
    ck_assert_int_eq(value_of("verbose"), 1);
    ck_assert_int_eq(value_of("abort"), 0);
    ck_assert_int_eq(value_of("cache_size"), 20000);
}
END_TEST

START_TEST(random_text)
{
    static const char alphabet[] = "=,,-019averbosbortpurge_delayhuge_pages ";
    struct support_rng rng;
    support_seed(&rng, (uint64_t)_i);
    unit_catch();
    for (int round = 0; round < 200; round++) {
        char text[64];
        size_t length = support_below(&rng, sizeof(text) - 1);
        for (size_t i = 0; i < length; i++)
            text[i] = alphabet[support_below(&rng, sizeof(alphabet) - 1)];
        text[length] = '\0';
        int entries = length > 0;
        for (size_t i = 0; i < length; i++)
            entries += text[i] == ',';
        int count = slai_conf_parse(text);
        ck_assert_int_ge(count, 0);
        ck_assert_int_le(count, entries);
    }
    (void)unit_caught();
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        ck_assert_int_ge(*table[i].field, table[i].low);
        ck_assert_int_le(*table[i].field, table[i].high);
    }
}
END_TEST

/* --- from the environment --- */

START_TEST(environment_is_read_once_at_the_start)
{
    /* More lines may follow at this verbosity: under a sanitizer the first reservation can be refused. */
    static const char report[] = "slaballoc: option 'oops': unknown; default kept\n";
    struct support_child child;
    support_run_self("verbosity", "SLABALLOC_CONF", "verbose=1,oops=1", &child);
    ck_assert(child.exited && child.status == 1);
    ck_assert_msg(strncmp(child.errors, report, sizeof(report) - 1) == 0, "%s", child.errors);
    ck_assert_ptr_null(strstr(child.errors + sizeof(report) - 1, "option"));
    support_run_self("verbosity", "SLABALLOC_CONF", NULL, &child);
    ck_assert(child.exited && child.status == 0);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "verbosity") == 0) {
        slai_init();
        return (int)slai_conf.verbose;
    }
    Suite *suite = suite_create("conf");
    TCase *tc = unit_case(suite, "conf");
    tcase_add_loop_test(tc, set_reaches_its_field, 0, (int)ARRAY_LEN(table));
    tcase_add_test(tc, no_such_name);
    tcase_add_loop_test(tc, good_text, 0, (int)ARRAY_LEN(good));
    tcase_add_test(tc, nothing_to_parse);
    tcase_add_loop_test(tc, bad_text, 0, (int)ARRAY_LEN(bad));
    tcase_add_test(tc, bad_among_good);
    tcase_add_loop_test(tc, random_text, 0, 5);
    tcase_add_test(tc, environment_is_read_once_at_the_start);
    return support_main(suite);
}
