/*
 * The thread cache: per size class a stack of free blocks that are ready to be
 * handed out, and the slabs the thread owns.  Popping and pushing touch neither
 * a lock, nor an atomic, nor the block, nor its slab.
 *
 *   base                 top           limit
 *    | NULL | b | b | b | b |  .  |  .  | .  |     top == base: empty, *top is NULL
 *                                                  top == limit: full
 *
 * A thread without a cache points at a static one whose stacks are empty and
 * full at once, so the hot path needs no test for it: every call goes cold.
 */
#ifndef CACHE_THREAD_H
#define CACHE_THREAD_H

#include "heap/slab.h"
#include "os/lock.h"
#include "os/tls.h"

struct sla_heap;

struct slai_stack {
    void **top;   /* the last block pushed; its slot holds NULL when empty */
    void **limit; /* the slot that may not be passed */
};

/* The rest of a class: only slow paths look here. All zero until the class is first used; of an object cache's class
   there is none until then. */
struct slai_bin {
    void **base;       /* NULL: the class has no stack yet (slai_stack_open) */
    uint32_t room;     /* slots allocated above base */
    uint16_t batch;    /* blocks the next refill takes */
    uint8_t refilled;  /* since the last overflow */
    uint8_t idle;      /* sweeps since the last slow path */
    uint32_t held;     /* blocks in the stack after the last slow path, for statistics */
    uint8_t calm;      /* refills before the batch may double again */
    struct slai_list partial, full;
};

/*
 * The stack of an object cache, in a table of the thread's: counted in pointers the class number is its place.  All
 * zero is an empty and full one, as the caller compares top with base.  A thread that uses no object cache has the
 * constant table slai_no_objects.
 */
struct slai_object_stack {
    struct slai_stack stack;
    void **base; /* that of the bin, for the hot path */
    struct slai_bin *bin;
};
#define SLAI_OBJECT_UNIT (sizeof(struct slai_object_stack) / SLAI_OBJECT_STEP)

struct slai_objects {
    uint64_t open[SLAI_OBJECT_CLASSES / SLAI_WORD_BITS]; /* a bit for each that has a stack */
    char unused[SLAI_OBJECT_FIRST * sizeof(void *) - SLAI_OBJECT_CLASSES / 8];
    struct slai_object_stack stacks[SLAI_OBJECT_CLASSES];
};
_Static_assert(SLAI_OBJECT_UNIT == sizeof(void *) &&
                   offsetof(struct slai_objects, stacks) == SLAI_OBJECT_FIRST * SLAI_OBJECT_UNIT,
               "the class number counts pointers to the place");

struct slai_tcache {
    /* Owner thread: hot. */
    struct slai_stack stacks[SLAI_CLASSES];
    struct slai_size_map map;
    struct slai_objects *objects; /* changes under CACHE */
    struct slai_tcache **heaps;   /* of a home: the thread's other caches, by heap; slai_unborn where there is none */
    uint32_t heaps_room;          /* how many entries; both change under HEAPS */

    /* CACHE: the owner's slow paths, and whoever parks the cache. */
    struct slai_lock lock;
    bool relieving;     /* its owner's alone: it is making room in object caches (api/objcache.h) */
    bool parked;        /* its slabs were handed over since its last slow path */
    size_t seen;        /* slai_slabs_made at the owner's last slow path */
    long budget;        /* bytes by which limits may still grow */
    uint32_t events;    /* slow paths taken */
    uint32_t busy;      /* class + 1 whose stack is being rebuilt, 0: none; a fork child must not trust that one */
    uint64_t open[2];   /* a bit for each class that has a stack */
    uint64_t looked;    /* clock at the last look for slabs to purge (cache/idle.c) */
    unsigned look_class;     /* where the next look goes on: the class, */
    struct slai_span *look;  /* and the slab in its partial list; NULL: the first */

    /* THREADS. */
    struct slai_link link;
    bool live;

    /* HEAPS. */
    struct sla_heap *heap;       /* whose blocks these are; NULL: the default heap's. Constant while in use */
    struct slai_tcache *home;    /* the same thread's cache of the default heap; likewise */
    struct slai_link heap_link;  /* in the heap's list of caches */

    /* Owner, of a home. */
    struct slai_pushed *pushed;  /* the heaps that are to be current again; NULL until needed */
    uint32_t strange;            /* blocks freed of heaps of which the thread has no cache */
    bool pressing;               /* in a pressure function */
    bool providing;              /* in a page function */

    /* Shared: other threads post slabs with freed blocks here (cache/remote.c). */
    struct slai_span *inbox __attribute__((aligned(SLA_CACHELINE)));

    /* CACHE again; last, as most threads use few of them. That of class 0 fills the line of the inbox. */
    struct slai_bin bins[SLAI_CLASSES];
};

/* Thread states without a cache: the hot front of one, all of whose stacks are empty and full. */
struct slai_no_cache {
    struct slai_stack stacks[SLAI_CLASSES];
    struct slai_size_map map; /* all 0: every size looks at stack 0 */
    struct slai_objects *objects;
    struct slai_tcache **heaps;
    uint32_t heaps_room;
} __attribute__((aligned(SLA_CACHELINE)));
extern struct slai_no_cache slai_unborn SLA_HIDDEN; /* has not allocated yet */
extern struct slai_no_cache slai_dead SLA_HIDDEN;   /* its end hook has run; filled in when first needed */

extern struct slai_objects slai_no_objects SLA_HIDDEN; /* never written */

/* The calling thread's cache, its home, and the one malloc takes from: the same, but for a thread whose current heap is
   not the default one. The hot paths' only thread-local variables. */
extern SLA_TLS struct slai_tcache *slai_tcache SLA_HIDDEN;
extern SLA_TLS struct slai_tcache *slai_current SLA_HIDDEN;

SLA_INLINE bool slai_has_cache(const void *tc) { return tc != &slai_unborn && tc != &slai_dead; }

/* The stack for a scaled class (2 * class), as the class map and the size map hold it. */
SLA_INLINE struct slai_stack *slai_stack_of(struct slai_tcache *tc, size_t scaled)
{
    return (void *)((char *)tc->stacks + scaled * (sizeof(struct slai_stack) / 2));
}

SLA_INLINE struct slai_object_stack *slai_object_stack(const struct slai_tcache *tc, unsigned class)
{
    return (void *)((char *)tc->objects + class * SLAI_OBJECT_UNIT);
}

/* For classes of either sort, where it need not be fast. */
SLA_INLINE struct slai_stack *slai_stack_at(struct slai_tcache *tc, unsigned class)
{
    return slai_class_is_object(class) ? &slai_object_stack(tc, class)->stack : &tc->stacks[class];
}

/* NULL: an object cache's class without a stack. */
SLA_INLINE struct slai_bin *slai_bin_at(struct slai_tcache *tc, unsigned class)
{
    return slai_class_is_object(class) ? slai_object_stack(tc, class)->bin : &tc->bins[class];
}

/* stack.c: the slow paths of a stack. All by the owner. */

/* Fills the class's stack and pops a block. NULL with ENOMEM. */
void *slai_stack_refill(struct slai_tcache *tc, unsigned class);

/* As a refill, but the blocks go to out[], at most `most` of them and not to the stack; how many, 0 with ENOMEM. */
uint32_t slai_stack_draw(struct slai_tcache *tc, unsigned class, void **out, uint32_t most);

/* Makes room in a full stack, by a higher limit or by flushing the older half. False: there is none, nor memory for
   one. */
bool slai_stack_overflow(struct slai_tcache *tc, unsigned class);

/* Frees a block without a stack. */
void slai_stack_bypass(struct slai_tcache *tc, unsigned class, void *block);

/* Gives the n oldest blocks of a class back to their slabs. */
void slai_stack_flush(struct slai_tcache *tc, unsigned class, uint32_t n);

/* Gives back every block and every empty slab. Takes CACHE. */
void slai_cache_flush(struct slai_tcache *tc);

/* Takes in what others have freed for tc. REQUIRES CACHE. */
void slai_cache_drain(struct slai_tcache *tc);

SLA_INLINE bool slai_is_open(struct slai_tcache *tc, unsigned class)
{
    const struct slai_bin *bin = slai_bin_at(tc, class);
    return bin != NULL && bin->base != NULL;
}

/* The stack's memory is at base from here on; NULL: the class has none. */
SLA_INLINE void slai_stack_place(struct slai_tcache *tc, unsigned class, void **base)
{
    slai_bin_at(tc, class)->base = base;
    if (slai_class_is_object(class))
        slai_object_stack(tc, class)->base = base;
}

SLA_INLINE uint32_t slai_stack_count(struct slai_tcache *tc, unsigned class)
{
    return slai_is_open(tc, class) ? (uint32_t)(slai_stack_at(tc, class)->top - slai_bin_at(tc, class)->base) : 0;
}

/* The first class after c that has a stack, of malloc or of an object cache; SLAI_NO_CLASS: there is none. */
SLA_INLINE unsigned slai_open_after(const struct slai_tcache *tc, unsigned c)
{
    unsigned i = c + 1;
    if (c < SLAI_CLASSES) {
        i = slai_next_bit(tc->open, SLA_ARRAY_LEN(tc->open), i);
        if (i != SLAI_NO_BIT)
            return i;
        i = 0;
    } else {
        i = slai_object_number(c) + 1;
    }
    if (tc->objects == &slai_no_objects)
        return SLAI_NO_CLASS;
    i = slai_next_bit(tc->objects->open, SLA_ARRAY_LEN(tc->objects->open), i);
    return i != SLAI_NO_BIT ? SLAI_OBJECT_FIRST + SLAI_OBJECT_STEP * i : SLAI_NO_CLASS;
}

/* thread.c: birth, death, and threads without a cache. */

/* Gives a class its first stack, empty; pre: it has none. False with ENOMEM. Takes META. */
bool slai_stack_open(struct slai_tcache *tc, unsigned class);

/* Gives back all that a cache has of an object class: blocks to their slabs, slabs to the depot. Takes CACHE. */
void slai_stack_empty(struct slai_tcache *tc, unsigned class);

/* Ends an object class in a cache: its blocks go back, its slabs to the depot, its stack away. By any thread, while no
   other uses the class. Takes CACHE. */
void slai_stack_close(struct slai_tcache *tc, unsigned class);

/* Calls slai_stack_close() for every cache in use. Takes THREADS, SHARED. */
void slai_threads_close(unsigned class);

/* A cache of a heap for the thread with that home; NULL: no memory. REQUIRES HEAPS; takes THREADS. */
struct slai_tcache *slai_cache_birth(struct sla_heap *heap, struct slai_tcache *home);

/* Its end: with all that is in it to the depot, or with all slabs destroyed, whatever is in them, while no thread uses
   the heap. Takes THREADS, CACHE and below. */
void slai_cache_retire(struct slai_tcache *tc);
void slai_cache_raze(struct slai_tcache *tc);

/* Its slabs go to the depot. Takes CACHE. */
void slai_cache_park(struct slai_tcache *tc);

/* From now on the calling thread uses the shared cache. */
void slai_cache_none(void);

/* The calling thread's own cache, made now if need be; NULL: use the shared one. */
struct slai_tcache *slai_cache_get(void);

/* The cache of those that have none, locked until slai_shared_unlock(). NULL with ENOMEM. */
struct slai_tcache *slai_shared_lock(void);
bool slai_shared_used(void); /* has anyone needed it yet? */
void slai_shared_unlock(void);

/* Once, before any cache; the end of a thread begins with watch(). */
void slai_threads_init(void (*watch)(void));

/* Calls visit for every cache in use; THREADS is held, so visit takes no lock of lower rank. */
void slai_threads_visit(void (*visit)(struct slai_tcache *tc, void *arg), void *arg);

/*
 * A thread that sleeps cannot take in what others free for it, nor lend its free blocks.  So its cache is parked: its
 * slabs go to the depot, as at its end, and when it wakes it adopts what it needs.  What is in its stacks stays.
 * Both take THREADS.
 */
void slai_threads_park(void);        /* those that took no slow path while slai_growth.every slabs were made */
void slai_threads_park_others(void); /* all but the caller's */

extern struct slai_growth {
    size_t searched; /* slai_slabs_made when somebody last looked for sleepers */
    size_t every;    /* so many more, and it is time to look; THREADS */
} slai_growth SLA_HIDDEN;

SLA_INLINE bool slai_threads_crowded(void)
{
    size_t searched = slai_load_relaxed(&slai_growth.searched);
    return slai_load_relaxed(&slai_slabs_made) - searched >= slai_load_relaxed(&slai_growth.every);
}

/* fork: the locks of this file, and the repair of a child where only the calling thread exists. */
void slai_threads_lock(void);
void slai_threads_unlock(void);
void slai_threads_reset(void);
bool slai_threads_alone(void); /* does no other thread have a cache? THREADS is held */
void slai_threads_repair(void);

#endif
