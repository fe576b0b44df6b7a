#include "heap/check.h"

#include "heap/pageheap.h"
#include "heap/slab.h"

#define SPAN(l) SLA_CONTAINER(l, struct slai_span, link)

/* What the walk counted, to be compared with what the page heap believes. */
struct totals {
    size_t free_pages[2], used, large, large_count, lent;
};

static const char *check_slab(const struct slai_region *r, const struct slai_span *s)
{
    const struct slai_class *k;
    const uint8_t *map = r->lender == 0 ? (const uint8_t *)r->base + slai_page_number(r, s->start) : NULL;
    uint32_t free = 0, remote = 0;
    if (s->class == 0 || (s->class >= SLAI_CLASSES && s->class < SLAI_OBJECT_FIRST) || s->class >= slai_object_end)
        return "I1: slab of no class";
    k = slai_class_at(s->class);
    if (s->pages != k->pages || s->size != k->size)
        return "I1: slab with another class's geometry";
    for (size_t i = 0; i < s->pages; i++) {
        if (map != NULL && map[i] != (s->class < SLAI_CLASSES && s->account == 0 ? 2 * s->class : 0))
            return "I1: class map differs from the slab";
        if (s[i].account != s->account)
            return "I1: inner page of another heap";
        if (s[i].back != i || s[i].class != s->class || slai_kind(&s[i]) != (i == 0 ? SLAI_KIND_SLAB : SLAI_KIND_INNER))
            return "I1: inner page does not lead to its slab";
    }
    for (unsigned w = 0; w < s->words; w++) {
        uint64_t theirs = slai_load_relaxed(&slai_slab_remote(s)[w]);
        if ((s->free[w] & theirs) != 0)
            return "I3: block free twice";
        if (w < s->hint && s->free[w] != 0)
            return "I2: free block below the hint";
        free += slai_popcount(s->free[w]);
        remote += slai_popcount(theirs);
    }
    if (s->words > 0 && (s->free[s->words - 1] & ~slai_low_mask((k->capacity - 1) % 64 + 1)) != 0)
        return "I2: free block past the capacity";
    if (remote != slai_load_relaxed(&s->remote) || free + s->used != s->capacity)
        return "I2: out + free != capacity";
    if (s->owner == NULL && s->place == SLAI_NOWHERE)
        return "I4: slab without owner in no list";
    if (s->place != SLAI_NOWHERE && s->place != SLAI_APART && (s->place == SLAI_FULL) != slai_slab_full(s))
        return "I4: slab in the wrong list";
    return NULL;
}

static const char *check_free(const struct slai_span *s)
{
    const struct slai_span *next = s + s->pages, *last = next - 1;
    if (slai_kind(last) != SLAI_KIND_FREE || last->back != s->pages - 1 || s->back != 0)
        return "I1: free span without its tags";
    if (slai_kind(next) == SLAI_KIND_FREE && next->clean == s->clean)
        return "I4: neighbours not joined";
    for (uint32_t i = 0; i < s->pages; i++)
        if (s[i].account != 0)
            return "I1: free page of a heap";
    for (uint32_t i = 1; i + 1 < s->pages; i++)
        if (slai_kind(&s[i]) != SLAI_KIND_NONE)
            return "I1: stale tag inside a free span";
    return NULL;
}

/* A page of no slab may not look like one: a free of what is in it would take the hot path. */
static bool marked(const struct slai_region *r, const struct slai_span *s)
{
    const uint8_t *map = (const uint8_t *)r->base + slai_page_number(r, s->start);
    for (size_t i = 0; i < s->pages && r->lender == 0; i++)
        if (slai_load_relaxed(&map[i]) != 0)
            return true;
    return false;
}

static const char *check_span(const struct slai_region *r, const struct slai_span *s, struct totals *t)
{
    if (s->lender != r->lender)
        return "I1: page of another lender";
    if (s->pages == 0 || s->start != r->base + ((size_t)(s - r->spans) << SLAI_PAGE_SHIFT))
        return "I1: descriptor of another page";
    if ((slai_kind(s) == SLAI_KIND_FREE || slai_kind(s) == SLAI_KIND_LARGE) && marked(r, s))
        return "I1: class map names a page of no slab";
    switch (slai_kind(s)) {
    case SLAI_KIND_FREE:
        if (s->lender == 0)
            t->free_pages[s->clean] += s->pages;
        else
            t->lent += s->pages;
        return check_free(s);
    case SLAI_KIND_SLAB:
        t->used += s->pages;
        return check_slab(r, s);
    case SLAI_KIND_LARGE:
        t->large += s->pages;
        t->large_count++;
        t->used += s->pages;
        return s->back == 0 ? NULL : "I1: large block that is not its own first page";
    case SLAI_KIND_BUSY:
        t->used += s->pages;
        return NULL;
    default:
        return "I1: page of no span";
    }
}

static const char *check_bins(const struct totals *t)
{
    size_t pages[2] = {0, 0};
    for (unsigned clean = 0; clean < 2; clean++) {
        for (unsigned b = 0; b < SLAI_BINS; b++) {
            const struct slai_list *bin = &slai_pageheap.bins[clean][b];
            bool marked = (slai_pageheap.mask[clean][b / 64] >> b % 64 & 1) != 0;
            if (marked != (bin->first != NULL))
                return "I4: bin mask differs from the bin";
            for (const struct slai_link *l = bin->first; l != NULL; l = l->next) {
                const struct slai_span *s = SPAN(l);
                if (slai_kind(s) != SLAI_KIND_FREE || s->clean != clean)
                    return "I4: span in the wrong bin";
                pages[clean] += s->pages;
            }
        }
        if (pages[clean] != t->free_pages[clean] || pages[clean] != slai_pageheap.free_pages[clean])
            return "I4: bins do not hold the free spans";
    }
    if (t->used != slai_pageheap.used_pages || t->large != slai_pageheap.large_pages ||
        t->large_count != slai_pageheap.large_count)
        return "I1: page counts do not add up";
    return NULL;
}

static const char *check_lent(const struct totals *t)
{
    size_t pages = 0;
    for (uint32_t n = 1; n < slai_account_end; n++)
        for (unsigned clean = 0; clean < 2; clean++)
            for (const struct slai_link *l = slai_account(n)->lent_free[clean].first; l != NULL; l = l->next) {
                if (slai_kind(SPAN(l)) != SLAI_KIND_FREE || SPAN(l)->clean != clean || SPAN(l)->lender != n)
                    return "I4: span in the wrong heap's list";
                pages += SPAN(l)->pages;
            }
    return pages == t->lent ? NULL : "I4: heaps' lists do not hold the free spans lent to them";
}

const char *slai_check_heap(void)
{
    struct totals t = {{0, 0}, 0, 0, 0, 0};
    const char *wrong = NULL;
    slai_lock(&slai_pageheap.lock);
    for (size_t i = 0; i < slai_region_count && wrong == NULL; i++) {
        const struct slai_region *r = &slai_regions[i];
        for (size_t p = r->data; p < r->top && wrong == NULL; p += r->spans[p].pages)
            wrong = check_span(r, &r->spans[p], &t);
    }
    if (wrong == NULL)
        wrong = check_bins(&t);
    if (wrong == NULL)
        wrong = check_lent(&t);
    slai_unlock(&slai_pageheap.lock);
    return wrong;
}
