/*
 * scenario_larson.c: a server: each thread replaces blocks of an array at
 * random, and after a while ends and leaves the array to a new thread, which
 * so frees what another has allocated ("bleeding").
 *
 * larson-sized does it with C++'s operators new and sized delete where the
 * allocator has them; where not, it calls what libstdc++ calls for them.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scenarios.h"
#include "work.h"

#include <dlfcn.h>

enum { CALLS_A_THREAD = 50000, LARSON_MEAN = 500 };

struct larson {
    void *(*new)(size_t size);
    void (*delete)(void *block, size_t size);
};

/* What a worker's threads leave to each other. */
struct estate {
    struct slot *slots;
    size_t count;
    const struct larson *larson;
};

static void fill(struct worker *worker, struct slot *slot)
{
    const struct larson *larson = ((struct estate *)worker->shared)->larson;
    size_t size = worker_size(worker, NULL);

    if (larson->new == NULL) {
        slot_fill(worker, slot, size);
        return;
    }
    uint64_t since = worker_since(worker);
    slot->block = work_block(larson->new(size), size);
    worker_spent(worker, LATENCY_MALLOC, since);
    slot->size = size;
    block_touch(slot->block, size, (unsigned char)size);
    worker->check += size;
    worker->calls++;
}

static void empty(struct worker *worker, struct slot *slot)
{
    const struct larson *larson = ((struct estate *)worker->shared)->larson;

    if (larson->delete == NULL) {
        slot_empty(worker, slot);
        return;
    }
    block_check(slot->block, slot->size, (unsigned char)slot->size);
    uint64_t since = worker_since(worker);
    larson->delete(slot->block, slot->size);
    worker_spent(worker, LATENCY_FREE, since);
    slot->block = NULL;
    worker->calls++;
}

static void one_thread(struct worker *worker)
{
    struct estate *estate = worker->shared;
    uint64_t last = worker->calls + CALLS_A_THREAD;

    while (worker->calls < last && worker_more(worker)) {
        struct slot *slot = &estate->slots[rng_below(&worker->rng, estate->count)];
        empty(worker, slot);
        fill(worker, slot);
    }
}

static void larson_work(struct worker *worker)
{
    struct estate estate = {.larson = worker->shared};
    worker->shared = &estate;
    estate.count = worker_slots(worker, LARSON_MEAN);
    estate.slots = work_map(estate.count * sizeof(*estate.slots));

    for (size_t i = 0; i < estate.count; i++) {
        fill(worker, &estate.slots[i]);
    }
    while (worker_more_slowly(worker)) {
        worker_in_thread(worker, one_thread);
    }
    worker_settle(worker, slots_bytes(estate.slots, estate.count));
    for (size_t i = 0; i < estate.count; i++) {
        empty(worker, &estate.slots[i]);
    }
    work_unmap(estate.slots, estate.count * sizeof(*estate.slots));
}

static void larson_run(const struct params *params, struct outcome *outcome)
{
    struct larson larson = {NULL, NULL};

    workers_run(params, larson_work, &larson, outcome);
}

static void sized_run(const struct params *params, struct outcome *outcome)
{
    struct larson larson;
    /* The mangled names of operator new(size_t) and operator delete(void *, size_t). */
    *(void **)&larson.new = dlsym(RTLD_DEFAULT, sizeof(size_t) == sizeof(long) ? "_Znwm" : "_Znwj");
    *(void **)&larson.delete = dlsym(RTLD_DEFAULT, sizeof(size_t) == sizeof(long) ? "_ZdlPvm" : "_ZdlPvj");

    if (larson.new == NULL || larson.delete == NULL) {
        larson = (struct larson){NULL, NULL};
    }
    workers_run(params, larson_work, &larson, outcome);
}

const struct scenario scenario_larson = {
    .name = "larson",
    .summary = "a server: random replacement, threads end and leave their blocks to new ones",
    .source = "after Larson and Krishnan (1998), as in mimalloc-bench",
    .brief = true,
    .defaults = {.threads = 0, .ops = 73000000, .live = 5 << 20, .seed = 1, .size_min = 16, .size_max = 1000},
    .run = larson_run,
};

const struct scenario scenario_larson_sized = {
    .name = "larson-sized",
    .summary = "larson by operator new and sized delete, where the allocator has them",
    .source = "after larsonN-sized of mimalloc-bench (Leijen)",
    .defaults = {.threads = 0, .ops = 80000000, .live = 5 << 20, .seed = 1, .size_min = 16, .size_max = 1000},
    .run = sized_run,
};
