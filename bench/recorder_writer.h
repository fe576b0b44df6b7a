/*
 * recorder_writer.h: the writers of the recorder, and the paths of every call.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_RECORDER_WRITER_H
#define BENCH_RECORDER_WRITER_H

#include "trace.h"

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* --- names of objects, by address ---------------------------------------- */

/*
 * An entry for each 16 bytes: (thread + 1) << 40 | number, or 0.  No two
 * objects begin in the same 16 bytes, because next is asked for 16 at least.
 */
enum { GRAIN_BITS = 4, LEAF_BITS = 16, INNER_BITS = 14, ROOT_BITS = 14, SMALLEST = 16 };
extern uint64_t **recorder_root[(size_t)1 << ROOT_BITS];

/* Puts new pages at *at, unless another thread was first. */
void *recorder_grow_map(void **at, size_t bytes);

/* The entry of an address; NULL if there is none, and none could be or was to be made. */
static inline __attribute__((always_inline)) uint64_t *entry_of(const void *block, bool make)
{
    uintptr_t grain = (uintptr_t)block >> GRAIN_BITS;
    uintptr_t top = grain >> LEAF_BITS >> INNER_BITS;

    if (UNLIKELY(top >> ROOT_BITS != 0)) {
        return NULL;
    }
    uint64_t **inner = __atomic_load_n(&recorder_root[top], __ATOMIC_ACQUIRE);
    if (UNLIKELY(inner == NULL)) {
        inner = make ? recorder_grow_map((void **)(void *)&recorder_root[top], sizeof(void *) << INNER_BITS)
                     : NULL;
        if (inner == NULL) {
            return NULL;
        }
    }
    uint64_t **at = &inner[(grain >> LEAF_BITS) & (((uintptr_t)1 << INNER_BITS) - 1)];
    uint64_t *leaf = __atomic_load_n(at, __ATOMIC_ACQUIRE);
    if (UNLIKELY(leaf == NULL)) {
        leaf = make ? recorder_grow_map((void **)(void *)at, sizeof(uint64_t) << LEAF_BITS) : NULL;
        if (leaf == NULL) {
            return NULL;
        }
    }
    return &leaf[grain & (((uintptr_t)1 << LEAF_BITS) - 1)];
}

/* --- the writers: one a thread -------------------------------------------- */

struct writer {
    _Alignas(128) uint8_t *at; /* threads share no cache line */
    uint8_t *end;              /* leaves room for a call and a tick; both NULL: no chunk */
    uint64_t produced, epoch, micros;
    uint8_t *chunk;
    struct trace_chunk header;
    uint32_t calls;
    bool busy;  /* in a call: what happens inside, or in a signal handler, is not noted */
    bool there; /* false: wiped by a fork that ran no handlers */
    unsigned rounds;
    struct writer *next_free;
};

extern __thread struct writer *recorder_self __attribute__((tls_model("initial-exec")));
extern struct writer recorder_nobody; /* of a thread that is not recorded */
extern uint64_t recorder_epoch;
extern uint32_t recorder_first_thread; /* of this process: others' objects are unknown */

/* A line on stderr; error 0: none. */
void recorder_say(const char *what, int error);
void recorder_begin(void);
struct writer *recorder_start_thread(void);
bool recorder_next_chunk(struct writer *w); /* false: recording has ended */
void recorder_put_tick(struct writer *w);
void recorder_end_epoch(struct writer *w);

/* NULL: this call is not to be noted. */
static inline struct writer *enter(void)
{
    struct writer *w = recorder_self;

    if (UNLIKELY(w == NULL)) {
        w = recorder_start_thread();
    }
    if (UNLIKELY(w->busy)) {
        return NULL;
    }
    w->busy = true;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return w;
}

static inline void leave(struct writer *w)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    w->busy = false;
}

static inline void put_epoch(struct writer *w)
{
    uint64_t now = __atomic_load_n(&recorder_epoch, __ATOMIC_RELAXED);

    if (UNLIKELY(w->calls++ % TRACE_EPOCH_CALLS == 0)) {
        recorder_put_tick(w);
    } else if (UNLIKELY(now != w->epoch)) {
        const struct trace_record seen = {.kind = TRACE_EPOCH, .delta = now - w->epoch};
        w->at = trace_put(w->at, &seen, w->produced);
        w->epoch = now;
    }
}

/* --- noting a call --------------------------------------------------------- */

/* Whose object this is, which from now on is nobody's if take. */
static inline __attribute__((always_inline)) uint64_t find_object(const void *block, bool take)
{
    uint64_t *entry = block == NULL ? NULL : entry_of(block, false);
    uint64_t name = entry == NULL ? 0 : *entry;

    if (name != 0 && take) {
        *entry = 0;
    }
    return name;
}

static inline __attribute__((always_inline)) void set_object(const void *block, uint64_t name)
{
    uint64_t *entry = entry_of(block, true);

    if (LIKELY(entry != NULL)) {
        *entry = name;
    }
}

static inline __attribute__((always_inline)) void
name_object(struct trace_record *record, const struct writer *w, const void *block, uint64_t name)
{
    uint32_t thread = (uint32_t)(name >> TRACE_NUMBER_BITS) - 1;

    record->number = name & (((uint64_t)1 << TRACE_NUMBER_BITS) - 1);
    if (block == NULL) {
        record->object = TRACE_NULL;
    } else if (name == 0 || thread < recorder_first_thread) {
        record->object = TRACE_UNKNOWN;
    } else if (thread == w->header.thread) {
        record->object = TRACE_OWN;
    } else {
        record->object = TRACE_FOREIGN;
        record->thread = thread;
    }
}

/* Writes the record, and names the object that the call made. */
static inline __attribute__((always_inline)) void
put_call(struct writer *w, const struct trace_record *record, const void *made)
{
    if (UNLIKELY(w->at >= w->end) && !recorder_next_chunk(w)) {
        recorder_self = &recorder_nobody;
        return;
    }
    put_epoch(w);
    w->at = trace_put(w->at, record, w->produced);
    if (made != NULL) {
        set_object(made, (uint64_t)(w->header.thread + 1) << TRACE_NUMBER_BITS | w->produced++);
    }
}

/* The end of a call that makes an object.  w is what enter gave. */
static inline __attribute__((always_inline)) void
note_made(struct writer *w, const struct trace_record *record, const void *made)
{
    if (LIKELY(w != NULL)) {
        put_call(w, record, made);
        leave(w);
    }
}

/* The begin of a call that is given an object; leave(w) ends it, unless w is NULL. */
static inline __attribute__((always_inline)) struct writer *note_given(struct trace_record *record,
                                                                       const void *block, bool take)
{
    struct writer *w = enter();

    if (LIKELY(w != NULL)) {
        name_object(record, w, block, find_object(block, take));
        put_call(w, record, NULL);
        if (UNLIKELY(!take && record->object == TRACE_FOREIGN)) {
            recorder_end_epoch(w); /* whoever takes the object later does so in a later epoch */
        }
    }
    return w;
}

#endif
