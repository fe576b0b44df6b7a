/*
 * bench.h: what the parts of slaballoc-bench share.
 *
 * The tool never links the allocator it measures.  The parent parses options
 * and prints; each run is a new process of the same program (child.c) with
 * the allocator in LD_PRELOAD, so runs share no heap and no state.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROGRAM "slaballoc-bench"

enum { EXIT_ROW_FAILED = 1, EXIT_USAGE = 2 };

/* --- params.c: what a run is asked to do ------------------------------- */

struct params {
    uint64_t threads; /* 0 in defaults: one per processor */
    uint64_t ops;     /* calls of the allocator, over all threads; 0 if millis is given */
    uint64_t millis;  /* run for this long instead */
    uint64_t live;    /* bytes held at a time, over all threads */
    uint64_t seed;
};

enum param_unit { UNIT_COUNT, UNIT_BYTES, UNIT_SECONDS };

struct param_info {
    const char *name;
    size_t offset; /* in struct params, of an uint64_t */
    enum param_unit unit;
    uint64_t min, max;
};

enum { PARAM_THREADS, PARAM_OPS, PARAM_SECONDS, PARAM_LIVE, PARAM_SEED, PARAM_COUNT };
extern const struct param_info param_table[PARAM_COUNT];

/* The value of text in the parameter's unit; false if it is malformed or out of range. */
bool param_parse(const struct param_info *info, const char *text, uint64_t *value);
uint64_t *param_field(struct params *params, const struct param_info *info);

/* --- scenarios --------------------------------------------------------- */

struct outcome {
    uint64_t ops;   /* calls made */
    uint64_t check; /* a sum over the work done: the same under every allocator */
    uint64_t nanos; /* wall time of the work alone */
};

struct scenario {
    const char *name;
    const char *summary; /* one line, for --list */
    const char *source;  /* where the pattern comes from */
    bool one_thread;     /* --threads does not apply */
    struct params defaults;
    void (*run)(const struct params *params, struct outcome *outcome);
};

extern const struct scenario *const scenario_table[]; /* ends in NULL */
const struct scenario *scenario_find(const char *name);

/* The scenario's defaults with those of the user's values (given[i] true) that apply to it. */
struct params scenario_params(const struct scenario *scenario, const struct params *user, const bool *given);

/* --- allocs.c: the allocators compared --------------------------------- */

enum { ALLOC_NAME_MAX = 24 };

struct alloc {
    char name[ALLOC_NAME_MAX + 1];
    char *path; /* NULL: the C library's own */
};

struct alloc_list {
    struct alloc *items;
    size_t count;
};

/* Both end the program with a message and EXIT_USAGE if the library or the name will not do. */
void alloc_add(struct alloc_list *list, const char *name, const char *path);
void alloc_add_spec(struct alloc_list *list, const char *spec); /* NAME=PATH */
void alloc_clear(struct alloc_list *list);

/* The drop-in to measure: option, else $SLABALLOC_LIBRARY, else where it was installed. */
const char *alloc_dropin(const char *option);

/* --- runner.c: one run in one process ---------------------------------- */

struct run {
    bool ok;
    char why[120]; /* if not ok */
    uint64_t ops, check;
    double wall, user, sys; /* seconds */
    double peak;            /* bytes */
};

void runner_init(void);
void runner_run(const struct scenario *scenario, const struct params *params, const struct alloc *alloc,
                unsigned timeout, struct run *run);

/* --- child.c: the process that is measured ----------------------------- */

#define CHILD_OPTION "--child"
enum { CHILD_FD = 3 }; /* where the result goes */

int child_main(int argc, char **argv);

/* --- rows and output.c ------------------------------------------------- */

/* All runs of one scenario under one allocator. */
struct row {
    const struct scenario *scenario;
    const struct alloc *alloc;
    struct params params;
    unsigned runs; /* good ones */
    bool failed;
    char why[120];
    uint64_t check;
    double ops;
    double *wall, *user, *sys, *cpu, *peak, *cost; /* per run; cost is nanoseconds a call */
};

struct output {
    bool csv;
    size_t scenarios;
    const struct alloc_list *allocs; /* ratios refer to the first */
    struct ratios {
        double *time, *peak; /* one per scenario in which both were good */
        size_t count;
    } *ratios; /* per allocator */
};

void output_begin(struct output *out, bool csv, unsigned repeat, size_t scenarios,
                  const struct alloc_list *allocs);
void output_scenario(struct output *out, struct row *rows); /* one row per allocator; sorts their values */
void output_end(struct output *out);

/* --- main.c ------------------------------------------------------------ */

_Noreturn void usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *must_alloc(size_t count, size_t size); /* zeroed, never NULL */

#endif
