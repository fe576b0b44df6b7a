/*
 * scenario_xmalloc.c: some threads only allocate, others only free: batches of
 * blocks go from one to the other side through a queue of limited length.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scenarios.h"
#include "work.h"

#include <pthread.h>

enum { BATCH = 120, QUEUE = 32 };

struct batch {
    struct parcel *parcels[BATCH];
};

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t filled, emptied;
    unsigned first, count, producers; /* producers that are not done */
    struct batch batches[QUEUE];
};

static void queue_put(struct queue *queue, const struct batch *batch)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->count == QUEUE) {
        pthread_cond_wait(&queue->emptied, &queue->lock);
    }
    queue->batches[(queue->first + queue->count++) % QUEUE] = *batch;
    pthread_mutex_unlock(&queue->lock);
    pthread_cond_signal(&queue->filled);
}

/* False when there will be no more. */
static bool queue_get(struct queue *queue, struct batch *batch)
{
    pthread_mutex_lock(&queue->lock);
    while (queue->count == 0 && queue->producers > 0) {
        pthread_cond_wait(&queue->filled, &queue->lock);
    }
    bool any = queue->count > 0;
    if (any) {
        *batch = queue->batches[queue->first];
        queue->first = (queue->first + 1) % QUEUE;
        queue->count--;
    }
    pthread_mutex_unlock(&queue->lock);
    pthread_cond_signal(&queue->emptied);
    return any;
}

static void fill(struct worker *worker, struct batch *batch)
{
    for (size_t i = 0; i < BATCH; i++) {
        batch->parcels[i] = parcel_make(worker, worker_size(worker, NULL));
    }
}

static void empty(struct worker *worker, const struct batch *batch)
{
    for (size_t i = 0; i < BATCH; i++) {
        parcel_drop(worker, batch->parcels[i]);
    }
}

static void produce(struct worker *worker, struct queue *queue)
{
    struct batch batch;

    while (worker_more_slowly(worker)) {
        fill(worker, &batch);
        queue_put(queue, &batch);
    }
    pthread_mutex_lock(&queue->lock);
    queue->producers--;
    pthread_mutex_unlock(&queue->lock);
    pthread_cond_broadcast(&queue->filled);
}

/* Every second thread only frees; one thread alone does both by turns. */
static void xmalloc_work(struct worker *worker)
{
    struct queue *queue = worker->shared;
    struct batch batch;

    if (worker->threads == 1) {
        while (worker_more_slowly(worker)) {
            fill(worker, &batch);
            empty(worker, &batch);
        }
    } else if (worker->index % 2 == 0) {
        produce(worker, queue);
    } else {
        while (queue_get(queue, &batch)) {
            empty(worker, &batch);
        }
    }
}

static void xmalloc_run(const struct params *params, struct outcome *outcome)
{
    struct queue *queue = work_map(sizeof(*queue));

    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->filled, NULL);
    pthread_cond_init(&queue->emptied, NULL);
    queue->producers = (unsigned)(params->threads + 1) / 2;
    workers_run(params, xmalloc_work, queue, outcome);
    work_unmap(queue, sizeof(*queue));
}

const struct scenario scenario_xmalloc = {
    .name = "xmalloc",
    .summary = "asymmetric: every second thread only allocates, the others only free",
    .source = "after xmalloc-test of Lever and Boreham (2000), as in mimalloc-bench",
    .defaults = {.threads = 0, .ops = 86000000, .seed = 1, .size_min = 16, .size_max = 512},
    .run = xmalloc_run,
};
