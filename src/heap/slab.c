#include "heap/slab.h"

#include "heap/meta.h"
#include "heap/purge.h"
#include "os/os.h"

#include <errno.h>

static size_t bitmap_bytes(const struct slai_class *k)
{
    return ((k->flags & SLAI_CLASS_MADE) != 0 ? 3 : 2) * sizeof(uint64_t) * k->words;
}

static size_t slab_bytes(const struct slai_class *k) { return (size_t)k->pages << SLAI_PAGE_SHIFT; }

/* False with ENOMEM: the cache, or the heap, may have no more. */
static bool charge(struct slai_account *account, unsigned class)
{
    struct slai_object_class *o;
    if (!slai_class_is_object(class))
        return slai_account_take(account, slab_bytes(&slai_classes[class]));
    o = slai_object_class(class);
    if (slai_quota_take(&o->quota, slab_bytes(&o->class)))
        return true;
    errno = ENOMEM;
    return false;
}

static void uncharge(struct slai_account *account, unsigned class)
{
    if (slai_class_is_object(class))
        slai_quota_give(&slai_object_class(class)->quota, slab_bytes(slai_class_at(class)));
    else
        slai_account_give(account, slab_bytes(&slai_classes[class]));
}

size_t slai_slabs_made;

struct slai_span *slai_slab_create_for(struct slai_account *account, unsigned class, struct slai_tcache *owner)
{
    const struct slai_class *k = slai_class_at(class);
    uint16_t number = account != NULL ? account->number : 0;
    uint64_t *free;
    struct slai_span *s;
    if (!charge(account, class))
        return NULL;
    free = slai_meta_take(bitmap_bytes(k));
    s = free != NULL ? slai_pages_take_hard(account, k->pages, 1, SLAI_KIND_BUSY) : NULL;
    if (s == NULL) {
        if (free != NULL)
            slai_meta_give(free, bitmap_bytes(k));
        uncharge(account, class);
        return NULL;
    }
    for (unsigned w = 0; w + 1 < k->words; w++)
        free[w] = ~(uint64_t)0;
    free[k->words - 1] = slai_low_mask(k->capacity - (k->words - 1u) * SLAI_WORD_BITS);
    slai_set_relaxed(&s->class, (uint16_t)class);
    s->place = SLAI_NOWHERE;
    s->size = (uint32_t)k->size;
    s->recip = k->reciprocal;
    s->words = k->words;
    s->capacity = k->capacity;
    s->hint = 0;
    s->free = free;
    s->next_post = NULL;
    s->stamp = 0;
    slai_set_relaxed(&s->account, number);
    slai_set_relaxed(&s->used, 0);
    slai_set_relaxed(&s->remote, 0);
    slai_set_release(&s->owner, owner);
    for (size_t i = 1; i < s->pages; i++) {
        slai_set_kind(s + i, SLAI_KIND_INNER);
        s[i].back = (uint32_t)i;
        slai_set_relaxed(&s[i].class, (uint16_t)class);
        slai_set_relaxed(&s[i].account, number);
    }
    if (SLA_LIKELY(account == NULL && !slai_class_is_object(class)))
        slai_class_mark(s, (uint8_t)(2 * class)); /* else it is 0, as in pages that are free */
    slai_account_got(account);
    slai_add_relaxed(&slai_slabs_made, 1);
    slai_set_kind(s, SLAI_KIND_SLAB); /* last: of a BUSY span a fork child trusts nothing */
    return s;
}

static void raze(struct slai_span *s)
{
    struct slai_account *account = slai_account_of(s);
    slai_set_kind(s, SLAI_KIND_BUSY); /* first */
    slai_fence_release();
    if (SLA_LIKELY(account == NULL))
        slai_class_mark(s, 0);
    for (size_t i = 1; i < s->pages; i++) {
        slai_set_kind(s + i, SLAI_KIND_NONE);
        s[i].back = 0;
        slai_set_relaxed(&s[i].class, (uint16_t)0);
        slai_set_relaxed(&s[i].account, (uint16_t)0);
    }
    slai_meta_give(s->free, bitmap_bytes(slai_class_at(s->class)));
    s->free = NULL;
    uncharge(account, s->class);
    slai_set_relaxed(&s->class, (uint16_t)0); /* a heap's, or an object cache's, names a slab of it, whoever asks */
    slai_set_relaxed(&s->account, (uint16_t)0);
    slai_pages_give(s);
}

void slai_slab_destroy(struct slai_span *s)
{
    slai_assert(s->used == 0 && s->place == SLAI_NOWHERE && slai_load_relaxed(&s->remote) == 0);
    raze(s);
    slai_purge_after_give();
}

SLA_COLD void slai_slabs_raze(struct slai_list *slabs)
{
    while (slabs->first != NULL) {
        struct slai_span *s = SLA_CONTAINER(slabs->first, struct slai_span, link);
        slai_list_remove(slabs, &s->link);
        s->place = SLAI_NOWHERE;
        raze(s);
    }
}

uint32_t slai_slab_take(struct slai_span *s, void **end, uint32_t n)
{
    uint32_t room = s->capacity - s->used, w = s->hint;
    size_t size = s->size;
    uint64_t *free = s->free;
    void **low;
    /* There may be more bits than room: those of frees not counted in yet. They are left alone. */
    n = n < room ? n : room;
    for (low = end - n; end > low; w++) {
        uint64_t bits = free[w];
        char *p = s->start + (size_t)w * SLAI_WORD_BITS * size;
        slai_assert(w < s->words);
        if (bits == 0)
            continue;
        if ((bits & (bits + (bits & -bits))) == 0) {
            /* One run of neighbours, as in a new slab: addresses by addition. */
            unsigned first = slai_low_bit(bits), run = slai_log2(bits) - first + 1;
            void **stop = run < (size_t)(end - low) ? end - run : low;
            bits &= ~(slai_low_mask((unsigned)(end - stop)) << first);
            for (p += first * size; end > stop; p += size)
                *--end = p;
        } else {
            do {
                *--end = p + slai_low_bit(bits) * size;
                bits &= bits - 1;
            } while (bits != 0 && end > low);
        }
        free[w] = bits;
        if (bits != 0)
            break;
    }
    s->hint = (uint16_t)(w < s->words ? w : s->words - 1u);
    slai_set_relaxed(&s->used, s->used + n);
    return n;
}

void slai_slab_refuse(const struct slai_span *s, const void *p)
{
    bool none = slai_slab_index(s, p) == SLAI_NO_INDEX;
    slai_misuse_later(p, none ? "not the start of a block" : "block already free", s->size);
}

/* Two frees of one block met: one of them was a mistake. */
static void report_twice(const struct slai_span *s, unsigned word, uint64_t bits)
{
    for (; bits != 0; bits &= bits - 1) {
        size_t i = (size_t)word * SLAI_WORD_BITS + slai_low_bit(bits);
        slai_misuse_later(s->start + i * s->size, "block already free", s->size);
    }
}

void slai_slab_collect(struct slai_span *s)
{
    uint64_t *remote = slai_slab_remote(s);
    /* Acquire: the bits of every free that is counted are seen below. Later bits may be seen too; their count
       will come by a later post. Release: whoever posts next comes after our look at next_post. */
    size_t n = slai_swap_acq_rel(&s->remote, 0), twice;
    for (unsigned w = 0; w < s->words; w++) {
        uint64_t bits = slai_load_relaxed(&remote[w]);
        if (bits == 0)
            continue;
        bits = slai_swap_acquire(&remote[w], 0); /* what the freeing threads wrote to the blocks is behind us */
        if (SLA_UNLIKELY((bits & s->free[w]) != 0)) {
            report_twice(s, w, bits & s->free[w]);
            twice = slai_popcount(bits & s->free[w]);
            n -= twice < n ? twice : n; /* its number may not be here yet */
        }
        s->free[w] |= bits;
        if (w < s->hint)
            s->hint = (uint16_t)w;
    }
    slai_assert(n <= s->used);
    slai_set_relaxed(&s->used, s->used - (uint32_t)n);
}

/* The blocks of a word whose contents nobody needs, and that only the owner could hand out. */
static uint64_t unneeded(const struct slai_span *s, unsigned word)
{
    return s->free[word] | slai_load_acquire(&slai_slab_remote(s)[word]); /* behind the last writes to those blocks */
}

/* The first block from i on that is unneeded (flip 0) or needed (flip ~0); capacity if none is. */
static uint32_t next_block(const struct slai_span *s, uint32_t i, uint64_t flip)
{
    uint64_t from = ~slai_low_mask(i % SLAI_WORD_BITS);
    for (unsigned w = i / SLAI_WORD_BITS; w < s->words; w++, from = ~(uint64_t)0) {
        uint64_t bits = (unneeded(s, w) ^ flip) & from;
        if (bits != 0) {
            i = w * SLAI_WORD_BITS + slai_low_bit(bits);
            return i < s->capacity ? i : s->capacity;
        }
    }
    return s->capacity;
}

size_t slai_slab_purge(struct slai_span *s)
{
    size_t page = slai_os_page(), bytes = 0;
    char *end = s->start + ((size_t)s->pages << SLAI_PAGE_SHIFT);
    for (uint32_t from = 0, to;; from = to) {
        from = next_block(s, from, 0);
        if (from >= s->capacity)
            return bytes;
        to = next_block(s, from, ~(uint64_t)0);
        size_t low = slai_round_up((size_t)from * s->size, page);
        size_t high = to == s->capacity ? (size_t)(end - s->start) : slai_round_down((size_t)to * s->size, page);
        if (low < high && slai_os_purge(s->start + low, high - low))
            bytes += high - low;
    }
}

bool slai_slab_rested(struct slai_span *s, uint64_t now, uint64_t delay)
{
    if (s->stamp == 0)
        s->stamp = now;
    return delay == 0 || s->stamp == SLAI_STAMP_PURGED || (now >= s->stamp && now - s->stamp >= delay);
}

size_t slai_slab_tend(struct slai_span *s, uint64_t now, uint64_t delay)
{
    if (s->stamp == SLAI_STAMP_PURGED || !slai_slab_rested(s, now, delay))
        return 0;
    s->stamp = SLAI_STAMP_PURGED;
    if (s->lender != 0 || (size_t)(s->capacity - s->used) * s->size < slai_os_page())
        return 0;
    return slai_slab_purge(s);
}

SLA_COLD void slai_slabs_repair(void)
{
    for (unsigned c = SLAI_OBJECT_FIRST; c < slai_object_end; c += SLAI_OBJECT_STEP)
        slai_set_relaxed(&slai_object_class(c)->quota.used, 0);
}

SLA_COLD void slai_slab_recount(struct slai_span *s)
{
    uint64_t *remote = slai_slab_remote(s);
    uint32_t free = 0;
    if (slai_class_is_object(s->class))
        slai_add_relaxed(&slai_object_class(s->class)->quota.used, slab_bytes(slai_class_at(s->class)));
    for (unsigned w = 0; w < s->words; w++) {
        s->free[w] |= remote[w];
        remote[w] = 0;
        free += slai_popcount(s->free[w]);
    }
    s->hint = 0;
    slai_set_relaxed(&s->remote, 0);
    slai_set_relaxed(&s->used, s->capacity - free);
    s->next_post = NULL;
}
