/*
 * step.c: runs code one instruction at a time, inside the process.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* the registers in a signal's context */
#endif
#include "life/step.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>

#if STEP_POSSIBLE

static step_function *watcher;
static __thread uintptr_t previous;

extern char __executable_start[];
extern char etext[];

uintptr_t step_offset(uintptr_t next) { return next - (uintptr_t)__executable_start; }

static int in_program(uintptr_t address)
{
    return address >= (uintptr_t)__executable_start && address < (uintptr_t)etext;
}

/* A LOCK prefix, or an exchange with memory, which needs none. */
static int is_atomic(uintptr_t address)
{
    const unsigned char *code = (const unsigned char *)address;
    if (!in_program(address))
        return 0;
    if (*code == 0xf0)
        return 1;
    if (*code == 0x66)
        code++;
    if (*code == 0xf0)
        return 1;
    if ((*code & 0xf0) == 0x40)
        code++;
    return (*code == 0x86 || *code == 0x87) && (code[1] & 0xc0) != 0xc0;
}

static void on_trap(int number, siginfo_t *info, void *context)
{
    ucontext_t *at = context;
    uintptr_t next = (uintptr_t)at->uc_mcontext.gregs[REG_RIP], before = previous;
    int saved = errno;
    (void)number;
    (void)info;
    previous = next;
    if (in_program(next))
        watcher(next, is_atomic(before));
    errno = saved;
}

static volatile int tried;
static void count_one(uintptr_t next, int after_atomic)
{
    (void)next;
    (void)after_atomic;
    tried++;
}

int step_begin(step_function *function)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_sigaction = on_trap;
    action.sa_flags = SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGTRAP, &action, NULL) != 0)
        return 0;
    watcher = count_one;
    step_on();
    __asm__ volatile("nop\n\tnop\n\tnop");
    step_off();
    watcher = function;
    return tried >= 3;
}

#else

uintptr_t step_offset(uintptr_t next) { return next; }
int step_begin(step_function *function)
{
    (void)function;
    return 0;
}

#endif
