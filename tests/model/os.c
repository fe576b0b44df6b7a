/*
 * os.c: the system as the scenarios have it, in place of os/memory.c, os/linux.c
 * and os/tls.c: memory without end from one array, futexes that the scheduler
 * knows, and a clock that stands still.
 *
 * SPDX-License-Identifier: MIT
 */
#include "engine.h"

#include "os/os.h"
#include "os/tls.h"
#include "util/panic.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define ARENA ((size_t)64 << 20)

void model_abort(void) __attribute__((noreturn));
ssize_t model_write(int fd, const void *text, size_t size);
pthread_t model_pthread_self(void);
extern char model_single_threaded;

char model_single_threaded;
void (*model_fork_handlers[3])(void);
void (*model_thread_end)(void *value);
void *model_armed[MODEL_THREADS];

static char *arena, *arena_next;
static char said[256];

void model_os_begin(void)
{
    if (arena == NULL)
        arena = mmap(NULL, ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (arena == MAP_FAILED)
        abort();
    arena_next = arena;
    model_single_threaded = model_scene->flags & MODEL_ALONE;
    said[0] = '\0';
    memset(model_armed, 0, sizeof model_armed);
}

void model_abort(void) { model_violation("abort: %s", said); }

ssize_t model_write(int fd, const void *text, size_t size)
{
    (void)fd;
    snprintf(said, sizeof said, "%.*s", (int)size, (const char *)text);
    return (ssize_t)size;
}

pthread_t model_pthread_self(void) { return (pthread_t)(model_current + 1); }

size_t slai_os_page(void) { return 4096; }
size_t slai_os_page_asked(void) { return 4096; }
size_t slai_os_thread(void) { return model_current + 1; }
uint64_t slai_os_clock(void) { return 1000; }
size_t slai_os_address_limit(void) { return SIZE_MAX; }
bool slai_os_privileged(void) { return false; }
void slai_os_keep_stderr(void) {}
void slai_os_huge_pages(void *p, size_t size, bool wanted) { (void)p, (void)size, (void)wanted; }
void slai_os_failed(const char *call, size_t size) { (void)call, (void)size; }
void slai_os_tell(const char *what, size_t size) { (void)what, (void)size; }

/* Small regions, so that there may be several. */
const char *slai_os_environment(const char *name)
{
    (void)name;
    return "reserve=4,purge_delay=-1";
}

void *slai_os_reserve(size_t size)
{
    char *p = arena_next;
    if (size > (size_t)(arena + ARENA - arena_next))
        return NULL;
    model_log((uintptr_t)&arena_next, sizeof arena_next);
    arena_next += size;
    return p;
}

bool slai_os_release(void *p, size_t size)
{
    (void)p, (void)size;
    return true;
}

bool slai_os_commit(void *p, size_t size)
{
    (void)p, (void)size;
    return true;
}

static bool zero(void *p, size_t size)
{
    for (char *byte = p, *end = byte + size; byte < end; byte += 8)
        if (model_peek((uintptr_t)byte, 8) != 0) {
            model_log((uintptr_t)byte, 8);
            memset(byte, 0, 8);
        }
    return true;
}

bool slai_os_purge(void *p, size_t size) { return zero(p, size); }
bool slai_os_renew(void *p, size_t size) { return zero(p, size); }

bool slai_os_move(void *from, void *to, size_t size)
{
    (void)from, (void)to, (void)size;
    return false;
}

void slai_os_wait(uint32_t *word, uint32_t value)
{
    if (!model_concurrent)
        model_violation("waits for itself");
    model_stop(MODEL_WRITE, (uintptr_t)word);
    if (model_futex_is((uintptr_t)word, value))
        model_sleep((uintptr_t)word);
}

void slai_os_wake(uint32_t *word)
{
    if (!model_concurrent)
        return;
    model_stop(MODEL_WRITE, (uintptr_t)word);
    model_wake_one((uintptr_t)word);
}

bool slai_tls_arm(void (*at)(void *value), void *value)
{
    model_thread_end = at; /* the same in all threads */
    model_log((uintptr_t)&model_armed[model_current], sizeof(void *));
    model_armed[model_current] = value;
    return true;
}

bool slai_os_at_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    model_fork_handlers[0] = prepare;
    model_fork_handlers[1] = parent;
    model_fork_handlers[2] = child;
    return true;
}
