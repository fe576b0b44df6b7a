#include "os/tls.h"

#include "os/fault.h"
#include "os/os.h"
#include "util/atomic.h"

#include <errno.h>
#include <pthread.h>

static uintptr_t key_plus_1; /* 0: there is none yet */

/* No lock is held: the call may be the program's own, and allocate, which gets as far as here only once a thread. */
static bool make_key(void (*at)(void *value))
{
    pthread_key_t key;
    uintptr_t before = 0;
    int err = SLAI_CALL(KEY, NULL, 0, errno, pthread_key_create(&key, at));
    if (err != 0) {
        errno = err;
        slai_os_failed("pthread_key_create", 0);
        return false;
    }
    while (before == 0)
        if (slai_cas_acq_rel(&key_plus_1, &before, (uintptr_t)key + 1))
            return true;
    (void)pthread_key_delete(key); /* another thread was faster */
    return true;
}

bool slai_tls_arm(void (*at)(void *value), void *value)
{
    pthread_key_t key;
    int err;
    if (SLA_UNLIKELY(slai_load_acquire(&key_plus_1) == 0) && !make_key(at))
        return false;
    key = (pthread_key_t)(slai_load_acquire(&key_plus_1) - 1);
    err = SLAI_CALL(ARM, NULL, 0, errno, pthread_setspecific(key, value));
    if (err == 0)
        return true;
    errno = err;
    slai_os_failed("pthread_setspecific", 0);
    return false;
}

bool slai_os_at_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    int err = SLAI_CALL(ATFORK, NULL, 0, errno, pthread_atfork(prepare, parent, child));
    if (err == 0)
        return true;
    errno = err;
    slai_os_failed("pthread_atfork", 0);
    return false;
}
