/*
 * test_objcache.c: object caches, function by function: what they give, what
 * they promise about constructed objects, and each way they fail.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <slaballoc/cache.h>

#define KEEPS_STATE 0x5eed0b1eu
#define MOST 4096

/* Check writes a message for each of its assertions: too slow for long loops. */
#define QUICK(condition) \
    do { \
        if (!(condition)) \
            ck_abort_msg("not so: %s", #condition); \
    } while (0)

/* Constructor and destructor with what they saw. */
struct crew {
    size_t tries, made, ended, bad;
    size_t fail_from, fail_to; /* the tries that fail, from 1 */
    int error;
    int cares; /* to be spoilt: callbacks must not change errno for the caller */
};

static int set_up(void *object, void *arg)
{
    struct crew *crew = arg;
    size_t *state = object;
    crew->tries++;
    errno = crew->cares;
    if (crew->tries >= crew->fail_from && crew->tries <= crew->fail_to)
        return crew->error;
    state[0] = KEEPS_STATE;
    crew->made++;
    return 0;
}

static void tear_down(void *object, void *arg)
{
    struct crew *crew = arg;
    size_t *state = object;
    crew->bad += state[0] != KEEPS_STATE;
    crew->ended++;
    errno = crew->cares;
    state[0] = 0;
}

static sla_cache_stats_t stats_of(sla_cache_t *cache)
{
    sla_cache_stats_t stats;
    ck_assert_int_eq(sla_cache_stats(cache, &stats, sizeof(stats)), 0);
    return stats;
}

static sla_cache_t *make(size_t size, unsigned flags)
{
    sla_cache_t *cache = sla_cache_create("test", size, 0, flags, NULL, NULL, NULL);
    ck_assert_ptr_nonnull(cache);
    return cache;
}

static sla_cache_t *make_with(struct crew *crew, size_t size, unsigned flags)
{
    sla_cache_t *cache = sla_cache_create("crewed", size, 0, flags, set_up, tear_down, crew);
    ck_assert_ptr_nonnull(cache);
    return cache;
}

static void end(sla_cache_t *cache)
{
    errno = SENTINEL_ERRNO;
    ck_assert_int_eq(sla_cache_destroy(cache), 0);
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
}

static void take(sla_cache_t *cache, void **objects, size_t count)
{
    for (size_t i = 0; i < count; i++)
        QUICK((objects[i] = sla_cache_alloc(cache)) != NULL);
}

static void give(sla_cache_t *cache, void **objects, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sla_cache_free(cache, objects[i]);
}

/* --- sla_cache_create --- */

static const struct refusal {
    size_t size, align;
    unsigned flags;
    int with; /* 1: a constructor, 2: a destructor */
} refusals[] = {
    {0, 0, 0, 0},
    {0, 8, SLA_CACHE_DEBUG, 0},
    {SLA_CACHE_SIZE_MAX + 1, 0, 0, 0},
    {SIZE_MAX, 0, 0, 0},
    {SIZE_MAX - 8, 16, SLA_CACHE_DEBUG, 0},
    {16, 3, 0, 0},
    {16, 24, 0, 0},
    {16, 65537, 0, 0},
    {16, SLA_CACHE_ALIGN_MAX * 2, 0, 0},
    {16, SIZE_MAX, 0, 0},
    {16, BEYOND(63), 0, 0},
    {16, 0, 16, 0},
    {16, 0, 1u << 31, 0},
    {16, 0, ~0u, 0},
    {16, 0, SLA_CACHE_ZEROED, 1},
    {16, 0, SLA_CACHE_ZEROED, 2},
    {16, 0, SLA_CACHE_ZEROED | SLA_CACHE_DEBUG, 1},
};

START_TEST(refused)
{
    const struct refusal *r = &refusals[_i];
    struct crew crew = {0};
    errno = 0;
    ck_assert_ptr_null(sla_cache_create("no", r->size, r->align, r->flags, r->with == 1 ? set_up : NULL,
                                        r->with == 2 ? tear_down : NULL, &crew));
    ck_assert_int_eq(errno, EINVAL);
}
END_TEST

START_TEST(names)
{
    char text[100];
    static const char *const some[] = {"x", "", "with space", "just thirty-one bytes, no more."};
    for (size_t i = 0; i < ARRAY_LEN(some); i++) {
        strcpy(text, some[i]);
        errno = SENTINEL_ERRNO;
        sla_cache_t *cache = sla_cache_create(text, 10, 0, 0, NULL, NULL, NULL);
        ck_assert_int_eq(errno, SENTINEL_ERRNO);
        memset(text, '!', sizeof(text)); /* it was copied */
        ck_assert_str_eq(sla_cache_name(cache), some[i]);
        end(cache);
    }
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    sla_cache_t *cache = sla_cache_create(text, 10, 0, 0, NULL, NULL, NULL);
    text[31] = '\0';
    ck_assert_str_eq(sla_cache_name(cache), text);
    end(cache);
    cache = sla_cache_create(NULL, 10, 0, 0, NULL, NULL, NULL);
    ck_assert_str_eq(sla_cache_name(cache), "cache");
    end(cache);
}
END_TEST

static const unsigned kinds[] = {
    0,
    SLA_CACHE_ZEROED,
    SLA_CACHE_TYPE_STABLE,
    SLA_CACHE_NO_REAP,
    SLA_CACHE_DEBUG,
    SLA_CACHE_DEBUG | SLA_CACHE_ZEROED | SLA_CACHE_TYPE_STABLE | SLA_CACHE_NO_REAP,
};
static const size_t sizes[] = {1,    2,    7,    8,     9,     15,    16,    17,     24,
                               40,   48,   64,   65,    100,   1000,  1024,  4096,   5000,
                               9000, 32768, 40000, 65536, 65537, 100000, SLA_CACHE_SIZE_MAX - 1, SLA_CACHE_SIZE_MAX};

/* Distinct, aligned, all theirs, in more than one slab where that is not too much. */
static void one_geometry(size_t size, size_t align, unsigned flags)
{
    static struct support_block blocks[600];
    size_t most = support_scaled(6 * MIB) / (size > align ? size : align) + 1;
    size_t n = most < ARRAY_LEN(blocks) ? most : ARRAY_LEN(blocks);
    sla_cache_t *cache = sla_cache_create("geometry", size, align, flags, NULL, NULL, NULL);
    size_t mask = align != 0 ? align - 1 : size < 16 ? 7 : 15;
    sla_cache_stats_t stats;
    ck_assert_ptr_nonnull(cache);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < n; i++) {
            blocks[i] = (struct support_block){sla_cache_alloc(cache), size, size + i};
            QUICK(blocks[i].start != NULL && ((uintptr_t)blocks[i].start & mask) == 0);
            QUICK((flags & SLA_CACHE_ZEROED) == 0 || support_is_zero(blocks[i].start, size));
            support_fill(blocks[i].start, size, size + i);
        }
        QUICK(support_disjoint(blocks, n));
        for (size_t i = 0; i < n; i++) {
            QUICK(support_matches(blocks[i].start, size, size + i));
            QUICK(sla_cache_of(blocks[i].start) == cache && sla_cache_of(blocks[i].start + size - 1) == cache);
            QUICK(sla_usable_size(blocks[i].start) >= size);
        }
        stats = stats_of(cache);
        QUICK(stats.live == n && stats.size == size && stats.stride >= size && stats.stride % (mask + 1) == 0);
        for (size_t i = 0; i < n; i++)
            sla_cache_free(cache, blocks[i].start);
        QUICK(stats_of(cache).live == 0);
    }
    end(cache);
}

START_TEST(sizes_and_alignments)
{
    size_t align = _i == 0 ? 0 : (size_t)1 << (_i - 1);
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
            one_geometry(sizes[i], align, kinds[k]);
}
END_TEST

/* Every place is used, each again after its cache has ended; then there are no more. */
START_TEST(all_the_caches)
{
    static sla_cache_t *caches[SLA_CACHE_MOST + 1];
    static void *objects[SLA_CACHE_MOST];
    size_t n = 0, half;
    for (int round = 0; round < 2; round++) {
        while (n <= SLA_CACHE_MOST &&
               (caches[n] = sla_cache_create("many", 8 + n % 500, 0, 0, NULL, NULL, NULL)) != NULL)
            n++;
        ck_assert_int_eq(errno, ENFILE);
        ck_assert_uint_eq(n, SLA_CACHE_MOST);
        for (size_t i = 0; i < n; i += 8) { /* not all: a slab each */
            QUICK((objects[i] = sla_cache_alloc(caches[i])) != NULL);
            memset(objects[i], 7, 8);
        }
        for (size_t i = 0; i < n; i += 8) {
            QUICK(sla_cache_of(objects[i]) == caches[i]);
            sla_cache_free(caches[i], objects[i]);
        }
        half = round == 0 ? n / 2 : 0;
        while (n > half)
            QUICK(sla_cache_destroy(caches[--n]) == 0);
    }
}
END_TEST

/* A place may come to hold objects of any other sort. */
START_TEST(places_are_used_again)
{
    static void *objects[300];
    struct crew crew = {0};
    sla_cache_t *first = make(24, 0);
    ck_assert_int_eq(sla_cache_destroy(first), 0);
    for (int i = 0; i < 60; i++) {
        size_t size = 8 + support_below(&(struct support_rng){(uint64_t)i}, 3000);
        sla_cache_t *cache = i % 3 == 0 ? make_with(&crew, size, 0) : make(size, kinds[(size_t)i % ARRAY_LEN(kinds)]);
        ck_assert_ptr_eq(cache, first);
        take(cache, objects, ARRAY_LEN(objects));
        for (size_t k = 0; k < ARRAY_LEN(objects) && i % 3 != 0; k++)
            memset(objects[k], i, size);
        sla_cache_stats_t stats = stats_of(cache);
        ck_assert_uint_eq(stats.size, size);
        ck_assert_uint_eq(stats.live, ARRAY_LEN(objects));
        ck_assert_uint_eq(stats.limit, 0);
        give(cache, objects, ARRAY_LEN(objects));
        sla_cache_set_limit(cache, 1);
        end(cache);
        ck_assert_uint_eq(crew.made, crew.ended);
    }
    ck_assert_uint_eq(crew.bad, 0);
    ck_assert_int_eq(sla_cache_destroy(NULL), 0);
}
END_TEST

/* --- constructed objects --- */

START_TEST(constructed_once)
{
    static void *objects[MOST];
    struct crew crew = {.cares = 77};
    sla_cache_t *cache = make_with(&crew, 120, 0);
    errno = SENTINEL_ERRNO;
    take(cache, objects, MOST);
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    size_t made = crew.made;
    ck_assert_uint_ge(made, MOST);
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < MOST; i++) {
            QUICK(*(size_t *)objects[i] == KEEPS_STATE);
            memset((char *)objects[i] + sizeof(size_t), round, 112);
        }
        give(cache, objects, MOST);
        take(cache, objects, MOST);
        ck_assert_uint_eq(crew.made, made);
    }
    sla_cache_stats_t stats = stats_of(cache);
    ck_assert_uint_eq(stats.constructed, made);
    ck_assert_uint_eq(stats.destroyed, 0);
    give(cache, objects, MOST);
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    ck_assert_uint_eq(crew.ended, 0);
    end(cache);
    ck_assert_uint_eq(crew.ended, crew.made);
    ck_assert_uint_eq(crew.bad, 0);
}
END_TEST

/* What of the object is whose, with only one of the two callbacks. */
START_TEST(one_callback_alone)
{
    static void *objects[MOST];
    struct crew crew = {0};
    sla_cache_t *cache = sla_cache_create("up", 64, 0, 0, set_up, NULL, &crew);
    take(cache, objects, MOST);
    give(cache, objects, MOST);
    ck_assert_uint_eq(stats_of(cache).constructed, crew.made);
    end(cache);
    ck_assert_uint_ge(crew.made, MOST);
    cache = sla_cache_create("down", 64, 0, 0, NULL, tear_down, &crew);
    take(cache, objects, MOST);
    for (size_t i = 0; i < MOST; i++)
        *(size_t *)objects[i] = KEEPS_STATE;
    give(cache, objects, MOST);
    ck_assert_uint_eq(crew.ended, 0);
    ck_assert_uint_eq(stats_of(cache).constructed, 0); /* calls of a constructor */
    end(cache);
    ck_assert_uint_ge(crew.ended, MOST);
}
END_TEST

enum { REAP, TRIM, DESTROY };

START_TEST(destroyed_when_memory_goes)
{
    static void *objects[MOST];
    struct crew crew = {.cares = 78};
    sla_cache_t *cache = make_with(&crew, 200, 0);
    take(cache, objects, MOST);
    size_t bytes = stats_of(cache).bytes, most = bytes;
    give(cache, objects + 1, MOST - 1); /* one stays */
    ck_assert_uint_eq(crew.ended, 0);
    errno = SENTINEL_ERRNO;
    if (_i == REAP)
        ck_assert_uint_eq(sla_cache_reap(cache), most - (bytes = stats_of(cache).bytes));
    else if (_i == TRIM)
        (void)sla_trim(0);
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    sla_cache_stats_t stats = stats_of(cache);
    ck_assert_uint_eq(stats.live, 1);
    ck_assert_uint_eq(stats.constructed, crew.made);
    ck_assert_uint_eq(stats.destroyed, crew.ended);
    if (_i != DESTROY) {
        ck_assert_uint_eq(stats.slabs, 1);
        ck_assert_uint_eq(stats.cached, 0);
        ck_assert_uint_eq(crew.made - crew.ended, stats.live + stats.free);
    }
    ck_assert_uint_eq(*(size_t *)objects[0], KEEPS_STATE);
    take(cache, objects + 1, MOST - 1); /* again from new memory */
    for (size_t i = 0; i < MOST; i++)
        QUICK(*(size_t *)objects[i] == KEEPS_STATE);
    give(cache, objects, MOST);
    end(cache);
    ck_assert_uint_eq(crew.made, crew.ended);
    ck_assert_uint_eq(crew.bad, 0);
}
END_TEST

/* A plain cache's slabs go as they become empty: what reap returns is what went by it. */
START_TEST(reap_counts_plain_slabs)
{
    static void *objects[MOST];
    sla_cache_t *cache = make(200, 0);
    take(cache, objects, MOST);
    give(cache, objects, MOST);
    size_t bytes = stats_of(cache).bytes;
    ck_assert_uint_gt(bytes, 0);
    ck_assert_uint_eq(sla_cache_reap(cache), bytes);
    ck_assert_uint_eq(stats_of(cache).slabs, 0);
    ck_assert_uint_eq(sla_cache_reap(cache), 0);
    end(cache);
}
END_TEST

static const struct failure {
    size_t from, to;
    int error, expected;
} failures[] = {
    {1, 1, EIO, EIO},     {1, 1, -1, ENOMEM},     {1, 1, ENOMEM, ENOMEM}, {2, 2, EPERM, EPERM}, {3, 3, EIO, EIO},
    {7, 7, EIO, EIO},     {33, 33, EBUSY, EBUSY}, {1, SIZE_MAX, EIO, EIO}, {5, SIZE_MAX, EIO, EIO}, {2, 40, -7, ENOMEM},
    {100, 1000, EIO, EIO}, {1, 1000, 12345, 12345},
};

START_TEST(constructor_fails)
{
    static void *objects[500];
    const struct failure *f = &failures[_i];
    struct crew crew = {.fail_from = f->from, .fail_to = f->to, .error = f->error, .cares = 99};
    sla_cache_t *cache = make_with(&crew, 88, 0);
    size_t n = 0, failed = 0;
    for (int i = 0; i < 5000 && n < ARRAY_LEN(objects); i++) {
        errno = SENTINEL_ERRNO;
        objects[n] = sla_cache_alloc(cache);
        QUICK(errno == (objects[n] != NULL ? SENTINEL_ERRNO : f->expected));
        QUICK(objects[n] == NULL || *(size_t *)objects[n] == KEEPS_STATE);
        failed += objects[n] == NULL;
        n += objects[n] != NULL;
    }
    ck_assert_uint_eq(n, f->to == SIZE_MAX ? f->from - 1 : ARRAY_LEN(objects));
    ck_assert(f->from > 1 || failed > 0);
    sla_cache_stats_t stats = stats_of(cache);
    ck_assert_uint_eq(stats.live, n);
    ck_assert_uint_eq(stats.constructed, crew.made);
    ck_assert_uint_eq(stats.live + stats.cached + stats.free, stats.slabs * (stats.bytes / stats.slabs / stats.stride));
    give(cache, objects, n);
    ck_assert_uint_eq(stats_of(cache).live, 0);
    end(cache);
    ck_assert_uint_eq(crew.made, crew.ended);
    ck_assert_uint_eq(crew.bad, 0);
}
END_TEST

/* A debugged cache constructs what it hands out, each time, and takes it apart as it comes back. */
START_TEST(debugged_objects)
{
    void *objects[100];
    struct crew crew = {.fail_from = 51, .fail_to = 60, .error = EIO, .cares = 5};
    sla_cache_t *cache = make_with(&crew, 50, SLA_CACHE_DEBUG);
    take(cache, objects, 50);
    for (int i = 0; i < 10; i++) {
        errno = 0;
        ck_assert_ptr_null(sla_cache_alloc(cache));
        ck_assert_int_eq(errno, EIO);
    }
    take(cache, objects + 50, 50);
    ck_assert_uint_eq(crew.made, 100);
    errno = SENTINEL_ERRNO;
    for (int i = 0; i < 100; i++) {
        memset((char *)objects[i] + 8, i, 42); /* to its very end */
        ck_assert_uint_eq(sla_usable_size(objects[i]), 50);
        ck_assert_uint_eq(*(size_t *)objects[i], KEEPS_STATE);
    }
    give(cache, objects, 100);
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    ck_assert_uint_eq(crew.ended, 100);
    ck_assert_uint_eq(stats_of(cache).destroyed, 100);
    end(cache);
    ck_assert_uint_eq(crew.ended, 100);
    ck_assert_uint_eq(crew.bad, 0);
}
END_TEST

/* --- flags --- */

START_TEST(zeroed_objects)
{
    void *objects[64];
    sla_cache_t *cache = make(333, SLA_CACHE_ZEROED);
    for (int round = 0; round < 30; round++) {
        size_t n = round % 2 == 0 ? 64 : 7;
        if (round % 3 == 0)
            ck_assert_uint_eq(sla_cache_alloc_batch(cache, objects, n), n);
        else
            take(cache, objects, n);
        for (size_t i = 0; i < n; i++) {
            ck_assert(support_is_zero(objects[i], 333));
            memset(objects[i], 0xff, 333);
        }
        sla_cache_free_batch(cache, objects, n);
        if (round % 5 == 0)
            sla_cache_reap(cache);
    }
    end(cache);
}
END_TEST

/* Nothing of it goes before its end, and what freed objects hold can be read. */
START_TEST(type_stable_memory)
{
    static void *objects[MOST];
    struct crew crew = {0};
    long delay;
    sla_cache_t *cache = _i == 0 ? make(100, SLA_CACHE_TYPE_STABLE) : make_with(&crew, 100, SLA_CACHE_TYPE_STABLE);
    ck_assert_int_eq(sla_option_get("purge_delay", &delay), 0);
    ck_assert_int_eq(sla_option_set("purge_delay", 0), 0);
    take(cache, objects, MOST);
    size_t slabs = stats_of(cache).slabs;
    for (size_t i = 0; i < MOST; i++)
        support_fill((char *)objects[i] + 8, 92, i);
    give(cache, objects, MOST);
    ck_assert_uint_eq(sla_cache_reap(cache), 0);
    (void)sla_trim(0);
    (void)sla_maintain();
    for (int i = 0; i < 10000; i++) { /* slow paths, some at least */
        void *few[40];
        take(cache, few, 1 + (size_t)i % 40);
        give(cache, few, 1 + (size_t)i % 40);
        if (i % 16 == 0)
            sla_thread_idle();
    }
    (void)sla_maintain();
    ck_assert_uint_eq(stats_of(cache).slabs, slabs);
    ck_assert_uint_eq(crew.ended, 0);
    for (size_t i = 0; i < MOST; i++) {
        QUICK(sla_cache_of(objects[i]) == cache);
        QUICK(support_matches((char *)objects[i] + 8, 92, i));
    }
    ck_assert_int_eq(sla_option_set("purge_delay", delay), 0);
    end(cache);
    ck_assert_ptr_null(sla_cache_of(objects[0]));
    ck_assert_uint_eq(crew.made, crew.ended);
}
END_TEST

START_TEST(not_to_be_reaped)
{
    static void *objects[MOST];
    struct crew crew = {0};
    sla_cache_t *cache = _i == 0 ? make(100, SLA_CACHE_NO_REAP) : make_with(&crew, 100, SLA_CACHE_NO_REAP);
    take(cache, objects, MOST);
    size_t bytes = stats_of(cache).bytes;
    give(cache, objects, MOST);
    (void)sla_trim(0);
    (void)sla_maintain();
    ck_assert_uint_eq(stats_of(cache).bytes, bytes);
    ck_assert_uint_eq(crew.ended, 0);
    ck_assert_uint_eq(sla_cache_reap(cache), bytes);
    ck_assert_uint_eq(stats_of(cache).bytes, 0);
    ck_assert_uint_eq(crew.made, crew.ended);
    end(cache);
}
END_TEST

/* Rested slabs go in passing, those of a cache with callbacks too. */
START_TEST(rested_slabs_go)
{
    static void *objects[MOST];
    struct crew crew = {0};
    long delay;
    sla_cache_t *cache = make_with(&crew, 500, 0);
    ck_assert_int_eq(sla_option_get("purge_delay", &delay), 0);
    ck_assert_int_eq(sla_option_set("purge_delay", 0), 0);
    take(cache, objects, MOST);
    size_t slabs = stats_of(cache).slabs;
    give(cache, objects, MOST);
    sla_thread_idle();
    if (_i == 0)
        (void)sla_maintain();
    for (int i = 0; i < 3000 && _i == 1; i++) {
        take(cache, objects, 100);
        give(cache, objects, 100);
        sla_thread_idle();
    }
    ck_assert_uint_lt(stats_of(cache).slabs, slabs / 2);
    ck_assert_uint_gt(crew.ended, 0);
    ck_assert_int_eq(sla_option_set("purge_delay", delay), 0);
    end(cache);
    ck_assert_uint_eq(crew.made, crew.ended);
    ck_assert_uint_eq(crew.bad, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("objcache");
    TCase *tc = tcase_create("objcache");
    suite_add_tcase(suite, tc);
    tcase_add_loop_test(tc, refused, 0, (int)ARRAY_LEN(refusals));
    tcase_add_test(tc, names);
    tcase_add_loop_test(tc, sizes_and_alignments, 0, 18);
    tcase_add_test(tc, all_the_caches);
    tcase_add_test(tc, places_are_used_again);
    tcase_add_test(tc, constructed_once);
    tcase_add_test(tc, one_callback_alone);
    tcase_add_loop_test(tc, destroyed_when_memory_goes, REAP, DESTROY + 1);
    tcase_add_test(tc, reap_counts_plain_slabs);
    tcase_add_loop_test(tc, constructor_fails, 0, (int)ARRAY_LEN(failures));
    tcase_add_test(tc, debugged_objects);
    tcase_add_test(tc, zeroed_objects);
    tcase_add_loop_test(tc, type_stable_memory, 0, 2);
    tcase_add_loop_test(tc, not_to_be_reaped, 0, 2);
    tcase_add_loop_test(tc, rested_slabs_go, 0, 2);
    return support_main(suite);
}
