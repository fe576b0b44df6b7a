/*
 * test_blowup.c: memory held against memory in use.  Each pattern states a
 * factor: resident memory stays below factor * live + SLACK, and after a trim
 * with nothing live below SLACK.  The factors are what was measured and a
 * quarter more.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "support.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#define SLACK_KIB ((size_t)3 * 1024) /* stacks of threads, their caches, what is half free */
#define SEED 20u

static void **blocks; /* of room for all that is live, and touched before anything is measured */
static size_t room, base, worst;

/* Exact, where /proc/self/statm is not. */
static size_t rss_kib(void)
{
    char text[1024];
    const char *line;
    int fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return support_rss_kib();
    text[n] = '\0';
    line = strstr(text, "\nRss:");
    return line != NULL ? strtoul(line + 5, NULL, 10) : support_rss_kib();
}

static void begin(size_t count)
{
    room = count;
    blocks = malloc(count * sizeof(*blocks));
    ck_assert_ptr_nonnull(blocks);
    memset(blocks, 0, count * sizeof(*blocks));
    sla_trim(0);
    worst = 0;
    base = rss_kib();
}

static void hold(size_t live, unsigned percent)
{
    size_t now = rss_kib(), held = now > base ? now - base : 0, kib = live / KIB;
    size_t ratio = kib > SLACK_KIB ? (held > SLACK_KIB ? held - SLACK_KIB : 0) * 100 / kib : 0;
    worst = ratio > worst ? ratio : worst;
    ck_assert_msg(held <= kib * percent / 100 + SLACK_KIB, "%zu KiB resident for %zu KiB live: more than %u %%", held,
                  kib, percent);
}

static void end(const char *what, size_t steps, unsigned percent)
{
    sla_trim(0);
    hold(0, percent);
    support_ran("blow-up: %s, %zu steps, at most %zu %% of what is live and %zu KiB; bound %u %%", what, steps, worst,
                SLACK_KIB, percent);
    free(blocks);
}

static void *one(size_t size)
{
    void *p = sla_malloc(size);
    ck_assert_ptr_nonnull(p);
    memset(p, 1, size);
    return p;
}

/* --- up and down: all sizes, and only a tenth survives each time --- */

START_TEST(sawtooth)
{
    size_t most = support_plan(12, 64, 128) * MIB, teeth = support_plan(6, 60, 60), n = 0, live = 0;
    struct support_rng rng;
    size_t *size_of;
    support_seed(&rng, SEED);
    size_of = malloc(most / 128 * sizeof(*size_of));
    memset(size_of, 0, most / 128 * sizeof(*size_of));
    begin(most / 128);
    for (size_t t = 0; t < teeth; t++) {
        while (live < most && n < room) {
            size_of[n] = 16 + support_below(&rng, 200 << support_below(&rng, 5));
            blocks[n] = one(size_of[n]);
            live += size_of[n++];
        }
        hold(live, 125);
        for (size_t i = 0, kept = 0, all = n; i < all; i++) {
            if (support_below(&rng, 10) != 0) {
                sla_free(blocks[i]);
                live -= size_of[i];
                n--;
            } else {
                size_of[kept] = size_of[i];
                blocks[kept++] = blocks[i];
            }
        }
    }
    while (n > 0)
        sla_free(blocks[--n]);
    end("sawtooth", teeth, 125);
    free(size_of);
}
END_TEST

/* --- one size after the other: what the last phase had must serve the next --- */

START_TEST(phases)
{
    size_t most = support_plan(12, 64, 128) * MIB, rounds = support_plan(1, 10, 20), steps = 0;
    begin(most / 48);
    for (size_t r = 0; r < rounds; r++) {
        for (size_t size = 48; size < 40000; size = size * 7 / 4) {
            size_t n = most / size;
            for (size_t i = 0; i < n; i++)
                blocks[i] = one(size);
            hold(n * size, 125);
            for (size_t i = n; i-- > 0;)
                sla_free(blocks[i]);
            steps++;
        }
    }
    end("phases", steps, 125);
}
END_TEST

/* --- one block of each slab stays: its page stays, the others go --- */

START_TEST(pinned)
{
    size_t most = support_plan(24, 96, 192) * MIB, rounds = support_plan(3, 30, 60), size = 256;
    size_t n = most / size, every = 64 * KIB / size, page = (size_t)sysconf(_SC_PAGESIZE);
    begin(n);
    for (size_t r = 0; r < rounds; r++) {
        for (size_t i = 0; i < n; i++)
            blocks[i] = one(size);
        for (size_t i = 0; i < n; i++) {
            if (i % every != 0)
                sla_free(blocks[i]);
        }
        sla_trim(0);
        hold(n / every * page, 125);
        for (size_t i = 0; i < n; i += every)
            sla_free(blocks[i]);
    }
    end("one block a slab pinned", rounds, 125);
}
END_TEST

/* --- threads that only free --- */

static void *free_all(void *arg)
{
    size_t n = *(size_t *)arg;
    for (size_t i = 0; i < n; i++)
        sla_free(blocks[i]);
    return NULL;
}

START_TEST(free_only)
{
    size_t most = support_plan(12, 64, 128) * MIB, rounds = support_plan(8, 80, 160), n = most / 100;
    begin(n);
    for (size_t r = 0; r < rounds; r++) {
        pthread_t thread;
        for (size_t i = 0; i < n; i++)
            blocks[i] = one(100);
        hold(n * 100, 125);
        ck_assert_int_eq(pthread_create(&thread, NULL, free_all, &n), 0);
        pthread_join(thread, NULL);
    }
    end("threads that only free", rounds, 125);
}
END_TEST

/* --- producers and consumers, and an owner that sleeps on what it made --- */

#define QUEUE 8192
#define SIDES 3

static struct {
    pthread_mutex_t lock;
    pthread_cond_t moved;
    void *slots[QUEUE];
    size_t in, out, left; /* left: to be produced yet */
    int stop;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};

static void *produce(void *arg)
{
    struct support_rng rng;
    support_seed(&rng, SEED + (uint64_t)(uintptr_t)arg);
    for (;;) {
        size_t size = 16 + support_below(&rng, 1000);
        void *p;
        pthread_mutex_lock(&queue.lock);
        while (queue.in - queue.out == QUEUE)
            pthread_cond_wait(&queue.moved, &queue.lock);
        p = queue.left > 0 ? one(size) : NULL;
        if (p != NULL) {
            queue.slots[queue.in++ % QUEUE] = p;
            queue.left--;
        }
        pthread_cond_broadcast(&queue.moved);
        pthread_mutex_unlock(&queue.lock);
        if (p == NULL)
            return NULL;
    }
}

static void *consume(void *arg)
{
    (void)arg;
    for (;;) {
        void *taken[64];
        size_t n = 0;
        pthread_mutex_lock(&queue.lock);
        while (queue.in == queue.out && queue.left > 0)
            pthread_cond_wait(&queue.moved, &queue.lock);
        while (queue.in != queue.out && n < ARRAY_LEN(taken))
            taken[n++] = queue.slots[queue.out++ % QUEUE];
        pthread_cond_broadcast(&queue.moved);
        pthread_mutex_unlock(&queue.lock);
        if (n == 0)
            return NULL;
        while (n > 0)
            sla_free(taken[--n]);
    }
}

/* Makes what others free, and then does nothing: what is freed waits in its inbox. */
static void *sleep_on(void *arg)
{
    size_t n = *(size_t *)arg;
    for (size_t i = 0; i < n; i++)
        blocks[i] = one(200);
    pthread_mutex_lock(&queue.lock);
    queue.stop = -1; /* made */
    pthread_cond_broadcast(&queue.moved);
    while (queue.stop != 1)
        pthread_cond_wait(&queue.moved, &queue.lock);
    pthread_mutex_unlock(&queue.lock);
    return NULL;
}

START_TEST(producers_and_consumers)
{
    size_t rounds = support_plan(2, 12, 20), each = support_plan(60000, 600000, 600000), n = 6 * MIB / 200;
    size_t live = QUEUE * (16 + 500) + n * 200;
    begin(n);
    for (size_t r = 0; r < rounds; r++) {
        pthread_t owner, threads[2 * SIDES];
        queue.stop = 0;
        queue.left = each;
        ck_assert_int_eq(pthread_create(&owner, NULL, sleep_on, &n), 0);
        pthread_mutex_lock(&queue.lock);
        while (queue.stop != -1)
            pthread_cond_wait(&queue.moved, &queue.lock);
        pthread_mutex_unlock(&queue.lock);
        for (size_t i = 0; i < n; i++)
            sla_free(blocks[i]);
        for (uintptr_t i = 0; i < 2 * SIDES; i++)
            ck_assert_int_eq(pthread_create(&threads[i], NULL, i % 2 != 0 ? produce : consume, (void *)i), 0);
        for (size_t i = 0; i < 2 * SIDES; i++)
            pthread_join(threads[i], NULL);
        hold(live, 125);
        pthread_mutex_lock(&queue.lock);
        queue.stop = 1;
        pthread_cond_broadcast(&queue.moved);
        pthread_mutex_unlock(&queue.lock);
        pthread_join(owner, NULL);
    }
    end("producers, consumers and a sleeping owner", rounds * each, 125);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("threads/blowup");
    TCase *tcase = tcase_create("blowup");
    tcase_set_timeout(tcase, 600);
    if (SUPPORT_MEMORY_IS_PLAIN) {
        tcase_add_test(tcase, sawtooth);
        tcase_add_test(tcase, phases);
        tcase_add_test(tcase, pinned);
        tcase_add_test(tcase, free_only);
        tcase_add_test(tcase, producers_and_consumers);
    }
    suite_add_tcase(suite, tcase);
    return support_main(suite);
}
