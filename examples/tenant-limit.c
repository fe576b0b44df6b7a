/*
 * tenant-limit.c: tenants of one process, each with a bounded heap.
 *
 * Three tenants store rows, each in a thread and a heap of its own, at most 4 MiB
 * each.  The first needs little.  The second is a cache: when its heap passes the
 * soft limit its pressure function drops the oldest rows, so it goes on for
 * ever.  The third never drops anything: at its limit its allocations fail, and
 * it alone does; the others do not notice, nor does the rest of the process.
 * In the end each tenant's heap is destroyed in one call, with all its rows.
 *
 *   cc tenant-limit.c $(pkg-config --cflags --libs slaballoc) -pthread
 *   ./a.out
 *
 * SPDX-License-Identifier: MIT
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <pthread.h>
#include <slaballoc/heap.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT ((size_t)4 << 20)
#define SOFT ((size_t)3 << 20)
#define DROP 2048 /* rows that a cache gives up at a time: enough to empty slabs of all their sizes */

struct row {
    struct row *newer;
    size_t key, length;
    char text[];
};

struct tenant {
    const char *name;
    size_t wanted; /* rows it is to store */
    bool drops;    /* when memory is short */
    sla_heap_t *heap;
    pthread_t thread;
    struct row *oldest, *newest;
    size_t stored, dropped, refused, damaged;
};

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static bool intact(const struct row *row)
{
    for (size_t i = 0; i < row->length; i++)
        if (row->text[i] != (char)row->key)
            return false;
    return true;
}

static void drop_oldest(struct tenant *t)
{
    struct row *row = t->oldest;
    t->damaged += !intact(row);
    t->oldest = row->newer;
    if (t->oldest == NULL)
        t->newest = NULL;
    t->dropped++;
    sla_free(row); /* of whichever heap */
}

/* Called by the thread that allocates, so the tenant's own, with no lock held. Not 0: it is worth another try. */
static int pressure(sla_heap_t *heap, size_t wanted, void *arg)
{
    struct tenant *t = arg;
    size_t before = t->dropped;
    (void)heap;
    (void)wanted;
    while (t->drops && t->oldest != NULL && t->dropped - before < DROP)
        drop_oldest(t);
    return t->dropped > before;
}

static bool store(struct tenant *t, size_t key)
{
    size_t length = 50 + key * 37 % 400;
    struct row *row = sla_heap_malloc(t->heap, sizeof *row + length);
    if (row == NULL)
        return false;
    row->newer = NULL;
    row->key = key;
    row->length = length;
    memset(row->text, (char)key, length);
    if (t->newest != NULL)
        t->newest->newer = row;
    else
        t->oldest = row;
    t->newest = row;
    return true;
}

static void *run(void *arg)
{
    struct tenant *t = arg;
    for (size_t key = 0; key < t->wanted; key++) {
        if (store(t, key))
            t->stored++;
        else if (errno == ENOMEM)
            t->refused++; /* this row is not stored; the tenant is told, and goes on */
        else
            t->damaged++;
    }
    return NULL;
}

static void start(struct tenant *t)
{
    t->heap = sla_heap_create(t->name);
    if (t->heap == NULL)
        fail("sla_heap_create");
    if (sla_heap_set_limit(t->heap, SOFT, LIMIT, pressure, t) != 0)
        fail("sla_heap_set_limit");
    errno = pthread_create(&t->thread, NULL, run, t);
    if (errno != 0)
        fail("pthread_create");
}

/* True: it did as its kind is to do. */
static bool finish(struct tenant *t)
{
    sla_heap_stats_t s;
    size_t rows = 0;
    pthread_join(t->thread, NULL);
    for (const struct row *row = t->oldest; row != NULL; row = row->newer, rows++)
        t->damaged += !intact(row);
    if (sla_heap_stats(t->heap, &s, sizeof s) != 0)
        fail("sla_heap_stats");
    printf("%-8s %7zu stored, %7zu dropped, %7zu refused, %5zu KiB at most, of %zu\n", sla_heap_name(t->heap),
           t->stored, t->dropped, t->refused, s.peak / 1024, s.limit / 1024);
    sla_heap_destroy(t->heap); /* with the rows that are left */
    return t->damaged == 0 && s.blocks == rows && s.peak <= LIMIT && t->stored + t->refused == t->wanted;
}

int main(void)
{
    struct tenant modest = {.name = "modest", .wanted = 2000};
    struct tenant cache = {.name = "cache", .wanted = 200000, .drops = true};
    struct tenant greedy = {.name = "greedy", .wanted = 200000};
    char *mine;
    bool right;

    start(&modest);
    start(&cache);
    start(&greedy);
    mine = sla_calloc(LIMIT, 4); /* the default heap has no limit */
    if (mine == NULL)
        fail("sla_calloc");
    right = finish(&modest) && modest.refused == 0 && modest.dropped == 0;
    right = finish(&cache) && cache.refused == 0 && cache.dropped > 0 && right;
    right = finish(&greedy) && greedy.refused > 0 && greedy.dropped == 0 && right;
    sla_free(mine);
    puts(right ? "the greedy one alone was refused" : "not as it should be");
    return !right;
}
