/*
 * scenario_kv.c: a cache of keys and values with a limit in bytes, from which
 * the least recently used goes; the sizes of values drift.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scenarios.h"
#include "work.h"

#include <string.h>

enum { KV_MEAN = 400, KEYS_AN_ENTRY = 4, DRIFTS = 5, PERCENT_NEW = 10 };

struct entry {
    struct entry *next; /* of the same hash */
    struct entry *newer, *older;
    unsigned char *value;
    uint32_t key;
    uint32_t size;
};

struct cache {
    struct entry **table;
    size_t mask;
    struct entry *newest, *oldest;
    uint64_t held, sets, drift_every;
};

static struct entry **cache_place(struct cache *cache, uint32_t key)
{
    struct entry **place = &cache->table[(key * 2654435761u >> 7) & cache->mask];

    while (*place != NULL && (*place)->key != key) {
        place = &(*place)->next;
    }
    return place;
}

static void unlink_entry(struct cache *cache, struct entry *entry)
{
    *(entry->newer != NULL ? &entry->newer->older : &cache->newest) = entry->older;
    *(entry->older != NULL ? &entry->older->newer : &cache->oldest) = entry->newer;
}

static void link_newest(struct cache *cache, struct entry *entry)
{
    entry->newer = NULL;
    entry->older = cache->newest;
    *(cache->newest != NULL ? &cache->newest->newer : &cache->oldest) = entry;
    cache->newest = entry;
}

static void evict(struct worker *worker, struct cache *cache)
{
    struct entry *entry = cache->oldest;
    struct entry **place = cache_place(cache, entry->key);

    unlink_entry(cache, entry);
    *place = entry->next;
    cache->held -= sizeof(*entry) + entry->size;
    block_check(entry->value, entry->size, (unsigned char)entry->key);
    worker_free(worker, entry->value);
    worker_free(worker, entry);
}

/* The smallest value of the time doubles with each drift, then starts again; old values go as they age. */
static uint32_t value_size(struct worker *worker, const struct cache *cache)
{
    size_t least = (size_t)32 << (cache->sets / cache->drift_every % DRIFTS);

    return worker->size_span != 0 ? (uint32_t)worker_size(worker, NULL)
                                  : (uint32_t)rng_pareto(&worker->rng, least, 16 * least);
}

static void set(struct worker *worker, struct cache *cache, uint32_t key)
{
    uint32_t size = value_size(worker, cache);
    struct entry **place = cache_place(cache, key);
    struct entry *entry = *place;

    if (entry != NULL) {
        unlink_entry(cache, entry);
        cache->held -= sizeof(*entry) + entry->size;
        worker_free(worker, entry->value);
    } else {
        entry = worker_malloc(worker, sizeof(*entry));
        entry->key = key;
        entry->next = NULL;
        *place = entry;
    }
    entry->size = size;
    entry->value = worker_malloc(worker, size);
    block_touch(entry->value, size, (unsigned char)key);
    link_newest(cache, entry);
    cache->held += sizeof(*entry) + size;
    cache->sets++;
    worker->check += size ^ key;
    while (cache->held > worker->live && cache->oldest != entry) {
        evict(worker, cache);
    }
}

static void get(struct worker *worker, struct cache *cache, uint32_t key)
{
    struct entry *entry = *cache_place(cache, key);

    if (entry == NULL) {
        set(worker, cache, key); /* fetched from what the cache is for */
        return;
    }
    block_check(entry->value, entry->size, (unsigned char)key);
    unlink_entry(cache, entry);
    link_newest(cache, entry);
}

static void kv_work(struct worker *worker)
{
    struct cache cache = {.mask = 1};
    size_t entries = worker_slots(worker, KV_MEAN);
    size_t keys = entries * KEYS_AN_ENTRY;

    while (cache.mask < entries && cache.mask < (1u << 24)) {
        cache.mask *= 2;
    }
    size_t bytes = cache.mask * sizeof(*cache.table);
    cache.table = work_map(bytes);
    cache.mask--;
    cache.drift_every = 2 * entries;
    while (worker_more(worker)) {
        /* The popularity of keys is skewed: half of the accesses go to an eighth of them. */
        uint64_t a = rng_below(&worker->rng, keys), b = rng_below(&worker->rng, keys);
        uint32_t key = (uint32_t)((a * b) / keys);
        if (rng_below(&worker->rng, 100) < PERCENT_NEW) {
            set(worker, &cache, key);
        } else {
            get(worker, &cache, key);
        }
    }
    worker_settle(worker, cache.held);
    while (cache.oldest != NULL) {
        evict(worker, &cache);
    }
    work_unmap(cache.table, bytes);
}

static void kv_run(const struct params *params, struct outcome *outcome)
{
    workers_run(params, kv_work, NULL, outcome);
}

const struct scenario scenario_kv = {
    .name = "kv",
    .summary = "key-value cache with a limit in bytes, least recently used goes, value sizes drift",
    .source = "own; workload after Atikoglu et al. (2012), drift as in jemalloc's and Redis' fragmentation reports",
    .brief = true,
    .defaults = {.threads = 1, .ops = 4500000, .live = 48 << 20, .seed = 1},
    .run = kv_run,
};
