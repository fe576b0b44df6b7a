/*
 * work.c: random numbers, threads and memory for the scenarios.
 *
 * SPDX-License-Identifier: MIT
 */
#include "work.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
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

static uint64_t nanos_now(void)
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
    return nanos_now() < worker->deadline;
}

size_t worker_slots(const struct worker *worker, size_t mean_size)
{
    uint64_t slots = worker->live / mean_size;

    return slots == 0 ? 1 : slots > UINT32_MAX ? UINT32_MAX : (size_t)slots;
}

void *work_map(size_t bytes)
{
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (pages == MAP_FAILED) {
        work_fail("mmap of %zu bytes: %s", bytes, strerror(errno));
    }
    return pages;
}

void work_unmap(void *pages, size_t bytes)
{
    if (munmap(pages, bytes) != 0) {
        work_fail("munmap: %s", strerror(errno));
    }
}

void work_fail(const char *format, ...)
{
    static const char prefix[] = "error=";
    char line[120];
    va_list args;

    memcpy(line, prefix, sizeof(prefix));
    va_start(args, format);
    vsnprintf(line + sizeof(prefix) - 1, sizeof(line) - sizeof(prefix), format, args);
    va_end(args);
    /* If nobody reads it, the exit status says as much as can be said. */
    ssize_t ignored = write(CHILD_FD, line, strlen(line));
    (void)ignored;
    _exit(EXIT_ROW_FAILED);
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

static pthread_barrier_t start_barrier;

static void worker_work(struct worker *worker)
{
    worker->started = nanos_now();
    if (worker->deadline != 0) {
        worker->deadline += worker->started; /* was a duration until now */
    }
    worker->work(worker);
    worker->ended = nanos_now();
}

static void *worker_thread(void *arg)
{
    pthread_barrier_wait(&start_barrier);
    worker_work(arg);
    return NULL;
}

static void run_threads(struct worker *workers, unsigned count)
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
    for (unsigned i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
    }
    work_unmap(threads, bytes);
}

void workers_run(const struct params *params, void (*work)(struct worker *worker), void *shared,
                 struct outcome *outcome)
{
    unsigned count = (unsigned)params->threads;
    size_t bytes = count * sizeof(struct worker);
    struct worker *workers = work_map(bytes);

    for (unsigned i = 0; i < count; i++) {
        struct worker *worker = &workers[i];
        worker->index = i;
        worker->threads = count;
        worker->rng = rng_make(params->seed, i);
        worker->live = params->live / count;
        worker->budget = params->ops / count + (i < params->ops % count);
        worker->deadline = params->millis * 1000000;
        worker->shared = shared;
        worker->work = work;
    }
    if (count == 1) {
        worker_work(&workers[0]); /* a program without threads: some allocators know the difference */
    } else {
        run_threads(workers, count);
    }
    uint64_t started = workers[0].started, ended = workers[0].ended;
    for (unsigned i = 0; i < count; i++) {
        outcome->ops += workers[i].calls;
        outcome->check += workers[i].check;
        started = workers[i].started < started ? workers[i].started : started;
        ended = workers[i].ended > ended ? workers[i].ended : ended;
    }
    outcome->nanos = ended - started;
    work_unmap(workers, bytes);
}
