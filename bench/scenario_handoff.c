/*
 * scenario_handoff.c: some threads only allocate, the others only free, and
 * in the end the owners are asleep: who gives their memory back?
 *
 * Batches go through a queue of limited length.  The consumers wait until it
 * is full, so the most that is live is much the same under every allocator.
 * After a first burst, of most of the calls, comes a second that just fills
 * the queue; then the producers sleep, the consumers drain it and sleep, and
 * the main thread, which has allocated nothing, asks once for what is free.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scenarios.h"
#include "work.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

enum { BATCH = 64, HANDOFF_MEAN = 111, QUIET_MILLIS = 2000, BURSTS = 2 };

struct exchange {
    pthread_mutex_t lock;
    pthread_cond_t filled, emptied, rested;
    unsigned threads, producers;
    unsigned stalled, finished; /* producers: at a full queue; with this burst */
    unsigned burst, resting;
    bool open, over; /* consumers may take; all is done */
    uint64_t budget; /* blocks of a producer */
    _Atomic int64_t made, freed, most; /* bytes; the highest difference */
    size_t capacity, first, count;      /* batches */
    struct parcel *batches[];
};

static size_t handoff_size(struct rng *rng)
{
    return rng_pareto(rng, 16, 16 << 10);
}

static struct parcel *batch_make(struct worker *worker, struct exchange *exchange)
{
    struct parcel *batch = NULL;
    int64_t bytes = 0;

    for (unsigned i = 0; i < BATCH; i++) {
        struct parcel *parcel = parcel_make(worker, worker_size(worker, handoff_size));
        parcel->next = batch;
        bytes += (int64_t)parcel->size;
        batch = parcel;
    }
    /* Too low, even negative, if others are quick between the two; at its highest nothing is freed. */
    int64_t live = atomic_fetch_add(&exchange->made, bytes) + bytes - atomic_load(&exchange->freed);
    int64_t most = atomic_load(&exchange->most);
    while (live > most && !atomic_compare_exchange_weak(&exchange->most, &most, live)) {
    }
    return batch;
}

static void batch_drop(struct worker *worker, struct exchange *exchange, struct parcel *batch)
{
    int64_t bytes = 0;

    while (batch != NULL) {
        struct parcel *next = batch->next;
        bytes += (int64_t)batch->size;
        parcel_drop(worker, batch);
        batch = next;
    }
    atomic_fetch_add(&exchange->freed, bytes);
}

/* --- the queue; the lock is held ----------------------------------------- */

static void open_if_full(struct exchange *exchange)
{
    if (!exchange->open && exchange->stalled + exchange->finished == exchange->producers) {
        exchange->open = true;
        pthread_cond_broadcast(&exchange->filled);
    }
}

static void end_burst_if_empty(struct exchange *exchange)
{
    if (exchange->finished == exchange->producers && exchange->count == 0) {
        exchange->burst++;
        exchange->finished = 0;
        exchange->open = false;
        pthread_cond_broadcast(&exchange->filled);
        pthread_cond_broadcast(&exchange->emptied);
    }
}

static void put(struct exchange *exchange, struct parcel *batch)
{
    pthread_mutex_lock(&exchange->lock);
    while (exchange->count == exchange->capacity) {
        exchange->stalled++;
        open_if_full(exchange);
        pthread_cond_wait(&exchange->emptied, &exchange->lock);
        exchange->stalled--;
    }
    exchange->batches[(exchange->first + exchange->count++) % exchange->capacity] = batch;
    pthread_mutex_unlock(&exchange->lock);
    pthread_cond_signal(&exchange->filled);
}

/* NULL when there will be no more. */
static struct parcel *get(struct exchange *exchange)
{
    struct parcel *batch = NULL;

    pthread_mutex_lock(&exchange->lock);
    while ((!exchange->open || exchange->count == 0) && exchange->burst < BURSTS) {
        pthread_cond_wait(&exchange->filled, &exchange->lock);
    }
    if (exchange->burst < BURSTS) {
        batch = exchange->batches[exchange->first];
        exchange->first = (exchange->first + 1) % exchange->capacity;
        exchange->count--;
        end_burst_if_empty(exchange);
    }
    pthread_mutex_unlock(&exchange->lock);
    pthread_cond_signal(&exchange->emptied);
    return batch;
}

/* A producer has put all it makes in this burst: waits until all of it has been taken. */
static void finish_burst(struct exchange *exchange)
{
    pthread_mutex_lock(&exchange->lock);
    unsigned burst = exchange->burst;
    exchange->finished++;
    open_if_full(exchange);
    end_burst_if_empty(exchange);
    while (exchange->burst == burst) {
        pthread_cond_wait(&exchange->emptied, &exchange->lock);
    }
    pthread_mutex_unlock(&exchange->lock);
}

/* --- the threads --------------------------------------------------------- */

static void produce(struct worker *worker, struct exchange *exchange)
{
    size_t last = exchange->capacity / exchange->producers;

    worker->budget = exchange->budget > last * BATCH ? exchange->budget - last * BATCH : 0;
    while (worker_more_slowly(worker)) {
        put(exchange, batch_make(worker, exchange));
    }
    finish_burst(exchange);
    for (size_t i = 0; i < last; i++) {
        put(exchange, batch_make(worker, exchange));
    }
}

/* Not part of the work: no call of the allocator until the main thread has seen what it wants to see. */
static void rest(struct worker *worker, struct exchange *exchange)
{
    uint64_t began = work_nanos();

    pthread_mutex_lock(&exchange->lock);
    exchange->finished += worker->index < exchange->producers;
    open_if_full(exchange);
    end_burst_if_empty(exchange);
    exchange->resting++;
    pthread_cond_broadcast(&exchange->rested);
    while (!exchange->over) {
        pthread_cond_wait(&exchange->rested, &exchange->lock);
    }
    pthread_mutex_unlock(&exchange->lock);
    worker->paused += work_nanos() - began;
}

static void conclude(struct worker *worker, struct exchange *exchange)
{
    char name[MARK_NAME_SIZE] = "not asked";

    work_mark_peak("peak", (uint64_t)atomic_load(&exchange->most));
    uint64_t live = (uint64_t)(atomic_load(&exchange->made) - atomic_load(&exchange->freed));
    work_mark("drained", live);
    const char *asked = work_trim();
    if (asked != NULL) {
        snprintf(name, sizeof(name), "asked by %s", asked);
    }
    work_mark(name, live);
    worker_pause(worker, QUIET_MILLIS);
    work_mark("2 s later", live);
}

/* In the main thread. */
static void look(void *shared)
{
    struct exchange *exchange = shared;
    struct worker nobody = {0};

    pthread_mutex_lock(&exchange->lock);
    while (exchange->resting < exchange->threads) {
        pthread_cond_wait(&exchange->rested, &exchange->lock);
    }
    pthread_mutex_unlock(&exchange->lock);
    conclude(&nobody, exchange);
    pthread_mutex_lock(&exchange->lock);
    exchange->over = true;
    pthread_mutex_unlock(&exchange->lock);
    pthread_cond_broadcast(&exchange->rested);
}

static void alone(struct worker *worker, struct exchange *exchange)
{
    do {
        for (size_t i = 0; i < exchange->capacity; i++) {
            exchange->batches[i] = batch_make(worker, exchange);
        }
        for (size_t i = 0; i < exchange->capacity; i++) {
            batch_drop(worker, exchange, exchange->batches[i]);
        }
    } while (worker_more_slowly(worker));
    conclude(worker, exchange);
}

static void handoff_work(struct worker *worker)
{
    struct exchange *exchange = worker->shared;
    struct parcel *batch;

    if (worker->threads == 1) {
        alone(worker, exchange);
        return;
    }
    if (worker->index < exchange->producers) {
        produce(worker, exchange);
    } else {
        while ((batch = get(exchange)) != NULL) {
            batch_drop(worker, exchange, batch);
        }
    }
    rest(worker, exchange);
}

static void handoff_run(const struct params *params, struct outcome *outcome)
{
    unsigned threads = (unsigned)params->threads, producers = (unsigned)params->producers;
    size_t mean = params->size_min == 0 ? HANDOFF_MEAN : (size_t)(params->size_min + params->size_max) / 2;
    size_t capacity = (size_t)(params->live / mean / BATCH) + 1;
    size_t bytes = sizeof(struct exchange) + capacity * sizeof(struct parcel *);
    struct exchange *exchange = work_map(bytes);

    producers = producers == 0 ? threads / 2 : producers >= threads ? threads - 1 : producers;
    exchange->producers = producers > 0 ? producers : 1;
    exchange->threads = threads;
    exchange->budget = params->ops / 2 / exchange->producers;
    exchange->capacity = capacity;
    pthread_mutex_init(&exchange->lock, NULL);
    pthread_cond_init(&exchange->filled, NULL);
    pthread_cond_init(&exchange->emptied, NULL);
    pthread_cond_init(&exchange->rested, NULL);
    workers_run_beside(params, handoff_work, look, exchange, outcome);
    work_unmap(exchange, bytes);
}

const struct scenario scenario_handoff = {
    .name = "handoff",
    .summary = "producers hand 16 B-16 KiB to consumers, then sleep: does what is freed go back when asked for?",
    .source = "own; a pipeline of threads after its busiest minute",
    .producers = true,
    .defaults = {.threads = 8, .ops = 20000000, .live = 64 << 20, .seed = 1},
    .run = handoff_run,
};
