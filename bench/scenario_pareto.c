/*
 * scenario_pareto.c: sizes and lifetimes from Pareto distributions: most
 * blocks are small and most die young, but not the same ones.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scenarios.h"
#include "work.h"

/* Of lifetimes the longest is LONGEST times the shortest; then the mean is 2.957 times the shortest. */
enum { PARETO_MEAN = 133, LONGEST = 16, STEPS_A_DAY = 16 };

static size_t pareto_size(struct rng *rng)
{
    return rng_pareto(rng, 16, 65536);
}

/* A calendar: the blocks that die on each day, in a circle of days. */
struct calendar {
    struct parcel **days;
    size_t count, today;
    uint64_t held;
};

static void end_day(struct worker *worker, struct calendar *calendar)
{
    struct parcel *next;

    for (struct parcel *parcel = calendar->days[calendar->today]; parcel != NULL; parcel = next) {
        next = parcel->next;
        calendar->held -= parcel->size;
        parcel_drop(worker, parcel);
    }
    calendar->days[calendar->today] = NULL;
    calendar->today = (calendar->today + 1) % calendar->count;
}

static void pareto_work(struct worker *worker)
{
    size_t shortest = worker_slots(worker, PARETO_MEAN) * 1000 / 2957 + STEPS_A_DAY;
    struct calendar calendar = {.count = shortest * LONGEST / STEPS_A_DAY + 2};
    size_t bytes = calendar.count * sizeof(*calendar.days);

    calendar.days = work_map(bytes);
    while (worker_more(worker)) {
        for (unsigned step = 0; step < STEPS_A_DAY; step++) {
            struct parcel *parcel = parcel_make(worker, worker_size(worker, pareto_size));
            size_t days = rng_pareto(&worker->rng, shortest, shortest * LONGEST) / STEPS_A_DAY;
            struct parcel **day = &calendar.days[(calendar.today + days) % calendar.count];
            parcel->next = *day;
            *day = parcel;
            calendar.held += parcel->size;
        }
        end_day(worker, &calendar);
    }
    worker_settle(worker, calendar.held);
    for (size_t i = 0; i < calendar.count; i++) {
        end_day(worker, &calendar);
    }
    work_unmap(calendar.days, bytes);
}

static void pareto_run(const struct params *params, struct outcome *outcome)
{
    workers_run(params, pareto_work, NULL, outcome);
}

const struct scenario scenario_pareto = {
    .name = "pareto",
    .summary = "Pareto sizes of 16 B-64 KiB with Pareto lifetimes, not correlated",
    .source = "own; most are small and die young: Zorn and Grunwald (1994), Wilson et al. (1995)",
    .defaults = {.threads = 1, .ops = 11000000, .live = 32 << 20, .seed = 1},
    .run = pareto_run,
};
