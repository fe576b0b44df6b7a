/*
 * scenario_growth.c: a live set of blocks of one size is built, then blocks
 * of it are replaced at random.  Only the replacing is measured; with a sweep
 * over live sets it says how the cost of a call and the overhead grow.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scenarios.h"
#include "work.h"

/* What it does is neither counted nor timed. */
static void aside(struct worker *worker, struct parcel **parcels, size_t count,
                  void (*work)(struct worker *worker, struct parcel **parcels, size_t count))
{
    struct histogram *latency = worker->latency;
    uint64_t calls = worker->calls, began = work_nanos();

    worker->latency = NULL;
    work(worker, parcels, count);
    worker->latency = latency;
    worker->calls = calls;
    worker->paused += work_nanos() - began;
    if (worker->deadline != 0) {
        worker->deadline += work_nanos() - began;
    }
}

static void build(struct worker *worker, struct parcel **parcels, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        parcels[i] = parcel_make(worker, worker_size(worker, NULL));
    }
}

static void settle(struct worker *worker, struct parcel **parcels, size_t count)
{
    uint64_t held = 0;

    for (size_t i = 0; i < count; i++) {
        held += parcels[i]->size;
    }
    worker_settle_as(worker, held, "full");
}

static void tear_down(struct worker *worker, struct parcel **parcels, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        parcel_drop(worker, parcels[i]);
    }
}

static void growth_work(struct worker *worker)
{
    size_t count = worker_slots(worker, 0);
    struct parcel **parcels = work_map(count * sizeof(*parcels));

    aside(worker, parcels, count, build);
    while (worker_more(worker)) {
        struct parcel **place = &parcels[rng_below(&worker->rng, count)];
        parcel_drop(worker, *place);
        *place = parcel_make(worker, worker_size(worker, NULL));
    }
    aside(worker, parcels, count, settle);
    aside(worker, parcels, count, tear_down);
    work_unmap(parcels, count * sizeof(*parcels));
}

static void growth_run(const struct params *params, struct outcome *outcome)
{
    workers_run(params, growth_work, NULL, outcome);
}

const struct scenario scenario_growth = {
    .name = "growth",
    .summary = "one size, 64 B, replaced at random in a live set that is there already: for --sweep=live=A..B",
    .source = "own; an index or a cache in memory, as it gets larger",
    .defaults = {.threads = 1, .ops = 12000000, .live = 64 << 20, .seed = 1, .size_min = 64, .size_max = 64},
    .run = growth_run,
};
