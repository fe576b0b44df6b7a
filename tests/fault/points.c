/*
 * points.c: a run of the script that forks at system calls: the fork sees its call refused, goes on for some operations
 * more, and must then find nothing lost; the run itself goes on as if nothing had been.  So each of many thousand calls
 * costs a fork and not a run.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* syscall */
#endif
#include "runs.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FURTHER 100 /* operations after the refusal */

static struct {
    size_t seen[SLAI_CALLS], every[SLAI_CALLS], first;
    int in_fork;
} points;

/* Where the refusal was, for the report. */
static _Noreturn void tell(enum slai_call call, const struct refusal *how, int status)
{
    char text[256];
    int n = snprintf(text, sizeof text, "%s call %zu, errno %d, done %d: wait status %#x\n", call_names[call],
                     points.seen[call], how->err, (int)how->done, (unsigned)status);
    if (write(2, text, (size_t)n) < 0)
        _exit(98);
    _exit(99);
}

/* No fork handlers: the library is in the middle of something. */
static bool try_point(enum slai_call call, const struct refusal *how)
{
    int status;
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    CHILD_REQUIRE(pid >= 0);
    if (pid == 0) {
        alarm(60);
        slai_fault.ask = NULL;
        slai_fault.err = how->err;
        slai_fault.done = how->done;
        points.in_fork = 1;
        runs_no_purge = how->done == SLAI_DONE_CLAIMED;
        script_leave_after(FURTHER);
        return true;
    }
    while (waitpid(pid, &status, 0) < 0)
        CHILD_REQUIRE(errno == EINTR);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        tell(call, how, status);
    sums->points++;
    sums->failed[call]++;
    return false;
}

static bool ask(enum slai_call call, size_t size)
{
    size_t n = points.seen[call]++;
    (void)size;
    if (points.every[call] == 0 || n % points.every[call] != points.first % points.every[call])
        return false;
    for (size_t i = 0; i < REFUSALS && refusals[call][i].err != 0; i++) {
        int saved = errno;
        if (try_point(call, &refusals[call][i]))
            return true;
        errno = saved;
    }
    return false;
}

void points_begin(const struct plan *plan)
{
    memset(&points, 0, sizeof points);
    points.first = plan->first;
    for (int c = 0; c < SLAI_CALLS; c++)
        points.every[c] = sums->seen[c] / plan->points + 1;
    slai_fault.ask = ask;
}

/* A fork ends here, as the process it comes from does. */
void points_end(void)
{
    if (points.in_fork)
        _exit(0);
}
