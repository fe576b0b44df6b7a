#include "heap/meta.h"

#include "heap/region.h"
#include "os/lock.h"
#include "os/os.h"
#include "os/shadow.h"
#include "util/bits.h"

#include <errno.h>
#include <string.h>

#define GRAIN ((size_t)SLA_CACHELINE)
#define FINE_MAX ((size_t)4096) /* lists by exact size up to here, by power of two above */
#define FINE_LISTS (FINE_MAX / GRAIN)
#define LISTS (FINE_LISTS + 9)
#define CHUNK ((size_t)1 << 20)
#define CHUNK_MIN ((size_t)64 << 10)

struct unused {
    struct unused *next;
};

static struct {
    struct slai_lock lock;
    char *start, *bump;          /* META: what is left of the chunk; it is used from its end */
    struct unused *lists[LISTS]; /* META */
    size_t bytes;                /* META; read by anyone */
} meta = {.lock = SLAI_LOCK_INIT(SLAI_RANK_META)};

/* What a request really takes: sizes of one list are all the same. */
static size_t rounded(size_t size)
{
    return size <= FINE_MAX ? slai_round_up(size, GRAIN) : slai_ceil_pow2(size);
}

static struct unused **list_of(size_t size)
{
    size_t i = size <= FINE_MAX ? size / GRAIN - 1 : FINE_LISTS + slai_log2(size) - 12;
    slai_assert(i < LISTS);
    return &meta.lists[i];
}

/* REQUIRES META. A mapping of its own, for before there is a region or when the regions' share is used up. */
static char *map_chunk(size_t need, size_t *size)
{
    size_t least = slai_round_up(need > CHUNK_MIN ? need : CHUNK_MIN, slai_os_page());
    for (*size = need > CHUNK ? least : CHUNK; *size >= least; *size /= 2) {
        char *p = slai_os_reserve(*size);
        if (p == NULL)
            continue;
        slai_shadow_own(p, *size, true);
        if (slai_os_commit(p, *size))
            return p;
        slai_os_release(p, *size);
    }
    return NULL;
}

/* REQUIRES META. The rest of the old chunk is lost if the new one does not end where it starts. */
static bool new_chunk(size_t need)
{
    size_t size;
    char *p = slai_region_meta(need, &size);
    if (p == NULL)
        p = map_chunk(need, &size);
    if (p == NULL)
        return false;
    if (p + size != meta.start)
        meta.bump = p + size;
    meta.start = p;
    slai_set_relaxed(&meta.bytes, meta.bytes + size);
    return true;
}

/* REQUIRES META. n fresh bytes; NULL: no memory. */
static char *fresh(size_t n)
{
    if ((size_t)(meta.bump - meta.start) < n && !new_chunk(n))
        return NULL;
    return meta.bump -= n;
}

void *slai_meta_keep(size_t size)
{
    int saved = errno;
    void *p;
    slai_assert(size > 0 && size <= SLAI_META_MAX);
    slai_lock(&meta.lock);
    p = fresh(slai_round_up(size, GRAIN));
    slai_unlock(&meta.lock);
    errno = p != NULL ? saved : ENOMEM;
    return p;
}

void *slai_meta_take(size_t size)
{
    size_t n = rounded(size);
    struct unused **list = list_of(n);
    void *p = NULL;
    int saved = errno;
    slai_assert(size > 0 && size <= SLAI_META_MAX);
    slai_lock(&meta.lock);
    if (*list != NULL) {
        p = *list;
        *list = (*list)->next;
        slai_unlock(&meta.lock);
        return memset(p, 0, size);
    }
    p = fresh(n);
    slai_unlock(&meta.lock);
    errno = p != NULL ? saved : ENOMEM;
    return p;
}

void slai_meta_give(void *p, size_t size)
{
    struct unused **list = list_of(rounded(size));
    struct unused *u = p;
    slai_lock(&meta.lock);
    u->next = *list;
    *list = u;
    slai_unlock(&meta.lock);
}

size_t slai_meta_bytes(void) { return slai_load_relaxed(&meta.bytes); }

void slai_meta_lock(void) { slai_lock_for_fork(&meta.lock); }
void slai_meta_unlock(void) { slai_unlock_after_fork(&meta.lock); }
void slai_meta_reset(void) { slai_lock_reset(&meta.lock); }
