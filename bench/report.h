/*
 * report.h: what the page shows and who draws it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "compare.h"

struct chart {
    char file[40];     /* without .svg */
    const char *group; /* the heading that it stands under */
    char title[80];
    bool small; /* several in a line */
};

struct charts {
    struct chart *items; /* for the caller to free */
    size_t count;
    char why[160]; /* there are none, or some are missing */
};

/* Draws into results->compare->report; leaves the data and the script beside the charts. */
void charts_draw(const struct results *results, struct charts *charts);

#endif
