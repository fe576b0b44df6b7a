/* Many blocks in one call: whole runs are copied between a stack and the caller's array. */
#include "api/fast.h"

#include <slaballoc.h>

/* Takes up to n blocks for `size` off the stack of the calling thread's current heap, the topmost first; how many. */
SLA_INLINE size_t pop_run(size_t size, void **out, size_t n)
{
    struct slai_tcache *tc = slai_current;
    unsigned class = (size <= SLAI_SMALL_MAX ? tc->map.small[(size + 7) / 8] : tc->map.medium[(size + 127) / 128]) / 2;
    struct slai_stack *stack = &tc->stacks[class];
    void **top = stack->top;
    size_t have, left;
    if (*top == NULL)
        return 0; /* and there may be no cache behind the stack */
    have = slai_stack_count(tc, class);
    n = n < have ? n : have;
    for (left = n; left >= 8; left -= 8, out += 8, top -= 8) {
        out[0] = top[0], out[1] = top[-1], out[2] = top[-2], out[3] = top[-3];
        out[4] = top[-4], out[5] = top[-5], out[6] = top[-6], out[7] = top[-7];
    }
    for (; left > 0; left--)
        *out++ = *top--;
    stack->top = top;
    return n;
}

/* n of count blocks are there, and the stack is empty: each refill brings some more. */
static SLA_NOINLINE size_t alloc_rest(size_t size, void **blocks, size_t n, size_t count)
{
    while (n < count) {
        void *p = size <= SLAI_MEDIUM_MAX ? slai_malloc_slow(size) : slai_malloc_medium(size);
        if (p == NULL)
            break;
        blocks[n++] = p;
        if (size <= SLAI_MEDIUM_MAX)
            n += pop_run(size, blocks + n, count - n);
    }
    return n;
}

size_t sla_alloc_batch(size_t size, void **blocks, size_t count) SLA_NOEXCEPT
{
    size_t room = slai_shadow_room(size), n = SLA_LIKELY(room <= SLAI_MEDIUM_MAX) ? pop_run(room, blocks, count) : 0;
    n = SLA_LIKELY(n == count) ? n : alloc_rest(room, blocks, n, count);
    for (size_t i = 0; SLA_VALGRIND && i < n; i++)
        slai_shadow_alloc(blocks[i], size, false);
    return n;
}

/* The scaled class of p's page; 0, whose stack is always full, where there is no slab or p is not in the window. */
SLA_INLINE size_t class_of(const void *p)
{
    const char *base = slai_load_settled(&slai_window.base);
    size_t page = ((uintptr_t)p - (uintptr_t)base) >> SLAI_PAGE_SHIFT;
    if (SLA_UNLIKELY(page >= slai_load_settled(&slai_window.pages)))
        return 0;
    return slai_load_relaxed((const uint8_t *)base + page);
}

/* Pushes block *from, which is of the stack's class, and up to n in all while each is beside the one behind it. */
SLA_INLINE size_t push_run(struct slai_stack *stack, void *const *from, size_t n)
{
    void **top = stack->top;
    size_t left = n - 1;
    *++top = *from;
    for (; left >= 4; left -= 4, from -= 4, top += 4) {
        top[1] = from[-1]; /* above top there may be anything */
        if (SLA_UNLIKELY(!slai_beside(from[-1], from[0])))
            break;
        top[2] = from[-2];
        if (SLA_UNLIKELY(!slai_beside(from[-2], from[-1])))
            break;
        top[3] = from[-3];
        if (SLA_UNLIKELY(!slai_beside(from[-3], from[-2])))
            break;
        top[4] = from[-4];
        if (SLA_UNLIKELY(!slai_beside(from[-4], from[-3])))
            break;
    }
    for (; left > 0 && slai_beside(from[-1], from[0]); left--)
        *++top = *--from;
    slai_set_release(&stack->top, top); /* a fork child must never find a stale slot below it */
    return n - left;
}

/* Pushes blocks from the last one on, so that as many allocations give them in the same order; how many are left. */
SLA_INLINE size_t push_runs(void *const *blocks, size_t n)
{
    while (n > 0) {
        void *p = blocks[n - 1];
        struct slai_stack *stack = slai_stack_of(slai_tcache, class_of(p));
        void **top = stack->top;
        size_t room = (size_t)(stack->limit - top);
        if (SLA_UNLIKELY(room == 0 || *top == p))
            break;
        if (SLA_LIKELY(n > 1 && slai_beside(p, blocks[n - 2]))) {
            n -= push_run(stack, blocks + n - 1, n < room ? n : room);
        } else {
            top[1] = p;
            slai_increment_release(&stack->top);
            n--;
        }
    }
    return n;
}

void sla_free_batch(void **blocks, size_t count) SLA_NOEXCEPT
{
    for (size_t i = 0; SLA_VALGRIND && i < count; i++)
        (void)slai_shadow_free(blocks[i]);
    while (count > 0) {
        count = push_runs(blocks, count);
        if (SLA_UNLIKELY(count > 0))
            slai_free_slow(blocks[--count]); /* NULL, large, foreign, freed twice in a row; or the stack is full */
    }
}
