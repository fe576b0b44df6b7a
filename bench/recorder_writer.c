/*
 * recorder_writer.c: the chunks that records go into, and the life of threads
 * and processes.
 *
 * SPDX-License-Identifier: MIT
 */
#include "recorder_writer.h"
#include "recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#ifndef PTHREAD_DESTRUCTOR_ITERATIONS
#define PTHREAD_DESTRUCTOR_ITERATIONS _POSIX_THREAD_DESTRUCTOR_ITERATIONS
#endif

uint64_t **recorder_root[(size_t)1 << ROOT_BITS];
__thread struct writer *recorder_self;
struct writer recorder_nobody = {.busy = true};
uint64_t recorder_epoch;
uint32_t recorder_first_thread;

/* error 0: none.  strerror may allocate. */
void recorder_say(const char *what, int error)
{
    char line[256];
    int length = error == 0 ? snprintf(line, sizeof(line), "slaballoc-record: %s\n", what)
                            : snprintf(line, sizeof(line), "slaballoc-record: %s (error %d)\n", what, error);
    ssize_t ignored =
        write(STDERR_FILENO, line, (size_t)length < sizeof(line) ? (size_t)length : sizeof(line));
    (void)ignored;
}

static void *map_pages(size_t bytes)
{
    void *pages =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return pages == MAP_FAILED ? NULL : pages;
}

void *recorder_grow_map(void **at, size_t bytes)
{
    int saved = errno;
    void *pages = map_pages(bytes), *found = NULL;

    if (pages != NULL &&
        !__atomic_compare_exchange_n(at, &found, pages, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        munmap(pages, bytes);
        pages = found;
    }
    errno = saved;
    return pages;
}

enum { FIRST_CHUNK = 4096, LAST_CHUNK = 65536, RESERVE = 2 * TRACE_RECORD_MAX };

static enum { UNDECIDED, RECORDING, STOPPED } state;
static char file_name[4096 - 32];
static size_t base_length; /* of file_name, without a process number */
static bool children;
static pid_t process;
static uint64_t file_end;
static uint32_t threads;
static struct timespec started;
static pthread_key_t key;
static struct writer *free_writers;
static int free_writers_lock;

static void stop(const char *why, int error)
{
    if (__atomic_exchange_n(&state, STOPPED, __ATOMIC_RELAXED) == RECORDING) {
        recorder_say(why, error);
    }
}

static uint64_t micros_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)(now.tv_sec - started.tv_sec) * 1000000 + (uint64_t)(now.tv_nsec / 1000) -
           (uint64_t)(started.tv_nsec / 1000);
}

static void close_chunk(struct writer *w)
{
    if (w->chunk == NULL) {
        return;
    }
    size_t size = TRACE_CHUNK_HEADER + w->header.capacity;
    w->header.length = (uint32_t)(w->at - (w->chunk + TRACE_CHUNK_HEADER));
    w->header.sum = trace_sum(w->chunk + TRACE_CHUNK_HEADER, w->header.length);
    trace_put_chunk(w->chunk, &w->header);
    munmap(w->chunk, size);
    w->chunk = w->at = w->end = NULL;
    w->header.sequence++;
}

/* Opened anew each time: a program may close all files it does not know, or use their numbers. */
static uint8_t *map_chunk(size_t size)
{
    uint64_t offset = __atomic_fetch_add(&file_end, size, __ATOMIC_RELAXED);
    int fd = open(file_name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0) {
        return NULL;
    }
    /* Reserved, so that a full disk is an error here and not a signal at a store. */
    int error = posix_fallocate(fd, (off_t)offset, (off_t)size);
    void *pages = MAP_FAILED;
    if (error == 0) {
        pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
        error = pages == MAP_FAILED ? errno : 0;
    }
    close(fd);
    errno = error;
    return pages == MAP_FAILED ? NULL : pages;
}

static bool open_chunk(struct writer *w)
{
    size_t size = FIRST_CHUNK;

    if (w->header.sequence > 0) {
        size = w->header.sequence > 2 ? LAST_CHUNK : (size_t)FIRST_CHUNK << 2;
    }
    w->chunk = map_chunk(size);
    if (w->chunk == NULL) {
        stop("recording ends: the trace cannot grow", errno);
        return false;
    }
    w->header.capacity = (uint32_t)(size - TRACE_CHUNK_HEADER);
    w->header.length = TRACE_OPEN;
    w->header.produced = w->produced;
    w->header.epoch = w->epoch;
    w->header.micros = w->micros;
    w->header.sum = 0;
    trace_put_chunk(w->chunk, &w->header);
    w->at = w->chunk + TRACE_CHUNK_HEADER;
    w->end = w->chunk + size - RESERVE;
    return true;
}

bool recorder_next_chunk(struct writer *w)
{
    int saved = errno, cancel;

    if (!w->there) {
        state = STOPPED;
        return false;
    }
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel); /* malloc is no cancellation point */
    close_chunk(w);
    bool good = __atomic_load_n(&state, __ATOMIC_RELAXED) == RECORDING && open_chunk(w);
    pthread_setcancelstate(cancel, NULL);
    errno = saved;
    return good;
}

static void lock_writers(void)
{
    while (__atomic_exchange_n(&free_writers_lock, 1, __ATOMIC_ACQUIRE) != 0) {
    }
}

static struct writer *take_writer(void)
{
    lock_writers();
    struct writer *w = free_writers;
    if (w == NULL) {
        const size_t bytes = 65536;
        w = map_pages(bytes);
#ifdef MADV_WIPEONFORK
        if (w != NULL) {
            madvise(w, bytes, MADV_WIPEONFORK);
        }
#endif
        for (size_t i = 1; w != NULL && i < bytes / sizeof(*w); i++) {
            w[i].next_free = free_writers;
            free_writers = &w[i];
        }
    } else {
        free_writers = w->next_free;
    }
    __atomic_store_n(&free_writers_lock, 0, __ATOMIC_RELEASE);
    return w;
}

/* Comes back until the last round, so that what other keys' destructors free is seen. */
static void thread_end(void *value)
{
    struct writer *w = value;

    if (recorder_self != w) {
        return;
    }
    if (++w->rounds < PTHREAD_DESTRUCTOR_ITERATIONS && pthread_setspecific(key, w) == 0) {
        return;
    }
    recorder_self = &recorder_nobody;
    if (w->chunk != NULL) {
        const struct trace_record end = {.kind = TRACE_THREAD_END};
        w->at = trace_put(w->at, &end, w->produced);
        close_chunk(w);
    }
    lock_writers();
    w->next_free = free_writers;
    free_writers = w;
    __atomic_store_n(&free_writers_lock, 0, __ATOMIC_RELEASE);
}

static void decide(void);

struct writer *recorder_start_thread(void)
{
    int saved = errno;

    if (__atomic_load_n(&state, __ATOMIC_RELAXED) == UNDECIDED) {
        decide();
    }
    if (__atomic_load_n(&state, __ATOMIC_RELAXED) != RECORDING) {
        recorder_self = __atomic_load_n(&state, __ATOMIC_RELAXED) == STOPPED ? &recorder_nobody : NULL;
        return &recorder_nobody;
    }
    recorder_self = &recorder_nobody; /* until it is ready: pthread_setspecific may allocate */
    uint32_t thread = __atomic_fetch_add(&threads, 1, __ATOMIC_RELAXED);
    struct writer *w = thread < TRACE_THREADS_MAX ? take_writer() : NULL;
    if (w == NULL) {
        stop("recording ends: no memory, or too many threads", 0);
        return &recorder_nobody;
    }
    *w = (struct writer){.there = true,
                         .header = {.thread = thread},
                         .epoch = __atomic_load_n(&recorder_epoch, __ATOMIC_RELAXED)};
    w->micros = micros_now();
    pthread_setspecific(key, w);
    recorder_self = w;
    errno = saved;
    return w;
}

void recorder_put_tick(struct writer *w)
{
    uint64_t now = __atomic_add_fetch(&recorder_epoch, 1, __ATOMIC_RELAXED), micros = micros_now();
    const struct trace_record tick = {
        .kind = TRACE_TICK, .delta = now - w->epoch, .micros = micros > w->micros ? micros - w->micros : 0};

    w->at = trace_put(w->at, &tick, w->produced);
    w->epoch = now;
    w->micros += tick.micros;
}

void recorder_end_epoch(struct writer *w)
{
    if (w->at != NULL) {
        recorder_put_tick(w);
    }
}

/* --- beginning ------------------------------------------------------------- */

static bool write_head(void)
{
    static uint8_t head[TRACE_HEADER];
    char command[TRACE_HEADER];
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, command, sizeof(command));

    if (fd >= 0) {
        close(fd);
    }
    const struct trace_head fields = {.process = (uint32_t)process,
                                      .started = (uint64_t)time(NULL),
                                      .command_length = length > 0 ? (uint32_t)length : 0,
                                      .command = command};
    memset(head, 0, sizeof(head));
    trace_put_head(head, &fields);
    fd = open(file_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool good = fd >= 0 && write(fd, head, sizeof(head)) == (ssize_t)sizeof(head);
    if (fd >= 0) {
        close(fd);
    }
    return good;
}

static void begin_file(void)
{
    process = getpid();
    file_end = TRACE_HEADER;
    recorder_first_thread = threads;
    clock_gettime(CLOCK_MONOTONIC, &started);
    state = RECORDING;
    if (!write_head()) {
        stop("cannot write the trace", errno);
    }
}

static void add_process_number(void)
{
    snprintf(file_name + base_length, sizeof(file_name) - base_length, ".%ld", (long)getpid());
}

/* In the child of a fork: the mapped chunk is the parent's, and what it made is not of our trace. */
static void after_fork(void)
{
    struct writer *w = recorder_self;

    free_writers_lock = 0;
    if (state != RECORDING) {
        return;
    }
    if (w != NULL && w != &recorder_nobody) {
        if (w->chunk != NULL) {
            munmap(w->chunk, TRACE_CHUNK_HEADER + w->header.capacity);
        }
        pthread_setspecific(key, NULL);
    }
    if (!children) {
        state = STOPPED;
        recorder_self = &recorder_nobody;
        return;
    }
    recorder_self = &recorder_nobody;
    add_process_number();
    begin_file();
    recorder_self = NULL;
}

/* PROCESS:CHILDREN:PROGRAM:FILE into the variables above; false: not to be recorded. */
static bool parse_variable(const char *text)
{
    char *end;
    long wanted = strtol(text, &end, 10);

    if (*end != ':' || (end[1] != '0' && end[1] != '1') || end[2] != ':') {
        return false;
    }
    const char *program = end + 3, *colon = strchr(program, ':');
    if (colon == NULL || colon[1] != '/' || strlen(colon + 1) + 1 > sizeof(file_name) - 16) {
        return false;
    }
    children = end[1] == '1';
    strcpy(file_name, colon + 1);
    base_length = strlen(file_name);
    size_t length = (size_t)(colon - program);
    if (length > 0) {
        const char *name = program_invocation_short_name;
        if (strlen(name) != length || memcmp(name, program, length) != 0) {
            return false;
        }
        int fd = open(file_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd >= 0) {
            close(fd);
            wanted = (long)getpid();
        } else {
            wanted = 0; /* another was first */
        }
    }
    if (wanted != (long)getpid()) {
        if (!children) {
            return false;
        }
        add_process_number();
    }
    return true;
}

static void decide(void)
{
    static int deciding;
    const char *variable;

    if (environ == NULL) {
        return; /* too early */
    }
    if (__atomic_exchange_n(&deciding, 1, __ATOMIC_ACQUIRE) != 0) {
        return;
    }
    variable = getenv(RECORDER_VARIABLE);
    if (variable == NULL || !parse_variable(variable) || pthread_key_create(&key, thread_end) != 0) {
        state = STOPPED;
        return;
    }
    begin_file();
    pthread_atfork(NULL, NULL, after_fork);
}

void recorder_begin(void)
{
    if (state == UNDECIDED) {
        decide();
    }
}
