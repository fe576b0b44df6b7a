/*
 * runs.h: runs of the script with system calls refused, and what must be so when the system gives again.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SLABALLOC_TESTS_FAULT_RUNS_H
#define SLABALLOC_TESTS_FAULT_RUNS_H

#include "unit/unit.h"

#include "script.h"

/* One run: which calls are to fail, and how. */
struct plan {
    struct script script;
    enum slai_call call; /* after, more: as in struct slai_fault; SLAI_CALLS: none of that */
    long after, more;
    uint32_t odds, mask;
    uint64_t seed;
    int err;
    enum slai_fault_done done;
    size_t points, first; /* how many calls of each kind to try in points.c, 0: none; the first of them */
};

/* What the runs of this program have seen, in memory that their processes share. */
struct sums {
    size_t seen[SLAI_CALLS], failed[SLAI_CALLS];
    size_t refused, runs, points;
};
extern struct sums *sums;
extern const char *const call_names[SLAI_CALLS];

/* The ways in which a call of the kind may fail; err 0 ends them. */
struct refusal {
    int err;
    enum slai_fault_done done;
};
#define REFUSALS 9
extern const struct refusal refusals[SLAI_CALLS][REFUSALS];

void runs_begin(void);
struct plan runs_plain(void);

/* Runs the plan in a child. */
void runs_require(const struct plan *plan);

/* In a child: no call fails any more. */
void runs_faults_off(void);
/* And adds what slai_fault counted to the sums. */
void runs_count(void);
/* Nothing is held by the program: is all that the system gave accounted for? */
void runs_require_nothing_lost(void);
extern bool runs_no_purge; /* the system was found to lie about it */

/* points.c, in a child: from now on forks at the chosen calls; the fork sees them fail, and ends the script soon. */
void points_begin(const struct plan *plan);
void points_end(void);

/* sites.c */
void sites_add(Suite *suite);

#endif
