/*
 * trace_file.h: a trace as a whole: its chunks, and its calls in one order.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_TRACE_FILE_H
#define BENCH_TRACE_FILE_H

#include "trace.h"

/* --- trace_file.c ------------------------------------------------------- */

struct trace_span {
    struct trace_chunk chunk;
    const uint8_t *payload;
    size_t length; /* of what is there: an open chunk's has zeros at its end */
};

struct trace_file {
    const uint8_t *bytes;
    size_t size;
    bool mapped;
    struct trace_head head;
    struct trace_span *spans; /* by thread and sequence */
    size_t span_count, thread_count;
    size_t open_chunks;    /* of a program that was killed, or is still running */
    bool cut_off;          /* the end of the file is missing */
    size_t damaged;        /* places where the bytes are not what was written */
    size_t damaged_offset; /* the first of them */
};

/* NULL, or why it is no trace.  bytes must live as long as the file. */
const char *trace_parse(struct trace_file *file, const uint8_t *bytes, size_t size);
const char *trace_open(struct trace_file *file, const char *path);
void trace_close(struct trace_file *file);

/* Says on stderr what is missing of it.  False if it is damaged: not merely that of a program that was
 * killed. */
bool trace_report(const struct trace_file *file, const char *path);

/* Writes the trace anew, without the room left in its chunks and with their sums; NULL, or what failed. */
const char *trace_finish(const char *path, uint64_t *calls, uint64_t *bytes);

/* --- trace_order.c ------------------------------------------------------ */

/* An object that lives where the order has got to. */
struct trace_live {
    uint64_t key; /* 0: this place in the table is empty */
    uint64_t size;
    uint64_t birth_call, birth_bytes, birth_micros;
    uint64_t last_call; /* in its thread, of the last call that was given this object or made it */
    uint32_t thread, last_thread;
    uint32_t slot; /* for the user of the order */
};

struct trace_thread {
    uint32_t id;
    size_t span, span_end;
    struct trace_cursor cursor;
    struct trace_record next;
    bool more;     /* next is there */
    uint64_t made; /* objects, before next */
    uint64_t calls;
    size_t heap_at;
};

/* One call, in an order in which the program could have made all of them. */
struct trace_event {
    size_t thread; /* index in order->threads */
    struct trace_record record;
    uint64_t bytes;           /* asked for */
    bool known;               /* the object is one that the trace has made */
    bool taken;               /* and is gone now */
    struct trace_live object; /* as it was before this call */
    struct trace_live *held;  /* the same, if it still lives; until the next event */
    struct trace_live *made;  /* the new object; until the next event */
    uint64_t call;            /* calls before this one, */
    uint64_t thread_call;     /* and of this thread */
};

struct trace_order {
    const struct trace_file *file;
    struct trace_thread *threads;
    size_t thread_count;
    size_t *heap, heap_count; /* of threads with more, by epoch */
    struct trace_live *table;
    size_t table_size, live; /* objects */
    uint64_t calls;
    uint64_t live_bytes, peak_bytes, peak_live, peak_call; /* peak_call: calls made when it was reached */
    uint64_t total_bytes;                                  /* asked for so far */
    uint64_t micros;
    size_t unknown; /* calls with an object that is not in the trace */
    size_t broken;  /* chunks with a record that makes no sense */
};

void trace_order_begin(struct trace_order *order, const struct trace_file *file);
bool trace_order_next(struct trace_order *order, struct trace_event *event);
void trace_order_end(struct trace_order *order);

#endif
