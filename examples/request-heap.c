/*
 * request-heap.c: a heap for each request of a threaded server.
 *
 * What a request needs is allocated by code that knows nothing of heaps: a
 * parser, a table, a text that grows.  It calls sla_malloc (with the drop-in,
 * malloc), and the request's heap is the thread's current one meanwhile.  None
 * of it is freed block by block, on no path and in no error: sla_heap_destroy
 * frees all of it in one call, without a look at the blocks.  What outlives the
 * request, the answer here, is asked for from the default heap by name.
 *
 *   cc request-heap.c $(pkg-config --cflags --libs slaballoc) -pthread
 *   ./a.out [WORKERS [REQUESTS]]
 *
 * Heaps are for requests that allocate much and live shortly.  A heap has slabs
 * of its own, so one that comes to a few blocks is cheaper from the default.
 *
 * SPDX-License-Identifier: MIT
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <pthread.h>
#include <slaballoc/heap.h>
#include <slaballoc/stats.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS_MOST 64
#define FIELDS 24
#define REQUEST 1024
#define MALFORMED_EVERY 10

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* --- The code that knows nothing of heaps; nothing in it is ever freed --- */

struct field {
    struct field *next;
    char *key, *value;
};

static char *copy(const char *text, size_t length)
{
    char *to = sla_malloc(length + 1);
    if (to != NULL) {
        memcpy(to, text, length);
        to[length] = '\0';
    }
    return to;
}

/* A text in which %41 stands for A. NULL with EINVAL, and what was begun is left behind. */
static char *decode(const char *text, size_t length)
{
    char *to = sla_malloc(length + 1);
    size_t n = 0;
    if (to == NULL)
        return NULL;
    for (size_t i = 0; i < length; i++) {
        char digits[3] = {0}, *end = digits;
        if (text[i] != '%') {
            to[n++] = text[i];
            continue;
        }
        if (length - i > 2)
            memcpy(digits, text + i + 1, 2);
        to[n++] = (char)strtol(digits, &end, 16);
        if (end != digits + 2) {
            errno = EINVAL;
            return NULL;
        }
        i += 2;
    }
    to[n] = '\0';
    return to;
}

/* The fields of "key=value&key=value...", the last one first. False with EINVAL or ENOMEM. */
static bool parse(const char *text, struct field **fields)
{
    *fields = NULL;
    for (;;) {
        size_t length = strcspn(text, "&"), key = strcspn(text, "=");
        struct field *f = sla_malloc(sizeof *f);
        if (f == NULL || key >= length) {
            errno = f == NULL ? ENOMEM : EINVAL;
            return false;
        }
        f->key = copy(text, key);
        f->value = decode(text + key + 1, length - key - 1);
        if (f->key == NULL || f->value == NULL)
            return false;
        f->next = *fields;
        *fields = f;
        if (text[length] == '\0')
            return true;
        text += length + 1;
    }
}

static char *append(char *to, size_t *length, const char *text)
{
    size_t more = strlen(text);
    char *grown = sla_realloc(to, *length + more + 1);
    if (grown == NULL)
        return NULL;
    memcpy(grown + *length, text, more + 1);
    *length += more;
    return grown;
}

/* The page that answers: "value for key" of each field. NULL: not to be had. */
static char *render(const struct field *fields, size_t *length)
{
    char *page = NULL;
    *length = 0;
    for (const struct field *f = fields; f != NULL; f = f->next) {
        page = append(page, length, f->value);
        page = page != NULL ? append(page, length, " for ") : NULL;
        page = page != NULL ? append(page, length, f->key) : NULL;
        page = page != NULL ? append(page, length, "\n") : NULL;
        if (page == NULL)
            return NULL;
    }
    return page;
}

/* --- The server --- */

struct tally {
    size_t good, malformed, failed, blocks;
};

/* The answer, which is the caller's to free; NULL with errno. With the request's heap as the current one. */
static char *process(const char *text)
{
    struct field *fields;
    size_t length;
    char *page, *answer;
    if (!parse(text, &fields))
        return NULL;
    page = render(fields, &length);
    if (page == NULL)
        return NULL;
    answer = sla_heap_malloc(NULL, length + 1); /* NULL: the default heap; this one will be gone */
    return answer != NULL ? memcpy(answer, page, length + 1) : NULL;
}

static char *serve(const char *text, struct tally *tally)
{
    sla_heap_t *heap = sla_heap_create("request");
    sla_heap_stats_t stats;
    char *answer;
    int err;
    if (heap == NULL || sla_heap_push(heap) != 0) {
        sla_heap_destroy(heap);
        return NULL;
    }
    answer = process(text);
    err = errno;
    sla_heap_pop();
    if (sla_heap_stats(heap, &stats, sizeof stats) == 0) /* for the report alone */
        tally->blocks += stats.blocks;
    sla_heap_destroy(heap);
    errno = err;
    return answer;
}

static struct {
    pthread_mutex_t lock;
    size_t next, count;
} requests = {.lock = PTHREAD_MUTEX_INITIALIZER};

static size_t take_number(void)
{
    size_t number;
    pthread_mutex_lock(&requests.lock);
    number = requests.next++;
    pthread_mutex_unlock(&requests.lock);
    return number;
}

/* As if it came from a client. */
static void write_request(char *text, size_t number)
{
    size_t at = 0;
    for (size_t i = 0; i < FIELDS; i++)
        at += (size_t)snprintf(text + at, REQUEST - at, "%sfield%zu=number%%20%zu", i > 0 ? "&" : "", i, number + i);
    if (number % MALFORMED_EVERY == 0)
        (void)snprintf(text + at, REQUEST - at, "&last=%%zz");
}

static void *worker(void *arg)
{
    struct tally *tally = arg;
    char text[REQUEST], expected[64];
    for (size_t number; (number = take_number()) < requests.count;) {
        char *answer;
        write_request(text, number);
        answer = serve(text, tally);
        (void)snprintf(expected, sizeof expected, "\nnumber %zu for field0\n", number);
        if (answer != NULL && strstr(answer, expected) != NULL && number % MALFORMED_EVERY != 0)
            tally->good++;
        else if (answer == NULL && errno == EINVAL && number % MALFORMED_EVERY == 0)
            tally->malformed++;
        else
            tally->failed++;
        sla_free(answer); /* as any block, of whichever heap */
    }
    return NULL;
}

static size_t live(void)
{
    sla_stats_t stats;
    if (sla_stats_get(&stats, sizeof stats) != 0)
        fail("sla_stats_get");
    return stats.live;
}

int main(int argc, char **argv)
{
    static struct tally tallies[WORKERS_MOST];
    struct tally all = {0, 0, 0, 0};
    pthread_t workers[WORKERS_MOST];
    size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 4, before = live(), after;

    requests.count = argc > 2 ? strtoul(argv[2], NULL, 10) : 4000;
    if (count < 1 || count > WORKERS_MOST)
        fail("workers");
    for (size_t i = 0; i < count; i++)
        if ((errno = pthread_create(&workers[i], NULL, worker, &tallies[i])) != 0)
            fail("pthread_create");
    for (size_t i = 0; i < count; i++) {
        pthread_join(workers[i], NULL);
        all.good += tallies[i].good;
        all.malformed += tallies[i].malformed;
        all.failed += tallies[i].failed;
        all.blocks += tallies[i].blocks;
    }
    after = live();
    printf("%zu requests answered, %zu malformed, %zu failed\n", all.good, all.malformed, all.failed);
    printf("%zu blocks went with their heaps, %zu bytes remain\n", all.blocks, after > before ? after - before : 0);
    return all.failed != 0 || after > before;
}
