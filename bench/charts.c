/*
 * charts.c: draws the report's charts with gnuplot, as SVG.
 *
 * Data files and the script stay in the directory of the report, so that a
 * chart can be redrawn in another way.
 *
 * SPDX-License-Identifier: MIT
 */
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHART_ALLOCS = 32 };

struct drawing {
    const struct results *results;
    struct charts *charts;
    FILE *script;
    bool failed;
};

static const char preamble[] =
    "set encoding utf8\n"
    "set style line 1 lc rgb '#777777'\nset style line 2 lc rgb '#0072b2'\nset style line 3 lc rgb '#d55e00'\n"
    "set style line 4 lc rgb '#009e73'\nset style line 5 lc rgb '#cc79a7'\nset style line 6 lc rgb '#e69f00'\n"
    "set style line 7 lc rgb '#56b4e9'\nset style line 8 lc rgb '#000000'\n"
    "set grid ytics lc rgb '#dddddd'\nset border 3\nset tics nomirror\nset datafile missing '?'\n";

static FILE *open_in(struct drawing *drawing, const char *name, const char *suffix)
{
    char path[4200];

    snprintf(path, sizeof(path), "%s/%s.%s", drawing->results->compare->report, name, suffix);
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        drawing->failed = true;
        snprintf(drawing->charts->why, sizeof(drawing->charts->why), "%.80s.%s: %s", name, suffix, strerror(errno));
    }
    return file;
}

static void close_data(struct drawing *drawing, FILE *file)
{
    bool bad = ferror(file) != 0;

    if (fclose(file) != 0 || bad) {
        drawing->failed = true;
        snprintf(drawing->charts->why, sizeof(drawing->charts->why), "cannot write the data of a chart");
    }
}

/* Begins a chart in the script; its name is the file's, without suffix. */
static const char *chart_begin(struct drawing *drawing, const char *kind, size_t number, const char *group,
                               bool small, const char *format, ...) __attribute__((format(printf, 6, 7)));

static const char *chart_begin(struct drawing *drawing, const char *kind, size_t number, const char *group,
                               bool small, const char *format, ...)
{
    struct charts *charts = drawing->charts;
    struct chart *chart = &charts->items[charts->count++];
    va_list args;

    snprintf(chart->file, sizeof(chart->file), "%s-%zu", kind, number);
    chart->group = group;
    chart->small = small;
    va_start(args, format);
    vsnprintf(chart->title, sizeof(chart->title), format, args);
    va_end(args);
    /* A program's name may contain what ends gnuplot's string. */
    for (char *c = chart->title; *c != '\0'; c++) {
        *c = strchr("'\"\\`\n", *c) != NULL ? ' ' : *c;
    }
    fprintf(drawing->script,
            "reset\nload 'style.gp'\nset terminal svg size %s font 'sans-serif,%d' background rgb 'white'\n"
            "set output '%s.svg'\nset title '%s' noenhanced\n",
            small ? "400,310" : "1200,420", small ? 11 : 13, chart->file, chart->title);
    return chart->file;
}

/* The curves of all allocators, from the blocks of a data file that have any points. */
static void plot_blocks(struct drawing *drawing, const char *name, const bool *any, const char *style)
{
    const char *comma = "plot ";

    for (size_t i = 0, block = 0; i < drawing->results->alloc_count; i++) {
        if (any[i]) {
            fprintf(drawing->script, "%s'%s.dat' index %zu using 1:2 with %s ls %zu lw 2 title '%s' noenhanced", comma,
                    name, block++, style, i % 8 + 1, drawing->results->compare->allocs.items[i].name);
            comma = ", ";
        }
    }
    fputs("\n", drawing->script);
}

static bool any_true(const bool *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (values[i]) {
            return true;
        }
    }
    return false;
}

/* --- bars of ratios ----------------------------------------------------- */

static void draw_bars(struct drawing *drawing, bool memory)
{
    const struct results *results = drawing->results;
    const char *name = chart_begin(drawing, memory ? "memory" : "time", 0,
                                   memory ? "Peak memory relative to the best" : "Time relative to the best", false,
                                   "%s, relative to the best (lower is better, logarithmic)",
                                   memory ? "peak resident memory" : "time a call");
    FILE *data = open_in(drawing, name, "dat");

    if (data == NULL) {
        return;
    }
    for (size_t j = 0; j < results->job_count; j++) {
        fprintf(data, "\"%.40s\"", results->jobs[j].name);
        for (size_t i = 0; i < results->alloc_count; i++) {
            const struct row *row = &results->rows[j * results->alloc_count + i];
            if (row->failed) {
                fputs(" ?", data);
            } else {
                fprintf(data, " %.4f", memory ? row->memory : row->time.ratio);
            }
        }
        putc('\n', data);
    }
    close_data(drawing, data);
    fputs("set style data histogram\nset style histogram clustered gap 1.5\nset style fill solid 0.9\n"
          "set logscale y 2\nset yrange [0.9:*]\nset xtics rotate by -40 noenhanced\nset key outside top right\n",
          drawing->script);
    for (size_t i = 0; i < results->alloc_count; i++) {
        fprintf(drawing->script, "%s'%s.dat' using %zu:xtic(1) ls %zu title '%s' noenhanced",
                i == 0 ? "plot " : ", ", name, i + 2, i % 8 + 1, results->compare->allocs.items[i].name);
    }
    fputs("\n", drawing->script);
}

/* --- resident memory over time ------------------------------------------ */

static void draw_series(struct drawing *drawing, size_t job)
{
    const struct results *results = drawing->results;
    bool any[CHART_ALLOCS] = {false};
    const char *name = chart_begin(drawing, "rss", job, "Resident memory over time", true, "%s: resident MiB, seconds",
                                   results->jobs[job].name);
    FILE *data = open_in(drawing, name, "dat");

    if (data == NULL) {
        return;
    }
    for (size_t i = 0; i < results->alloc_count; i++) {
        const struct row *row = &results->rows[job * results->alloc_count + i];
        for (size_t s = 0; !row->failed && s < row->series.count; s++) {
            fprintf(data, "%.3f %.3f\n", (double)row->series.samples[s].seconds,
                    (double)row->series.samples[s].bytes / (1 << 20));
            any[i] = true;
        }
        fputs(any[i] ? "\n\n" : "", data);
    }
    close_data(drawing, data);
    if (!any_true(any, results->alloc_count)) {
        fputs("set label 1 'too short to be sampled' at graph 0.5,0.5 center\nplot [0:1][0:1] NaN notitle\n",
              drawing->script);
        return;
    }
    fputs("set yrange [0:*]\nset key below\n", drawing->script);
    plot_blocks(drawing, name, any, "lines");
}

/* --- latencies ---------------------------------------------------------- */

static void draw_latency(struct drawing *drawing, size_t job, size_t kind)
{
    const struct results *results = drawing->results;
    const struct row *rows = &results->rows[job * results->alloc_count];
    bool any[CHART_ALLOCS] = {false};

    for (size_t i = 0; i < results->alloc_count; i++) {
        any[i] = rows[i].latency != NULL && rows[i].latency[kind].calls > 0;
    }
    if (!any_true(any, results->alloc_count)) {
        return;
    }
    const char *name = chart_begin(drawing, "latency", job * LATENCY_KINDS + kind, "Latency of single calls", true,
                                   "%s: %s, ns by percentile", results->jobs[job].name, latency_names[kind]);
    FILE *data = open_in(drawing, name, "dat");
    if (data == NULL) {
        return;
    }
    for (size_t i = 0; i < results->alloc_count; i++) {
        for (size_t p = 0; any[i] && p < CURVE_POINTS; p++) {
            double tail = 1 / (1 - latency_share(p));
            if (tail <= rows[i].latency[kind].calls) {
                fprintf(data, "%.6g %.3f\n", tail, rows[i].latency[kind].curve[p]);
            }
        }
        fputs(any[i] ? "\n\n" : "", data);
    }
    close_data(drawing, data);
    fputs("set logscale xy\nset key below\nset format y '10^{%L}'\n"
          "set xtics ('0' 1, '90' 10, '99' 100, '99.9' 1e3, '99.99' 1e4, '99.999' 1e5, '99.9999' 1e6)\n",
          drawing->script);
    plot_blocks(drawing, name, any, "lines");
}

/* --- scaling ------------------------------------------------------------ */

static bool same_scenario(const struct results *results, size_t a, size_t b)
{
    return strcmp(results->jobs[a].name, results->jobs[b].name) == 0;
}

static double scaling_value(const struct row *row, bool overhead)
{
    return overhead ? row_overhead(row) : row_median(row, METRIC_COST);
}

/* Of the jobs from first on that are of one scenario. */
static void draw_scaling(struct drawing *drawing, size_t first, bool overhead)
{
    const struct results *results = drawing->results;
    bool by_live = results->compare->sweep_live;
    bool any[CHART_ALLOCS] = {false};
    const char *name = chart_begin(drawing, overhead ? "overhead" : "scaling", first, "Scaling", true,
                                   "%s: %s by %s", results->jobs[first].name,
                                   overhead ? "overhead a live byte" : "ns a call", by_live ? "MiB live" : "threads");
    FILE *data = open_in(drawing, name, "dat");

    if (data == NULL) {
        return;
    }
    for (size_t i = 0; i < results->alloc_count; i++) {
        for (size_t j = first; j < results->job_count && same_scenario(results, first, j); j++) {
            const struct row *row = &results->rows[j * results->alloc_count + i];
            const struct params *params = &results->jobs[j].params;
            double x = by_live ? (double)params->live / (1 << 20) : (double)params->threads;
            if (!row->failed && isfinite(scaling_value(row, overhead))) {
                fprintf(data, "%.6g %.6g\n", x, scaling_value(row, overhead));
                any[i] = true;
            }
        }
        fputs(any[i] ? "\n\n" : "", data);
    }
    close_data(drawing, data);
    if (!any_true(any, results->alloc_count)) {
        drawing->charts->count--; /* never plotted: its output stays unset */
        return;
    }
    fputs("set logscale x 2\nset yrange [0:*]\nset key below\n", drawing->script);
    plot_blocks(drawing, name, any, "linespoints");
}

/* --- all ---------------------------------------------------------------- */

static bool gnuplot_found(void)
{
    const char *path = getenv("PATH");
    char name[4200];

    while (path != NULL && *path != '\0') {
        size_t length = strcspn(path, ":");
        snprintf(name, sizeof(name), "%.*s/gnuplot", (int)(length < 4096 ? length : 4096), path);
        if (access(name, X_OK) == 0) {
            return true;
        }
        path += length + (path[length] == ':');
    }
    return false;
}

static bool gnuplot_run(const char *directory)
{
    static char name[] = "gnuplot", script[] = "charts.gp";
    char *argv[] = {name, script, NULL};
    int status;
    pid_t child = fork();

    if (child == 0) {
        int log = chdir(directory) == 0 ? open("gnuplot.log", O_WRONLY | O_CREAT | O_TRUNC, 0666) : -1;
        if (log >= 0 && dup2(log, STDOUT_FILENO) >= 0 && dup2(log, STDERR_FILENO) >= 0) {
            execvp(name, argv);
        }
        _exit(127);
    }
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void draw_all(struct drawing *drawing)
{
    const struct results *results = drawing->results;

    if (results->compare->sweep) {
        for (size_t j = 0; j < results->job_count; j++) {
            if (j == 0 || !same_scenario(results, j, j - 1)) {
                draw_scaling(drawing, j, false);
                draw_scaling(drawing, j, true);
            }
        }
    } else {
        draw_bars(drawing, false);
        draw_bars(drawing, true);
    }
    for (size_t j = 0; j < results->job_count && !results->compare->sweep; j++) {
        draw_series(drawing, j);
    }
    for (size_t j = 0; j < results->job_count && results->compare->latency; j++) {
        for (size_t k = 0; k < LATENCY_KINDS; k++) {
            draw_latency(drawing, j, k);
        }
    }
}

void charts_draw(const struct results *results, struct charts *charts)
{
    struct drawing drawing = {.results = results, .charts = charts};

    if (!gnuplot_found()) {
        snprintf(charts->why, sizeof(charts->why), "gnuplot is not installed");
        return;
    }
    if (results->alloc_count > CHART_ALLOCS) {
        snprintf(charts->why, sizeof(charts->why), "more than %d allocators", CHART_ALLOCS);
        return;
    }
    charts->items = must_alloc(2 + results->job_count * (3 + LATENCY_KINDS), sizeof(*charts->items));
    FILE *style = open_in(&drawing, "style", "gp");
    if (style != NULL) {
        fputs(preamble, style);
        close_data(&drawing, style);
    }
    drawing.script = open_in(&drawing, "charts", "gp");
    if (drawing.script != NULL) {
        draw_all(&drawing);
        close_data(&drawing, drawing.script);
    }
    if (!drawing.failed && !gnuplot_run(results->compare->report)) {
        drawing.failed = true;
        snprintf(charts->why, sizeof(charts->why), "gnuplot failed, see gnuplot.log");
    }
    if (drawing.failed) {
        charts->count = 0;
    }
}
