/*
 * support.h: what the black-box tests share.
 *
 * The tests use the public interface alone.  They run with CK_FORK=yes and
 * CK_FORK=no; whatever ends in a signal runs in a child of its own.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SLABALLOC_TESTS_SUPPORT_H
#define SLABALLOC_TESTS_SUPPORT_H

#include <check.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <slaballoc.h>
#include <slaballoc/stats.h>

#if defined(__has_feature)
#define SUPPORT_FEATURE(name) __has_feature(name)
#else
#define SUPPORT_FEATURE(name) 0
#endif
#if defined(__SANITIZE_THREAD__) || SUPPORT_FEATURE(thread_sanitizer)
#define SUPPORT_TSAN 1
#else
#define SUPPORT_TSAN 0
#endif
#if defined(__SANITIZE_ADDRESS__) || SUPPORT_FEATURE(address_sanitizer)
#define SUPPORT_ASAN 1
#else
#define SUPPORT_ASAN 0
#endif

/* Does another program run this one, an emulator or valgrind? */
int support_wrapped(void);

/* Shadow memory, quarantines and what runs us make footprint figures and address-space limits meaningless. */
#define SUPPORT_MEMORY_IS_PLAIN (!SUPPORT_TSAN && !SUPPORT_ASAN && !support_wrapped())

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define KIB ((size_t)1024)
#define MIB ((size_t)1024 * 1024)
#define GIB ((size_t)1024 * 1024 * 1024)
#define SENTINEL_ERRNO 0x5a5a
#define SIZE_BITS ((int)sizeof(size_t) * 8)
/* 2 to the n, n >= 47: more than any address space has; with 32 bits, as many as there are. */
#define BEYOND(n) ((size_t)1 << ((n) < SIZE_BITS ? (n) : SIZE_BITS - 1))

/* Out of the compiler's sight: it warns about, or folds away, the calls that these tests are for. */
extern void *volatile support_sink;
size_t support_size(size_t value);
void *support_pointer(const void *value);

/* How much the tests are to do: SLABALLOC_TEST_LEVEL, which make check-extended and check-soak set. */
enum support_level { SUPPORT_QUICK, SUPPORT_CHECK, SUPPORT_EXTENDED, SUPPORT_SOAK };
enum support_level support_level(void);
#define support_long() (support_level() >= SUPPORT_EXTENDED)
/* The amount for the level, quick being a quarter of check's; less where a sanitizer makes each step dear. */
size_t support_plan(size_t check, size_t extended, size_t soak);
size_t support_scaled(size_t work);

/* A line "ran: ..." for the totals of make check: what, how much, and the seed if there is one. */
void support_ran(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A small generator: same seed, same tests.  SLABALLOC_TEST_SEED replaces every seed, for replay. */
struct support_rng {
    uint64_t state;
};
void support_seed(struct support_rng *rng, uint64_t seed);
/* One generator of many in a test: each has a part of its own, whatever the seed.  What to print is the seed alone. */
void support_seed_part(struct support_rng *rng, uint64_t part);
uint64_t support_seed_number(void);
uint64_t support_next(struct support_rng *rng);
size_t support_below(struct support_rng *rng, size_t bound);
size_t support_random_size(struct support_rng *rng);

/* A pattern that depends on the seed and on each byte's position. */
void support_fill(void *block, size_t size, uint64_t seed);
int support_matches(const void *block, size_t size, uint64_t seed);
int support_is_zero(const void *block, size_t size);

/* A set of live blocks with contents: catches overlap, lost contents and wrong alignment. */
struct support_block {
    unsigned char *start;
    size_t size;
    uint64_t seed;
};
int support_disjoint(const struct support_block *blocks, size_t count);

/* Figures of this process. */
size_t support_rss_kib(void);
size_t support_mappings(void);
double support_seconds(void);
/* Does a large block that grows take its pages along?  Else it is copied, and what was never written is memory then. */
int support_moves_pages(void);

/* In a child, where Check's own assertions cannot be used. */
#define CHILD_REQUIRE(condition) \
    do { \
        if (!(condition)) \
            support_child_fail(__FILE__, __LINE__, #condition); \
    } while (0)
void support_child_fail(const char *file, int line, const char *what) __attribute__((noreturn));

#define SUPPORT_MAIL 8
struct support_child {
    int exited; /* 1: status holds the exit status */
    int status;
    int signal;    /* 0, or the signal that ended the child */
    int timed_out; /* ended by its alarm */
    size_t length; /* of what it wrote to standard error */
    char errors[16384];
    uintptr_t mail[SUPPORT_MAIL]; /* what the child left in support_mail */
};
extern uintptr_t *support_mail;

/* Runs function(arg) in a child process with standard error caught; it exits with 0 by returning. */
void support_run_child(void (*function)(void *arg), void *arg, unsigned seconds,
                       struct support_child *result);

/* Runs this very program again: argv[1] = mode, environment variable name=value (NULL: unset). */
void support_run_self(const char *mode, const char *name, const char *value, struct support_child *result);

/* Text against a pattern where '#' stands for a decimal number. */
int support_like(const char *text, const char *pattern);
/* Is what the child wrote exactly "slaballoc: CALL(0xADDRESS): WHAT\n"?  WHAT may hold '#'. */
int support_reported(const struct support_child *child, const char *call, uintptr_t address,
                     const char *what);

/* Ends of main: runs the suite, prints the totals, gives the exit status. */
int support_main(Suite *suite);

#endif
