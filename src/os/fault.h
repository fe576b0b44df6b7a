/* Refused system calls and bigger pages, for the tests; a build without SLA_TESTING compiles them away. */
#ifndef OS_FAULT_H
#define OS_FAULT_H

#include "util/compiler.h"

enum slai_call {
    SLAI_CALL_RESERVE,
    SLAI_CALL_COMMIT,
    SLAI_CALL_PURGE,
    SLAI_CALL_MOVE,
    SLAI_CALL_RELEASE,
    SLAI_CALL_KEY,
    SLAI_CALLS
};

/* after[c] == n: the n-th call from now fails (0: none), and more[c] further ones (-1: all). */
struct slai_fault {
    long after[SLAI_CALLS];
    long more[SLAI_CALLS];
    size_t limit;     /* RESERVE above this many bytes fails; 0: none */
    size_t committed; /* COMMIT beyond this total fails; 0: none (overcommit refusal) */
    size_t seen[SLAI_CALLS];
    int err;
};

extern struct slai_fault slai_fault SLA_HIDDEN;

/* True if this call is to fail; errno is set. */
bool slai_fault_due(enum slai_call call, size_t size);

/* The size of a page, where a test asks for a bigger one than the system's: SLABALLOC_TEST_PAGE in the environment. */
size_t slai_fault_page(size_t asked);

SLA_INLINE bool slai_fault_hit(enum slai_call call, size_t size)
{
    return SLA_TESTING && slai_fault_due(call, size);
}

#endif
