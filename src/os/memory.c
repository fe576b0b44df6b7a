/* What every POSIX system does alike: mappings, protection, the clock, limits. */
#include "os/os.h"

#include "os/fault.h"
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
    int saved = errno, fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100); /* out of the way of low numbers */
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

/* A test may want pages bigger than the machine's: then what lies before and behind is given back. */
static void *cut(char *p, size_t size, size_t slack)
{
    size_t head = (size_t)-(uintptr_t)p & slack;
    if (head > 0)
        munmap(p, head);
    if (slack > head)
        munmap(p + head + size, slack - head);
    return p + head;
}

void *slai_os_reserve(size_t size)
{
    size_t slack = SLA_TESTING ? slai_os_page() - slai_os_page_asked() : 0;
    void *p = MAP_FAILED;
    slai_assert(whole_pages(NULL, size));
    if (!slai_fault_hit(SLAI_CALL_RESERVE, size))
        /* Not NORESERVE: nothing is charged for PROT_NONE, and commits that the machine cannot hold are refused. */
        p = mmap(NULL, size + slack, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p != MAP_FAILED)
        return SLA_TESTING ? cut(p, size, slack) : p;
    slai_os_failed("mmap", size);
    return NULL;
}

bool slai_os_release(void *p, size_t size)
{
    slai_assert(whole_pages(p, size));
    if (!slai_fault_hit(SLAI_CALL_RELEASE, size) && munmap(p, size) == 0)
        return true;
    slai_os_failed("munmap", size);
    return false;
}

bool slai_os_commit(void *p, size_t size)
{
    slai_assert(whole_pages(p, size));
    if (!slai_fault_hit(SLAI_CALL_COMMIT, size) && mprotect(p, size, PROT_READ | PROT_WRITE) == 0)
        return true;
    slai_os_failed("mprotect", size);
    return false;
}

bool slai_os_renew(void *p, size_t size)
{
    slai_assert(whole_pages(p, size));
    if (!slai_fault_hit(SLAI_CALL_PURGE, size) &&
        mmap(p, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED)
        return true;
    slai_os_failed("mmap", size);
    return false;
}

size_t slai_os_address_limit(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_AS, &r) != 0 || r.rlim_cur == RLIM_INFINITY || r.rlim_cur > SIZE_MAX)
        return SIZE_MAX;
    return (size_t)r.rlim_cur;
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
#ifdef CLOCK_MONOTONIC_COARSE
    clockid_t id = CLOCK_MONOTONIC_COARSE;
#else
    clockid_t id = CLOCK_MONOTONIC;
#endif
    if (clock_gettime(id, &t) != 0)
        return 1; /* time stands still: nothing is ever old enough to purge */
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000 + 1;
}
