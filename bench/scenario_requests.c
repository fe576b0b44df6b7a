/*
 * scenario_requests.c: each request has a heap of its own, in which it makes
 * its blocks and which is thrown away at its end.
 *
 * Compares interfaces: where the allocator has no such heaps, each block is
 * freed by itself.  A block that goes with its heap counts as a call all the
 * same, so that the calls are as many everywhere.
 *
 * SPDX-License-Identifier: MIT
 */
#include "heaps.h"
#include "scenarios.h"
#include "work.h"

#include <stdio.h>

enum { MOST = 200, LEAST = 50, FREE_ONE_IN = 4 };

struct request {
    const struct heap_way *way; /* NULL: malloc */
    void *heap;
    size_t count; /* of slots in use */
    struct slot slots[MOST];
};

static size_t requests_size(struct rng *rng)
{
    return rng_pareto(rng, 16, 4096);
}

static void fill(struct worker *worker, struct request *request, struct slot *slot)
{
    size_t size = worker_size(worker, requests_size);

    if (request->way == NULL) {
        slot_fill(worker, slot, size);
        return;
    }
    uint64_t since = worker_since(worker);
    slot->block = work_block(request->way->alloc(request->heap, size), size);
    worker_spent(worker, LATENCY_MALLOC, since);
    slot->size = size;
    block_touch(slot->block, size, (unsigned char)size);
    worker->check += size;
    worker->calls++;
}

static void empty(struct worker *worker, struct request *request, struct slot *slot)
{
    if (slot->block == NULL) {
        return;
    }
    if (request->way == NULL) {
        slot_empty(worker, slot);
        return;
    }
    block_check(slot->block, slot->size, (unsigned char)slot->size);
    uint64_t since = worker_since(worker);
    request->way->free(request->heap, slot->block);
    worker_spent(worker, LATENCY_FREE, since);
    slot->block = NULL;
    worker->calls++;
}

static void request_begin(struct worker *worker, struct request *request)
{
    request->count = LEAST + (size_t)rng_below(&worker->rng, MOST - LEAST + 1);
    if (request->way != NULL) {
        request->heap = work_block(request->way->make(), 0);
    }
    for (size_t i = 0; i < request->count; i++) {
        fill(worker, request, &request->slots[i]);
        if (rng_below(&worker->rng, FREE_ONE_IN) == 0) {
            empty(worker, request, &request->slots[rng_below(&worker->rng, i + 1)]);
        }
    }
}

static void request_end(struct worker *worker, struct request *request)
{
    for (size_t i = 0; i < request->count; i++) {
        struct slot *slot = &request->slots[i];
        if (request->way == NULL) {
            empty(worker, request, slot);
        } else if (slot->block != NULL) {
            block_check(slot->block, slot->size, (unsigned char)slot->size);
            slot->block = NULL;
            worker->calls++;
        }
    }
    if (request->way != NULL) {
        uint64_t since = worker_since(worker);
        request->way->end(request->heap);
        worker_spent(worker, LATENCY_FREE, since);
    }
}

static void requests_work(struct worker *worker)
{
    struct request *request = work_map(sizeof(*request));
    char name[MARK_NAME_SIZE];

    request->way = worker->shared;
    do {
        request_begin(worker, request);
        request_end(worker, request);
    } while (worker_more_slowly(worker));
    request_begin(worker, request);
    snprintf(name, sizeof(name), "by %s", request->way != NULL ? request->way->name : "malloc");
    worker_settle_as(worker, slots_bytes(request->slots, request->count), name);
    request_end(worker, request);
    work_unmap(request, sizeof(*request));
}

static void requests_run(const struct params *params, struct outcome *outcome)
{
    const struct heap_way *way = params->plain == 0 ? heap_way() : NULL;

    workers_run(params, requests_work, (void *)(uintptr_t)way, outcome);
}

const struct scenario scenario_requests_heap = {
    .name = "requests-heap",
    .summary = "requests of 50-200 blocks, each in a heap of its own if the allocator has such (--plain: never)",
    .source = "own; pools of web servers, mi_heap_destroy of mimalloc, Berger et al. (2002) on regions",
    .interface = true,
    .defaults = {.threads = 0, .ops = 100000000, .seed = 1},
    .run = requests_run,
};
