/* The options: one table, and a parser that is fed a string.  Reading the environment is api/init.c's. */
#ifndef UTIL_CONF_H
#define UTIL_CONF_H

#include "util/atomic.h"

enum slai_huge { SLAI_HUGE_NEVER, SLAI_HUGE_DEFAULT, SLAI_HUGE_ALWAYS };

/* Written under the INIT lock or before a second thread can exist; read with slai_option(). */
struct slai_conf {
    long purge_delay;   /* ms a free page rests before it is given back; -1 never, 0 at once */
    long stats_at_exit; /* print the statistics when the process ends */
    long verbose;       /* 1: failed system calls, 2: events too */
    long abort;         /* abort() on misuse; 0: report, leak the block, go on */
    long huge_pages;    /* enum slai_huge */
    long cache_size;    /* bytes of free blocks one thread may keep */
    long reserve;       /* MiB of address space a region takes */
};

extern struct slai_conf slai_conf SLA_HIDDEN;
#define slai_option(name) slai_load_relaxed(&slai_conf.name)

/* Value of an option by name. 0, or ENOENT, EINVAL (out of range). */
int slai_conf_get(const char *name, long *value);
int slai_conf_set(const char *name, long value);

/*
 * Parses "key=value,key=value".  Each bad entry is reported in one line that
 * names the key, and leaves its option as it was; the others are taken.
 * Returns the number of bad entries.  NULL and empty entries are fine.
 */
int slai_conf_parse(const char *text);

#endif
