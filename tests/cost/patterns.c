/*
 * patterns.c: ways in which programs allocate, for instructions.sh to count.
 *
 *   patterns NAME ROUNDS    runs so many rounds of a pattern
 *   patterns                prints the patterns: name and pairs in a round
 *
 * The calls go through pointers that the compiler cannot see through, so that none of them is optimised away.
 *
 * SPDX-License-Identifier: MIT
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 1000, DEEP = 4000, FEW = 80, BATCH = 64, BATCHES = 20 };

static void *(*volatile take)(size_t) = malloc;
static void *(*volatile take_zeroed)(size_t, size_t) = calloc;
static void *(*volatile resize)(void *, size_t) = realloc;
static void (*volatile give)(void *) = free;
static size_t (*take_many)(size_t, void **, size_t);
static void (*give_many)(void **, size_t);

static void *blocks[DEEP];
static size_t sizes[MANY];
static unsigned order[MANY];

/* A middle-square generator would do; this one is Weyl's sequence, mixed. */
static unsigned draw(unsigned below)
{
    static uint64_t state;
    uint64_t x = state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
    return (unsigned)((x ^ x >> 32) % below);
}

static void prepare(void)
{
    void *all = dlopen(NULL, RTLD_NOW);
    *(void **)&take_many = dlsym(all, "sla_alloc_batch"); /* there when the drop-in is preloaded */
    *(void **)&give_many = dlsym(all, "sla_free_batch");
    for (unsigned i = 0; i < MANY; i++) {
        unsigned j = draw(i + 1);
        sizes[i] = 1 + draw(512);
        order[i] = order[j];
        order[j] = i;
    }
}

static void again(void)
{
    void *(*get)(size_t) = take;
    void (*put)(void *) = give;
    for (int i = 0; i < MANY; i++)
        put(get(48));
}

static void lifo(int depth, size_t size)
{
    void *(*get)(size_t) = take;
    void (*put)(void *) = give;
    for (int i = 0; i < depth; i++)
        blocks[i] = get(size);
    for (int i = depth; i-- > 0;)
        put(blocks[i]);
}

static void stack(void) { lifo(MANY, 64); }

/* More than a thread keeps: every round goes through the slabs. */
static void deep(void) { lifo(DEEP, 64); }

/* Demand that rises and falls around what a thread keeps. */
static void swing(void) { lifo(MANY - 50 + (int)draw(100), 64); }

static void queue(void)
{
    void *(*get)(size_t) = take;
    void (*put)(void *) = give;
    for (int i = 0; i < MANY; i++)
        blocks[i] = get(sizes[i]);
    for (int i = 0; i < MANY; i++)
        put(blocks[i]);
}

static void shuffle(void)
{
    void *(*get)(size_t) = take;
    void (*put)(void *) = give;
    for (int i = 0; i < MANY; i++) {
        unsigned j = order[i];
        put(blocks[j]);
        blocks[j] = get(sizes[i]);
    }
}

static void medium(void)
{
    void *(*get)(size_t) = take;
    void (*put)(void *) = give;
    for (int i = 0; i < FEW; i++)
        blocks[i] = get(4000 + sizes[i] * 64);
    for (int i = 0; i < FEW; i++)
        put(blocks[i]);
}

static void clear(void)
{
    void *(*get)(size_t, size_t) = take_zeroed;
    void (*put)(void *) = give;
    for (int i = 0; i < MANY; i++)
        put(get(8, 16));
}

static void grow(void)
{
    void *(*again_with)(void *, size_t) = resize;
    char *block = NULL;
    for (int i = 0; i < FEW; i++)
        block = again_with(block, 16 * (size_t)(i + 1));
    give(block);
}

static void batch64(void)
{
    size_t (*get)(size_t, void **, size_t) = take_many;
    void (*put)(void **, size_t) = give_many;
    for (int i = 0; i < BATCHES; i++) {
        if (get(64, blocks, BATCH) != BATCH)
            abort();
        put(blocks, BATCH);
    }
}

static pthread_barrier_t filled, emptied;
static void *consume(void *none)
{
    void (*put)(void *) = give;
    for (;;) {
        pthread_barrier_wait(&filled);
        for (int i = 0; i < DEEP; i++)
            put(blocks[i]);
        pthread_barrier_wait(&emptied);
    }
    return none;
}

/* One thread allocates, another frees. */
static void handoff(void)
{
    void *(*get)(size_t) = take;
    static pthread_t consumer;
    if (consumer == 0) {
        pthread_barrier_init(&filled, NULL, 2);
        pthread_barrier_init(&emptied, NULL, 2);
        if (pthread_create(&consumer, NULL, consume, NULL) != 0)
            abort();
    }
    for (int i = 0; i < DEEP; i++)
        blocks[i] = get(64);
    pthread_barrier_wait(&filled);
    pthread_barrier_wait(&emptied);
}

static const struct {
    const char *name;
    int pairs;
    void (*run)(void);
} patterns[] = {{"again", MANY, again},     {"stack", MANY, stack},   {"deep", DEEP, deep},
                {"swing", MANY, swing},     {"queue", MANY, queue},   {"shuffle", MANY, shuffle},
                {"medium", FEW, medium},    {"clear", MANY, clear},   {"grow", FEW, grow},
                {"batch64", BATCH * BATCHES, batch64},
                {"handoff", DEEP, handoff}};

int main(int argc, char **argv)
{
    prepare();
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        if (argc < 3)
            printf("%s %d\n", patterns[i].name, patterns[i].pairs);
        else if (strcmp(argv[1], patterns[i].name) == 0)
            for (long rounds = atol(argv[2]); rounds > 0; rounds--)
                patterns[i].run();
    }
    return 0;
}
