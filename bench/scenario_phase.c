/*
 * scenario_phase.c: a heap of one mix of sizes is built, nine in ten of its
 * blocks are freed at random, and one of another mix is built: what the first
 * left free can be used for the second, or it cannot.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scenarios.h"
#include "work.h"

#include <stdio.h>

enum { PHASES = 4, KEEP_ONE_IN = 10 };

static size_t phase_size(struct rng *rng, unsigned phase)
{
    static const unsigned low_log2[PHASES] = {4, 8, 5, 11};

    return rng_size(rng, low_log2[phase], low_log2[phase] + 3);
}

struct heap {
    struct slot *slots;
    size_t count, used;
    uint64_t held;
};

static void build(struct worker *worker, struct heap *heap, unsigned phase)
{
    while (heap->held < worker->live && heap->used < heap->count) {
        struct slot *slot = &heap->slots[heap->used++];
        slot_fill(worker, slot, phase_size(&worker->rng, phase));
        heap->held += slot->size;
    }
}

static void thin_out(struct worker *worker, struct heap *heap)
{
    size_t kept = 0;

    for (size_t i = 0; i < heap->used; i++) {
        if (rng_below(&worker->rng, KEEP_ONE_IN) == 0) {
            heap->slots[kept++] = heap->slots[i];
        } else {
            heap->held -= heap->slots[i].size;
            slot_empty(worker, &heap->slots[i]);
        }
    }
    heap->used = kept;
}

/* The first phases, one of each mix; not in several threads, which are never at the same point. */
static void note(struct worker *worker, const struct heap *heap, unsigned phase, const char *what)
{
    char name[MARK_NAME_SIZE];

    if (worker->threads == 1 && phase < PHASES) {
        snprintf(name, sizeof(name), "%s %u", what, phase + 1);
        work_mark(name, heap->held);
    }
}

static void phase_work(struct worker *worker)
{
    struct heap heap = {.count = (size_t)(worker->live / 32) + 1};

    heap.slots = work_map(heap.count * sizeof(*heap.slots));
    build(worker, &heap, 0);
    note(worker, &heap, 0, "built");
    for (unsigned phase = 1; worker_more_slowly(worker); phase++) {
        thin_out(worker, &heap);
        note(worker, &heap, phase - 1, "thinned");
        build(worker, &heap, phase % PHASES);
        note(worker, &heap, phase, "built");
    }
    worker_settle_as(worker, heap.held, "last");
    for (size_t i = 0; i < heap.used; i++) {
        slot_empty(worker, &heap.slots[i]);
    }
    work_unmap(heap.slots, heap.count * sizeof(*heap.slots));
}

static void phase_run(const struct params *params, struct outcome *outcome)
{
    workers_run(params, phase_work, NULL, outcome);
}

const struct scenario scenario_phase = {
    .name = "phase",
    .summary = "fragmentation: a heap of one size mix is built, 9/10 freed, one of another mix built, and so on",
    .source = "own; the phases of Wilson et al. (1995)",
    .own_sizes = true,
    .defaults = {.threads = 1, .ops = 18000000, .live = 64 << 20, .seed = 1},
    .run = phase_run,
};
