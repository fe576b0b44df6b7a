#include "heap/account.h"

#include <errno.h>

SLA_RARE struct slai_account *slai_accounts[SLAI_ACCOUNTS];
uint32_t slai_account_end = 1;

struct slai_account *slai_account_at(const void *p)
{
    struct slai_region *r = slai_region_of(p);
    size_t page, head;
    if (r == NULL)
        return NULL;
    page = head = slai_page_number(r, p);
    while (head > r->data && slai_kind(&r->spans[head]) == SLAI_KIND_NONE)
        head--;
    switch (slai_kind(&r->spans[head])) {
    case SLAI_KIND_SLAB:
    case SLAI_KIND_INNER:
        return slai_account_of(&r->spans[head]);
    case SLAI_KIND_LARGE:
        return page - head < r->spans[head].pages ? slai_account_of(&r->spans[head]) : NULL;
    default:
        return NULL;
    }
}

bool slai_account_charge(struct slai_account *a, size_t bytes)
{
    if (slai_quota_take(&a->quota, bytes))
        return true;
    errno = ENOMEM;
    return false;
}

void slai_account_note(struct slai_account *a)
{
    size_t used = slai_load_relaxed(&a->quota.used), peak = slai_load_relaxed(&a->peak);
    while (used > peak && !slai_cas_acq_rel(&a->peak, &peak, used))
        ;
}

SLA_COLD void slai_accounts_forget(void)
{
    for (uint32_t n = 1; n < slai_account_end; n++)
        slai_set_relaxed(&slai_accounts[n]->quota.used, 0);
}
