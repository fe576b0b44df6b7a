#include "cache/remote.h"

#include "cache/depot.h"

/* Hands a slab whose count left 0 to its owner, or to the depot. */
static void post(struct slai_span *s)
{
    for (;;) {
        struct slai_tcache *owner = slai_load_acquire(&s->owner);
        struct slai_span *head;
        if (owner == NULL) {
            if (slai_depot_collect(s))
                return;
            continue; /* adopted meanwhile */
        }
        head = slai_load_acquire(&owner->inbox);
        while (head != SLAI_INBOX_CLOSED) {
            s->next_post = head;
            if (slai_cas_acq_rel(&owner->inbox, &head, s)) /* release: next_post and the bits */
                return;
        }
        /* The owner ended; it had given all its slabs away before it closed, so the next look sees another. */
    }
}

/* Sets bits in a word of the slab's remote set; how many of them are new. */
static uint32_t mark(struct slai_span *s, uint32_t word, uint64_t mask)
{
    /* Release: the blocks' contents, as written before the free, are behind their next owner. */
    uint64_t was = slai_or_release(&slai_slab_remote(s)[word], mask);
    if (SLA_UNLIKELY((was & mask) != 0)) {
        uint32_t twice = word * SLAI_WORD_BITS + slai_low_bit(was & mask);
        slai_misuse_later(s->start + (size_t)twice * s->size, "block already free", s->size);
    }
    return slai_popcount(mask & ~was);
}

void slai_remote_free(struct slai_span *s, void *const *blocks, uint32_t n)
{
    const char *start = s->start;
    const uint64_t size = s->size, recip = s->recip, end = s->capacity * size;
    uint64_t mask = 0;
    uint32_t word = 0;
    size_t count = 0;
    if (slai_load_relaxed(&s->owner) == NULL && slai_depot_put(s, blocks, n))
        return;
    for (uint32_t k = 0; k < n; k++) {
        uint64_t offset = (uintptr_t)blocks[k] - (uintptr_t)start, i = offset * recip >> 32;
        uint64_t bit = (uint64_t)1 << i % SLAI_WORD_BITS;
        if (SLA_UNLIKELY(offset >= end || i * size != offset)) {
            slai_misuse_later(blocks[k], "not the start of a block", (uint32_t)size);
            continue;
        }
        if (i / SLAI_WORD_BITS != word) {
            count += mask != 0 ? mark(s, word, mask) : 0;
            mask = 0;
            word = (uint32_t)(i / SLAI_WORD_BITS);
        }
        if (SLA_UNLIKELY((mask & bit) != 0))
            slai_misuse_later(blocks[k], "block already free", (uint32_t)size);
        mask |= bit;
    }
    count += mask != 0 ? mark(s, word, mask) : 0;
    /* Acquire: a poster after the owner's collect sees the owner's state; release: the bits before the number. */
    if (count > 0 && slai_add_acq_rel(&s->remote, count) == 0)
        post(s);
}

void slai_remote_drain(struct slai_tcache *tc, struct slai_span *posted,
                       void (*settled)(struct slai_tcache *tc, struct slai_span *s))
{
    while (posted != NULL) {
        struct slai_span *s = posted;
        posted = s->next_post; /* before anyone may post s again */
        if (slai_load_acquire(&s->owner) != tc) {
            post(s);
            continue;
        }
        slai_slab_collect(s);
        settled(tc, s);
    }
}
