/*
 * work.c: random numbers, threads and memory for the scenarios.
 *
 * SPDX-License-Identifier: MIT
 */
#include "work.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct rng rng_make(uint64_t seed, uint64_t stream)
{
    uint64_t z = seed + (stream + 1) * UINT64_C(0x9E3779B97F4A7C15);

    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    z ^= z >> 31;
    return (struct rng){z != 0 ? z : 1}; /* xorshift stays at 0 for ever */
}

size_t rng_mixed_size(struct rng *rng)
{
    uint64_t percent = rng_below(rng, 100);

    if (percent < 60) {
        return 8 + (size_t)rng_below(rng, 120);
    }
    if (percent < 90) {
        return 128 + (size_t)rng_below(rng, 896);
    }
    if (percent < 99) {
        return 1024 + (size_t)rng_below(rng, 7168);
    }
    return 8192 + (size_t)rng_below(rng, 24576);
}

size_t rng_pareto(struct rng *rng, size_t low, size_t high)
{
    /* 1 - u (1 - low/high), u in [0, 1), in units of 2^-32: exact integers, the same everywhere. */
    uint64_t unit = (uint64_t)1 << 32;
    uint64_t u = rng_next(rng) >> 32;
    uint64_t cut = unit - (u * (unit - unit * low / high) >> 32);

    return (size_t)(low * unit / cut);
}

/* Of work_map, now and when the threads began. */
static _Atomic uint64_t mapped_bytes;
static uint64_t mapped_before, resident_before;

static _Atomic uint64_t settled_live;
static uint64_t settled_resident;

static struct mark marks[MARKS_MAX];
static uint32_t mark_count;

uint64_t work_nanos(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

bool worker_time_left(struct worker *worker)
{
    /* Reading the clock costs as much as a call of a good allocator. */
    if (++worker->tick % 32 != 0) {
        return true;
    }
    return work_nanos() < worker->deadline;
}

bool worker_more_slowly(struct worker *worker)
{
    return worker->deadline == 0 ? worker->calls < worker->budget : work_nanos() < worker->deadline;
}

size_t worker_slots(const struct worker *worker, size_t mean_size)
{
    size_t mean = worker->size_span == 0 ? mean_size : worker->size_min + worker->size_span / 2;
    uint64_t slots = worker->live / mean;

    return slots == 0 ? 1 : slots > UINT32_MAX ? UINT32_MAX : (size_t)slots;
}

void *work_map(size_t bytes)
{
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (pages == MAP_FAILED) {
        work_fail("mmap of %zu bytes: %s", bytes, strerror(errno));
    }
    atomic_fetch_add(&mapped_bytes, bytes);
    return pages;
}

void work_unmap(void *pages, size_t bytes)
{
    if (munmap(pages, bytes) != 0) {
        work_fail("munmap: %s", strerror(errno));
    }
    atomic_fetch_sub(&mapped_bytes, bytes);
}

void work_fail_memory(size_t size)
{
    work_fail("out of memory for a block of %zu bytes", size);
}

uint64_t work_resident(void)
{
    char text[80];
    unsigned long all, resident;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

    if (fd >= 0) {
        close(fd);
    }
    text[length > 0 ? length : 0] = '\0';
    if (sscanf(text, "%lu %lu", &all, &resident) != 2) {
        return 0;
    }
    return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

void *worker_aligned(struct worker *worker, size_t alignment, size_t size)
{
    void *block = NULL;
    int error;

    worker->calls++;
    if (worker->latency != NULL) {
        error = timed_aligned(worker->latency, &block, alignment, size);
    } else {
        error = posix_memalign(&block, alignment, size);
    }
    if (error != 0) {
        work_fail("out of memory for a block of %zu bytes aligned to %zu", size, alignment);
    }
    if ((uintptr_t)block % alignment != 0) {
        work_fail("posix_memalign of %zu bytes: not aligned to %zu", size, alignment);
    }
    return block;
}

void block_touch(unsigned char *block, size_t size, unsigned char mark)
{
    const size_t filled = 256, start = 128, page = 4096;

    memset(block, mark, size <= filled ? size : start);
    for (size_t i = page; i < size; i += page) {
        block[i] = mark;
    }
    block[size - 1] = mark;
}

void block_check(const unsigned char *block, size_t size, unsigned char mark)
{
    if (block[0] != mark || block[size - 1] != mark) {
        work_fail("contents of a block of %zu bytes changed", size);
    }
}

struct parcel *parcel_make(struct worker *worker, size_t size)
{
    struct parcel *parcel = worker_malloc(worker, size);

    block_touch((unsigned char *)parcel, size, (unsigned char)size);
    parcel->next = NULL;
    parcel->size = size;
    worker->check += size;
    return parcel;
}

void parcel_check(const struct parcel *parcel)
{
    const unsigned char *bytes = (const unsigned char *)parcel;
    size_t size = parcel->size;

    if (size < sizeof(*parcel) || (size > sizeof(*parcel) && bytes[size - 1] != (unsigned char)size)) {
        work_fail("contents of a block changed");
    }
}

void parcel_drop(struct worker *worker, struct parcel *parcel)
{
    parcel_check(parcel);
    worker_free(worker, parcel);
}

struct parcel *parcel_swap(_Atomic(struct parcel *) *place, struct parcel *parcel)
{
    return atomic_exchange_explicit(place, parcel, memory_order_acq_rel);
}

void slot_fill(struct worker *worker, struct slot *slot, size_t size)
{
    slot->size = size;
    slot->block = worker_malloc(worker, size);
    block_touch(slot->block, size, (unsigned char)size);
    worker->check += size;
}

void slot_empty(struct worker *worker, struct slot *slot)
{
    block_check(slot->block, slot->size, (unsigned char)slot->size);
    worker_free(worker, slot->block);
    slot->block = NULL;
}

uint64_t slots_bytes(const struct slot *slots, size_t count)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++) {
        sum += slots[i].block != NULL ? slots[i].size : 0;
    }
    return sum;
}

bool work_function(void *pointer, const char *name)
{
    Dl_info of_malloc, of_function;
    void *in_use = dlsym(RTLD_DEFAULT, "malloc"), *function = dlsym(RTLD_DEFAULT, name);

    if (in_use == NULL || function == NULL || dladdr(in_use, &of_malloc) == 0 || dladdr(function, &of_function) == 0 ||
        of_function.dli_fbase != of_malloc.dli_fbase) {
        return false;
    }
    memcpy(pointer, &function, sizeof(function));
    return true;
}

struct errand {
    struct worker *worker;
    void (*work)(struct worker *worker);
};

static void *errand_run(void *arg)
{
    const struct errand *errand = arg;

    errand->work(errand->worker);
    return NULL;
}

void worker_in_thread(struct worker *worker, void (*work)(struct worker *worker))
{
    struct errand errand = {worker, work};
    pthread_t thread;
    int error = pthread_create(&thread, NULL, errand_run, &errand);

    if (error != 0) {
        work_fail("cannot start a thread: %s", strerror(error));
    }
    pthread_join(thread, NULL);
}

void worker_pause(struct worker *worker, unsigned millis)
{
    struct timespec time = {millis / 1000, (long)(millis % 1000) * 1000000};
    uint64_t before = work_nanos();

    while (nanosleep(&time, &time) != 0 && errno == EINTR) {
    }
    worker->paused += work_nanos() - before;
}

static pthread_barrier_t start_barrier;

static void worker_work(struct worker *worker)
{
    worker->started = work_nanos();
    if (worker->deadline != 0) {
        worker->deadline += worker->started; /* was a duration until now */
    }
    worker->work(worker);
    worker->ended = work_nanos();
}

/* Less what was there before the work, and what the scenario has mapped itself. */
static uint64_t resident_for_blocks(uint64_t resident)
{
    uint64_t ours = resident_before + atomic_load(&mapped_bytes) - mapped_before;

    return resident > ours ? resident - ours : 0;
}

static void take_baseline(void)
{
    mapped_before = atomic_load(&mapped_bytes);
    resident_before = work_resident();
}

void worker_baseline(struct worker *worker)
{
    if (worker->threads > 1) {
        pthread_barrier_wait(&start_barrier);
    }
    if (worker->index == 0) {
        take_baseline();
    }
    if (worker->threads > 1) {
        pthread_barrier_wait(&start_barrier);
    }
}

static void mark(const char *name, uint64_t live, uint64_t resident)
{
    size_t at = 0;

    while (at < mark_count && strcmp(marks[at].name, name) != 0) {
        at++;
    }
    if (at == MARKS_MAX) {
        work_fail("more than %d marks", MARKS_MAX);
    }
    mark_count = at == mark_count ? mark_count + 1 : mark_count;
    snprintf(marks[at].name, sizeof(marks[at].name), "%s", name);
    marks[at].live = live;
    marks[at].resident = resident_for_blocks(resident);
}

void work_mark(const char *name, uint64_t live)
{
    mark(name, live, work_resident());
}

void worker_settle_as(struct worker *worker, uint64_t live, const char *name)
{
    atomic_fetch_add(&settled_live, live);
    if (worker->threads > 1) {
        pthread_barrier_wait(&start_barrier);
    }
    if (worker->index == 0) {
        uint64_t resident = work_resident();
        settled_resident = resident_for_blocks(resident);
        if (name != NULL) {
            mark(name, atomic_load(&settled_live), resident);
        }
    }
    if (worker->threads > 1) {
        pthread_barrier_wait(&start_barrier);
    }
}

void worker_settle(struct worker *worker, uint64_t live)
{
    worker_settle_as(worker, live, NULL);
}

/* Not ru_maxrss: that of a process begins with its parent's. */
static uint64_t resident_peak(void)
{
    char text[4096];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

    if (fd >= 0) {
        close(fd);
    }
    text[length > 0 ? length : 0] = '\0';
    const char *found = strstr(text, "VmHWM:");
    return found == NULL ? 0 : strtoull(found + strlen("VmHWM:"), NULL, 10) * 1024;
}

void work_mark_peak(const char *name, uint64_t live)
{
    mark(name, live, resident_peak());
}

static void *worker_thread(void *arg)
{
    pthread_barrier_wait(&start_barrier);
    worker_work(arg);
    return NULL;
}

static void run_threads(struct worker *workers, unsigned count, void (*beside)(void *shared))
{
    size_t bytes = count * sizeof(pthread_t);
    pthread_t *threads = work_map(bytes);

    pthread_barrier_init(&start_barrier, NULL, count);
    for (unsigned i = 0; i < count; i++) {
        int error = pthread_create(&threads[i], NULL, worker_thread, &workers[i]);
        if (error != 0) {
            work_fail("cannot start thread %u: %s", i + 1, strerror(error));
        }
    }
    if (beside != NULL) {
        beside(workers[0].shared);
    }
    for (unsigned i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
    }
    work_unmap(threads, bytes);
}

static void worker_init(struct worker *worker, const struct params *params, unsigned index)
{
    unsigned count = (unsigned)params->threads;

    worker->index = index;
    worker->threads = count;
    worker->rng = rng_make(params->seed, index);
    worker->live = params->live / count;
    worker->budget = params->ops / count + (index < params->ops % count);
    worker->deadline = params->millis * 1000000;
    worker->size_min = (size_t)params->size_min;
    worker->size_span = params->size_min == 0 ? 0 : (size_t)(params->size_max - params->size_min + 1);
    worker->latency = latency_open();
}

void workers_run(const struct params *params, void (*work)(struct worker *worker), void *shared,
                 struct outcome *outcome)
{
    workers_run_beside(params, work, NULL, shared, outcome);
}

void workers_run_beside(const struct params *params, void (*work)(struct worker *worker),
                        void (*beside)(void *shared), void *shared, struct outcome *outcome)
{
    unsigned count = (unsigned)params->threads;
    size_t bytes = count * sizeof(struct worker);
    struct worker *workers = work_map(bytes);

    for (unsigned i = 0; i < count; i++) {
        worker_init(&workers[i], params, i);
        workers[i].shared = shared;
        workers[i].work = work;
    }
    take_baseline();
    if (count == 1) {
        worker_work(&workers[0]); /* a program without threads: some allocators know the difference */
    } else {
        run_threads(workers, count, beside);
    }
    uint64_t started = workers[0].started, ended = workers[0].ended, paused = workers[0].paused;
    for (unsigned i = 0; i < count; i++) {
        outcome->ops += workers[i].calls;
        outcome->check += workers[i].check;
        started = workers[i].started < started ? workers[i].started : started;
        ended = workers[i].ended > ended ? workers[i].ended : ended;
        paused = workers[i].paused < paused ? workers[i].paused : paused;
        latency_close(workers[i].latency);
    }
    outcome->nanos = ended - started - paused;
    outcome->live = atomic_load(&settled_live);
    outcome->rss_live = settled_resident;
    outcome->mark_count = mark_count;
    memcpy(outcome->marks, marks, sizeof(marks));
    work_unmap(workers, bytes);
}
