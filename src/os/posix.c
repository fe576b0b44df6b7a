/* A system that promises POSIX and nothing more. */
#include "os/os.h"

#include "os/fault.h"
#include "util/atomic.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

size_t slai_os_page_asked(void) { return (size_t)SLAI_CALL(PAGE, NULL, 0, -1, sysconf(_SC_PAGESIZE)); }

size_t slai_os_thread(void) { return SLAI_CALL(THREAD, NULL, 0, (size_t)-1, (size_t)(uintptr_t)pthread_self()); }

/* POSIX_MADV_DONTNEED may be a no-op; a fresh mapping in place is the portable way to drop pages. */
bool slai_os_purge(void *p, size_t size)
{
    if (!slai_fault_hit(SLAI_CALL_PURGE, p, size))
        return slai_os_renew(p, size);
    slai_os_failed("mmap", size);
    return slai_fault_word() == 0;
}

bool slai_os_drop(void *p, size_t size)
{
    int saved = errno;
    void *q = SLAI_CALL(DROP, p, size, MAP_FAILED, mmap(p, size, PROT_NONE, MAP_PRIVATE | MAP_ANON | MAP_FIXED, -1, 0));
    errno = saved;
    return q != MAP_FAILED; /* a system may unmap what was there and then refuse */
}

bool slai_os_move(void *from, void *to, size_t size)
{
    (void)from;
    (void)to;
    (void)size;
    errno = ENOSYS;
    return false; /* the caller copies */
}

void slai_os_huge_pages(void *p, size_t size, bool wanted)
{
    (void)p;
    (void)size;
    (void)wanted;
}

bool slai_os_privileged(void)
{
    return SLAI_CALL(SECURE, NULL, 0, true, getuid() != geteuid() || getgid() != getegid());
}

/* No futex: yield, then sleep, until the word changes.  Locks are held briefly, so few ever sleep. */
void slai_os_wait(uint32_t *word, uint32_t value)
{
    int saved = errno, cancel;
    for (int i = 0; i < 64 && slai_load_relaxed(word) == value; i++)
        (void)SLAI_CALL(YIELD, word, 0, -1, sched_yield());
    if (slai_load_relaxed(word) == value) {
        struct timespec t = {0, 100000};
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel); /* a thread cancelled here would keep locks */
        (void)SLAI_CALL(WAIT, word, 0, -1, nanosleep(&t, NULL));
        pthread_setcancelstate(cancel, NULL);
    }
    errno = saved;
}

void slai_os_wake(uint32_t *word) { (void)word; }
