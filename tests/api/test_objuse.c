/*
 * test_objuse.c: object caches in use: batches, figures, visits, objects in the
 * hands of sla_free() and its kin, and callbacks that call the library.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <slaballoc/cache.h>

#define MOST 3000
static void *objects[MOST];

#define QUICK(condition) \
    do { \
        if (!(condition)) \
            ck_abort_msg("not so: %s", #condition); \
    } while (0)

static sla_cache_t *make(size_t size, unsigned flags)
{
    sla_cache_t *cache = sla_cache_create("used", size, 0, flags, NULL, NULL, NULL);
    ck_assert_ptr_nonnull(cache);
    return cache;
}

static sla_cache_stats_t stats_of(sla_cache_t *cache)
{
    sla_cache_stats_t st;
    ck_assert_int_eq(sla_cache_stats(cache, &st, sizeof(st)), 0);
    return st;
}

static void end(sla_cache_t *cache)
{
    ck_assert_uint_eq(stats_of(cache).live, 0);
    ck_assert_int_eq(sla_cache_destroy(cache), 0);
}

static size_t made, ended;
static int set_up(void *object, void *arg)
{
    memset(object, 0x11, 8);
    made++;
    return (void)arg, 0;
}

static void tear_down(void *object, void *arg)
{
    ended += object != NULL;
    (void)arg;
}

/* --- batches --- */

static const unsigned kinds[] = {0, SLA_CACHE_ZEROED, SLA_CACHE_TYPE_STABLE, SLA_CACHE_NO_REAP, SLA_CACHE_DEBUG};

static void shuffle(struct support_rng *rng, void **all, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t k = support_below(rng, i);
        void *p = all[k];
        all[k] = all[i - 1];
        all[i - 1] = p;
    }
}

START_TEST(batches)
{
    static const size_t counts[] = {0, 1, 2, 3, 31, 32, 33, 64, 100, 1000, MOST};
    static struct support_block blocks[MOST];
    struct support_rng rng;
    int built = _i == (int)ARRAY_LEN(kinds);
    sla_cache_t *cache = built ? sla_cache_create("b", 56, 0, 0, set_up, tear_down, NULL) : make(56, kinds[_i]);
    support_seed(&rng, (uint64_t)_i);
    made = ended = 0;
    for (size_t round = 0; round < 3 * ARRAY_LEN(counts); round++) {
        size_t n = counts[round % ARRAY_LEN(counts)];
        errno = SENTINEL_ERRNO;
        ck_assert_uint_eq(sla_cache_alloc_batch(cache, objects, n), n);
        ck_assert_int_eq(errno, SENTINEL_ERRNO);
        for (size_t i = 0; i < n; i++) {
            QUICK(!built || *(unsigned char *)objects[i] == 0x11);
            blocks[i] = (struct support_block){objects[i], 56, i};
            support_fill((char *)objects[i] + 8, 48, i);
        }
        ck_assert(support_disjoint(blocks, n));
        for (size_t i = 0; i < n; i++)
            QUICK(support_matches(blocks[i].start + 8, 48, i));
        ck_assert_uint_eq(stats_of(cache).live, n);
        if (round % 3 > 0)
            shuffle(&rng, objects, n);
        for (size_t i = 0; round % 3 == 2 && i < n; i += 5) { /* NULL is ignored here too */
            sla_cache_free(cache, objects[i]);
            objects[i] = NULL;
        }
        sla_cache_free_batch(cache, objects, n);
        ck_assert_int_eq(errno, SENTINEL_ERRNO);
    }
    end(cache);
    ck_assert_uint_eq(made, ended);
}
END_TEST

START_TEST(batches_that_fail)
{
    sla_cache_t *cache = make(1000, 0);
    sla_cache_set_limit(cache, 64 * KIB);
    errno = 0;
    size_t n = sla_cache_alloc_batch(cache, objects, MOST);
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_uint_eq(n, 64 * KIB / stats_of(cache).stride);
    ck_assert_uint_eq(stats_of(cache).live, n);
    sla_cache_free_batch(cache, objects, n);
    end(cache);
}
END_TEST

/* --- figures --- */

START_TEST(figures)
{
    sla_cache_t *cache = make(100, 0);
    size_t words[32];
    sla_cache_stats_t all = stats_of(cache);
    ck_assert(all.size == 100 && all.stride == 112 && all.slabs == 0 && all.bytes == 0 && all.limit == 0);
    for (size_t i = 0; i < 2 * ARRAY_LEN(words) * sizeof(size_t); i++)
        if (i == 0 || i % sizeof(size_t) != 0) {
            errno = 0;
            ck_assert_int_eq(sla_cache_stats(cache, &all, i), -1);
            ck_assert_int_eq(errno, EINVAL);
        }
    for (size_t n = 0; n <= 1000; n += 50) {
        for (size_t i = 0; i < n; i++)
            QUICK((objects[i] = sla_cache_alloc(cache)) != NULL);
        all = stats_of(cache);
        ck_assert_uint_eq(all.live, n);
        ck_assert_uint_eq((all.live + all.cached + all.free) * all.stride / (64 * KIB), all.slabs - (all.slabs > 0));
        ck_assert_uint_eq(all.bytes, all.slabs * 64 * KIB);
        sla_cache_free_batch(cache, objects, n);
        ck_assert_uint_eq(stats_of(cache).live, 0);
    }
    sla_cache_set_limit(cache, 123456789);
    all = stats_of(cache);
    ck_assert_uint_eq(all.limit, 123456789);
    /* Callers that know less, and that know more. */
    memset(words, 0xff, sizeof(words));
    ck_assert_int_eq(sla_cache_stats(cache, (sla_cache_stats_t *)words, 3 * sizeof(size_t)), 0);
    ck_assert(words[0] == 100 && words[1] == 112 && words[2] == 0 && words[3] == SIZE_MAX);
    ck_assert_int_eq(sla_cache_stats(cache, (sla_cache_stats_t *)words, sizeof(words)), 0);
    ck_assert_int_eq(memcmp(words, &all, sizeof(all)), 0);
    ck_assert(support_is_zero((char *)words + sizeof(all), sizeof(words) - sizeof(all)));
    end(cache);
}
END_TEST

START_TEST(in_the_heap_s_figures)
{
    sla_stats_t before, with, after;
    sla_thread_idle();
    (void)sla_trim(0);
    sla_cache_t *cache = make(5000, 0);
    ck_assert_int_eq(sla_stats_get(&before, sizeof(before)), 0);
    ck_assert_uint_eq(sla_cache_alloc_batch(cache, objects, 300), 300);
    size_t stride = stats_of(cache).stride, bytes = stats_of(cache).bytes;
    ck_assert_int_eq(sla_stats_get(&with, sizeof(with)), 0);
    ck_assert_uint_eq(with.live - before.live, 300 * stride);
    ck_assert_uint_eq(with.slabs - before.slabs, bytes);
    sla_cache_free_batch(cache, objects, 300);
    end(cache);
    ck_assert_int_eq(sla_stats_get(&after, sizeof(after)), 0);
    ck_assert_uint_eq(after.live, before.live);
    ck_assert_uint_eq(after.slabs, before.slabs);
}
END_TEST

/* --- visits --- */

struct visit {
    sla_cache_t *cache;
    size_t seen, stop_after;
    int frees; /* 1: by the cache, 2: by sla_free */
};

static int visit_one(void *object, void *arg)
{
    struct visit *v = arg;
    size_t *number = object;
    QUICK(sla_cache_of(object) == v->cache && *number < MOST && objects[*number] == object);
    v->seen++;
    if (v->frees != 0) {
        objects[*number] = NULL;
        if (v->frees == 1)
            sla_cache_free(v->cache, object);
        else
            sla_free(object);
    } else {
        number[1]++; /* once each */
    }
    return v->seen == v->stop_after ? 42 : 0;
}

START_TEST(visits)
{
    int built = _i % 2;
    sla_cache_t *cache = built ? sla_cache_create("v", 250, 0, 0, set_up, tear_down, NULL) : make(230, 0);
    struct visit v = {.cache = cache};
    ck_assert_int_eq(sla_cache_iterate(cache, visit_one, &v), 0); /* none at all */
    size_t live = 0;
    for (size_t i = 0; i < MOST; i++)
        QUICK((objects[i] = sla_cache_alloc(cache)) != NULL);
    for (size_t i = 0; i < MOST; i++) {
        ((size_t *)objects[i])[0] = i;
        ((size_t *)objects[i])[1] = 0;
        if (i % 3 == 0 || (i > 500 && i < 1500)) { /* whole slabs too */
            sla_cache_free(cache, objects[i]);
            objects[i] = NULL;
        }
        live += objects[i] != NULL;
    }
    if (_i / 2 % 2)
        sla_thread_idle();
    ck_assert_int_eq(sla_cache_iterate(cache, visit_one, &v), 0);
    ck_assert_uint_eq(v.seen, live);
    for (size_t i = 0; i < MOST; i++)
        QUICK(objects[i] == NULL || ((size_t *)objects[i])[1] == 1);
    v = (struct visit){.cache = cache, .stop_after = 17};
    ck_assert_int_eq(sla_cache_iterate(cache, visit_one, &v), 42);
    ck_assert_uint_eq(v.seen, 17);
    v = (struct visit){.cache = cache, .stop_after = 100, .frees = 1};
    ck_assert_int_eq(sla_cache_iterate(cache, visit_one, &v), 42);
    ck_assert_uint_eq(stats_of(cache).live, live - 100);
    v = (struct visit){.cache = cache, .frees = 2};
    ck_assert_int_eq(sla_cache_iterate(cache, visit_one, &v), 0);
    ck_assert_uint_eq(v.seen, live - 100);
    v = (struct visit){.cache = cache};
    ck_assert_int_eq(sla_cache_iterate(cache, visit_one, &v), 0);
    ck_assert_uint_eq(v.seen, 0);
    end(cache);
}
END_TEST

/* --- sla_free() and its kin --- */

START_TEST(objects_are_blocks)
{
    static const size_t sizes[] = {16, 100, 5000, 70000};
    size_t size = sizes[_i / 4];
    unsigned flags = _i % 2 ? SLA_CACHE_DEBUG : 0;
    sla_cache_t *cache = make(size, flags), *other = make(size, 0);
    for (size_t i = 0; i < 100; i++) {
        QUICK((objects[i] = sla_cache_alloc(cache)) != NULL);
        support_fill(objects[i], size, i);
        QUICK(sla_owns(objects[i]) && sla_cache_of((char *)objects[i] + size / 2) == cache);
        size_t usable = sla_usable_size(objects[i]);
        QUICK(usable >= size && (flags == 0 || usable == size));
    }
    errno = SENTINEL_ERRNO;
    for (size_t i = 0; i < 100; i++) {
        unsigned char *p = objects[i];
        if (i % 4 == 0) {
            sla_free(p);
        } else if (i % 4 == 1) {
            sla_free_sized(p, size);
        } else {
            size_t to = i % 8 == 2 ? size / 3 + 1 : i % 8 == 3 ? size * 2 : i % 8 == 6 ? 40000 : 300000;
            p = sla_realloc(p, to);
            QUICK(p != NULL && support_matches(p, (to < size ? to : size) & ~(size_t)7, i));
            QUICK(p == objects[i] || sla_cache_of(p) == NULL);
            sla_free(p);
        }
    }
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    ck_assert_uint_eq(stats_of(cache).live, 0);
    QUICK((objects[0] = sla_cache_alloc(cache)) != NULL);
    ck_assert_ptr_null(sla_realloc(objects[0], support_size(0)));
    QUICK((objects[0] = sla_cache_alloc(cache)) != NULL);
    sla_free_aligned_sized(objects[0], 8, size);
    ck_assert_ptr_null(sla_cache_of(NULL));
    ck_assert_ptr_null(sla_cache_of(objects));
    void *block = sla_malloc(support_size(100));
    ck_assert_ptr_null(sla_cache_of(block));
    sla_free(block);
    block = sla_malloc(support_size(1000000));
    ck_assert_ptr_null(sla_cache_of(block));
    sla_free(block);
    sla_cache_free(cache, NULL);
    end(cache);
    end(other);
}
END_TEST

/* --- callbacks that call --- */

struct tower {
    sla_cache_t *self, *other;
    size_t made, ended, depth;
};

struct floor {
    void *block, *friend;
    sla_cache_t *cache;
};

static int build(void *object, void *arg)
{
    struct tower *t = arg;
    struct floor *f = object;
    memset(f, 0, sizeof(*f));
    f->block = sla_malloc(40 + t->made % 5000);
    f->friend = sla_cache_alloc(t->other);
    if (t->made % 50 == 0 && t->depth < 3) { /* one of its own kind */
        t->depth++;
        sla_cache_free(t->self, sla_cache_alloc(t->self));
        t->depth--;
    }
    if (t->made % 400 == 0)
        f->cache = sla_cache_create("small", 16, 0, 0, NULL, NULL, NULL);
    if (t->made % 700 == 0) {
        (void)sla_trim(0);
        (void)sla_cache_reap(t->self);
        (void)stats_of(t->self);
    }
    t->made++;
    errno = 11;
    return f->block != NULL && f->friend != NULL ? 0 : -1;
}

static void demolish(void *object, void *arg)
{
    struct tower *t = arg;
    struct floor *f = object;
    sla_free(f->block);
    sla_cache_free(t->other, f->friend);
    if (f->cache != NULL)
        QUICK(sla_cache_destroy(f->cache) == 0);
    if (t->ended % 50 == 0)
        (void)sla_cache_reap(t->other);
    if (t->ended % 300 == 0)
        (void)sla_trim(0);
    t->ended++;
    errno = 12;
}

START_TEST(callbacks_that_call)
{
    struct tower t = {.other = make(64, 0)};
    t.self = sla_cache_create("tower", 200, 0, _i == 1 ? SLA_CACHE_DEBUG : 0, build, demolish, &t);
    for (int round = 0; round < 10; round++) {
        errno = SENTINEL_ERRNO;
        for (size_t i = 0; i < MOST; i++)
            QUICK((objects[i] = sla_cache_alloc(t.self)) != NULL);
        sla_cache_free_batch(t.self, objects, MOST);
        if (round % 3 == 0)
            (void)sla_trim(0);
        else
            (void)sla_cache_reap(t.self);
        ck_assert_int_eq(errno, SENTINEL_ERRNO);
    }
    end(t.self);
    ck_assert_uint_eq(t.made, t.ended);
    end(t.other);
}
END_TEST

/* --- an end that is refused --- */

static void end_early(void *count)
{
    sla_cache_t *cache = sla_cache_create("it", 100, 0, 0, set_up, tear_down, NULL);
    size_t n = *(size_t *)count;
    CHILD_REQUIRE(sla_cache_alloc_batch(cache, objects, n) == n);
    errno = 0;
    CHILD_REQUIRE(sla_cache_destroy(cache) == -1 && errno == EBUSY);
    for (size_t i = 0; i < n; i++)
        CHILD_REQUIRE(*(unsigned char *)objects[i] == 0x11 && sla_cache_of(objects[i]) == cache);
    CHILD_REQUIRE(sla_cache_alloc_batch(cache, objects + n, 1000) == 1000); /* it goes on */
    for (size_t i = 0; i < 1000 + n; i++)
        CHILD_REQUIRE(*(unsigned char *)objects[i] == 0x11);
    (void)sla_trim(0);
    sla_cache_t *another = sla_cache_create("another", 1000, 0, 0, NULL, NULL, NULL);
    CHILD_REQUIRE(another != cache);
    sla_cache_free_batch(cache, objects, 1000 + n);
    CHILD_REQUIRE(ended < made);
    CHILD_REQUIRE(sla_cache_destroy(cache) == 0 && made == ended);
    CHILD_REQUIRE(sla_cache_destroy(another) == 0);
}

START_TEST(an_end_refused)
{
    static const size_t counts[] = {1, 2, 1234};
    struct support_child child;
    char line[100];
    made = ended = 0;
    support_run_child(end_early, (void *)(uintptr_t)&counts[_i], 30, &child);
    snprintf(line, sizeof(line), "slaballoc: cache_destroy: %zu object%s of cache 'it' still allocated\n", counts[_i],
             counts[_i] == 1 ? "" : "s");
    ck_assert_str_eq(child.errors, line);
    ck_assert(child.exited && child.status == 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("objuse");
    TCase *tc = tcase_create("objuse");
    suite_add_tcase(suite, tc);
    tcase_add_loop_test(tc, batches, 0, (int)ARRAY_LEN(kinds) + 1);
    tcase_add_test(tc, batches_that_fail);
    tcase_add_test(tc, figures);
    tcase_add_test(tc, in_the_heap_s_figures);
    tcase_add_loop_test(tc, visits, 0, 4);
    tcase_add_loop_test(tc, objects_are_blocks, 0, 16);
    tcase_add_loop_test(tc, callbacks_that_call, 0, 2);
    tcase_add_loop_test(tc, an_end_refused, 0, 3);
    return support_main(suite);
}
