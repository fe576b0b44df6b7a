#include "os/shadow.h"

#include <valgrind/memcheck.h>

static bool over;

bool slai_memcheck_runs(void) { return RUNNING_ON_VALGRIND != 0; }

void slai_memcheck_alloc(void *p, size_t size, bool defined) { VALGRIND_MALLOCLIKE_BLOCK(p, size, 0, defined); }

bool slai_memcheck_free(void *p)
{
    if (p != NULL)
        VALGRIND_FREELIKE_BLOCK(p, 0);
    return over;
}

/* Bytes behind the program's own are hidden, so the first of them is the answer. */
size_t slai_memcheck_size(const void *p, size_t room)
{
    uintptr_t hidden;
    if (!slai_memcheck_runs())
        return room;
    VALGRIND_DISABLE_ERROR_REPORTING;
    hidden = VALGRIND_CHECK_MEM_IS_ADDRESSABLE(p, room);
    VALGRIND_ENABLE_ERROR_REPORTING;
    return hidden != 0 ? hidden - (uintptr_t)p : room;
}

void slai_memcheck_resize(void *p, size_t room, size_t size, bool defined)
{
    size_t old;
    if (!slai_memcheck_runs())
        return;
    old = slai_memcheck_size(p, room);
    VALGRIND_DISABLE_ERROR_REPORTING; /* the program may have hidden bytes of its own */
    VALGRIND_RESIZEINPLACE_BLOCK(p, old, size, 0);
    VALGRIND_ENABLE_ERROR_REPORTING;
    if (size < old)
        (void)VALGRIND_MAKE_MEM_NOACCESS((char *)p + size, old - size);
    else if (defined && size > room)
        (void)VALGRIND_MAKE_MEM_DEFINED((char *)p + room, size - room);
}

void slai_memcheck_hide(void *p, size_t size) { (void)VALGRIND_MAKE_MEM_NOACCESS(p, size); }

void slai_memcheck_show(void *p, size_t size, bool defined)
{
    if (defined)
        (void)VALGRIND_MAKE_MEM_DEFINED(p, size);
    else
        (void)VALGRIND_MAKE_MEM_UNDEFINED(p, size);
}

void slai_memcheck_own(void *p, size_t size, bool ours)
{
    if (ours)
        (void)VALGRIND_DISABLE_ADDR_ERROR_REPORTING_IN_RANGE(p, size);
    else
        (void)VALGRIND_ENABLE_ADDR_ERROR_REPORTING_IN_RANGE(p, size);
}

void slai_memcheck_quiet(bool on)
{
    if (on)
        VALGRIND_DISABLE_ERROR_REPORTING;
    else
        VALGRIND_ENABLE_ERROR_REPORTING;
}

/* After all others of the program's ends, but for the C library's own.  Memcheck warns of ranges that are left; without
   them our bookkeeping may not be touched any more, so a free only tells memcheck. */
static __attribute__((destructor(101))) void at_end(void)
{
    over = slai_memcheck_runs();
    (void)VALGRIND_ENABLE_ADDR_ERROR_REPORTING_IN_RANGE((void *)4096, PTRDIFF_MAX - 4096);
}
