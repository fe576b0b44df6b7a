/*
 * compare.h: measures jobs under several allocators and says what came out.
 *
 * A command that measures (main.c, program.c, replay.c) pastes the options
 * below into its getopt_long table, hands those that are not its own to
 * compare_option, makes its jobs, and ends with compare_run.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_COMPARE_H
#define BENCH_COMPARE_H

#include "job.h"

#include <getopt.h>

enum { DEFAULT_REPEAT = 5, QUICK_REPEAT = 3, REPEAT_MAX = 1000, DEFAULT_TIMEOUT = 60, TIMEOUT_MAX = 86400 };

enum output_format { FORMAT_TABLE, FORMAT_CSV, FORMAT_JSON };

struct compare {
    unsigned repeat, timeout; /* 0: default */
    bool peers, self, system, quick, latency;
    bool sweep, sweep_live; /* jobs differ by threads, or by live: the outputs say cost and overhead of each */
    enum output_format format;
    const char *report;  /* directory for the HTML report, or NULL */
    const char *library; /* the slaballoc to measure, or NULL */
    struct alloc_list named;
    struct alloc_list allocs; /* by compare_run: all that are compared */
};

enum {
    COMPARE_OPT_TIMEOUT = 512,
    COMPARE_OPT_COMPARE,
    COMPARE_OPT_SELF,
    COMPARE_OPT_SYSTEM,
    COMPARE_OPT_ALLOC,
    COMPARE_OPT_LIBRARY,
    COMPARE_OPT_QUICK,
    COMPARE_OPT_LATENCY,
    COMPARE_OPT_CSV,
    COMPARE_OPT_JSON,
    COMPARE_OPT_REPORT
};

/* Quick and latency are of the commands that can do them. */
#define COMPARE_SHORT_OPTIONS "r:"
#define COMPARE_LONG_OPTIONS                                                                                 \
    {"repeat", required_argument, NULL, 'r'}, {"timeout", required_argument, NULL, COMPARE_OPT_TIMEOUT},     \
        {"compare", no_argument, NULL, COMPARE_OPT_COMPARE}, {"self", no_argument, NULL, COMPARE_OPT_SELF},  \
        {"system", no_argument, NULL, COMPARE_OPT_SYSTEM},                                                   \
        {"alloc", required_argument, NULL, COMPARE_OPT_ALLOC},                                               \
        {"library", required_argument, NULL, COMPARE_OPT_LIBRARY},                                           \
        {"csv", no_argument, NULL, COMPARE_OPT_CSV}, {"json", no_argument, NULL, COMPARE_OPT_JSON},          \
        {"report", required_argument, NULL, COMPARE_OPT_REPORT}
#define COMPARE_LATENCY_OPTION {"latency", no_argument, NULL, COMPARE_OPT_LATENCY}
#define COMPARE_QUICK_OPTION {"quick", no_argument, NULL, COMPARE_OPT_QUICK}

/* The lines of --help about COMPARE_LONG_OPTIONS. */
extern const char compare_help[];

/* false: not one of ours.  Bad values end the program. */
bool compare_option(struct compare *compare, int option, const char *value);

/* Measures and prints; the result is the exit status of the program.  Frees the lists of allocators. */
int compare_run(struct compare *compare, const struct job *jobs, size_t count);

/* --- what the outputs print --------------------------------------------- */

enum metric {
    METRIC_WALL,
    METRIC_USER,
    METRIC_SYS,
    METRIC_COST, /* nanoseconds a call; of a job without calls, of it as a whole */
    METRIC_PEAK,
    METRIC_END,
    METRIC_MEAN,
    METRIC_MINOR,
    METRIC_MAJOR,
    METRIC_LIVE,
    METRIC_RSS_LIVE,
    METRIC_COUNT
};

enum { PERCENTILES = 5, CURVE_POINTS = 56 };
extern const double percentiles[PERCENTILES]; /* 0.5 .. 1 */
extern const char *const percentile_names[PERCENTILES];

/* In nanoseconds; calls 0: no such call was made. */
struct latency {
    double calls;
    double at[PERCENTILES];
    double curve[CURVE_POINTS]; /* at the shares latency_share says */
};

/* 1 - 10^-(i/8): 0, 0.25 ... 0.9999999 */
double latency_share(size_t i);

struct interval {
    double ratio, low, high; /* NaN: none */
};

/* All runs of one job under one allocator. */
struct row {
    const struct job *job;
    const struct alloc *alloc;
    unsigned runs; /* good ones */
    bool failed;
    char why[120];
    uint64_t check;
    double ops;
    double *values[METRIC_COUNT]; /* a value for each run; sorted once all are there */
    struct series series;         /* of the last good run */
    struct latency *latency;      /* LATENCY_KINDS of them, or NULL */
    double clock_nanos;
    size_t mark_count;
    struct mark *marks; /* MARKS_MAX for each run; marks_settle puts the medians into the first */

    /* To the job's best; NaN: failed. */
    struct interval time;
    double memory;
    bool best_time, best_memory;
};

/* The job's name, and what distinguishes it in a sweep over live sets. */
enum { LABEL_MAX = 80 };
const char *job_label(const struct compare *compare, const struct job *job, char label[LABEL_MAX]);

static inline bool row_unsure(const struct row *row)
{
    return !row->best_time && !(row->time.low > 1);
}

double row_median(const struct row *row, enum metric metric);
double row_spread(const struct row *row); /* highest minus lowest wall time over the median */
double row_overhead(const struct row *row); /* resident bytes beyond what is live, a live byte; NaN: not known */

/* marks.c: the moments that scenarios note. */
void marks_add(struct row *row, const struct run *run);
void marks_settle(struct row *row);
double mark_ratio(const struct mark *mark); /* resident to live; NaN: one is not known */

struct means {
    double time, memory; /* geometric means of the ratios to the best; NaN: none */
    size_t count;        /* jobs they are over */
};

struct results {
    const struct compare *compare;
    const struct job *jobs;
    size_t job_count, alloc_count;
    struct row *rows;    /* job_count times alloc_count */
    struct means *means; /* per allocator */
    size_t unsure;       /* rows whose interval contains 1 */
};

void table_begin(const struct results *results);
void table_job(const struct results *results, size_t job);
void table_end(const struct results *results);
void csv_begin(void);
void csv_job(const struct results *results, size_t job);
void json_print(const struct results *results);

/* Writes the HTML report; false, with a message, if it could not. */
bool report_write(const struct results *results);

#endif
