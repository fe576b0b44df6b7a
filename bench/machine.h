/*
 * machine.h: what figures are worth quoting with.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include <stdint.h>

struct machine {
    char system[200], processor[100], libc[60];
    long processors;
    uint64_t memory; /* bytes */
};

struct machine machine_look(void);

#endif
