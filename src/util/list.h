/*
 * Doubly linked lists with the links inside the element.  All zero is an empty
 * list.  Which list an element is in is the element's own business (invariant
 * I4: the state says it), so there is no separate membership flag here.
 */
#ifndef UTIL_LIST_H
#define UTIL_LIST_H

#include "util/assert.h"

struct slai_link {
    struct slai_link *next, *prev;
};

struct slai_list {
    struct slai_link *first, *last;
};

SLA_INLINE void slai_list_push(struct slai_list *l, struct slai_link *e)
{
    e->prev = NULL;
    e->next = l->first;
    if (l->first != NULL)
        l->first->prev = e;
    else
        l->last = e;
    l->first = e;
}

SLA_INLINE void slai_list_append(struct slai_list *l, struct slai_link *e)
{
    e->next = NULL;
    e->prev = l->last;
    if (l->last != NULL)
        l->last->next = e;
    else
        l->first = e;
    l->last = e;
}

SLA_INLINE void slai_list_remove(struct slai_list *l, struct slai_link *e)
{
    slai_assert(e->prev != NULL ? e->prev->next == e : l->first == e);
    slai_assert(e->next != NULL ? e->next->prev == e : l->last == e);
    if (e->prev != NULL)
        e->prev->next = e->next;
    else
        l->first = e->next;
    if (e->next != NULL)
        e->next->prev = e->prev;
    else
        l->last = e->prev;
    e->next = e->prev = NULL;
}

#endif
