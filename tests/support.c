/*
 * support.c: what the black-box tests share.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "support.h"

#include <ctype.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void *volatile support_sink;
uintptr_t *support_mail;

size_t support_size(size_t value)
{
    volatile size_t hidden = value;
    return hidden;
}

void *support_pointer(const void *value)
{
    const void *volatile hidden = value;
    return (void *)(uintptr_t)hidden;
}

enum support_level support_level(void)
{
    static const char *const names[] = {"quick", "check", "extended", "soak"};
    const char *wanted = getenv("SLABALLOC_TEST_LEVEL");
    for (size_t i = 0; wanted != NULL && i < ARRAY_LEN(names); i++)
        if (strcmp(wanted, names[i]) == 0)
            return (enum support_level)i;
    return SUPPORT_CHECK;
}

size_t support_plan(size_t check, size_t extended, size_t soak)
{
    switch (support_level()) {
    case SUPPORT_QUICK:
        return support_scaled(check / 4);
    case SUPPORT_EXTENDED:
        return support_scaled(extended);
    case SUPPORT_SOAK:
        return support_scaled(soak);
    default:
        return support_scaled(check);
    }
}

void support_ran(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("ran: ");
    vprintf(format, arguments);
    printf("\n");
    fflush(stdout);
    va_end(arguments);
}

size_t support_scaled(size_t work)
{
    size_t divisor = SUPPORT_TSAN ? 20 : SUPPORT_ASAN ? 5 : 1;
    return work / divisor != 0 ? work / divisor : 1;
}

/* --- random numbers: splitmix64 --- */

void support_seed(struct support_rng *rng, uint64_t seed)
{
    const char *fixed = getenv("SLABALLOC_TEST_SEED");
    rng->state = fixed != NULL ? strtoull(fixed, NULL, 0) : seed;
}

uint64_t support_seed_number(void)
{
    const char *fixed = getenv("SLABALLOC_TEST_SEED");
    return fixed != NULL ? strtoull(fixed, NULL, 0) : 0;
}

void support_seed_part(struct support_rng *rng, uint64_t part)
{
    struct support_rng mixed = {part};
    rng->state = support_seed_number() ^ support_next(&mixed);
}

uint64_t support_next(struct support_rng *rng)
{
    uint64_t z = rng->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

size_t support_below(struct support_rng *rng, size_t bound)
{
    return (size_t)(support_next(rng) % bound);
}

/* Mostly small, as in programs; all magnitudes up to a few hundred KiB. */
size_t support_random_size(struct support_rng *rng)
{
    size_t dice = support_below(rng, 100);
    if (dice < 60)
        return support_below(rng, 256);
    if (dice < 90)
        return support_below(rng, 2 * KIB);
    if (dice < 99)
        return support_below(rng, 20 * KIB);
    return support_below(rng, support_below(rng, 4) != 0 ? 70 * KIB : 400 * KIB);
}

/* --- contents --- */

static uint64_t word_at(uint64_t seed, size_t index)
{
    return (seed + index) * 0x9e3779b97f4a7c15u ^ (seed >> 7);
}

void support_fill(void *block, size_t size, uint64_t seed)
{
    unsigned char *bytes = block;
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        uint64_t word = word_at(seed, i);
        memcpy(bytes + i, &word, 8);
    }
    uint64_t last = word_at(seed, i);
    memcpy(bytes + i, &last, size - i);
}

int support_matches(const void *block, size_t size, uint64_t seed)
{
    const unsigned char *bytes = block;
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        uint64_t word = word_at(seed, i);
        if (memcmp(bytes + i, &word, 8) != 0)
            return 0;
    }
    uint64_t last = word_at(seed, i);
    return memcmp(bytes + i, &last, size - i) == 0;
}

int support_is_zero(const void *block, size_t size)
{
    const unsigned char *bytes = block;
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

static int by_start(const void *left, const void *right)
{
    const struct support_block *a = left, *b = right;
    return (a->start > b->start) - (a->start < b->start);
}

int support_disjoint(const struct support_block *blocks, size_t count)
{
    struct support_block *sorted = malloc((count + 1) * sizeof(*sorted));
    size_t used = 0;
    int good = 1;
    for (size_t i = 0; i < count; i++)
        if (blocks[i].start != NULL)
            sorted[used++] = blocks[i];
    qsort(sorted, used, sizeof(*sorted), by_start);
    for (size_t i = 1; i < used; i++) {
        size_t width = sorted[i - 1].size != 0 ? sorted[i - 1].size : 1;
        if (sorted[i - 1].start + width > sorted[i].start)
            good = 0;
    }
    free(sorted);
    return good;
}

/* --- figures of the process: read without stdio, whose buffers would count --- */

static size_t read_whole(const char *path, char *text, size_t room)
{
    size_t length = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    for (ssize_t n; length < room - 1 && (n = read(fd, text + length, room - 1 - length)) > 0;)
        length += (size_t)n;
    close(fd);
    text[length] = '\0';
    return length;
}

size_t support_rss_kib(void)
{
    char text[256];
    if (read_whole("/proc/self/statm", text, sizeof(text)) == 0)
        return 0;
    char *second = strchr(text, ' ');
    return second == NULL ? 0 : strtoul(second, NULL, 10) * ((size_t)sysconf(_SC_PAGESIZE) / KIB);
}

size_t support_mappings(void)
{
    static char text[4 * 1024 * 1024];
    size_t lines = 0, length = read_whole("/proc/self/maps", text, sizeof(text));
    for (size_t i = 0; i < length; i++)
        lines += text[i] == '\n';
    return lines;
}

double support_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

int support_wrapped(void)
{
    const char *wrapper = getenv("TEST_WRAPPER");
    return wrapper != NULL && *wrapper != '\0';
}

/* --- coverage: what a process ran counts however it ends --- */

#ifdef SUPPORT_COVERAGE
void __gcov_dump(void);

/* Instead of the C library's.  Writing the counters takes memory: a limit that is the test's ends here. */
void _exit(int status)
{
    static const int limits[] = {RLIMIT_AS, RLIMIT_DATA};
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        struct rlimit limit;
        getrlimit(limits[i], &limit);
        limit.rlim_cur = limit.rlim_max;
        setrlimit(limits[i], &limit);
    }
    __gcov_dump();
    for (;;)
        syscall(SYS_exit_group, status);
}

static void count_and_abort(int number)
{
    (void)number;
    __gcov_dump(); /* abort() goes on when this returns */
}
#define ABORT_HANDLER count_and_abort
#else
#define ABORT_HANDLER SIG_DFL
#endif

/* --- children --- */

void support_child_fail(const char *file, int line, const char *what)
{
    char text[512];
    int length = snprintf(text, sizeof(text), "%s:%d: not so: %s (errno %d)\n", file, line, what, errno);
    if (length > 0 && write(2, text, (size_t)length) < 0)
        _exit(98);
    _exit(99);
}

static void collect(int fd, pid_t pid, struct support_child *result)
{
    int status = 0;
    char rest[512], *emulator;
    for (ssize_t n;;) {
        size_t room = sizeof(result->errors) - 1 - result->length;
        n = room > 0 ? read(fd, result->errors + result->length, room) : read(fd, rest, sizeof(rest));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        if (room > 0)
            result->length += (size_t)n;
    }
    close(fd);
    result->errors[result->length] = '\0';
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    emulator = support_wrapped() ? strstr(result->errors, "qemu: uncaught target signal") : NULL;
    if (emulator != NULL) { /* its own last words */
        *emulator = '\0';
        result->length = (size_t)(emulator - result->errors);
    }
    result->exited = WIFEXITED(status);
    result->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    result->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    result->timed_out = result->signal == SIGALRM;
}

static void become_child(int fd, unsigned seconds)
{
    struct rlimit none = {0, 0};
    dup2(fd, 2);
    close(fd);
    setrlimit(RLIMIT_CORE, &none);
    signal(SIGALRM, SIG_DFL);
    signal(SIGABRT, ABORT_HANDLER);
    /* Patient where Check is asked to be. */
    const char *multiplier = getenv("CK_TIMEOUT_MULTIPLIER");
    alarm(seconds * (multiplier != NULL && atoi(multiplier) > 1 ? (unsigned)atoi(multiplier) : 1));
}

void support_run_child(void (*function)(void *arg), void *arg, unsigned seconds, struct support_child *result)
{
    int ends[2];
    size_t bytes = sizeof(result->mail);
    memset(result, 0, sizeof(*result));
    support_mail = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(support_mail, MAP_FAILED);
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    fflush(NULL);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        close(ends[0]);
        become_child(ends[1], seconds);
        function(arg);
        _exit(0);
    }
    close(ends[1]);
    collect(ends[0], pid, result);
    memcpy(result->mail, support_mail, bytes);
    munmap(support_mail, bytes);
}

struct self_call {
    const char *mode, *name, *value;
};

static void exec_self(void *arg)
{
    const struct self_call *call = arg;
    char *argv[] = {(char *)"self", (char *)(uintptr_t)call->mode, NULL};
    char path[4096] = "", *wrapped[] = {(char *)"sh", (char *)"-c", (char *)"exec $TEST_WRAPPER \"$@\"", argv[0],
                                        path,         argv[1],      NULL};
    if (call->value != NULL)
        setenv(call->name, call->value, 1);
    else if (call->name != NULL)
        unsetenv(call->name);
    if (!support_wrapped())
        execv("/proc/self/exe", argv);
    else if (readlink("/proc/self/exe", path, sizeof path - 1) > 0)
        execv("/bin/sh", wrapped);
    CHILD_REQUIRE(!"exec of /proc/self/exe");
}

void support_run_self(const char *mode, const char *name, const char *value, struct support_child *result)
{
    struct self_call call = {mode, name, value};
    support_run_child(exec_self, &call, 30, result);
}

/* --- reports --- */

int support_like(const char *text, const char *pattern)
{
    for (; *pattern != '\0'; pattern++) {
        if (*pattern != '#') {
            if (*text++ != *pattern)
                return 0;
            continue;
        }
        if (!isdigit((unsigned char)*text))
            return 0;
        while (isdigit((unsigned char)*text))
            text++;
    }
    return *text == '\0';
}

int support_reported(const struct support_child *child, const char *call, uintptr_t address, const char *what)
{
    char pattern[256];
    /* The address goes in after the check for '#': its digits are exact. */
    snprintf(pattern, sizeof(pattern), "slaballoc: %s(0x%jx): %s\n", call, (uintmax_t)address, what);
    return support_like(child->errors, pattern);
}

int support_main(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
