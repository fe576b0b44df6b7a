/* What every POSIX system does alike: mappings, protection, the clock, limits. */
#include "os/os.h"

#include "os/fault.h"
#include "os/shadow.h"
#include "os/system.h"
#include "util/assert.h"
#include "util/atomic.h"
#include "util/bits.h"
#include "util/conf.h"
#include "util/panic.h"

#include <errno.h>
#include <unistd.h>

#ifndef MAP_ANONYMOUS
#define MAP_ANONYMOUS MAP_ANON
#endif
#define USABLE (PROT_READ | PROT_WRITE)
#define OURS (MAP_PRIVATE | MAP_ANONYMOUS)

static const char *error_text(int err)
{
    switch (err) { /* strerror() may allocate or translate */
    case ENOMEM: return "out of memory (ENOMEM)";
    case EAGAIN: return "try again (EAGAIN)";
    case EINVAL: return "invalid argument (EINVAL)";
    case EPERM: return "not permitted (EPERM)";
    case EACCES: return "permission denied (EACCES)";
    case ENOSYS: return "not implemented (ENOSYS)";
    default: return NULL;
    }
}

void slai_os_failed(const char *call, size_t size)
{
    int err = errno;
    struct slai_line l;
    if (slai_option(verbose) < 1)
        return;
    slai_line_start(&l);
    slai_line_text(&l, call);
    slai_line_text(&l, " of ");
    slai_line_dec(&l, size);
    slai_line_text(&l, " bytes failed: ");
    if (error_text(err) != NULL) {
        slai_line_text(&l, error_text(err));
    } else {
        slai_line_text(&l, "errno ");
        slai_line_dec(&l, (size_t)err);
    }
    slai_line_end(&l);
    errno = err;
}

void slai_os_tell(const char *what, size_t size)
{
    struct slai_line l;
    slai_line_start(&l);
    slai_line_text(&l, what);
    slai_line_text(&l, " ");
    slai_line_dec(&l, size);
    slai_line_text(&l, " bytes");
    slai_line_end(&l);
}

void slai_os_keep_stderr(void)
{
    int saved = errno; /* 100: out of the way of low numbers */
    int fd = SLAI_CALL(STDERR, NULL, 0, -1, fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100));
    if (fd >= 0)
        slai_line_spare = fd;
    errno = saved; /* refused: nothing to keep */
}

size_t slai_os_page(void)
{
    static size_t page;
    size_t p = slai_load_relaxed(&page);
    if (SLA_UNLIKELY(p == 0)) {
        p = SLA_TESTING ? slai_fault_page(slai_os_page_asked()) : slai_os_page_asked();
        if (p < 4096 || !slai_is_pow2(p))
            p = 4096;
        slai_set_relaxed(&page, p);
    }
    return p;
}

/* What the contract says of all calls. */
static bool whole_pages(const void *p, size_t size)
{
    return size != 0 && (((uintptr_t)p | size) & (slai_os_page() - 1)) == 0;
}

/*
 * What the system would not take back, because that would have split a mapping and there were too many, say.  Nobody
 * uses it any more, so it is offered again whenever address space is taken or given.
 */
#define LEFT_MOST 16
#define IN_HAND SIZE_MAX /* somebody is about to write the entry */
static struct {
    void *p;
    size_t size; /* 0: none */
} left[LEFT_MOST];
static uint32_t left_count;

static SLA_COLD void leave(void *p, size_t size)
{
    for (size_t i = 0; i < LEFT_MOST; i++) {
        size_t none = 0;
        if (!slai_cas_acquire(&left[i].size, &none, IN_HAND))
            continue;
        left[i].p = p;
        slai_set_release(&left[i].size, size);
        slai_add_relaxed(&left_count, 1);
        return;
    }
}

static SLA_COLD void offer_again(void)
{
    int saved = errno;
    for (size_t i = 0; i < LEFT_MOST; i++) {
        size_t size = slai_load_relaxed(&left[i].size);
        if (size == 0 || size == IN_HAND || !slai_cas_acquire(&left[i].size, &size, IN_HAND))
            continue;
        if (SLAI_CALL(AGAIN, left[i].p, size, -1, munmap(left[i].p, size)) == 0) {
            slai_fault_mapped(0, size);
            slai_shadow_own(left[i].p, size, false);
            slai_add_relaxed(&left_count, (uint32_t)-1);
            size = 0;
        }
        slai_set_release(&left[i].size, size);
    }
    errno = saved;
}

void *slai_os_reserve(size_t size)
{
    size_t slack = SLA_TESTING ? slai_fault_slack() : 0;
    void *p;
    slai_assert(whole_pages(NULL, size));
    if (SLA_UNLIKELY(slai_load_relaxed(&left_count) != 0))
        offer_again();
    /* Not NORESERVE: nothing is charged for PROT_NONE, and commits that the machine cannot hold are refused. */
    p = SLAI_CALL(RESERVE, NULL, size, MAP_FAILED, mmap(NULL, size + slack, PROT_NONE, OURS, -1, 0));
    if (p != MAP_FAILED) {
        slai_fault_mapped(size, 0);
        return SLA_TESTING ? slai_fault_cut(p, size, slack) : p;
    }
    slai_os_failed("mmap", size);
    return NULL;
}

bool slai_os_release(void *p, size_t size)
{
    slai_assert(whole_pages(p, size));
    if (SLA_UNLIKELY(slai_load_relaxed(&left_count) != 0))
        offer_again();
    if (SLAI_CALL(RELEASE, p, size, -1, munmap(p, size)) == 0) {
        slai_fault_mapped(0, size);
        slai_shadow_own(p, size, false);
        return true;
    }
    slai_os_failed("munmap", size);
    if (slai_os_drop(p, size))
        leave(p, size);
    return false;
}

bool slai_os_commit(void *p, size_t size)
{
    slai_assert(whole_pages(p, size));
    if (SLAI_CALL(COMMIT, p, size, -1, mprotect(p, size, USABLE)) == 0) {
        slai_shadow_hide(p, size);
        return true;
    }
    slai_os_failed("mprotect", size);
    return false;
}

/* The kernel may unmap what was there before it finds that it has nothing to put in its place. */
static SLA_COLD void mend(void *p, size_t size)
{
    int saved = errno;
    if (SLAI_CALL(INTACT, p, size, -1, mprotect(p, size, USABLE)) != 0 &&
        SLAI_CALL(MEND, p, size, MAP_FAILED, mmap(p, size, USABLE, OURS | MAP_FIXED, -1, 0)) == MAP_FAILED)
        slai_panic("a mapping was lost as it was renewed");
    slai_shadow_hide(p, size);
    errno = saved;
}

bool slai_os_renew(void *p, size_t size)
{
    slai_assert(whole_pages(p, size));
    if (SLAI_CALL(RENEW, p, size, MAP_FAILED, mmap(p, size, USABLE, OURS | MAP_FIXED, -1, 0)) != MAP_FAILED) {
        slai_shadow_hide(p, size);
        return true;
    }
    slai_os_failed("mmap", size);
    mend(p, size);
    return false;
}

size_t slai_os_address_limit(void)
{
    struct rlimit r = {RLIM_INFINITY, RLIM_INFINITY};
    int saved = errno;
    (void)SLAI_CALL(LIMIT, NULL, 0, -1, getrlimit(RLIMIT_AS, &r));
    errno = saved;
    return r.rlim_cur == RLIM_INFINITY || r.rlim_cur > SIZE_MAX ? SIZE_MAX : (size_t)r.rlim_cur;
}

const char *slai_os_environment(const char *name)
{
    extern char **environ; /* getenv() may be interposed by something that allocates */
    if (environ == NULL || slai_os_privileged())
        return NULL;
    for (char **e = environ; *e != NULL; e++) {
        const char *value = slai_os_after(*e, name);
        if (value != NULL)
            return value;
    }
    return NULL;
}

uint64_t slai_os_clock(void)
{
    struct timespec t;
    int saved = errno;
#ifdef CLOCK_MONOTONIC_COARSE
    clockid_t id = CLOCK_MONOTONIC_COARSE;
#else
    clockid_t id = CLOCK_MONOTONIC;
#endif
    if (SLAI_CALL(CLOCK, NULL, 0, -1, clock_gettime(id, &t)) != 0) {
        errno = saved;
        return 1; /* time stands still: nothing is ever old enough to purge */
    }
    return slai_fault_clock((uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000 + 1);
}
