/*
 * misdeeds.c: the frame of tests of what is reported.
 *
 * SPDX-License-Identifier: MIT
 */
#include "misuse/misdeeds.h"

#include <signal.h>

/* A misdeed leaves in support_mail what the report must say. */
enum { ADDRESS, SIZE_CLASS, DONE };
static const struct misdeed *all;
static int after_report_runs; /* with abort=0: what follows the misdeed */
char static_bytes[64];

void blame(const void *address, size_t size_class)
{
    support_mail[ADDRESS] = (uintptr_t)address;
    support_mail[SIZE_CLASS] = size_class;
}

void *blamed(void *address, size_t size)
{
    blame(address, sla_good_size(size));
    return address;
}

void *pin(size_t size)
{
    void *block = sla_malloc(size);
    CHILD_REQUIRE(block != NULL);
    return support_sink = block;
}

/* What was freed wrongly is out of use for good: nobody gets a block twice. */
static void nothing_comes_twice(size_t size)
{
    static void *blocks[100];
    size_t half = ARRAY_LEN(blocks) / 2;
    for (size_t i = 0; i < half; i++)
        CHILD_REQUIRE((blocks[i] = sla_malloc(size)) != NULL);
    CHILD_REQUIRE(sla_alloc_batch(size, blocks + half, ARRAY_LEN(blocks) - half) == ARRAY_LEN(blocks) - half);
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
        for (size_t j = 0; j < i; j++)
            CHILD_REQUIRE(blocks[j] != blocks[i]);
    for (size_t i = 0; i < half; i++)
        sla_free(blocks[i]);
    sla_free_batch(blocks + half, ARRAY_LEN(blocks) - half);
}

static void commit(void *arg)
{
    const struct misdeed *m = arg;
    if (after_report_runs)
        CHILD_REQUIRE(sla_option_set("abort", 0) == 0);
    errno = SENTINEL_ERRNO;
    m->run(m->size);
    support_mail[DONE] = 1;
    if (!after_report_runs)
        return;
    if (strcmp(m->call, "free") == 0)
        CHILD_REQUIRE(errno == SENTINEL_ERRNO);
    nothing_comes_twice(m->size % 4096 + 1);
}

/* The line of the report, and nothing else. */
static void check_report(const struct misdeed *m, const struct support_child *child)
{
    char what[96];
    size_t length = strcspn(m->what, "#");
    snprintf(what, sizeof(what), "%s", m->what);
    if (m->what[length] == '#')
        snprintf(what + length, sizeof(what) - length, "%ju)", (uintmax_t)child->mail[SIZE_CLASS]);
    ck_assert_msg(support_reported(child, m->call, child->mail[ADDRESS], what),
                  "%s, %zu: expected '%s(%#jx): %s', got '%s', signal %d, status %d", m->name, m->size, m->call,
                  (uintmax_t)child->mail[ADDRESS], what, child->errors, child->signal, child->status);
}

START_TEST(misdeed_aborts)
{
    struct support_child child;
    after_report_runs = 0;
    support_run_child(commit, (void *)(uintptr_t)&all[_i], 20, &child);
    check_report(&all[_i], &child);
    ck_assert_int_eq(child.signal, SIGABRT);
    ck_assert_uint_eq(child.mail[DONE], 0);
}
END_TEST

START_TEST(misdeed_is_survived)
{
    struct support_child child;
    after_report_runs = 1;
    support_run_child(commit, (void *)(uintptr_t)&all[_i], 20, &child);
    check_report(&all[_i], &child);
    ck_assert_msg(child.exited && child.status == 0, "%s: signal %d, status %d", all[_i].name, child.signal,
                  child.status);
    ck_assert_uint_eq(child.mail[DONE], 1);
}
END_TEST

int misdeeds_main(const char *name, const struct misdeed *misdeeds, size_t count)
{
    Suite *suite = suite_create(name);
    TCase *tc = tcase_create("misdeeds");
    all = misdeeds;
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, misdeed_aborts, 0, (int)count);
    tcase_add_loop_test(tc, misdeed_is_survived, 0, (int)count);
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
