/*
 * The way out: one line on standard error by write(2) from a stack buffer, then
 * abort().  Nothing here allocates, locks or uses stdio, so it is safe to call
 * from any state of the heap.
 */
#ifndef UTIL_PANIC_H
#define UTIL_PANIC_H

#include "util/compiler.h"

struct slai_line {
    size_t len;
    char text[240];
};

extern int slai_line_spare SLA_HIDDEN; /* a descriptor, -1: none */

/* Building a line: each call appends, silently stopping at the end of the buffer. */
void slai_line_start(struct slai_line *l);
void slai_line_text(struct slai_line *l, const char *s);
void slai_line_textn(struct slai_line *l, const char *s, size_t n);
void slai_line_dec(struct slai_line *l, size_t v);
void slai_line_signed(struct slai_line *l, long v);
void slai_line_hex(struct slai_line *l, uintptr_t v);
/* Ends the line with a newline, and writes it to standard error, or to the spare if that is closed; errno is kept. */
void slai_line_end(struct slai_line *l);

/* An error of ours or a broken invariant: never returns. */
SLA_NORETURN SLA_COLD void slai_panic(const char *what);

#endif
