/*
 * runner.c: runs one scenario once in a new process and says what it used.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

static sigset_t old_mask;
static char *program; /* this program's file */

void runner_init(void)
{
    sigset_t child;

    /* Blocked, so that wait_for_child can wait for it with a time limit. */
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, &old_mask);
    signal(SIGCHLD, SIG_DFL); /* may be ignored by inheritance, and then nothing could be waited for */
    program = realpath("/proc/self/exe", NULL);
    if (program == NULL) {
        fprintf(stderr, PROGRAM ": cannot find my own program file: %s\n", strerror(errno));
        exit(EXIT_ROW_FAILED);
    }
}

static void fail(struct run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void fail(struct run *run, const char *format, ...)
{
    va_list args;

    run->ok = false;
    va_start(args, format);
    vsnprintf(run->why, sizeof(run->why), format, args);
    va_end(args);
}

static _Noreturn void child_exec(char **argv, const char *library, int result, pid_t parent)
{
    static const struct rlimit no_core = {0, 0};

#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a bench that is killed leaves nothing running */
#endif
    if (getppid() != parent) {
        _exit(EXIT_ROW_FAILED);
    }
    setrlimit(RLIMIT_CORE, &no_core);
    sigprocmask(SIG_SETMASK, &old_mask, NULL);
    /* What an allocator prints must not get into the table. */
    bool ready = dup2(STDERR_FILENO, STDOUT_FILENO) >= 0;
    if (result == CHILD_FD) {
        ready = ready && fcntl(result, F_SETFD, 0) == 0;
    } else {
        ready = ready && dup2(result, CHILD_FD) >= 0;
    }
    ready = ready && (library == NULL ? unsetenv("LD_PRELOAD") : setenv("LD_PRELOAD", library, 1)) == 0;
    if (ready) {
        execv(program, argv);
    }
    static const char text[] = "error=cannot start the run";
    ssize_t ignored = write(result, text, sizeof(text) - 1);
    (void)ignored;
    _exit(EXIT_ROW_FAILED);
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

/* Waits up to limit seconds, then kills.  False if it had to, or if waiting failed. */
static bool wait_for_child(pid_t child, unsigned limit, int *status, struct rusage *usage)
{
    struct timespec now, end;
    sigset_t sigchld;

    sigemptyset(&sigchld);
    sigaddset(&sigchld, SIGCHLD);
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += limit;
    for (;;) {
        pid_t ended = wait4(child, status, WNOHANG, usage);
        if (ended != 0) {
            return ended == child;
        }
        clock_gettime(CLOCK_MONOTONIC, &now);
        struct timespec left = {end.tv_sec - now.tv_sec, end.tv_nsec - now.tv_nsec};
        if (left.tv_nsec < 0) {
            left.tv_sec--;
            left.tv_nsec += 1000000000;
        }
        if (left.tv_sec < 0) {
            kill(child, SIGKILL);
            wait4(child, status, 0, usage);
            return false;
        }
        sigtimedwait(&sigchld, NULL, &left);
    }
}

static void read_result(int fd, int status, struct run *run)
{
    char line[160];
    uint64_t nanos;
    /* The child has ended and the line is short: it is in the pipe as a whole or not at all. */
    ssize_t length = read(fd, line, sizeof(line) - 1);

    line[length > 0 ? length : 0] = '\0';
    if (strncmp(line, "error=", 6) == 0) {
        fail(run, "%s", line + 6);
    } else if (WIFSIGNALED(status)) {
        fail(run, "killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    } else if (WEXITSTATUS(status) != 0) {
        fail(run, "exit status %d", WEXITSTATUS(status));
    } else if (sscanf(line, "ops=%" SCNu64 " check=%" SCNu64 " nanos=%" SCNu64, &run->ops, &run->check,
                      &nanos) != 3) {
        fail(run, "ended without a result");
    } else {
        run->wall = (double)nanos / 1e9;
        run->ok = true;
    }
}

static void make_arguments(const struct scenario *scenario, const struct params *params,
                           const struct alloc *alloc, char text[5][24], char *argv[10])
{
    const uint64_t numbers[5] = {params->threads, params->ops, params->millis, params->live, params->seed};
    static char child_option[] = CHILD_OPTION, preload[] = "preload", plain[] = "-", name[] = PROGRAM;

    argv[0] = name;
    argv[1] = child_option;
    argv[2] = (char *)(uintptr_t)scenario->name; /* execv takes no const */
    argv[3] = alloc->path != NULL ? preload : plain;
    for (int i = 0; i < 5; i++) {
        snprintf(text[i], 24, "%" PRIu64, numbers[i]);
        argv[4 + i] = text[i];
    }
    argv[9] = NULL;
}

void runner_run(const struct scenario *scenario, const struct params *params, const struct alloc *alloc,
                unsigned timeout, struct run *run)
{
    char text[5][24];
    char *argv[10];
    int fds[2];
    int status = 0;
    struct rusage usage;
    pid_t parent = getpid();

    memset(run, 0, sizeof(*run));
    make_arguments(scenario, params, alloc, text, argv);
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0) {
        fail(run, "pipe: %s", strerror(errno));
        return;
    }
    pid_t child = fork();
    if (child == 0) {
        child_exec(argv, alloc->path, fds[1], parent);
    }
    int error = errno;
    close(fds[1]);
    if (child < 0) {
        fail(run, "fork: %s", strerror(error));
    } else if (!wait_for_child(child, timeout, &status, &usage)) {
        fail(run, "not finished after %u s", timeout);
    } else {
        run->user = seconds_of(usage.ru_utime);
        run->sys = seconds_of(usage.ru_stime);
        run->peak = (double)usage.ru_maxrss * 1024;
        read_result(fds[0], status, run);
    }
    close(fds[0]);
}
