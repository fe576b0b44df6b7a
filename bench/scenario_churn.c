/*
 * scenario_churn.c: threads that live for a hundred or two allocations; each
 * leaves some blocks, which the next one frees.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scenarios.h"
#include "work.h"

enum { BLOCKS = 150, LEFT = 50 };

static void short_life(struct worker *worker)
{
    struct parcel **left = worker->shared;
    struct parcel *own[BLOCKS];

    for (size_t i = 0; i < BLOCKS; i++) {
        own[i] = parcel_make(worker, 16 + worker_size(worker, rng_mixed_size));
    }
    for (size_t i = 0; i < LEFT; i++) {
        if (left[i] != NULL) {
            parcel_drop(worker, left[i]);
        }
        left[i] = own[3 * i];
        parcel_drop(worker, own[3 * i + 1]);
        parcel_drop(worker, own[3 * i + 2]);
    }
}

static void churn_work(struct worker *worker)
{
    struct parcel *left[LEFT] = {NULL};

    worker->shared = left;
    while (worker_more_slowly(worker)) {
        worker_in_thread(worker, short_life);
    }
    for (size_t i = 0; i < LEFT; i++) {
        if (left[i] != NULL) {
            parcel_drop(worker, left[i]);
        }
    }
}

static void churn_run(const struct params *params, struct outcome *outcome)
{
    workers_run(params, churn_work, NULL, outcome);
}

const struct scenario scenario_churn = {
    .name = "churn",
    .summary = "threads that end after 150 allocations and leave a third of them to the next",
    .source = "own; a thread for each connection",
    .defaults = {.threads = 0, .ops = 8700000, .seed = 1},
    .run = churn_run,
};
