/*
 * fail.c: the ways out, for every part of the tool.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bench.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void usage_error(const char *format, ...)
{
    va_list args;

    fflush(stdout);
    fputs(PROGRAM ": ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputs("\nTry '" PROGRAM " --help'.\n", stderr);
    exit(EXIT_USAGE);
}

void exit_printed(void)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fputs(PROGRAM ": cannot write to standard output\n", stderr);
        exit(EXIT_ROW_FAILED);
    }
    exit(0);
}

void *must_alloc(size_t count, size_t size)
{
    void *block = calloc(count, size);

    if (block == NULL) {
        fputs(PROGRAM ": out of memory\n", stderr);
        exit(EXIT_ROW_FAILED);
    }
    return block;
}
