/*
 * scenario_objects.c: objects of one type, which begin and end as set up: a
 * lock nobody holds, a place in no list, nobody waiting.
 *
 * Compares interfaces: an allocator with object caches (sla_cache_create) is
 * used through one, whose objects stay set up while they are free.  Elsewhere
 * the program does what it has to do there: malloc and set up, undo and free.
 *
 * SPDX-License-Identifier: MIT
 */
#include "inbox.h"
#include "scenarios.h"
#include "work.h"

#include <pthread.h>
#include <string.h>

enum { LISTS = 64, PAYLOAD = 112 };

struct link {
    struct link *next, *previous;
};

/* 192 bytes where pointers have 8: a size class of most allocators, so that none rounds it up. */
struct object {
    void *handed; /* the inbox's */
    pthread_mutex_t lock;
    struct link place, waiters;
    unsigned char payload[PAYLOAD];
};

struct maker {
    struct inbox *inboxes; /* NULL: who made an object frees it */
    void *cache;           /* NULL: malloc */
    void *(*alloc)(void *cache);
    void (*free)(void *cache, void *object);
};

/* A thread's own. */
struct estate {
    const struct maker *maker;
    struct link lists[LISTS];
};

/* --- a list, and one alone ---------------------------------------------- */

static void link_init(struct link *link)
{
    link->next = link->previous = link;
}

static void link_insert(struct link *link, struct link *after)
{
    link->next = after->next;
    link->previous = after;
    after->next->previous = link;
    after->next = link;
}

static void link_remove(struct link *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
    link_init(link);
}

/* --- an object ----------------------------------------------------------- */

static int construct(void *memory, void *arg)
{
    struct object *object = memory;

    (void)arg;
    link_init(&object->place);
    link_init(&object->waiters);
    return pthread_mutex_init(&object->lock, NULL);
}

static void destruct(void *memory, void *arg)
{
    struct object *object = memory;

    (void)arg;
    pthread_mutex_destroy(&object->lock);
}

static struct object *object_get(struct worker *worker, const struct maker *maker)
{
    uint64_t since = worker_since(worker);
    struct object *object;

    if (maker->cache != NULL) {
        object = work_block(maker->alloc(maker->cache), sizeof(*object));
    } else {
        object = work_block(malloc(sizeof(*object)), sizeof(*object));
        if (construct(object, NULL) != 0) {
            work_fail("an object cannot be set up");
        }
    }
    worker_spent(worker, LATENCY_MALLOC, since);
    worker->calls++;
    if (object->place.next != &object->place || object->waiters.next != &object->waiters) {
        work_fail("an object was not as it is set up");
    }
    return object;
}

static void object_put(struct worker *worker, const struct maker *maker, struct object *object)
{
    uint64_t since = worker_since(worker);

    if (maker->cache != NULL) {
        maker->free(maker->cache, object);
    } else {
        destruct(object, NULL);
        free(object);
    }
    worker_spent(worker, LATENCY_FREE, since);
    worker->calls++;
}

/* Somebody waits for it, and no longer. */
static void object_use(struct object *object)
{
    struct link waiter;

    pthread_mutex_lock(&object->lock);
    link_insert(&waiter, &object->waiters);
    __asm__ __volatile__("" : : "r"(&waiter) : "memory"); /* others would see it */
    link_remove(&waiter);
    pthread_mutex_unlock(&object->lock);
}

static void *object_make(struct worker *worker)
{
    struct estate *estate = worker->shared;
    struct object *object = object_get(worker, estate->maker);
    uint64_t random = rng_next(&worker->rng);

    memset(object->payload, (int)(random & 0xff), sizeof(object->payload));
    object_use(object);
    link_insert(&object->place, &estate->lists[random >> 32 & (LISTS - 1)]);
    worker->check += random & 0xff;
    return object;
}

static void object_part(struct worker *worker, void *thing)
{
    struct object *object = thing;

    (void)worker;
    link_remove(&object->place);
}

static void object_drop(struct worker *worker, void *thing)
{
    const struct estate *estate = worker->shared;
    struct object *object = thing;

    object_use(object);
    block_check(object->payload, sizeof(object->payload), object->payload[PAYLOAD / 2]);
    object_put(worker, estate->maker, object);
}

static const struct goods objects = {object_make, object_part, object_drop};

/* --- the scenario -------------------------------------------------------- */

static void objects_work(struct worker *worker)
{
    struct estate estate = {.maker = worker->shared};
    struct inbox *inboxes = estate.maker->inboxes;
    size_t count = worker_slots(worker, sizeof(struct object));
    void **slots = work_map(count * sizeof(*slots));

    for (size_t i = 0; i < LISTS; i++) {
        link_init(&estate.lists[i]);
    }
    worker->shared = &estate;
    worker_relay(worker, slots, count, inboxes, &objects);
    worker_settle_as(worker, count * sizeof(struct object),
                     estate.maker->cache != NULL ? "by sla_cache_alloc" : "by malloc");
    for (size_t i = 0; i < count; i++) {
        object_part(worker, slots[i]);
        object_drop(worker, slots[i]);
    }
    if (inboxes != NULL) {
        inbox_empty(worker, &inboxes[worker->index], &objects);
    }
    work_unmap(slots, count * sizeof(*slots));
}

static void run(const struct params *params, struct inbox *inboxes, struct outcome *outcome)
{
    struct maker maker = {.inboxes = inboxes};
    void *(*create)(const char *, size_t, size_t, unsigned, int (*)(void *, void *), void (*)(void *, void *),
                    void *) = NULL;
    int (*destroy)(void *cache) = NULL;

    if (params->plain == 0 && work_function(&create, "sla_cache_create") &&
        work_function(&maker.alloc, "sla_cache_alloc") && work_function(&maker.free, "sla_cache_free") &&
        work_function(&destroy, "sla_cache_destroy")) {
        maker.cache = work_block(create("objects", sizeof(struct object), 0, 0, construct, destruct, NULL), 0);
    }
    workers_run(params, objects_work, &maker, outcome);
    if (maker.cache != NULL && destroy(maker.cache) != 0) {
        work_fail("the cache says that there are objects left");
    }
}

static void objects_run(const struct params *params, struct outcome *outcome)
{
    run(params, NULL, outcome);
}

static void handoff_run(const struct params *params, struct outcome *outcome)
{
    size_t bytes = params->threads * sizeof(struct inbox);
    struct inbox *inboxes = work_map(bytes);

    run(params, inboxes, outcome);
    work_unmap(inboxes, bytes);
}

const struct scenario scenario_objects = {
    .name = "objects",
    .summary = "objects with a lock and lists, from an object cache or by malloc and set up (--plain)",
    .source = "own, after Bonwick (1994); an allocation of his begins and ends with an object set up",
    .own_sizes = true,
    .interface = true,
    .defaults = {.threads = 0, .ops = 60000000, .live = 2 << 20, .seed = 1},
    .run = objects_run,
};

const struct scenario scenario_objects_handoff = {
    .name = "objects-handoff",
    .summary = "the same, and every object is freed by another thread than made it",
    .source = "own, after Bonwick and Adams (2001), whose caches have magazines for this",
    .own_sizes = true,
    .interface = true,
    .defaults = {.threads = 0, .ops = 40000000, .live = 2 << 20, .seed = 1},
    .run = handoff_run,
};
