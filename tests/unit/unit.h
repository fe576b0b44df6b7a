/*
 * unit.h: what the white-box tests share.
 *
 * These look inside: they include internal headers and link the debug twin.
 * With CK_FORK=no all tests of a program share one heap, so a test leaves the
 * options, the injected faults and standard error as it found them, and does
 * not take the heap for a fresh one.  Tests that need a fresh one run this
 * program again, by support_run_self().
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SLABALLOC_TESTS_UNIT_H
#define SLABALLOC_TESTS_UNIT_H

#include "support.h"

#include "api/api.h"
#include "cache/thread.h"
#include "heap/check.h"
#include "heap/pageheap.h"
#include "os/fault.h"
#include "util/conf.h"

#include <pthread.h>
#include <stdatomic.h>

/* A test case whose tests begin with the library set up and no purging, and end with the heap checked. */
TCase *unit_case(Suite *suite, const char *name);

/* What unit_case() does around each test, for programs that run a mode of their own. */
void unit_begin(void);
void unit_end(void);

/* Every call c fails from the n-th on. */
void unit_refuse(enum slai_call c, long n);
void unit_no_faults(void);

/* Catches standard error, from unit_catch() until unit_caught(), which gives the text. */
void unit_catch(void);
const char *unit_caught(void);

/* Nothing cached by this thread and no dirty page: what a test frees then stands alone. */
void unit_tidy(void);

/* As sla_thread_idle(); and where the system does not say that there is one thread only, so that small batches are lent
   from slabs of the depot, gives up those that the depot keeps. */
void unit_idle(void);

#define unit_sound() ck_assert_msg(slai_check_heap() == NULL, "heap: %s", slai_check_heap())

/* For long loops: Check writes a message for each assertion of its own. */
#define UNIT_QUICK(condition) \
    do { \
        if (!(condition)) \
            ck_abort_msg("not so: %s", #condition); \
    } while (0)

/* The child ended by the panic line or misuse report `line` (without prefix; '#' a number) and SIGABRT. */
int unit_aborted(const struct support_child *child, const char *line);

/* Threads that go step by step: each waits for its turn, a number that only grows. */
struct unit_turn {
    _Atomic int now;
};
void unit_await(struct unit_turn *turn, int number);
void unit_pass(struct unit_turn *turn);

void unit_thread(pthread_t *thread, void *(*function)(void *), void *arg);
void unit_join(pthread_t thread);
/* Runs function(arg) to its end in a thread of its own. */
void unit_in_thread(void *(*function)(void *), void *arg);

/* In a thread of ours, where Check's assertions do not work: unit_join() passes the first failure on. */
#define UNIT_EXPECT(condition) \
    do { \
        if (!(condition)) \
            unit_failed(__FILE__, __LINE__, #condition); \
    } while (0)
void unit_failed(const char *file, int line, const char *what);
#define UNIT_EXPECT_SOUND() UNIT_EXPECT(slai_check_heap() == NULL)

/* ms by the monotonic clock. */
void unit_sleep(unsigned ms);

sla_stats_t unit_stats(void);

#endif
