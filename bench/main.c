/*
 * main.c: options, and the order of the runs.
 *
 * SPDX-License-Identifier: MIT
 */
#include "compare.h"
#include "scenarios.h"
#include "sweep.h"

#include <slaballoc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
    struct params user;
    bool given[PARAM_COUNT];
    struct compare compare;
    struct sweep sweep;
    bool brief; /* without arguments */
    const struct scenario **scenarios;
    size_t scenario_count;
};

static void print_help(void)
{
    fputs("Usage: " PROGRAM " [OPTION...] [SCENARIO...]\n"
          "       " PROGRAM " program [OPTION...] -- PROGRAM [ARGUMENT...]\n"
          "       " PROGRAM " record -o FILE -- PROGRAM [ARGUMENT...]\n"
          "       " PROGRAM " replay [OPTION...] FILE\n"
          "       " PROGRAM " show FILE\n"
          "Compare memory allocators: time and memory, and their ratios to the best.\n"
          "Without SCENARIO all that compare malloc are run, see --list; without any argument some, briefly.\n"
          "The commands have a --help of their own.\n"
          "\n"
          "What is run\n"
          "  -t, --threads=N        threads (default: one per processor where a scenario has several)\n"
          "  -n, --ops=N            calls of the allocator, over all threads\n"
          "      --seconds=S        run for S seconds instead\n"
          "      --live=BYTES       live set, over all threads\n"
          "      --size=A[..B]      sizes of blocks, bytes, where a scenario lets them be chosen\n"
          "      --producers=N      threads of handoff that only allocate (default: half)\n"
          "      --plain            malloc alone in the scenarios that compare interfaces\n"
          "      --seed=N           start of the random numbers (default 1)\n"
          "      --quick            a tenth of the calls, 3 runs\n"
          "      --sweep=PARAM=A..B each scenario with PARAM, threads or live, doubled from A to B\n"
          "      --latency          also how long single calls take\n"
          "N may end in K, M, G or T (powers of 1000; of 1024 for BYTES, A and B).\n"
          "\n",
          stdout);
    fputs(compare_help, stdout);
    fputs("  -l, --list             list the scenarios\n"
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
        printf("%-15s %s\n%-15s   source: %s\n", s->name, s->summary, "", s->source);
    }
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

static void parse_sizes(struct options *options, const char *text)
{
    const struct param_info *info = &param_table[PARAM_SIZE_MIN];

    if (!param_parse_range(info, text, &options->user.size_min, &options->user.size_max)) {
        usage_error("bad value '%s' of --size (A or A..B, %llu to %llu)", text, (unsigned long long)info->min,
                    (unsigned long long)info->max);
    }
    options->given[PARAM_SIZE_MIN] = options->given[PARAM_SIZE_MAX] = true;
}

enum { OPT_PARAM = 256, OPT_SWEEP = OPT_PARAM + PARAM_COUNT };

static const struct option long_options[] = {
    {"threads", required_argument, NULL, OPT_PARAM + PARAM_THREADS},
    {"ops", required_argument, NULL, OPT_PARAM + PARAM_OPS},
    {"seconds", required_argument, NULL, OPT_PARAM + PARAM_SECONDS},
    {"live", required_argument, NULL, OPT_PARAM + PARAM_LIVE},
    {"producers", required_argument, NULL, OPT_PARAM + PARAM_PRODUCERS},
    {"plain", no_argument, NULL, OPT_PARAM + PARAM_PLAIN},
    {"seed", required_argument, NULL, OPT_PARAM + PARAM_SEED},
    {"size", required_argument, NULL, OPT_PARAM + PARAM_SIZE_MIN},
    {"sweep", required_argument, NULL, OPT_SWEEP},
    COMPARE_LONG_OPTIONS,
    COMPARE_QUICK_OPTION,
    COMPARE_LATENCY_OPTION,
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
    case OPT_PARAM + PARAM_SIZE_MIN:
        parse_sizes(options, optarg);
        break;
    case OPT_PARAM + PARAM_PLAIN:
        parse_param(options, PARAM_PLAIN, "1");
        break;
    case OPT_SWEEP:
        options->sweep = sweep_parse(optarg);
        break;
    default:
        if (!compare_option(&options->compare, option, optarg)) {
            parse_param(options, option - OPT_PARAM, optarg);
        }
        break;
    }
}

static bool chosen_by_default(const struct options *options, const struct scenario *scenario)
{
    if (options->sweep.on) {
        return sweep_default(&options->sweep, scenario);
    }
    return options->brief ? scenario->brief : !scenario->interface;
}

static void choose_scenarios(struct options *options, int count, char **names)
{
    size_t all = 0;

    while (scenario_table[all] != NULL) {
        all++;
    }
    options->scenarios = must_alloc(count > 0 ? (size_t)count : all, sizeof(struct scenario *));
    for (size_t i = 0; count == 0 && i < all; i++) {
        if (chosen_by_default(options, scenario_table[i])) {
            options->scenarios[options->scenario_count++] = scenario_table[i];
        }
    }
    for (int i = 0; i < count; i++) {
        const struct scenario *found = scenario_find(names[i]);
        if (found == NULL) {
            usage_error("unknown scenario '%s' (--list names them)", names[i]);
        }
        if (options->sweep.on && !sweep_applies(&options->sweep, found)) {
            usage_error("scenario '%s' has no --%s to sweep", found->name, options->sweep.info->name);
        }
        options->scenarios[options->scenario_count++] = found;
    }
}

/* Returns only if there is something to run. */
static void parse_options(struct options *options, int argc, char **argv)
{
    int option;

    options->brief = argc == 1;
    while ((option = getopt_long(argc, argv, "t:n:lhV" COMPARE_SHORT_OPTIONS, long_options, NULL)) != -1) {
        switch (option) {
        case '?':
            fputs("Try '" PROGRAM " --help'.\n", stderr); /* getopt_long has said what is wrong */
            exit(EXIT_USAGE);
        case 'h':
            print_help();
            exit_printed();
        case 'l':
            print_list();
            exit_printed();
        case 'V':
            puts(PROGRAM " (slaballoc) " SLA_VERSION_STRING);
            exit_printed();
        default:
            handle_option(options, option);
        }
    }
    if (options->given[PARAM_OPS] && options->given[PARAM_SECONDS]) {
        usage_error("--ops and --seconds exclude each other");
    }
    choose_scenarios(options, argc - optind, argv + optind);
}

static struct params job_params(const struct options *options, const struct scenario *scenario)
{
    enum { QUICK_PART = 10, BRIEF_PART = 20 };
    struct params params = scenario_params(scenario, &options->user, options->given);

    if (options->compare.quick && !options->given[PARAM_OPS]) {
        uint64_t part = options->brief ? BRIEF_PART : QUICK_PART;
        params.ops = params.ops > part ? params.ops / part : params.ops;
    }
    return params;
}

static int run_scenarios(struct options *options)
{
    size_t points = options->sweep.on ? options->sweep.count : 1, count = 0;
    struct scenario_job *made = must_alloc(options->scenario_count * points, sizeof(*made));
    struct job *jobs = must_alloc(options->scenario_count * points, sizeof(*jobs));

    for (size_t s = 0; s < options->scenario_count; s++) {
        for (size_t i = 0; i < points; i++) {
            const struct scenario *scenario = options->scenarios[s];
            struct params params = job_params(options, scenario);
            if (options->sweep.on) {
                sweep_set(&options->sweep, i, &params);
            }
            scenario_job(scenario, &params, &made[count]);
            jobs[count] = made[count].job;
            count++;
        }
    }
    options->compare.sweep = options->sweep.on;
    options->compare.sweep_live = options->sweep.info == &param_table[PARAM_LIVE];
    int status = compare_run(&options->compare, jobs, count);
    free(jobs);
    free(made);
    free(options->scenarios);
    return status;
}

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"program", program_main},
    {"record", record_main},
    {"replay", replay_main},
    {"show", show_main},
};

int main(int argc, char **argv)
{
    struct options options = {0};

    if (argc > 1 && strcmp(argv[1], CHILD_OPTION) == 0) {
        return child_main(argc, argv);
    }
    for (size_t i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            argv[1] = argv[0];
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    parse_options(&options, argc, argv);
    if (options.brief) {
        options.compare.quick = true;
    }
    int status = run_scenarios(&options);
    if (options.brief && status != EXIT_USAGE) {
        puts("\nThis was a brief look.  All scenarios, and every allocator that is installed:\n"
             "  " PROGRAM " --compare --quick\n"
             "your own program:\n"
             "  " PROGRAM " program --compare -- PROGRAM ARGUMENT...\n"
             "and more with --help.");
    }
    return status;
}
