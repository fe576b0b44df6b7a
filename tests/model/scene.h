/*
 * scene.h: what scenarios share.  They are compiled as the library is, so that
 * what they do to memory is seen, and undone, too.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SLABALLOC_TESTS_MODEL_SCENE_H
#define SLABALLOC_TESTS_MODEL_SCENE_H

#include "model.h"

#include "cache/thread.h"

/* Lists of scenarios, each ending with one without a name. */
extern const struct model_scenario scene_lock[], scene_remote[], scene_life[], scene_fork[];

#define SCENE_CLASS 57u /* 8 KiB: eight blocks of one page in a slab, one word in a bitmap */
#define SCENE_BLOCKS 32

/* Sets up the library, and a cache for each of the threads up to `last`. */
void scene_begin(unsigned last);

/* A block from a slow path of the calling thread, past its stack, and back: writes to it all the while it is held. */
void *scene_take(void);
void *scene_take_class(unsigned class);
void scene_give(void *block);
void scene_give_nth(size_t i); /* scene_blocks[i], which is NULL from then on */

/* For set-ups: thread t takes n blocks, of slabs of its own, to scene_blocks[from ...]. */
void scene_own(unsigned t, size_t from, size_t n);
void scene_own_class(unsigned t, unsigned class, void **blocks, size_t n);
extern void *scene_blocks[SCENE_BLOCKS];

/* The calling thread ends. */
void scene_leave(void);

/* Judges. The heap is sound; and once all of scene_blocks are back and all threads have ended, empty. */
void scene_sound(void);
void scene_judge(void);
/* The first half of it: all that came is counted in, and adds up; and the judge has a cache of its own. */
void scene_judge_begin(void);

#endif
