/*
 * wrap.c: the functions of the C library that may come back to malloc, wrapped
 * by the linker (--wrap) in every Check program: each allocates if
 * SLABALLOC_TEST_REENTER asks for it, 1: malloc and free, 2: all the rest.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <pthread.h>
#include <unistd.h>

int __real_pthread_key_create(pthread_key_t *key, void (*at)(void *));
int __real_pthread_setspecific(pthread_key_t key, const void *value);
int __real_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));
int __wrap_pthread_key_create(pthread_key_t *key, void (*at)(void *));
int __wrap_pthread_setspecific(pthread_key_t key, const void *value);
int __wrap_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));

static void use_the_rest(void)
{
    void *p = sla_realloc(sla_calloc(3, 700), 9000), *q = sla_aligned_alloc(256, 2560), *some[5];
    size_t n = sla_alloc_batch(48, some, ARRAY_LEN(some));
    sla_free_batch(some, n);
    sla_free(p);
    p = sla_realloc(sla_malloc(200000), 300000);
    sla_free(q);
    sla_free_sized(p, 300000);
    sla_thread_idle();
}

static void reenter(void)
{
    static __thread int depth;
    const char *mode = getenv("SLABALLOC_TEST_REENTER");
    int saved = errno;
    if (mode == NULL || *mode == '0')
        return;
    if (++depth > 50)
        support_child_fail(__FILE__, __LINE__, "an end to malloc's calls of itself");
    if (*mode == '1')
        sla_free(support_pointer(sla_malloc(support_size(100))));
    else
        use_the_rest();
    depth--;
    errno = saved;
}

int __wrap_pthread_key_create(pthread_key_t *key, void (*at)(void *))
{
    reenter();
    return __real_pthread_key_create(key, at);
}

int __wrap_pthread_setspecific(pthread_key_t key, const void *value)
{
    reenter();
    return __real_pthread_setspecific(key, value);
}

int __wrap_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    reenter();
    return __real_pthread_atfork(prepare, parent, child);
}
