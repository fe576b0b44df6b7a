/*
 * Object caches.  A cache is a size class of its own (heap/sizeclass.h), so its
 * objects go through the stacks, slabs and the depot as malloc's blocks do; here
 * is what is more: the calls, the constructed state, limits and debugging.
 *
 * Objects are constructed when they first leave their slab, into no stack yet
 * and with no lock held, and destroyed when the whole slab goes.  The slab's
 * third bitmap tells which are; an object's bit is changed by who holds it.
 */
#ifndef API_OBJCACHE_H
#define API_OBJCACHE_H

#include "cache/depot.h"
#include "cache/thread.h"

#include <slaballoc/cache.h>

/* The class number of a table place whose stack is never open: for caches whose every call must take the slow path. */
#define SLAI_OBJECT_NEVER 64u
_Static_assert(SLAI_OBJECT_NEVER * sizeof(void *) >= offsetof(struct slai_objects, unused) &&
                   SLAI_OBJECT_NEVER + SLAI_OBJECT_STEP <= SLAI_OBJECT_FIRST,
               "in what the table leaves unused");

struct sla_cache {
    /* Constant while the cache lives; what the hot path needs first. */
    uint16_t take;  /* its class for the hot path of an allocation, and of a free: or SLAI_OBJECT_NEVER */
    uint16_t give;
    uint16_t class; /* never changes at all: the place in the table */
    unsigned flags;
    size_t size;    /* of an object, as asked for */
    int (*constructor)(void *object, void *arg);
    void (*destructor)(void *object, void *arg);
    void *arg;
    char name[32];

    /* OBJCACHE. */
    bool taken; /* until its end is over, */
    bool alive; /* until it begins: of use to others than its user */
    int (*reclaim)(struct sla_cache *cache, void *arg);
    void *reclaim_arg;
    uint32_t visitors; /* threads that use the cache without its user's knowledge; the end waits for them */

    /* Anyone's. */
    uint32_t events;   /* slow allocations, for the pace of reaping */
    size_t constructed, destroyed;

    struct slai_object_depot store;
};

SLA_INLINE struct sla_cache *slai_objcache_at(unsigned class)
{
    return SLA_CONTAINER(slai_object_class(class), struct sla_cache, store.kind);
}

/* objcache.c */
/* Frees an object of class, which is one of a cache that is alive, in the name of call. */
void slai_objcache_put(unsigned class, void *object, const char *call);

/* Bytes a program may use of an object of class. */
size_t slai_objcache_usable(unsigned class);

/* Memory is out: gives back what caches can spare, and asks their owners. True: it may be worth another try. */
bool slai_objcaches_relieve(void);

/* objadmin.c */
/* Destroys free objects whose slabs have rested `delay` ms, of at most `most` slabs; the last slab with free objects
   stays unless `last`. The bytes given back. */
size_t slai_objcache_reap(struct sla_cache *cache, uint64_t delay, size_t most, bool last);

/* The same for all caches but those with NO_REAP. *waiting (may be NULL) becomes true if some would be due later. */
size_t slai_objcaches_reap(uint64_t delay, bool *waiting);

/* Calls the cache's reclaim function, if any; what it said. */
bool slai_objcache_ask(struct sla_cache *cache);

/* Calls visit(cache, arg) for each cache, which cannot end meanwhile, with no lock held. */
void slai_objcaches_visit(void (*visit)(struct sla_cache *cache, void *arg), void *arg);

void slai_objcache_collect(const struct sla_cache *cache, sla_cache_stats_t *stats);

void slai_objcaches_lock(void); /* around fork */
void slai_objcaches_unlock(void);
void slai_objcaches_reset(void);

/* objdebug.c: caches with SLA_CACHE_DEBUG */
/* The bytes a debugged object takes for one of `size`. */
size_t slai_objdebug_stride(size_t size, size_t align);

/* Checks a free object that is to be handed out, and notes who has it. */
void slai_objdebug_take(struct sla_cache *cache, void *object);

/* Checks an object that is to be freed. False: it is none that is out; reported. */
bool slai_objdebug_check(struct sla_cache *cache, void *object, const char *call);

/* Fills a free object with poison. */
void slai_objdebug_poison(struct sla_cache *cache, void *object);

/* Was it written to since? Reported. */
void slai_objdebug_audit(struct sla_cache *cache, void *object, const char *call);

/* "CALL(0xOBJECT): WHAT 'NAME'...": adds a cache's name. */
SLA_COLD void slai_objcache_misuse(const char *call, const void *object, const char *what,
                                   const struct sla_cache *cache, const char *then, const struct sla_cache *other);

#endif
