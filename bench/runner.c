/*
 * runner.c: runs one job once in a new process and says what it used.
 *
 * SPDX-License-Identifier: MIT
 */
#include "job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

enum { ARGUMENTS_MAX = 1024 };

static sigset_t old_mask;
static char *program; /* this program's file */
static long page_size;

void runner_init(void)
{
    sigset_t child;

    /* Blocked, so that wait_for_child can wait for it with a time limit. */
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, &old_mask);
    signal(SIGCHLD, SIG_DFL); /* may be ignored by inheritance, and then nothing could be waited for */
    page_size = sysconf(_SC_PAGESIZE);
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

/* --- the new process, until it executes --------------------------------- */

/* An internal job prints nothing, and what an allocator prints must not get into the table. */
static bool child_files(const struct job *job, int result)
{
    if (job->kind == JOB_INTERNAL) {
        bool quiet = dup2(STDERR_FILENO, STDOUT_FILENO) >= 0;
        return quiet && (result == CHILD_FD ? fcntl(result, F_SETFD, 0) : dup2(result, CHILD_FD)) >= 0;
    }
    int in = open(job->input != NULL ? job->input : "/dev/null", O_RDONLY | O_CLOEXEC);
    int out = open(job->output != NULL ? job->output : "/dev/null", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    return in >= 0 && out >= 0 && dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0;
}

static _Noreturn void child_exec(const struct job *job, char **argv, const char *library, int result_fd,
                                 struct result *result, pid_t parent)
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
    if (job->kind == JOB_PROGRAM) {
        setpgid(0, 0); /* a program that is killed takes its own children along */
    }
    bool ready = child_files(job, result_fd) &&
                 (library == NULL ? unsetenv("LD_PRELOAD") : setenv("LD_PRELOAD", library, 1)) == 0;
    if (ready && job->kind == JOB_INTERNAL) {
        execv(program, argv);
    } else if (ready) {
        execvp(argv[0], argv);
    }
    snprintf(result->why, sizeof(result->why), "cannot start %s: %s", argv[0], strerror(errno));
    result->state = RESULT_FAILED;
    _exit(EXIT_ROW_FAILED);
}

/* --- watching it -------------------------------------------------------- */

struct watch {
    const struct job *job;
    const char *library;
    struct run *run;
    pid_t child;
    struct timespec started, ended;
    double sum;       /* of all samples, of which the series may have dropped some */
    unsigned samples;
    int seen;         /* the library among the process' mappings: 1; not: 0; -1: nobody looked */
};

static double seconds_between(const struct timespec *from, const struct timespec *to)
{
    return (double)(to->tv_sec - from->tv_sec) + (double)(to->tv_nsec - from->tv_nsec) / 1e9;
}

static void series_add(struct series *series, double seconds, double bytes)
{
    if (series->skip > 0) {
        series->skip--;
        return;
    }
    if (series->count == SERIES_MAX) {
        for (size_t i = 0; i < SERIES_MAX / 2; i++) {
            series->samples[i] = series->samples[2 * i];
        }
        series->count = SERIES_MAX / 2;
        series->stride *= 2;
    }
    series->samples[series->count++] = (struct sample){(float)seconds, (float)bytes};
    series->skip = series->stride - 1;
}

static void look_for_library(struct watch *watch)
{
    char path[40], line[4200];
    FILE *maps;

    snprintf(path, sizeof(path), "/proc/%d/maps", (int)watch->child);
    maps = fopen(path, "re");
    if (maps == NULL) {
        return;
    }
    bool any = false;
    while (watch->seen != 1 && fgets(line, sizeof(line), maps) != NULL) {
        any = true;
        if (strstr(line, watch->library) != NULL) {
            watch->seen = 1;
        }
    }
    if (any && watch->seen != 1 && watch->samples >= 5) {
        watch->seen = 0; /* it has had time to be loaded */
    }
    fclose(maps);
}

static void watch_sample(struct watch *watch, const struct timespec *now)
{
    char text[80];
    unsigned long all, resident;

    snprintf(text, sizeof(text), "/proc/%d/statm", (int)watch->child);
    int fd = open(text, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    ssize_t length = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[length > 0 ? length : 0] = '\0';
    if (sscanf(text, "%lu %lu", &all, &resident) != 2 || all == 0) {
        return; /* has ended: not waited for yet */
    }
    double bytes = (double)resident * (double)page_size;
    watch->run->end = bytes;
    watch->sum += bytes;
    watch->samples++;
    series_add(&watch->run->series, seconds_between(&watch->started, now), bytes);
    if (watch->job->kind == JOB_PROGRAM && watch->library != NULL && watch->seen != 1) {
        look_for_library(watch);
    }
}

/* Waits up to limit seconds, then kills.  False if it had to, or if waiting failed. */
static bool wait_for_child(struct watch *watch, unsigned limit, int *status, struct rusage *usage)
{
    static const struct timespec period = {0, SAMPLE_MILLIS * 1000000};
    pid_t child = watch->child;
    sigset_t sigchld;

    sigemptyset(&sigchld);
    sigaddset(&sigchld, SIGCHLD);
    for (;;) {
        pid_t ended = wait4(child, status, WNOHANG, usage);
        clock_gettime(CLOCK_MONOTONIC, &watch->ended);
        if (ended != 0) {
            return ended == child;
        }
        if (seconds_between(&watch->started, &watch->ended) >= limit) {
            kill(watch->job->kind == JOB_PROGRAM ? -child : child, SIGKILL);
            kill(child, SIGKILL);
            wait4(child, status, 0, usage);
            return false;
        }
        if (sigtimedwait(&sigchld, NULL, &period) < 0) {
            clock_gettime(CLOCK_MONOTONIC, &watch->ended);
            watch_sample(watch, &watch->ended);
        }
    }
}

/* --- what came out ------------------------------------------------------ */

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void take_result(struct run *run, const struct result *result)
{
    run->ops = result->outcome.ops;
    run->check = result->outcome.check;
    run->wall = (double)result->outcome.nanos / 1e9;
    run->end = (double)result->rss_end;
    run->live = (double)result->outcome.live;
    run->rss_live = (double)result->outcome.rss_live;
    run->mark_count = result->outcome.mark_count < MARKS_MAX ? result->outcome.mark_count : MARKS_MAX;
    memcpy(run->marks, result->outcome.marks, sizeof(run->marks));
    run->tick_nanos = result->tick_nanos;
    run->clock_nanos = result->clock_nanos;
}

static void read_result(const struct watch *watch, int status, struct result *result)
{
    struct run *run = watch->run;
    bool program_job = watch->job->kind == JOB_PROGRAM;

    result->why[sizeof(result->why) - 1] = '\0';
    if (result->state == RESULT_FAILED) {
        fail(run, "%s", result->why);
    } else if (WIFSIGNALED(status)) {
        fail(run, "killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    } else if (WEXITSTATUS(status) != 0) {
        fail(run, "exit status %d", WEXITSTATUS(status));
    } else if (program_job && watch->seen == 0) {
        fail(run, "the library was not preloaded (static or set-user-ID program?)");
    } else if (!program_job && result->state != RESULT_DONE) {
        fail(run, "ended without a result");
    } else {
        run->ok = true;
        if (program_job) {
            run->wall = seconds_between(&watch->started, &watch->ended);
        } else {
            take_result(run, result);
        }
    }
}

static void take_usage(struct run *run, const struct watch *watch, const struct rusage *usage)
{
    run->user = seconds_of(usage->ru_utime);
    run->sys = seconds_of(usage->ru_stime);
    run->peak = (double)usage->ru_maxrss * 1024;
    run->minor = (double)usage->ru_minflt;
    run->major = (double)usage->ru_majflt;
    /* Too short for a sample. */
    run->end = watch->samples > 0 ? run->end : run->peak;
    run->mean = watch->samples > 0 ? watch->sum / watch->samples : run->peak;
}

static bool make_arguments(const struct job *job, bool preload, bool latency, char **argv)
{
    static char name[] = PROGRAM, child_option[] = CHILD_OPTION, preload_word[] = "preload", none[] = "-",
                latency_word[] = "latency";
    size_t count = 0;

    if (job->kind == JOB_INTERNAL) {
        argv[count++] = name;
        argv[count++] = child_option;
        argv[count++] = preload ? preload_word : none;
        argv[count++] = latency ? latency_word : none;
    }
    for (size_t i = 0; job->argv[i] != NULL; i++) {
        if (count == ARGUMENTS_MAX) {
            return false;
        }
        argv[count++] = (char *)(uintptr_t)job->argv[i]; /* execv takes no const */
    }
    argv[count] = NULL;
    return true;
}

/* A file without a name that both processes map. */
static struct result *result_map(int *fd)
{
#ifdef __linux__
    *fd = memfd_create(PROGRAM, MFD_CLOEXEC);
#else
    char name[] = "/tmp/" PROGRAM ".XXXXXX";
    *fd = mkstemp(name);
    if (*fd >= 0) {
        unlink(name);
        fcntl(*fd, F_SETFD, FD_CLOEXEC);
    }
#endif
    if (*fd < 0) {
        return NULL;
    }
    void *map = ftruncate(*fd, sizeof(struct result)) != 0
                    ? MAP_FAILED
                    : mmap(NULL, sizeof(struct result), PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    if (map == MAP_FAILED) {
        close(*fd);
        return NULL;
    }
    return map;
}

void runner_run(const struct job *job, const struct alloc *alloc, unsigned timeout, struct run *run,
                struct histogram *latency)
{
    char *argv[ARGUMENTS_MAX + 1];
    struct watch watch = {.job = job, .library = alloc->path, .run = run, .seen = -1};
    struct rusage usage;
    int fd, status = 0;
    pid_t parent = getpid();

    memset(run, 0, sizeof(*run));
    run->series.stride = 1;
    if (!make_arguments(job, alloc->path != NULL, latency != NULL, argv)) {
        fail(run, "more than %d arguments", ARGUMENTS_MAX);
        return;
    }
    struct result *result = result_map(&fd);
    if (result == NULL) {
        fail(run, "no shared memory: %s", strerror(errno));
        return;
    }
    fflush(stdout);
    clock_gettime(CLOCK_MONOTONIC, &watch.started);
    watch.child = fork();
    if (watch.child == 0) {
        child_exec(job, argv, alloc->path, fd, result, parent);
    }
    int error = errno;
    close(fd);
    if (watch.child < 0) {
        fail(run, "fork: %s", strerror(error));
    } else if (!wait_for_child(&watch, timeout, &status, &usage)) {
        fail(run, "not finished after %u s", timeout);
    } else {
        take_usage(run, &watch, &usage);
        read_result(&watch, status, result);
    }
    for (size_t i = 0; run->ok && latency != NULL && i < LATENCY_KINDS; i++) {
        histogram_merge(&latency[i], &result->latency[i]);
    }
    munmap(result, sizeof(*result));
}
