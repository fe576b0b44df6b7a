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

void slai_remote_free(struct slai_span *s, void *const *blocks, uint32_t n)
{
    uint64_t *remote = slai_slab_remote(s), mask = 0;
    uint32_t word = SLAI_NO_INDEX;
    size_t count = 0;
    if (slai_load_relaxed(&s->owner) == NULL && slai_depot_put(s, blocks, n))
        return;
    for (uint32_t k = 0; k <= n; k++) {
        uint32_t i = k < n ? slai_slab_index(s, blocks[k]) : SLAI_NO_INDEX;
        uint64_t bit = (uint64_t)1 << i % SLAI_WORD_BITS;
        if (k < n && i == SLAI_NO_INDEX) {
            slai_misuse_later(blocks[k], "not the start of a block", s->size);
            continue;
        }
        if (mask != 0 && (k == n || i / SLAI_WORD_BITS != word)) {
            /* Release: the block's contents, as written before the free, are behind its next owner. */
            uint64_t was = slai_or_release(&remote[word], mask);
            if (SLA_UNLIKELY((was & mask) != 0)) {
                uint32_t twice = word * SLAI_WORD_BITS + slai_low_bit(was & mask);
                slai_misuse_later(s->start + (size_t)twice * s->size, "block already free", s->size);
            }
            count += slai_popcount(mask & ~was);
            mask = 0;
        }
        if (k == n)
            break;
        if (SLA_UNLIKELY((mask & bit) != 0))
            slai_misuse_later(blocks[k], "block already free", s->size);
        word = i / SLAI_WORD_BITS;
        mask |= bit;
    }
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
