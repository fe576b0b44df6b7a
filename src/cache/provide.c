#include "cache/provide.h"

#include "heap/misuse.h"
#include "heap/pageheap.h"
#include "os/os.h"

#include <errno.h>

#define GETS_MOST 32u /* chunks that one allocation gets while others use them up */

/* --- Calling the program's functions --- */

struct visit {
    struct slai_tcache *home;
    bool pushed, within;
    int saved;
};

static bool within(void)
{
    const struct slai_tcache *home = slai_tcache;
    return slai_has_cache(home) && home->providing;
}

static struct visit begin(void)
{
    struct slai_tcache *home = slai_tcache;
    struct visit v = {slai_has_cache(home) ? home : NULL, false, within(), errno};
    if (v.home == NULL)
        return v;
    home->providing = true; /* first: so there is room */
    v.pushed = slai_current != home && slai_heap_push(NULL);
    return v;
}

static void end(struct visit v)
{
    if (v.home != NULL)
        v.home->providing = v.within; /* the end of a heap may come within another's function */
    if (v.pushed)
        (void)slai_heap_pop();
    errno = v.saved;
}

static void put(const struct slai_provider *pages, void *memory, size_t size)
{
    struct visit v;
    if (pages->put == NULL)
        return;
    v = begin();
    pages->put(memory, size, pages->arg);
    end(v);
}

/* One call of get; false: nothing came of it. */
static bool get(struct sla_heap *heap, size_t size)
{
    struct visit v = begin();
    int zero = 0;
    void *memory = heap->pages.get(size, &zero, heap->pages.arg);
    end(v);
    if (memory == NULL)
        return false;
    if (((uintptr_t)memory & (SLAI_PAGE - 1)) != 0)
        slai_misuse("heap_create_on", memory, "get gave memory that is not aligned to 64 KiB", 0);
    else if (slai_region_of(memory) != NULL)
        slai_misuse("heap_create_on", memory, "get gave memory that is a heap's already", 0);
    else if (slai_chunk_add(&heap->account, memory, size, zero != 0))
        return true;
    put(&heap->pages, memory, size);
    return false;
}

/* --- Getting --- */

/* The heap has, or got, room for `bytes` at that alignment, and its limit allows them. */
static SLA_COLD bool provide(struct sla_heap *heap, size_t bytes, size_t align)
{
    const struct slai_quota *q = &heap->account.quota;
    size_t limit = slai_load_relaxed(&q->limit), used = slai_load_relaxed(&q->used);
    size_t need = bytes + (align > SLAI_PAGE ? align - SLAI_PAGE : 0);
    size_t least = need > heap->pages.chunk ? need : heap->pages.chunk, size;
    if (heap->pages.get == NULL || within() || (limit != 0 && (used >= limit || bytes > limit - used)))
        return false;
    if (least >> SLAI_PAGE_SHIFT > UINT32_MAX / 4)
        return false;
    if (slai_pages_fit(&heap->account, need >> SLAI_PAGE_SHIFT))
        return true;
    /* Larger and larger ones: chunks are few. */
    size = slai_round_up(slai_load_relaxed(&heap->account.provided) / 2, SLAI_PAGE);
    return (size > least && size >> SLAI_PAGE_SHIFT <= UINT32_MAX / 4 && get(heap, size)) || get(heap, least);
}

bool slai_heap_retry(struct sla_heap *heap, size_t wanted, size_t bytes, size_t align, struct slai_tries *tries)
{
    int saved = errno;
    if (tries->gets < GETS_MOST && provide(heap, bytes, align)) {
        tries->gets++;
        errno = saved;
        return true;
    }
    return slai_heap_relieve(heap, wanted, bytes, tries->steps++);
}

/* --- Giving back --- */

/* A trim by some other thread may have a chunk of the heap in hand, and calls its function yet. */
static void wait_for_others(struct sla_heap *heap)
{
    for (uint32_t n = slai_load_acquire(&heap->putting); n != 0; n = slai_load_acquire(&heap->putting))
        slai_os_wait(&heap->putting, n);
}

SLA_COLD void slai_heap_give_back(struct sla_heap *heap, enum slai_chunks which)
{
    void *memory;
    size_t size;
    if (which != SLAI_CHUNKS_ALL && within())
        return;
    slai_set_relaxed(&heap->account.spare, false);
    if (which != SLAI_CHUNKS_ALL && heap->pages.put == NULL)
        return;
    while ((memory = slai_chunk_remove(&heap->account, which, &size)) != NULL)
        put(&heap->pages, memory, size);
    if (which == SLAI_CHUNKS_ALL)
        wait_for_others(heap);
}

/* One empty chunk of a heap that others may be destroying. How many bytes. */
static size_t give_one(struct sla_heap *heap, bool gather)
{
    void *memory = NULL;
    size_t size = 0;
    slai_heaps_lock();
    if (heap->live && heap->pages.put != NULL) {
        if (gather)
            slai_heap_gather(heap);
        memory = slai_chunk_remove(&heap->account, SLAI_CHUNKS_EMPTY, &size);
    }
    if (memory != NULL)
        slai_add_acq_rel(&heap->putting, 1);
    slai_heaps_unlock();
    if (memory == NULL)
        return 0;
    put(&heap->pages, memory, size);
    slai_add_acq_rel(&heap->putting, (uint32_t)-1);
    slai_os_wake(&heap->putting);
    return size;
}

SLA_COLD size_t slai_heaps_give_back(bool gather)
{
    size_t bytes = 0, more;
    if (within())
        return 0;
    for (uint32_t n = 1; n < slai_load_acquire(&slai_account_end); n++) {
        struct sla_heap *heap = slai_heap_of(slai_account(n));
        if (!slai_load_relaxed(&heap->account.lent))
            continue;
        for (bool first = true; (more = give_one(heap, gather && first)) > 0; first = false)
            bytes += more;
    }
    return bytes;
}
