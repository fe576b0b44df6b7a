/*
 * The C library's names and C++'s operators, for libslaballoc-malloc alone.
 * Unversioned, because programs ask for malloc@GLIBC_2.2.5 and a versioned
 * definition of ours would not answer that.  The C++ runtime is not linked: what
 * operator new needs of it is referenced weakly and absent in a C program.
 */
#include "api/fast.h"
#include "api/stats.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

const char slai_dropin = 1;

#define EXPORT __attribute__((visibility("default"), used))

EXPORT void *malloc(size_t size);
EXPORT void free(void *p);
EXPORT void *calloc(size_t count, size_t size);
EXPORT void *realloc(void *p, size_t size);
EXPORT void *reallocarray(void *p, size_t count, size_t size);
EXPORT void cfree(void *p);
EXPORT void free_sized(void *p, size_t size);
EXPORT void free_aligned_sized(void *p, size_t align, size_t size);
EXPORT void *aligned_alloc(size_t align, size_t size);
EXPORT int posix_memalign(void **out, size_t align, size_t size);
EXPORT void *memalign(size_t align, size_t size);
EXPORT void *valloc(size_t size);
EXPORT void *pvalloc(size_t size);
EXPORT size_t malloc_usable_size(void *p);
EXPORT int malloc_trim(size_t keep);
EXPORT void malloc_stats(void);
EXPORT int malloc_info(int options, FILE *out);
EXPORT int mallopt(int parameter, int value);

void *malloc(size_t size) { return slai_malloc(size); }
void free(void *p) { slai_free(p); }
void *calloc(size_t count, size_t size) { return slai_calloc(count, size); }
void *realloc(void *p, size_t size) { return slai_realloc(p, size); }
void *reallocarray(void *p, size_t count, size_t size) { return slai_reallocarray(p, count, size); }
void cfree(void *p) { slai_free(p); }
void free_sized(void *p, size_t size) { slai_free_sized(p, size); }
void free_aligned_sized(void *p, size_t align, size_t size) { slai_free_aligned_sized(p, align, size); }
void *aligned_alloc(size_t align, size_t size) { return slai_aligned_alloc(align, size); }
int posix_memalign(void **out, size_t align, size_t size) { return slai_posix_memalign(out, align, size); }
void *memalign(size_t align, size_t size) { return slai_memalign(align, size); }
void *valloc(size_t size) { return slai_valloc(size); }
void *pvalloc(size_t size) { return slai_pvalloc(size); }
size_t malloc_usable_size(void *p) { return slai_usable_size(p); }
int malloc_trim(size_t keep) { return slai_trim(keep); }
void malloc_stats(void) { slai_stats_print(NULL, NULL); }

int mallopt(int parameter, int value) { return slai_mallopt(parameter, value); }

static void write_line(void *out, const char *name, size_t value)
{
    fprintf(out, "  <%s>%zu</%s>\n", name, value, name);
}

/* Our own elements in glibc's envelope; stdio may allocate, so the figures are collected first. */
SLA_COLD int malloc_info(int options, FILE *out)
{
    sla_stats_t st;
    if (options != 0)
        return EINVAL; /* returned, as glibc does */
    slai_stats_collect(&st);
    fputs("<malloc version=\"slaballoc-1\">\n", out);
    write_line(out, "live", st.live);
    write_line(out, "large", st.large);
    write_line(out, "cached", st.cached);
    write_line(out, "slab_free", st.slab_free);
    write_line(out, "dirty", st.dirty);
    write_line(out, "clean", st.clean);
    write_line(out, "metadata", st.metadata);
    write_line(out, "committed", st.committed);
    write_line(out, "reserved", st.reserved);
    write_line(out, "threads", st.threads);
    return fputs("</malloc>\n", out) < 0 ? -1 : 0;
}

#ifdef __GLIBC__
EXPORT struct mallinfo mallinfo(void);
#if __GLIBC_PREREQ(2, 33)
EXPORT struct mallinfo2 mallinfo2(void);
#else
struct mallinfo2 {
    size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};
EXPORT struct mallinfo2 mallinfo2(void);
#endif

struct mallinfo2 mallinfo2(void)
{
    struct mallinfo2 m;
    sla_stats_t st;
    slai_stats_collect(&st);
    memset(&m, 0, sizeof m);
    m.arena = st.slabs + st.dirty;   /* small blocks' memory, and free pages with memory behind them */
    m.hblks = st.large_count;
    m.hblkhd = st.large;
    m.fsmblks = st.cached;
    m.uordblks = st.live - st.large;
    m.fordblks = m.arena > m.uordblks ? m.arena - m.uordblks : 0;
    m.keepcost = st.dirty;           /* what malloc_trim() would give back */
    return m;
}

static int narrow(size_t v) { return v > INT32_MAX ? INT32_MAX : (int)v; }

/* ints of another age: what does not fit is the largest int, not garbage. */
struct mallinfo mallinfo(void)
{
    struct mallinfo2 w = mallinfo2();
    struct mallinfo m;
    memset(&m, 0, sizeof m);
    m.arena = narrow(w.arena);
    m.hblks = narrow(w.hblks);
    m.hblkhd = narrow(w.hblkhd);
    m.fsmblks = narrow(w.fsmblks);
    m.uordblks = narrow(w.uordblks);
    m.fordblks = narrow(w.fordblks);
    m.keepcost = narrow(w.keepcost);
    return m;
}

/* Under these names glibc's own code, and old interposers, ask for the heap. */
EXPORT void *__libc_malloc(size_t size);
EXPORT void *__libc_calloc(size_t count, size_t size);
EXPORT void *__libc_realloc(void *p, size_t size);
EXPORT void __libc_free(void *p);
EXPORT void *__libc_memalign(size_t align, size_t size);
EXPORT void *__libc_valloc(size_t size);
EXPORT void *__libc_pvalloc(size_t size);
EXPORT int __posix_memalign(void **out, size_t align, size_t size);

void *__libc_malloc(size_t size) { return slai_malloc(size); }
void *__libc_calloc(size_t count, size_t size) { return slai_calloc(count, size); }
void *__libc_realloc(void *p, size_t size) { return slai_realloc(p, size); }
void __libc_free(void *p) { slai_free(p); }
void *__libc_memalign(size_t align, size_t size) { return slai_memalign(align, size); }
void *__libc_valloc(size_t size) { return slai_valloc(size); }
void *__libc_pvalloc(size_t size) { return slai_pvalloc(size); }
int __posix_memalign(void **out, size_t align, size_t size) { return slai_posix_memalign(out, align, size); }
#endif

/* C++: std::get_new_handler, std::__throw_bad_alloc. */
typedef void (*new_handler)(void);
extern new_handler _ZSt15get_new_handlerv(void) __attribute__((weak));
extern void _ZSt17__throw_bad_allocv(void) __attribute__((weak, noreturn));

/* No memory: ask the program's handler to make some, as operator new must. False: there is no handler. */
static bool new_handled(void)
{
    new_handler handler = _ZSt15get_new_handlerv != NULL ? _ZSt15get_new_handlerv() : NULL;
    if (handler == NULL)
        return false;
    handler(); /* may throw through us: this file is compiled with -fexceptions */
    return true;
}

static SLA_COLD void *new_slow(size_t size, size_t align, bool throwing)
{
    void *p;
    while (new_handled()) {
        p = align != 0 ? slai_aligned_alloc(align, size) : slai_malloc(size);
        if (p != NULL)
            return p;
    }
    if (throwing && _ZSt17__throw_bad_allocv != NULL)
        _ZSt17__throw_bad_allocv();
    if (throwing)
        slai_panic("operator new: out of memory, and no C++ runtime to throw bad_alloc");
    return NULL;
}

SLA_INLINE void *new_plain(size_t size, bool throwing)
{
    void *p = slai_malloc(size);
    return SLA_LIKELY(p != NULL) ? p : new_slow(size, 0, throwing);
}

SLA_INLINE void *new_aligned(size_t size, size_t align, bool throwing)
{
    void *p = slai_aligned_alloc(align, size);
    return SLA_LIKELY(p != NULL) ? p : new_slow(size, align, throwing);
}

/* Mangled: size_t is m on LP64, j on ILP32. */
#ifdef __LP64__
#define M(a, b) a##m##b
#else
#define M(a, b) a##j##b
#endif
#define NEW(array)                                                                                              \
    EXPORT void *M(_Zn##array, )(size_t size);                                                                  \
    EXPORT void *M(_Zn##array, RKSt9nothrow_t)(size_t size, const void *tag);                                   \
    EXPORT void *M(_Zn##array, St11align_val_t)(size_t size, size_t align);                                     \
    EXPORT void *M(_Zn##array, St11align_val_tRKSt9nothrow_t)(size_t size, size_t align, const void *tag);      \
    void *M(_Zn##array, )(size_t size) { return new_plain(size, true); }                                        \
    void *M(_Zn##array, RKSt9nothrow_t)(size_t size, const void *tag)                                           \
    {                                                                                                           \
        (void)tag;                                                                                              \
        return new_plain(size, false);                                                                          \
    }                                                                                                           \
    void *M(_Zn##array, St11align_val_t)(size_t size, size_t align) { return new_aligned(size, align, true); }  \
    void *M(_Zn##array, St11align_val_tRKSt9nothrow_t)(size_t size, size_t align, const void *tag)              \
    {                                                                                                           \
        (void)tag;                                                                                              \
        return new_aligned(size, align, false);                                                                 \
    }
NEW(w)
NEW(a)

#define DELETE(array)                                                                                           \
    EXPORT void _Zd##array##Pv(void *p);                                                                        \
    EXPORT void _Zd##array##PvRKSt9nothrow_t(void *p, const void *tag);                                         \
    EXPORT void _Zd##array##PvSt11align_val_t(void *p, size_t align);                                           \
    EXPORT void _Zd##array##PvSt11align_val_tRKSt9nothrow_t(void *p, size_t align, const void *tag);            \
    EXPORT void M(_Zd##array##Pv, )(void *p, size_t size);                                                      \
    EXPORT void M(_Zd##array##Pv, St11align_val_t)(void *p, size_t size, size_t align);                         \
    void _Zd##array##Pv(void *p) { slai_free(p); }                                                              \
    void _Zd##array##PvRKSt9nothrow_t(void *p, const void *tag)                                                 \
    {                                                                                                           \
        (void)tag;                                                                                              \
        slai_free(p);                                                                                           \
    }                                                                                                           \
    void _Zd##array##PvSt11align_val_t(void *p, size_t align)                                                   \
    {                                                                                                           \
        (void)align;                                                                                            \
        slai_free(p);                                                                                           \
    }                                                                                                           \
    void _Zd##array##PvSt11align_val_tRKSt9nothrow_t(void *p, size_t align, const void *tag)                    \
    {                                                                                                           \
        (void)align;                                                                                            \
        (void)tag;                                                                                              \
        slai_free(p);                                                                                           \
    }                                                                                                           \
    void M(_Zd##array##Pv, )(void *p, size_t size)                                                              \
    {                                                                                                           \
        (void)size;                                                                                             \
        slai_free(p);                                                                                           \
    }                                                                                                           \
    void M(_Zd##array##Pv, St11align_val_t)(void *p, size_t size, size_t align)                                 \
    {                                                                                                           \
        (void)size;                                                                                             \
        (void)align;                                                                                            \
        slai_free(p);                                                                                           \
    }
DELETE(l)
DELETE(a)
