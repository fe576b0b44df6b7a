/*
 * scenario_cross.c: every block of 16 bytes to 16 KiB is freed by another
 * thread than made it: into whose inbox it is put, in no order.
 *
 * SPDX-License-Identifier: MIT
 */
#include "inbox.h"
#include "scenarios.h"
#include "work.h"

enum { CROSS_MEAN = 1600 };

static size_t cross_size(struct rng *rng)
{
    return rng_size(rng, 4, 14);
}

static void *cross_make(struct worker *worker)
{
    return parcel_make(worker, worker_size(worker, cross_size));
}

static void cross_part(struct worker *worker, void *parcel)
{
    (void)worker;
    parcel_check(parcel);
}

static void cross_drop(struct worker *worker, void *parcel)
{
    parcel_drop(worker, parcel);
}

static const struct goods parcels = {cross_make, cross_part, cross_drop};

static void cross_work(struct worker *worker)
{
    struct inbox *inboxes = worker->shared;
    size_t count = worker_slots(worker, CROSS_MEAN);
    void **slots = work_map(count * sizeof(*slots));
    uint64_t held = 0;

    worker_relay(worker, slots, count, inboxes, &parcels);
    for (size_t i = 0; i < count; i++) {
        held += ((const struct parcel *)slots[i])->size;
    }
    worker_settle(worker, held);
    for (size_t i = 0; i < count; i++) {
        cross_drop(worker, slots[i]);
    }
    inbox_empty(worker, &inboxes[worker->index], &parcels);
    work_unmap(slots, count * sizeof(*slots));
}

static void cross_run(const struct params *params, struct outcome *outcome)
{
    size_t bytes = params->threads * sizeof(struct inbox);
    struct inbox *inboxes = work_map(bytes);

    workers_run(params, cross_work, inboxes, outcome);
    work_unmap(inboxes, bytes);
}

const struct scenario scenario_cross = {
    .name = "cross",
    .summary = "16 B-16 KiB, every block is freed by another thread than made it",
    .source = "own, after rptest of rpmalloc-benchmark (Jansson)",
    .brief = true,
    .defaults = {.threads = 0, .ops = 15000000, .live = 16 << 20, .seed = 1},
    .run = cross_run,
};
