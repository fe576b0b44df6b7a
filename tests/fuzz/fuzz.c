/*
 * fuzz.c: the interpreter.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fuzz.h"

#include "heap/check.h"

#include <stdio.h>
#include <stdlib.h>


static const struct op {
    const char *name;
    void (*run)(void);
    unsigned weight, mode;
} ops[] = {
#define FUZZ_OP(name, weight, mode) {#name, fuzz_op_##name, weight, mode},
#include "ops.h"
#undef FUZZ_OP
};
#define OPS (sizeof(ops) / sizeof(ops[0]))

/* As many bytes mean an operation as its weight is. */
static unsigned char table[256];
static size_t table_size;

static void fill_table(void)
{
    for (unsigned char i = 0; i < OPS; i++)
        for (unsigned n = 0; n < ops[i].weight; n++) {
            FUZZ_REQUIRE(table_size < sizeof(table));
            table[table_size++] = i;
        }
    FUZZ_REQUIRE(table_size == sizeof(table) && "the weights come to 256");
}

void fuzz_fail(const char *file, int line, const char *what)
{
    fprintf(stderr, "fuzz: %s:%d: not so: %s\n", file, line, what);
    fprintf(stderr, "fuzz: in '%s', operation %ju of the input, thread %u, errno %d\n", fuzz.doing,
            (uintmax_t)fuzz.input_ops, fuzz.current, errno);
    abort();
}

void fuzz_differ(const char *file, int line, const char *what, size_t left, size_t right)
{
    fprintf(stderr, "fuzz: %zu and %zu\n", left, right);
    fuzz_fail(file, line, what);
}

void fuzz_check_heap(void)
{
    const char *wrong = slai_check_heap();
    fuzz.checks++;
    if (wrong != NULL)
        fuzz_fail(__FILE__, __LINE__, wrong);
}

/* Before each input nothing is live; what the library keeps, it keeps. */
static void begin(void)
{
    static const size_t lives[] = {8, 64, 1024, 12000}, sizes[] = {600, 4000, 70000, 3000000};
    static const unsigned char modes[] = {0, 0, 0, 14, 10, 12, 6, 8, 8, 4, 2, 1, 9, 11, 13, 0};
    unsigned limits, how;
    sla_stats_t st;
    if (table_size == 0)
        fill_table();
    fuzz.dice = fuzz_byte();
    limits = fuzz_byte();
    how = fuzz_byte();
    fuzz.live_most = lives[limits % 4];
    fuzz.size_most = sizes[limits / 4 % 4];
    fuzz.bytes_most = (size_t)8 << (20 + limits / 64);
    fuzz.whole = limits / 16 % 4 == 0 ? 16384 : 256;
    fuzz.mode = modes[how % 16];
    fuzz.threads = how / 16 % 4 + 1;
    fuzz.current = 0;
    fuzz.ended = -1;
    fuzz.input_ops = 0;
    if (fuzz.spare_count == 0)
        for (uint32_t i = 0; i < FUZZ_BLOCKS; i++)
            fuzz.spare[fuzz.spare_count++] = FUZZ_BLOCKS - 1 - i;
    sem_init(&fuzz.thread[0].baton, 0, 0);
    fuzz_control_begin();
    if (fuzz_byte() % 8 == 0)
        (void)sla_trim(0);
    FUZZ_REQUIRE(sla_stats_get(&st, sizeof(st)) == 0);
    fuzz.base = st.live;
}

static void step(void)
{
    const struct op *op = &ops[table[fuzz_byte()]];
    fuzz_self()->used = true;
    fuzz.input_ops++;
    errno = FUZZ_ERRNO;
    if ((op->mode & fuzz.mode) != 0)
        op = fuzz.input_ops & 1 ? &ops[0] : &ops[1];
    fuzz.doing = op->name;
    op->run();
    FUZZ_REQUIRE(errno == FUZZ_ERRNO);
}

void fuzz_loop(void)
{
    while (fuzz_more() && fuzz_self()->order != FUZZ_END) {
        step();
        if (fuzz.ops - fuzz.counted >= fuzz.check_every) {
            fuzz.counted = fuzz.ops;
            fuzz_check_heap();
        }
    }
}

/* The first thread alone is left, and takes all back. */
static void end(void)
{
    fuzz.doing = "end";
    errno = FUZZ_ERRNO;
    fuzz_threads_end();
    while (fuzz.thread[0].depth > 0)
        fuzz_op_heap_pop();
    for (unsigned i = 0; i < FUZZ_CACHES; i++)
        if (fuzz.caches[i].handle != NULL && fuzz_random() % 2 == 0)
            fuzz_cache_end(&fuzz.caches[i]);
    for (unsigned i = 0; i < FUZZ_HEAPS; i++)
        if (fuzz.heaps[i].handle != NULL && fuzz_random() % 2 == 0)
            fuzz_heap_end(&fuzz.heaps[i]);
    while (fuzz.live_count > 0)
        fuzz_release(&fuzz.blocks[fuzz.live[fuzz_random() % fuzz.live_count]]);
    for (unsigned i = 0; i < FUZZ_CACHES; i++)
        if (fuzz.caches[i].handle != NULL)
            fuzz_cache_end(&fuzz.caches[i]);
    for (unsigned i = 0; i < FUZZ_HEAPS; i++)
        if (fuzz.heaps[i].handle != NULL)
            fuzz_heap_end(&fuzz.heaps[i]);
    FUZZ_REQUIRE(errno == FUZZ_ERRNO && fuzz.bytes == 0 && fuzz.inner == 0);
    fuzz_stats_check();
    fuzz_check_heap();
}

void fuzz_run(const uint8_t *bytes, size_t size, unsigned check_every)
{
    fuzz.at = bytes;
    fuzz.end = bytes + size;
    fuzz.check_every = check_every;
    fuzz.inputs++;
    fuzz.doing = "begin";
    begin();
    fuzz_loop();
    end();
}
