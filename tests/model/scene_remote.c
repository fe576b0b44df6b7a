/*
 * scene_remote.c: blocks freed by others than their slab's owner: the count and
 * the bits, the inbox, owners that end or are parked, the depot.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scene.h"

#include "cache/depot.h"
#include "cache/remote.h"

/* Thread 1 has a full slab: blocks 0 to 7. */
static void full_slab(void)
{
    scene_begin(3);
    scene_own(1, 0, 8);
}

/* Thread 1 has a slab with one block out. */
static void sparse_slab(void)
{
    scene_begin(3);
    scene_own(1, 0, 1);
}

/* The depot has a full slab of blocks 0 to 7. */
static void left_slab(void)
{
    scene_begin(3);
    scene_own(0, 0, 8);
    scene_leave();
}

/* And one block of it is free. */
static void left_partial_slab(void)
{
    scene_begin(3);
    scene_own(0, 0, 7);
    scene_leave();
}

/* Thread 1 as above; thread 2 has a full slab too, and so adopts what the depot has when it takes more. */
static void two_full_slabs(void)
{
    full_slab();
    scene_own(2, 8, 8);
}

/* Threads 2 and 3 have full slabs, and would adopt one; so it is left when they have got theirs. */
static void left_for_2(void)
{
    scene_begin(3);
    scene_own(2, 8, 8);
    scene_own(3, 16, 8);
    scene_own(0, 0, 7);
    scene_leave();
}

/* A slab of thread 1's with two words of bits: blocks 0 and 1 are in the first, 126 and 127 in the second. */
#define WORDY_CLASS 25u
static void *wordy[128];
static void two_words(void)
{
    scene_begin(3);
    MODEL_REQUIRE(slai_classes[WORDY_CLASS].words == 2 && slai_classes[WORDY_CLASS].capacity == 128);
    scene_own_class(1, WORDY_CLASS, wordy, 128);
}
static void give_wordy(size_t i)
{
    scene_give(wordy[i]);
    wordy[i] = NULL;
}
static void give_first_word(void) { give_wordy(0); }
static void give_second_word(void) { give_wordy(127); }
static void give_both_words(void)
{
    give_wordy(1);
    give_wordy(126);
}
static void take_wordy(void) { scene_blocks[24] = scene_take_class(WORDY_CLASS); }
static void take_two_wordy(void)
{
    void *out[2];
    uint32_t n = slai_stack_draw(slai_tcache, WORDY_CLASS, out, 2);
    slai_misuse_due();
    for (uint32_t i = 0; i < n; i++) {
        *(unsigned *)out[i] = model_self();
        scene_blocks[24 + i] = out[i];
    }
}
static void judge_wordy(void)
{
    scene_judge_begin();
    for (size_t i = 0; i < 128; i++)
        if (wordy[i] != NULL)
            give_wordy(i);
    scene_judge();
}

static void give_0(void) { scene_give_nth(0); }
static void give_1(void) { scene_give_nth(1); }
static void give_2(void) { scene_give_nth(2); }

static void give_1_3(void)
{
    scene_give_nth(1);
    scene_give_nth(3);
}

static void give_1_3_5(void)
{
    give_1_3();
    scene_give_nth(5);
}

static void give_2_4(void)
{
    scene_give_nth(2);
    scene_give_nth(4);
}

/* One message for two blocks. */
static void give_both(void)
{
    void *both[2] = {scene_blocks[1], scene_blocks[3]};
    for (int i = 0; i < 2; i++) {
        *(unsigned *)both[i] = 0;
        scene_blocks[1 + 2 * i] = NULL;
    }
    slai_remote_free(slai_slab_of(both[0]), both, 2);
}

static void keep(size_t i) { scene_blocks[i] = scene_take(); }
static void take(void) { keep(24); }
static void take_two(void)
{
    keep(24);
    keep(25);
}
static void take_three(void)
{
    take_two();
    keep(26);
}
static void take_other(void) { keep(28); }
static void take_two_others(void)
{
    keep(28);
    keep(29);
}

/* A thread that is created now, and uses again what an ended one left. */
static void arrive_and_take(void)
{
    if (slai_cache_get() != NULL)
        take_two_others();
}
static void left_cache(void)
{
    scene_begin(2);
    scene_own(1, 0, 7);
    model_as(2, scene_leave);
}

static void take_and_give(void) { scene_give(scene_take()); }
static void give_0_take(void)
{
    give_0();
    take();
}
static void give_0_take_and_give(void)
{
    give_0();
    take_and_give();
}
static void leave(void) { scene_leave(); }
static void take_and_leave(void)
{
    take();
    leave();
}
static void give_1_take(void)
{
    give_1();
    take_other();
}

static struct slai_tcache *cache_1(void) { return model_armed[1]; }
static struct slai_tcache *of_1;
static void note_1(void) { of_1 = cache_1(); }
static void full_slab_noted(void)
{
    full_slab();
    note_1();
}
static void sparse_slab_noted(void)
{
    sparse_slab();
    note_1();
}
static void park(void) { slai_cache_park(of_1); }
static void park_sleepers(void) { slai_threads_park_others(); }
static void flush(void) { slai_cache_flush(slai_tcache); }

#define SCENARIO(title, before, ...) {.name = title, .setup = before, .body = {__VA_ARGS__}, .judge = scene_judge}
#define MORE(title, before, ...) \
    {.name = title, .setup = before, .body = {__VA_ARGS__}, .judge = scene_judge, .level = MODEL_LONG}

const struct model_scenario scene_remote[] = {
    SCENARIO("remote: a free against the owner's refill", full_slab, take, give_1),
    SCENARIO("remote: two frees against the owner's refill", full_slab, take, give_1_3),
    SCENARIO("remote: two blocks at once against the owner's refill", full_slab, take, give_both),
    SCENARIO("remote: two frees against two refills", full_slab, take_two, give_1_3),
    SCENARIO("remote: three frees against the owner's free and refill", full_slab, give_0_take, give_1_3_5),
    SCENARIO("remote: two threads free", full_slab, NULL, give_1, give_2),
    SCENARIO("remote: two threads free, the owner refills", full_slab, take, give_1, give_2),
    SCENARIO("remote: the last block comes back as the owner looks", sparse_slab, take_and_give, give_0),
    SCENARIO("remote: the last block comes back as the owner flushes", sparse_slab, flush, give_0),
    {.name = "remote: two words of bits, two threads free, the owner refills",
     .setup = two_words,
     .body = {take_wordy, give_first_word, give_second_word},
     .judge = judge_wordy},
    {.name = "remote: two words of bits, one thread frees in both, the owner refills",
     .setup = two_words,
     .body = {take_wordy, give_both_words},
     .judge = judge_wordy},
    {.name = "remote: two threads free, the owner takes two at once",
     .setup = two_words,
     .body = {take_two_wordy, give_first_word, give_second_word},
     .judge = judge_wordy},
    SCENARIO("end: a free as the owner ends", full_slab, leave, give_1),
    SCENARIO("end: two frees as the owner ends", full_slab, leave, give_1_3),
    SCENARIO("end: two threads free as the owner ends", full_slab, leave, give_1, give_2),
    SCENARIO("end: the last block comes back as the owner ends", sparse_slab, leave, give_0),
    SCENARIO("end: the owner ends, another takes, a third frees", full_slab, leave, take_other, give_1),
    SCENARIO("end: the owner ends, another adopts and frees", two_full_slabs, leave, give_1_take),
    SCENARIO("end: who frees takes too", full_slab, leave, give_1_take),
    SCENARIO("park: a free as the owner is parked", full_slab_noted, NULL, give_1, park),
    SCENARIO("park: the owner refills as it is parked", full_slab_noted, take, park),
    SCENARIO("park: it frees and refills", sparse_slab_noted, give_0_take_and_give, park),
    SCENARIO("park: it ends", sparse_slab_noted, leave, park_sleepers),
    SCENARIO("park: it refills, a third frees", full_slab_noted, take, park, give_1),
    SCENARIO("depot: one takes, one frees", left_partial_slab, NULL, take_other, give_0),
    SCENARIO("depot: two adopt", left_for_2, NULL, take_other, take),
    SCENARIO("depot: one adopts, another frees", left_for_2, NULL, take_other, give_0),
    SCENARIO("depot: one frees, two take", left_partial_slab, take, take_other, give_0),
    SCENARIO("depot: two free", left_slab, NULL, give_1, give_2),
    SCENARIO("depot: the last blocks come back", left_partial_slab, NULL, give_1_3_5, give_2_4),
    MORE("remote: three frees against three refills", full_slab, take_three, give_1_3_5),
    MORE("remote: two threads free twice, the owner refills twice", full_slab, take_two, give_1_3, give_2_4),
    MORE("end: two threads free twice as the owner ends", full_slab, leave, give_1_3, give_2_4),
    MORE("end: it refills and ends, another adopts, a third frees", full_slab, take_and_leave, take_other, give_1),
    MORE("end: the owner ends, another adopts, a third frees", two_full_slabs, leave, take_other, give_1),
    MORE("end: a new thread takes its cache, a third frees", left_cache, leave, give_0, arrive_and_take),
    MORE("park: it refills twice, a third frees twice", full_slab_noted, take_two, park, give_1_3),
    {.name = NULL},
};
