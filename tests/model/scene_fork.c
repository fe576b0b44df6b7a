/*
 * scene_fork.c: a fork while another thread is anywhere in a call: at each step
 * of it and before each of its writes, of those since its last release one being
 * late.  The child repairs the heap, and uses it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scene.h"

#include "api/api.h"
#include "cache/heap.h"
#include "heap/check.h"
#include "heap/large.h"

static void fork_here(void)
{
    model_fork_handlers[0]();
    model_fork();
    model_fork_handlers[2]();
}

/* What was the program's still is: it can be freed, and nobody else gets it. */
static void child_uses_all(void)
{
    void *got[12];
    unsigned n;
    scene_sound();
    for (n = 0; n < 12; n++) {
        got[n] = slai_malloc_class(SCENE_CLASS);
        MODEL_REQUIRE(got[n] != NULL);
        for (unsigned k = 0; k < n; k++)
            MODEL_REQUIRE(got[k] != got[n]);
        for (unsigned k = 0; k < SCENE_BLOCKS; k++)
            MODEL_REQUIRE(scene_blocks[k] != got[n]);
    }
    while (n-- > 0)
        slai_free_class(SCENE_CLASS, got[n], "free");
    for (unsigned k = 0; k < SCENE_BLOCKS; k++)
        if (scene_blocks[k] != NULL)
            scene_give_nth(k);
    scene_sound();
    scene_leave();
    scene_sound();
}

static void fork_and_use(void)
{
    fork_here();
    child_uses_all();
}

/* The parent only holds all locks for a while. */
static void fork_as_parent(void)
{
    model_fork_handlers[0]();
    scene_blocks[30] = slai_malloc_class(SCENE_CLASS); /* as handlers of others may */
    model_fork_handlers[1]();
}

static void begin(void)
{
    scene_begin(2);
    slai_fork_init();
}
static void full_slabs(void)
{
    begin();
    scene_own(1, 0, 8);
    scene_own(2, 8, 8);
}
static void sparse_slabs(void)
{
    begin();
    scene_own(1, 0, 2);
    scene_own(2, 8, 2);
}

/* What the other thread does. A block that is on its way back is neither one's. */
static void stack_take(void) { scene_blocks[16] = slai_malloc_class(SCENE_CLASS); }
static void stack_give(size_t i)
{
    void *block = scene_blocks[i];
    slai_set_release(&scene_blocks[i], NULL);
    slai_free_class(SCENE_CLASS, block, "free");
}
static void stack_give_own(void)
{
    stack_give(8);
    stack_give(9);
}
static void give_own(void) { scene_give_nth(8); }
static void give_others(void) { scene_give_nth(0); }
static void take(void) { scene_blocks[16] = scene_take(); }
static void leave(void) { scene_leave(); }
static void take_new_class(void) { (void)slai_malloc_class(SCENE_CLASS + 1); }
static void take_large(void)
{
    bool zero;
    (void)slai_large(NULL, 100000, 1, &zero);
}
static void use_heap(void)
{
    struct sla_heap *heap = slai_heap_make("model", NULL);
    MODEL_REQUIRE(heap != NULL);
    (void)slai_malloc_in(heap, 8192);
    MODEL_REQUIRE(slai_heap_end(heap) == NULL);
}
static void park(void) { slai_threads_park_others(); }

#define FORK(title, before, ...) \
    {.name = title, .flags = MODEL_FORK, .setup = before, .body = {fork_and_use, __VA_ARGS__}}
#define MORE(title, before, ...) \
    {.name = title, .flags = MODEL_FORK, .setup = before, .body = {fork_and_use, __VA_ARGS__}, .level = MODEL_LONG}

const struct model_scenario scene_fork[] = {
    FORK("fork: another refills its stack", sparse_slabs, stack_take),
    FORK("fork: another frees an own block", full_slabs, give_own),
    FORK("fork: another frees a block of the forker's", full_slabs, give_others),
    FORK("fork: another's stack overflows", sparse_slabs, stack_give_own),
    {.name = "fork: the parent, another takes, 1 preemption",
     .setup = full_slabs,
     .body = {fork_as_parent, take},
     .judge = scene_judge,
     .bound = 1},
    MORE("fork: another takes a block past its stack", full_slabs, take),
    MORE("fork: another makes a slab", sparse_slabs, take_new_class),
    MORE("fork: another takes a large block", sparse_slabs, take_large),
    MORE("fork: another ends", sparse_slabs, leave),
    MORE("fork: another ends, of full slabs", full_slabs, leave),
    MORE("fork: another parks the forker", sparse_slabs, park),
    MORE("fork: another makes, uses and ends a heap", sparse_slabs, use_heap),
    {.name = NULL},
};
