/*
 * trim.c: asks the preloaded allocator to give back what is free.
 *
 * Each by the call that it documents for this, so none is asked better than
 * another; malloc_trim of the C library says nothing to another's malloc.
 *
 * SPDX-License-Identifier: MIT
 */
#include "work.h"

#include <dlfcn.h>

static void call_malloc_trim(void *function)
{
    (*(int (**)(size_t))(void *)&function)(0);
}

static void call_mi_collect(void *function)
{
    (*(void (**)(bool))(void *)&function)(true);
}

/* 4096: all arenas of jemalloc. */
static void call_mallctl(void *function)
{
    (*(int (**)(const char *, void *, size_t *, void *, size_t))(void *)&function)("arena.4096.purge", NULL, NULL,
                                                                                  NULL, 0);
}

static void call_release(void *function)
{
    (*(void (**)(void))(void *)&function)();
}

/* 0: TBBMALLOC_CLEAN_ALL_BUFFERS. */
static void call_command(void *function)
{
    (*(int (**)(int, void *))(void *)&function)(0, NULL);
}

static const struct {
    const char *name;
    void (*call)(void *function);
    const char *proxy; /* what malloc's library has instead, when it passes calls on to another */
} ways[] = {
    {"malloc_trim", call_malloc_trim, NULL},
    {"mi_collect", call_mi_collect, NULL},
    {"mallctl", call_mallctl, NULL},
    {"MallocExtension_ReleaseFreeMemory", call_release, NULL},
    {"scalable_allocation_command", call_command, "__TBB_malloc_proxy"},
};

const char *work_trim(void)
{
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        void *function = NULL, *proxy;
        if (ways[i].proxy == NULL) {
            work_function(&function, ways[i].name);
        } else if (work_function(&proxy, ways[i].proxy)) {
            function = dlsym(RTLD_DEFAULT, ways[i].name);
        }
        if (function != NULL) {
            ways[i].call(function);
            return ways[i].name;
        }
    }
    return NULL;
}
