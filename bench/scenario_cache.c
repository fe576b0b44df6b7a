/*
 * scenario_cache.c: small blocks of several threads, written again and again:
 * slow if the allocator puts blocks of two threads into one cache line.
 *
 * cache-thrash: from the start (active false sharing).  cache-scratch: the
 * main thread makes neighbouring blocks and gives each thread one to free,
 * whose memory the allocator may then give to that thread (passive).
 *
 * SPDX-License-Identifier: MIT
 */
#include "scenarios.h"
#include "work.h"

enum { WRITES = 1000 };

static void write_often(unsigned char *block, size_t size)
{
    volatile unsigned char *bytes = block;

    for (unsigned i = 0; i < WRITES; i++) {
        for (size_t j = 0; j < size; j++) {
            bytes[j] = (unsigned char)(bytes[j] + 1);
        }
    }
}

static void cache_work(struct worker *worker)
{
    unsigned char **gifts = worker->shared;

    if (gifts != NULL) {
        worker_free(worker, gifts[worker->index]);
    }
    while (worker_more_slowly(worker)) {
        size_t size = worker_size(worker, NULL);
        unsigned char *block = worker_malloc(worker, size);
        for (size_t i = 0; i < size; i++) {
            block[i] = (unsigned char)i;
        }
        write_often(block, size);
        if (block[size - 1] != (unsigned char)(size - 1 + WRITES)) {
            work_fail("contents of a block of %zu bytes changed", size);
        }
        worker->check += size;
        worker_free(worker, block);
    }
}

static void thrash_run(const struct params *params, struct outcome *outcome)
{
    workers_run(params, cache_work, NULL, outcome);
}

static void scratch_run(const struct params *params, struct outcome *outcome)
{
    size_t bytes = params->threads * sizeof(unsigned char *);
    unsigned char **gifts = work_map(bytes);

    for (size_t i = 0; i < params->threads; i++) {
        gifts[i] = work_block(malloc(params->size_min), params->size_min);
        gifts[i][0] = 1;
    }
    workers_run(params, cache_work, gifts, outcome);
    work_unmap(gifts, bytes);
}

const struct scenario scenario_cache_scratch = {
    .name = "cache-scratch",
    .summary = "passive false sharing: blocks freed by other threads than allocated them, much written",
    .source = "after cache-scratch of Hoard (Berger et al. 2000)",
    .defaults = {.threads = 0, .ops = 570000, .seed = 1, .size_min = 16, .size_max = 16},
    .run = scratch_run,
};

const struct scenario scenario_cache_thrash = {
    .name = "cache-thrash",
    .summary = "active false sharing: small blocks of several threads, much written",
    .source = "after cache-thrash of Hoard (Berger et al. 2000)",
    .defaults = {.threads = 0, .ops = 590000, .seed = 1, .size_min = 16, .size_max = 16},
    .run = thrash_run,
};
