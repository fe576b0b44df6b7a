/*
 * The contract with the operating system.  Common to all calls: addresses and
 * sizes are multiples of slai_os_page(); size is not 0; no call allocates from
 * the heap; failure is NULL or false with errno set, and one line on standard
 * error when the verbose option asks for it.
 */
#ifndef OS_OS_H
#define OS_OS_H

#include "util/atomic.h"
#include "util/conf.h"

#ifdef __GLIBC__
#if __GLIBC_PREREQ(2, 32)
#include <sys/single_threaded.h>
#define SLAI_OS_KNOWS_THREADS 1
#endif
#endif
#ifndef SLAI_OS_KNOWS_THREADS
#define SLAI_OS_KNOWS_THREADS 0
#endif

/* Size of a system page, a power of two, at least 4096; known only at run time. */
size_t slai_os_page(void);
size_t slai_os_page_asked(void); /* what the system says */

/* Address space without memory: any access faults until it is committed. */
void *slai_os_reserve(size_t size);

/* Gives reserved memory back, now or, when that is refused, later, for a few such ranges: it is lost in any case.
   pre: a whole reservation or its head or tail. */
bool slai_os_release(void *p, size_t size);

/* Makes reserved memory readable and writable; fresh memory reads as zero. */
bool slai_os_commit(void *p, size_t size);

/* Drops the pages behind committed memory. True: it reads as zero now. False: its contents are undefined. */
bool slai_os_purge(void *p, size_t size);

/* Drops what is behind a range that is given up but could not be released. False: the range may be another's by now. */
bool slai_os_drop(void *p, size_t size);

/* As purge, by mapping anew: mends mappings that slai_os_move() has split. */
bool slai_os_renew(void *p, size_t size);

/* Moves the contents of [from, from+size) to `to`, by pages where it can; from stays committed, its contents are
   undefined. False: not possible on this system, nothing has changed but perhaps errno. */
bool slai_os_move(void *from, void *to, size_t size);

/* Advises for or against huge pages; a hint, so refusal is not reported. */
void slai_os_huge_pages(void *p, size_t size, bool wanted);

/* True only if this process has one thread. */
#if SLAI_OS_KNOWS_THREADS
SLA_INLINE bool slai_os_single_threaded(void) { return __libc_single_threaded != 0; }
#else
SLA_INLINE bool slai_os_single_threaded(void) { return false; }
#endif

/* Bytes of address space this process may have; SIZE_MAX: no limit. errno is kept. */
size_t slai_os_address_limit(void);

/* A monotonic clock in ms, coarse (some ms); a system call. Never 0; 1 where there is none. errno is kept. */
uint64_t slai_os_clock(void);

/* A number that tells threads apart, as the system names them where it does. errno is kept. */
size_t slai_os_thread(void);

/* Does the process run with more privilege than its user has? */
bool slai_os_privileged(void);

/* Value of an environment variable; NULL when unset, or when the process runs with raised privilege. */
const char *slai_os_environment(const char *name);

/* What follows "name=" in text; NULL if it does not begin so. */
SLA_INLINE const char *slai_os_after(const char *text, const char *name)
{
    while (*name != '\0' && *text == *name) {
        text++;
        name++;
    }
    return *name == '\0' && *text == '=' ? text + 1 : NULL;
}

/* Sleeps while *word == value (may wake early); wakes one sleeper. errno is kept. */
void slai_os_wait(uint32_t *word, uint32_t value);
void slai_os_wake(uint32_t *word);

/* Reports a failed call at verbosity 1; errno is kept. */
SLA_COLD void slai_os_failed(const char *call, size_t size);

/* Reports that so many bytes were reserved, purged, at verbosity 2; errno is kept. */
SLA_COLD void slai_os_tell(const char *what, size_t size);
SLA_INLINE void slai_os_event(const char *what, size_t size)
{
    if (SLA_UNLIKELY(slai_option(verbose) >= 2))
        slai_os_tell(what, size);
}

/* Keeps a copy of standard error for lines written after the program has closed it. */
void slai_os_keep_stderr(void);

#endif
