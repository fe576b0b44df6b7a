/*
 * Debugged object caches.  Behind each object lie a red zone and a note of who
 * had it last; a free one is filled with poison but for the note.
 *
 *   | object, size bytes | red zone, 16 bytes or more | note |
 */
#include "api/objcache.h"

#include "os/os.h"

#include <string.h>

#define RED_LEAST 16
#define RED 0xBB
#define POISON 0xDB
#define OUT ((size_t)0x4f7554)  /* the note's state: in use, */
#define IDLE ((size_t)0x49644c) /* or free; anything else is damage */

struct note {
    size_t state, thread;
};

size_t slai_objdebug_stride(size_t size, size_t align)
{
    return slai_round_up(slai_round_up(size, sizeof(size_t)) + RED_LEAST + sizeof(struct note), align);
}

static struct note *note_of(const struct sla_cache *cache, void *object)
{
    return (void *)((char *)object + cache->store.kind.class.size - sizeof(struct note));
}

static bool filled(const unsigned char *from, const void *to, unsigned char with)
{
    while (from != to && *from == with)
        from++;
    return from == to;
}

static SLA_COLD void report(struct sla_cache *cache, void *object, const char *call, const char *what, const char *by)
{
    struct slai_line l;
    slai_misuse_begin(&l, call, object);
    slai_line_text(&l, what);
    slai_line_text(&l, " (cache '");
    slai_line_text(&l, cache->name);
    slai_line_text(&l, "', ");
    slai_line_text(&l, by);
    slai_line_text(&l, " by thread ");
    slai_line_dec(&l, note_of(cache, object)->thread);
    slai_line_text(&l, ")");
    slai_misuse_end(&l);
}

static void sign(struct sla_cache *cache, void *object, size_t state)
{
    struct note *note = note_of(cache, object);
    note->state = state;
    note->thread = slai_os_thread();
}

void slai_objdebug_audit(struct sla_cache *cache, void *object, const char *call)
{
    const struct note *note = note_of(cache, object);
    if (note->state != IDLE || !filled(object, note, POISON))
        report(cache, object, call, "written to after free", "freed");
}

void slai_objdebug_take(struct sla_cache *cache, void *object)
{
    struct slai_span *s = slai_slab_of(object);
    uint32_t i = slai_slab_index(s, object);
    uint64_t bit = (uint64_t)1 << i % SLAI_WORD_BITS;
    if ((slai_or_relaxed(&slai_slab_made(s)[i / SLAI_WORD_BITS], bit) & bit) != 0)
        slai_objdebug_audit(cache, object, "cache_alloc"); /* else it never was an object before */
    memset((char *)object + cache->size, RED, (size_t)((char *)note_of(cache, object) - (char *)object) - cache->size);
    sign(cache, object, OUT);
}

bool slai_objdebug_check(struct sla_cache *cache, void *object, const char *call)
{
    const struct slai_span *s = slai_slab_of(object);
    const struct note *note;
    if (slai_slab_index(s, object) == SLAI_NO_INDEX) {
        slai_objcache_misuse(call, object, "not the start of an object of cache", cache, "", NULL);
        return false;
    }
    note = note_of(cache, object);
    if (note->state == IDLE) { /* whatever was written to it since: it must not be in the stack twice */
        report(cache, object, call, "object already free", "freed");
        return false;
    }
    if (note->state != OUT || !filled((unsigned char *)object + cache->size, note, RED))
        report(cache, object, call, "written to beyond its end", "allocated");
    return true;
}

void slai_objdebug_poison(struct sla_cache *cache, void *object)
{
    memset(object, POISON, (size_t)((char *)note_of(cache, object) - (char *)object));
    sign(cache, object, IDLE);
}
