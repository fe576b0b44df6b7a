/*
 * compare.c: options, order of the runs, and what is made of their figures.
 *
 * SPDX-License-Identifier: MIT
 */
#include "compare.h"
#include "progress.h"
#include "stats.h"

#include <math.h>
#include <slaballoc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char compare_help[] =
    "What is compared (default: the system's malloc and slaballoc)\n"
    "      --compare          and every other allocator that is installed: mimalloc, jemalloc,\n"
    "                         tcmalloc, tbbmalloc\n"
    "      --self             slaballoc\n"
    "      --system           the system's malloc\n"
    "      --alloc=NAME=FILE  also the allocator in this shared library\n"
    "      --library=FILE     the slaballoc to use (default: $SLABALLOC_LIBRARY, or\n"
    "                         " SLA_DROPIN_PATH ")\n"
    "  -r, --repeat=N         runs of each under each allocator (default 5)\n"
    "      --timeout=S        seconds after which a run is killed (default 60, more with --seconds)\n"
    "\n"
    "Output\n"
    "      --csv              comma-separated values\n"
    "      --json             everything, as JSON\n"
    "      --report=DIR       also an HTML page with charts (made with gnuplot) in this directory\n";

const double percentiles[PERCENTILES] = {0.5, 0.99, 0.999, 0.9999, 1};
const char *const percentile_names[PERCENTILES] = {"p50", "p99", "p99.9", "p99.99", "max"};

double latency_share(size_t i)
{
    return 1 - pow(10, -(double)i / 8);
}

static unsigned parse_number(const char *option, const char *text, uint64_t max)
{
    const struct param_info info = {option, 0, UNIT_COUNT, 1, max};
    uint64_t value;

    if (!param_parse(&info, text, &value)) {
        usage_error("bad value '%s' of --%s (1 to %llu)", text, option, (unsigned long long)max);
    }
    return (unsigned)value;
}

/* A format that was chosen before is overruled, as is usual. */
static bool output_option(struct compare *compare, int option, const char *value)
{
    switch (option) {
    case COMPARE_OPT_CSV:
        compare->format = FORMAT_CSV;
        return true;
    case COMPARE_OPT_JSON:
        compare->format = FORMAT_JSON;
        return true;
    case COMPARE_OPT_REPORT:
        if (*value == '\0') {
            usage_error("--report needs the name of a directory");
        }
        compare->report = value;
        return true;
    default:
        return false;
    }
}

bool compare_option(struct compare *compare, int option, const char *value)
{
    switch (option) {
    case 'r':
        compare->repeat = parse_number("repeat", value, REPEAT_MAX);
        return true;
    case COMPARE_OPT_TIMEOUT:
        compare->timeout = parse_number("timeout", value, TIMEOUT_MAX);
        return true;
    case COMPARE_OPT_COMPARE:
        compare->peers = true;
        return true;
    case COMPARE_OPT_SELF:
        compare->self = true;
        return true;
    case COMPARE_OPT_SYSTEM:
        compare->system = true;
        return true;
    case COMPARE_OPT_ALLOC:
        alloc_add_spec(&compare->named, value);
        return true;
    case COMPARE_OPT_LIBRARY:
        compare->library = value;
        return true;
    case COMPARE_OPT_QUICK:
        compare->quick = true;
        return true;
    case COMPARE_OPT_LATENCY:
        compare->latency = true;
        return true;
    default:
        return output_option(compare, option, value);
    }
}

static void choose_allocs(struct compare *compare)
{
    struct alloc_list *list = &compare->allocs;

    if (compare->system || !compare->self) {
        alloc_add(list, "system", NULL);
    }
    if (compare->self || !compare->system) {
        alloc_add(list, "slaballoc", alloc_dropin(compare->library));
    }
    for (size_t i = 0; i < compare->named.count; i++) {
        alloc_add(list, compare->named.items[i].name, compare->named.items[i].path);
    }
    if (compare->peers) {
        alloc_add_installed(list);
    }
}

/* --- rows --------------------------------------------------------------- */

static void row_init(struct row *row, const struct job *job, const struct alloc *alloc, unsigned repeat)
{
    double *values = must_alloc(METRIC_COUNT * (size_t)repeat, sizeof(double));

    *row = (struct row){.job = job, .alloc = alloc};
    row->marks = must_alloc(repeat, MARKS_MAX * sizeof(*row->marks));
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        row->values[i] = values + i * repeat;
    }
}

static void row_clear(struct row *row)
{
    free(row->values[0]);
    free(row->marks);
    free(row->latency);
}

/* expected: the first good run of the job, under whichever allocator. */
static void row_add(struct row *row, const struct run *run, const struct run *expected)
{
    const char *why = run->ok ? NULL : run->why;

    if (run->ok && row->job->fixed_work && (run->check != expected->check || run->ops != expected->ops)) {
        why = "did other work than the first run: memory was corrupted";
    }
    if (why != NULL) {
        row->failed = true;
        snprintf(row->why, sizeof(row->why), "%s", why);
        return;
    }
    const double values[METRIC_COUNT] = {
        [METRIC_WALL] = run->wall,   [METRIC_USER] = run->user,
        [METRIC_SYS] = run->sys,     [METRIC_COST] = run->wall * 1e9 / (double)(run->ops > 0 ? run->ops : 1),
        [METRIC_PEAK] = run->peak,   [METRIC_END] = run->end,
        [METRIC_MEAN] = run->mean,   [METRIC_MINOR] = run->minor,
        [METRIC_MAJOR] = run->major, [METRIC_LIVE] = run->live,
        [METRIC_RSS_LIVE] = run->rss_live,
    };
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        row->values[i][row->runs] = values[i];
    }
    marks_add(row, run);
    row->runs++;
    row->ops = (double)run->ops;
    row->series = run->series;
    row->clock_nanos = run->clock_nanos;
}

const char *job_label(const struct compare *compare, const struct job *job, char label[LABEL_MAX])
{
    if (compare->sweep_live) {
        snprintf(label, LABEL_MAX, "%s %.4gM", job->name, (double)job->params.live / (1 << 20));
    } else {
        snprintf(label, LABEL_MAX, "%s", job->name);
    }
    return label;
}

double row_median(const struct row *row, enum metric metric)
{
    return stats_quantile(row->values[metric], row->runs, 0.5);
}

double row_spread(const struct row *row)
{
    const double *wall = row->values[METRIC_WALL];

    return stats_ratio(wall[row->runs - 1] - wall[0], row_median(row, METRIC_WALL));
}

double row_overhead(const struct row *row)
{
    return stats_ratio(row_median(row, METRIC_RSS_LIVE), row_median(row, METRIC_LIVE)) - 1;
}

static void summarise(struct row *row, const struct histogram *histograms, double tick)
{
    row->latency = must_alloc(LATENCY_KINDS, sizeof(*row->latency));
    for (size_t k = 0; k < LATENCY_KINDS; k++) {
        struct latency *latency = &row->latency[k];
        latency->calls = (double)histograms[k].count;
        for (size_t i = 0; i < PERCENTILES; i++) {
            latency->at[i] = tick * (double)histogram_quantile(&histograms[k], percentiles[i]);
        }
        for (size_t i = 0; i < CURVE_POINTS; i++) {
            latency->curve[i] = tick * (double)histogram_quantile(&histograms[k], latency_share(i));
        }
    }
}

/* --- runs --------------------------------------------------------------- */

static unsigned job_timeout(const struct compare *compare, const struct job *job)
{
    return compare->timeout != 0 ? compare->timeout
                                 : DEFAULT_TIMEOUT + (unsigned)(2 * job->params.millis / 1000);
}

/* Interleaved, and each round starts with another allocator, so that drift of the machine hits all alike. */
static void measure(const struct compare *compare, const struct job *job, struct row *rows)
{
    size_t count = compare->allocs.count;
    struct run *run = must_alloc(1, sizeof(*run));
    struct run *expected = must_alloc(1, sizeof(*expected));
    struct histogram *histograms = NULL;
    double tick = 1;

    if (compare->latency && job->kind == JOB_INTERNAL) {
        histograms = must_alloc(count * LATENCY_KINDS, sizeof(*histograms));
    }
    for (unsigned round = 0; round < compare->repeat; round++) {
        for (size_t i = 0; i < count; i++) {
            size_t at = (i + round) % count;
            if (rows[at].failed) {
                progress_skip(1);
                continue;
            }
            progress_show(job->name, rows[at].alloc->name);
            runner_run(job, rows[at].alloc, job_timeout(compare, job), run,
                       histograms != NULL ? &histograms[at * LATENCY_KINDS] : NULL);
            if (run->ok && !expected->ok) {
                *expected = *run;
            }
            row_add(&rows[at], run, expected);
            tick = run->ok && run->tick_nanos > 0 ? run->tick_nanos : tick;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (histograms != NULL && !rows[i].failed) {
            summarise(&rows[i], &histograms[i * LATENCY_KINDS], tick);
        }
    }
    free(histograms);
    free(expected);
    free(run);
}

/* Sorts the values and sets the ratios to the job's best. */
static void relate(struct results *results, size_t job)
{
    size_t count = results->alloc_count;
    struct row *rows = &results->rows[job * count], *fastest = NULL, *smallest = NULL;

    for (size_t i = 0; i < count; i++) {
        struct row *row = &rows[i];
        for (size_t m = 0; m < METRIC_COUNT; m++) {
            stats_sort(row->values[m], row->runs);
        }
        marks_settle(row);
        if (row->failed) {
            continue;
        }
        if (fastest == NULL || row_median(row, METRIC_COST) < row_median(fastest, METRIC_COST)) {
            fastest = row;
        }
        if (smallest == NULL || row_median(row, METRIC_PEAK) < row_median(smallest, METRIC_PEAK)) {
            smallest = row;
        }
    }
    for (size_t i = 0; i < count; i++) {
        struct row *row = &rows[i];
        row->time = (struct interval){NAN, NAN, NAN};
        row->memory = NAN;
        if (row->failed) {
            continue;
        }
        row->best_time = row == fastest;
        row->best_memory = row == smallest;
        row->time.ratio = stats_ratio(row_median(row, METRIC_COST), row_median(fastest, METRIC_COST));
        row->memory = stats_ratio(row_median(row, METRIC_PEAK), row_median(smallest, METRIC_PEAK));
        if (row != fastest) {
            stats_ratio_interval(row->values[METRIC_COST], row->runs, fastest->values[METRIC_COST],
                                 fastest->runs, &row->time.low, &row->time.high);
            results->unsure += row_unsure(row);
        }
    }
}

static void average(struct results *results)
{
    double *time = must_alloc(results->job_count, sizeof(double));
    double *memory = must_alloc(results->job_count, sizeof(double));

    for (size_t i = 0; i < results->alloc_count; i++) {
        size_t count = 0;
        for (size_t j = 0; j < results->job_count; j++) {
            const struct row *row = &results->rows[j * results->alloc_count + i];
            if (!row->failed) {
                time[count] = row->time.ratio;
                memory[count++] = row->memory;
            }
        }
        results->means[i] =
            (struct means){stats_geomean(time, count), stats_geomean(memory, count), count};
    }
    free(time);
    free(memory);
}

static void tell_failures(const struct results *results, size_t job)
{
    for (size_t i = 0; i < results->alloc_count; i++) {
        const struct row *row = &results->rows[job * results->alloc_count + i];
        if (row->failed) {
            fprintf(stderr, PROGRAM ": %s under %s failed: %s\n", row->job->name, row->alloc->name, row->why);
        }
    }
}

static void run_jobs(struct results *results)
{
    const struct compare *compare = results->compare;

    if (compare->format == FORMAT_TABLE) {
        table_begin(results);
    } else if (compare->format == FORMAT_CSV) {
        csv_begin();
    }
    progress_begin(results->job_count * results->alloc_count * compare->repeat);
    for (size_t job = 0; job < results->job_count; job++) {
        struct row *rows = &results->rows[job * results->alloc_count];
        for (size_t i = 0; i < results->alloc_count; i++) {
            row_init(&rows[i], &results->jobs[job], &compare->allocs.items[i], compare->repeat);
        }
        measure(compare, &results->jobs[job], rows);
        relate(results, job);
        progress_clear();
        if (compare->format == FORMAT_TABLE) {
            table_job(results, job);
        } else if (compare->format == FORMAT_CSV) {
            csv_job(results, job);
        }
        fflush(stdout);
        if (compare->format != FORMAT_TABLE) {
            tell_failures(results, job);
        }
    }
    average(results);
    if (compare->format == FORMAT_TABLE) {
        table_end(results);
    } else if (compare->format == FORMAT_JSON) {
        json_print(results);
    }
}

static int finish(struct results *results)
{
    bool good = results->compare->report == NULL || report_write(results);

    for (size_t i = 0; i < results->job_count * results->alloc_count; i++) {
        good = good && !results->rows[i].failed;
        row_clear(&results->rows[i]);
    }
    free(results->rows);
    free(results->means);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fputs(PROGRAM ": cannot write the results\n", stderr);
        return EXIT_ROW_FAILED;
    }
    return good ? 0 : EXIT_ROW_FAILED;
}

int compare_run(struct compare *compare, const struct job *jobs, size_t count)
{
    struct results results = {.compare = compare, .jobs = jobs, .job_count = count};

    if (compare->repeat == 0) {
        compare->repeat = compare->quick ? QUICK_REPEAT : DEFAULT_REPEAT;
    }
    choose_allocs(compare);
    if (compare->report != NULL && mkdir(compare->report, 0777) != 0) {
        struct stat status;
        if (stat(compare->report, &status) != 0 || !S_ISDIR(status.st_mode)) {
            usage_error("cannot make the directory '%s' for the report", compare->report);
        }
    }
    if (getenv("LD_PRELOAD") != NULL) {
        fputs(PROGRAM ": note: LD_PRELOAD of the environment is not used in the runs\n", stderr);
    }
    results.alloc_count = compare->allocs.count;
    results.rows = must_alloc(count * results.alloc_count, sizeof(*results.rows));
    results.means = must_alloc(results.alloc_count, sizeof(*results.means));
    runner_init();
    run_jobs(&results);
    int status = finish(&results);
    alloc_clear(&compare->allocs);
    alloc_clear(&compare->named);
    return status;
}
