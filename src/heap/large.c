#include "heap/large.h"

#include "heap/misuse.h"
#include "heap/pageheap.h"
#include "heap/purge.h"
#include "os/os.h"
#include "os/shadow.h"

#include <errno.h>

#define MOVE_LEAST ((size_t)1 << 20) /* below, copying is as fast as having the kernel move pages */
#define MOVES_MOST 4096              /* split mappings allowed at a time: the system has 65530 for a process */

/* What a span can say, and a pointer difference. */
#define PAGES_MOST (SIZE_MAX > UINT32_MAX ? (size_t)UINT32_MAX / 2 : (size_t)PTRDIFF_MAX >> SLAI_PAGE_SHIFT)

static size_t pages_of(size_t size)
{
    size_t pages = (size + SLAI_PAGE - 1) >> SLAI_PAGE_SHIFT;
    return pages > 0 ? pages : 1;
}

/* The span whose block starts at p, whatever its kind; NULL: p is no page's start or not ours. */
static struct slai_span *span_at(const void *p)
{
    return ((uintptr_t)p & (SLAI_PAGE - 1)) == 0 ? slai_page_of(p) : NULL;
}

static size_t bytes_of(size_t pages) { return pages << SLAI_PAGE_SHIFT; }

/* Its pages are charged by now; a fork in between finds it in the default heap. */
static void enlist(struct slai_account *a, struct slai_span *s)
{
    if (SLA_LIKELY(a == NULL))
        return;
    slai_lock(&slai_pageheap.lock);
    slai_set_relaxed(&s->account, a->number);
    slai_list_push(&a->large, &s->link);
    a->large_count++;
    a->large_pages += s->pages;
    slai_unlock(&slai_pageheap.lock);
}

/* REQUIRES PAGEHEAP. */
static void discard(struct slai_span *s)
{
    struct slai_account *a = slai_account_of(s);
    if (SLA_UNLIKELY(a != NULL)) {
        slai_list_remove(&a->large, &s->link);
        a->large_count--;
        a->large_pages -= s->pages;
        slai_set_relaxed(&s->account, 0);
        slai_account_give(a, bytes_of(s->pages));
    }
    slai_pageheap.large_count--;
    slai_pageheap.large_pages -= s->pages;
    slai_span_free(s);
}

void *slai_large_take_for(struct slai_account *account, size_t size, size_t align, bool *zero)
{
    size_t align_pages = align > SLAI_PAGE ? align >> SLAI_PAGE_SHIFT : 1, pages = pages_of(size), total;
    struct slai_span *s;
    if (__builtin_add_overflow(pages, align_pages, &total) || total > PAGES_MOST) {
        errno = ENOMEM;
        return NULL;
    }
    if (!slai_account_take(account, bytes_of(pages)))
        return NULL;
    s = slai_pages_take_hard(account, pages, align_pages, SLAI_KIND_LARGE);
    if (s == NULL) {
        slai_account_give(account, bytes_of(pages));
        return NULL;
    }
    *zero = s->clean != 0;
    enlist(account, s);
    slai_account_got(account);
    return s->start;
}

struct slai_account *slai_large_give(void *p, const char *call)
{
    struct slai_account *a = NULL;
    struct slai_span *s = span_at(p);
    bool live = false;
    if (s != NULL) {
        slai_lock(&slai_pageheap.lock);
        live = slai_kind(s) == SLAI_KIND_LARGE;
        if (live) {
            a = slai_account_of(s);
            discard(s);
        }
        slai_unlock(&slai_pageheap.lock);
    }
    if (live)
        slai_purge_after_give();
    else
        slai_misuse_unknown(call, p);
    return a;
}

void slai_large_raze(struct slai_account *account)
{
    slai_lock(&slai_pageheap.lock);
    while (account->large.first != NULL)
        discard(SLA_CONTAINER(account->large.first, struct slai_span, link));
    slai_unlock(&slai_pageheap.lock);
}

size_t slai_large_size(const void *p)
{
    struct slai_span *s = span_at(p);
    return s != NULL && slai_kind(s) == SLAI_KIND_LARGE ? (size_t)s->pages << SLAI_PAGE_SHIFT : 0;
}

bool slai_large_resize(void *p, size_t size, bool *zero)
{
    struct slai_span *s = span_at(p), *next = s + s->pages;
    struct slai_account *a = slai_account_of(s);
    size_t pages = pages_of(size), old = s->pages, now;
    bool done = true;
    int saved = errno;
    *zero = false;
    if (pages == old)
        return true;
    if (pages > PAGES_MOST || (pages > old && !slai_account_take(a, bytes_of(pages - old)))) {
        errno = saved;
        return false;
    }
    slai_lock(&slai_pageheap.lock);
    if (pages < old)
        slai_span_shrink(s, pages);
    else
        *zero = done = slai_span_grow(s, pages);
    if (*zero)
        *zero = next->clean != 0; /* it still says of what kind it was */
    now = s->pages;
    if (a != NULL)
        a->large_pages += now - old;
    slai_unlock(&slai_pageheap.lock);
    slai_account_give(a, bytes_of((pages > old ? pages : old) - now));
    slai_account_got(a);
    errno = saved; /* when fresh pages were refused the caller may still succeed elsewhere */
    return done;
}

void *slai_large_move(void *p, size_t size, bool *zero)
{
    struct slai_span *s = span_at(p), *to;
    struct slai_account *a = slai_account_of(s);
    size_t old = (size_t)s->pages << SLAI_PAGE_SHIFT;
    int saved = errno; /* the caller copies if we fail */
    bool done;
    /* A block that was moved crosses mappings by now, which not every kernel moves and none moves all or nothing. */
    if (size < old || old < MOVE_LEAST || s->moved != 0 || s->lender != 0 || pages_of(size) > PAGES_MOST ||
        slai_shadow_on() || slai_load_relaxed(&slai_pageheap.moved) >= MOVES_MOST)
        return NULL;
    if (!slai_account_take(a, bytes_of(pages_of(size)))) {
        errno = saved;
        return NULL;
    }
    to = slai_pages_take(pages_of(size), 1, SLAI_KIND_LARGE);
    if (to == NULL) {
        slai_account_give(a, bytes_of(pages_of(size)));
        errno = saved;
        return NULL;
    }
    enlist(a, to);
    slai_account_got(a);
    done = slai_os_move(p, to->start, old);
    errno = saved;
    if (!done) {
        slai_large_give(to->start, "realloc");
        return NULL;
    }
    slai_lock(&slai_pageheap.lock);
    to->moved = to->moved < 255 ? to->moved + 1 : 255;
    slai_set_relaxed(&slai_pageheap.moved, slai_pageheap.moved + 1);
    slai_unlock(&slai_pageheap.lock);
    *zero = to->clean != 0;
    slai_large_give(p, "realloc");
    return to->start;
}
