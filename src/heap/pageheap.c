#include "heap/pageheap.h"

#include "heap/account.h"

#include <errno.h>

#define EXACT 64u
#define SCAN_MOST 48 /* spans looked at in a bin of mixed lengths; the next bin has only longer ones */

struct slai_pageheap slai_pageheap = {.lock = SLAI_LOCK_INIT(SLAI_RANK_PAGEHEAP)};
#define heap slai_pageheap

#define SPAN(l) SLA_CONTAINER(l, struct slai_span, link)

static unsigned bin_of(size_t pages)
{
    if (pages < EXACT)
        return (unsigned)pages;
    unsigned log = slai_log2(pages), bin = EXACT + (log - 6) * 4 + (unsigned)(pages >> (log - 2) & 3);
    return bin < SLAI_BINS ? bin : SLAI_BINS - 1;
}

void slai_bin_insert(struct slai_span *s)
{
    unsigned b = bin_of(s->pages);
    slai_assert(slai_kind(s) == SLAI_KIND_FREE);
    if (SLA_UNLIKELY(s->lender != 0)) {
        slai_list_push(&slai_account(s->lender)->lent_free[s->clean], &s->link);
        return;
    }
    slai_list_push(&heap.bins[s->clean][b], &s->link);
    heap.mask[s->clean][b / 64] |= (uint64_t)1 << b % 64;
    slai_set_relaxed(&heap.free_pages[s->clean], heap.free_pages[s->clean] + s->pages);
}

void slai_bin_remove(struct slai_span *s)
{
    unsigned b = bin_of(s->pages);
    struct slai_list *l = &heap.bins[s->clean][b];
    slai_assert(slai_kind(s) == SLAI_KIND_FREE);
    if (SLA_UNLIKELY(s->lender != 0)) {
        slai_list_remove(&slai_account(s->lender)->lent_free[s->clean], &s->link);
        return;
    }
    slai_list_remove(l, &s->link);
    if (l->first == NULL)
        heap.mask[s->clean][b / 64] &= ~((uint64_t)1 << b % 64);
    slai_set_relaxed(&heap.free_pages[s->clean], heap.free_pages[s->clean] - s->pages);
}

/* Turns s into a free span of its length and puts it in its bin; no joining. */
static void become_free(struct slai_span *s)
{
    struct slai_span *last = s + s->pages - 1;
    slai_set_kind(s, SLAI_KIND_FREE);
    slai_set_kind(last, SLAI_KIND_FREE);
    last->back = s->pages - 1;
    s->back = 0;
    slai_bin_insert(s);
}

/* Takes a free span out of its bin and forgets its last page's tag, so that no stale one is left inside. */
void slai_span_claim(struct slai_span *s)
{
    slai_bin_remove(s);
    slai_set_kind(&s[s->pages - 1], SLAI_KIND_NONE);
    s[s->pages - 1].back = 0;
    slai_set_kind(s, SLAI_KIND_BUSY);
}

/* When a span that joins two has rested: the mean by length, so that a small young part keeps no old one alive. */
static uint64_t mean_stamp(const struct slai_span *a, const struct slai_span *b)
{
    uint64_t x = a->stamp != 0 ? a->stamp : heap.looked, y = b->stamp != 0 ? b->stamp : heap.looked;
    if (a->stamp == b->stamp || y == SLAI_STAMP_REFUSED)
        return a->stamp;
    if (x == SLAI_STAMP_REFUSED)
        return b->stamp;
    return (x * a->pages + y * b->pages) / (a->pages + b->pages);
}

/* How many split mappings a joined span holds, as far as a byte can say. */
static uint8_t more_moved(const struct slai_span *a, const struct slai_span *b)
{
    unsigned n = (unsigned)a->moved + b->moved;
    return (uint8_t)(n < 255 ? n : 255);
}

void slai_span_join(struct slai_span *s)
{
    struct slai_span *next = s + s->pages, *prev = s - 1;
    slai_assert(slai_kind(s) == SLAI_KIND_BUSY);
    /* Past the top of the region there is always one more descriptor, of kind NONE. */
    if (slai_kind(next) == SLAI_KIND_FREE && next->clean == s->clean && next->back == 0) {
        slai_span_claim(next);
        s->stamp = mean_stamp(s, next);
        s->moved = more_moved(s, next);
        s->pages += next->pages;
        slai_set_kind(next, SLAI_KIND_NONE);
    }
    if (slai_kind(prev) == SLAI_KIND_FREE && (prev - prev->back)->clean == s->clean) {
        prev -= prev->back;
        slai_span_claim(prev);
        prev->stamp = mean_stamp(prev, s);
        prev->moved = more_moved(prev, s);
        prev->pages += s->pages;
        slai_set_kind(s, SLAI_KIND_NONE);
        s = prev;
    }
    become_free(s);
}

static bool free_or_edge(const struct slai_span *s)
{
    return slai_kind(s) == SLAI_KIND_FREE || slai_kind(s) == SLAI_KIND_HEADER;
}

void slai_span_free(struct slai_span *s)
{
    slai_assert_held(&heap.lock);
    if (SLA_UNLIKELY(s->lender != 0) && free_or_edge(s - 1) && free_or_edge(s + s->pages))
        slai_set_relaxed(&slai_account(s->lender)->spare, true);
    slai_set_relaxed(&heap.used_pages, heap.used_pages - s->pages);
    slai_set_kind(s, SLAI_KIND_BUSY);
    s->clean = 0;
    s->stamp = 0;
    slai_span_join(s);
    slai_set_relaxed(&heap.given, heap.given + 1);
}

/* Cuts s after `pages`; returns the rest, BUSY, same state. */
static struct slai_span *split(struct slai_span *s, size_t pages)
{
    struct slai_span *rest = s + pages;
    slai_set_kind(rest, SLAI_KIND_BUSY);
    rest->clean = s->clean;
    rest->moved = s->moved != 0;
    rest->lender = s->lender;
    rest->stamp = s->stamp;
    rest->back = 0;
    rest->start = s->start + (pages << SLAI_PAGE_SHIFT);
    rest->pages = s->pages - (uint32_t)pages;
    s->pages = (uint32_t)pages;
    return rest;
}

/* The lowest bin >= b with a span in it. */
static unsigned next_bin(const uint64_t *mask, unsigned b)
{
    for (unsigned w = b / 64; w < 3; w++) {
        uint64_t m = mask[w] & (w == b / 64 ? ~slai_low_mask(b % 64) : ~(uint64_t)0);
        if (m != 0)
            return w * 64 + slai_low_bit(m);
    }
    return SLAI_BINS;
}

/* Best fit among the clean or the dirty; in a bin of mixed lengths the shortest of the first few that fit. */
static struct slai_span *find(bool clean, size_t pages)
{
    unsigned b = bin_of(pages);
    struct slai_span *best = NULL;
    while ((b = next_bin(heap.mask[clean], b)) < SLAI_BINS) {
        int looked = 0;
        for (struct slai_link *l = heap.bins[clean][b].first; l != NULL; l = l->next) {
            struct slai_span *s = SPAN(l);
            if (s->pages >= pages && (best == NULL || s->pages < best->pages))
                best = s;
            if (++looked == SCAN_MOST || (best != NULL && best->pages == pages))
                break;
        }
        if (best != NULL)
            return best;
        b++;
    }
    return NULL;
}

/* Fresh pages; a clean span that ends at the region's top is lengthened rather than left behind. */
static struct slai_span *extend(size_t pages)
{
    struct slai_span *s = NULL, *last;
    struct slai_region *r = slai_region_last();
    if (r != NULL && r->pages > 0 && pages > 1) {
        last = &r->spans[r->top - 1];
        if (slai_kind(last) == SLAI_KIND_FREE && (last - last->back)->clean)
            s = last - last->back;
    }
    if (s != NULL && s->pages < pages) {
        struct slai_span *more = slai_region_extend(pages - s->pages);
        if (more == s + s->pages) {
            slai_span_claim(s);
            s->pages = (uint32_t)pages;
            s->moved = more_moved(s, more);
            more->kind = SLAI_KIND_NONE;
            return s;
        }
        if (more != NULL)
            slai_span_join(more);
    }
    return slai_region_extend(pages);
}

/* Drops the dedicated regions that nothing is in; true if there were any. REQUIRES PAGEHEAP. */
static bool drop_regions(void)
{
    bool any = false;
    int saved = errno; /* that there is no memory; why one of them stays is nobody's business */
    for (size_t i = 1; i < slai_region_count; i++) {
        struct slai_region *r = &slai_regions[i];
        if (r->pages == 0 || !r->dedicated || !slai_region_unused(r))
            continue;
        for (size_t p = r->data; p < r->top; p += r->spans[p].pages)
            slai_bin_remove(&r->spans[p]);
        any |= slai_region_drop(r);
    }
    errno = saved;
    return any;
}

/* The shortest of the first few that fit. */
static struct slai_span *find_in(const struct slai_list *list, size_t pages)
{
    struct slai_span *best = NULL;
    int looked = 0;
    for (struct slai_link *l = list->first; l != NULL; l = l->next) {
        struct slai_span *s = SPAN(l);
        if (s->pages >= pages && (best == NULL || s->pages < best->pages))
            best = s;
        if (best != NULL && (best->pages == pages || ++looked == SCAN_MOST))
            break;
    }
    return best;
}

/* Among a heap's lent pages. They are never purged: where clean and dirty neighbours are both too short, all become
   dirty. REQUIRES PAGEHEAP. */
static struct slai_span *find_lent(struct slai_account *a, size_t pages)
{
    struct slai_span *s = find_in(&a->lent_free[0], pages);
    if (s == NULL)
        s = find_in(&a->lent_free[1], pages);
    if (s != NULL || a->lent_free[1].first == NULL)
        return s;
    while (a->lent_free[1].first != NULL) {
        s = SPAN(a->lent_free[1].first);
        slai_span_claim(s);
        s->clean = 0;
        slai_span_join(s);
    }
    return find_in(&a->lent_free[0], pages);
}

static SLA_COLD struct slai_span *obtain_lent(struct slai_account *a, size_t pages)
{
    struct slai_span *s = find_lent(a, pages);
    if (s != NULL)
        slai_span_claim(s);
    else
        errno = ENOMEM;
    return s;
}

bool slai_pages_fit(struct slai_account *account, size_t pages)
{
    bool fit;
    slai_lock(&heap.lock);
    fit = find_lent(account, pages) != NULL;
    slai_unlock(&heap.lock);
    return fit;
}

/* A BUSY span of at least `pages`, from the bins or fresh. REQUIRES PAGEHEAP. */
static struct slai_span *obtain(size_t pages)
{
    struct slai_span *s = find(false, pages);
    if (s == NULL)
        s = find(true, pages);
    if (s != NULL) {
        slai_span_claim(s);
        return s;
    }
    s = extend(pages);
    return s == NULL && drop_regions() ? extend(pages) : s;
}

static void count_used(size_t pages)
{
    slai_set_relaxed(&heap.used_pages, heap.used_pages + pages);
    if (heap.used_pages > heap.peak_pages)
        slai_set_relaxed(&heap.peak_pages, heap.used_pages);
}

struct slai_span *slai_pages_take_for(struct slai_account *account, size_t pages, size_t align, enum slai_kind kind)
{
    struct slai_span *s;
    int saved = errno; /* success leaves it alone, however many attempts the system refused */
    slai_lock(&heap.lock);
    if (SLA_UNLIKELY(account != NULL && account->lent))
        s = obtain_lent(account, pages + align - 1);
    else
        s = obtain(pages + align - 1);
    if (s != NULL && align > 1) {
        size_t skip = -((uintptr_t)s->start >> SLAI_PAGE_SHIFT) & (align - 1);
        if (skip > 0) {
            struct slai_span *rest = split(s, skip);
            slai_span_join(s);
            s = rest;
        }
    }
    if (s != NULL) {
        if (s->pages > pages)
            slai_span_join(split(s, pages));
        count_used(pages);
        slai_set_kind(s, kind);
        if (kind == SLAI_KIND_LARGE) {
            heap.large_pages += pages;
            heap.large_count++;
        }
    }
    slai_unlock(&heap.lock);
    if (s != NULL)
        errno = saved;
    return s;
}

void slai_pages_give(struct slai_span *s)
{
    slai_lock(&heap.lock);
    slai_span_free(s);
    slai_unlock(&heap.lock);
}

bool slai_span_grow(struct slai_span *s, size_t pages)
{
    struct slai_span *next = s + s->pages;
    struct slai_region *r = s->lender == 0 ? slai_region_of_span(s) : NULL;
    size_t more = pages - s->pages;
    bool at_top = r != NULL && next == &r->spans[r->top];
    slai_assert_held(&heap.lock);
    if (at_top && r == slai_region_last()) {
        struct slai_span *fresh = slai_region_extend(more);
        if (fresh != next) {
            if (fresh != NULL)
                slai_span_join(fresh);
            return false;
        }
        slai_set_kind(next, SLAI_KIND_NONE);
    } else if (!at_top && slai_kind(next) == SLAI_KIND_FREE && next->back == 0 && next->pages >= more) {
        slai_span_claim(next);
        if (next->pages > more)
            slai_span_join(split(next, more));
        s->moved = more_moved(s, next);
        slai_set_kind(next, SLAI_KIND_NONE);
    } else {
        return false;
    }
    count_used(more);
    heap.large_pages += more;
    s->pages = (uint32_t)pages;
    return true;
}

void slai_span_shrink(struct slai_span *s, size_t pages)
{
    struct slai_span *rest = split(s, pages);
    slai_assert_held(&heap.lock);
    heap.large_pages -= rest->pages;
    slai_span_free(rest);
}

/*
 * A BUSY span was being purged, or about to become a slab, or no longer one:
 * whose it was cannot be told, so it loses what it may have of either, and the
 * pages in use are counted anew.
 */
static void reclaim(struct slai_span *s)
{
    if (s->lender == 0)
        slai_class_mark(s, 0);
    for (size_t i = 1; i < s->pages; i++) {
        slai_set_kind(s + i, SLAI_KIND_NONE);
        s[i].back = 0;
        s[i].class = 0;
        slai_set_relaxed(&s[i].account, 0);
    }
    s->class = 0;
    slai_set_relaxed(&s->account, 0);
    s->clean = 0;
    s->stamp = 0;
    slai_span_join(s);
}

static void recount(const struct slai_span *s)
{
    struct slai_account *a = slai_account_of(s);
    heap.used_pages += s->pages;
    if (a != NULL)
        slai_set_relaxed(&a->quota.used, a->quota.used + ((size_t)s->pages << SLAI_PAGE_SHIFT));
}

SLA_COLD void slai_pages_repair(void)
{
    slai_lock(&heap.lock);
    heap.used_pages = 0;
    slai_accounts_forget();
    for (size_t i = 0; i < slai_region_count; i++) {
        struct slai_region *r = &slai_regions[i];
        for (size_t p = r->data, next; p < r->top; p = next) {
            struct slai_span *s = &r->spans[p];
            unsigned kind = slai_kind(s);
            next = p + s->pages; /* joining leaves the lengths of what it swallows */
            if (kind == SLAI_KIND_BUSY)
                reclaim(s);
            else if (kind == SLAI_KIND_SLAB || kind == SLAI_KIND_LARGE)
                recount(s);
        }
    }
    slai_unlock(&heap.lock);
}
