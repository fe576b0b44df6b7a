/*
 * object-server.c: the skeleton of a server whose connections and requests are
 * objects of two caches.
 *
 *   clients --socket pairs--> reader --queue--> workers --socket pairs--> clients
 *
 * A connection has a lock, a list and a buffer, a request two list links.  All
 * that is set up by constructors, once for each piece of memory, and is as it
 * was when the object is freed: the lock free, the lists empty, the buffer still
 * there.  So a connection costs an allocation of a few instructions, not that of
 * the buffer and the set-up of the lock, too.  A request is allocated by the
 * reader and freed by a worker.  When requests would take more than their limit
 * the reader refuses them, and nothing else in the process notices.
 *
 *   cc object-server.c $(pkg-config --cflags --libs slaballoc) -pthread
 *   ./a.out [CLIENTS [CONNECTIONS [REQUESTS]]]
 *
 * The clients are threads of the same process, so it ends by itself.
 *
 * SPDX-License-Identifier: MIT
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <slaballoc/cache.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WORKERS 4
#define CLIENTS_MOST 64
#define WINDOW 32 /* requests that a client sends before it waits for the answers */
#define BUFFER 4096
#define REQUESTS_LIMIT ((size_t)8 << 20)
#define BUSY UINT32_MAX /* answer to a request that was refused */

/* Lists whose heads are links; a link in no list is a list of its own, empty. */
struct link {
    struct link *next, *prev;
};

static void link_init(struct link *l) { l->next = l->prev = l; }
static bool list_empty(const struct link *l) { return l->next == l; }

static void list_append(struct link *list, struct link *l)
{
    l->prev = list->prev;
    l->next = list;
    l->prev->next = l->next->prev = l;
}

static void list_remove(struct link *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    link_init(l);
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* --- The objects --- */

struct message {
    uint32_t number, value;
};

struct connection {
    struct link requests; /* those under way */
    pthread_mutex_t lock;
    char *buffer;
    size_t filled;
    bool closed; /* by the client: the last request ends the connection */
    int fd;      /* of this use alone, so not constructed */
};

struct request {
    struct link in_connection, in_queue;
    struct connection *connection; /* this and the next: of this use alone */
    struct message message;
};

static sla_cache_t *connections, *requests;

static int connection_construct(void *object, void *arg)
{
    struct connection *c = object;
    (void)arg;
    c->buffer = sla_malloc(BUFFER);
    if (c->buffer == NULL)
        return -1;
    if (pthread_mutex_init(&c->lock, NULL) != 0) {
        sla_free(c->buffer); /* nothing is left behind: there will be no destructor call */
        return -1;
    }
    link_init(&c->requests);
    c->filled = 0;
    c->closed = false;
    return 0;
}

static void connection_destroy(void *object, void *arg)
{
    struct connection *c = object;
    (void)arg;
    pthread_mutex_destroy(&c->lock);
    sla_free(c->buffer);
}

static int request_construct(void *object, void *arg)
{
    struct request *r = object;
    (void)arg;
    link_init(&r->in_connection);
    link_init(&r->in_queue);
    return 0;
}

static void caches_open(void)
{
    connections = sla_cache_create("connections", sizeof(struct connection), 0, 0, connection_construct,
                                   connection_destroy, NULL);
    requests = sla_cache_create("requests", sizeof(struct request), 0, 0, request_construct, NULL, NULL);
    if (connections == NULL || requests == NULL)
        fail("sla_cache_create");
    sla_cache_set_limit(requests, REQUESTS_LIMIT);
}

static struct connection *connection_new(int fd)
{
    struct connection *c = sla_cache_alloc(connections);
    if (c != NULL)
        c->fd = fd;
    return c;
}

/* Nobody else knows it any more, and it has no requests. */
static void connection_free(struct connection *c)
{
    close(c->fd);
    c->filled = 0; /* as constructed, */
    c->closed = false;
    sla_cache_free(connections, c);
}

/* --- From the reader to the workers --- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct link requests;
    bool closed;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

static void queue_append(struct request *r)
{
    pthread_mutex_lock(&queue.lock);
    list_append(&queue.requests, &r->in_queue);
    pthread_cond_signal(&queue.more);
    pthread_mutex_unlock(&queue.lock);
}

/* NULL: there will be no more. */
static struct request *queue_take(void)
{
    struct request *r = NULL;
    pthread_mutex_lock(&queue.lock);
    while (list_empty(&queue.requests) && !queue.closed)
        pthread_cond_wait(&queue.more, &queue.lock);
    if (!list_empty(&queue.requests)) {
        r = (struct request *)((char *)queue.requests.next - offsetof(struct request, in_queue));
        list_remove(&r->in_queue);
    }
    pthread_mutex_unlock(&queue.lock);
    return r;
}

static void queue_close(void)
{
    pthread_mutex_lock(&queue.lock);
    queue.closed = true;
    pthread_cond_broadcast(&queue.more);
    pthread_mutex_unlock(&queue.lock);
}

/* --- Messages --- */

static bool send_all(int fd, const void *data, size_t size)
{
    for (const char *at = data; size > 0;) {
        ssize_t n = send(fd, at, size, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

static bool receive_all(int fd, void *data, size_t size)
{
    for (char *at = data; size > 0;) {
        ssize_t n = recv(fd, at, size, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

/* What the service does: the length of the Collatz sequence. */
static uint32_t service(uint32_t value)
{
    uint32_t steps = 0;
    for (uint64_t n = value; n > 1; steps++)
        n = n % 2 == 0 ? n / 2 : 3 * n + 1;
    return steps;
}

/* --- The workers --- */

static void answer(struct request *r)
{
    struct connection *c = r->connection;
    bool last;
    r->message.value = service(r->message.value);
    pthread_mutex_lock(&c->lock);
    (void)send_all(c->fd, &r->message, sizeof r->message); /* a client that is gone needs no answer */
    list_remove(&r->in_connection);
    last = c->closed && list_empty(&c->requests);
    pthread_mutex_unlock(&c->lock);
    sla_cache_free(requests, r);
    if (last)
        connection_free(c);
}

static void *worker(void *arg)
{
    struct request *r;
    while ((r = queue_take()) != NULL)
        answer(r);
    return arg;
}

/* --- The reader --- */

struct reader {
    int listening; /* a pipe on which descriptors of new connections come */
    struct pollfd polled[1 + CLIENTS_MOST];
    struct connection *connections[1 + CLIENTS_MOST];
    nfds_t count;
};

static void accept_one(struct reader *reader)
{
    int fd;
    ssize_t n = read(reader->listening, &fd, sizeof fd);
    struct connection *c;
    if (n != (ssize_t)sizeof fd) {
        reader->polled[0].fd = -1; /* no more will come */
        return;
    }
    c = reader->count <= CLIENTS_MOST ? connection_new(fd) : NULL;
    if (c == NULL) {
        close(fd); /* refused; the others are served on */
        return;
    }
    reader->polled[reader->count] = (struct pollfd){.fd = fd, .events = POLLIN};
    reader->connections[reader->count++] = c;
}

static void accept_request(struct connection *c, struct message message)
{
    struct request *r = sla_cache_alloc(requests);
    if (r != NULL) {
        r->connection = c;
        r->message = message;
    }
    pthread_mutex_lock(&c->lock);
    if (r != NULL) {
        list_append(&c->requests, &r->in_connection);
    } else {
        message.value = BUSY;
        (void)send_all(c->fd, &message, sizeof message);
    }
    pthread_mutex_unlock(&c->lock);
    if (r != NULL)
        queue_append(r);
}

/* False: the client has closed the connection. */
static bool receive(struct connection *c)
{
    ssize_t n = recv(c->fd, c->buffer + c->filled, BUFFER - c->filled, 0);
    size_t at = 0;
    if (n <= 0)
        return n < 0 && errno == EINTR;
    c->filled += (size_t)n;
    for (; c->filled - at >= sizeof(struct message); at += sizeof(struct message)) {
        struct message message;
        memcpy(&message, c->buffer + at, sizeof message);
        accept_request(c, message);
    }
    memmove(c->buffer, c->buffer + at, c->filled - at);
    c->filled -= at;
    return true;
}

static void hang_up(struct reader *reader, nfds_t i)
{
    struct connection *c = reader->connections[i];
    bool idle;
    reader->polled[i] = reader->polled[--reader->count];
    reader->connections[i] = reader->connections[reader->count];
    pthread_mutex_lock(&c->lock);
    c->closed = true;
    idle = list_empty(&c->requests);
    pthread_mutex_unlock(&c->lock);
    if (idle)
        connection_free(c); /* else the worker does with the last request */
}

static void *reader(void *arg)
{
    struct reader reader = {.listening = *(int *)arg, .count = 1};
    reader.polled[0] = (struct pollfd){.fd = reader.listening, .events = POLLIN};
    while (reader.polled[0].fd >= 0 || reader.count > 1) {
        if (poll(reader.polled, reader.count, -1) < 0 && errno != EINTR)
            fail("poll");
        for (nfds_t i = reader.count; i-- > 1;) /* downwards: the one that takes i's place was looked at */
            if (reader.polled[i].revents != 0 && !receive(reader.connections[i]))
                hang_up(&reader, i);
        if (reader.polled[0].fd >= 0 && reader.polled[0].revents != 0)
            accept_one(&reader);
    }
    return NULL;
}

/* --- The clients --- */

static struct {
    int server; /* where to send the other end of a connection */
    unsigned connections, requests;
} job;

struct tally {
    uint64_t right, busy, wrong;
};

/* A few requests and their answers, in any order. False: the connection is broken. */
static bool converse(int fd, uint32_t first, uint32_t count, struct tally *tally)
{
    struct message messages[WINDOW] = {{0, 0}};
    for (uint32_t i = 0; i < count; i++)
        messages[i] = (struct message){first + i, (first + i) * 7 + 1};
    if (!send_all(fd, messages, count * sizeof *messages) || !receive_all(fd, messages, count * sizeof *messages))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (messages[i].value == BUSY)
            tally->busy++;
        else if (messages[i].number - first < count && messages[i].value == service(messages[i].number * 7 + 1))
            tally->right++;
        else
            tally->wrong++;
    }
    return true;
}

static void *client(void *arg)
{
    struct tally *tally = arg;
    for (unsigned n = 0; n < job.connections; n++) {
        int ends[2];
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
            fail("socketpair");
        if (write(job.server, &ends[1], sizeof ends[1]) != (ssize_t)sizeof ends[1])
            fail("write");
        for (uint32_t sent = 0; sent < job.requests; sent += WINDOW) {
            uint32_t left = job.requests - sent;
            if (!converse(ends[0], sent, left < WINDOW ? left : WINDOW, tally))
                tally->wrong++;
        }
        close(ends[0]);
    }
    return NULL;
}

/* --- All of it --- */

static void report(sla_cache_t *cache, uint64_t used)
{
    sla_cache_stats_t s;
    if (sla_cache_stats(cache, &s, sizeof s) != 0)
        fail("sla_cache_stats");
    printf("%-12s %8llu used, %5zu constructed, %zu live, %zu slabs of together %zu KiB\n", sla_cache_name(cache),
           (unsigned long long)used, s.constructed, s.live, s.slabs, s.bytes / 1024);
}

static void start(pthread_t *thread, void *(*function)(void *), void *arg)
{
    int err = pthread_create(thread, NULL, function, arg);
    if (err != 0) {
        errno = err;
        fail("pthread_create");
    }
}

static unsigned number(char **argv, int i, int argc, unsigned preset)
{
    return i < argc ? (unsigned)strtoul(argv[i], NULL, 10) : preset;
}

int main(int argc, char **argv)
{
    static struct tally tallies[CLIENTS_MOST];
    struct tally all = {0, 0, 0};
    pthread_t clients[CLIENTS_MOST], workers[WORKERS], reading;
    unsigned count = number(argv, 1, argc, 4);
    int server[2];

    job.connections = number(argv, 2, argc, 100);
    job.requests = number(argv, 3, argc, 200);
    if (count < 1 || count > CLIENTS_MOST || pipe(server) != 0)
        fail("clients");
    job.server = server[1];
    link_init(&queue.requests);
    caches_open();

    start(&reading, reader, &server[0]);
    for (unsigned i = 0; i < WORKERS; i++)
        start(&workers[i], worker, NULL);
    for (unsigned i = 0; i < count; i++)
        start(&clients[i], client, &tallies[i]);

    for (unsigned i = 0; i < count; i++) {
        pthread_join(clients[i], NULL);
        all.right += tallies[i].right;
        all.busy += tallies[i].busy;
        all.wrong += tallies[i].wrong;
    }
    close(server[1]);
    pthread_join(reading, NULL);
    queue_close();
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(workers[i], NULL);
    close(server[0]);

    report(connections, (uint64_t)count * job.connections);
    report(requests, all.right);
    printf("%llu answers right, %llu refused, %llu wrong\n", (unsigned long long)all.right,
           (unsigned long long)all.busy, (unsigned long long)all.wrong);
    /* An object that was forgotten would be found here. */
    return all.wrong != 0 || sla_cache_destroy(requests) != 0 || sla_cache_destroy(connections) != 0;
}
