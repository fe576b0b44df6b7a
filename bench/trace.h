/*
 * trace.h: the trace of a program's allocations; slaballoc-trace(5) has the format.
 *
 * A file is a header and chunks.  A chunk has calls of one thread in their
 * order; what orders the threads are epochs, and the objects themselves: an
 * object is named by the thread that made it and its number there.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_TRACE_H
#define BENCH_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TRACE_VERSION = 1,
    TRACE_HEADER = 4096, /* bytes; also of the command in it, less the fields */
    TRACE_CHUNK_HEADER = 64,
    TRACE_RECORD_MAX = 64, /* no record is longer */
    TRACE_EPOCH_CALLS = 64 /* a thread begins a new epoch every so many calls */
};
#define TRACE_MAGIC "SLATRACE"
#define TRACE_CHUNK_MAGIC "SLCHUNK1"
#define TRACE_OPEN UINT32_MAX /* length of a chunk that was never closed */
#define TRACE_THREADS_MAX (((uint32_t)1 << 24) - 1)
#define TRACE_NUMBER_BITS 40

enum trace_kind {
    TRACE_END, /* zeros are what follows the last record of an open chunk */
    TRACE_MALLOC,
    TRACE_CALLOC,
    TRACE_REALLOC,
    TRACE_REALLOCARRAY,
    TRACE_ALIGNED_ALLOC,
    TRACE_POSIX_MEMALIGN,
    TRACE_MEMALIGN,
    TRACE_VALLOC,
    TRACE_PVALLOC,
    TRACE_FREE,
    TRACE_FREE_SIZED,
    TRACE_FREE_ALIGNED_SIZED,
    TRACE_USABLE_SIZE,
    TRACE_CALLS, /* kinds below are calls */
    TRACE_EPOCH = TRACE_CALLS,
    TRACE_TICK,
    TRACE_THREAD_END,
    TRACE_KINDS
};

/* Which object a call was given. */
enum trace_which { TRACE_OWN, TRACE_NULL, TRACE_FOREIGN, TRACE_UNKNOWN };

/* What a kind of record has, in the order in which it is written. */
enum {
    TRACE_HAS_OBJECT = 1,
    TRACE_HAS_ALIGN = 2,
    TRACE_HAS_COUNT = 4,
    TRACE_HAS_SIZE = 8,
    TRACE_MAKES = 16, /* an object, unless it failed */
    TRACE_TAKES = 32, /* its object is gone after it, unless it failed */
    TRACE_HAS_DELTA = 64,
    TRACE_HAS_TIME = 128
};

static const uint8_t trace_shape[TRACE_KINDS] = {
    [TRACE_MALLOC] = TRACE_HAS_SIZE | TRACE_MAKES,
    [TRACE_CALLOC] = TRACE_HAS_COUNT | TRACE_HAS_SIZE | TRACE_MAKES,
    [TRACE_REALLOC] = TRACE_HAS_OBJECT | TRACE_HAS_SIZE | TRACE_MAKES | TRACE_TAKES,
    [TRACE_REALLOCARRAY] = TRACE_HAS_OBJECT | TRACE_HAS_COUNT | TRACE_HAS_SIZE | TRACE_MAKES | TRACE_TAKES,
    [TRACE_ALIGNED_ALLOC] = TRACE_HAS_ALIGN | TRACE_HAS_SIZE | TRACE_MAKES,
    [TRACE_POSIX_MEMALIGN] = TRACE_HAS_ALIGN | TRACE_HAS_SIZE | TRACE_MAKES,
    [TRACE_MEMALIGN] = TRACE_HAS_ALIGN | TRACE_HAS_SIZE | TRACE_MAKES,
    [TRACE_VALLOC] = TRACE_HAS_SIZE | TRACE_MAKES,
    [TRACE_PVALLOC] = TRACE_HAS_SIZE | TRACE_MAKES,
    [TRACE_FREE] = TRACE_HAS_OBJECT | TRACE_TAKES,
    [TRACE_FREE_SIZED] = TRACE_HAS_OBJECT | TRACE_HAS_SIZE | TRACE_TAKES,
    [TRACE_FREE_ALIGNED_SIZED] = TRACE_HAS_OBJECT | TRACE_HAS_ALIGN | TRACE_HAS_SIZE | TRACE_TAKES,
    [TRACE_USABLE_SIZE] = TRACE_HAS_OBJECT,
    [TRACE_EPOCH] = TRACE_HAS_DELTA,
    [TRACE_TICK] = TRACE_HAS_DELTA | TRACE_HAS_TIME,
};

/* One record, with the numbers as they are and not as they are written. */
struct trace_record {
    enum trace_kind kind;
    enum trace_which object;
    bool failed;     /* the call gave nothing, although it should have */
    uint32_t thread; /* of an object that is FOREIGN */
    uint64_t number; /* of an object that is OWN or FOREIGN */
    uint64_t align, count, size;
    uint64_t delta, micros; /* how many epochs, and microseconds, later */
};

static inline __attribute__((always_inline)) uint8_t *trace_put_number(uint8_t *at, uint64_t value)
{
    while (value >= 128) {
        *at++ = (uint8_t)(value | 128);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

/*
 * Inlined always: where the kind is known, little of it is left.
 *
 * Writes a record where TRACE_RECORD_MAX bytes are free and returns its end.
 * produced is how many objects the thread has made.  The first byte is written
 * last: a process may be killed at any moment, and zero means nothing here.
 */
static inline __attribute__((always_inline)) uint8_t *trace_put(uint8_t *at, const struct trace_record *r,
                                                                uint64_t produced)
{
    uint8_t shape = trace_shape[r->kind];
    uint8_t *start = at++;

    if ((shape & TRACE_HAS_OBJECT) && r->object == TRACE_OWN) {
        at = trace_put_number(at, produced - r->number);
    } else if ((shape & TRACE_HAS_OBJECT) && r->object == TRACE_FOREIGN) {
        at = trace_put_number(trace_put_number(at, r->thread), r->number);
    }
    at = shape & TRACE_HAS_ALIGN ? trace_put_number(at, r->align) : at;
    at = shape & TRACE_HAS_COUNT ? trace_put_number(at, r->count) : at;
    at = shape & TRACE_HAS_SIZE ? trace_put_number(at, r->size) : at;
    at = shape & TRACE_HAS_DELTA ? trace_put_number(at, r->delta) : at;
    at = shape & TRACE_HAS_TIME ? trace_put_number(at, r->micros) : at;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    *start = (uint8_t)((unsigned)r->kind | (unsigned)r->object << 5 | (unsigned)r->failed << 7);
    return at;
}

/* realloc(p, 0) frees: it makes nothing, and that is not a failure. */
static inline bool trace_is_empty_realloc(const struct trace_record *r)
{
    return r->object != TRACE_NULL && (trace_shape[r->kind] & TRACE_TAKES) != 0 &&
           ((r->kind == TRACE_REALLOC && r->size == 0) ||
            (r->kind == TRACE_REALLOCARRAY && (r->size == 0 || r->count == 0)));
}

static inline bool trace_makes(const struct trace_record *r)
{
    return (trace_shape[r->kind] & TRACE_MAKES) != 0 && !r->failed && !trace_is_empty_realloc(r);
}

struct trace_chunk {
    uint32_t thread, sequence;        /* the thread's chunks count from 0 */
    uint32_t capacity;                /* bytes after the header that are this chunk's */
    uint32_t length;                  /* bytes used, or TRACE_OPEN */
    uint64_t produced, epoch, micros; /* of the thread, where the chunk begins */
    uint64_t sum;                     /* of the bytes used; 0 in an open chunk */
};

struct trace_head {
    bool finished; /* by 'record', after the program */
    uint32_t process, header_size;
    uint64_t started; /* seconds since 1970 */
    uint32_t command_length;
    const char *command; /* words, each ended by a zero byte */
};

uint64_t trace_sum(const void *bytes, size_t length);
void trace_put_chunk(uint8_t *at, const struct trace_chunk *chunk); /* TRACE_CHUNK_HEADER bytes */
bool trace_get_chunk(const uint8_t *at, struct trace_chunk *chunk); /* false: no header of a chunk */
void trace_put_head(uint8_t *at, const struct trace_head *head);    /* TRACE_HEADER bytes */
const char *trace_get_head(const uint8_t *at, size_t size,
                           struct trace_head *head); /* NULL, or what is wrong */

/* Reads a chunk's records one by one. */
struct trace_cursor {
    const uint8_t *at, *end;
    uint64_t produced, epoch, micros; /* after the record last read */
};

enum trace_result { TRACE_GOT, TRACE_NO_MORE, TRACE_CUT_OFF, TRACE_BAD };
enum trace_result trace_get(struct trace_cursor *cursor, struct trace_record *record);

extern const char *const trace_kind_name[TRACE_CALLS];

#endif
