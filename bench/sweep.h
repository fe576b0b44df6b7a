/*
 * sweep.h: a scenario again and again with one parameter growing.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_SWEEP_H
#define BENCH_SWEEP_H

#include "bench.h"

enum { SWEEP_POINTS = 64 };

struct sweep {
    bool on;
    const struct param_info *info; /* threads or live */
    size_t count;
    uint64_t values[SWEEP_POINTS];
};

/* "threads=A..B" or "live=A..B"; what is not ends the program. */
struct sweep sweep_parse(const char *text);

bool sweep_applies(const struct sweep *sweep, const struct scenario *scenario);
bool sweep_default(const struct sweep *sweep, const struct scenario *scenario); /* if none is named */
void sweep_set(const struct sweep *sweep, size_t point, struct params *params);

#endif
