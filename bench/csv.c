/*
 * csv.c: the results as comma-separated values, a line for each row.
 *
 * SPDX-License-Identifier: MIT
 */
#include "compare.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    enum metric metric;
    double unit;
    int digits;
} columns[] = {
    {"wall_s", METRIC_WALL, 1, 6},          {"user_s", METRIC_USER, 1, 6},
    {"sys_s", METRIC_SYS, 1, 6},            {"ns_per_call", METRIC_COST, 1, 3},
    {"peak_kib", METRIC_PEAK, 1024, 0},     {"end_kib", METRIC_END, 1024, 0},
    {"mean_kib", METRIC_MEAN, 1024, 0},     {"minor_faults", METRIC_MINOR, 1, 0},
    {"major_faults", METRIC_MAJOR, 1, 0},
};
enum { COLUMNS = sizeof(columns) / sizeof(columns[0]) };

void csv_begin(void)
{
    fputs("scenario,allocator,status,runs,threads,live_bytes,seed,calls,wall_min_s,wall_max_s", stdout);
    for (size_t i = 0; i < COLUMNS; i++) {
        printf(",%s", columns[i].name);
    }
    fputs(",time_ratio,time_low,time_high,memory_ratio,within_noise,overhead_per_live_byte,marks", stdout);
    for (size_t k = 0; k < LATENCY_KINDS; k++) {
        for (size_t p = 0; p < PERCENTILES; p++) {
            printf(",%s_%s_ns", latency_names[k], percentile_names[p]);
        }
    }
    putchar('\n');
}

static void print_number(double value, int digits)
{
    if (isfinite(value)) {
        printf(",%.*f", digits, value);
    } else {
        putchar(',');
    }
}

static void print_figures(const struct row *row)
{
    const double *wall = row->values[METRIC_WALL];

    print_number(row->ops, 0);
    print_number(wall[0], 6);
    print_number(wall[row->runs - 1], 6);
    for (size_t i = 0; i < COLUMNS; i++) {
        print_number(row_median(row, columns[i].metric) / columns[i].unit, columns[i].digits);
    }
    print_number(row->time.ratio, 4);
    print_number(row->time.low, 4);
    print_number(row->time.high, 4);
    print_number(row->memory, 4);
    printf(",%s", row_unsure(row) ? "yes" : "no");
    print_number(row_overhead(row), 4);
    for (size_t i = 0; i < row->mark_count; i++) {
        const struct mark *mark = &row->marks[i];
        printf("%c%s=%" PRIu64 "/%" PRIu64, i == 0 ? ',' : ';', mark->name, mark->resident, mark->live);
    }
    fputs(row->mark_count == 0 ? "," : "", stdout);
}

/* The name of a program or a trace may have anything in it. */
static void print_name(const char *name)
{
    if (strpbrk(name, "\",\n\r") == NULL) {
        fputs(name, stdout);
        return;
    }
    putchar('"');
    for (; *name != '\0'; name++) {
        if (*name == '"') {
            putchar('"');
        }
        putchar(*name);
    }
    putchar('"');
}

static void print_row(const struct row *row)
{
    const struct params *params = &row->job->params;

    print_name(row->job->name);
    printf(",%s,%s,%u,%" PRIu64 ",%" PRIu64 ",%" PRIu64, row->alloc->name, row->failed ? "failed" : "ok",
           row->runs, params->threads, params->live, params->seed);
    if (!row->failed) {
        print_figures(row);
    }
    for (size_t i = 0; row->failed && i < 3 + COLUMNS + 7; i++) {
        putchar(',');
    }
    for (size_t k = 0; k < LATENCY_KINDS; k++) {
        for (size_t p = 0; p < PERCENTILES; p++) {
            bool any = row->latency != NULL && row->latency[k].calls > 0;
            print_number(any ? row->latency[k].at[p] : NAN, 0);
        }
    }
    putchar('\n');
}

void csv_job(const struct results *results, size_t job)
{
    for (size_t i = 0; i < results->alloc_count; i++) {
        print_row(&results->rows[job * results->alloc_count + i]);
    }
}
