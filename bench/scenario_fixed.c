/*
 * scenario_fixed.c: blocks of one size, made all and freed all, in the order
 * they were made, in the reverse, or with strides; alone or in each thread.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scenarios.h"
#include "work.h"

enum { ORDERS = 3, STRIDE = 7 };

static void free_all(struct worker *worker, struct slot *slots, size_t count, unsigned order)
{
    for (size_t i = 0; order == 0 && i < count; i++) {
        slot_empty(worker, &slots[i]);
    }
    for (size_t i = count; order == 1 && i > 0; i--) {
        slot_empty(worker, &slots[i - 1]);
    }
    for (size_t first = 0; order == 2 && first < STRIDE; first++) {
        for (size_t i = first; i < count; i += STRIDE) {
            slot_empty(worker, &slots[i]);
        }
    }
}

static void fixed_work(struct worker *worker)
{
    size_t count = worker_slots(worker, 1);
    struct slot *slots = work_map(count * sizeof(*slots));

    for (unsigned turn = 0; worker_more_slowly(worker); turn++) {
        for (size_t i = 0; i < count; i++) {
            slot_fill(worker, &slots[i], worker_size(worker, NULL));
        }
        free_all(worker, slots, count, turn % ORDERS);
    }
    work_unmap(slots, count * sizeof(*slots));
}

static void fixed_run(const struct params *params, struct outcome *outcome)
{
    workers_run(params, fixed_work, NULL, outcome);
}

const struct scenario scenario_fixed = {
    .name = "fixed",
    .summary = "one thread, one size: all made, then all freed in order, reverse or strides",
    .source = "own, after malloc-simple of glibc's benchtests",
    .one_thread = true,
    .defaults = {.threads = 1, .ops = 150000000, .live = 128 << 10, .seed = 1, .size_min = 64, .size_max = 64},
    .run = fixed_run,
};

const struct scenario scenario_fixed_mt = {
    .name = "fixed-mt",
    .summary = "the same in each thread: nothing is shared, so it should scale",
    .source = "own, after malloc-thread of glibc's benchtests and threadtest of Hoard (Berger et al. 2000)",
    .defaults = {.threads = 0, .ops = 350000000, .live = 256 << 10, .seed = 1, .size_min = 64, .size_max = 64},
    .run = fixed_run,
};
