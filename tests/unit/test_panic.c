/*
 * test_panic.c: the line on standard error, and the way out.
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "heap/misuse.h"
#include "os/os.h"
#include "util/assert.h"
#include "util/panic.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <unistd.h>

static struct slai_line line;

static const char *built(void)
{
    ck_assert_uint_lt(line.len, sizeof(line.text));
    line.text[line.len] = '\0';
    return line.text;
}

START_TEST(pieces_follow_each_other)
{
    slai_line_start(&line);
    slai_line_text(&line, "a ");
    slai_line_dec(&line, 12);
    slai_line_text(&line, "");
    slai_line_textn(&line, " bcd", 3);
    slai_line_signed(&line, -3);
    slai_line_text(&line, " ");
    slai_line_hex(&line, 0xbeef);
    ck_assert_str_eq(built(), "slaballoc: a 12 bc-3 0xbeef");
}
END_TEST

START_TEST(numbers)
{
    static const unsigned long values[] = {0, 1, 9, 10, 15, 16, 99, 100, 255, 4096, 65535, 1000000, ULONG_MAX - 1,
                                           ULONG_MAX, LONG_MAX, (unsigned long)LONG_MAX + 1};
    char want[64];
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        line.len = 0;
        slai_line_dec(&line, values[i]);
        snprintf(want, sizeof(want), "%lu", values[i]);
        ck_assert_str_eq(built(), want);
        line.len = 0;
        slai_line_hex(&line, values[i]);
        snprintf(want, sizeof(want), "0x%lx", values[i]);
        ck_assert_str_eq(built(), want);
        line.len = 0;
        slai_line_signed(&line, (long)values[i]);
        snprintf(want, sizeof(want), "%ld", (long)values[i]);
        ck_assert_str_eq(built(), want);
    }
}
END_TEST

START_TEST(too_much_is_cut)
{
    char want[sizeof(line.text) + 16];
    memset(want, 0, sizeof(want));
    strcpy(want, "slaballoc: ");
    slai_line_start(&line);
    for (int i = 0; i < 1000; i++)
        slai_line_text(&line, "0123456789");
    slai_line_textn(&line, "abc", 3);
    slai_line_dec(&line, 77);
    slai_line_hex(&line, 77);
    slai_line_signed(&line, -77);
    for (size_t i = strlen(want), digit = 0; i < sizeof(line.text) - 1; i++)
        want[i] = (char)('0' + digit++ % 10);
    ck_assert_str_eq(built(), want);
    unit_catch();
    slai_line_end(&line);
    strcat(want, "\n");
    ck_assert_str_eq(unit_caught(), want);
}
END_TEST

START_TEST(end_writes_one_line_and_keeps_errno)
{
    unit_catch();
    slai_line_start(&line);
    slai_line_text(&line, "hello");
    errno = SENTINEL_ERRNO;
    slai_line_end(&line);
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    ck_assert_str_eq(unit_caught(), "slaballoc: hello\n");
}
END_TEST

static void end_without_standard_error(void *arg)
{
    (void)arg;
    close(2);
    slai_line_start(&line);
    errno = 0;
    slai_line_end(&line);
    support_mail[0] = errno == 0;
}

static void end_into_a_full_pipe(void *arg)
{
    int ends[2];
    char junk[4096];
    (void)arg;
    memset(junk, 'x', sizeof(junk));
    CHILD_REQUIRE(pipe(ends) == 0);
    CHILD_REQUIRE(fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
    while (write(ends[1], junk, sizeof(junk)) > 0)
        continue;
    dup2(ends[1], 2);
    slai_line_start(&line);
    errno = 0;
    slai_line_end(&line);
    support_mail[0] = errno == 0;
}

static void end_into_a_broken_pipe(void *arg)
{
    int ends[2];
    (void)arg;
    signal(SIGPIPE, SIG_IGN);
    CHILD_REQUIRE(pipe(ends) == 0);
    close(ends[0]);
    dup2(ends[1], 2);
    slai_line_start(&line);
    errno = 0;
    slai_line_end(&line);
    support_mail[0] = errno == 0;
}

START_TEST(end_gives_up_when_nobody_reads)
{
    static void (*const ways[])(void *) = {end_without_standard_error, end_into_a_full_pipe, end_into_a_broken_pipe};
    struct support_child child;
    support_run_child(ways[_i], NULL, 5, &child);
    ck_assert(child.exited);
    ck_assert_int_eq(child.status, 0);
    ck_assert_uint_eq(child.mail[0], 1);
}
END_TEST

/* As at the end of a program that has closed its standard error by then. */
static void end_after_close(void *arg)
{
    (void)arg;
    slai_os_keep_stderr();
    close(2);
    slai_line_start(&line);
    slai_line_text(&line, "late");
    slai_line_end(&line);
    slai_line_spare = -1;
    slai_line_end(&line);
}

START_TEST(end_has_a_spare)
{
    struct support_child child;
    support_run_child(end_after_close, NULL, 5, &child);
    ck_assert(child.exited);
    ck_assert_str_eq(child.errors, "slaballoc: late\n");
}
END_TEST

static void panic_now(void *arg) { slai_panic(arg); }

START_TEST(panic_says_why_and_aborts)
{
    struct support_child child;
    char why[] = "the sky is falling";
    support_run_child(panic_now, why, 5, &child);
    ck_assert_int_eq(child.signal, SIGABRT);
    ck_assert_str_eq(child.errors, "slaballoc: the sky is falling\n");
}
END_TEST

static void assert_falsely(void *arg)
{
    int *zero = arg;
    slai_assert(*zero == 0);
    slai_assert(*zero == 1);
}

START_TEST(assert_says_what_and_where)
{
    struct support_child child;
    int zero = 0;
    support_run_child(assert_falsely, &zero, 5, &child);
    ck_assert_int_eq(child.signal, SIGABRT);
    ck_assert_ptr_nonnull(strstr(child.errors, "slaballoc: assertion failed: *zero == 1 ("));
    ck_assert_ptr_nonnull(strstr(child.errors, "test_panic.c:"));
}
END_TEST

/* --- misuse: the same line, and going on when abort=0 --- */

START_TEST(misuse_goes_on_when_asked)
{
    slai_conf.abort = 0;
    unit_catch();
    slai_misuse("free", (void *)0x1230, "gone", 0);
    slai_misuse("realloc", NULL, "gone", 48);
    slai_misuse_sized("free_sized", (void *)0xabc, "size", 65, 64);
    ck_assert_str_eq(unit_caught(), "slaballoc: free(0x1230): gone\n"
                                    "slaballoc: realloc(0x0): gone (size class 48)\n"
                                    "slaballoc: free_sized(0xabc): size 65 does not fit a block of 64 bytes\n");
}
END_TEST

static void misuse_now(void *arg)
{
    slai_conf.abort = 1;
    if (arg != NULL)
        slai_misuse("free", arg, "gone", 0);
    slai_misuse_sized("free_sized", arg, "size", 2, 1);
}

START_TEST(misuse_aborts)
{
    struct support_child child;
    support_run_child(misuse_now, &line, 5, &child);
    ck_assert_int_eq(child.signal, SIGABRT);
    ck_assert(support_reported(&child, "free", (uintptr_t)&line, "gone"));
    support_run_child(misuse_now, NULL, 5, &child);
    ck_assert_int_eq(child.signal, SIGABRT);
    ck_assert(support_reported(&child, "free_sized", 0, "size 2 does not fit a block of 1 bytes"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("panic");
    TCase *tc = unit_case(suite, "panic");
    tcase_add_test(tc, pieces_follow_each_other);
    tcase_add_test(tc, numbers);
    tcase_add_test(tc, too_much_is_cut);
    tcase_add_test(tc, end_writes_one_line_and_keeps_errno);
    tcase_add_loop_test(tc, end_gives_up_when_nobody_reads, 0, 3);
    tcase_add_test(tc, end_has_a_spare);
    tcase_add_test(tc, panic_says_why_and_aborts);
    tcase_add_test(tc, assert_says_what_and_where);
    tcase_add_test(tc, misuse_goes_on_when_asked);
    tcase_add_test(tc, misuse_aborts);
    return support_main(suite);
}
