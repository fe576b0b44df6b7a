/*
 * child.c: the process that is measured.  Its arguments are
 *
 *     --child preload|- latency|- KIND ARGUMENT...
 *
 * and its answer is the struct result in the file CHILD_FD.
 *
 * SPDX-License-Identifier: MIT
 */
#include "job.h"
#include "work.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct result *result;

static const struct {
    const char *name;
    void (*run)(int argc, char **argv, struct outcome *outcome);
} kinds[] = {
    {"scenario", scenario_child},
    {"replay", replay_child},
};

/*
 * The loader only warns about a library that it cannot preload, and a library
 * without malloc preloads well: either would be a measurement of libc.
 */
static void demand_preload(void)
{
    Dl_info with_malloc, libc;
    void *found = dlsym(RTLD_DEFAULT, "malloc");
    void *in_libc = dlsym(RTLD_DEFAULT, "qsort");

    if (found == NULL || in_libc == NULL || dladdr(found, &with_malloc) == 0 || dladdr(in_libc, &libc) == 0) {
        work_fail("cannot tell which malloc is in use");
    }
    if (with_malloc.dli_fbase == libc.dli_fbase) {
        work_fail("the library was not preloaded or has no malloc");
    }
}

void work_fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(result->why, sizeof(result->why), format, args);
    va_end(args);
    result->state = RESULT_FAILED;
    _exit(EXIT_ROW_FAILED);
}

int child_main(int argc, char **argv)
{
    void (*run)(int, char **, struct outcome *) = NULL;

    for (size_t i = 0; argc > 4 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        run = strcmp(argv[4], kinds[i].name) == 0 ? kinds[i].run : run;
    }
    result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE, MAP_SHARED, CHILD_FD, 0);
    if (run == NULL || result == MAP_FAILED) {
        usage_error(CHILD_OPTION " is not for use by hand");
    }
    if (strcmp(argv[2], "preload") == 0) {
        demand_preload();
    }
    if (strcmp(argv[3], "latency") == 0) {
        latency_begin();
    }
    run(argc - 4, argv + 4, &result->outcome);
    latency_end(result);
    result->rss_end = work_resident();
    result->state = RESULT_DONE;
    return 0;
}
