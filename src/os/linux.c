/* Linux: what the system offers beyond POSIX. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* mremap */
#endif
#include "os/os.h"

#include "os/fault.h"
#include "os/shadow.h"
#include "os/system.h"
#include "util/assert.h"
#include "util/atomic.h"
#include "util/panic.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOVE_PIECE ((size_t)4 << 20)

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4 /* Linux 5.7; the C library's headers may be older */
#endif
#define ANEW (MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED)
#define MOVING (MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)

/* The kernel's interface, whose headers musl's compiler does not look at. */
#define FUTEX_WAIT_PRIVATE 128
#define FUTEX_WAKE_PRIVATE 129
#ifndef SYS_futex
#define SYS_futex SYS_futex_time64 /* 32-bit systems of after 2038's; no time is ever given */
#endif

/* Not sysconf(), whose tables touch pages of libc that small programs do not need. */
size_t slai_os_page_asked(void) { return SLAI_CALL(PAGE, NULL, 0, 0, getauxval(AT_PAGESZ)); }

size_t slai_os_thread(void)
{
    int saved = errno;
    long id = SLAI_CALL(THREAD, NULL, 0, -1, syscall(SYS_gettid));
    errno = saved;
    return (size_t)id;
}

/*
 * Some emulators and sandboxes accept MADV_DONTNEED and do nothing, so the
 * first purge of the process looks at what it did before it is believed.
 */
static bool purge_works(void *p)
{
    static uint32_t verdict; /* 0 unknown, 1 zeroes, 2 does not */
    uint32_t v = slai_load_relaxed(&verdict);
    if (SLA_UNLIKELY(v == 0)) {
        volatile unsigned char *byte = p;
        slai_shadow_show(p, 1, true);
        *byte = 1;
        if (SLAI_CALL(PROBE, p, slai_os_page(), slai_fault_word(), madvise(p, slai_os_page(), MADV_DONTNEED)) != 0)
            return true; /* this range's own trouble (locked, say): the real call will report it */
        v = *byte == 0 ? 1 : 2;
        slai_shadow_hide(p, 1);
        slai_set_relaxed(&verdict, v);
    }
    return v == 1;
}

bool slai_os_drop(void *p, size_t size)
{
    int saved = errno;
    (void)SLAI_CALL(DROP, p, size, -1, madvise(p, size, MADV_DONTNEED));
    errno = saved;
    return true;
}

bool slai_os_purge(void *p, size_t size)
{
    slai_assert((((uintptr_t)p | size) & (slai_os_page() - 1)) == 0);
    bool zeroes = purge_works(p);
    if (SLAI_CALL(PURGE, p, size, slai_fault_word(), madvise(p, size, MADV_DONTNEED)) == 0)
        return zeroes;
    slai_os_failed("madvise", size);
    return false;
}

/*
 * A source that crosses mappings (moved before, then grown) is refused, so it is moved piece by piece and a piece
 * that is refused is copied.  The kernel unmaps the target before it looks at the source, so a refusal leaves a hole
 * in the region that any mmap could fall into: it is closed at once.  For the same reason DONTUNMAP.
 */
SLA_COLD bool slai_os_move(void *from, void *to, size_t size)
{
    static bool unsupported; /* before Linux 5.7 */
    size_t n;
    if (SLAI_CALL(MOVE, from, size, true, slai_load_relaxed(&unsupported)))
        return false;
    for (size_t done = 0; done < size; done += n) {
        char *source = (char *)from + done, *target = (char *)to + done;
        n = size - done < MOVE_PIECE ? size - done : MOVE_PIECE;
        if (SLAI_CALL(PIECE, target, n, MAP_FAILED, mremap(source, n, n, MOVING, target)) != MAP_FAILED)
            continue;
        unsigned err = (unsigned)errno;
        if (SLAI_CALL(REMAP, target, n, MAP_FAILED, mmap(target, n, PROT_READ | PROT_WRITE, ANEW, -1, 0)) == MAP_FAILED)
            slai_panic("mremap failed and its target cannot be mapped again");
        if (done == 0 && err == EINVAL) {
            slai_set_relaxed(&unsupported, true);
            return false;
        }
        memcpy(target, source, n);
    }
    return true;
}

SLA_COLD void slai_os_huge_pages(void *p, size_t size, bool wanted)
{
    int saved = errno;
    /* A hint: kernels without it say EINVAL. */
    (void)SLAI_CALL(HUGE, p, size, -1, madvise(p, size, wanted ? MADV_HUGEPAGE : MADV_NOHUGEPAGE));
    errno = saved;
}

bool slai_os_privileged(void) { return SLAI_CALL(SECURE, NULL, 0, 1, getauxval(AT_SECURE)) != 0; }

void slai_os_wait(uint32_t *word, uint32_t value)
{
    int saved = errno;
    slai_shadow_quiet(true);
    if (SLAI_CALL(WAIT, word, 0, -1, syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0)) != 0 &&
        errno != EAGAIN && errno != EINTR)
        (void)SLAI_CALL(YIELD, word, 0, -1, sched_yield()); /* a sandbox without futexes: at least let others run */
    slai_shadow_quiet(false);
    errno = saved;
}

void slai_os_wake(uint32_t *word)
{
    int saved = errno;
    slai_shadow_quiet(true);
    (void)SLAI_CALL(WAKE, word, 0, -1, syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
    slai_shadow_quiet(false);
    errno = saved;
}
