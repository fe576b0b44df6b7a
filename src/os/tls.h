/* Thread-local storage, the hook at a thread's end, and the hooks around fork. */
#ifndef OS_TLS_H
#define OS_TLS_H

#include "util/compiler.h"

#define SLA_TLS __thread /* the model comes from configure --with-tls-model */

/* Creates the hook: at(value) runs when a thread that set a value ends. False with errno set on failure. */
bool slai_tls_hook(void (*at)(void *value));

/* Asks for the hook in the calling thread. May call the program's malloc. False: no hook will run. */
bool slai_tls_arm(void *value);

/* Registers fork handlers; may call the program's malloc. */
bool slai_os_at_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void));

#endif
