/*
 * test_calls.c: the script of all entry points with system calls refused: the n-th of each kind, for every n; bursts;
 * one in so many; refusals that have done a part of their work, and ones that are passed off as success.
 *
 * Whatever happens, an allocation gives memory or NULL with ENOMEM, contents are kept, free keeps errno, and when the
 * system gives again all is as if nothing had been: nothing leaked, and the script runs through.
 *
 * SPDX-License-Identifier: MIT
 */
#include "runs.h"

static uint32_t only(enum slai_call call) { return (uint32_t)1 << call; }

/* What memory is about. */
static uint32_t memory_calls(void)
{
    return only(SLAI_CALL_RESERVE) | only(SLAI_CALL_COMMIT) | only(SLAI_CALL_RELEASE) | only(SLAI_CALL_RENEW) |
           only(SLAI_CALL_PURGE) | only(SLAI_CALL_MOVE) | only(SLAI_CALL_PIECE) | only(SLAI_CALL_HUGE);
}

/* Every n where a kind has up to `points` calls, else evenly spaced ones. */
START_TEST(each_call)
{
    struct plan plan = runs_plain();
    struct support_rng rng;
    size_t calls = 0;
    plan.script.threads = 0; /* it forks in the middle */
    plan.script.operations = support_plan(1200, 10000, 10000);
    runs_require(&plan); /* counts */
    for (int c = 0; c < SLAI_CALLS; c++)
        calls += refusals[c][0].err != 0 ? sums->seen[c] : 0;
    support_seed(&rng, 1);
    plan.first = support_below(&rng, 1000000);
    plan.points = support_plan(4, 100, 50);
    runs_require(&plan);
    support_ran("script of %zu operations: %zu failures, in turn, of its %zu system calls, seed %ju",
                plan.script.operations, sums->points, calls, (uintmax_t)plan.script.seed);
}
END_TEST

/* The same call, with threads and forks: the script from its start. */
START_TEST(each_call_with_threads)
{
    struct plan plan = runs_plain();
    size_t most = support_plan(1, 6, 3), runs = 0;
    struct sums before;
    runs_require(&plan);
    before = *sums;
    runs_require(&plan);
    for (int c = 0; c < SLAI_CALLS; c++) {
        size_t calls = sums->seen[c] - before.seen[c];
        for (size_t i = 0; i < most && i < calls && refusals[c][0].err != 0; i++, runs++) {
            const struct refusal *how = &refusals[c][i % REFUSALS];
            how = how->err != 0 ? how : &refusals[c][0];
            plan.call = (enum slai_call)c;
            plan.after = (long)(calls <= most ? i + 1 : i * calls / most + 1);
            plan.err = how->err;
            plan.done = how->done;
            runs_require(&plan);
        }
    }
    support_ran("the same with threads and forks: %zu calls failing in turn, seed %ju", runs,
                (uintmax_t)plan.script.seed);
}
END_TEST

START_TEST(bursts)
{
    static const long lengths[] = {2, 3, 10, 15};
    static const enum slai_call calls[] = {SLAI_CALL_RESERVE, SLAI_CALL_COMMIT, SLAI_CALL_RELEASE, SLAI_CALL_RENEW,
                                           SLAI_CALL_PURGE,   SLAI_CALL_PIECE,  SLAI_CALL_ARM,     SLAI_CALL_CLOCK,
                                           SLAI_CALL_KEY,     SLAI_CALL_MOVE};
    struct plan plan = runs_plain();
    struct support_rng rng;
    size_t runs = support_plan(4, 40, 40);
    support_seed(&rng, 2);
    for (size_t i = 0; i < runs; i++) {
        plan.script.seed = support_next(&rng);
        plan.call = calls[i % ARRAY_LEN(calls)];
        plan.after = 1 + (long)support_below(&rng, 30);
        plan.more = lengths[support_below(&rng, ARRAY_LEN(lengths))] - 1;
        if (support_below(&rng, 4) == 0 && plan.call != SLAI_CALL_RELEASE)
            plan.more = -1;
        plan.err = refusals[plan.call][0].err;
        plan.done = plan.call == SLAI_CALL_KEY || plan.call == SLAI_CALL_ARM ? 0 : support_below(&rng, 2);
        runs_require(&plan);
    }
    support_ran("bursts of failing calls: %zu runs of the script", runs);
}
END_TEST

START_TEST(by_chance)
{
    static const uint32_t odds[] = {2, 3, 5, 10, 20, 50, 100, 200, 500, 1000};
    static const int errors[] = {ENOMEM, EAGAIN, EINVAL, EPERM, EACCES};
    struct plan plan = runs_plain();
    struct support_rng rng;
    size_t runs = support_plan(5, 50, 50), failed = 0;
    support_seed(&rng, 3);
    for (size_t i = 0; i < runs; i++) {
        plan.script.seed = support_next(&rng);
        plan.script.operations = i % 10 == 9 ? 10000 : 1500;
        plan.seed = support_next(&rng);
        plan.odds = odds[i % ARRAY_LEN(odds)];
        plan.mask = i % 3 == 0 ? memory_calls() : UINT32_MAX & ~only(SLAI_CALL_REMAP) & ~only(SLAI_CALL_MEND);
        plan.err = errors[support_below(&rng, ARRAY_LEN(errors))];
        plan.done = support_below(&rng, 2);
        runs_require(&plan);
    }
    for (int c = 0; c < SLAI_CALLS; c++)
        failed += sums->failed[c];
    support_ran("random failures, 1 in 2 to 1 in 1000: %zu runs of the script; %zu failures by now, seed %ju", runs,
                failed, (uintmax_t)plan.script.seed);
}
END_TEST

/* From the first purge on none does anything, though each says so: it is found out, and nothing is taken for zero. */
START_TEST(purges_that_lie)
{
    struct plan plan = runs_plain();
    size_t runs = support_plan(1, 10, 20);
    plan.odds = 1;
    plan.mask = only(SLAI_CALL_PURGE) | only(SLAI_CALL_PROBE);
    plan.done = SLAI_DONE_CLAIMED;
    for (size_t i = 0; i < runs; i++, plan.script.seed++)
        runs_require(&plan);
    support_ran("a madvise that does nothing: %zu runs of the script", runs);
}
END_TEST

static void without_release(void *arg)
{
    void *p;
    (void)arg;
    script_options();
    p = sla_malloc(100 * MIB); /* in a region of its own */
    CHILD_REQUIRE(p != NULL);
    sla_free(p);
    slai_fault.err = EPERM;
    unit_refuse(SLAI_CALL_RESERVE, 1);
    unit_refuse(SLAI_CALL_RELEASE, 1);
    errno = SENTINEL_ERRNO;
    CHILD_REQUIRE(sla_malloc(200 * MIB) == NULL);
    CHILD_REQUIRE(slai_fault.failed[SLAI_CALL_RELEASE] > 0 && errno == ENOMEM);
}

/* There is no memory, and what could make room is not taken back either: the answer is the same. */
START_TEST(no_memory_whatever_the_system_says)
{
    static struct support_child child;
    support_run_child(without_release, NULL, 60, &child);
    ck_assert_msg(child.exited && child.status == 0, "%s", child.errors);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fault/calls");
    TCase *tc = tcase_create("calls");
    runs_begin();
    tcase_set_timeout(tc, 600);
    tcase_add_test(tc, no_memory_whatever_the_system_says);
    tcase_add_test(tc, each_call);
    tcase_add_test(tc, each_call_with_threads);
    tcase_add_test(tc, bursts);
    tcase_add_test(tc, by_chance);
    tcase_add_test(tc, purges_that_lie);
    suite_add_tcase(suite, tc);
    sites_add(suite);
    return support_main(suite);
}
