/*
 * scene_lock.c: the lock itself, each step of it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scene.h"

#include "os/lock.h"

static struct slai_lock lock;
static unsigned inside, total; /* plain: two inside at once are a race, too */

static void enter_once(void)
{
    slai_lock(&lock);
    MODEL_REQUIRE(inside == 0);
    inside = model_self();
    total++;
    inside = 0;
    slai_unlock(&lock);
}

static void enter_twice(void)
{
    enter_once();
    enter_once();
}

static void judge(void)
{
    MODEL_REQUIRE(total >= 2 && lock.state == SLAI_LOCK_FREE);
    enter_once();
}

/* --- around a fork --- */

static void fork_parent(void)
{
    slai_lock_for_fork(&lock);
    slai_fork_begin();
    MODEL_REQUIRE(inside == 0);
    inside = 1;
    slai_lock(&lock); /* a handler of others */
    total++;
    slai_unlock(&lock);
    inside = 0;
    slai_fork_end();
    slai_unlock_after_fork(&lock);
}

static void fork_child(void)
{
    slai_lock_for_fork(&lock);
    slai_fork_begin();
    model_fork();
    slai_lock(&lock);
    slai_unlock(&lock);
    slai_fork_end();
    slai_lock_reset(&lock);
    total = 2;
    enter_once();
}

#define REAL(title, ...) {.name = title, .flags = MODEL_REAL_LOCKS, .body = {__VA_ARGS__}, .judge = judge}

const struct model_scenario scene_lock[] = {
    REAL("lock: two threads", enter_once, enter_once),
    {.name = "lock: two threads, a failure for nothing",
     .flags = MODEL_REAL_LOCKS | MODEL_SPURIOUS,
     .body = {enter_once, enter_once},
     .judge = judge},
    {.name = "lock: two threads twice, 3 preemptions",
     .flags = MODEL_REAL_LOCKS,
     .body = {enter_twice, enter_twice},
     .judge = judge,
     .bound = 3},
    {.name = "lock: three threads, 2 preemptions",
     .flags = MODEL_REAL_LOCKS,
     .body = {enter_once, enter_once, enter_once},
     .judge = judge,
     .bound = 2},
    REAL("lock: the gate of a fork, its handlers, another thread", fork_parent, enter_once),
    {.name = "lock: the gate in the child",
     .flags = MODEL_REAL_LOCKS | MODEL_FORK,
     .body = {fork_child, enter_once},
     .judge = judge},
    {.name = "lock: three threads, 3 preemptions",
     .flags = MODEL_REAL_LOCKS,
     .body = {enter_once, enter_once, enter_once},
     .judge = judge,
     .level = MODEL_LONG,
     .bound = 3},
    {.name = "lock: the gate and two threads, 2 preemptions",
     .flags = MODEL_REAL_LOCKS,
     .body = {fork_parent, enter_once, enter_once},
     .judge = judge,
     .level = MODEL_LONG,
     .bound = 2},
    {.name = NULL},
};
