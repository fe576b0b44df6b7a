/*
 * test_conf.c: SLABALLOC_CONF as a process finds it at its start: what is
 * taken, what is reported, what is ignored.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const names[] = {"purge_delay", "stats_at_exit", "verbose",
                                    "abort",       "huge_pages",    "cache_size"};
#define DEFAULTS "purge_delay=500 stats_at_exit=0 verbose=0 abort=1 huge_pages=1 "

/* The program run under test: says on standard output's place, file 2, what it has. */
static int show_options(void)
{
    char line[512];
    int length = 0;
    sla_free(sla_malloc(100));
    for (size_t i = 0; i < 5; i++) {
        long value = 0;
        CHILD_REQUIRE(sla_option_get(names[i], &value) == 0);
        length += snprintf(line + length, sizeof(line) - (size_t)length, "%s=%ld ", names[i], value);
    }
    length += snprintf(line + length, sizeof(line) - (size_t)length, "\n");
    return write(2, line, (size_t)length) == length ? EXIT_SUCCESS : EXIT_FAILURE;
}

static const struct {
    const char *value;
    const char *expected; /* all of standard error */
} cases[] = {
    {NULL, DEFAULTS "\n"},
    {"", DEFAULTS "\n"},
    {",", DEFAULTS "\n"},
    {",,,", DEFAULTS "\n"},
    {"purge_delay=7", "purge_delay=7 stats_at_exit=0 verbose=0 abort=1 huge_pages=1 \n"},
    {"purge_delay=-1", "purge_delay=-1 stats_at_exit=0 verbose=0 abort=1 huge_pages=1 \n"},
    {"purge_delay=0,abort=0", "purge_delay=0 stats_at_exit=0 verbose=0 abort=0 huge_pages=1 \n"},
    {"abort=0,purge_delay=0,", "purge_delay=0 stats_at_exit=0 verbose=0 abort=0 huge_pages=1 \n"},
    {",abort=0,,purge_delay=0", "purge_delay=0 stats_at_exit=0 verbose=0 abort=0 huge_pages=1 \n"},
    {"huge_pages=never", "purge_delay=500 stats_at_exit=0 verbose=0 abort=1 huge_pages=0 \n"},
    {"huge_pages=default", DEFAULTS "\n"},
    {"huge_pages=always", "purge_delay=500 stats_at_exit=0 verbose=0 abort=1 huge_pages=2 \n"},
    {"huge_pages=2", "purge_delay=500 stats_at_exit=0 verbose=0 abort=1 huge_pages=2 \n"},
    {"purge_delay=1,purge_delay=2", "purge_delay=2 stats_at_exit=0 verbose=0 abort=1 huge_pages=1 \n"},
    {"cache_size=65536", DEFAULTS "\n"},
    {"nonsense=1", "slaballoc: option 'nonsense': *; default kept\n" DEFAULTS "\n"},
    {"nonsense", "slaballoc: option 'nonsense': *; default kept\n" DEFAULTS "\n"},
    {"=1", "slaballoc: option '': *; default kept\n" DEFAULTS "\n"},
    {"=", "slaballoc: option '': *; default kept\n" DEFAULTS "\n"},
    {"Abort=0", "slaballoc: option 'Abort': *; default kept\n" DEFAULTS "\n"},
    {" abort=0", "slaballoc: option ' abort': *; default kept\n" DEFAULTS "\n"},
    {"abort", "slaballoc: option 'abort': *; default kept\n" DEFAULTS "\n"},
    {"abort=", "slaballoc: option 'abort': *; default kept\n" DEFAULTS "\n"},
    {"abort=yes", "slaballoc: option 'abort': *; default kept\n" DEFAULTS "\n"},
    {"abort=2", "slaballoc: option 'abort': *; default kept\n" DEFAULTS "\n"},
    {"abort=0 ", "slaballoc: option 'abort': *; default kept\n" DEFAULTS "\n"},
    {"abort==0", "slaballoc: option 'abort': *; default kept\n" DEFAULTS "\n"},
    {"abort=0x0", "slaballoc: option 'abort': *; default kept\n" DEFAULTS "\n"},
    {"abort=-", "slaballoc: option 'abort': *; default kept\n" DEFAULTS "\n"},
    {"purge_delay=-2", "slaballoc: option 'purge_delay': *; default kept\n" DEFAULTS "\n"},
    {"purge_delay=86400001", "slaballoc: option 'purge_delay': *; default kept\n" DEFAULTS "\n"},
    {"purge_delay=99999999999999999999", "slaballoc: option 'purge_delay': *; default kept\n" DEFAULTS "\n"},
    {"purge_delay=9223372036854775808", "slaballoc: option 'purge_delay': *; default kept\n" DEFAULTS "\n"},
    {"purge_delay=18446744073709552116", "slaballoc: option 'purge_delay': *; default kept\n" DEFAULTS "\n"},
    {"huge_pages=sometimes", "slaballoc: option 'huge_pages': *; default kept\n" DEFAULTS "\n"},
    {"huge_pages=3", "slaballoc: option 'huge_pages': *; default kept\n" DEFAULTS "\n"},
    {"cache_size=1", "slaballoc: option 'cache_size': *; default kept\n" DEFAULTS "\n"},
    {"verbose=3", "slaballoc: option 'verbose': *; default kept\n" DEFAULTS "\n"},
    {"one=1,two=2,three=3",
     "slaballoc: option 'one': *; default kept\nslaballoc: option 'two': *; default kept\n"
     "slaballoc: option 'three': *; default kept\n" DEFAULTS "\n"},
    {"bad=1,purge_delay=9,abort=7", "slaballoc: option 'bad': *; default kept\n"
                                    "slaballoc: option 'abort': *; default kept\n"
                                    "purge_delay=9 stats_at_exit=0 verbose=0 abort=1 huge_pages=1 \n"},
    {"purge_delay=3;abort=0", "slaballoc: option 'purge_delay': *; default kept\n" DEFAULTS "\n"},
};

/* '*' stands for anything within the line. */
static int matches(const char *text, const char *pattern)
{
    for (; *pattern != '\0'; pattern++) {
        if (*pattern == '*') {
            size_t length = strcspn(text, "\n");
            for (size_t i = 1; i <= length; i++)
                if (matches(text + i, pattern + 1))
                    return 1;
            return 0;
        }
        if (*text++ != *pattern)
            return 0;
    }
    return *text == '\0';
}

START_TEST(conf_is_read_and_checked)
{
    struct support_child child;
    support_run_self("show", "SLABALLOC_CONF", cases[_i].value, &child);
    ck_assert(child.exited && child.status == 0);
    ck_assert_msg(matches(child.errors, cases[_i].expected), "SLABALLOC_CONF='%s': expected\n%sgot\n%s",
                  cases[_i].value != NULL ? cases[_i].value : "(none)", cases[_i].expected, child.errors);
}
END_TEST

START_TEST(long_values_do_no_harm)
{
    static const size_t lengths[] = {100, 300, 5000, 100000};
    struct support_child child;
    size_t length = lengths[_i];
    char *value = malloc(length + 32), *line;
    memset(value, 'k', length);
    strcpy(value + length, ",purge_delay=11");
    support_run_self("show", "SLABALLOC_CONF", value, &child);
    free(value);
    ck_assert(child.exited && child.status == 0);
    ck_assert_ptr_nonnull(line = strchr(child.errors, '\n'));
    ck_assert(line - child.errors < 300);
    ck_assert_ptr_nonnull(strstr(line, "\npurge_delay=11 "));
}
END_TEST

/* Random bytes: only reports, one line each, and a program that works. */
START_TEST(random_values_do_no_harm)
{
    static const char pieces[][16] = {"abort", "purge_delay", "=",  "=",         ",",    ",",
                                      "0",     "-",           "99", "never",     "\x01", "\xff",
                                      "%s%n",  "huge_pages",  " ",  "cache_size"};
    struct support_rng rng;
    support_seed(&rng, (uint64_t)_i);
    for (size_t n = 0; n < support_scaled(20) + 2; n++) {
        struct support_child child;
        char value[512] = "";
        for (size_t i = 0; i < 24; i++)
            strcat(value, pieces[support_below(&rng, ARRAY_LEN(pieces))]);
        support_run_self("work", "SLABALLOC_CONF", value, &child);
        ck_assert_msg(child.exited && child.status == 0, "SLABALLOC_CONF='%s': signal %d", value,
                      child.signal);
        for (char *line = child.errors, *end; *line != '\0'; line = end + 1) {
            ck_assert_ptr_nonnull(end = strchr(line, '\n'));
            ck_assert_msg(strncmp(line, "slaballoc: option '", 19) == 0 ||
                          strstr(value, "stats_at_exit") != NULL, "'%s': %s", value, child.errors);
        }
    }
}
END_TEST

START_TEST(stats_at_exit_prints_a_report)
{
    struct support_child child;
    support_run_self("work", "SLABALLOC_CONF", "stats_at_exit=1", &child);
    ck_assert(child.exited && child.status == 0);
    ck_assert_uint_gt(child.length, 100);
    ck_assert_ptr_nonnull(strchr(child.errors, '\n'));
    support_run_self("work", "SLABALLOC_CONF", "stats_at_exit=0", &child);
    ck_assert_str_eq(child.errors, "");
}
END_TEST

/* A set-user-ID copy, run by another user: the environment is the attacker's. */
static void run_as_other(void *arg)
{
    const char *copy = arg;
    char *argv[] = {(char *)"test_conf", (char *)"show", NULL};
    setenv("SLABALLOC_CONF", "purge_delay=7,nonsense=1,abort=0", 1);
    CHILD_REQUIRE(setgid(65534) == 0 && setuid(65534) == 0);
    execv(copy, argv);
    CHILD_REQUIRE(!"exec of the copy");
}

static int copy_self(const char *target)
{
    char command[512];
    snprintf(command, sizeof(command), "cp /proc/%ld/exe '%s' && chmod 4755 '%s'", (long)getpid(), target,
             target);
    return system(command) == 0;
}

START_TEST(environment_is_ignored_when_secure)
{
    char copy[] = "/tmp/slaballoc-test-conf-XXXXXX";
    struct support_child child;
    int fd = mkstemp(copy);
    ck_assert_int_ge(fd, 0);
    close(fd);
    if (geteuid() != 0 || !SUPPORT_MEMORY_IS_PLAIN || !copy_self(copy)) {
        printf("environment_is_ignored_when_secure: needs root and no sanitizer, not tested\n");
        unlink(copy);
        return;
    }
    support_run_child(run_as_other, copy, 10, &child);
    unlink(copy);
    if (child.status == 127 || (child.status == 99 && strstr(child.errors, "exec of the copy") != NULL)) {
        printf("environment_is_ignored_when_secure: the copy cannot run here (%s), not tested\n",
               child.errors);
        return;
    }
    ck_assert_int_eq(child.status, 0);
    ck_assert_str_eq(child.errors, DEFAULTS "\n");
}
END_TEST

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "show") == 0)
        return show_options();
    if (argc == 2 && strcmp(argv[1], "work") == 0) {
        for (size_t i = 0; i < 2000; i++)
            sla_free(sla_realloc(sla_malloc(i * 50), i * 20 + 1));
        return EXIT_SUCCESS;
    }
    Suite *suite = suite_create("misuse/conf");
    TCase *tc = tcase_create("conf");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, conf_is_read_and_checked, 0, (int)ARRAY_LEN(cases));
    tcase_add_loop_test(tc, long_values_do_no_harm, 0, 4);
    tcase_add_loop_test(tc, random_values_do_no_harm, 0, 5);
    tcase_add_test(tc, stats_at_exit_prints_a_report);
    tcase_add_test(tc, environment_is_ignored_when_secure);
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
