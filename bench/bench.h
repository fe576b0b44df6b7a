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
    uint64_t live;    /* bytes held at a time, over all threads; 0: not a matter of this one */
    uint64_t seed;
    uint64_t size_min, size_max; /* of blocks; 0: a distribution of the scenario's own */
    uint64_t producers; /* threads that only allocate, where the others only free; 0: half of them */
    uint64_t plain; /* not 0: malloc alone, where the allocator has more to offer */
};

enum param_unit { UNIT_COUNT, UNIT_BYTES, UNIT_SECONDS };

struct param_info {
    const char *name;
    size_t offset; /* in struct params, of an uint64_t */
    enum param_unit unit;
    uint64_t min, max;
};

enum {
    PARAM_THREADS,
    PARAM_OPS,
    PARAM_SECONDS,
    PARAM_LIVE,
    PARAM_SEED,
    PARAM_SIZE_MIN,
    PARAM_SIZE_MAX,
    PARAM_PRODUCERS,
    PARAM_PLAIN,
    PARAM_COUNT
};
extern const struct param_info param_table[PARAM_COUNT];

/* The value of text in the parameter's unit; false if it is malformed or out of range. */
bool param_parse(const struct param_info *info, const char *text, uint64_t *value);
uint64_t *param_field(struct params *params, const struct param_info *info);

/* "A..B" or "A" in the parameter's unit, A <= B. */
bool param_parse_range(const struct param_info *info, const char *text, uint64_t *low, uint64_t *high);

/* --- scenarios --------------------------------------------------------- */

/* A moment of a run: bytes asked for and held, and resident for them; resident 0: not known. */
enum { MARKS_MAX = 12, MARK_NAME_SIZE = 56 };
struct mark {
    char name[MARK_NAME_SIZE];
    uint64_t live, resident;
};

struct outcome {
    uint64_t ops;   /* calls made */
    uint64_t check; /* a sum over the work done: the same under every allocator */
    uint64_t nanos; /* wall time of the work alone, pauses not counted */
    uint64_t live, rss_live; /* bytes asked for and held at one moment, and resident then for them */
    uint32_t mark_count;
    struct mark marks[MARKS_MAX];
};

struct scenario {
    const char *name;
    const char *summary; /* one line, for --list */
    const char *source;  /* where the pattern comes from */
    bool one_thread;     /* --threads does not apply */
    bool own_sizes;      /* --size does not apply */
    bool producers;      /* --producers applies */
    bool interface;      /* goes beyond malloc where the allocator does: --plain applies, and it is run by name alone */
    bool brief;          /* among those of a run without arguments */
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

/* All that are installed where the loader looks and that are not in the list. */
void alloc_add_installed(struct alloc_list *list);

/* --- child.c: the process that is measured ----------------------------- */

#define CHILD_OPTION "--child"
enum { CHILD_FD = 3 }; /* the file of struct result */

int child_main(int argc, char **argv);

/* What internal jobs run: argv[0] is the kind.  They end with work_fail() or fill outcome. */
void scenario_child(int argc, char **argv, struct outcome *outcome);
void replay_child(int argc, char **argv, struct outcome *outcome);

/* --- commands: argv[0] is the program, options begin at argv[1] --------- */

int program_main(int argc, char **argv);
int record_main(int argc, char **argv);
int replay_main(int argc, char **argv);
int show_main(int argc, char **argv);

/* --- fail.c ------------------------------------------------------------- */

_Noreturn void usage_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void exit_printed(void); /* EXIT_ROW_FAILED if what was printed could not be written */
void *must_alloc(size_t count, size_t size); /* zeroed, never NULL */

#endif
