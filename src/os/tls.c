#include "os/tls.h"

#include "os/fault.h"
#include "os/os.h"

#include <errno.h>
#include <pthread.h>

static pthread_key_t key;

bool slai_tls_hook(void (*at)(void *value))
{
    int err = slai_fault_hit(SLAI_CALL_KEY, 0) ? EAGAIN : pthread_key_create(&key, at);
    if (err == 0)
        return true;
    errno = err;
    slai_os_failed("pthread_key_create", 0);
    return false;
}

bool slai_tls_arm(void *value)
{
    int err = pthread_setspecific(key, value);
    if (err == 0)
        return true;
    errno = err;
    slai_os_failed("pthread_setspecific", 0);
    return false;
}

bool slai_os_at_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    int err = pthread_atfork(prepare, parent, child);
    if (err == 0)
        return true;
    errno = err;
    slai_os_failed("pthread_atfork", 0);
    return false;
}
