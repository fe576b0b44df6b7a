/*
 * scenarios.h: the scenarios, one file each.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_SCENARIOS_H
#define BENCH_SCENARIOS_H

#include "bench.h"

extern const struct scenario scenario_large;
extern const struct scenario scenario_multi;
extern const struct scenario scenario_single;
extern const struct scenario scenario_stress;

#endif
