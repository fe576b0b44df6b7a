#include "util/panic.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

void slai_line_textn(struct slai_line *l, const char *s, size_t n)
{
    for (size_t i = 0; i < n && l->len < sizeof l->text - 1; i++)
        l->text[l->len++] = s[i];
}

void slai_line_text(struct slai_line *l, const char *s)
{
    while (*s != '\0' && l->len < sizeof l->text - 1)
        l->text[l->len++] = *s++;
}

void slai_line_start(struct slai_line *l)
{
    l->len = 0;
    slai_line_text(l, "slaballoc: ");
}

static void line_number(struct slai_line *l, uintmax_t v, unsigned base)
{
    char digits[24];
    size_t n = sizeof digits;
    do {
        digits[--n] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v != 0);
    slai_line_textn(l, digits + n, sizeof digits - n);
}

void slai_line_dec(struct slai_line *l, size_t v) { line_number(l, v, 10); }

void slai_line_signed(struct slai_line *l, long v)
{
    if (v < 0)
        slai_line_text(l, "-");
    line_number(l, v < 0 ? 0 - (uintmax_t)v : (uintmax_t)v, 10);
}

void slai_line_hex(struct slai_line *l, uintptr_t v)
{
    slai_line_text(l, "0x");
    line_number(l, v, 16);
}

void slai_line_end(struct slai_line *l)
{
    int saved = errno;
    size_t done = 0;
    l->text[l->len++] = '\n';
    while (done < l->len) {
        ssize_t n = write(STDERR_FILENO, l->text + done, l->len - done);
        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            break; /* nobody to tell */
    }
    errno = saved;
}

void slai_panic(const char *what)
{
    struct slai_line l;
    slai_line_start(&l);
    slai_line_text(&l, what);
    slai_line_end(&l);
    abort();
}
