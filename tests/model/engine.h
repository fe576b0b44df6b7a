/*
 * engine.h: what the checker's own files share.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SLABALLOC_TESTS_MODEL_ENGINE_H
#define SLABALLOC_TESTS_MODEL_ENGINE_H

#include "model.h"

#include <string.h>

enum model_kind {
    MODEL_READ,
    MODEL_WRITE,  /* stores, and all that reads and writes at once */
    MODEL_LOCK,   /* a lock taken in one step: not possible while it is held */
    MODEL_UNLOCK, /* and given up */
    MODEL_POINT,  /* before a plain write, where somebody may fork */
    MODEL_RESUME, /* woken */
    MODEL_CHILD   /* a fork */
};

struct model_op {
    enum model_kind kind;
    uintptr_t word;
};

typedef uint16_t model_clock[MODEL_THREADS];

/* memory.c: what a thread knows. */
struct model_view {
    model_clock now, fence;
};
extern struct model_view model_views[MODEL_THREADS];

/* Is the calling code a thread of a scenario, between its steps? Else memory is just memory. */
extern bool model_concurrent;
extern unsigned model_current;
extern unsigned model_run; /* a number that tells interleavings apart */
extern const struct model_scenario *model_scene;

extern unsigned model_forker; /* the thread that will fork, 0: none will any more */

/* engine.c: the calling thread is about to do this; returns when it is its turn. */
void model_stop(enum model_kind kind, uintptr_t word);
/* One of n outcomes of the step that was just allowed. */
unsigned model_choose(unsigned n);
void model_sleep(uintptr_t word);    /* the calling thread waits for a wake */
void model_wake_one(uintptr_t word); /* one of those that wait */

/* memory.c: values that a word of memory had in this interleaving, races, and undoing. */
uint64_t model_load(uintptr_t p, unsigned size, unsigned parts);
void model_store(uintptr_t p, unsigned size, uint64_t value, unsigned parts);
enum model_rmw { MODEL_SWAP, MODEL_ADD, MODEL_OR, MODEL_AND };
uint64_t model_modify(uintptr_t p, unsigned size, enum model_rmw how, uint64_t value, unsigned parts);
enum model_cas { MODEL_STRONG, MODEL_WEAK, MODEL_IN_ONE_STEP };
/* acquires: also where it fails. */
bool model_cas(uintptr_t p, unsigned size, uint64_t *expected, uint64_t value, unsigned parts, bool acquires,
               enum model_cas how);
void model_fence(unsigned parts);
bool model_futex_is(uintptr_t p, uint32_t value);
void model_plain(uintptr_t p, size_t size, bool write, const void *pc);
void model_know_all(void);     /* a child: nobody else does anything any more */
void model_memory_begin(void); /* a new interleaving */
void model_log(uintptr_t p, size_t size);
size_t model_log_mark(void);
void model_log_undo(size_t mark);
void model_drop_late(void); /* a child is being made: what other threads wrote may be missing */
extern const void *model_pc; /* of the step under way */

bool model_lock_free(uintptr_t word); /* could a lock be taken in one step? */

/* sites.c: which part of the order that the source spells is in force. */
unsigned model_parts(const void *pc, const char *kind, int order);

/* os.c */
void model_os_begin(void);

uint64_t model_peek(uintptr_t p, unsigned size);
bool model_private(uintptr_t p); /* on a stack, or a thread's own */

#endif
