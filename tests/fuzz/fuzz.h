/*
 * fuzz.h: bytes as a program of calls, and the model of what they must do.
 *
 * fuzz_run() reads bytes as operations on the whole public interface.  The
 * model beside it knows each live block: where it is, what it holds, whose it
 * is; so every answer of the library is known beforehand, or its range is.  The
 * interpreter moves from thread to thread at the bytes' command, one at a time:
 * the same bytes give the same calls.  Whatever is not as the model has it ends
 * the process by fuzz_fail().
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SLABALLOC_TESTS_FUZZ_H
#define SLABALLOC_TESTS_FUZZ_H

#include <errno.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <slaballoc.h>
#include <slaballoc/cache.h>
#include <slaballoc/heap.h>
#include <slaballoc/stats.h>

#define FUZZ_BLOCKS 16384
#define FUZZ_HEAPS 6
#define FUZZ_CACHES 6
#define FUZZ_THREADS 4 /* the first is the one that calls fuzz_run() */
#define FUZZ_DEPTH 64  /* of a thread's pushed heaps */
#define FUZZ_BATCH 96
#define FUZZ_ERRNO 0x5a5a
#define FUZZ_PAGE ((size_t)65536)

#define FUZZ_REQUIRE(condition) \
    do { \
        if (__builtin_expect(!(condition), 0)) \
            fuzz_fail(__FILE__, __LINE__, #condition); \
    } while (0)
void fuzz_fail(const char *file, int line, const char *what) __attribute__((noreturn));
#define FUZZ_EQUAL(left, right) \
    do { \
        if (__builtin_expect((left) != (right), 0)) \
            fuzz_differ(__FILE__, __LINE__, #left " == " #right, (left), (right)); \
    } while (0)
void fuzz_differ(const char *file, int line, const char *what, size_t left, size_t right) __attribute__((noreturn));

struct fuzz_block {
    unsigned char *start;
    size_t size;   /* what the program may count on, and what has the pattern: from skip on */
    size_t skip;   /* bytes at the start that are not the pattern's */
    size_t usable; /* what the library says it has */
    size_t takes;  /* what the statistics count for it */
    size_t align;
    uint64_t seed;
    struct fuzz_heap *heap;   /* NULL: the default one */
    struct fuzz_cache *cache; /* NULL: no object */
    uint32_t place;           /* in fuzz.live */
};

enum fuzz_kind { FUZZ_PLAIN, FUZZ_BOTH, FUZZ_MADE, FUZZ_ENDED, FUZZ_OWNING, FUZZ_KINDS };

struct fuzz_cache {
    sla_cache_t *handle; /* NULL: the place is empty */
    enum fuzz_kind kind; /* which callbacks it has; OWNING: objects have a block of their own */
    size_t size, stride, align;
    unsigned flags;
    uint64_t mark;
    char name[40];
    size_t live, made, gone;    /* objects allocated; constructor calls that succeeded, destructor calls */
    size_t limit, most, bytes;  /* as set; bytes there may be; as last seen */
    unsigned refuse_in;         /* the so many-th constructor call from now fails */
    int refuse_with;
    bool refused, asked;        /* since the call began: a constructor failed, reclaim was called */
    unsigned reclaims;          /* objects that reclaim frees at a time; 0: none is set */
};

struct fuzz_heap {
    sla_heap_t *handle;
    char name[40];
    size_t live, blocks;
    size_t limit, soft, most, bytes;
    bool lent, puts;      /* has page functions; and a put */
    size_t chunk, provided, chunks;
    unsigned deny_in;     /* the so many-th call of get from now fails */
    bool denied, pressed; /* since the call began */
    unsigned yields;      /* blocks that pressure frees at a time */
    unsigned pushed;
};

enum fuzz_order { FUZZ_GO_ON, FUZZ_BE_IDLE, FUZZ_END };

struct fuzz_thread {
    sem_t baton;
    enum fuzz_order order; /* what to do with the baton */
    bool alive, used;    /* used: has called the library since it last was idle */
    unsigned late;       /* operations in its destructor */
    unsigned depth;
    struct fuzz_heap *pushed[FUZZ_DEPTH];
};

struct fuzz {
    /* the input */
    const uint8_t *at, *end;
    uint64_t dice;       /* for what is no choice of the input's: patterns, who is freed by a callback */
    unsigned mode;       /* which operations are left out */
    size_t live_most, bytes_most, size_most, whole; /* whole: blocks up to this size are looked at byte by byte */
    unsigned threads;    /* how many it may use */

    /* the model */
    uint32_t current;    /* thread */
    uint32_t live_count, spare_count;
    uint32_t live[FUZZ_BLOCKS], spare[FUZZ_BLOCKS];
    struct fuzz_block blocks[FUZZ_BLOCKS];
    struct fuzz_heap heaps[FUZZ_HEAPS];
    struct fuzz_cache caches[FUZZ_CACHES];
    struct fuzz_thread thread[FUZZ_THREADS];
    int ended;           /* a thread that is to be joined, or -1 */
    size_t bytes;        /* of all live blocks, as the statistics count them */
    size_t inner;        /* of it: blocks that constructors have made */
    size_t base;         /* what was live before the input */
    uint64_t serial;

    /* what happened */
    const char *doing;
    uint64_t ops, input_ops, checks, inputs, counted;
    unsigned check_every;
};
extern struct fuzz fuzz;

/* --- fuzz.c: the interpreter --- */
/* Runs one input; ends with nothing live.  check_every: operations between two looks at the heap's invariants. */
void fuzz_run(const uint8_t *bytes, size_t size, unsigned check_every);
void fuzz_loop(void); /* in each thread: operations until the bytes are used up */
void fuzz_check_heap(void);

static inline bool fuzz_more(void) { return fuzz.at < fuzz.end; }
static inline unsigned fuzz_byte(void) { return fuzz.at < fuzz.end ? *fuzz.at++ : 0; }
static inline unsigned fuzz_word(void)
{
    unsigned low = fuzz_byte();
    return low | fuzz_byte() << 8;
}
/* Not of the input. */
static inline uint64_t fuzz_random(void)
{
    fuzz.dice = fuzz.dice * 0x5851f42d4c957f2du + 0x14057b7ef767814fu;
    return fuzz.dice >> 17;
}
static inline struct fuzz_thread *fuzz_self(void) { return &fuzz.thread[fuzz.current]; }
static inline struct fuzz_heap *fuzz_current_heap(void)
{
    struct fuzz_thread *t = fuzz_self();
    return t->depth > 0 ? t->pushed[t->depth - 1] : NULL;
}
static inline sla_heap_t *fuzz_handle(const struct fuzz_heap *heap) { return heap != NULL ? heap->handle : NULL; }
/* A call failed, and this is why. */
static inline void fuzz_refused(int error)
{
    FUZZ_REQUIRE(errno == error);
    errno = FUZZ_ERRNO;
}

/* --- shadow.c: which bytes are in live blocks --- */
void fuzz_shadow_add(const void *start, size_t size);    /* none of them may be */
void fuzz_shadow_remove(const void *start, size_t size); /* all of them must be */
bool fuzz_shadow_clear(const void *start, size_t size);  /* is none of them? */

/* --- contents.c: the patterns --- */
void fuzz_paint(struct fuzz_block *b); /* anew */
void fuzz_verify(const struct fuzz_block *b, size_t upto);
void fuzz_require_zero(const unsigned char *bytes, size_t from, size_t to);

/* --- model.c: live blocks --- */
struct fuzz_block *fuzz_spare(void);                             /* a place for one more; there always is one */
void fuzz_unspare(struct fuzz_block *b);                         /* the call failed: the place is free again */
void fuzz_begin(struct fuzz_block *b, void *start, size_t size); /* it is live: heap, cache, align are set already */
void fuzz_end(struct fuzz_block *b);                             /* before it is freed */
void fuzz_enter(struct fuzz_block *b, void *start, size_t size); /* as begin and end, where contents and place stay: */
void fuzz_leave(struct fuzz_block *b);                           /* around calls that resize */
struct fuzz_block *fuzz_choose(void); /* a live one by the input's choice; NULL: there is none */
struct fuzz_block *fuzz_find(bool (*fits)(const struct fuzz_block *b, const void *arg), const void *arg);
void fuzz_release(struct fuzz_block *b); /* frees it, by a call that its kind allows */
void fuzz_count_heap(struct fuzz_heap *heap, size_t bytes, bool more);

/* The live blocks of a heap or cache, by address, to be ticked off by visitors. */
struct fuzz_tally {
    size_t count, seen;
    unsigned stop_after, frees;
    uint32_t ids[FUZZ_BLOCKS];
    bool ticked[FUZZ_BLOCKS];
};
extern struct fuzz_tally fuzz_tally;
void fuzz_tally_begin(const struct fuzz_heap *heap, const struct fuzz_cache *cache);
struct fuzz_block *fuzz_tally_tick(const void *start);

/* --- the operations, one each; ordered as in ops.h --- */
#define FUZZ_OP(name, weight, mode) void fuzz_op_##name(void);
#include "ops.h"
#undef FUZZ_OP

/* --- blocks.c --- */
size_t fuzz_size(void); /* by the input's choice */
bool fuzz_may_refuse(struct fuzz_heap *heap, size_t size); /* has this heap a right to refuse so much? */
void fuzz_call_begin(struct fuzz_heap *heap);              /* before a call that allocates there */

/* --- objects.c --- */
void fuzz_object_free(struct fuzz_block *b, unsigned how);
void fuzz_cache_end(struct fuzz_cache *c); /* with nothing allocated */
void fuzz_caches_check_kept(const size_t *gone);
void fuzz_caches_gone(size_t *gone);

/* --- heaps.c --- */
void fuzz_heap_end(struct fuzz_heap *h); /* whatever is in it */
void fuzz_heap_look(struct fuzz_heap *h, sla_heap_stats_t *st, bool exact);

/* --- threads.c --- */
void fuzz_threads_settle(void); /* the statistics of other threads are exact after it */
void fuzz_threads_end(void);
void fuzz_to_main(void);

/* --- control.c --- */
void fuzz_control_begin(void);
void fuzz_stats_check(void);
void fuzz_silence(bool quiet); /* standard error goes nowhere */

#endif
