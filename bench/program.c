/*
 * program.c: slaballoc-bench program: an unmodified command under each allocator.
 *
 * SPDX-License-Identifier: MIT
 */
#include "compare.h"

#include <slaballoc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPT_INPUT = 256, OPT_OUTPUT };

static void print_help(void)
{
    fputs("Usage: " PROGRAM " program [OPTION...] -- PROGRAM [ARGUMENT...]\n"
          "Compare what a command uses under several allocators: time, memory, page faults.\n"
          "\n"
          "      --input=FILE       standard input of each run (default: none)\n"
          "      --output=FILE      standard output, of the last run in the end (default: nowhere)\n"
          "\n",
          stdout);
    fputs(compare_help, stdout);
    fputs("  -h, --help             this text\n"
          "\n"
          "Exit status: 0 all runs were good, 1 some failed, 2 usage error.\n",
          stdout);
}

static void program_options(struct compare *compare, struct job *job, int argc, char **argv)
{
    static const struct option long_options[] = {
        COMPARE_LONG_OPTIONS,
        {"input", required_argument, NULL, OPT_INPUT},
        {"output", required_argument, NULL, OPT_OUTPUT},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "+h" COMPARE_SHORT_OPTIONS, long_options, NULL)) != -1) {
        if (option == 'h') {
            print_help();
            exit_printed();
        } else if (option == OPT_INPUT) {
            job->input = optarg;
        } else if (option == OPT_OUTPUT) {
            job->output = optarg;
        } else if (!compare_option(compare, option, optarg)) {
            fputs("Try '" PROGRAM " program --help'.\n", stderr); /* getopt_long has said what is wrong */
            exit(EXIT_USAGE);
        }
    }
}

int program_main(int argc, char **argv)
{
    struct compare compare = {0};
    struct job job = {.kind = JOB_PROGRAM};

    program_options(&compare, &job, argc, argv);
    if (optind == argc || *argv[optind] == '\0') {
        usage_error("program: no program to run");
    }
    if (job.input != NULL && access(job.input, R_OK) != 0) {
        usage_error("cannot read '%s'", job.input);
    }
    job.argv = (const char *const *)(argv + optind);
    const char *slash = strrchr(argv[optind], '/');
    job.name = slash != NULL && slash[1] != '\0' ? slash + 1 : argv[optind];
    return compare_run(&compare, &job, 1);
}
