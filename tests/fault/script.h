/*
 * script.h: a script of operations on all entry points, which checks all that it is given.
 *
 * It runs in a child process of a Check program: each wrong answer ends the process.  The same seed gives the same
 * operations and, system calls not failing, the same system calls.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SLABALLOC_TESTS_FAULT_SCRIPT_H
#define SLABALLOC_TESTS_FAULT_SCRIPT_H

#include "support.h"

struct script {
    uint64_t seed;
    size_t operations;
    int threads; /* a second thread, threads that are born and end, forks */
};

/* What a run has seen. */
struct script_tally {
    size_t operations, refused; /* how many of them got no memory */
};

/* Sets the options so that many system calls happen. */
void script_options(void);

/* Runs it; all that it took is still held. */
struct script_tally script_run(const struct script *script);

/* The run under way ends after so many operations more. */
void script_leave_after(size_t operations);

/* Checks and gives back everything; nothing fails any more. */
void script_end(void);

#endif
