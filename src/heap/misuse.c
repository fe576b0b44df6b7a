#include "heap/misuse.h"

#include "heap/region.h"
#include "os/lock.h"
#include "util/conf.h"

#include <stdlib.h>

void slai_misuse_begin(struct slai_line *l, const char *call, const void *p)
{
    slai_line_start(l);
    slai_line_text(l, call);
    slai_line_text(l, "(");
    slai_line_hex(l, (uintptr_t)p);
    slai_line_text(l, "): ");
}

void slai_misuse_end(struct slai_line *l)
{
    slai_line_end(l);
    if (slai_option(abort) == 0)
        return;
    slai_assert(!slai_lock_any());
    abort();
}

void slai_misuse(const char *call, const void *p, const char *what, size_t size)
{
    struct slai_line l;
    slai_misuse_begin(&l, call, p);
    slai_line_text(&l, what);
    if (size != 0) {
        slai_line_text(&l, " (size class ");
        slai_line_dec(&l, size);
        slai_line_text(&l, ")");
    }
    slai_misuse_end(&l);
}

SLA_TLS struct slai_blame slai_blame;

void slai_misuse_later(const void *p, const char *what, size_t size)
{
    if (slai_option(abort) == 0)
        slai_misuse("free", p, what, size);
    else if (slai_blame.what == NULL)
        slai_blame = (struct slai_blame){p, what, size};
}

void slai_misuse_now(void)
{
    struct slai_blame blame = slai_blame;
    slai_blame.what = NULL;
    slai_misuse("free", blame.p, blame.what, blame.size);
}

void slai_misuse_sized(const char *call, const void *p, const char *what, size_t asked, size_t have)
{
    struct slai_line l;
    slai_misuse_begin(&l, call, p);
    slai_line_text(&l, what);
    slai_line_text(&l, " ");
    slai_line_dec(&l, asked);
    slai_line_text(&l, " does not fit a block of ");
    slai_line_dec(&l, have);
    slai_line_text(&l, " bytes");
    slai_misuse_end(&l);
}

/* Walks back to the page that speaks for p's; racy by nature, the program is broken already. */
void slai_misuse_unknown(const char *call, const void *p)
{
    struct slai_region *r = slai_region_of(p);
    const char *what = "not a block of this heap";
    if (r != NULL) {
        size_t page = slai_page_number(r, p), head = page;
        while (head > r->data && slai_kind(&r->spans[head]) == SLAI_KIND_NONE)
            head--;
        const struct slai_span *s = &r->spans[head];
        if (slai_kind(s) == SLAI_KIND_LARGE && page - head < s->pages)
            what = "not the start of a large block";
        else if (slai_kind(s) == SLAI_KIND_FREE || slai_kind(s) == SLAI_KIND_BUSY)
            what = "large block already free";
    }
    slai_misuse(call, p, what, 0);
}
