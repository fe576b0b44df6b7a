/*
 * recorder.c: libslaballoc-record, preloaded by 'slaballoc-bench record'.
 *
 * Passes each call on to the next malloc and notes it, with no lock and no
 * memory shared between threads but the epoch and the map of objects.  A
 * thread's records go into a chunk of the file itself, mapped: the kernel has
 * them however the program ends.  An object's name is found by its address in
 * a radix tree; the entry is the owner's, as the object is, so it needs no
 * lock either: who frees it got it from who made it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "recorder_writer.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* --- the next allocator -------------------------------------------------- */

static struct {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
    void *(*aligned_alloc)(size_t, size_t);
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*memalign)(size_t, size_t);
    size_t (*usable_size)(void *);
} next;
static int next_ready; /* set last */

/* For what dlsym asks for while next is looked up; never given back. */
static _Alignas(16) char bootstrap[16384];
static size_t bootstrap_used;

static bool is_bootstrap(const void *block)
{
    return (const char *)block >= bootstrap && (const char *)block < bootstrap + sizeof(bootstrap);
}

static void *bootstrap_alloc(size_t size)
{
    size = (size + 15) & ~(size_t)15;
    size_t at = __atomic_fetch_add(&bootstrap_used, size, __ATOMIC_RELAXED);

    if (size > sizeof(bootstrap) || at > sizeof(bootstrap) - size) {
        errno = ENOMEM;
        return NULL;
    }
    return bootstrap + at;
}

/* Through a union: a pointer to an object is not one to a function. */
#define LOOK_UP(field, name)                                                                                 \
    do {                                                                                                     \
        union {                                                                                              \
            void *object;                                                                                    \
            __typeof__(next.field) function;                                                                 \
        } found = {dlsym(RTLD_NEXT, name)};                                                                  \
        next.field = found.function;                                                                         \
    } while (0)

/* False while this very thread, or another, is looking them up: then it is bootstrap's turn. */
static bool find_next(void)
{
    static int looking;

    if (__atomic_exchange_n(&looking, 1, __ATOMIC_ACQUIRE) != 0) {
        return __atomic_load_n(&next_ready, __ATOMIC_ACQUIRE) != 0;
    }
    LOOK_UP(malloc, "malloc");
    LOOK_UP(calloc, "calloc");
    LOOK_UP(realloc, "realloc");
    LOOK_UP(free, "free");
    LOOK_UP(aligned_alloc, "aligned_alloc");
    LOOK_UP(posix_memalign, "posix_memalign");
    LOOK_UP(memalign, "memalign");
    LOOK_UP(usable_size, "malloc_usable_size");
    if (next.malloc == NULL || next.calloc == NULL || next.realloc == NULL || next.free == NULL ||
        next.posix_memalign == NULL) {
        recorder_say("there is no malloc behind this library", 0);
        abort();
    }
    __atomic_store_n(&next_ready, 1, __ATOMIC_RELEASE);
    return true;
}

static inline bool have_next(void)
{
    return LIKELY(__atomic_load_n(&next_ready, __ATOMIC_ACQUIRE) != 0) || find_next();
}

__attribute__((constructor)) static void begin(void)
{
    have_next();
    recorder_begin();
}

/* --- the calls ------------------------------------------------------------- */

static inline size_t at_least(size_t size)
{
    return size < SMALLEST ? SMALLEST : size;
}

EXPORT void *malloc(size_t size)
{
    if (!have_next()) {
        return bootstrap_alloc(size);
    }
    struct writer *w = enter();
    void *made = next.malloc(at_least(size));
    note_made(w, &(struct trace_record){.kind = TRACE_MALLOC, .size = size, .failed = made == NULL}, made);
    return made;
}

EXPORT void *calloc(size_t count, size_t size)
{
    size_t bytes;

    if (!have_next()) {
        return __builtin_mul_overflow(count, size, &bytes) ? NULL : bootstrap_alloc(bytes);
    }
    struct writer *w = enter();
    bool small = !__builtin_mul_overflow(count, size, &bytes) && bytes < SMALLEST;
    void *made = small ? next.calloc(1, SMALLEST) : next.calloc(count, size);
    note_made(
        w, &(struct trace_record){.kind = TRACE_CALLOC, .count = count, .size = size, .failed = made == NULL},
        made);
    return made;
}

static inline __attribute__((always_inline)) void free_as(struct trace_record record, void *block)
{
    if (UNLIKELY(is_bootstrap(block) || !have_next())) {
        return;
    }
    struct writer *w = note_given(&record, block, true);
    next.free(block);
    if (LIKELY(w != NULL)) {
        leave(w);
    }
}

EXPORT void free(void *block)
{
    free_as((struct trace_record){.kind = TRACE_FREE}, block);
}

void free_sized(void *block, size_t size);
EXPORT void free_sized(void *block, size_t size)
{
    free_as((struct trace_record){.kind = TRACE_FREE_SIZED, .size = size}, block);
}

void free_aligned_sized(void *block, size_t align, size_t size);
EXPORT void free_aligned_sized(void *block, size_t align, size_t size)
{
    free_as((struct trace_record){.kind = TRACE_FREE_ALIGNED_SIZED, .align = align, .size = size}, block);
}

static void *bootstrap_realloc(void *block, size_t size)
{
    void *made = malloc(size);

    if (made != NULL && block != NULL) {
        size_t left = (size_t)(bootstrap + sizeof(bootstrap) - (char *)block);
        memcpy(made, block, size < left ? size : left);
    }
    return made;
}

/* The object changes hands while next has it, so its name is taken before and the record is written after. */
static inline __attribute__((always_inline)) void *realloc_as(struct trace_record record, void *block,
                                                              size_t size)
{
    struct writer *w = enter();
    uint64_t name = w == NULL ? 0 : find_object(block, true);
    void *made = next.realloc(block, at_least(size));

    if (LIKELY(w != NULL)) {
        name_object(&record, w, block, name);
        record.failed = made == NULL;
        if (made == NULL && name != 0) {
            set_object(block, name);
        }
        put_call(w, &record, made);
        leave(w);
    }
    return made;
}

EXPORT void *realloc(void *block, size_t size)
{
    if (UNLIKELY(!have_next() || is_bootstrap(block))) {
        return bootstrap_realloc(block, size);
    }
    if (UNLIKELY(block != NULL && size == 0)) {
        free_as((struct trace_record){.kind = TRACE_REALLOC}, block);
        return NULL;
    }
    return realloc_as((struct trace_record){.kind = TRACE_REALLOC, .size = size}, block, size);
}

EXPORT void *reallocarray(void *block, size_t count, size_t size)
{
    const struct trace_record record = {.kind = TRACE_REALLOCARRAY, .count = count, .size = size};
    size_t bytes;

    if (UNLIKELY(__builtin_mul_overflow(count, size, &bytes))) {
        struct trace_record failed = record;
        failed.failed = true;
        struct writer *w = note_given(&failed, block, false);
        if (w != NULL) {
            leave(w);
        }
        errno = ENOMEM;
        return NULL;
    }
    if (UNLIKELY(!have_next() || is_bootstrap(block))) {
        return bootstrap_realloc(block, bytes);
    }
    if (UNLIKELY(block != NULL && bytes == 0)) {
        free_as(record, block);
        return NULL;
    }
    return realloc_as(record, block, bytes);
}

EXPORT int posix_memalign(void **result, size_t align, size_t size)
{
    if (!have_next()) {
        return ENOMEM;
    }
    struct writer *w = enter();
    void *made = NULL;
    int error = next.posix_memalign(&made, align, at_least(size));
    const struct trace_record record = {
        .kind = TRACE_POSIX_MEMALIGN, .align = align, .size = size, .failed = error != 0};
    if (error == 0) {
        *result = made;
    }
    note_made(w, &record, error == 0 ? made : NULL);
    return error;
}

/* By posix_memalign where next has not the function itself. */
static void *align_as(enum trace_kind kind, void *(*function)(size_t, size_t), size_t align, size_t size)
{
    struct writer *w = enter();
    void *made = NULL;

    if (function != NULL) {
        made = function(align, at_least(size));
    } else {
        int error =
            next.posix_memalign(&made, align < sizeof(void *) ? sizeof(void *) : align, at_least(size));
        made = error == 0 ? made : NULL;
        errno = error == 0 ? errno : error;
    }
    const struct trace_record record = {.kind = kind,
                                        .align = kind == TRACE_VALLOC || kind == TRACE_PVALLOC ? 0 : align,
                                        .size = size,
                                        .failed = made == NULL};
    note_made(w, &record, made);
    return made;
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
    return have_next() ? align_as(TRACE_ALIGNED_ALLOC, next.aligned_alloc, align, size) : NULL;
}

void *memalign(size_t align, size_t size);
EXPORT void *memalign(size_t align, size_t size)
{
    return have_next() ? align_as(TRACE_MEMALIGN, next.memalign, align, size) : NULL;
}

void *valloc(size_t size);
EXPORT void *valloc(size_t size)
{
    return have_next() ? align_as(TRACE_VALLOC, NULL, (size_t)sysconf(_SC_PAGESIZE), size) : NULL;
}

void *pvalloc(size_t size);
EXPORT void *pvalloc(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    return have_next() ? align_as(TRACE_PVALLOC, NULL, page, (size + page - 1) & ~(page - 1)) : NULL;
}

size_t malloc_usable_size(void *block);
EXPORT size_t malloc_usable_size(void *block)
{
    if (block == NULL || is_bootstrap(block) || !have_next() || next.usable_size == NULL) {
        return 0;
    }
    struct trace_record record = {.kind = TRACE_USABLE_SIZE};
    struct writer *w = note_given(&record, block, false);
    size_t size = next.usable_size(block);
    if (w != NULL) {
        leave(w);
    }
    return size;
}
