/*
 * redirect.h: read before everything else when the library is compiled for the
 * checker.  The source itself is not changed: what it asks of the C library
 * comes here, and what is a thread's own is a section that the checker swaps.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SLABALLOC_TESTS_MODEL_REDIRECT_H
#define SLABALLOC_TESTS_MODEL_REDIRECT_H

#define __thread __attribute__((section("model_tls")))
#define memcpy model_memcpy
#define memmove model_memmove
#define memset model_memset
#define abort model_abort
#define write model_write
#define pthread_self model_pthread_self
#define __libc_single_threaded model_single_threaded

#include <errno.h>
#undef errno
#define errno model_errno
extern __thread int model_errno;

#endif
