/*
 * show.c: slaballoc-bench show: what a trace has in it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bench.h"
#include "trace_file.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BUCKETS = 65, CURVE = 32, BAR = 40 };

struct curve_point {
    uint64_t micros, bytes, objects; /* the highest since the point before */
};

struct summary {
    uint64_t calls[TRACE_CALLS], failed;
    uint64_t made, made_bytes;
    uint64_t sizes[BUCKETS], size_bytes[BUCKETS]; /* by bits of the size */
    uint64_t lives[BUCKETS];                      /* by bits of the calls between */
    uint64_t life_bytes[BUCKETS];                 /* by bits of the bytes asked for between */
    uint64_t taken, taken_elsewhere;
    uint64_t aligned, resized;
    uint64_t stride; /* calls a point */
    size_t points;
    struct curve_point curve[CURVE];
    struct trace_order order; /* its totals */
};

static unsigned bits_of(uint64_t value)
{
    return value == 0 ? 0 : 64 - (unsigned)__builtin_clzll(value);
}

static void add_point(struct summary *summary, const struct trace_order *order)
{
    if ((order->calls - 1) % summary->stride == 0) {
        if (summary->points == CURVE) {
            for (size_t i = 0; i < CURVE / 2; i++) {
                struct curve_point *a = &summary->curve[2 * i], *b = &summary->curve[2 * i + 1];
                b->bytes = a->bytes > b->bytes ? a->bytes : b->bytes;
                b->objects = a->objects > b->objects ? a->objects : b->objects;
                summary->curve[i] = *b;
            }
            summary->points = CURVE / 2;
            summary->stride *= 2;
        }
        if ((order->calls - 1) % summary->stride == 0) {
            summary->curve[summary->points++] = (struct curve_point){0};
        }
    }
    struct curve_point *last = &summary->curve[summary->points - 1];
    last->micros = order->micros;
    last->bytes = order->live_bytes > last->bytes ? order->live_bytes : last->bytes;
    last->objects = order->live > last->objects ? order->live : last->objects;
}

static void add_event(struct summary *summary, const struct trace_event *event)
{
    const struct trace_record *record = &event->record;

    summary->calls[record->kind]++;
    summary->failed += record->failed;
    if (event->made != NULL) {
        summary->made++;
        summary->made_bytes += event->bytes;
        summary->sizes[bits_of(event->bytes)]++;
        summary->size_bytes[bits_of(event->bytes)] += event->bytes;
        summary->aligned += record->align > 16;
    }
    if (event->taken) {
        const struct trace_live *object = &event->object;
        uint64_t between = summary->order.total_bytes - (event->made != NULL ? event->bytes : 0);
        summary->taken++;
        summary->taken_elsewhere += object->thread != event->thread;
        summary->resized += event->made != NULL;
        summary->lives[bits_of(event->call - object->birth_call)]++;
        between -= object->birth_bytes + object->size;
        summary->life_bytes[bits_of(between)]++;
    }
}

static void bar(double share)
{
    static const char full[] = "########################################";
    int length = (int)(share * BAR + 0.5);

    printf("  %.*s\n", length > BAR ? BAR : length, full);
}

static double part(uint64_t some, uint64_t all)
{
    return all == 0 ? 0 : (double)some / (double)all;
}

/* A number of bytes in few characters. */
static const char *bytes_text(uint64_t bytes, char *text, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 10240 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    snprintf(text, size, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return text;
}

static void print_head(const struct summary *summary, const struct trace_file *file)
{
    const struct trace_order *order = &summary->order;
    char text[64];
    time_t started = (time_t)file->head.started;
    struct tm when;

    fputs("program      ", stdout);
    for (uint32_t i = 0; i < file->head.command_length; i++) {
        unsigned char c = (unsigned char)file->head.command[i];
        /* What a terminal would act on is not shown. */
        if (c != '\0') {
            putchar(c < ' ' || c == 127 ? '?' : c);
        } else if (i + 1 < file->head.command_length) {
            putchar(' ');
        }
    }
    if (gmtime_r(&started, &when) != NULL &&
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &when) > 0) {
        printf("\nrecorded     %s, process %u, for %.3f s, %zu thread%s\n", text, file->head.process,
               (double)order->micros / 1e6, file->thread_count, file->thread_count == 1 ? "" : "s");
    }
    printf("calls        %" PRIu64 ", in %zu bytes of trace: %.2f a call\n", order->calls, file->size,
           part(file->size, order->calls));
    printf("objects      %" PRIu64 ", of %s, %" PRIu64 " of them never freed\n", summary->made,
           bytes_text(summary->made_bytes, text, sizeof(text)), (uint64_t)order->live);
    printf("peak         %" PRIu64 " bytes live", order->peak_bytes);
    printf(" (%s) after %" PRIu64 " calls; %" PRIu64 " objects at most\n",
           bytes_text(order->peak_bytes, text, sizeof(text)), order->peak_call, order->peak_live);
    printf("cross-thread %" PRIu64 " of %" PRIu64
           " objects were freed or resized by another thread (%.2f %%)\n",
           summary->taken_elsewhere, summary->taken, 100 * part(summary->taken_elsewhere, summary->taken));
    if (summary->failed > 0) {
        printf("failed       %" PRIu64 " calls gave nothing\n", summary->failed);
    }
    if (order->unknown > 0) {
        printf("unknown      %zu calls were given an object that the trace has not made\n", order->unknown);
    }
    if (order->broken > 0) {
        printf("broken       %zu chunks have a record that makes no sense\n", order->broken);
    }
}

static void print_kinds(const struct summary *summary)
{
    printf("\n%-20s %14s %7s\n", "calls", "", "");
    for (size_t kind = 0; kind < TRACE_CALLS; kind++) {
        if (summary->calls[kind] > 0) {
            double share = part(summary->calls[kind], summary->order.calls);
            printf("%-20s %14" PRIu64 " %6.2f%%", trace_kind_name[kind], summary->calls[kind], 100 * share);
            bar(share);
        }
    }
}

static void print_sizes(const struct summary *summary)
{
    printf("\n%-27s %12s %7s %7s\n", "sizes in bytes", "objects", "", "bytes");
    for (unsigned i = 0; i < BUCKETS; i++) {
        if (summary->sizes[i] == 0) {
            continue;
        }
        double share = part(summary->sizes[i], summary->made);
        uint64_t low = i == 0 ? 0 : (uint64_t)1 << (i - 1), high = i == 0 ? 0 : low - 1 + low;
        printf("%12" PRIu64 " - %-12" PRIu64 " %12" PRIu64 " %6.2f%% %6.2f%%", low, high, summary->sizes[i],
               100 * share, 100 * part(summary->size_bytes[i], summary->made_bytes));
        bar(share);
    }
}

/* In steps of four, since what matters here is the order of magnitude. */
static void print_lives(const struct summary *summary, const char *title, const uint64_t *buckets)
{
    printf("\n%-27s %12s %7s\n", title, "objects", "");
    for (unsigned i = 0; i < BUCKETS; i += 2) {
        uint64_t count = buckets[i] + (i + 1 < BUCKETS ? buckets[i + 1] : 0);
        if (count == 0) {
            continue;
        }
        double share = part(count, summary->made);
        uint64_t low = i == 0 ? 0 : (uint64_t)1 << (i - 1);
        uint64_t high = i + 1 >= 64 ? UINT64_MAX : ((uint64_t)1 << (i + 1)) - 1;
        printf("%12" PRIu64 " - %-12" PRIu64 " %12" PRIu64 " %6.2f%%", low, high, count, 100 * share);
        bar(share);
    }
    double never = part(summary->order.live, summary->made);
    printf("%-27s %12zu %6.2f%%", "       never", summary->order.live, 100 * never);
    bar(never);
}

static void print_curve(const struct summary *summary)
{
    char text[64];

    printf("\n%-12s %10s %12s %12s\n", "live set", "seconds", "bytes", "objects");
    for (size_t i = 0; i < summary->points; i++) {
        const struct curve_point *point = &summary->curve[i];
        uint64_t calls = (i + 1) * summary->stride;
        printf("%12" PRIu64 " %10.3f %12s %12" PRIu64,
               calls < summary->order.calls ? calls : summary->order.calls, (double)point->micros / 1e6,
               bytes_text(point->bytes, text, sizeof(text)), point->objects);
        bar(part(point->bytes, summary->order.peak_bytes));
    }
}

static void summarise(struct summary *summary, const struct trace_file *file)
{
    struct trace_event event;

    summary->stride = 1;
    trace_order_begin(&summary->order, file);
    while (trace_order_next(&summary->order, &event)) {
        add_event(summary, &event);
        add_point(summary, &summary->order);
    }
}

static const char *show_options(int argc, char **argv)
{
    static const struct option long_options[] = {{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
    int option;

    while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
        if (option != 'h') {
            fputs("Try '" PROGRAM " show --help'.\n", stderr); /* getopt_long has said what is wrong */
            exit(EXIT_USAGE);
        }
        fputs("Usage: " PROGRAM " show FILE\n"
              "Say what is in a trace of '" PROGRAM " record': calls, sizes, lifetimes, the live set.\n"
              "\n"
              "Exit status: 0, 1 if FILE is no trace or damaged, 2 usage error.\n",
              stdout);
        exit(fflush(stdout) != 0);
    }
    if (optind + 1 != argc) {
        usage_error(optind == argc ? "show: no trace" : "show: more than one trace");
    }
    return argv[optind];
}

int show_main(int argc, char **argv)
{
    const char *path = show_options(argc, argv);
    struct summary *summary = must_alloc(1, sizeof(*summary));
    struct trace_file file;
    const char *wrong = trace_open(&file, path);

    if (wrong != NULL) {
        fprintf(stderr, PROGRAM ": %s: %s\n", path, wrong);
        free(summary);
        return EXIT_ROW_FAILED;
    }
    bool good = trace_report(&file, path);
    summarise(summary, &file);
    print_head(summary, &file);
    if (summary->order.calls > 0) {
        print_kinds(summary);
        print_sizes(summary);
        print_lives(summary, "lifetimes in calls", summary->lives);
        print_lives(summary, "lifetimes in bytes asked for", summary->life_bytes);
        print_curve(summary);
    }
    trace_order_end(&summary->order);
    trace_close(&file);
    free(summary);
    return good && fflush(stdout) == 0 ? 0 : EXIT_ROW_FAILED;
}
