/*
 * threads.c: several threads, one of which runs.
 *
 * Each runs fuzz_loop() while it has the baton; an operation hands it to
 * another.  A thread's end runs to its end, destructors and all, while the first
 * thread waits in pthread_join(): nothing depends on the scheduler.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fuzz.h"

#include <pthread.h>

static pthread_t ids[FUZZ_THREADS];
static pthread_key_t late_key;
static pthread_once_t late_once = PTHREAD_ONCE_INIT;

static void await(struct fuzz_thread *t)
{
    while (sem_wait(&t->baton) != 0)
        FUZZ_REQUIRE(errno == EINTR);
}

static void pass(uint32_t to, enum fuzz_order order)
{
    fuzz.thread[to].order = order;
    fuzz.current = to;
    FUZZ_REQUIRE(sem_post(&fuzz.thread[to].baton) == 0);
}

static uint32_t idle_for; /* who waits until another has been idle */

/* Until the thread is to go on, or to end. */
static void pause_here(uint32_t self)
{
    struct fuzz_thread *t = &fuzz.thread[self];
    for (await(t); t->order == FUZZ_BE_IDLE; await(t)) {
        sla_thread_idle();
        t->used = false;
        pass(idle_for, FUZZ_GO_ON);
    }
    if (self == 0 && fuzz.ended >= 0) {
        FUZZ_REQUIRE(pthread_join(ids[fuzz.ended], NULL) == 0);
        fuzz.ended = -1;
    }
    errno = FUZZ_ERRNO;
}

static void hand_over(uint32_t to, enum fuzz_order order)
{
    uint32_t self = fuzz.current;
    pass(to, order);
    pause_here(self);
}

/* --- a thread's life --- */

static void unpush(struct fuzz_thread *t)
{
    for (; t->depth > 0; t->depth--)
        if (t->pushed[t->depth - 1] != NULL)
            t->pushed[t->depth - 1]->pushed--;
}

static bool is_default(const struct fuzz_block *b, const void *unused)
{
    (void)unused;
    return b->cache == NULL;
}

/* A destructor that comes again, so that some of its calls are after the library's own. */
static void at_end(void *arg)
{
    struct fuzz_thread *t = arg;
    struct fuzz_block *b = fuzz_find(is_default, NULL);
    errno = FUZZ_ERRNO;
    if (b != NULL)
        fuzz_release(b);
    b = fuzz_spare();
    fuzz_begin(b, sla_heap_malloc(NULL, t->late * 16), t->late * 16);
    fuzz.ops++;
    FUZZ_REQUIRE(errno == FUZZ_ERRNO);
    if (--t->late > 0)
        FUZZ_REQUIRE(pthread_setspecific(late_key, t) == 0);
}

static void make_key(void) { FUZZ_REQUIRE(pthread_key_create(&late_key, at_end) == 0); }

static void *live(void *arg)
{
    struct fuzz_thread *t = arg;
    pause_here((uint32_t)(t - fuzz.thread));
    if (t->order == FUZZ_GO_ON)
        fuzz_loop();
    unpush(t);
    if (t->late > 0)
        FUZZ_REQUIRE(pthread_setspecific(late_key, t) == 0);
    t->alive = t->used = false;
    fuzz.ended = (int)(t - fuzz.thread);
    pass(0, FUZZ_GO_ON);
    return NULL;
}

static void be_born(uint32_t i)
{
    struct fuzz_thread *t = &fuzz.thread[i];
    memset(t, 0, sizeof(*t));
    FUZZ_REQUIRE(sem_init(&t->baton, 0, 0) == 0);
    t->alive = true;
    FUZZ_REQUIRE(pthread_create(&ids[i], NULL, live, t) == 0);
    errno = FUZZ_ERRNO;
}

void fuzz_op_thread_born(void)
{
    uint32_t i = fuzz_byte() % FUZZ_THREADS;
    if (i != 0 && i < fuzz.threads && !fuzz.thread[i].alive)
        be_born(i);
}

void fuzz_op_thread_switch(void)
{
    uint32_t to = fuzz_byte() % FUZZ_THREADS;
    if (to != fuzz.current && to < fuzz.threads && (to == 0 || fuzz.thread[to].alive))
        hand_over(to, FUZZ_GO_ON);
}

void fuzz_op_thread_end(void)
{
    uint32_t which = fuzz_byte() % FUZZ_THREADS;
    unsigned late = fuzz_byte();
    if (which == 0 || !fuzz.thread[which].alive)
        return;
    fuzz.thread[which].late = late < 128 ? 0 : late % 4 + 1;
    pthread_once(&late_once, make_key);
    if (fuzz.current == which) {
        fuzz.thread[which].order = FUZZ_END; /* its loop sees that */
    } else if (fuzz.current == 0) {
        hand_over(which, FUZZ_END);
    }
}

void fuzz_threads_end(void)
{
    for (uint32_t i = 1; i < FUZZ_THREADS; i++)
        if (fuzz.thread[i].alive)
            hand_over(i, FUZZ_END);
}

void fuzz_to_main(void)
{
    if (fuzz.current != 0)
        hand_over(0, FUZZ_GO_ON);
}

void fuzz_threads_settle(void)
{
    uint32_t self = fuzz.current;
    for (uint32_t i = 0; i < FUZZ_THREADS; i++)
        if (i != self && fuzz.thread[i].used && (i == 0 || fuzz.thread[i].alive)) {
            idle_for = self;
            hand_over(i, FUZZ_BE_IDLE);
        }
}
