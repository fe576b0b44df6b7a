/*
 * child.c: the process that is measured.  Its arguments are
 *
 *     --child SCENARIO preload|- threads ops millis live seed
 *
 * and its answer is one line on CHILD_FD: "ops=N check=N nanos=N", or
 * "error=..." (then the exit status is not 0).
 *
 * SPDX-License-Identifier: MIT
 */
#include "bench.h"
#include "work.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

int child_main(int argc, char **argv)
{
    struct params params = {0};
    struct outcome outcome = {0};
    const struct scenario *scenario = argc == 9 ? scenario_find(argv[2]) : NULL;

    if (scenario == NULL) {
        usage_error(CHILD_OPTION " is not for use by hand");
    }
    if (strcmp(argv[3], "preload") == 0) {
        demand_preload();
    }
    params.threads = strtoull(argv[4], NULL, 10);
    params.ops = strtoull(argv[5], NULL, 10);
    params.millis = strtoull(argv[6], NULL, 10);
    params.live = strtoull(argv[7], NULL, 10);
    params.seed = strtoull(argv[8], NULL, 10);
    scenario->run(&params, &outcome);

    char line[100];
    int length = snprintf(line, sizeof(line), "ops=%" PRIu64 " check=%" PRIu64 " nanos=%" PRIu64 "\n",
                          outcome.ops, outcome.check, outcome.nanos);
    return write(CHILD_FD, line, (size_t)length) == length ? 0 : EXIT_ROW_FAILED;
}
