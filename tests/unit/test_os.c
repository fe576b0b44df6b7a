/*
 * test_os.c: the contract of os/os.h, sentence by sentence.
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "os/fault.h"
#include "os/os.h"
#include "util/bits.h"

#include <signal.h>
#include <sys/resource.h>

static size_t page;

static char *reserve(size_t pages)
{
    char *p = slai_os_reserve(pages * page);
    ck_assert_ptr_nonnull(p);
    ck_assert_uint_eq((uintptr_t)p % page, 0);
    return p;
}

static char *committed(size_t pages)
{
    char *p = reserve(pages);
    ck_assert(slai_os_commit(p, pages * page));
    return p;
}

static void begin(void)
{
    unit_begin();
    page = slai_os_page();
}

START_TEST(page_is_a_power_of_two)
{
    ck_assert(slai_is_pow2(page));
    ck_assert_uint_ge(page, 4096);
    ck_assert_uint_eq(slai_os_page(), page);
}
END_TEST

/* --- access: by children, since the wrong kind ends in a signal --- */

static char *volatile target;

static void look(void *arg)
{
    (void)arg;
    signal(SIGSEGV, SIG_DFL);
    support_mail[0] = 1 + (unsigned char)*target;
}

static void touch(void *arg)
{
    (void)arg;
    signal(SIGSEGV, SIG_DFL);
    *target = 1;
    support_mail[0] = 1;
}

static int can(void (*access)(void *), char *p)
{
    struct support_child child;
    target = p;
    support_run_child(access, NULL, 5, &child);
    ck_assert(child.mail[0] == 1 || child.signal == SIGSEGV);
    return child.mail[0] == 1;
}

START_TEST(access_by_state)
{
    char *p = reserve(3);
    ck_assert(!can(look, p) && !can(touch, p) && !can(look, p + 2 * page));
    ck_assert(slai_os_commit(p + page, page));
    ck_assert(can(look, p + page) && can(touch, p + 2 * page - 1));
    ck_assert(!can(look, p + 2 * page));
    ck_assert(!can(look, p) && !can(touch, p));
    ck_assert(slai_os_release(p, 3 * page));
    ck_assert(!can(look, p + page));
}
END_TEST

START_TEST(head_and_tail_can_be_released)
{
    char *p = committed(5);
    memset(p, 7, 5 * page);
    ck_assert(slai_os_release(p, page));
    ck_assert(slai_os_release(p + 3 * page, 2 * page));
    ck_assert_int_eq(p[page], 7);
    ck_assert_int_eq(p[3 * page - 1], 7);
    ck_assert(slai_os_release(p + page, 2 * page));
}
END_TEST

START_TEST(fresh_memory_is_zero)
{
    char *p = committed(16);
    ck_assert(support_is_zero(p, 16 * page));
    memset(p, 1, 16 * page);
    ck_assert(slai_os_release(p, 16 * page));
}
END_TEST

START_TEST(purge_and_renew_zero)
{
    bool (*const drop[])(void *, size_t) = {slai_os_purge, slai_os_renew};
    char *p = committed(8);
    for (int round = 0; round < 3; round++) {
        memset(p, 0x5a, 8 * page);
        ck_assert(drop[_i](p + page, 3 * page));
        ck_assert_int_eq(p[0], 0x5a);
        ck_assert_int_eq(p[page - 1], 0x5a);
        ck_assert(support_is_zero(p + page, 3 * page));
        ck_assert_int_eq(p[4 * page], 0x5a);
        ck_assert_int_eq(p[8 * page - 1], 0x5a);
    }
    ck_assert(slai_os_release(p, 8 * page));
}
END_TEST

START_TEST(purge_gives_memory_back)
{
    size_t pages = 32 * MIB / page;
    if (!SUPPORT_MEMORY_IS_PLAIN)
        return;
    char *p = committed(pages);
    size_t before = support_rss_kib();
    memset(p, 1, pages * page);
    ck_assert_uint_ge(support_rss_kib(), before + 30 * KIB);
    ck_assert(_i == 0 ? slai_os_purge(p, pages * page) : slai_os_renew(p, pages * page));
    ck_assert_uint_le(support_rss_kib(), before + 2 * KIB);
    ck_assert(slai_os_release(p, pages * page));
}
END_TEST

START_TEST(move_moves_and_leaves_zeroes)
{
    char *p = committed(12), *from = p + page, *to = p + 7 * page;
    memset(p, 3, 12 * page);
    support_fill(from, 4 * page, 42);
    if (slai_os_move(from, to, 4 * page)) {
        ck_assert(support_matches(to, 4 * page, 42));
        ck_assert(support_is_zero(from, 4 * page));
        memset(from, 9, 4 * page); /* still there to write to */
        ck_assert(support_matches(to, 4 * page, 42));
        ck_assert_int_eq(p[page - 1], 3);
        ck_assert_int_eq(p[5 * page], 3);
        ck_assert_int_eq(p[7 * page - 1], 3);
        ck_assert_int_eq(p[11 * page], 3);
        /* Split mappings can be mended and given back. */
        ck_assert(slai_os_renew(from, 4 * page));
        ck_assert(support_is_zero(from, 4 * page));
    } else {
        ck_assert_msg(errno == ENOSYS || errno == EINVAL, "errno %d", errno); /* plain POSIX, or an old kernel */
        ck_assert(support_matches(from, 4 * page, 42));
        ck_assert_int_eq(to[0], 3);
    }
    ck_assert(slai_os_release(p, 12 * page));
}
END_TEST

START_TEST(huge_pages_are_only_advice)
{
    char *p = committed(4);
    support_fill(p, 4 * page, 1);
    errno = SENTINEL_ERRNO;
    slai_os_huge_pages(p, 4 * page, true);
    slai_os_huge_pages(p, 4 * page, false);
    slai_os_huge_pages((char *)page, page, true); /* nothing is mapped there */
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    ck_assert(support_matches(p, 4 * page, 1));
    ck_assert(slai_os_release(p, 4 * page));
}
END_TEST

/* --- clock, limits, environment --- */

START_TEST(clock_goes_forward)
{
    uint64_t start = slai_os_clock(), before = start, now;
    ck_assert(start != 0);
    for (int i = 0; i < 20000; i++, before = now) {
        now = slai_os_clock();
        ck_assert(now >= before);
    }
    start = slai_os_clock();
    unit_sleep(30);
    ck_assert_uint_ge(slai_os_clock() - start, 15);
    ck_assert_uint_le(slai_os_clock() - start, 5000);
}
END_TEST

static void limit_addresses(void *arg)
{
    struct rlimit limit;
    (void)arg;
    CHILD_REQUIRE(getrlimit(RLIMIT_AS, &limit) == 0);
    limit.rlim_cur = (rlim_t)1 << (SIZE_BITS > 32 ? 40 : 31);
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < limit.rlim_cur)
        limit.rlim_cur = limit.rlim_max;
    CHILD_REQUIRE(setrlimit(RLIMIT_AS, &limit) == 0);
    CHILD_REQUIRE(slai_os_address_limit() == (size_t)limit.rlim_cur);
}

START_TEST(address_limit_is_the_rlimit)
{
    struct support_child child;
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_AS, &limit), 0);
    if (limit.rlim_cur == RLIM_INFINITY)
        ck_assert_uint_eq(slai_os_address_limit(), SIZE_MAX);
    support_run_child(limit_addresses, NULL, 5, &child);
    ck_assert_msg(child.exited && child.status == 0, "%s", child.errors);
}
END_TEST

START_TEST(environment)
{
    setenv("SLA_UNIT_TEST", "some=thing", 1);
    ck_assert_str_eq(slai_os_environment("SLA_UNIT_TEST"), "some=thing");
    ck_assert_ptr_null(slai_os_environment("SLA_UNIT"));
    ck_assert_ptr_null(slai_os_environment("SLA_UNIT_TEST2"));
    ck_assert_ptr_null(slai_os_environment("sla_unit_test"));
    setenv("SLA_UNIT_TEST", "", 1);
    ck_assert_str_eq(slai_os_environment("SLA_UNIT_TEST"), "");
    unsetenv("SLA_UNIT_TEST");
    ck_assert_ptr_null(slai_os_environment("SLA_UNIT_TEST"));
}
END_TEST

/* --- waiting --- */

static struct waiting {
    uint32_t word;
    struct unit_turn turn;
} waiting;

static void *wait_for_change(void *arg)
{
    (void)arg;
    unit_pass(&waiting.turn);
    errno = SENTINEL_ERRNO;
    while (slai_load_acquire(&waiting.word) == 1)
        slai_os_wait(&waiting.word, 1);
    return errno == SENTINEL_ERRNO ? NULL : &waiting;
}

START_TEST(wait_and_wake)
{
    pthread_t thread;
    void *kept;
    memset(&waiting, 0, sizeof(waiting));
    errno = SENTINEL_ERRNO;
    slai_os_wait(&waiting.word, 1); /* it is 0: returns at once */
    slai_os_wake(&waiting.word);
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    slai_set_release(&waiting.word, 1);
    unit_thread(&thread, wait_for_change, NULL);
    unit_await(&waiting.turn, 1);
    unit_sleep(10);
    slai_set_release(&waiting.word, 2);
    slai_os_wake(&waiting.word);
    ck_assert_int_eq(pthread_join(thread, &kept), 0);
    ck_assert_ptr_null(kept);
}
END_TEST

/* --- refusals --- */

START_TEST(failures_are_reported_when_asked)
{
    static const struct {
        int err;
        const char *text;
    } errors[] = {
        {ENOMEM, "out of memory (ENOMEM)"},    {EAGAIN, "try again (EAGAIN)"},
        {EINVAL, "invalid argument (EINVAL)"}, {EPERM, "not permitted (EPERM)"},
        {EACCES, "permission denied (EACCES)"}, {ENOSYS, "not implemented (ENOSYS)"},
        {4321, "errno 4321"},
    };
    for (int verbose = 0; verbose <= 2; verbose++) {
        for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
            char want[128];
            slai_conf.verbose = verbose;
            unit_catch();
            errno = errors[i].err;
            slai_os_failed("mmap", 12345);
            ck_assert_int_eq(errno, errors[i].err);
            snprintf(want, sizeof(want), "slaballoc: mmap of 12345 bytes failed: %s\n", errors[i].text);
            ck_assert_str_eq(unit_caught(), verbose >= 1 ? want : "");
        }
    }
}
END_TEST

START_TEST(events_are_told_when_asked)
{
    for (int verbose = 0; verbose <= 2; verbose++) {
        slai_conf.verbose = verbose;
        unit_catch();
        errno = SENTINEL_ERRNO;
        slai_os_event("purged", 12345);
        ck_assert_int_eq(errno, SENTINEL_ERRNO);
        ck_assert_str_eq(unit_caught(), verbose == 2 ? "slaballoc: purged 12345 bytes\n" : "");
    }
}
END_TEST

/* Makes call number _i, which was told to fail. */
static bool refused_call(int which, char *p)
{
    switch (which) {
    case 0: return slai_os_reserve(page) != NULL;
    case 1: return slai_os_release(p, page);
    case 2: return slai_os_commit(p, page);
    case 3: return slai_os_purge(p, page);
    case 4: return slai_os_renew(p, page);
    default: return slai_os_move(p, p + page, page);
    }
}

START_TEST(refusal_loses_nothing)
{
    static const enum slai_call calls[] = {SLAI_CALL_RESERVE, SLAI_CALL_RELEASE, SLAI_CALL_COMMIT,
                                           SLAI_CALL_PURGE,   SLAI_CALL_RENEW,   SLAI_CALL_MOVE};
    char *p = committed(2);
    ck_assert(slai_os_purge(p + page, page)); /* the first of the process looks, and writes */
    memset(p, 5, 2 * page);
    slai_fault.err = EPERM;
    unit_refuse(calls[_i], 1);
    slai_conf.verbose = 1;
    unit_catch();
    errno = 0;
    ck_assert(!refused_call(_i, p));
    ck_assert(errno == EPERM || (calls[_i] == SLAI_CALL_MOVE && errno == ENOSYS)); /* none in plain POSIX */
    const char *text = unit_caught();
    if (calls[_i] != SLAI_CALL_MOVE) /* there it is no news: the caller copies */
        ck_assert(support_like(strchr(text, ' ') + 1 + strcspn(strchr(text, ' ') + 1, " "),
                               " of # bytes failed: not permitted (EPERM)\n"));
    unit_no_faults();
    if (calls[_i] == SLAI_CALL_RELEASE) /* goes with the next that is taken or given */
        p += page;
    ck_assert_int_eq(p[0], 5);
    ck_assert_int_eq(p[page - 1], 5);
    p[0] = 6;
    ck_assert(slai_os_release(p, calls[_i] == SLAI_CALL_RELEASE ? page : 2 * page));
}
END_TEST

START_TEST(impossible_requests_fail_cleanly)
{
    errno = 0;
    ck_assert_ptr_null(slai_os_reserve(SIZE_MAX - SLAI_PAGE + 1));
    ck_assert_int_eq(errno, ENOMEM);
    char *p = reserve(1);
    ck_assert(slai_os_release(p, page));
    errno = 0;
    ck_assert(!slai_os_commit(p, page)); /* nothing there any more */
    ck_assert_int_eq(errno, ENOMEM);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("os");
    TCase *tc = tcase_create("os");
    suite_add_tcase(suite, tc);
    tcase_add_checked_fixture(tc, begin, unit_end);
    tcase_add_test(tc, page_is_a_power_of_two);
    tcase_add_test(tc, access_by_state);
    tcase_add_test(tc, head_and_tail_can_be_released);
    tcase_add_test(tc, fresh_memory_is_zero);
    tcase_add_loop_test(tc, purge_and_renew_zero, 0, 2);
    tcase_add_loop_test(tc, purge_gives_memory_back, 0, 2);
    tcase_add_test(tc, move_moves_and_leaves_zeroes);
    tcase_add_test(tc, huge_pages_are_only_advice);
    tcase_add_test(tc, clock_goes_forward);
    tcase_add_test(tc, address_limit_is_the_rlimit);
    tcase_add_test(tc, environment);
    tcase_add_test(tc, wait_and_wake);
    tcase_add_test(tc, failures_are_reported_when_asked);
    tcase_add_test(tc, events_are_told_when_asked);
    tcase_add_loop_test(tc, refusal_loses_nothing, 0, 6);
    tcase_add_test(tc, impossible_requests_fail_cleanly);
    return support_main(suite);
}
