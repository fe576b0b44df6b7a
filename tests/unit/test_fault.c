/*
 * test_fault.c: the injected refusals do what os/fault.h says, since other tests rely on it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "os/fault.h"
#include "os/os.h"

START_TEST(nothing_asked_nothing_refused)
{
    for (int c = 0; c < SLAI_CALLS; c++)
        for (int i = 0; i < 10; i++)
            ck_assert(!slai_fault_hit((enum slai_call)c, NULL, 4096));
    for (int c = 0; c < SLAI_CALLS; c++)
        ck_assert_uint_eq(slai_fault.seen[c], 10);
}
END_TEST

START_TEST(nth_call_fails)
{
    enum slai_call call = (enum slai_call)(_i % SLAI_CALLS);
    slai_fault.after[call] = 3;
    for (int i = 1; i <= 6; i++) {
        errno = 0;
        ck_assert_int_eq(slai_fault_hit(call, NULL, 1), i == 3);
        ck_assert_int_eq(errno, i == 3 ? ENOMEM : 0);
        ck_assert(!slai_fault_hit((enum slai_call)((_i + 1) % SLAI_CALLS), NULL, 1));
    }
}
END_TEST

START_TEST(and_further_ones)
{
    slai_fault.after[SLAI_CALL_PURGE] = 2;
    slai_fault.more[SLAI_CALL_PURGE] = 3;
    for (int i = 1; i <= 8; i++)
        ck_assert_int_eq(slai_fault_hit(SLAI_CALL_PURGE, NULL, 1), i >= 2 && i <= 5);
}
END_TEST

START_TEST(all_from_then_on)
{
    unit_refuse(SLAI_CALL_COMMIT, 4);
    for (int i = 1; i <= 50; i++)
        ck_assert_int_eq(slai_fault_hit(SLAI_CALL_COMMIT, NULL, 1), i >= 4);
}
END_TEST

START_TEST(error_of_choice)
{
    unit_refuse(SLAI_CALL_RELEASE, 1);
    slai_fault.err = EPERM;
    errno = 0;
    ck_assert(slai_fault_hit(SLAI_CALL_RELEASE, NULL, 1));
    ck_assert_int_eq(errno, EPERM);
}
END_TEST

START_TEST(limit_is_for_reserve)
{
    slai_fault.limit = 1000;
    ck_assert(!slai_fault_hit(SLAI_CALL_RESERVE, NULL, 1000));
    ck_assert(slai_fault_hit(SLAI_CALL_RESERVE, NULL, 1001));
    ck_assert(!slai_fault_hit(SLAI_CALL_COMMIT, NULL, 1001));
}
END_TEST

START_TEST(committed_is_a_budget)
{
    slai_fault.committed = 1001;
    ck_assert(!slai_fault_hit(SLAI_CALL_COMMIT, NULL, 600));
    ck_assert(slai_fault_hit(SLAI_CALL_COMMIT, NULL, 402));
    ck_assert(!slai_fault_hit(SLAI_CALL_COMMIT, NULL, 400));
    ck_assert(slai_fault_hit(SLAI_CALL_COMMIT, NULL, 2));
    ck_assert(!slai_fault_hit(SLAI_CALL_RESERVE, NULL, 5000));
}
END_TEST

START_TEST(one_in_so_many)
{
    size_t hits[2] = {0, 0};
    slai_fault.odds = 10;
    slai_fault.mask = 1u << SLAI_CALL_COMMIT;
    slai_fault.seed = 5;
    for (int i = 0; i < 10000; i++) {
        hits[0] += slai_fault_hit(SLAI_CALL_COMMIT, NULL, 1);
        hits[1] += slai_fault_hit(SLAI_CALL_PURGE, NULL, 1);
    }
    ck_assert(hits[0] > 500 && hits[0] < 2000);
    ck_assert_uint_eq(hits[1], 0);
    ck_assert_uint_eq(slai_fault.failed[SLAI_CALL_COMMIT], hits[0]);
}
END_TEST

static bool ask_each_second(enum slai_call call, size_t size)
{
    static int n;
    (void)size;
    return call == SLAI_CALL_MOVE && ++n % 2 == 0;
}

START_TEST(somebody_is_asked)
{
    slai_fault.ask = ask_each_second;
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(slai_fault_hit(SLAI_CALL_MOVE, NULL, 1), i % 2);
        ck_assert(!slai_fault_hit(SLAI_CALL_KEY, NULL, 1));
    }
}
END_TEST

START_TEST(done_in_part)
{
    size_t page = 65536;
    char *p = slai_os_reserve(4 * page);
    ck_assert_ptr_nonnull(p);
    slai_fault.done = SLAI_DONE_PART;
    unit_refuse(SLAI_CALL_COMMIT, 1);
    ck_assert(!slai_os_commit(p, 4 * page));
    p[2 * page - 1] = 1; /* the first half of it is there */
    unit_no_faults();
    ck_assert(slai_os_commit(p, 4 * page));
    p[4 * page - 1] = 1;
    slai_fault.done = SLAI_DONE_PART;
    unit_refuse(SLAI_CALL_PURGE, 1);
    ck_assert(!slai_os_purge(p, 4 * page));
    ck_assert(p[2 * page - 1] == 0 && p[4 * page - 1] == 1);
    unit_no_faults();
    ck_assert(slai_os_release(p, 4 * page));
}
END_TEST

/* A large block that is to shrink, and no memory for a small one: it stays where it is, and that is no failure. */
START_TEST(success_keeps_errno)
{
    static void *blocks[100000];
    size_t n = 0;
    void *p = sla_malloc(MIB), *q;
    ck_assert_ptr_nonnull(p);
    unit_tidy();
    unit_refuse(SLAI_CALL_RESERVE, 1);
    unit_refuse(SLAI_CALL_COMMIT, 1);
    for (size_t size = 4 * MIB; size >= 1000; size = size > 20 * KIB ? size / 2 : size - 1000)
        while (n < ARRAY_LEN(blocks) && (blocks[n] = sla_malloc(size)) != NULL)
            n++;
    ck_assert_uint_lt(n, ARRAY_LEN(blocks));
    errno = SENTINEL_ERRNO;
    q = sla_realloc(p, 1000);
    ck_assert_ptr_eq(q, p);
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    unit_no_faults();
    while (n > 0)
        sla_free(blocks[--n]);
    sla_free(q);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fault");
    TCase *tc = unit_case(suite, "fault");
    tcase_add_test(tc, nothing_asked_nothing_refused);
    tcase_add_loop_test(tc, nth_call_fails, 0, SLAI_CALLS);
    tcase_add_test(tc, and_further_ones);
    tcase_add_test(tc, all_from_then_on);
    tcase_add_test(tc, error_of_choice);
    tcase_add_test(tc, limit_is_for_reserve);
    tcase_add_test(tc, committed_is_a_budget);
    tcase_add_test(tc, one_in_so_many);
    tcase_add_test(tc, somebody_is_asked);
    tcase_add_test(tc, done_in_part);
    tcase_add_test(tc, success_keeps_errno);
    return support_main(suite);
}
