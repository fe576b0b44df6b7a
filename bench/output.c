/*
 * output.c: the table and the comma-separated values.
 *
 * Time ratios are of nanoseconds a call, so they also hold with --seconds,
 * where the faster allocator does more work.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bench.h"
#include "stats.h"

#include <inttypes.h>
#include <math.h>
#include <slaballoc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <unistd.h>

/* What is printed of a row that did not fail. */
struct figures {
    double wall, wall_min, wall_max, rate, user, sys, cpu, peak;
    double time_ratio, peak_ratio; /* NaN: none */
    bool differs;                  /* in time, from the first allocator */
};

void output_begin(struct output *out, bool csv, unsigned repeat, size_t scenarios,
                  const struct alloc_list *allocs)
{
    struct utsname host;

    *out = (struct output){.csv = csv, .scenarios = scenarios, .allocs = allocs};
    out->ratios = must_alloc(allocs->count, sizeof(*out->ratios));
    for (size_t i = 0; i < allocs->count; i++) {
        out->ratios[i].time = must_alloc(scenarios, sizeof(double));
        out->ratios[i].peak = must_alloc(scenarios, sizeof(double));
    }
    if (csv) {
        puts("scenario,allocator,status,runs,threads,live_bytes,seed,calls,wall_s,wall_min_s,wall_max_s,"
             "mcalls_per_s,user_s,sys_s,peak_kib,time_ratio,memory_ratio,time_differs");
        return;
    }
    uname(&host);
    printf(PROGRAM " " SLA_VERSION_STRING ": %s %s, %ld processors; medians of %u run%s, interleaved\n",
           host.sysname, host.machine, sysconf(_SC_NPROCESSORS_ONLN), repeat, repeat == 1 ? "" : "s");
    if (allocs->count > 1) {
        printf("time and memory are ratios to %s (below 1 is better); ~ is within the noise\n",
               allocs->items[0].name);
    }
    printf("\n%-10s %3s %-12s %8s %7s %9s %10s %9s %7s  %7s\n", "scenario", "thr", "allocator", "wall s",
           "spread", "Mcalls/s", "user+sys s", "peak MiB", "time", "memory");
    fflush(stdout);
}

static struct figures row_figures(struct row *row, struct row *first)
{
    struct figures f = {.time_ratio = NAN, .peak_ratio = NAN};
    size_t n = row->runs;

    f.wall = stats_median(row->wall, n);
    f.wall_min = row->wall[0];
    f.wall_max = row->wall[n - 1];
    f.user = stats_median(row->user, n);
    f.sys = stats_median(row->sys, n);
    f.cpu = stats_median(row->cpu, n);
    f.peak = stats_median(row->peak, n);
    double cost = stats_median(row->cost, n);
    f.rate = 1e3 / cost;
    if (row != first && !first->failed) {
        f.time_ratio = stats_ratio(cost, stats_median(first->cost, first->runs));
        f.peak_ratio = stats_ratio(f.peak, stats_median(first->peak, first->runs));
        f.differs = stats_differ(row->cost, n, first->cost, first->runs);
    }
    return f;
}

static void print_table_row(const struct row *row, const struct figures *f, bool name_scenario)
{
    const char *scenario = name_scenario ? row->scenario->name : "";
    unsigned threads = (unsigned)row->params.threads;

    if (row->failed) {
        printf("%-10s %3u %-12s failed: %s\n", scenario, threads, row->alloc->name, row->why);
        return;
    }
    printf("%-10s %3u %-12s %8.3f %6.1f%% %9.*f %10.3f %9.1f", scenario, threads, row->alloc->name, f->wall,
           100 * (f->wall_max - f->wall_min) / f->wall, f->rate < 0.1 ? 5 : 2, f->rate, f->cpu,
           f->peak / (1 << 20));
    if (!isnan(f->time_ratio)) {
        printf(" %7.3f%c %7.3f", f->time_ratio, f->differs ? ' ' : '~', f->peak_ratio);
    }
    putchar('\n');
}

static void print_csv_row(const struct row *row, const struct figures *f)
{
    printf("%s,%s,%s,%u,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",", row->scenario->name, row->alloc->name,
           row->failed ? "failed" : "ok", row->runs, row->params.threads, row->params.live, row->params.seed);
    if (row->failed) {
        puts(",,,,,,,,,,");
        return;
    }
    printf("%.0f,%.6f,%.6f,%.6f,%.4f,%.6f,%.6f,%.0f,", row->ops, f->wall, f->wall_min, f->wall_max, f->rate,
           f->user, f->sys, f->peak / 1024);
    if (isnan(f->time_ratio)) {
        puts(",,");
    } else {
        printf("%.4f,%.4f,%s\n", f->time_ratio, f->peak_ratio, f->differs ? "yes" : "no");
    }
}

void output_scenario(struct output *out, struct row *rows)
{
    for (size_t i = 0; i < out->allocs->count; i++) {
        struct figures f = {.time_ratio = NAN, .peak_ratio = NAN};
        if (!rows[i].failed) {
            f = row_figures(&rows[i], &rows[0]);
        }
        if (!isnan(f.time_ratio)) {
            struct ratios *ratios = &out->ratios[i];
            ratios->time[ratios->count] = f.time_ratio;
            ratios->peak[ratios->count++] = f.peak_ratio;
        }
        if (out->csv) {
            print_csv_row(&rows[i], &f);
            if (rows[i].failed) {
                fprintf(stderr, PROGRAM ": %s under %s failed: %s\n", rows[i].scenario->name,
                        rows[i].alloc->name, rows[i].why);
            }
        } else {
            print_table_row(&rows[i], &f, i == 0);
        }
    }
    fflush(stdout);
}

static void print_means(struct output *out)
{
    const char *title = "\ngeom. mean";

    for (size_t i = 0; i < out->allocs->count; i++) {
        struct ratios *ratios = &out->ratios[i];
        if (ratios->count < 2) {
            continue;
        }
        printf("%-10s %3s %-12s %47s %7.3f  %7.3f", title, "", out->allocs->items[i].name, "",
               stats_geomean(ratios->time, ratios->count), stats_geomean(ratios->peak, ratios->count));
        if (ratios->count < out->scenarios) {
            printf("  (%zu of %zu scenarios)", ratios->count, out->scenarios);
        }
        putchar('\n');
        title = "";
    }
}

void output_end(struct output *out)
{
    if (!out->csv) {
        print_means(out);
    }
    for (size_t i = 0; i < out->allocs->count; i++) {
        free(out->ratios[i].time);
        free(out->ratios[i].peak);
    }
    free(out->ratios);
}
