/*
 * What memcheck is told, in builds made for it (--enable-valgrind): which bytes
 * are whose.  Everything here is nothing in other builds.  Memory between blocks
 * is nobody's; bookkeeping is out of sight, so that pointers left in it do not
 * make a lost block look reachable.
 */
#ifndef OS_SHADOW_H
#define OS_SHADOW_H

#include "util/compiler.h"

/* shadow.c, which other builds are without. */
bool slai_memcheck_runs(void);
void slai_memcheck_alloc(void *p, size_t size, bool defined);
bool slai_memcheck_free(void *p);
void slai_memcheck_resize(void *p, size_t room, size_t size, bool defined);
size_t slai_memcheck_size(const void *p, size_t room);
void slai_memcheck_hide(void *p, size_t size);
void slai_memcheck_show(void *p, size_t size, bool defined);
void slai_memcheck_own(void *p, size_t size, bool ours);
void slai_memcheck_quiet(bool on);

/* Is this process watched? */
SLA_INLINE bool slai_shadow_on(void) { return SLA_VALGRIND && slai_memcheck_runs(); }

/* What is to be asked for where the program asks for `size` bytes: the rest is a red zone behind them. */
#define SLAI_RED ((size_t)16)
SLA_INLINE size_t slai_shadow_room(size_t size)
{
    return SLA_VALGRIND && size <= PTRDIFF_MAX && slai_memcheck_runs() ? size + SLAI_RED : size;
}

/* And how many of `room` bytes it may have. */
SLA_INLINE size_t slai_shadow_usable(size_t room)
{
    return SLA_VALGRIND && room >= SLAI_RED && slai_memcheck_runs() ? room - SLAI_RED : room;
}

/* p, of which the program gets `size` bytes now, with known contents or not. NULL passes. */
SLA_INLINE void *slai_shadow_alloc(void *p, size_t size, bool defined)
{
    if (SLA_VALGRIND && p != NULL)
        slai_memcheck_alloc(p, size, defined);
    return p;
}

/* The program gives p back: to be said before anybody else can get it. True: the process ends, leave it at that. */
SLA_INLINE bool slai_shadow_free(void *p) { return SLA_VALGRIND && slai_memcheck_free(p); }

/* The program has `size` bytes of p from now on; there was room for `room`, and what lies behind that is defined or
   not. */
SLA_INLINE void *slai_shadow_resize(void *p, size_t room, size_t size, bool defined)
{
    if (SLA_VALGRIND && p != NULL)
        slai_memcheck_resize(p, room, size, defined);
    return p;
}

/* How many of p's first `most` bytes the program has: more are not to be read. */
SLA_INLINE size_t slai_shadow_size(const void *p, size_t most)
{
    return SLA_VALGRIND ? slai_memcheck_size(p, most) : most;
}

/* Nobody's. */
SLA_INLINE void slai_shadow_hide(void *p, size_t size)
{
    if (SLA_VALGRIND)
        slai_memcheck_hide(p, size);
}

/* For somebody to use, but no block: memory of others, a free object while it is constructed. */
SLA_INLINE void slai_shadow_show(void *p, size_t size, bool defined)
{
    if (SLA_VALGRIND)
        slai_memcheck_show(p, size, defined);
}

/* The allocator's own from now on, or no more. */
SLA_INLINE void slai_shadow_own(void *p, size_t size, bool ours)
{
    if (SLA_VALGRIND)
        slai_memcheck_own(p, size, ours);
}

/* Between true and false this thread's system calls may be about memory of the allocator's own. */
SLA_INLINE void slai_shadow_quiet(bool on)
{
    if (SLA_VALGRIND)
        slai_memcheck_quiet(on);
}

#endif
