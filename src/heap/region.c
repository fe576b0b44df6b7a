#include "heap/region.h"

#include "os/os.h"
#include "os/shadow.h"
#include "util/conf.h"

#include <errno.h>
#include <string.h>

#define RESERVE_LEAST ((size_t)1 << 20)
#define ALIGN_BIG ((size_t)2 << 20) /* a huge page, where the region is big enough not to care */
#define DATA_STEP ((size_t)4 << 20)
#define DATA_STEP_MAX ((size_t)64 << 20)
#define SPANS_STEP ((size_t)64 << 10)
#define SPANS_EARLY (8 * sizeof(struct slai_span))
#define META_STEP ((size_t)64 << 10)
#define META_LEAST ((size_t)64 << 10)
#define META_SHARE 64 /* what the bitmaps of 16-byte blocks take; smaller ones make the arena map more */

/* Before there is a region no address may seem to lie in it, whichever of the two fields a reader sees first. */
struct slai_window slai_window = {(char *)(UINTPTR_MAX / 2 + 1), 0};
struct slai_object_window slai_object_window = {(char *)(UINTPTR_MAX / 2 + 1), 0, NULL};
SLA_RARE struct slai_region slai_regions[SLAI_MAX_REGIONS]; /* all but the first */
size_t slai_region_count;
const struct slai_span slai_no_span;

struct slai_region *slai_region_of(const void *p)
{
    size_t n = slai_load_acquire(&slai_region_count);
    for (size_t i = 0; i < n; i++) {
        struct slai_region *r = &slai_regions[i];
        size_t pages = slai_load_acquire(&r->pages);
        uintptr_t base = (uintptr_t)slai_load_acquire(&r->base); /* before the second look */
        size_t page = ((uintptr_t)p - base) >> SLAI_PAGE_SHIFT;
        if (page >= pages)
            continue;
        /* Between the two loads the region may have been dropped and its place used again: look once more. */
        if (slai_load_acquire(&r->pages) == pages)
            return page >= r->data && page < slai_load_relaxed(&r->top) ? r : NULL;
    }
    return NULL;
}

struct slai_region *slai_region_of_span(const struct slai_span *s)
{
    size_t n = slai_load_acquire(&slai_region_count);
    for (size_t i = 0; i < n; i++) {
        struct slai_region *r = &slai_regions[i];
        if ((uintptr_t)s - (uintptr_t)slai_load_relaxed(&r->base) < slai_load_acquire(&r->pages) << SLAI_PAGE_SHIFT)
            return r;
    }
    return NULL;
}

uint8_t slai_class_byte_far(const void *p)
{
    struct slai_region *r = slai_region_of(p);
    return r != NULL && r->lender == 0 ? slai_load_relaxed((uint8_t *)r->base + slai_page_number(r, p)) : 0;
}

unsigned slai_object_class_of(const void *p)
{
    struct slai_span *s = slai_page_of(p);
    unsigned kind = s != NULL ? slai_kind(s) : SLAI_KIND_NONE, class;
    if (kind != SLAI_KIND_SLAB && kind != SLAI_KIND_INNER)
        return 0;
    class = slai_load_relaxed(&s->class);
    return slai_class_is_object(class) ? class : 0;
}

/* Page by page: others may join and split spans meanwhile. */
struct slai_span *slai_slab_next(struct slai_slab_cursor *cursor, unsigned class)
{
    size_t n = slai_load_acquire(&slai_region_count);
    for (; cursor->region < n; cursor->region++, cursor->page = 0) {
        struct slai_region *r = &slai_regions[cursor->region];
        if (slai_load_acquire(&r->pages) == 0 || r->lender != 0)
            continue;
        if (cursor->page < r->data)
            cursor->page = r->data;
        while (cursor->page < slai_load_relaxed(&r->top)) {
            struct slai_span *s = &r->spans[cursor->page++];
            if (slai_kind(s) == SLAI_KIND_SLAB && slai_load_relaxed(&s->class) == class)
                return s;
        }
    }
    return NULL;
}

void slai_class_mark(const struct slai_span *s, uint8_t scaled)
{
    struct slai_region *r = slai_region_of(s->start); /* which looks twice: others come and go */
    uint8_t *map = (uint8_t *)r->base + slai_page_number(r, s->start);
    for (size_t i = 0; i < s->pages; i++)
        slai_set_relaxed(map + i, scaled);
}

/* Commits [*done, upto) of an area that ends at `most`, a generous step ahead unless that is refused. */
static bool commit_ahead(char *base, size_t *done, size_t upto, size_t step, size_t most)
{
    size_t page = slai_os_page();
    size_t want;
    if (upto <= *done)
        return true;
    upto = slai_round_up(upto, page);
    want = slai_round_up(upto + step, page);
    if (want > most || want < upto)
        want = most;
    if (!slai_os_commit(base + *done, want - *done)) {
        want = upto < most ? upto : most;
        if (!slai_os_commit(base + *done, want - *done))
            return false;
    }
    *done = want;
    return true;
}

static void widen_window(const struct slai_region *r)
{
    size_t described = (size_t)(r->base + r->spans_committed - (char *)&r->spans[r->data]) / sizeof(struct slai_span);
    slai_set_release(&slai_window.pages, r->map_committed < r->pages ? r->map_committed : r->pages);
    slai_set_release(&slai_object_window.pages, described);
}

/* Makes the pages below `top`, their descriptors (and one more, the fence) and map bytes usable. */
static bool commit_to(struct slai_region *r, size_t top)
{
    size_t header = r->data << SLAI_PAGE_SHIFT, spans = (size_t)((char *)(r->spans + top + 1) - r->base);
    size_t old = r->committed << SLAI_PAGE_SHIFT, data = old;
    size_t step = slai_round_down((old - header) / 16, SLAI_PAGE);
    if (!commit_ahead(r->base, &r->map_committed, top, 0, slai_round_up(r->pages, slai_os_page())) ||
        !commit_ahead(r->base, &r->spans_committed, spans, SPANS_STEP, header))
        return false;
    if (r == &slai_regions[0])
        widen_window(r);
    step = step < DATA_STEP ? DATA_STEP : step > DATA_STEP_MAX ? DATA_STEP_MAX : step;
    if (!commit_ahead(r->base, &data, top << SLAI_PAGE_SHIFT, step, r->pages << SLAI_PAGE_SHIFT))
        return false;
    r->committed = data >> SLAI_PAGE_SHIFT;
    if (data > old && slai_option(huge_pages) != SLAI_HUGE_DEFAULT)
        slai_os_huge_pages(r->base + old, data - old, slai_option(huge_pages) == SLAI_HUGE_ALWAYS);
    return true;
}

/* Where the parts of a region's header begin, in bytes, and where its data, in pages. */
struct layout {
    size_t meta, spans, data;
};

static struct layout layout_of(size_t pages, bool dedicated)
{
    size_t page = slai_os_page();
    struct layout l;
    l.meta = l.spans = slai_round_up(pages, page);
    if (!dedicated) /* metadata and the first descriptors share a page */
        l.spans += slai_round_up((pages << SLAI_PAGE_SHIFT) / META_SHARE + META_LEAST, page) - SPANS_EARLY;
    l.data = (l.spans + (pages + 1) * sizeof(struct slai_span) + SLAI_PAGE - 1) >> SLAI_PAGE_SHIFT;
    return l;
}

/* Where a new region's entry goes. A dropped one's place is for dedicated regions only: the arena, which has a share in
   the others, reads them under its own lock. NULL: there are too many. */
static struct slai_region *vacancy(bool dedicated)
{
    for (size_t i = 1; dedicated && i < slai_region_count; i++)
        if (slai_regions[i].pages == 0)
            return &slai_regions[i];
    return slai_region_count < SLAI_MAX_REGIONS ? &slai_regions[slai_region_count] : NULL;
}

/* Uses a dropped region's place again: others may look at it meanwhile. Neither has a share of metadata. */
static void move_in(struct slai_region *r, const struct slai_region *fresh)
{
    slai_fence_release(); /* it was dropped before */
    slai_set_relaxed(&r->base, fresh->base);
    slai_set_relaxed(&r->top, fresh->top);
    r->data = fresh->data;
    r->committed = fresh->committed;
    r->spans_committed = fresh->spans_committed;
    r->map_committed = fresh->map_committed;
    r->metadata = fresh->metadata;
    r->raw = fresh->raw;
    r->raw_size = fresh->raw_size;
    r->dedicated = fresh->dedicated;
    r->lender = fresh->lender;
    r->spans = fresh->spans;
}

/* Makes a finished region findable: its size last. */
static void publish(struct slai_region *r, struct slai_region *fresh)
{
    size_t pages = fresh->pages;
    fresh->pages = 0;
    if (r == &slai_regions[slai_region_count])
        *r = *fresh;
    else
        move_in(r, fresh);
    slai_set_release(&r->pages, pages);
    if (r == &slai_regions[0]) {
        slai_set_relaxed(&slai_window.base, r->base);
        slai_set_relaxed(&slai_object_window.start, r->base + (r->data << SLAI_PAGE_SHIFT));
        slai_set_relaxed(&slai_object_window.spans, &r->spans[r->data]);
        slai_shadow_own(&slai_object_window, sizeof slai_object_window, true); /* its start is the first block's */
        slai_shadow_hide(&slai_object_window, sizeof slai_object_window);
        widen_window(r);
    }
    if (r == &slai_regions[slai_region_count])
        slai_set_release(&slai_region_count, slai_region_count + 1);
}

/* Lays out the reservation in `fresh`, with `need` pages committed. */
static bool set_up(struct slai_region *fresh, size_t size, size_t need)
{
    struct slai_region *r = fresh;
    struct layout l = layout_of(size >> SLAI_PAGE_SHIFT, r->dedicated);
    r->pages = size >> SLAI_PAGE_SHIFT;
    r->data = r->top = r->committed = l.data;
    /* Nobody asks about the header's own pages, but for the last, where coalescing stops. */
    r->spans = (struct slai_span *)(void *)(r->base + l.spans) - (r->data - 1);
    char *ready = r->base + l.spans;
    if (!r->dedicated) { /* the arena's first pages are committed with the descriptors */
        r->meta_low = r->base + l.meta;
        r->meta_next = ready;
        r->meta_ready = ready = (char *)slai_round_down((uintptr_t)ready - META_STEP, slai_os_page());
    } /* else they stay NULL: the arena looks at them under its own lock, while the place is used again */
    if (r->data + need > r->pages)
        return false;
    r->spans_committed = (size_t)(ready - r->base);
    slai_shadow_own(r->base, l.data << SLAI_PAGE_SHIFT, true);
    r->metadata = -(l.spans + slai_round_down(r->data, slai_os_page())); /* of the map what is never written */
    if (!commit_to(r, r->data + need))
        return false;
    r->spans[r->data - 1].kind = SLAI_KIND_HEADER;
    return true;
}

/* One attempt at a region of `size` bytes. *room: there was address space for it, so a smaller one is no use. */
static bool try_region(size_t size, size_t need, bool dedicated, bool *room)
{
    size_t align = size >= ALIGN_BIG * 512 ? ALIGN_BIG : SLAI_PAGE;
    struct slai_region *r = vacancy(dedicated), fresh;
    if (r == NULL)
        return false;
    memset(&fresh, 0, sizeof fresh);
    fresh.dedicated = dedicated;
    fresh.raw_size = size + align;
    fresh.raw = slai_os_reserve(fresh.raw_size);
    if (fresh.raw == NULL)
        return false;
    *room = true;
    fresh.base = (char *)slai_round_up((uintptr_t)fresh.raw, align);
    if (set_up(&fresh, size, need)) {
        publish(r, &fresh);
        slai_os_event("reserved", size);
        return true;
    }
    slai_os_release(fresh.raw, fresh.raw_size);
    return false;
}

/* A region with room for `pages`; big where address space is free, modest where it is limited. */
static bool add_region(size_t pages)
{
    size_t limit = slai_os_address_limit();
    size_t least = pages, size = (size_t)slai_option(reserve) << 20, whole;
    bool room = false;
    for (int i = 0; i < 4; i++) /* the header of a region that holds the header too: converges fast */
        least = pages + layout_of(least, true).data;
    least = (least + 1) << SLAI_PAGE_SHIFT;
    if (limit / 16 < size)
        size = slai_ceil_pow2(limit / 16 + 1);
    if (size < RESERVE_LEAST)
        size = RESERVE_LEAST;
    whole = slai_round_up(least + least / 32, SLAI_PAGE) + 2 * META_LEAST; /* with a share of metadata */
    for (; size > whole && !room; size /= 2)
        if (try_region(size, pages, false, &room))
            return true;
    if (room)
        return false;
    return slai_region_count > 0 ? try_region(least, pages, true, &room) : try_region(whole, pages, false, &room);
}

bool slai_region_drop(struct slai_region *r)
{
    slai_assert((r->dedicated || r->lender != 0) && r != &slai_regions[0]);
    slai_set_release(&r->pages, 0); /* before the pages go: an address in it is foreign from here on */
    slai_set_relaxed(&r->top, r->data);
    r->committed = r->data;
    r->metadata = r->spans_committed = r->map_committed = 0;
    return slai_os_release(r->raw, r->raw_size);
}

struct slai_region *slai_region_last(void)
{
    for (size_t i = slai_region_count; i-- > 0;)
        if (slai_regions[i].lender == 0)
            return &slai_regions[i];
    return NULL;
}

/* A lent region shares no address with any other, and leaves some places for those that the default heap may need. */
static bool may_lend(const char *base, size_t pages)
{
    size_t lent = 0;
    for (size_t i = 0; i < slai_region_count; i++) {
        const struct slai_region *r = &slai_regions[i];
        if (r->pages > 0 && (slai_page_number(r, base) < r->pages ||
                             (uintptr_t)r->base - (uintptr_t)base < pages << SLAI_PAGE_SHIFT))
            return false;
        lent += r->pages > 0 && r->lender != 0;
    }
    return slai_region_count > 0 && lent < SLAI_LENT_MOST;
}

struct slai_span *slai_region_lend(char *base, size_t pages, uint16_t lender, char *raw, size_t raw_size)
{
    struct slai_region *r, fresh;
    struct slai_span *s;
    slai_region_first(); /* that one must be ours */
    r = may_lend(base, pages) ? vacancy(true) : NULL;
    if (r == NULL)
        return NULL;
    memset(&fresh, 0, sizeof fresh);
    fresh.base = base;
    fresh.pages = fresh.top = fresh.committed = pages;
    fresh.raw = raw;
    fresh.raw_size = fresh.metadata = raw_size;
    fresh.lender = lender;
    fresh.spans = s = (struct slai_span *)(void *)raw + 1;
    s[-1].kind = s[pages].kind = SLAI_KIND_HEADER; /* where coalescing stops */
    slai_set_kind(s, SLAI_KIND_BUSY);
    s->pages = (uint32_t)pages;
    s->start = base;
    s->lender = lender;
    publish(r, &fresh);
    return s;
}

bool slai_region_unused(const struct slai_region *r)
{
    for (size_t p = r->data; p < r->top; p += r->spans[p].pages)
        if (slai_kind(&r->spans[p]) != SLAI_KIND_FREE)
            return false;
    return true;
}

void slai_region_first(void)
{
    if (slai_region_count == 0)
        (void)add_region(1);
}

/* Commits the last `size` bytes of what the arena has not taken, if they are not yet. REQUIRES META. */
static bool ready_meta(struct slai_region *r, size_t size)
{
    char *from = (char *)slai_round_down((uintptr_t)r->meta_next - size, slai_os_page());
    if (from >= r->meta_ready)
        return true;
    if (!slai_os_commit(from, (size_t)(r->meta_ready - from)))
        return false;
    r->meta_ready = from;
    return true;
}

char *slai_region_meta(size_t need, size_t *size)
{
    size_t n = slai_load_acquire(&slai_region_count);
    for (size_t i = 0; i < n; i++) {
        struct slai_region *r = &slai_regions[i];
        size_t room = (size_t)(r->meta_next - r->meta_low), want = need > META_STEP ? need : META_STEP;
        char *end = r->meta_next;
        if (room < need)
            continue;
        if (!ready_meta(r, want < room ? want : room) && !ready_meta(r, need))
            continue;
        r->meta_next = r->meta_ready;
        *size = (size_t)(end - r->meta_next);
        return r->meta_next;
    }
    return NULL;
}

struct slai_span *slai_region_extend(size_t pages)
{
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = slai_region_count; i-- > 0;) {
            struct slai_region *r = &slai_regions[i];
            if (r->pages < r->top + pages || !commit_to(r, r->top + pages))
                continue;
            struct slai_span *s = &r->spans[r->top];
            slai_set_kind(s, SLAI_KIND_BUSY);
            s->clean = 1;
            s->moved = 0;
            s->pages = (uint32_t)pages;
            s->back = 0;
            s->start = r->base + (r->top << SLAI_PAGE_SHIFT);
            slai_set_relaxed(&r->top, r->top + pages);
            return s;
        }
        if (pass > 0 || !add_region(pages))
            break;
    }
    errno = ENOMEM;
    return NULL;
}
