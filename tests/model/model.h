/*
 * model.h: the checker's face to its scenarios.
 *
 * The library's own source runs in coroutines, and whatever it does to memory
 * comes by here, as it is compiled with -fsanitize=thread and the functions that
 * such code calls are ours.  README.md tells what is explored.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SLABALLOC_TESTS_MODEL_MODEL_H
#define SLABALLOC_TESTS_MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_THREADS 4 /* 0 sets up and judges; 1 to 3 are the scenario's */

#define MODEL_LONG 2 /* a level of work: SUPPORT_EXTENDED */

enum model_flags {
    MODEL_REAL_LOCKS = 1, /* each step of a lock is seen; else a lock is taken when it is free, in one step */
    MODEL_SPURIOUS = 2,   /* one weak compare-and-swap an interleaving may fail for nothing */
    MODEL_FORK = 4,       /* thread 1 forks: the others may be stopped at any write of theirs */
    MODEL_ALONE = 8       /* the process has one thread, as far as the library is told */
};

struct model_scenario {
    const char *name;
    unsigned flags;
    void (*setup)(void);                    /* once; what it did is undone at the end */
    void (*body[MODEL_THREADS - 1])(void);  /* NULL: no such thread. Called anew for each interleaving */
    void (*judge)(void);                    /* when all have ended; by thread 0 */
    unsigned level;                         /* least level of work at which it is run */
    unsigned bound;                         /* 0: all interleavings; else those with so many preemptions at most */
};

struct model_result {
    unsigned long runs;   /* interleavings run to their end, */
    unsigned long pruned; /* and those that were found to be like others on the way */
    unsigned long steps;
    bool complete;        /* there are no others */
    bool violated;
    char what[600];
};

/* Explores until the end, a violation or that many runs. Was there none? */
bool model_explore(const struct model_scenario *scenario, unsigned long most, struct model_result *result);

/* For set-ups and judges: runs what in the place of thread t. */
void model_as(unsigned t, void (*what)(void));
unsigned model_self(void);

/* The calling thread becomes the only one of a child; the others stay where they were. */
void model_fork(void);

/* Ends the interleaving: something is wrong. */
void model_violation(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
#define MODEL_REQUIRE(condition) \
    do { \
        if (!(condition)) \
            model_violation("%s:%d: not so: %s", __FILE__, __LINE__, #condition); \
    } while (0)

/* --- places in the source where an atomic operation stands --- */

enum model_part { MODEL_ACQUIRE = 1, MODEL_RELEASE = 2 };

struct model_site {
    const char *name; /* "cache/remote.c:24", */
    const char *text; /* and the line itself */
    const char *kind; /* load, store, rmw, cas, fence */
    unsigned parts;   /* of its order: bits of model_part */
};

/* Those that were seen so far, by name. 0: the tool that names them is missing. */
size_t model_sites(struct model_site **sites, size_t most);
/* Did the scenario with that number come by there? The number is what the caller says before it explores. */
extern unsigned model_number;
bool model_visits(unsigned scene, const struct model_site *site);
/* Leaves these parts out of its order from now on; 0: nothing. A place that was not seen yet stays as it is. */
void model_weaken(const struct model_site *site, unsigned drop);
const char *model_where(const void *pc);

/* What the library registered with the system. */
extern void (*model_fork_handlers[3])(void);
extern void (*model_thread_end)(void *value);
extern void *model_armed[MODEL_THREADS];

#endif
