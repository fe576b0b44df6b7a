/*
 * job.h: a thing to be measured, and one run of it in a process of its own.
 *
 * A scenario, the replay of a trace and somebody's program differ only in what
 * the process executes; measuring, comparing and printing are one path for all
 * (compare.h).  An internal job is this program started again as
 *
 *     slaballoc-bench --child preload|- latency|- KIND ARGUMENT...
 *
 * and answers through struct result, a file both processes have mapped; KIND
 * names a function in child.c, which gets KIND ARGUMENT... as argc and argv.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_JOB_H
#define BENCH_JOB_H

#include "bench.h"
#include "histogram.h"

enum job_kind { JOB_INTERNAL, JOB_PROGRAM };

struct job {
    const char *name; /* first column of the tables */
    enum job_kind kind;
    const char *const *argv; /* ends in NULL: KIND ARGUMENT... or PROGRAM ARGUMENT... */
    const char *input;       /* standard input of a program; NULL: none */
    const char *output;      /* standard output of a program; NULL: nowhere */
    struct params params;    /* for the tables; threads 0: not known */
    bool fixed_work;         /* every run must make the same calls: one that does not has failed */
};

/* --- what an internal job answers --------------------------------------- */

enum result_state { RESULT_NONE, RESULT_DONE, RESULT_FAILED };

struct result {
    uint32_t state;
    char why[116]; /* RESULT_FAILED */
    struct outcome outcome;
    uint64_t rss_end;                        /* bytes resident when all was done */
    double tick_nanos;                       /* nanoseconds a unit of the histograms */
    double clock_nanos;                      /* what reading the clock adds to each value */
    struct histogram latency[LATENCY_KINDS]; /* only if asked for */
};

/* --- one run ------------------------------------------------------------ */

/* Resident bytes over time, at most SERIES_MAX points: when full, every other one is dropped. */
enum { SERIES_MAX = 256, SAMPLE_MILLIS = 10 };
struct series {
    size_t count;
    unsigned stride, skip; /* one sample in stride is kept */
    struct sample {
        float seconds, bytes;
    } samples[SERIES_MAX];
};

struct run {
    bool ok;
    char why[120]; /* if not ok */
    uint64_t ops, check;
    double wall, user, sys;    /* seconds; wall of the work alone, for a program of all of it */
    double peak, end, mean;    /* resident bytes: highest, last, over time */
    double minor, major;       /* page faults */
    double live, rss_live;     /* bytes asked for and held, and resident for them; 0: not known */
    double tick_nanos, clock_nanos;
    size_t mark_count;
    struct mark marks[MARKS_MAX];
    struct series series;
};

void runner_init(void);

/* latency: NULL, or LATENCY_KINDS histograms that the run's are added to. */
void runner_run(const struct job *job, const struct alloc *alloc, unsigned timeout, struct run *run,
                struct histogram *latency);

#endif
