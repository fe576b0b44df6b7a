/*
 * parts.h: the script's steps that need state of their own: object caches, heaps, threads.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SLABALLOC_TESTS_FAULT_PARTS_H
#define SLABALLOC_TESTS_FAULT_PARTS_H

#include "script.h"

extern struct support_rng script_rng;
extern struct script_tally script_tally;

/* What an allocation promises: p, and errno as it was, or ENOMEM. */
int script_got(const void *p);
void script_sound(void);

void parts_cache(void);  /* a step with an object cache */
void parts_heap(void);   /* with a heap, perhaps on lent memory */
void parts_thread(void); /* a thread is born, works and ends */
void parts_worker(void); /* a thread that stays allocates and frees, also what others allocated */
void parts_forget(void); /* in a fork child */
void parts_end(void);

#endif
