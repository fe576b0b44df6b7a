/*
 * report.c: the results as a page that opens from disk: tables, and charts
 * where gnuplot could draw them (charts.c).
 *
 * SPDX-License-Identifier: MIT
 */
#include "report.h"
#include "machine.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <slaballoc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<title>" PROGRAM "</title>\n<style>\n"
    "body { font: 15px/1.45 sans-serif; margin: 2em auto; max-width: 1240px; padding: 0 1em; color: #222; }\n"
    "table { border-collapse: collapse; font-size: 13px; }\n"
    "th, td { padding: 2px 9px; text-align: right; border-bottom: 1px solid #ddd; white-space: nowrap; }\n"
    "th { background: #f2f2f2; position: sticky; top: 0; }\n"
    "td.l, th.l { text-align: left; }\n"
    "td.best { font-weight: bold; color: #067a2e; }\n"
    "td.bad { color: #b00020; text-align: left; }\n"
    "tr.first td { border-top: 2px solid #999; }\n"
    "img { max-width: 100%; }\n"
    ".grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(380px, 1fr)); gap: 8px; }\n"
    "</style>\n</head>\n<body>\n";

static void put_text(FILE *file, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '<':
            fputs("&lt;", file);
            break;
        case '>':
            fputs("&gt;", file);
            break;
        case '&':
            fputs("&amp;", file);
            break;
        case '"':
            fputs("&quot;", file);
            break;
        default:
            putc(*text, file);
        }
    }
}

static void put_header(FILE *file, const struct results *results)
{
    struct machine machine = machine_look();

    fputs(head, file);
    fputs("<h1>Comparison of allocators</h1>\n<p>" PROGRAM " " SLA_VERSION_STRING " on ", file);
    put_text(file, machine.system);
    fputs("; ", file);
    put_text(file, machine.processor);
    fprintf(file, ", %ld processors, %" PRIu64 " MiB of memory; ", machine.processors, machine.memory >> 20);
    put_text(file, machine.libc);
    fprintf(file, ".<br>Medians of %u run%s, interleaved%s.</p>\n<ul>\n", results->compare->repeat,
            results->compare->repeat == 1 ? "" : "s",
            results->compare->quick ? "; quick: a tenth of the calls" : "");
    for (size_t i = 0; i < results->alloc_count; i++) {
        const struct alloc *alloc = &results->compare->allocs.items[i];
        fputs("<li><b>", file);
        put_text(file, alloc->name);
        fputs("</b>: ", file);
        put_text(file, alloc->path != NULL ? alloc->path : "the C library's own");
        fputs("</li>\n", file);
    }
    fputs("</ul>\n", file);
}

static void put_means(FILE *file, const struct results *results)
{
    fputs("<h2>Geometric means of the ratios to the best</h2>\n<table>\n<tr><th class=\"l\">allocator</th>"
          "<th>time</th><th>peak memory</th><th>scenarios</th></tr>\n",
          file);
    for (size_t i = 0; i < results->alloc_count; i++) {
        const struct means *means = &results->means[i];
        fputs("<tr><td class=\"l\">", file);
        put_text(file, results->compare->allocs.items[i].name);
        fprintf(file, "</td><td>%.3f</td><td>%.3f</td><td>%zu of %zu</td></tr>\n", means->time, means->memory,
                means->count, results->job_count);
    }
    fputs("</table>\n<p>1 would be an allocator that is the best everywhere. ", file);
    fprintf(file, "%zu comparison%s within the noise, marked ~ below: the 95&nbsp;%% interval of the ratio "
                  "contains 1.</p>\n",
            results->unsure, results->unsure == 1 ? " is" : "s are");
}

static void put_figures(FILE *file, const struct row *row)
{
    static const enum metric seconds[] = {METRIC_WALL, METRIC_USER, METRIC_SYS};
    static const enum metric bytes[] = {METRIC_PEAK, METRIC_END, METRIC_MEAN};

    for (size_t i = 0; i < 3; i++) {
        fprintf(file, "<td>%.3f</td>", row_median(row, seconds[i]));
    }
    fprintf(file, "<td>%.1f %%</td><td>%.1f</td>", 100 * row_spread(row), row_median(row, METRIC_COST));
    for (size_t i = 0; i < 3; i++) {
        fprintf(file, "<td>%.1f</td>", row_median(row, bytes[i]) / (1 << 20));
    }
    fprintf(file, "<td>%.0f</td>", row_median(row, METRIC_MINOR) + row_median(row, METRIC_MAJOR));
    fprintf(file, "<td class=\"%s\">%.3f", row->best_time ? "best" : "", row->time.ratio);
    if (!isnan(row->time.low)) {
        fprintf(file, " (%.2f&ndash;%.2f)", row->time.low, row->time.high);
    }
    fprintf(file, "%s</td><td class=\"%s\">%.3f</td>", row_unsure(row) ? " ~" : "",
            row->best_memory ? "best" : "", row->memory);
    double overhead = row_overhead(row);
    if (isnan(overhead)) {
        fputs("<td></td></tr>\n", file);
    } else {
        fprintf(file, "<td>%.3f</td></tr>\n", overhead);
    }
}

static void put_table(FILE *file, const struct results *results)
{
    fputs("<h2>All figures</h2>\n<table>\n<tr><th class=\"l\">scenario</th><th>threads</th>"
          "<th class=\"l\">allocator</th><th>wall s</th><th>user s</th><th>sys s</th><th>spread</th>"
          "<th>ns a call</th><th>peak MiB</th><th>end MiB</th><th>mean MiB</th><th>faults</th>"
          "<th>time</th><th>memory</th><th>overhead a live byte</th></tr>\n",
          file);
    for (size_t i = 0; i < results->job_count * results->alloc_count; i++) {
        const struct row *row = &results->rows[i];
        bool first = i % results->alloc_count == 0;
        char label[LABEL_MAX];
        fprintf(file, "<tr%s><td class=\"l\">", first ? " class=\"first\"" : "");
        put_text(file, first ? job_label(results->compare, row->job, label) : "");
        fprintf(file, "</td><td>%" PRIu64 "</td><td class=\"l\">", row->job->params.threads);
        put_text(file, row->alloc->name);
        fputs("</td>", file);
        if (row->failed) {
            fputs("<td class=\"bad\" colspan=\"12\">failed: ", file);
            put_text(file, row->why);
            fputs("</td></tr>\n", file);
        } else {
            put_figures(file, row);
        }
    }
    fputs("</table>\n", file);
}

static void put_latencies(FILE *file, const struct results *results)
{
    if (!results->compare->latency) {
        return;
    }
    fputs("<h2>Latencies of single calls, nanoseconds</h2>\n<table>\n<tr><th class=\"l\">scenario</th>"
          "<th class=\"l\">call</th><th class=\"l\">allocator</th><th>calls</th>",
          file);
    for (size_t p = 0; p < PERCENTILES; p++) {
        fprintf(file, "<th>%s</th>", percentile_names[p]);
    }
    fputs("</tr>\n", file);
    for (size_t i = 0; i < results->job_count * results->alloc_count; i++) {
        const struct row *row = &results->rows[i];
        for (size_t k = 0; row->latency != NULL && k < LATENCY_KINDS; k++) {
            const struct latency *latency = &row->latency[k];
            if (!(latency->calls > 0)) {
                continue;
            }
            char label[LABEL_MAX];
            fputs("<tr><td class=\"l\">", file);
            put_text(file, job_label(results->compare, row->job, label));
            fprintf(file, "</td><td class=\"l\">%s</td><td class=\"l\">%s</td><td>%.0f</td>", latency_names[k],
                    row->alloc->name, latency->calls);
            for (size_t p = 0; p < PERCENTILES; p++) {
                fprintf(file, "<td>%.0f</td>", latency->at[p]);
            }
            fputs("</tr>\n", file);
        }
    }
    fputs("</table>\n<p>Each includes the time that reading the clock takes.</p>\n", file);
}

static void put_charts(FILE *file, const struct charts *charts)
{
    const char *title = NULL;

    if (charts->why[0] != '\0') {
        fputs("<p><b>No charts:</b> ", file);
        put_text(file, charts->why);
        fputs(".</p>\n", file);
    }
    for (size_t i = 0; i < charts->count; i++) {
        const struct chart *chart = &charts->items[i];
        if (title == NULL || strcmp(title, chart->group) != 0) {
            fprintf(file, "%s<h2>%s</h2>\n<div%s>\n", title == NULL ? "" : "</div>\n", chart->group,
                    chart->small ? " class=\"grid\"" : "");
            title = chart->group;
        }
        fprintf(file, "<img src=\"%s.svg\" alt=\"", chart->file);
        put_text(file, chart->title);
        fputs("\">\n", file);
    }
    if (title != NULL) {
        fputs("</div>\n", file);
    }
}

bool report_write(const struct results *results)
{
    const char *directory = results->compare->report;
    char path[4096];
    struct charts charts = {0};

    charts_draw(results, &charts);
    if (charts.why[0] != '\0') {
        fprintf(stderr, PROGRAM ": note: the report has no charts: %s\n", charts.why);
    }
    snprintf(path, sizeof(path), "%s/index.html", directory);
    FILE *file = fopen(path, "we");
    bool good = file != NULL;
    if (good) {
        put_header(file, results);
        put_means(file, results);
        put_charts(file, &charts);
        put_table(file, results);
        put_latencies(file, results);
        fputs("</body>\n</html>\n", file);
        good = !ferror(file);
        good = fclose(file) == 0 && good;
    }
    if (!good) {
        fprintf(stderr, PROGRAM ": cannot write '%s': %s\n", path, strerror(errno));
    } else if (results->compare->format == FORMAT_TABLE) {
        printf("\nreport: %s\n", path);
    }
    free(charts.items);
    return good;
}
