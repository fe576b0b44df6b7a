/*
 * trim.c: asks the preloaded allocator to give back what is free.
 *
 * Each by the call that it documents for this, so none is asked better than
 * another; malloc_trim of the C library says nothing to another's malloc.
 *
 * SPDX-License-Identifier: MIT
 */
#include "work.h"

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
} ways[] = {
    {"malloc_trim", call_malloc_trim},
    {"mi_collect", call_mi_collect},
    {"mallctl", call_mallctl},
    {"MallocExtension_ReleaseFreeMemory", call_release},
    {"scalable_allocation_command", call_command},
};

const char *work_trim(void)
{
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        void *function;
        if (work_function(&function, ways[i].name)) {
            ways[i].call(function);
            return ways[i].name;
        }
    }
    return NULL;
}
