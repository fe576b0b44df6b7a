/* Thread-local storage, the hook at a thread's end, and the hooks around fork. */
#ifndef OS_TLS_H
#define OS_TLS_H

#include "util/compiler.h"

#define SLA_TLS __thread /* the model comes from configure --with-tls-model */

/* Asks that at(value), the same in all threads, runs when the calling thread ends. May call the program's malloc. False
   with errno set: it will not. */
bool slai_tls_arm(void (*at)(void *value), void *value);

/* Registers fork handlers; may call the program's malloc. */
bool slai_os_at_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void));

#endif
