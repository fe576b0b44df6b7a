#include "heap/chunk.h"

#include "heap/pageheap.h"
#include "os/os.h"
#include "os/shadow.h"

#include <errno.h>

bool slai_chunk_add(struct slai_account *a, void *memory, size_t size, bool zero)
{
    size_t pages = size >> SLAI_PAGE_SHIFT;
    size_t raw_size = slai_round_up((pages + 2) * sizeof(struct slai_span), slai_os_page());
    char *raw = slai_os_reserve(raw_size);
    struct slai_span *s = NULL;
    int saved = errno;
    if (raw != NULL)
        slai_shadow_own(raw, raw_size, true);
    if (raw != NULL && slai_os_commit(raw, raw_size)) {
        slai_shadow_hide(memory, size);
        slai_lock(&slai_pageheap.lock);
        s = slai_region_lend(memory, pages, a->number, raw, raw_size);
        if (s != NULL) {
            s->clean = zero;
            slai_span_join(s);
            slai_set_relaxed(&a->provided, a->provided + size);
        }
        slai_unlock(&slai_pageheap.lock);
    }
    if (s == NULL && raw != NULL) {
        slai_shadow_show(memory, size, true);
        (void)slai_os_release(raw, raw_size);
    }
    errno = s != NULL ? saved : ENOMEM;
    return s != NULL;
}

/* REQUIRES PAGEHEAP. Its pages leave all lists and counts; used ones are those that a fork left without an owner. */
static void forget(const struct slai_region *r)
{
    for (size_t p = r->data; p < r->top; p += r->spans[p].pages) {
        struct slai_span *s = &r->spans[p];
        if (slai_kind(s) == SLAI_KIND_FREE) {
            slai_bin_remove(s);
            continue;
        }
        slai_set_relaxed(&slai_pageheap.used_pages, slai_pageheap.used_pages - s->pages);
        if (slai_kind(s) == SLAI_KIND_LARGE) {
            slai_pageheap.large_count--;
            slai_pageheap.large_pages -= s->pages;
        }
    }
}

/* REQUIRES PAGEHEAP. */
static struct slai_region *find(const struct slai_account *a, enum slai_chunks which)
{
    bool keep = which == SLAI_CHUNKS_SPARE;
    for (size_t i = 1; i < slai_region_count; i++) {
        struct slai_region *r = &slai_regions[i];
        if (r->pages == 0 || r->lender != a->number || (which != SLAI_CHUNKS_ALL && !slai_region_unused(r)))
            continue;
        if (!keep)
            return r;
        keep = false;
    }
    return NULL;
}

void *slai_chunk_remove(struct slai_account *a, enum slai_chunks which, size_t *size)
{
    void *memory = NULL;
    struct slai_region *r;
    slai_lock(&slai_pageheap.lock);
    r = find(a, which);
    if (r != NULL) {
        memory = r->base;
        *size = r->pages << SLAI_PAGE_SHIFT;
        forget(r);
        (void)slai_region_drop(r); /* refused, the descriptors' address space goes later */
        slai_set_relaxed(&a->provided, a->provided - *size);
        slai_shadow_show(memory, *size, true);
    }
    slai_unlock(&slai_pageheap.lock);
    return memory;
}
