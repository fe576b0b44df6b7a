/* Collecting the statistics, and printing them line by line without stdio. */
#include "api/stats.h"

#include "api/api.h"
#include "api/objcache.h"
#include "cache/thread.h"
#include "heap/meta.h"
#include "heap/pageheap.h"
#include "util/panic.h"

#include <errno.h>
#include <string.h>

/* Per class, what a walk over the descriptors finds. */
struct class_sum {
    size_t slabs, used;
};

struct sums {
    sla_stats_t *stats;
    size_t cached[SLAI_CLASSES];
    struct class_sum classes[SLAI_CLASSES];
    size_t objects_used, objects_all, objects_cached; /* bytes in object caches' slabs: out, in all, in stacks */
};

/* REQUIRES PAGEHEAP: so a span keeps its length. A slab's counters move on meanwhile. */
static void add_region(struct sums *sums, const struct slai_region *r)
{
    for (size_t p = r->data; p < r->top; p += r->spans[p].pages) {
        const struct slai_span *s = &r->spans[p];
        if (slai_kind(s) == SLAI_KIND_SLAB) {
            size_t used = slai_load_relaxed(&s->used), remote = slai_load_relaxed(&s->remote);
            unsigned class = slai_load_relaxed(&s->class); /* 0 by now, if it is just being destroyed */
            used = used > remote ? used - remote : 0; /* what others freed is free, if not counted in yet */
            if (slai_class_is_object(class)) {
                sums->objects_used += used * s->size;
                sums->objects_all += (size_t)s->capacity * s->size;
            } else {
                sums->classes[class].slabs++;
                sums->classes[class].used += used;
            }
        }
        slai_assert(s->pages > 0);
    }
    sums->stats->reserved += r->pages << SLAI_PAGE_SHIFT;
    sums->stats->committed += (r->committed - r->data) << SLAI_PAGE_SHIFT;
    sums->stats->metadata += r->metadata + r->spans_committed + r->map_committed;
}

static void add_pages(struct sums *sums)
{
    sla_stats_t *st = sums->stats;
    slai_lock(&slai_pageheap.lock);
    for (size_t i = 0; i < slai_region_count; i++)
        add_region(sums, &slai_regions[i]);
    st->regions = slai_region_count;
    st->large = slai_pageheap.large_pages << SLAI_PAGE_SHIFT;
    st->large_count = slai_pageheap.large_count;
    st->slabs = (slai_pageheap.used_pages - slai_pageheap.large_pages) << SLAI_PAGE_SHIFT;
    st->dirty = slai_pageheap.free_pages[0] << SLAI_PAGE_SHIFT;
    st->clean = slai_pageheap.free_pages[1] << SLAI_PAGE_SHIFT;
    st->purged = slai_pageheap.purged;
    st->peak = slai_pageheap.peak_pages << SLAI_PAGE_SHIFT;
    slai_unlock(&slai_pageheap.lock);
    st->metadata += slai_meta_bytes();
}

/* Other threads' stacks are known as of their last slow path; the caller's own and the shared one (locked) exactly. */
static void add_cache(struct slai_tcache *tc, void *arg)
{
    struct sums *sums = arg;
    bool exact = tc->home == slai_tcache || !tc->live;
    sums->stats->threads += tc->live && tc->heap == NULL;
    for (unsigned c = 1; c < SLAI_CLASSES; c++)
        sums->cached[c] += exact ? slai_stack_count(tc, c) : slai_load_relaxed(&tc->bins[c].held);
    if (slai_in_fork()) /* CACHE locks are not taken then */
        return;
    slai_lock(&tc->lock); /* object classes come and go */
    for (unsigned c = slai_open_after(tc, SLAI_CLASSES - 1); c != SLAI_NO_CLASS; c = slai_open_after(tc, c)) {
        size_t n = exact ? slai_stack_count(tc, c) : slai_load_relaxed(&slai_bin_at(tc, c)->held);
        sums->objects_cached += n * slai_class_size(c);
    }
    slai_unlock(&tc->lock);
}

static void collect(struct sums *sums)
{
    sla_stats_t *st = sums->stats;
    slai_arrive();
    memset(st, 0, sizeof *st);
    memset(sums->cached, 0, sizeof sums->cached);
    memset(sums->classes, 0, sizeof sums->classes);
    sums->objects_used = sums->objects_all = sums->objects_cached = 0;
    slai_threads_visit(add_cache, sums);
    add_pages(sums);
    for (unsigned c = 1; c < SLAI_CLASSES; c++) {
        size_t used = sums->classes[c].used, cached = sums->cached[c];
        size_t all = sums->classes[c].slabs * slai_classes[c].capacity;
        if (cached > used)
            cached = used;
        st->live += (used - cached) * slai_class_size(c);
        st->cached += cached * slai_class_size(c);
        st->slab_free += (all > used ? all - used : 0) * slai_class_size(c);
        sums->cached[c] = cached;
    }
    if (sums->objects_cached > sums->objects_used)
        sums->objects_cached = sums->objects_used;
    st->live += sums->objects_used - sums->objects_cached + st->large;
    st->cached += sums->objects_cached;
    st->slab_free += sums->objects_all - sums->objects_used;
}

/* Not inlined: its sums are 2 KiB, and callers would keep that stack for what else they do. */
SLA_NOINLINE void slai_stats_collect(sla_stats_t *out)
{
    struct sums sums = {.stats = out};
    collect(&sums);
}

int sla_stats_get(sla_stats_t *stats, size_t size) SLA_NOEXCEPT
{
    sla_stats_t all;
    if (size == 0 || size % sizeof(size_t) != 0) {
        errno = EINVAL;
        return -1;
    }
    slai_stats_collect(&all);
    memset(stats, 0, size);
    memcpy(stats, &all, size < sizeof all ? size : sizeof all);
    return 0;
}

struct printer {
    void (*out)(void *arg, const char *line);
    void *arg;
};

static void print(const struct printer *to, struct slai_line *l)
{
    if (to->out == NULL) {
        slai_line_end(l);
        return;
    }
    l->text[l->len++] = '\n';
    l->text[l->len] = '\0';
    to->out(to->arg, l->text);
}

/* A figure, right-aligned in a column. */
static void column(struct slai_line *l, size_t v, size_t width)
{
    size_t digits = 1;
    for (size_t rest = v; rest >= 10; rest /= 10)
        digits++;
    for (; digits < width; digits++)
        slai_line_text(l, " ");
    slai_line_dec(l, v);
}

static void figure(const struct printer *to, const char *name, size_t v, const char *note)
{
    struct slai_line l;
    slai_line_start(&l);
    slai_line_text(&l, name);
    while (l.len < 28)
        slai_line_text(&l, " ");
    column(&l, v, 16);
    slai_line_text(&l, "  ");
    slai_line_text(&l, note);
    print(to, &l);
}

static void print_classes(const struct printer *to, const struct sums *sums)
{
    struct slai_line l;
    slai_line_start(&l);
    slai_line_text(&l, "      size     slabs      live    cached      free");
    print(to, &l);
    for (unsigned c = 1; c < SLAI_CLASSES; c++) {
        size_t slabs = sums->classes[c].slabs, used = sums->classes[c].used;
        size_t all = slabs * slai_classes[c].capacity;
        if (slabs == 0)
            continue;
        slai_line_start(&l);
        column(&l, slai_class_size(c), 10);
        column(&l, slabs, 10);
        column(&l, used - sums->cached[c], 10);
        column(&l, sums->cached[c], 10);
        column(&l, all > used ? all - used : 0, 10);
        print(to, &l);
    }
}

static void print_cache(struct sla_cache *cache, void *arg)
{
    const struct printer *to = arg;
    sla_cache_stats_t st;
    struct slai_line l;
    slai_objcache_collect(cache, &st);
    slai_line_start(&l);
    column(&l, st.stride, 10);
    column(&l, st.slabs, 10);
    column(&l, st.live, 10);
    column(&l, st.cached, 10);
    column(&l, st.free, 10);
    slai_line_text(&l, "  cache ");
    slai_line_text(&l, cache->name);
    print(to, &l);
}

void slai_stats_print(void (*out)(void *arg, const char *line), void *arg)
{
    struct printer to = {out, arg};
    sla_stats_t st;
    struct sums sums = {.stats = &st};
    int saved = errno;
    collect(&sums);
    figure(&to, "live", st.live, "bytes held by the program");
    figure(&to, "  of it large", st.large, "bytes");
    figure(&to, "  large blocks", st.large_count, "");
    figure(&to, "cached", st.cached, "bytes, free in thread caches");
    figure(&to, "slab free", st.slab_free, "bytes, free in slabs");
    figure(&to, "slabs", st.slabs, "bytes");
    figure(&to, "dirty", st.dirty, "bytes of free pages with memory");
    figure(&to, "clean", st.clean, "bytes of free pages without");
    figure(&to, "purged", st.purged, "bytes given back so far");
    figure(&to, "metadata", st.metadata, "bytes");
    figure(&to, "peak", st.peak, "bytes of slabs and large blocks");
    figure(&to, "committed", st.committed, "bytes");
    figure(&to, "reserved", st.reserved, "bytes of address space");
    figure(&to, "regions", st.regions, "");
    figure(&to, "threads", st.threads, "");
    print_classes(&to, &sums);
    slai_objcaches_visit(print_cache, &to);
    errno = saved;
}

void sla_stats_print(void (*out)(void *arg, const char *line), void *arg) SLA_NOEXCEPT { slai_stats_print(out, arg); }
