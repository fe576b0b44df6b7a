/*
 * progress.h: a line on the terminal about what is being run and how long it will take.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_PROGRESS_H
#define BENCH_PROGRESS_H

#include <stddef.h>

/* Nothing is printed unless standard error is a terminal. */
void progress_begin(size_t runs);
void progress_show(const char *job, const char *alloc); /* before a run */
void progress_skip(size_t runs);                        /* they will not take place */
void progress_clear(void);

#endif
