/*
 * sites.c: the places in os/ that the script does not come to, or cannot tell apart, and the table of all of them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* syscall */
#endif
#include "runs.h"

#include "os/lock.h"
#include "os/os.h"
#include "os/tls.h"
#include "util/panic.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static void require(void (*function)(void *arg), void *arg)
{
    static struct support_child child;
    support_run_child(function, arg, 120, &child);
    ck_assert_msg(child.exited && child.status == 0, "status %d, signal %d: %s", child.status, child.signal,
                  child.errors);
}

static void refuse(enum slai_call call, int err, enum slai_fault_done done)
{
    slai_fault.after[call] = 1;
    slai_fault.more[call] = -1;
    slai_fault.err = err;
    slai_fault.done = done;
}

/* --- what is not taken back is offered again --- */

static void releases(void *arg)
{
    size_t page = slai_os_page(), before = slai_fault.mapped;
    char *p[12];
    (void)arg;
    refuse(SLAI_CALL_RELEASE, ENOMEM, 0);
    refuse(SLAI_CALL_DROP, EINVAL, 0);
    refuse(SLAI_CALL_AGAIN, ENOMEM, 0);
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        CHILD_REQUIRE((p[i] = slai_os_reserve(4 * page)) != NULL && slai_os_commit(p[i], 2 * page));
    for (size_t i = 0; i < ARRAY_LEN(p); i++) {
        memset(p[i], 1, 2 * page);
        errno = 0;
        CHILD_REQUIRE(!slai_os_release(p[i], 4 * page) && errno == ENOMEM);
    }
    CHILD_REQUIRE(slai_fault.mapped == before + ARRAY_LEN(p) * 4 * page);
    runs_count();
    CHILD_REQUIRE((p[0] = slai_os_reserve(page)) != NULL);
    CHILD_REQUIRE(slai_fault.mapped == before + page); /* all of them went then */
    CHILD_REQUIRE(slai_os_release(p[0], page) && slai_fault.mapped == before);
    for (size_t i = 1; i < ARRAY_LEN(p); i++)
        CHILD_REQUIRE(msync(p[i], page, MS_ASYNC) != 0 && errno == ENOMEM); /* there is nothing */
}

START_TEST(refused_releases_go_later)
{
    require(releases, NULL);
}
END_TEST

/* At least the memory behind it goes at once. */
static void dropped(void *arg)
{
    size_t page = slai_os_page();
    unsigned char *p = slai_os_reserve(page);
    (void)arg;
    CHILD_REQUIRE(p != NULL && slai_os_commit(p, page));
    *p = 1;
    refuse(SLAI_CALL_RELEASE, ENOMEM, 0);
    CHILD_REQUIRE(!slai_os_release(p, page));
    CHILD_REQUIRE(slai_fault.seen[SLAI_CALL_DROP] == 1);
    if (slai_os_commit(p, page)) /* nobody does so but this test */
        CHILD_REQUIRE(*p == 0);
    runs_count();
}

START_TEST(refused_releases_hold_no_memory)
{
    require(dropped, NULL);
}
END_TEST

/* --- a renewal that leaves a hole --- */

static void holes(void *arg)
{
    size_t page = slai_os_page();
    char *p = slai_os_reserve(8 * page);
    (void)arg;
    CHILD_REQUIRE(p != NULL && slai_os_commit(p, 8 * page));
    for (int intact = 0; intact < 2; intact++) {
        memset(p, 1, 8 * page);
        refuse(SLAI_CALL_RENEW, ENOMEM, SLAI_DONE_PART); /* the mapping is gone */
        if (intact)
            refuse(SLAI_CALL_INTACT, ENOMEM, SLAI_DONE_PART);
        errno = 0;
        CHILD_REQUIRE(!slai_os_renew(p + page, 4 * page) && errno == ENOMEM);
        CHILD_REQUIRE(p[0] == 1 && p[page] == 0 && p[5 * page - 1] == 0 && p[5 * page] == 1);
        memset(p, 2, 8 * page); /* no hole */
        runs_count();
    }
}

START_TEST(no_hole_is_left)
{
    require(holes, NULL);
}
END_TEST

static void cannot_mend(void *arg)
{
    size_t page = slai_os_page();
    char *p = slai_os_reserve(page);
    (void)arg;
    CHILD_REQUIRE(p != NULL && slai_os_commit(p, page));
    sums->failed[SLAI_CALL_MEND]++;
    refuse(SLAI_CALL_MEND, ENOMEM, SLAI_DONE_PART);
    refuse(SLAI_CALL_RENEW, ENOMEM, SLAI_DONE_PART);
    (void)slai_os_renew(p, page);
}

static void cannot_remap(void *arg)
{
    size_t page = slai_os_page();
    char *p = slai_os_reserve(2 * page);
    (void)arg;
    CHILD_REQUIRE(p != NULL && slai_os_commit(p, 2 * page));
    sums->failed[SLAI_CALL_REMAP]++;
    refuse(SLAI_CALL_REMAP, ENOMEM, SLAI_DONE_PART);
    refuse(SLAI_CALL_PIECE, ENOMEM, SLAI_DONE_PART);
    if (!slai_os_move(p, p + page, page)) /* plain POSIX does not move */
        support_mail[0] = 1;
}

/* A hole in the heap into which any mmap of the program could fall: the one thing that cannot be gone on with. */
START_TEST(a_hole_ends_the_process)
{
    static struct support_child child;
    support_run_child(cannot_mend, NULL, 60, &child);
    ck_assert_msg(unit_aborted(&child, "a mapping was lost as it was renewed"), "%s", child.errors);
    support_run_child(cannot_remap, NULL, 60, &child);
    ck_assert_msg(child.mail[0] == 1 || unit_aborted(&child, "mremap failed and its target cannot be mapped again"),
                  "%s", child.errors);
}
END_TEST

/* --- waiting --- */

static struct slai_lock lock = SLAI_LOCK_INIT(SLAI_RANK_META);
static size_t guarded;

static void *wait_for_lock(void *arg)
{
    slai_lock(&lock);
    guarded++;
    slai_unlock(&lock);
    return arg;
}

/* However a wait ends, the lock is taken once and by one. */
static void waits(void *arg)
{
    pthread_t threads[3];
    int err = *(int *)arg;
    refuse(SLAI_CALL_WAIT, err, 0);
    slai_fault.more[SLAI_CALL_WAIT] = err == ENOSYS ? -1 : 1000;
    if (err == ENOSYS) { /* then a wake fails as well, and nobody sleeps */
        refuse(SLAI_CALL_WAKE, err, 0);
        refuse(SLAI_CALL_YIELD, err, 0);
    }
    for (int round = 0; round < (err == ENOSYS ? 1 : 4); round++) {
        slai_lock(&lock);
        size_t before = slai_load_relaxed(&slai_fault.seen[SLAI_CALL_WAIT]), held = guarded;
        for (size_t i = 0; i < ARRAY_LEN(threads); i++)
            CHILD_REQUIRE(pthread_create(&threads[i], NULL, wait_for_lock, NULL) == 0);
        while (slai_load_relaxed(&slai_fault.seen[SLAI_CALL_WAIT]) < before + ARRAY_LEN(threads)) /* at the least */
            sched_yield();
        CHILD_REQUIRE(guarded == held);
        slai_unlock(&lock);
        for (size_t i = 0; i < ARRAY_LEN(threads); i++)
            CHILD_REQUIRE(pthread_join(threads[i], NULL) == 0);
        CHILD_REQUIRE(guarded == held + ARRAY_LEN(threads));
    }
    runs_count();
}

START_TEST(waits_that_fail)
{
    static int errors[] = {EINTR, EAGAIN, ENOSYS};
    require(waits, &errors[_i]);
}
END_TEST

/* --- the set-up --- */

static void nothing(void) {}

static void fork_handlers(void *arg)
{
    (void)arg;
    refuse(SLAI_CALL_ATFORK, ENOMEM, 0);
    errno = 0;
    CHILD_REQUIRE(!slai_os_at_fork(nothing, nothing, nothing) && errno == ENOMEM);
    slai_fork_watched = false;
    errno = 0;
    slai_fork_init();
    CHILD_REQUIRE(errno == 0);
    CHILD_REQUIRE(slai_fault.seen[SLAI_CALL_ATFORK] == 2);
    slai_fork_init(); /* once: the slow paths come here */
    CHILD_REQUIRE(slai_fault.seen[SLAI_CALL_ATFORK] == 2);
    slai_fork_insist(); /* threads that end, and trims */
    CHILD_REQUIRE(slai_fault.seen[SLAI_CALL_ATFORK] == 3);
    sla_thread_idle();
    CHILD_REQUIRE(slai_fault.seen[SLAI_CALL_ATFORK] == 4);
    runs_count();
    (void)sla_trim(0);
    CHILD_REQUIRE(slai_fault.seen[SLAI_CALL_ATFORK] == 1); /* done at last */
    sla_thread_idle();
    CHILD_REQUIRE(slai_fault.seen[SLAI_CALL_ATFORK] == 1);
}

START_TEST(fork_handlers_refused)
{
    require(fork_handlers, NULL);
}
END_TEST

static void small_ones(void *arg)
{
    (void)arg;
    CHILD_REQUIRE(setenv("SLABALLOC_TEST", "1", 1) == 0);
    CHILD_REQUIRE(slai_os_environment("SLABALLOC_TEST") != NULL);
    refuse(SLAI_CALL_SECURE, ENOSYS, 0); /* when in doubt */
    CHILD_REQUIRE(slai_os_environment("SLABALLOC_TEST") == NULL);
    refuse(SLAI_CALL_STDERR, EMFILE, 0);
    errno = SENTINEL_ERRNO;
    slai_os_keep_stderr();
    CHILD_REQUIRE(slai_line_spare == -1 && errno == SENTINEL_ERRNO);
    refuse(SLAI_CALL_PAGE, ENOSYS, 0);
    CHILD_REQUIRE(slai_os_page() == 4096 || slai_os_page() == (size_t)sysconf(_SC_PAGESIZE));
    refuse(SLAI_CALL_LIMIT, EINVAL, 0);
    CHILD_REQUIRE(slai_os_address_limit() == SIZE_MAX && errno == SENTINEL_ERRNO);
    refuse(SLAI_CALL_CLOCK, EINVAL, 0);
    CHILD_REQUIRE(slai_os_clock() == 1 && errno == SENTINEL_ERRNO);
    refuse(SLAI_CALL_THREAD, ENOSYS, 0);
    (void)slai_os_thread();
    CHILD_REQUIRE(errno == SENTINEL_ERRNO);
    runs_count();
}

START_TEST(small_calls_refused)
{
    require(small_ones, NULL);
}
END_TEST

/* --- write(), which is not in os/: the program's own is called instead of the C library's --- */

static int write_fails[8]; /* what the next calls say: 0: nothing more; -1: a single byte is written */
static size_t writes;

ssize_t write(int fd, const void *text, size_t size)
{
    int how = writes < ARRAY_LEN(write_fails) ? write_fails[writes] : 0;
    writes++;
    if (how > 0) {
        errno = how;
        return -1;
    }
    return syscall(SYS_write, fd, text, how < 0 && size > 1 ? 1 : size);
}

static const char *line_with(const int *fails, size_t n)
{
    struct slai_line l;
    unit_catch();
    memset(write_fails, 0, sizeof write_fails);
    memcpy(write_fails, fails, n * sizeof *fails);
    writes = 0;
    errno = SENTINEL_ERRNO;
    slai_line_start(&l);
    slai_line_text(&l, "text");
    slai_line_end(&l);
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    memset(write_fails, 0, sizeof write_fails);
    return unit_caught();
}

START_TEST(lines_in_pieces)
{
    static const int interrupted[] = {EINTR, EINTR, -1, EINTR, -1, -1}, full[] = {-1, EAGAIN}, closed[] = {EBADF};
    ck_assert_str_eq(line_with(interrupted, 6), "slaballoc: text\n");
    ck_assert_uint_eq(writes, 7);
    ck_assert_str_eq(line_with(full, 2), "s"); /* nobody to tell */
    ck_assert_str_eq(line_with(closed, 1), "");
    int spare = slai_line_spare;
    slai_line_spare = 2; /* it fails once only */
    ck_assert_str_eq(line_with(closed, 1), "slaballoc: text\n");
    slai_line_spare = spare;
}
END_TEST

/* --- the table --- */

START_TEST(each_site_was_refused)
{
    size_t sites = 0, all = 0;
    uint32_t word = 0;
    char text[64] = "";
    if (getenv("CK_RUN_CASE") != NULL)
        return; /* some of the tests that refuse them have not run */
    runs_faults_off();
    slai_os_wake(&word);
    for (int c = 0; c < SLAI_CALLS; c++) {
        ck_assert_ptr_nonnull(call_names[c]);
        if (sums->failed[c] == 0 && slai_fault.seen[SLAI_CALL_WAKE] == 0 && sums->seen[c] == 0)
            continue; /* plain POSIX has less of them */
        ck_assert_msg(sums->failed[c] > 0, "%s was never refused", call_names[c]);
        snprintf(text, sizeof text, "%s %zu", call_names[c], sums->failed[c]);
        printf("%-18s%s", text, ++sites % 6 == 0 ? "\n" : "");
        all += sums->failed[c];
    }
    printf("%s", sites % 6 != 0 ? "\n" : "");
    support_ran("%zu system call sites, each failing, and write: %zu failures", sites, all);
}
END_TEST

void sites_add(Suite *suite)
{
    TCase *tc = unit_case(suite, "sites");
    tcase_set_timeout(tc, 200);
    tcase_add_test(tc, refused_releases_go_later);
    tcase_add_test(tc, refused_releases_hold_no_memory);
    tcase_add_test(tc, no_hole_is_left);
    tcase_add_test(tc, a_hole_ends_the_process);
    tcase_add_loop_test(tc, waits_that_fail, 0, 3);
    tcase_add_test(tc, fork_handlers_refused);
    tcase_add_test(tc, small_calls_refused);
    tcase_add_test(tc, lines_in_pieces);
    tcase_add_test(tc, each_site_was_refused);
}
