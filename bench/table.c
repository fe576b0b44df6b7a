/*
 * table.c: the results as an aligned table; in colour on a terminal.
 *
 * SPDX-License-Identifier: MIT
 */
#include "compare.h"

#include <math.h>
#include <slaballoc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { NAME_WIDTH = 14, ALLOC_WIDTH = 11, MARKS_A_LINE = 4 };

static bool colour;

/* The marked text takes the same columns, colour or not. */
static void print_marked(bool best, const char *text)
{
    if (best && colour) {
        printf("\033[1;32m%s*\033[0m", text);
    } else {
        printf("%s%c", text, best ? '*' : ' ');
    }
}

static int name_width(const struct results *results)
{
    size_t width = NAME_WIDTH;
    char label[LABEL_MAX];

    for (size_t i = 0; i < results->job_count; i++) {
        size_t length = strlen(job_label(results->compare, &results->jobs[i], label));
        width = length > width ? length : width;
    }
    return (int)(width < 40 ? width : 40);
}

void table_begin(const struct results *results)
{
    unsigned repeat = results->compare->repeat;
    struct utsname host;

    colour = isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL;
    uname(&host);
    printf(PROGRAM " " SLA_VERSION_STRING ": %s %s %s, %ld processors; medians of %u run%s, interleaved\n",
           host.sysname, host.release, host.machine, sysconf(_SC_NPROCESSORS_ONLN), repeat,
           repeat == 1 ? "" : "s");
    if (results->alloc_count > 1) {
        puts("time (with its 95 % interval) and memory are ratios to the best of the scenario, marked *;\n"
             "~ the difference in time is within the noise");
    }
    printf("\n%-*s %4s %-*s %8s %7s %8s %8s %9s %9s %8s %7s %-13s  %7s\n", name_width(results), "scenario",
           "thr", ALLOC_WIDTH, "allocator", "wall s", "spread", "user s", "sys s", "peak MiB", "end MiB",
           "faults", "time", "", "memory");
    fflush(stdout);
}

static void print_ratios(const struct row *row)
{
    char text[40];

    if (isnan(row->time.low)) {
        snprintf(text, sizeof(text), "%13s", "");
    } else {
        snprintf(text, sizeof(text), "(%.2f-%.2f)", row->time.low, row->time.high);
    }
    char ratio[24];
    snprintf(ratio, sizeof(ratio), "%7.3f", row->time.ratio);
    putchar(' ');
    print_marked(row->best_time, ratio);
    printf("%-13s%c", text, row_unsure(row) ? '~' : ' ');
    snprintf(ratio, sizeof(ratio), "%7.3f", row->memory);
    print_marked(row->best_memory, ratio);
}

static void print_row(const struct results *results, const struct row *row, bool name_job)
{
    const struct job *job = row->job;
    char threads[16] = "", label[LABEL_MAX];

    if (job->params.threads != 0) {
        snprintf(threads, sizeof(threads), "%u", (unsigned)job->params.threads);
    }
    printf("%-*s %4s %-*s ", name_width(results), name_job ? job_label(results->compare, job, label) : "",
           threads, ALLOC_WIDTH, row->alloc->name);
    if (row->failed) {
        printf("failed: %s\n", row->why);
        return;
    }
    printf("%8.3f %6.1f%% %8.3f %8.3f %9.1f %9.1f %8.0f", row_median(row, METRIC_WALL), 100 * row_spread(row),
           row_median(row, METRIC_USER), row_median(row, METRIC_SYS), row_median(row, METRIC_PEAK) / (1 << 20),
           row_median(row, METRIC_END) / (1 << 20), row_median(row, METRIC_MINOR) + row_median(row, METRIC_MAJOR));
    if (results->alloc_count > 1) {
        print_ratios(row);
    }
    putchar('\n');
}

static void print_latencies(const struct results *results, size_t job)
{
    const struct row *rows = &results->rows[job * results->alloc_count];

    for (size_t k = 0; k < LATENCY_KINDS; k++) {
        for (size_t i = 0; i < results->alloc_count; i++) {
            const struct latency *latency = rows[i].latency != NULL ? &rows[i].latency[k] : NULL;
            if (latency == NULL || !(latency->calls > 0)) {
                continue;
            }
            printf("  %-*s %-8s %-*s ns", name_width(results) - 2, "", latency_names[k], ALLOC_WIDTH,
                   rows[i].alloc->name);
            for (size_t p = 0; p < PERCENTILES; p++) {
                printf("  %s %.0f", percentile_names[p], latency->at[p]);
            }
            printf("  (%.0f calls; reading the clock %.0f)\n", latency->calls, rows[i].clock_nanos);
        }
    }
}

static void print_scaling(const struct results *results, size_t job)
{
    const struct row *rows = &results->rows[job * results->alloc_count];

    for (size_t i = 0; i < results->alloc_count; i++) {
        if (rows[i].failed) {
            continue;
        }
        printf("  %-*s %-*s %.1f ns a call", name_width(results) + 3, "", ALLOC_WIDTH, rows[i].alloc->name,
               row_median(&rows[i], METRIC_COST));
        double overhead = row_overhead(&rows[i]);
        if (!isnan(overhead)) {
            printf(", %.3f bytes of overhead a live byte (%.1f MiB live)", overhead,
                   row_median(&rows[i], METRIC_LIVE) / (1 << 20));
        }
        putchar('\n');
    }
}

static void print_marks(const struct results *results, size_t job)
{
    const struct row *rows = &results->rows[job * results->alloc_count];

    for (size_t i = 0; i < results->alloc_count; i++) {
        if (rows[i].failed || rows[i].mark_count == 0) {
            continue;
        }
        int indent = printf("  %-*s %-*s MiB resident/live:", name_width(results) + 3, "", ALLOC_WIDTH,
                            rows[i].alloc->name);
        for (size_t m = 0; m < rows[i].mark_count; m++) {
            const struct mark *mark = &rows[i].marks[m];
            double ratio = mark_ratio(mark);
            if (m > 0 && m % MARKS_A_LINE == 0) {
                printf("\n%*s", indent, "");
            }
            printf(" %s %.1f/%.1f", mark->name, (double)mark->resident / (1 << 20), (double)mark->live / (1 << 20));
            if (!isnan(ratio)) {
                printf(" (%.3f)", ratio);
            }
            putchar(m + 1 < rows[i].mark_count ? ',' : '\n');
        }
    }
}

void table_job(const struct results *results, size_t job)
{
    for (size_t i = 0; i < results->alloc_count; i++) {
        print_row(results, &results->rows[job * results->alloc_count + i], i == 0);
    }
    print_marks(results, job);
    print_latencies(results, job);
    if (results->compare->sweep) {
        print_scaling(results, job);
    }
}

/* Over all jobs the ratios to the best; the best mean is marked. */
static void print_means(const struct results *results)
{
    double time = INFINITY, memory = INFINITY;

    for (size_t i = 0; i < results->alloc_count; i++) {
        time = fmin(time, results->means[i].time);
        memory = fmin(memory, results->means[i].memory);
    }
    for (size_t i = 0; i < results->alloc_count; i++) {
        const struct means *means = &results->means[i];
        char text[24];
        if (means->count == 0) {
            continue;
        }
        printf("%-*s %4s %-*s %63s ", name_width(results), i == 0 ? "geom. mean" : "", "", ALLOC_WIDTH,
               results->compare->allocs.items[i].name, "");
        snprintf(text, sizeof(text), "%7.3f", means->time);
        print_marked(means->time <= time, text);
        printf("%14s", "");
        snprintf(text, sizeof(text), "%7.3f", means->memory);
        print_marked(means->memory <= memory, text);
        if (means->count < results->job_count) {
            printf(" (%zu of %zu)", means->count, results->job_count);
        }
        putchar('\n');
    }
}

void table_end(const struct results *results)
{
    size_t pairs = results->job_count * (results->alloc_count - 1);

    if (results->alloc_count < 2) {
        return;
    }
    if (results->job_count > 1) {
        putchar('\n');
        print_means(results);
    }
    if (results->unsure > 0) {
        printf("\n~: in %zu of %zu comparisons the interval contains 1%s: the machine is too noisy, or the\n"
               "   difference too small, for it to mean anything; more runs (--repeat) may tell\n",
               results->unsure, pairs, results->compare->repeat < 2 ? " or there is none, with one run" : "");
    }
}
