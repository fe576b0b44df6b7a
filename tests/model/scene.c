/*
 * scene.c: what scenarios share.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scene.h"

#include "api/api.h"
#include "cache/depot.h"
#include "heap/check.h"
#include "heap/pageheap.h"

void *scene_blocks[SCENE_BLOCKS];
extern char model_single_threaded;

/* As a thread that was just created. */
static void arrive(void)
{
    slai_tcache = slai_current = (struct slai_tcache *)&slai_unborn;
    MODEL_REQUIRE(slai_cache_get() != NULL);
}

/* What came for a cache is counted in: before that the set of free blocks may be ahead of the count (heap/slab.c). */
static void drain(void)
{
    if (!slai_has_cache(slai_tcache))
        return;
    slai_lock(&slai_tcache->lock);
    slai_cache_drain(slai_tcache);
    slai_unlock(&slai_tcache->lock);
}

void scene_begin(unsigned last)
{
    slai_init();
    MODEL_REQUIRE(slai_classes[SCENE_CLASS].size == 8192 && slai_classes[SCENE_CLASS].capacity == 8);
    for (unsigned t = 1; t <= last; t++)
        model_as(t, arrive);
}

/* Who holds a block writes to its first word, with the order of a plain access: two who do so at once are a race. */
void *scene_take_class(unsigned class)
{
    void *block;
    MODEL_REQUIRE(slai_stack_draw(slai_tcache, class, &block, 1) == 1);
    slai_misuse_due();
    *(unsigned *)block = model_self();
    return block;
}

void *scene_take(void) { return scene_take_class(SCENE_CLASS); }

void scene_give(void *block)
{
    *(unsigned *)block = 0;
    slai_stack_bypass(slai_tcache, slai_slab_of(block)->class, block);
    slai_misuse_due();
}

void scene_give_nth(size_t i)
{
    void *block = scene_blocks[i];
    slai_set_release(&scene_blocks[i], NULL); /* so that a fork child does not take it for the program's */
    scene_give(block);
}

static void **own_blocks;
static size_t own_count;
static unsigned own_class;
static void own(void)
{
    for (size_t i = 0; i < own_count; i++)
        own_blocks[i] = scene_take_class(own_class);
}

void scene_own_class(unsigned t, unsigned class, void **blocks, size_t n)
{
    if (t == 0)
        arrive();
    own_blocks = blocks;
    own_count = n;
    own_class = class;
    model_single_threaded = 1; /* else small batches are lent from the depot's slabs */
    model_as(t, own);
    model_single_threaded = 0;
}

void scene_own(unsigned t, size_t from, size_t n) { scene_own_class(t, SCENE_CLASS, scene_blocks + from, n); }

void scene_leave(void)
{
    void *cache = model_armed[model_self()];
    model_armed[model_self()] = NULL;
    if (cache != NULL)
        model_thread_end(cache);
}

void scene_sound(void)
{
    const char *wrong = slai_check_heap();
    slai_misuse_due();
    if (wrong != NULL)
        model_violation("%s", wrong);
}

void scene_judge_begin(void)
{
    for (unsigned t = 0; t < MODEL_THREADS; t++)
        model_as(t, drain);
    scene_sound();
    if (model_armed[0] == NULL)
        arrive();
}

void scene_judge(void)
{
    scene_judge_begin();
    for (size_t i = 0; i < SCENE_BLOCKS; i++)
        if (scene_blocks[i] != NULL)
            scene_give_nth(i);
    for (unsigned t = 0; t < MODEL_THREADS; t++)
        model_as(t, scene_leave);
    scene_sound();
    slai_depots_clear(NULL);
    scene_sound();
    if (slai_pageheap.used_pages != 0)
        model_violation("%zu pages are lost", slai_pageheap.used_pages);
}
