/*
 * Accounts: what the heap layer knows of a heap that the program made.  Each of
 * the heap's slabs and large blocks bears the account's number, and is charged
 * to it.  The default heap has the number 0, and no account.
 */
#ifndef HEAP_ACCOUNT_H
#define HEAP_ACCOUNT_H

#include "heap/region.h"

struct slai_account {
    struct slai_quota quota; /* of slabs and large blocks */
    size_t peak;             /* highest value of quota.used */
    struct slai_list large;  /* PAGEHEAP: its large blocks, */
    size_t large_count;      /* their number */
    size_t large_pages;      /* and pages */
    uint16_t number;         /* constant */
    bool lent;               /* its pages come from the program alone (heap/chunk.h); constant while it lives */
    bool spare;              /* a chunk may have become empty; read by anyone */
    struct slai_list lent_free[2]; /* PAGEHEAP: free spans of such pages, [clean] */
    size_t provided;         /* PAGEHEAP, read by anyone: bytes of such pages */
};

/* By number; a place that was ever filled stays, as its heap's struct is used again. */
#define SLAI_ACCOUNTS 65536u
extern struct slai_account *slai_accounts[SLAI_ACCOUNTS] SLA_HIDDEN;
extern uint32_t slai_account_end SLA_HIDDEN; /* no account has this number or a higher one; read by anyone */

SLA_INLINE struct slai_account *slai_account(uint32_t number) { return slai_load_acquire(&slai_accounts[number]); }

/* That of a slab's or large block's descriptor, or of a slab's inner page; NULL: the default heap. */
SLA_INLINE struct slai_account *slai_account_of(const struct slai_span *s)
{
    unsigned number = slai_load_relaxed(&s->account);
    return SLA_UNLIKELY(number != 0) ? slai_account(number) : NULL;
}

/* That of whatever p lies in, the inside of a large block too; NULL: the default heap, or no block at all. */
struct slai_account *slai_account_at(const void *p);

/* Charges `bytes`; false with ENOMEM at the limit. a NULL: nothing to do. */
bool slai_account_charge(struct slai_account *a, size_t bytes);
SLA_INLINE bool slai_account_take(struct slai_account *a, size_t bytes)
{
    return SLA_LIKELY(a == NULL) || slai_account_charge(a, bytes);
}

/* What was charged was got: it may be the most there ever was. */
void slai_account_note(struct slai_account *a);
SLA_INLINE void slai_account_got(struct slai_account *a)
{
    if (SLA_UNLIKELY(a != NULL))
        slai_account_note(a);
}

SLA_INLINE void slai_account_give(struct slai_account *a, size_t bytes)
{
    if (SLA_UNLIKELY(a != NULL))
        slai_quota_give(&a->quota, bytes);
}

/* In a fork child: what is charged is counted anew, from nothing on. */
void slai_accounts_forget(void);

#endif
