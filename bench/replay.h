/*
 * replay.h: the plan of a replay: what replay.c makes of a trace, once, and
 * each measured process carries out.
 *
 * A plan has a stream of steps for each thread, in chunks, so that the process
 * needs a small buffer a thread and a pointer for each live block.  It is a
 * file without a name, of this program for itself.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_REPLAY_H
#define BENCH_REPLAY_H

#include "trace_file.h"

enum touch { TOUCH_NONE, TOUCH_PAGES, TOUCH_ALL };

/* Steps that are not calls; numbers above those of trace_kind. */
enum plan_step {
    PLAN_CHUNK_END = 0,
    PLAN_MARK = TRACE_KINDS, /* all threads meet, and what is live is counted */
    PLAN_WAIT,               /* for a thread to have made so many calls */
    PLAN_SPAWN,
    PLAN_JOIN
};

/* Bits of a step that is a call. */
enum { PLAN_STEP = 31, PLAN_NULL = 32, PLAN_FAILED = 64, PLAN_HELD = 128 };

enum { PLAN_CHUNK = 16384, PLAN_STEP_MAX = 80 };
#define PLAN_NO_CHUNK UINT32_MAX

struct plan_counts {
    uint64_t calls[TRACE_CALLS];
    uint64_t peak;  /* bytes asked for and live, at most */
    uint64_t final; /* at the end */
};

struct plan_head {
    uint64_t threads, marks, slots, chunks;
    uint64_t tables; /* offset of expected[marks], first[threads], and chunks */
    uint64_t touch;
    struct plan_counts wanted;
    /* Written by the last process that carried it out. */
    uint64_t runs;
    struct plan_counts seen;
};

struct plan_chunk {
    uint64_t offset;
    uint32_t length;
    uint32_t next; /* of the same thread, or PLAN_NO_CHUNK */
};

/* Writes the plan of a trace; NULL, or what is wrong. */
const char *plan_write(int fd, const struct trace_file *file, enum touch touch);

#endif
