/*
 * step.h: runs code one instruction at a time, inside the process.
 *
 * The processor's trap flag makes each instruction of a thread end in SIGTRAP,
 * whose handler calls a function of the test's.  x86-64 on Linux alone; under
 * emulators that do not know the flag nothing is ever stepped.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SLABALLOC_TESTS_LIFE_STEP_H
#define SLABALLOC_TESTS_LIFE_STEP_H

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__) && defined(__linux__)
#define STEP_POSSIBLE 1
#else
#define STEP_POSSIBLE 0
#endif

/* Called after each instruction that was stepped: what comes next, and whether what was before is atomic. */
typedef void step_function(uintptr_t next, int after_atomic);

/* Does stepping work here?  Installs the handler. */
int step_begin(step_function *function);

/* Between these the calling thread is stepped. */
#if STEP_POSSIBLE
/* The red zone is the compiler's; popf sets the flag for what follows the next instruction. */
#define STEP_FLAG(change) \
    __asm__ volatile("lea -128(%%rsp), %%rsp\n\tpushfq\n\t" change ", (%%rsp)\n\tpopfq\n\tlea 128(%%rsp), %%rsp" :: \
                         : "memory", "cc")
static inline __attribute__((always_inline)) void step_on(void) { STEP_FLAG("orq $0x100"); }
static inline __attribute__((always_inline)) void step_off(void) { STEP_FLAG("andq $~0x100"); }
#else
static inline void step_on(void) {}
static inline void step_off(void) {}
#endif

/* How far an instruction is from the start of the program, as addr2line wants it. */
uintptr_t step_offset(uintptr_t next);

#endif
