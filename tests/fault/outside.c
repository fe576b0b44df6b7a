/*
 * outside.c: a program for the drop-in that checks all that it is given, and what may stand in its way.
 *
 *   outside script [SEED]        operations of malloc's family, with threads; exit 0, or 3: memory was refused
 *   outside only [SEED]          the script under a filter that lets the documented system calls through
 *   outside fail CALL ERRNO SEED under a filter that refuses CALL with that error
 *   outside closed COMMAND...    all descriptors closed
 *   outside nofiles              the script where no descriptor can be opened
 *   outside mappings COUNT       the script with as many mappings taken before
 *   outside locked               the script with all memory locked
 *   outside stacks               the script in threads with the smallest stacks
 *   outside secure               prints AT_SECURE, then the option purge_delay if this is the library
 *
 * Exit 77: this system cannot do it.
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHECK(condition) ((condition) ? (void)0 : wrong(__LINE__, #condition))

/* Without stdio: there may be no memory, and no system calls but a few. */
static _Noreturn void wrong(int line, const char *what)
{
    char text[256];
    int n = snprintf(text, sizeof text, "outside.c:%d: not so: %s (errno %d)\n", line, what, errno);
    (void)!write(2, text, (size_t)n);
    _exit(1);
}

/* --- the script --- */

#define SLOTS 400
struct work {
    unsigned char *blocks[SLOTS];
    size_t sizes[SLOTS], refused;
    uint64_t random;
};

static size_t below(struct work *w, size_t bound)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(w->random >> 33) % bound;
}

static void mark(unsigned char *p, size_t size, size_t i)
{
    for (size_t at = 0; at < size; at += size > 100000 ? 16384 : 512)
        p[at] = (unsigned char)(i + at);
}

static void look(const unsigned char *p, size_t was, size_t size, size_t i)
{
    for (size_t at = 0; at < was && at < size; at += was > 100000 ? 16384 : 512)
        CHECK(p[at] == (unsigned char)(i + at));
}

static size_t some_size(struct work *w)
{
    size_t dice = below(w, 100);
    return dice < 70 ? below(w, 2000) : dice < 90 ? below(w, 60000) : dice < 98 ? below(w, 600000) : below(w, 6000000);
}

static void change(struct work *w, size_t i)
{
    size_t size = some_size(w), was = w->sizes[i], how = below(w, 4);
    unsigned char *p;
    if (w->blocks[i] != NULL && how != 0) {
        look(w->blocks[i], was, was, i);
        errno = 4711;
        free(w->blocks[i]);
        CHECK(errno == 4711);
        w->blocks[i] = NULL;
        return;
    }
    errno = 0;
    p = w->blocks[i] != NULL ? realloc(w->blocks[i], size + 1)
        : how == 1           ? calloc(1, size + 1)
        : how == 2           ? aligned_alloc(256, size + 1)
                             : malloc(size + 1);
    if (p == NULL) {
        CHECK(errno == ENOMEM);
        w->refused++;
        return;
    }
    if (w->blocks[i] != NULL)
        look(p, was, size + 1, i);
    else if (how == 1)
        for (size_t at = 0; at <= size; at += size > 100000 ? 1021 : 1)
            CHECK(p[at] == 0);
    w->blocks[i] = p;
    w->sizes[i] = size + 1;
    mark(p, size + 1, i);
}

static void *work(void *arg)
{
    struct work *w = arg;
    for (int n = 0; n < 6000; n++)
        change(w, below(w, SLOTS));
    for (size_t i = 0; i < SLOTS; i++) {
        free(w->blocks[i]);
        w->blocks[i] = NULL;
    }
    return arg;
}

static struct work works[3];

/* In this thread and, if there can be others, in two of them. 0, or 3: something was refused. */
static int script(uint64_t seed, const pthread_attr_t *attributes)
{
    pthread_t threads[2];
    int there[2];
    size_t refused = 0;
    for (size_t i = 0; i < 3; i++) {
        works[i].random = seed + i;
        works[i].refused = 0;
    }
    for (size_t i = 0; i < 2; i++)
        there[i] = pthread_create(&threads[i], attributes, work, &works[i]) == 0;
    (void)work(&works[2]);
    for (size_t i = 0; i < 2; i++)
        CHECK(!there[i] || pthread_join(threads[i], NULL) == 0);
    for (size_t i = 0; i < 3; i++)
        refused += works[i].refused;
    return refused > 0 ? 3 : 0;
}

/* --- filters --- */

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#elif defined(__i386__)
#define ARCH AUDIT_ARCH_I386
#else
#define ARCH 0
#endif

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, what)

static void install(struct sock_filter *code, size_t length)
{
    struct sock_fprog program = {(unsigned short)length, code};
    if (ARCH == 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, 2, &program) != 0)
        _exit(77);
}

/* The system calls of slaballoc(7), and those of this program: its threads, its end, what it prints. */
static const int allowed[] = {
    SYS_mmap, SYS_munmap, SYS_mprotect, SYS_madvise, SYS_mremap, SYS_futex, SYS_prlimit64, SYS_clock_gettime,
    SYS_gettid, SYS_sched_yield, SYS_fcntl, SYS_write,
#ifdef SYS_getrlimit
    SYS_getrlimit,
#endif
#ifdef SYS_ugetrlimit
    SYS_ugetrlimit, SYS_mmap2, SYS_fcntl64, SYS_clock_gettime64, SYS_futex_time64,
#endif
    SYS_clone, SYS_clone3, SYS_exit, SYS_exit_group, SYS_set_robust_list, SYS_rt_sigprocmask, SYS_rt_sigaction,
#ifdef SYS_rseq
    SYS_rseq,
#endif
};
#define ALLOWED (sizeof allowed / sizeof allowed[0])

static int only(uint64_t seed)
{
    static struct sock_filter code[ALLOWED * 2 + 8];
    size_t n = 0;
    code[n++] = (struct sock_filter)LOAD(arch);
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
    code[n++] = (struct sock_filter)RETURN(SECCOMP_RET_KILL_PROCESS);
    code[n++] = (struct sock_filter)LOAD(nr);
    for (size_t i = 0; i < ALLOWED; i++) {
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)allowed[i], 0, 1);
        code[n++] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
    }
    code[n++] = (struct sock_filter)RETURN(SECCOMP_RET_KILL_PROCESS);
    install(code, n);
    return script(seed, NULL);
}

static const struct {
    const char *name;
    int number;
} calls[] = {{"mmap", SYS_mmap},         {"munmap", SYS_munmap},       {"mprotect", SYS_mprotect},
             {"madvise", SYS_madvise},   {"mremap", SYS_mremap},       {"getrlimit", SYS_prlimit64},
             {"gettid", SYS_gettid},     {"sched_yield", SYS_sched_yield}, {"futex", SYS_futex}};

/* All calls of the name fail, from when the script runs; with mmap, those without access: regions, not stacks. */
static int refuse(const char *name, int err, uint64_t seed)
{
    struct sock_filter code[12];
    size_t n = 0, i = 0;
    while (i < sizeof calls / sizeof calls[0] && strcmp(calls[i].name, name) != 0)
        i++;
    CHECK(i < sizeof calls / sizeof calls[0]);
    free(malloc(1)); /* the library is set up: what is refused is growth */
    code[n++] = (struct sock_filter)LOAD(nr);
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i].number, 1, 0);
    code[n++] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
    code[n++] = (struct sock_filter)RETURN(SECCOMP_RET_ERRNO | (unsigned)err);
    install(code, n);
    return script(seed, NULL);
}

/* --- limits --- */

static size_t mappings(void)
{
    static char text[65536];
    size_t lines = 0;
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    for (ssize_t n; fd >= 0 && (n = read(fd, text, sizeof text)) > 0;)
        for (ssize_t i = 0; i < n; i++)
            lines += text[i] == '\n';
    close(fd);
    return lines;
}

/* Has the script, then the same again while `count` more mappings are there, or all that the system allows. */
static int with_mappings(size_t count)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), before = mappings(), i = 0;
    int ended = script(1, NULL);
    char *base = mmap(NULL, count * 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(ended == 0 && base != MAP_FAILED);
    CHECK(mappings() - before <= 64 + 8); /* the library's own are few: two thread stacks of the C library too */
    while (i < count && mprotect(base + 2 * i * page, page, PROT_READ) == 0)
        i++;
    ended = script(2, NULL);
    CHECK(munmap(base, count * 2 * page) == 0);
    CHECK(script(3, NULL) == 0); /* there is room again */
    printf("%zu mappings, %s\n", i, ended == 0 ? "nothing refused" : "some memory refused");
    return 0;
}

static int in_small_stacks(void)
{
    pthread_attr_t attributes;
    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstacksize(&attributes, (size_t)PTHREAD_STACK_MIN) == 0);
    return script(4, &attributes);
}

static int secure(void)
{
    int (*get)(const char *, long *);
    long value = 0;
    extern int sla_option_get(const char *, long *) __attribute__((weak));
    get = sla_option_get;
    CHECK(get != NULL && get("purge_delay", &value) == 0);
    printf("%lu %ld\n", getauxval(AT_SECURE), value);
    return 0;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    uint64_t seed = argc > 2 ? strtoull(argv[argc - 1], NULL, 0) : 1;
    if (strcmp(mode, "script") == 0)
        _exit(script(seed, NULL));
    if (strcmp(mode, "only") == 0)
        _exit(only(seed));
    if (strcmp(mode, "fail") == 0 && argc == 5)
        _exit(refuse(argv[2], atoi(argv[3]), seed));
    if (strcmp(mode, "closed") == 0 && argc > 2) {
        for (int fd = 0; fd < 1024; fd++)
            close(fd);
        execvp(argv[2], argv + 2);
        return 1;
    }
    if (strcmp(mode, "mappings") == 0)
        return with_mappings((size_t)seed);
    if (strcmp(mode, "nofiles") == 0)
        return setrlimit(RLIMIT_NOFILE, &(struct rlimit){0, 0}) != 0 ? 77 : script(seed, NULL);
    if (strcmp(mode, "locked") == 0)
        return mlockall(MCL_CURRENT | MCL_FUTURE) != 0 ? 77 : script(seed, NULL);
    if (strcmp(mode, "stacks") == 0)
        return in_small_stacks();
    if (strcmp(mode, "secure") == 0)
        return secure();
    return 2;
}
