/*
 * test_objcache.c: misuse of object caches: the exact line on standard error,
 * and SIGABRT; with abort=0 the same line, once, and the program goes on.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <pthread.h>
#include <signal.h>

#include <slaballoc/cache.h>

enum { ADDRESS, DONE };
static sla_cache_t *plain, *other, *debugged;
static int goes_on; /* with abort=0 */

static void blame(const void *address) { support_mail[ADDRESS] = (uintptr_t)address; }

static void *take(sla_cache_t *cache)
{
    void *object = sla_cache_alloc(cache);
    CHILD_REQUIRE(object != NULL);
    return support_sink = object;
}

static void *taken(sla_cache_t *cache)
{
    (void)take(cache); /* its slab never is empty */
    void *object = take(cache);
    blame(object);
    return object;
}

/* --- into the wrong cache, or none --- */

static void wrong_cache(void) { sla_cache_free(other, taken(plain)); }
static void wrong_debugged(void) { sla_cache_free(debugged, taken(plain)); }
static void debugged_into_plain(void) { sla_cache_free(plain, taken(debugged)); }

static void wrong_in_a_batch(void)
{
    void *objects[4] = {take(plain), take(plain), taken(other), take(plain)};
    sla_cache_free_batch(plain, objects, 4);
}

static void malloc_block(void)
{
    void *block = sla_malloc(support_size(64));
    blame(block);
    sla_cache_free(plain, block);
}

static void large_block(void)
{
    void *block = sla_malloc(support_size(1000000));
    blame(block);
    sla_cache_free(plain, block);
}

static void malloc_block_in_a_batch(void)
{
    void *objects[3] = {take(plain), sla_malloc(support_size(64)), take(plain)};
    blame(objects[1]);
    sla_cache_free_batch(plain, objects, 3);
}

static char bytes[64];
static void foreign(void)
{
    blame(bytes);
    sla_cache_free(plain, support_pointer(bytes));
}

static void number(void)
{
    blame((void *)(uintptr_t)4096);
    sla_cache_free(debugged, support_pointer((void *)(uintptr_t)4096));
}

static void after_destroy(void)
{
    sla_cache_t *cache = sla_cache_create("gone", 64, 0, 0, NULL, NULL, NULL);
    void *object = take(cache);
    sla_cache_free(cache, object);
    CHILD_REQUIRE(sla_cache_destroy(cache) == 0);
    blame(object);
    sla_cache_free(cache, object);
}

static void freed_after_destroy(void)
{
    sla_cache_t *cache = sla_cache_create("gone", 64, 0, 0, NULL, NULL, NULL);
    void *object = take(cache);
    sla_cache_free(cache, object);
    CHILD_REQUIRE(sla_cache_destroy(cache) == 0);
    blame(object);
    sla_free(object);
}

/* --- not the start --- */

static void inside(void)
{
    char *object = (char *)taken(plain) + 8;
    blame(object);
    sla_cache_free(plain, object);
    sla_thread_idle();
}

static void inside_freed(void)
{
    char *object = (char *)taken(plain) + 1;
    blame(object);
    sla_free(object);
    sla_thread_idle();
}

static void inside_debugged(void)
{
    char *object = (char *)taken(debugged) + 8;
    blame(object);
    sla_cache_free(debugged, object);
}

static void inside_usable(void)
{
    char *object = (char *)taken(plain) + 16;
    blame(object);
    CHILD_REQUIRE(sla_usable_size(object) == 0);
}

/* --- freed twice --- */

static void twice(void)
{
    void *object = taken(plain);
    sla_cache_free(plain, object);
    sla_cache_free(plain, object);
}

static void twice_freed(void)
{
    void *object = taken(plain);
    sla_free(object);
    sla_free(object);
}

static void twice_with_others(void)
{
    void *more[2], *object;
    more[0] = take(plain);
    object = taken(plain);
    more[1] = take(plain);
    sla_cache_free(plain, object);
    sla_cache_free(plain, more[0]);
    sla_cache_free(plain, object);
    sla_cache_free(plain, more[1]);
    sla_thread_idle(); /* found as they go back to the slab */
}

static void twice_in_a_batch(void)
{
    void *objects[4];
    for (int i = 0; i < 4; i++)
        objects[i] = taken(plain);
    objects[2] = objects[3];
    sla_cache_free_batch(plain, objects, 4);
}

static void twice_across_a_flush(void)
{
    void *object = taken(plain);
    sla_cache_free(plain, object);
    sla_thread_idle();
    sla_cache_free(plain, object);
    sla_thread_idle();
}

static void *elsewhere(void *object)
{
    sla_cache_free(plain, object);
    return NULL;
}

static void twice_by_two(void)
{
    pthread_t thread;
    void *object = taken(plain);
    sla_cache_free(plain, object);
    sla_thread_idle();
    CHILD_REQUIRE(pthread_create(&thread, NULL, elsewhere, object) == 0 && pthread_join(thread, NULL) == 0);
    sla_thread_idle();
}

/* --- what a debugged cache sees --- */

static void debugged_twice(void)
{
    void *object = taken(debugged);
    sla_cache_free(debugged, object);
    sla_cache_free(debugged, object);
}

static void debugged_twice_with_others(void)
{
    void *more = take(debugged), *object = taken(debugged);
    sla_cache_free(debugged, object);
    sla_cache_free(debugged, more);
    sla_free(object);
}

static void debugged_twice_and_written(void)
{
    char *object = taken(debugged);
    sla_cache_free(debugged, object);
    object[3] = 1;
    sla_cache_free(debugged, object);
    object[3] = (char)0xdb; /* else there is a second report */
}

static void red_zone(void)
{
    char *object = taken(debugged);
    object[50] = 1; /* its size is 50 */
    sla_cache_free(debugged, object);
}

static void red_zone_far(void)
{
    char *object = taken(debugged);
    object[sizeof(size_t) == 8 ? 79 : 71] = 1; /* the last one: then the note begins */
    sla_free(object);
}

static void note(void)
{
    char *object = taken(debugged);
    memset(object, 0x20, 80);
    sla_cache_free(debugged, object);
}

static void written_after_free(void)
{
    char *object = taken(debugged);
    sla_cache_free(debugged, object);
    object[49] = 0;
    for (int i = 0; i < 200; i++)
        (void)take(debugged);
}

static void written_after_free_and_reaped(void)
{
    char *object = take(debugged);
    blame(object);
    sla_cache_free(debugged, object);
    object[0] = 0;
    (void)sla_cache_reap(debugged);
}

static void written_after_free_and_destroyed(void)
{
    char *object = take(debugged);
    blame(object);
    sla_cache_free(debugged, object);
    object[20] = 0;
    CHILD_REQUIRE(sla_cache_destroy(debugged) == 0);
    debugged = sla_cache_create("debugged", 50, 0, SLA_CACHE_DEBUG, NULL, NULL, NULL);
}

static void destroyed_twice(void)
{
    sla_cache_t *cache = sla_cache_create("gone", 40, 0, 0, NULL, NULL, NULL);
    CHILD_REQUIRE(cache != NULL && sla_cache_destroy(cache) == 0);
    blame(cache);
    CHILD_REQUIRE(sla_cache_destroy(cache) == -1 && errno == EINVAL);
    errno = SENTINEL_ERRNO;
}

#define NONE "not an object of cache "
#define TWICE "block already free (size class #)"
#define INSIDE "not the start of a block (size class #)"
#define FREED " (cache 'debugged', freed by thread #)"
#define HELD " (cache 'debugged', allocated by thread #)"

static const struct misdeed {
    void (*run)(void);
    const char *call, *what;
} misdeeds[] = {
    {wrong_cache, "cache_free", "object of cache 'plain' freed into cache 'other'"},
    {wrong_debugged, "cache_free", "object of cache 'plain' freed into cache 'debugged'"},
    {debugged_into_plain, "cache_free", "object of cache 'debugged' freed into cache 'plain'"},
    {wrong_in_a_batch, "cache_free", "object of cache 'other' freed into cache 'plain'"},
    {malloc_block, "cache_free", NONE "'plain'"},
    {large_block, "cache_free", NONE "'plain'"},
    {malloc_block_in_a_batch, "cache_free", NONE "'plain'"},
    {foreign, "cache_free", NONE "'plain'"},
    {number, "cache_free", NONE "'debugged'"},
    {after_destroy, "cache_free", NONE "'gone'"},
    {freed_after_destroy, "free", "large block already free"},
    {inside, "free", INSIDE},
    {inside_freed, "free", INSIDE},
    {inside_debugged, "cache_free", "not the start of an object of cache 'debugged'"},
    {inside_usable, "usable_size", INSIDE},
    {twice, "cache_free", TWICE},
    {twice_freed, "free", TWICE},
    {twice_with_others, "free", TWICE},
    {twice_in_a_batch, "cache_free", TWICE},
    {twice_across_a_flush, "free", TWICE},
    {twice_by_two, "free", TWICE},
    {debugged_twice, "cache_free", "object already free" FREED},
    {debugged_twice_with_others, "free", "object already free" FREED},
    {debugged_twice_and_written, "cache_free", "object already free" FREED},
    {red_zone, "cache_free", "written to beyond its end" HELD},
    {red_zone_far, "free", "written to beyond its end" HELD},
    {note, "cache_free", "written to beyond its end" HELD},
    {written_after_free, "cache_alloc", "written to after free" FREED},
    {written_after_free_and_reaped, "cache_reap", "written to after free" FREED},
    {written_after_free_and_destroyed, "cache_reap", "written to after free" FREED},
    {destroyed_twice, "cache_destroy", "cache already destroyed"},
};

/* Nothing is handed out twice, and the caches work as before. */
static void after_all(sla_cache_t *cache)
{
    static struct support_block blocks[400];
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
        blocks[i] = (struct support_block){take(cache), 50, i};
        support_fill(blocks[i].start, 50, i);
    }
    CHILD_REQUIRE(support_disjoint(blocks, ARRAY_LEN(blocks)));
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
        CHILD_REQUIRE(support_matches(blocks[i].start, 50, i));
        sla_cache_free(cache, blocks[i].start);
    }
    sla_thread_idle();
}

static void commit(void *arg)
{
    const struct misdeed *m = arg;
    plain = sla_cache_create("plain", 64, 0, 0, NULL, NULL, NULL);
    other = sla_cache_create("other", 64, 0, 0, NULL, NULL, NULL);
    debugged = sla_cache_create("debugged", 50, 0, SLA_CACHE_DEBUG, NULL, NULL, NULL);
    CHILD_REQUIRE(plain != NULL && other != NULL && debugged != NULL);
    CHILD_REQUIRE(!goes_on || sla_option_set("abort", 0) == 0);
    errno = SENTINEL_ERRNO;
    m->run();
    CHILD_REQUIRE(errno == SENTINEL_ERRNO);
    support_mail[DONE] = 1;
    if (goes_on) {
        after_all(plain);
        after_all(other);
        after_all(debugged);
    }
}

START_TEST(reported)
{
    const struct misdeed *m = &misdeeds[_i];
    struct support_child child;
    for (goes_on = 0; goes_on < 2; goes_on++) {
        support_run_child(commit, (void *)(uintptr_t)m, 30, &child);
        ck_assert_msg(support_reported(&child, m->call, child.mail[ADDRESS], m->what), "%d: %s", goes_on, child.errors);
        ck_assert_int_eq(child.signal, goes_on ? 0 : SIGABRT);
        ck_assert_uint_eq(child.mail[DONE], (uintptr_t)goes_on);
        ck_assert(!goes_on || (child.exited && child.status == 0));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("misuse of object caches");
    TCase *tc = tcase_create("misuse");
    suite_add_tcase(suite, tc);
    tcase_add_loop_test(tc, reported, 0, (int)ARRAY_LEN(misdeeds));
    return support_main(suite);
}
