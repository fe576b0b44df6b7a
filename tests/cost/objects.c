/*
 * objects.c: ways in which programs use object caches, for instructions.sh to
 * count; as patterns.c, but for libslaballoc.
 *
 *   objects NAME ROUNDS    runs so many rounds of a pattern
 *   objects                prints the patterns: name and pairs in a round
 *
 * SPDX-License-Identifier: MIT
 */
#include <slaballoc/cache.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 960, BATCH = 64 };

static void *(*volatile take)(sla_cache_t *) = sla_cache_alloc;
static void (*volatile give)(sla_cache_t *, void *) = sla_cache_free;
static size_t (*volatile take_batch)(sla_cache_t *, void **, size_t) = sla_cache_alloc_batch;
static void (*volatile give_batch)(sla_cache_t *, void **, size_t) = sla_cache_free_batch;

static sla_cache_t *plain, *built;
static void *objects[MANY];

static int construct(void *object, void *arg)
{
    (void)arg;
    memset(object, 1, 64);
    return 0;
}

static void again(sla_cache_t *cache)
{
    void *(*get)(sla_cache_t *) = take;
    void (*put)(sla_cache_t *, void *) = give;
    for (int i = 0; i < MANY; i++)
        put(cache, get(cache));
}

static void object(void) { again(plain); }

/* Constructed when its memory was new, and never since. */
static void constructed(void) { again(built); }

static void stack(void)
{
    void *(*get)(sla_cache_t *) = take;
    void (*put)(sla_cache_t *, void *) = give;
    for (int i = 0; i < MANY; i++)
        objects[i] = get(plain);
    for (int i = MANY; i-- > 0;)
        put(plain, objects[i]);
}

static void batch(void)
{
    size_t (*get)(sla_cache_t *, void **, size_t) = take_batch;
    void (*put)(sla_cache_t *, void **, size_t) = give_batch;
    for (int i = 0; i < MANY; i += BATCH) {
        if (get(plain, objects, BATCH) != BATCH)
            abort();
        put(plain, objects, BATCH);
    }
}

static const struct {
    const char *name;
    int pairs;
    void (*run)(void);
} patterns[] = {
    {"object", MANY, object}, {"built", MANY, constructed}, {"objects", MANY, stack}, {"batch", MANY, batch}};

int main(int argc, char **argv)
{
    plain = sla_cache_create("plain", 64, 0, 0, NULL, NULL, NULL);
    built = sla_cache_create("built", 64, 0, 0, construct, NULL, NULL);
    if (plain == NULL || built == NULL)
        return 1;
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        if (argc < 3)
            printf("%s %d\n", patterns[i].name, patterns[i].pairs);
        else if (strcmp(argv[1], patterns[i].name) == 0)
            for (long rounds = atol(argv[2]); rounds > 0; rounds--)
                patterns[i].run();
    }
    return 0;
}
