#include "util/panic.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

int slai_line_spare = -1;

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

/* False: the descriptor is closed. */
static bool write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n > 0) {
            text += n;
            len -= (size_t)n;
        } else if (n == 0 || errno != EINTR) {
            return n == 0 || errno != EBADF; /* other troubles: nobody to tell */
        }
    }
    return true;
}

/* write() is a cancellation point, and a thread cancelled here would keep a lock, or miss its abort(). */
void slai_line_end(struct slai_line *l)
{
    int saved = errno, cancel;
    l->text[l->len++] = '\n';
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    if (!write_all(STDERR_FILENO, l->text, l->len) && slai_line_spare >= 0)
        write_all(slai_line_spare, l->text, l->len);
    pthread_setcancelstate(cancel, NULL);
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
