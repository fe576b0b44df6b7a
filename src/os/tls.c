#include "os/tls.h"

#include "os/fault.h"
#include "os/os.h"

#include <errno.h>
#include <pthread.h>

static pthread_key_t key;
static bool hooked; /* written once, before any slai_tls_arm(); without it `key` may be somebody else's */

bool slai_tls_hook(void (*at)(void *value))
{
    int err = slai_fault_hit(SLAI_CALL_KEY, 0) ? EAGAIN : pthread_key_create(&key, at);
    hooked = err == 0;
    if (hooked)
        return true;
    errno = err;
    slai_os_failed("pthread_key_create", 0);
    return false;
}

bool slai_tls_arm(void *value)
{
    int err = hooked ? pthread_setspecific(key, value) : EAGAIN;
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
