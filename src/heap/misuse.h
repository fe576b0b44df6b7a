/* The one report of misuse or corruption: a line on standard error, then abort() unless abort=0. */
#ifndef HEAP_MISUSE_H
#define HEAP_MISUSE_H

#include "os/tls.h"
#include "util/panic.h"

/* "slaballoc: CALL(0xADDRESS): WHAT", with " (size class SIZE)" if size is not 0. Returns only with abort=0. */
SLA_COLD void slai_misuse(const char *call, const void *p, const char *what, size_t size);

/* The same of a free() that is found out under locks: the report, and abort(), wait for slai_misuse_due(), so that a
   handler of SIGABRT may allocate. */
SLA_COLD void slai_misuse_later(const void *p, const char *what, size_t size);

/* The thread's first such free since the last slai_misuse_due(); what is NULL: none. */
struct slai_blame {
    const void *p;
    const char *what;
    size_t size;
};
extern SLA_TLS struct slai_blame slai_blame SLA_HIDDEN;
SLA_COLD void slai_misuse_now(void);

/* To be called by slow paths when they have dropped all locks. */
SLA_INLINE void slai_misuse_due(void)
{
    if (SLA_UNLIKELY(slai_blame.what != NULL))
        slai_misuse_now();
}

/* The same in pieces, for what needs more words: begins "slaballoc: CALL(0xADDRESS): ", and ends the report. */
SLA_COLD void slai_misuse_begin(struct slai_line *l, const char *call, const void *p);
SLA_COLD void slai_misuse_end(struct slai_line *l);

/* The sized frees: "CALL(0xADDRESS): WHAT ASKED does not fit a block of HAVE bytes". */
SLA_COLD void slai_misuse_sized(const char *call, const void *p, const char *what, size_t asked, size_t have);

/* What is wrong with p, which is no live block of a slab: looks at the pages around it. */
SLA_COLD void slai_misuse_unknown(const char *call, const void *p);

#endif
