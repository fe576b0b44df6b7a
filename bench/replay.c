/*
 * replay.c: slaballoc-bench replay: a recorded program's calls under each allocator.
 *
 * SPDX-License-Identifier: MIT
 */
#include "replay.h"
#include "compare.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPT_TOUCH = 256, OPT_FORCE, PLAN_FD_MIN = 10 };

struct replay {
    struct compare compare;
    enum touch touch;
    bool force;
    const char *path;
};

static void print_help(void)
{
    fputs("Usage: " PROGRAM " replay [OPTION...] FILE\n"
          "Make the calls of a trace of '" PROGRAM " record' under several allocators.\n"
          "\n"
          "      --touch=HOW        write to the blocks: none, pages (a byte of each page, and\n"
          "                         the first and the last; default), all\n"
          "      --force            replay what is left of a damaged trace\n"
          "\n",
          stdout);
    fputs(compare_help, stdout);
    fputs("  -h, --help             this text\n"
          "\n"
          "Exit status: 0 all runs were good, 1 some failed or FILE is no good trace, 2 usage error.\n",
          stdout);
}

static enum touch parse_touch(const char *text)
{
    static const char *const names[] = {[TOUCH_NONE] = "none", [TOUCH_PAGES] = "pages", [TOUCH_ALL] = "all"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(text, names[i]) == 0) {
            return (enum touch)i;
        }
    }
    usage_error("bad value '%s' of --touch (none, pages or all)", text);
}

static void replay_options(struct replay *replay, int argc, char **argv)
{
    static const struct option long_options[] = {
        COMPARE_LONG_OPTIONS,
        COMPARE_LATENCY_OPTION,
        {"touch", required_argument, NULL, OPT_TOUCH},
        {"force", no_argument, NULL, OPT_FORCE},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "h" COMPARE_SHORT_OPTIONS, long_options, NULL)) != -1) {
        if (option == 'h') {
            print_help();
            exit(fflush(stdout) != 0);
        } else if (option == OPT_TOUCH) {
            replay->touch = parse_touch(optarg);
        } else if (option == OPT_FORCE) {
            replay->force = true;
        } else if (!compare_option(&replay->compare, option, optarg)) {
            fputs("Try '" PROGRAM " replay --help'.\n", stderr); /* getopt_long has said what is wrong */
            exit(EXIT_USAGE);
        }
    }
    if (optind + 1 != argc) {
        usage_error(optind == argc ? "replay: no trace" : "replay: more than one trace");
    }
    replay->path = argv[optind];
}

/* A file without a name, whose number the processes inherit. */
static int plan_file(void)
{
    const char *directory = getenv("TMPDIR");
    static const char name[] = "/slaballoc-plan.XXXXXX";

    directory = directory != NULL && *directory != '\0' ? directory : "/tmp";
    char *path = must_alloc(strlen(directory) + sizeof(name), 1);
    strcat(strcpy(path, directory), name);
    int fd = mkstemp(path);
    int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD, PLAN_FD_MIN);
    if (high < 0) {
        fprintf(stderr, PROGRAM ": cannot make a file in %s: %s\n", directory, strerror(errno));
        exit(EXIT_ROW_FAILED);
    }
    unlink(path);
    close(fd);
    free(path);
    return high;
}

/* The plan's file, or -1, after a message. */
static int make_plan(const struct replay *replay, uint64_t *threads)
{
    struct trace_file file;
    const char *wrong = trace_open(&file, replay->path);
    int fd = -1;

    if (wrong == NULL && !trace_report(&file, replay->path) && !replay->force) {
        fputs(PROGRAM ": --force replays what is left of it\n", stderr);
        trace_close(&file);
        return -1;
    }
    if (wrong == NULL) {
        fd = plan_file();
        *threads = file.thread_count;
        wrong = plan_write(fd, &file, replay->touch);
        trace_close(&file);
    }
    if (wrong != NULL) {
        fprintf(stderr, PROGRAM ": %s: %s\n", replay->path, wrong);
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

/* What the last run counted itself, beside what the trace has. */
static bool print_counts(int fd, FILE *out)
{
    struct plan_head head;
    const char *equal[] = {"DIFFERENT", "equal"};

    if (pread(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) || head.runs == 0) {
        return false;
    }
    bool good = memcmp(&head.wanted, &head.seen, sizeof(head.seen)) == 0;
    fprintf(out, "\n%-20s %14s %14s\n", "calls", "recorded", "replayed");
    for (size_t kind = 0; kind < TRACE_CALLS; kind++) {
        uint64_t wanted = head.wanted.calls[kind], seen = head.seen.calls[kind];
        if (wanted > 0 || seen > 0) {
            fprintf(out, "%-20s %14" PRIu64 " %14" PRIu64 "  %s\n", trace_kind_name[kind], wanted, seen,
                    equal[wanted == seen]);
        }
    }
    fprintf(out, "%-20s %14" PRIu64 " %14" PRIu64 "  %s\n", "peak live bytes", head.wanted.peak,
            head.seen.peak, equal[head.wanted.peak == head.seen.peak]);
    fprintf(out, "of each process, %.1f MiB are this tool's table of live blocks\n",
            (double)(head.slots * sizeof(void *)) / (1 << 20));
    return good;
}

int replay_main(int argc, char **argv)
{
    struct replay replay = {.touch = TOUCH_PAGES};
    uint64_t threads = 0;
    char number[16];

    replay_options(&replay, argc, argv);
    int fd = make_plan(&replay, &threads);
    if (fd < 0) {
        return EXIT_ROW_FAILED;
    }
    snprintf(number, sizeof(number), "%d", fd);
    const char *const child[] = {"replay", number, NULL};
    const char *slash = strrchr(replay.path, '/');
    const struct job job = {.name = slash != NULL && slash[1] != '\0' ? slash + 1 : replay.path,
                            .kind = JOB_INTERNAL,
                            .argv = child,
                            .params = {.threads = threads},
                            .fixed_work = true};
    int status = compare_run(&replay.compare, &job, 1);
    bool table = replay.compare.format == FORMAT_TABLE;
    if (!print_counts(fd, table ? stdout : stderr) && status == 0) {
        status = EXIT_ROW_FAILED;
    }
    close(fd);
    return fflush(stdout) == 0 ? status : EXIT_ROW_FAILED;
}
