/* Aligned allocation: a class whose blocks are all aligned so, else a large block. */
#include "api/api.h"
#include "cache/heap.h"
#include "heap/large.h"
#include "heap/sizeclass.h"
#include "os/os.h"

#include <errno.h>
#include <slaballoc.h>

/* align is a power of two. */
void *slai_aligned_in(struct sla_heap *heap, size_t align, size_t size)
{
    size_t room = slai_shadow_room(size);
    unsigned class;
    bool zero;
    void *p;
    if (size > PTRDIFF_MAX || align > PTRDIFF_MAX) {
        errno = ENOMEM;
        return NULL;
    }
    class = slai_class_aligned(room, align < 8 ? 8 : align);
    if (class != 0)
        return slai_shadow_alloc(slai_class_in(heap, class), size, false);
    slai_arrive();
    p = slai_large(heap, room, align, &zero);
    return slai_shadow_alloc(p, size, false);
}

static void *aligned(size_t align, size_t size)
{
    return slai_aligned_in(slai_heap_current(), align, size);
}

void *slai_aligned_alloc(size_t align, size_t size)
{
    if (!slai_is_pow2(align)) {
        errno = EINVAL;
        return NULL;
    }
    return aligned(align, size);
}

int slai_posix_memalign(void **out, size_t align, size_t size)
{
    int saved = errno;
    void *p;
    if (!slai_is_pow2(align) || align % sizeof(void *) != 0)
        return EINVAL;
    p = aligned(align, size);
    errno = saved;
    if (p == NULL)
        return ENOMEM;
    *out = p;
    return 0;
}

void *slai_memalign(size_t align, size_t size)
{
    if (align > SIZE_MAX / 2 + 1) { /* no power of two is that big */
        errno = EINVAL;
        return NULL;
    }
    return aligned(slai_ceil_pow2(align), size);
}

void *slai_valloc(size_t size) { return aligned(slai_os_page(), size); }

void *slai_pvalloc(size_t size)
{
    size_t page = slai_os_page();
    if (size > PTRDIFF_MAX) {
        errno = ENOMEM;
        return NULL;
    }
    return aligned(page, slai_round_up(size != 0 ? size : 1, page));
}

void *sla_aligned_alloc(size_t align, size_t size) SLA_NOEXCEPT { return slai_aligned_alloc(align, size); }
int sla_posix_memalign(void **out, size_t align, size_t size) SLA_NOEXCEPT
{
    return slai_posix_memalign(out, align, size);
}
void *sla_memalign(size_t align, size_t size) SLA_NOEXCEPT { return slai_memalign(align, size); }
