/*
 * unit.c: what the white-box tests share.
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "cache/depot.h"
#include "heap/purge.h"
#include "os/os.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

static struct slai_conf options_before;
static int errors_before = -1; /* standard error, while it is caught */
static FILE *caught_file;

int support_moves_pages(void)
{
    size_t page = slai_os_page();
    char *p = slai_os_reserve(2 * page);
    int moves = p != NULL && slai_os_commit(p, 2 * page) && slai_os_move(p, p + page, page);
    (void)slai_os_release(p, 2 * page);
    return moves;
}

void unit_no_faults(void) { memset(&slai_fault, 0, sizeof(slai_fault)); }

void unit_refuse(enum slai_call c, long n)
{
    slai_fault.after[c] = n;
    slai_fault.more[c] = -1;
}

void unit_begin(void)
{
    slai_arrive(); /* its key comes before those of the tests */
    unit_no_faults();
    options_before = slai_conf;
    /* What the tests measure changes when they say so, not with time. */
    slai_conf.purge_delay = -1;
}

static void errors_back(void)
{
    if (errors_before < 0)
        return;
    dup2(errors_before, 2);
    close(errors_before);
    errors_before = -1;
}

void unit_end(void)
{
    errors_back();
    unit_no_faults();
    sla_thread_idle();
    slai_conf = options_before;
    unit_sound();
}

TCase *unit_case(Suite *suite, const char *name)
{
    TCase *tc = tcase_create(name);
    tcase_add_checked_fixture(tc, unit_begin, unit_end);
    suite_add_tcase(suite, tc);
    return tc;
}

void unit_catch(void)
{
    ck_assert_int_lt(errors_before, 0);
    if (caught_file == NULL)
        caught_file = tmpfile();
    ck_assert_ptr_nonnull(caught_file);
    ck_assert_int_eq(ftruncate(fileno(caught_file), 0), 0);
    ck_assert_int_eq((int)lseek(fileno(caught_file), 0, SEEK_SET), 0);
    errors_before = fcntl(2, F_DUPFD_CLOEXEC, 3);
    ck_assert_int_ge(errors_before, 0);
    ck_assert_int_eq(dup2(fileno(caught_file), 2), 2);
}

const char *unit_caught(void)
{
    static char text[65536];
    errors_back();
    ssize_t n = pread(fileno(caught_file), text, sizeof(text) - 1, 0);
    ck_assert_int_ge((int)n, 0);
    text[n] = '\0';
    return text;
}

void unit_idle(void)
{
    sla_thread_idle();
    if (!SLAI_OS_KNOWS_THREADS)
        slai_depots_clear(NULL);
}

void unit_tidy(void)
{
    unit_idle();
    (void)slai_purge(SLAI_PURGE_ALL, 0);
}

int unit_aborted(const struct support_child *child, const char *line)
{
    char pattern[512];
    snprintf(pattern, sizeof(pattern), "slaballoc: %s\n", line);
    return child->signal == SIGABRT && support_like(child->errors, pattern);
}

void unit_await(struct unit_turn *turn, int number)
{
    while (atomic_load(&turn->now) < number)
        sched_yield();
}

void unit_pass(struct unit_turn *turn) { atomic_fetch_add(&turn->now, 1); }

void unit_thread(pthread_t *thread, void *(*function)(void *), void *arg)
{
    ck_assert_int_eq(pthread_create(thread, NULL, function, arg), 0);
}

static pthread_mutex_t failure_mutex = PTHREAD_MUTEX_INITIALIZER;
static char failure[256];

void unit_failed(const char *file, int line, const char *what)
{
    pthread_mutex_lock(&failure_mutex);
    if (failure[0] == '\0')
        snprintf(failure, sizeof(failure), "%s:%d: not so: %s", file, line, what);
    pthread_mutex_unlock(&failure_mutex);
}

void unit_join(pthread_t thread)
{
    char text[sizeof(failure)];
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    pthread_mutex_lock(&failure_mutex);
    strcpy(text, failure);
    failure[0] = '\0';
    pthread_mutex_unlock(&failure_mutex);
    ck_assert_msg(text[0] == '\0', "%s", text);
}

void unit_in_thread(void *(*function)(void *), void *arg)
{
    pthread_t thread;
    unit_thread(&thread, function, arg);
    unit_join(thread);
}

void unit_sleep(unsigned ms)
{
    struct timespec rest = {ms / 1000, (long)(ms % 1000) * 1000000};
    while (nanosleep(&rest, &rest) != 0)
        continue;
}

sla_stats_t unit_stats(void)
{
    sla_stats_t stats;
    ck_assert_int_eq(sla_stats_get(&stats, sizeof(stats)), 0);
    return stats;
}
