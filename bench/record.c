/*
 * record.c: slaballoc-bench record: runs a program with the recorder preloaded.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bench.h"
#include "recorder.h"
#include "trace_file.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_CANNOT_RUN = 126, EXIT_NOT_FOUND = 127 };

struct recording {
    const char *output;
    const char *program; /* the only one to be recorded, or NULL */
    const char *library;
    bool children, quiet;
    char *path; /* output in full, since a program may change its directory */
};

static void print_help(void)
{
    fputs("Usage: " PROGRAM " record -o FILE [OPTION...] -- PROGRAM [ARGUMENT...]\n"
          "Record what a program asks of malloc, to be replayed with '" PROGRAM " replay'.\n"
          "\n"
          "  -o, --output=FILE      the trace\n"
          "  -c, --children         also record the processes that PROGRAM starts, in FILE.NUMBER\n"
          "  -p, --program=NAME     record the first process whose program has this name,\n"
          "                         which may be one that PROGRAM starts\n"
          "      --recorder=FILE    the recorder (default: $SLABALLOC_RECORDER, or\n"
          "                         " SLA_RECORDER_PATH ")\n"
          "  -q, --quiet            do not say what was recorded\n"
          "  -h, --help             this text\n"
          "\n"
          "Exit status: PROGRAM's; 1 if there is no trace, 2 usage error, 126 or 127 if PROGRAM\n"
          "cannot be run or found.\n",
          stdout);
}

static void record_options(struct recording *recording, int argc, char **argv)
{
    enum { OPT_RECORDER = 256 };
    static const struct option long_options[] = {
        {"output", required_argument, NULL, 'o'},
        {"children", no_argument, NULL, 'c'},
        {"program", required_argument, NULL, 'p'},
        {"recorder", required_argument, NULL, OPT_RECORDER},
        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "+o:cp:qh", long_options, NULL)) != -1) {
        switch (option) {
        case 'o':
            recording->output = optarg;
            break;
        case 'c':
            recording->children = true;
            break;
        case 'p':
            recording->program = optarg;
            break;
        case OPT_RECORDER:
            recording->library = optarg;
            break;
        case 'q':
            recording->quiet = true;
            break;
        case 'h':
            print_help();
            exit(fflush(stdout) != 0);
        default:
            fputs("Try '" PROGRAM " record --help'.\n", stderr); /* getopt_long has said what is wrong */
            exit(EXIT_USAGE);
        }
    }
    if (recording->output == NULL || *recording->output == '\0') {
        usage_error("record: -o FILE is missing");
    }
    if (optind == argc || *argv[optind] == '\0') {
        usage_error("record: no program to run");
    }
    if (recording->program != NULL &&
        (*recording->program == '\0' || strpbrk(recording->program, ":/") != NULL)) {
        usage_error("record: bad program name '%s'", recording->program);
    }
}

/* The recorder's path as the loader wants it. */
static const char *find_library(struct recording *recording, struct alloc_list *list)
{
    const char *variable = getenv("SLABALLOC_RECORDER");

    if (recording->library == NULL) {
        recording->library = variable != NULL && *variable != '\0' ? variable : SLA_RECORDER_PATH;
    }
    alloc_add(list, "recorder", recording->library); /* complains about what cannot be preloaded */
    return list->items[0].path;
}

static void claim_output(struct recording *recording)
{
    FILE *file = fopen(recording->output, "we");
    static const char suffix[] = ".part";

    /* The process number that a child's trace has is added, and the path goes into a variable. */
    recording->path = file == NULL ? NULL : realpath(recording->output, NULL);
    if (recording->path == NULL || strlen(recording->path) + sizeof(suffix) + 32 > 4000) {
        fprintf(stderr, PROGRAM ": cannot write '%s': %s\n", recording->output,
                strerror(recording->path == NULL ? errno : ENAMETOOLONG));
        exit(EXIT_ROW_FAILED);
    }
    fclose(file);
    unlink(recording->path); /* the recorder makes it, and is to find none */
}

static _Noreturn void run_program(const struct recording *recording, const char *library, char **argv)
{
    static char variable[PATH_MAX + 512], preload[2 * PATH_MAX];
    const char *others = getenv("LD_PRELOAD");

    snprintf(variable, sizeof(variable), "%ld:%d:%s:%s", (long)getpid(), recording->children,
             recording->program == NULL ? "" : recording->program, recording->path);
    snprintf(preload, sizeof(preload), "%s%s%s", library, others == NULL ? "" : ":",
             others == NULL ? "" : others);
    if (setenv(RECORDER_VARIABLE, variable, 1) != 0 || setenv("LD_PRELOAD", preload, 1) != 0) {
        _exit(EXIT_CANNOT_RUN);
    }
    signal(SIGINT, SIG_DFL);
    signal(SIGQUIT, SIG_DFL);
    execvp(argv[0], argv);
    int error = errno;
    fprintf(stderr, PROGRAM ": cannot run '%s': %s\n", argv[0], strerror(error));
    _exit(error == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN);
}

/* Returns the status as a shell would. */
static int wait_program(pid_t child)
{
    int status = 0;

    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            return EXIT_ROW_FAILED;
        }
    }
    if (WIFSIGNALED(status)) {
        fprintf(stderr, PROGRAM ": the program was killed by signal %d (%s)\n", WTERMSIG(status),
                strsignal(WTERMSIG(status)));
        return 128 + WTERMSIG(status);
    }
    return WEXITSTATUS(status);
}

/* Tidies one trace and says what is in it.  False if there is none. */
static bool finish(const struct recording *recording, const char *path)
{
    uint64_t calls, bytes;
    const char *wrong = trace_finish(path, &calls, &bytes);

    if (wrong != NULL) {
        fprintf(stderr, PROGRAM ": %s: %s\n", path, wrong);
        return false;
    }
    if (!recording->quiet) {
        fprintf(stderr, PROGRAM ": %s: %" PRIu64 " calls, %" PRIu64 " bytes", path, calls, bytes);
        fprintf(stderr, calls > 0 ? ", %.2f a call\n" : "\n",
                (double)bytes / (double)(calls > 0 ? calls : 1));
    }
    return true;
}

/* The traces of children: FILE.NUMBER. */
static bool finish_children(const struct recording *recording)
{
    char *slash = strrchr(recording->path, '/');
    const char *base = slash + 1;
    size_t length = strlen(base);
    bool good = true;

    *slash = '\0';
    DIR *directory = opendir(*recording->path != '\0' ? recording->path : "/");
    *slash = '/';
    if (directory == NULL) {
        return false;
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        const char *name = entry->d_name;
        if (strncmp(name, base, length) != 0 || name[length] != '.' || name[length + 1] == '\0' ||
            strspn(name + length + 1, "0123456789") != strlen(name + length + 1)) {
            continue;
        }
        size_t room = strlen(recording->path) + strlen(name) + 2;
        char *path = must_alloc(room, 1);
        snprintf(path, room, "%.*s/%s", (int)(slash - recording->path), recording->path, name);
        good = finish(recording, path) && good;
        free(path);
    }
    closedir(directory);
    return good;
}

int record_main(int argc, char **argv)
{
    struct recording recording = {0};
    struct alloc_list list = {0};

    record_options(&recording, argc, argv);
    const char *library = find_library(&recording, &list);
    claim_output(&recording);
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) {
        fprintf(stderr, PROGRAM ": cannot start a process: %s\n", strerror(errno));
        return EXIT_ROW_FAILED;
    }
    if (child == 0) {
        run_program(&recording, library, argv + optind);
    }
    /* The terminal sends these to both; the trace is to be finished all the same. */
    signal(SIGINT, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    int status = wait_program(child);
    bool found = access(recording.path, F_OK) == 0;
    bool good = found && finish(&recording, recording.path);

    if (!found && status != EXIT_NOT_FOUND && status != EXIT_CANNOT_RUN) {
        fprintf(stderr, PROGRAM ": nothing was recorded: %s\n",
                recording.program != NULL ? "no program of that name ran"
                                          : "the program is static, privileged, or drops its environment");
    }
    good = (!recording.children || finish_children(&recording)) && good;
    free(recording.path);
    alloc_clear(&list);
    return status != 0 ? status : good ? 0 : EXIT_ROW_FAILED;
}
