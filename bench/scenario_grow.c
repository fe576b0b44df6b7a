/*
 * scenario_grow.c: blocks that grow by realloc.  vector: arrays whose capacity
 * doubles; string: texts to which a few bytes are appended at a time, exactly.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scenarios.h"
#include "work.h"

#include <string.h>

struct growing {
    unsigned char *block;
    size_t used, capacity, goal;
};

static void start(struct worker *worker, struct growing *growing, size_t goal, size_t capacity)
{
    *growing = (struct growing){.goal = goal, .capacity = capacity};
    growing->block = worker_malloc(worker, capacity);
    worker->check += goal;
}

static void end(struct worker *worker, struct growing *growing)
{
    if (growing->used > 0 && (growing->block[0] != 1 || growing->block[growing->used - 1] != 1)) {
        work_fail("contents of a block of %zu bytes changed", growing->capacity);
    }
    worker_free(worker, growing->block);
}

static void append(struct worker *worker, struct growing *growing, size_t bytes, bool doubling)
{
    size_t wanted = growing->used + bytes;

    if (wanted > growing->capacity) {
        size_t doubled = 2 * growing->capacity;
        growing->capacity = doubling && doubled > wanted ? doubled : wanted;
        growing->block = worker_realloc(worker, growing->block, growing->capacity);
        worker->check += growing->capacity;
    }
    memset(growing->block + growing->used, 1, bytes);
    growing->used = wanted;
}

static size_t vector_goal(struct rng *rng)
{
    return rng_pareto(rng, 64, 1 << 20);
}

static size_t string_goal(struct rng *rng)
{
    return rng_pareto(rng, 32, 8192);
}

static void grow_work(struct worker *worker)
{
    bool doubling = worker->shared != NULL;
    size_t (*goal)(struct rng *) = doubling ? vector_goal : string_goal;
    size_t count = worker_slots(worker, doubling ? 4096 : 128);
    struct growing *all = work_map(count * sizeof(*all));
    uint64_t held = 0;

    for (size_t i = 0; i < count; i++) {
        start(worker, &all[i], worker_size(worker, goal), 16);
    }
    while (worker_more(worker)) {
        struct growing *growing = &all[rng_below(&worker->rng, count)];
        if (growing->used >= growing->goal) {
            end(worker, growing);
            start(worker, growing, worker_size(worker, goal), 16);
        }
        /* A vector gets an eighth of itself at a time, so that the big ones get done. */
        size_t part = doubling ? 16 + growing->used / 8 : 1 + (size_t)rng_below(&worker->rng, 64);
        append(worker, growing, part, doubling);
    }
    for (size_t i = 0; i < count; i++) {
        held += all[i].capacity;
    }
    worker_settle(worker, held);
    for (size_t i = 0; i < count; i++) {
        end(worker, &all[i]);
    }
    work_unmap(all, count * sizeof(*all));
}

static void vector_run(const struct params *params, struct outcome *outcome)
{
    static char doubling;

    workers_run(params, grow_work, &doubling, outcome);
}

static void string_run(const struct params *params, struct outcome *outcome)
{
    workers_run(params, grow_work, NULL, outcome);
}

const struct scenario scenario_vector = {
    .name = "vector",
    .summary = "arrays that double their capacity by realloc, up to 1 MiB, many at a time",
    .source = "own; what growing containers do",
    .brief = true,
    .defaults = {.threads = 1, .ops = 28000000, .live = 8 << 20, .seed = 1},
    .run = vector_run,
};

const struct scenario scenario_string = {
    .name = "string",
    .summary = "texts that grow by 1-64 bytes at a time, each a realloc to the exact length",
    .source = "own; what naive string building does",
    .defaults = {.threads = 1, .ops = 25000000, .live = 2 << 20, .seed = 1},
    .run = string_run,
};
