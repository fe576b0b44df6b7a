/*
 * What is called under locks, by its number.  An mmap(), or clock_gettime(), that
 * a preloaded library puts before the C library's may allocate: to count, or only
 * by asking dlsym() for the next one.  So theirs is passed by.
 */
#ifndef OS_SYSTEM_H
#define OS_SYSTEM_H

#include "util/atomic.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

/* A sanitizer's own must know of each mapping; elsewhere the numbers are nobody's business. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAI_ASAN 1
#endif
#endif
#if defined(__linux__) && !defined(SLA_POSIX_ONLY) && !defined(SLAI_TSAN) && !defined(SLAI_ASAN) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__s390__) /* where mmap takes its arguments in memory */
#include <sys/syscall.h>
#include <unistd.h>

#ifdef SYS_mmap2 /* counts in units of 4 KiB, but no file is mapped here */
#define SLAI_SYS_MMAP SYS_mmap2
#else
#define SLAI_SYS_MMAP SYS_mmap
#endif
#define mmap(p, size, access, flags, fd, offset) \
    ((void *)syscall(SLAI_SYS_MMAP, (p), (size_t)(size), (access), (flags), (fd), (long)(offset)))
#define munmap(p, size) syscall(SYS_munmap, (p), (size_t)(size))
#define mprotect(p, size, access) syscall(SYS_mprotect, (p), (size_t)(size), (access))
#define madvise(p, size, advice) syscall(SYS_madvise, (p), (size_t)(size), (advice))
#define mremap(p, old, size, flags, to) \
    ((void *)syscall(SYS_mremap, (p), (size_t)(old), (size_t)(size), (flags), (to)))
#define sched_yield() syscall(SYS_sched_yield)
#ifdef SYS_fcntl /* not where files always had 64 bits */
#define fcntl(fd, command, value) syscall(SYS_fcntl, (fd), (command), (value))
#endif
#ifdef __LP64__ /* elsewhere the C library and the system need not agree on the structs */
#define getrlimit(what, r) syscall(SYS_prlimit64, 0, (what), NULL, (r))
#define clock_gettime(id, t) syscall(SYS_clock_gettime, (id), (t))
#endif
#endif

#endif
