/*
 * main.c: options, and the order of the runs.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bench.h"
#include "stats.h"

#include <getopt.h>
#include <slaballoc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_REPEAT = 5, REPEAT_MAX = 1000, DEFAULT_TIMEOUT = 60, TIMEOUT_MAX = 86400 };

struct options {
    struct params user;
    bool given[PARAM_COUNT];
    unsigned repeat, timeout; /* timeout 0: default */
    bool csv, self, system;
    const char *library;
    struct alloc_list peers;
    const struct scenario **scenarios;
    size_t scenario_count;
};

static void print_help(void)
{
    fputs("Usage: " PROGRAM " [OPTION...] [SCENARIO...]\n"
          "Compare memory allocators: time, memory and their ratio to the system's malloc.\n"
          "Without SCENARIO all are run; see --list.\n"
          "\n"
          "What is run\n"
          "  -t, --threads=N        threads (default: one per processor where a scenario has several)\n"
          "  -n, --ops=N            calls of the allocator, over all threads\n"
          "      --seconds=S        run for S seconds instead\n"
          "      --live=BYTES       live set, over all threads\n"
          "      --seed=N           start of the random numbers (default 1)\n"
          "  -r, --repeat=N         runs of each scenario under each allocator (default 5)\n"
          "      --timeout=S        seconds after which a run is killed (default 60, more with --seconds)\n"
          "N may end in K, M, G or T (powers of 1000; of 1024 for BYTES).\n"
          "\n"
          "What is compared (default: the system's malloc and slaballoc)\n"
          "      --self             slaballoc\n"
          "      --system           the system's malloc\n"
          "      --alloc=NAME=FILE  also the allocator in this shared library\n"
          "      --library=FILE     the slaballoc to use (default: $SLABALLOC_LIBRARY, or\n"
          "                         " SLA_DROPIN_PATH ")\n"
          "\n"
          "Output\n"
          "      --csv              comma-separated values\n"
          "  -l, --list             list the scenarios\n"
          "  -h, --help             this text\n"
          "  -V, --version          the version\n"
          "\n"
          "Exit status: 0 all runs were good, 1 some failed, 2 usage error.\n",
          stdout);
}

static void print_list(void)
{
    for (size_t i = 0; scenario_table[i] != NULL; i++) {
        const struct scenario *s = scenario_table[i];
        printf("%-10s %s\n%-10s   source: %s\n", s->name, s->summary, "", s->source);
    }
}

static uint64_t parse_number(const char *option, const char *text, uint64_t min, uint64_t max)
{
    const struct param_info info = {option, 0, UNIT_COUNT, min, max};
    uint64_t value;

    if (!param_parse(&info, text, &value)) {
        usage_error("bad value '%s' of --%s (%llu to %llu)", text, option, (unsigned long long)min,
                    (unsigned long long)max);
    }
    return value;
}

static void parse_param(struct options *options, int index, const char *text)
{
    const struct param_info *info = &param_table[index];
    double unit = info->unit == UNIT_SECONDS ? 1000 : 1;
    uint64_t value;

    if (!param_parse(info, text, &value)) {
        usage_error("bad value '%s' of --%s (%.15g to %.15g)", text, info->name, (double)info->min / unit,
                    (double)info->max / unit);
    }
    *param_field(&options->user, info) = value;
    options->given[index] = true;
}

enum {
    OPT_PARAM = 256,
    OPT_TIMEOUT = OPT_PARAM + PARAM_COUNT,
    OPT_SELF,
    OPT_SYSTEM,
    OPT_ALLOC,
    OPT_LIBRARY,
    OPT_CSV
};

static const struct option long_options[] = {
    {"threads", required_argument, NULL, OPT_PARAM + PARAM_THREADS},
    {"ops", required_argument, NULL, OPT_PARAM + PARAM_OPS},
    {"seconds", required_argument, NULL, OPT_PARAM + PARAM_SECONDS},
    {"live", required_argument, NULL, OPT_PARAM + PARAM_LIVE},
    {"seed", required_argument, NULL, OPT_PARAM + PARAM_SEED},
    {"repeat", required_argument, NULL, 'r'},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"self", no_argument, NULL, OPT_SELF},
    {"system", no_argument, NULL, OPT_SYSTEM},
    {"alloc", required_argument, NULL, OPT_ALLOC},
    {"library", required_argument, NULL, OPT_LIBRARY},
    {"csv", no_argument, NULL, OPT_CSV},
    {"list", no_argument, NULL, 'l'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static void handle_option(struct options *options, int option)
{
    switch (option) {
    case 't':
        parse_param(options, PARAM_THREADS, optarg);
        break;
    case 'n':
        parse_param(options, PARAM_OPS, optarg);
        break;
    case 'r':
        options->repeat = (unsigned)parse_number("repeat", optarg, 1, REPEAT_MAX);
        break;
    case OPT_TIMEOUT:
        options->timeout = (unsigned)parse_number("timeout", optarg, 1, TIMEOUT_MAX);
        break;
    case OPT_SELF:
        options->self = true;
        break;
    case OPT_SYSTEM:
        options->system = true;
        break;
    case OPT_ALLOC:
        alloc_add_spec(&options->peers, optarg);
        break;
    case OPT_LIBRARY:
        options->library = optarg;
        break;
    case OPT_CSV:
        options->csv = true;
        break;
    default:
        parse_param(options, option - OPT_PARAM, optarg);
        break;
    }
}

static void choose_scenarios(struct options *options, int count, char **names)
{
    size_t all = 0;

    while (scenario_table[all] != NULL) {
        all++;
    }
    options->scenario_count = count > 0 ? (size_t)count : all;
    options->scenarios = must_alloc(options->scenario_count, sizeof(struct scenario *));
    for (size_t i = 0; i < options->scenario_count; i++) {
        options->scenarios[i] = count > 0 ? scenario_find(names[i]) : scenario_table[i];
        if (options->scenarios[i] == NULL) {
            usage_error("unknown scenario '%s' (--list names them)", names[i]);
        }
    }
}

/* Returns only if there is something to run. */
static void parse_options(struct options *options, int argc, char **argv)
{
    int option;

    options->repeat = DEFAULT_REPEAT;
    while ((option = getopt_long(argc, argv, "t:n:r:lhV", long_options, NULL)) != -1) {
        switch (option) {
        case '?':
            fputs("Try '" PROGRAM " --help'.\n", stderr); /* getopt_long has said what is wrong */
            exit(EXIT_USAGE);
        case 'h':
            print_help();
            exit(fflush(stdout) != 0);
        case 'l':
            print_list();
            exit(fflush(stdout) != 0);
        case 'V':
            puts(PROGRAM " (slaballoc) " SLA_VERSION_STRING);
            exit(fflush(stdout) != 0);
        default:
            handle_option(options, option);
        }
    }
    if (options->given[PARAM_OPS] && options->given[PARAM_SECONDS]) {
        usage_error("--ops and --seconds exclude each other");
    }
    choose_scenarios(options, argc - optind, argv + optind);
}

static struct alloc_list choose_allocs(const struct options *options)
{
    struct alloc_list list = {NULL, 0};

    if (options->system || !options->self) {
        alloc_add(&list, "system", NULL);
    }
    if (options->self || !options->system) {
        alloc_add(&list, "slaballoc", alloc_dropin(options->library));
    }
    for (size_t i = 0; i < options->peers.count; i++) {
        alloc_add(&list, options->peers.items[i].name, options->peers.items[i].path);
    }
    return list;
}

static void row_init(struct row *row, const struct scenario *scenario, const struct alloc *alloc,
                     const struct params *params, unsigned repeat)
{
    double *values = must_alloc(6 * (size_t)repeat, sizeof(double));

    *row = (struct row){.scenario = scenario, .alloc = alloc, .params = *params};
    row->wall = values;
    row->user = values + repeat;
    row->sys = values + 2 * (size_t)repeat;
    row->cpu = values + 3 * (size_t)repeat;
    row->peak = values + 4 * (size_t)repeat;
    row->cost = values + 5 * (size_t)repeat;
}

static void row_fail(struct row *row, const char *why)
{
    row->failed = true;
    snprintf(row->why, sizeof(row->why), "%s", why);
}

/* expected: the check of the first good run of the scenario, under whichever allocator. */
static void row_add(struct row *row, const struct run *run, const struct run *expected)
{
    bool counted = row->params.millis == 0; /* then the work is fixed */

    if (!run->ok) {
        row_fail(row, run->why);
        return;
    }
    if (counted && (run->check != expected->check || run->ops != expected->ops)) {
        row_fail(row, "did other work than the first run: memory was corrupted");
        return;
    }
    unsigned i = row->runs++;
    row->wall[i] = run->wall;
    row->user[i] = run->user;
    row->sys[i] = run->sys;
    row->cpu[i] = run->user + run->sys;
    row->peak[i] = run->peak;
    row->cost[i] = run->wall * 1e9 / (double)(run->ops > 0 ? run->ops : 1);
    row->ops = (double)run->ops;
}

/* Interleaved, and each round starts with another allocator, so that drift of the machine hits all alike. */
static void measure(const struct options *options, const struct scenario *scenario,
                    const struct params *params, const struct alloc_list *allocs, struct row *rows)
{
    unsigned timeout = options->timeout;
    struct run run, expected = {0};

    if (timeout == 0) {
        timeout = DEFAULT_TIMEOUT + (unsigned)(2 * params->millis / 1000);
    }
    for (unsigned round = 0; round < options->repeat; round++) {
        for (size_t i = 0; i < allocs->count; i++) {
            struct row *row = &rows[(i + round) % allocs->count];
            if (row->failed) {
                continue;
            }
            runner_run(scenario, params, row->alloc, timeout, &run);
            if (run.ok && !expected.ok) {
                expected = run;
            }
            row_add(row, &run, &expected);
        }
    }
}

static bool compare(const struct options *options, const struct alloc_list *allocs)
{
    struct output out;
    bool good = true;
    struct row *rows = must_alloc(allocs->count, sizeof(*rows));

    output_begin(&out, options->csv, options->repeat, options->scenario_count, allocs);
    for (size_t s = 0; s < options->scenario_count; s++) {
        const struct scenario *scenario = options->scenarios[s];
        struct params params = scenario_params(scenario, &options->user, options->given);
        for (size_t i = 0; i < allocs->count; i++) {
            row_init(&rows[i], scenario, &allocs->items[i], &params, options->repeat);
        }
        measure(options, scenario, &params, allocs, rows);
        output_scenario(&out, rows);
        for (size_t i = 0; i < allocs->count; i++) {
            good = good && !rows[i].failed;
            free(rows[i].wall);
        }
    }
    output_end(&out);
    free(rows);
    return good;
}

int main(int argc, char **argv)
{
    struct options options = {0};

    if (argc > 1 && strcmp(argv[1], CHILD_OPTION) == 0) {
        return child_main(argc, argv);
    }
    parse_options(&options, argc, argv);
    struct alloc_list allocs = choose_allocs(&options);
    if (getenv("LD_PRELOAD") != NULL) {
        fputs(PROGRAM ": note: LD_PRELOAD of the environment is not used in the runs\n", stderr);
    }
    runner_init();
    bool good = compare(&options, &allocs);
    alloc_clear(&allocs);
    alloc_clear(&options.peers);
    free(options.scenarios);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fputs(PROGRAM ": cannot write the results\n", stderr);
        return EXIT_ROW_FAILED;
    }
    return good ? 0 : EXIT_ROW_FAILED;
}
