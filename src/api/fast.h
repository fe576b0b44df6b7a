/*
 * The hot path of malloc and free, in full.  It is inlined into both spellings
 * of each entry point (sla_malloc and malloc, sla_free and free), so neither
 * pays for the other.  slaballoc(7) tells the story.
 */
#ifndef API_FAST_H
#define API_FAST_H

#include "api/api.h"
#include "cache/thread.h"

SLA_INLINE void *slai_pop(struct slai_tcache *tc, size_t scaled, size_t size)
{
    struct slai_stack *stack = slai_stack_of(tc, scaled);
    void *block = *stack->top;
    if (SLA_UNLIKELY(block == NULL))
        return slai_malloc_slow(size);
    slai_forget_registers(); /* so that the next line is one instruction on memory */
    stack->top--;
    return block;
}

SLA_INLINE void *slai_malloc(size_t size)
{
    struct slai_tcache *tc = slai_current;
    size_t room = slai_shadow_room(size);
    if (SLA_UNLIKELY(room > SLAI_SMALL_MAX))
        return slai_shadow_alloc(slai_malloc_medium(room), size, false);
    return slai_shadow_alloc(slai_pop(tc, tc->map.small[(room + 7) / 8], room), size, false);
}

SLA_INLINE void slai_push(struct slai_stack *stack, void *p)
{
    void **top = stack->top;
    if (SLA_UNLIKELY(top == stack->limit || *top == p)) {
        slai_free_slow(p); /* full (class 0 always is), or freed twice in a row */
        return;
    }
    top[1] = p;
    slai_increment_release(&stack->top); /* a fork child must never find a stale slot below top */
}

SLA_INLINE void slai_free(void *p)
{
    const char *base = slai_load_settled(&slai_window.base);
    size_t page = ((uintptr_t)p - (uintptr_t)base) >> SLAI_PAGE_SHIFT;
    if (slai_shadow_free(p))
        return;
    if (SLA_UNLIKELY(page >= slai_load_settled(&slai_window.pages))) {
        slai_free_slow(p); /* NULL, foreign, or in a further region */
        return;
    }
    slai_push(slai_stack_of(slai_tcache, (unsigned char)base[page]), p);
}

#endif
