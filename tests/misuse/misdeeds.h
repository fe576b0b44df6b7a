/*
 * misdeeds.h: the frame of tests of what is reported: each misdeed is done in a
 * child, once to its SIGABRT and once with abort=0, where the program goes on.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SLABALLOC_TESTS_MISDEEDS_H
#define SLABALLOC_TESTS_MISDEEDS_H

#include "support.h"

#define FOREIGN "not a block of this heap"
#define TWICE "block already free (size class #)"
#define LARGE_TWICE "large block already free"
#define INSIDE "not the start of a block (size class #)"
#define LARGE_INSIDE "not the start of a large block"

/* In the report, '#' stands for the size class that the misdeed has named. */
struct misdeed {
    const char *name;
    void (*run)(size_t size);
    size_t size;
    const char *call, *what;
};

/* What the report is to say; blamed() gives the address back. */
void blame(const void *address, size_t size_class);
void *blamed(void *address, size_t size);

/* A block that stays: it keeps the slab of those that follow from becoming empty. */
void *pin(size_t size);

/* No block of this heap. */
extern char static_bytes[64];

/* The whole program: a suite of all of them; the exit status. */
int misdeeds_main(const char *name, const struct misdeed *misdeeds, size_t count);

#endif
