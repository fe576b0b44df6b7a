/* Refused system calls and bigger pages, for the tests; a build without SLA_TESTING compiles them away. */
#ifndef OS_FAULT_H
#define OS_FAULT_H

#include "util/atomic.h"

/* Each place in os/ that calls the system, by what it wants (tests/structure/sites.sh). */
enum slai_call {
    SLAI_CALL_RESERVE, /* mmap of address space */
    SLAI_CALL_COMMIT,  /* mprotect */
    SLAI_CALL_RELEASE, /* munmap */
    SLAI_CALL_DROP,    /* madvise: at least the memory behind what was not released */
    SLAI_CALL_AGAIN,   /* munmap of what was refused before */
    SLAI_CALL_RENEW,   /* mmap in place */
    SLAI_CALL_INTACT,  /* mprotect: is there still a mapping after a refused renewal? */
    SLAI_CALL_MEND,    /* mmap, if there is none */
    SLAI_CALL_PURGE,   /* madvise, or the renewal that stands for it */
    SLAI_CALL_PROBE,   /* madvise: does it work at all? */
    SLAI_CALL_MOVE,    /* mremap as the system has it */
    SLAI_CALL_PIECE,   /* mremap */
    SLAI_CALL_REMAP,   /* mmap of its target after a refusal */
    SLAI_CALL_HUGE,    /* madvise about huge pages */
    SLAI_CALL_WAIT,    /* futex, or nanosleep */
    SLAI_CALL_WAKE,    /* futex */
    SLAI_CALL_YIELD,   /* sched_yield */
    SLAI_CALL_KEY,     /* pthread_key_create */
    SLAI_CALL_ARM,     /* pthread_setspecific */
    SLAI_CALL_ATFORK,  /* pthread_atfork */
    SLAI_CALL_LIMIT,   /* getrlimit */
    SLAI_CALL_CLOCK,   /* clock_gettime */
    SLAI_CALL_STDERR,  /* fcntl */
    SLAI_CALL_THREAD,  /* gettid, or pthread_self */
    SLAI_CALL_PAGE,    /* getauxval or sysconf */
    SLAI_CALL_SECURE,  /* getauxval or getuid and the like */
    SLAI_CALLS
};

/* How much a refused call has done all the same. */
enum slai_fault_done {
    SLAI_DONE_NOTHING,
    SLAI_DONE_PART,   /* COMMIT, PURGE: the first half; RENEW, PIECE: the old (target's) mapping is gone */
    SLAI_DONE_CLAIMED /* PURGE, PROBE: nothing, and it says that it succeeded */
};

/*
 * after[c] == n: the n-th call from now fails (0: none), and more[c] further ones (-1: all).
 * odds == n: of the calls of the kinds in `mask` one in n fails, drawn from the seed.
 */
struct slai_fault {
    long after[SLAI_CALLS];
    long more[SLAI_CALLS];
    size_t limit;     /* RESERVE above this many bytes fails; 0: none */
    size_t committed; /* COMMIT beyond this total fails; 0: none (overcommit refusal) */
    size_t seen[SLAI_CALLS];
    size_t failed[SLAI_CALLS];
    uint32_t odds, mask;
    uint64_t seed, drawn;
    bool (*ask)(enum slai_call call, size_t size); /* NULL, or whether this one is to fail */
    uint64_t time; /* not 0: the clock, which a look at it moves on by 1 ms */
    int err;       /* 0: ENOMEM */
    enum slai_fault_done done;
    size_t mapped; /* bytes of address space that RESERVE got and RELEASE, AGAIN did not give back */
};

extern struct slai_fault slai_fault SLA_HIDDEN;

/* True if this call is to fail; errno is set. */
bool slai_fault_due(enum slai_call call, void *p, size_t size);
void slai_fault_map(size_t more, size_t less);

/* The size of a page, where a test asks for a bigger one than the system's: SLABALLOC_TEST_PAGE in the environment. */
size_t slai_fault_page(size_t asked);

/* By how much it is bigger, and a mapping with that much slack: what lies before and behind it is given back. */
size_t slai_fault_slack(void);
void *slai_fault_cut(char *p, size_t size, size_t slack);

SLA_INLINE bool slai_fault_hit(enum slai_call call, void *p, size_t size)
{
    return SLA_TESTING && slai_fault_due(call, p, size);
}

/* A system call: what it gives, or `refused` where the tests want it to fail. p, size: what it is about. */
#define SLAI_CALL(name, p, size, refused, call) (slai_fault_hit(SLAI_CALL_##name, p, size) ? (refused) : (call))

/* What a refused madvise() says. */
SLA_INLINE int slai_fault_word(void) { return SLA_TESTING && slai_fault.done == SLAI_DONE_CLAIMED ? 0 : -1; }

/* The time, as the system has it or as the tests do. */
SLA_INLINE uint64_t slai_fault_clock(uint64_t now)
{
    return SLA_TESTING && slai_fault.time != 0 ? slai_add_relaxed(&slai_fault.time, 1) : now;
}

/* Counts address space. */
SLA_INLINE void slai_fault_mapped(size_t more, size_t less)
{
    if (SLA_TESTING)
        slai_fault_map(more, less);
}

#endif
