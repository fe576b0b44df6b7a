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
            ck_assert(!slai_fault_hit((enum slai_call)c, 4096));
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
        ck_assert_int_eq(slai_fault_hit(call, 1), i == 3);
        ck_assert_int_eq(errno, i == 3 ? ENOMEM : 0);
        ck_assert(!slai_fault_hit((enum slai_call)((_i + 1) % SLAI_CALLS), 1));
    }
}
END_TEST

START_TEST(and_further_ones)
{
    slai_fault.after[SLAI_CALL_PURGE] = 2;
    slai_fault.more[SLAI_CALL_PURGE] = 3;
    for (int i = 1; i <= 8; i++)
        ck_assert_int_eq(slai_fault_hit(SLAI_CALL_PURGE, 1), i >= 2 && i <= 5);
}
END_TEST

START_TEST(all_from_then_on)
{
    unit_refuse(SLAI_CALL_COMMIT, 4);
    for (int i = 1; i <= 50; i++)
        ck_assert_int_eq(slai_fault_hit(SLAI_CALL_COMMIT, 1), i >= 4);
}
END_TEST

START_TEST(error_of_choice)
{
    unit_refuse(SLAI_CALL_RELEASE, 1);
    slai_fault.err = EPERM;
    errno = 0;
    ck_assert(slai_fault_hit(SLAI_CALL_RELEASE, 1));
    ck_assert_int_eq(errno, EPERM);
}
END_TEST

START_TEST(limit_is_for_reserve)
{
    slai_fault.limit = 1000;
    ck_assert(!slai_fault_hit(SLAI_CALL_RESERVE, 1000));
    ck_assert(slai_fault_hit(SLAI_CALL_RESERVE, 1001));
    ck_assert(!slai_fault_hit(SLAI_CALL_COMMIT, 1001));
}
END_TEST

START_TEST(committed_is_a_budget)
{
    slai_fault.committed = 1001;
    ck_assert(!slai_fault_hit(SLAI_CALL_COMMIT, 600));
    ck_assert(slai_fault_hit(SLAI_CALL_COMMIT, 402));
    ck_assert(!slai_fault_hit(SLAI_CALL_COMMIT, 400));
    ck_assert(slai_fault_hit(SLAI_CALL_COMMIT, 2));
    ck_assert(!slai_fault_hit(SLAI_CALL_RESERVE, 5000));
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
    return support_main(suite);
}
