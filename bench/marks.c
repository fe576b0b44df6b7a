/*
 * marks.c: the moments that a scenario notes, over all runs.
 *
 * SPDX-License-Identifier: MIT
 */
#include "compare.h"
#include "stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void marks_add(struct row *row, const struct run *run)
{
    memcpy(&row->marks[(size_t)row->runs * MARKS_MAX], run->marks, sizeof(run->marks));
    row->mark_count = run->mark_count;
}

void marks_settle(struct row *row)
{
    double *live = must_alloc(row->runs, sizeof(double)), *resident = must_alloc(row->runs, sizeof(double));

    for (size_t m = 0; m < row->mark_count; m++) {
        for (unsigned i = 0; i < row->runs; i++) {
            live[i] = (double)row->marks[i * MARKS_MAX + m].live;
            resident[i] = (double)row->marks[i * MARKS_MAX + m].resident;
        }
        stats_sort(live, row->runs);
        stats_sort(resident, row->runs);
        row->marks[m].live = (uint64_t)stats_quantile(live, row->runs, 0.5);
        row->marks[m].resident = (uint64_t)stats_quantile(resident, row->runs, 0.5);
    }
    free(live);
    free(resident);
}

double mark_ratio(const struct mark *mark)
{
    return mark->live > 0 && mark->resident > 0 ? (double)mark->resident / (double)mark->live : NAN;
}
