/*
 * json.c: the results as JSON: the machine, and each row with all its values.
 *
 * SPDX-License-Identifier: MIT
 */
#include "compare.h"
#include "machine.h"

#include <inttypes.h>
#include <math.h>
#include <slaballoc.h>
#include <stdio.h>

static const char *const metric_names[METRIC_COUNT] = {
    [METRIC_WALL] = "wall_s",
    [METRIC_USER] = "user_s",
    [METRIC_SYS] = "sys_s",
    [METRIC_COST] = "ns_per_call",
    [METRIC_PEAK] = "peak_bytes",
    [METRIC_END] = "end_bytes",
    [METRIC_MEAN] = "mean_bytes",
    [METRIC_MINOR] = "minor_faults",
    [METRIC_MAJOR] = "major_faults",
    [METRIC_LIVE] = "live_bytes",
    [METRIC_RSS_LIVE] = "resident_for_live_bytes",
};

/* Bytes above 127 go out as characters of Latin-1: not what UTF-8 means by them, but always valid. */
static void print_string(const char *text)
{
    putchar('"');
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\') {
            printf("\\%c", *c);
        } else if (*c < 32 || *c > 126) {
            printf("\\u%04x", *c);
        } else {
            putchar(*c);
        }
    }
    putchar('"');
}

static void print_number(double value)
{
    if (isfinite(value)) {
        printf("%.9g", value);
    } else {
        fputs("null", stdout);
    }
}

static void print_member(const char *name, double value)
{
    printf(", \"%s\": ", name);
    print_number(value);
}

static void print_machine(const struct results *results)
{
    const struct machine machine = machine_look();
    const struct compare *compare = results->compare;

    fputs("{\n \"tool\": \"" PROGRAM " " SLA_VERSION_STRING "\",\n \"machine\": {\"system\": ", stdout);
    print_string(machine.system);
    fputs(", \"processor\": ", stdout);
    print_string(machine.processor);
    printf(", \"processors\": %ld, \"memory_bytes\": %" PRIu64 ", \"libc\": ", machine.processors, machine.memory);
    print_string(machine.libc);
    printf("},\n \"repeat\": %u,\n \"quick\": %s,\n \"allocators\": [", compare->repeat,
           compare->quick ? "true" : "false");
    for (size_t i = 0; i < results->alloc_count; i++) {
        fputs(i == 0 ? "{\"name\": " : ", {\"name\": ", stdout);
        print_string(compare->allocs.items[i].name);
        fputs(", \"library\": ", stdout);
        if (compare->allocs.items[i].path == NULL) {
            fputs("null", stdout);
        } else {
            print_string(compare->allocs.items[i].path);
        }
        putchar('}');
    }
    fputs("],\n", stdout);
}

static void print_metrics(const struct row *row)
{
    for (size_t m = 0; m < METRIC_COUNT; m++) {
        printf(",\n   \"%s\": {\"median\": ", metric_names[m]);
        print_number(row_median(row, m));
        fputs(", \"sorted\": [", stdout);
        for (unsigned i = 0; i < row->runs; i++) {
            fputs(i == 0 ? "" : ", ", stdout);
            print_number(row->values[m][i]);
        }
        fputs("]}", stdout);
    }
}

static void print_latencies(const struct row *row)
{
    const char *comma = "";

    if (row->latency == NULL) {
        return;
    }
    printf(",\n   \"clock_ns\": %.3g,\n   \"latency_ns\": {", row->clock_nanos);
    for (size_t k = 0; k < LATENCY_KINDS; k++) {
        const struct latency *latency = &row->latency[k];
        if (!(latency->calls > 0)) {
            continue;
        }
        printf("%s\n    \"%s\": {\"calls\": %.0f", comma, latency_names[k], latency->calls);
        for (size_t p = 0; p < PERCENTILES; p++) {
            print_member(percentile_names[p], latency->at[p]);
        }
        putchar('}');
        comma = ",";
    }
    putchar('}');
}

static void print_marks(const struct row *row)
{
    for (size_t i = 0; i < row->mark_count; i++) {
        fputs(i == 0 ? ",\n   \"marks\": [{\"name\": " : ", {\"name\": ", stdout);
        print_string(row->marks[i].name);
        print_member("live_bytes", (double)row->marks[i].live);
        print_member("resident_bytes", (double)row->marks[i].resident);
        fputs(i + 1 < row->mark_count ? "}" : "}]", stdout);
    }
}

static void print_series(const struct series *series)
{
    fputs(",\n   \"rss_over_time\": [", stdout);
    for (size_t i = 0; i < series->count; i++) {
        printf("%s[%.3f, %.0f]", i == 0 ? "" : ", ", (double)series->samples[i].seconds,
               (double)series->samples[i].bytes);
    }
    putchar(']');
}

static void print_row(const struct row *row)
{
    const struct params *params = &row->job->params;

    fputs("  {\"scenario\": ", stdout);
    print_string(row->job->name);
    fputs(", \"allocator\": ", stdout);
    print_string(row->alloc->name);
    printf(", \"threads\": %" PRIu64 ", \"live\": %" PRIu64 ", \"seed\": %" PRIu64 ", \"runs\": %u", params->threads,
           params->live, params->seed, row->runs);
    if (row->failed) {
        fputs(", \"failed\": ", stdout);
        print_string(row->why);
        putchar('}');
        return;
    }
    print_member("calls", row->ops);
    print_member("time_ratio", row->time.ratio);
    print_member("time_low", row->time.low);
    print_member("time_high", row->time.high);
    print_member("memory_ratio", row->memory);
    print_member("overhead_per_live_byte", row_overhead(row));
    printf(", \"within_noise\": %s", row_unsure(row) ? "true" : "false");
    print_metrics(row);
    print_marks(row);
    print_latencies(row);
    print_series(&row->series);
    putchar('}');
}

void json_print(const struct results *results)
{
    size_t count = results->job_count * results->alloc_count;

    print_machine(results);
    fputs(" \"rows\": [\n", stdout);
    for (size_t i = 0; i < count; i++) {
        print_row(&results->rows[i]);
        fputs(i + 1 < count ? ",\n" : "\n", stdout);
    }
    fputs(" ],\n \"means\": [", stdout);
    for (size_t i = 0; i < results->alloc_count; i++) {
        fputs(i == 0 ? "\n  {\"allocator\": " : ",\n  {\"allocator\": ", stdout);
        print_string(results->compare->allocs.items[i].name);
        print_member("time", results->means[i].time);
        print_member("memory", results->means[i].memory);
        printf(", \"scenarios\": %zu}", results->means[i].count);
    }
    fputs("\n ]\n}\n", stdout);
}
