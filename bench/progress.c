/*
 * progress.c: a line on the terminal about what is being run.
 *
 * SPDX-License-Identifier: MIT
 */
#include "progress.h"

#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static bool shown;
static size_t all, done, skipped;
static time_t started;

static time_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec;
}

void progress_begin(size_t runs)
{
    shown = isatty(STDERR_FILENO);
    all = runs;
    done = skipped = 0;
    started = now();
}

void progress_show(const char *job, const char *alloc)
{
    if (shown) {
        fprintf(stderr, "\r\033[K%zu of %zu: %s under %s", done + skipped + 1, all, job, alloc);
        if (done >= 3) {
            long left = (long)((double)(now() - started) / (double)done * (double)(all - done - skipped));
            fprintf(stderr, ", about %ld:%02ld left", left / 60, left % 60);
        }
    }
    done++;
}

void progress_skip(size_t runs)
{
    skipped += runs;
}

void progress_clear(void)
{
    if (shown) {
        fputs("\r\033[K", stderr);
    }
}
