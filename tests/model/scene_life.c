/*
 * scene_life.c: what is found without a lock while it is made: the library
 * itself, regions, pages, heaps, object caches; and what is counted without one.
 *
 * SPDX-License-Identifier: MIT
 */
#include "scene.h"

#include "api/api.h"
#include "cache/depot.h"
#include "cache/heap.h"
#include "cache/idle.h"
#include "heap/large.h"
#include "heap/pageheap.h"

#include <slaballoc/cache.h>
#include <slaballoc/heap.h>

static void two(void) { scene_begin(2); }
static void three(void) { scene_begin(3); }

/* --- The first call --- */

static void first_call(void)
{
    slai_init();
    MODEL_REQUIRE(slai_cache_get() != NULL && slai_region_count == 1 && slai_os_page() == 4096);
    scene_blocks[model_self()] = scene_take();
}

/* --- Regions --- */

#define BIG ((size_t)5 << 20) /* more than the first region has, so in a region of its own */
static void *big[MODEL_THREADS];
static char *where; /* in the second region that there will be */

static void make_big(void)
{
    bool zero;
    unsigned *p = big[model_self()] = slai_large(NULL, BIG, 1, &zero);
    MODEL_REQUIRE(p != NULL && slai_large_size(p) >= BIG);
    *p = 1;
}
static void drop_big(void)
{
    (void)slai_large_give(big[model_self()], "free");
    big[model_self()] = NULL;
}
static void make_and_drop_big(void)
{
    make_big();
    drop_big();
}
static void make_drop_make_big(void)
{
    make_and_drop_big();
    slai_pages_give(slai_pages_take_for(NULL, 100, 1, SLAI_KIND_BUSY)); /* does not fit where the last was */
    make_big();
}
static void before_big(void)
{
    two();
    model_as(1, make_big);
    where = (char *)big[1] + (64 << 10);
    model_as(1, drop_big);
}
static void before_first_big(void)
{
    two();
    where = (char *)slai_regions[0].raw + slai_regions[0].raw_size + (1 << 20);
}

/* An address that is nobody's, or the inside of a large block: any answer but one that leads astray. */
static void look_there(void)
{
    for (int i = 0; i < 2; i++) {
        struct slai_region *r = slai_region_of(where);
        MODEL_REQUIRE(r == NULL || (slai_page_number(r, where) < r->pages + 1000));
        MODEL_REQUIRE(slai_object_class_of(where) == 0 && slai_class_byte_far(where) == 0);
    }
}

static void judge_big(void)
{
    for (unsigned t = 0; t < MODEL_THREADS; t++)
        if (big[t] != NULL) {
            (void)slai_large_give(big[t], "free");
            big[t] = NULL;
        }
    scene_judge();
}

/* --- Kinds: who looks at a page as it becomes a slab --- */

static void take(void) { scene_blocks[0] = scene_take(); }
static void take_other_class(void) { scene_blocks[1] = scene_take_class(SCENE_CLASS + 1); }
static void look_at_slabs(void)
{
    struct slai_slab_cursor cursor = {0, 0};
    for (struct slai_span *s; (s = slai_slab_next(&cursor, SCENE_CLASS)) != NULL;)
        MODEL_REQUIRE(slai_load_relaxed(&s->used) <= 8 && s->capacity == 8 && s->size == 8192);
}

/* --- Quotas --- */

static struct slai_quota quota = {0, 2};
static unsigned granted[MODEL_THREADS];
static void charge(void) { granted[model_self()] = slai_quota_take(&quota, 1); }
static void charge_twice(void)
{
    granted[model_self()] = slai_quota_take(&quota, 1);
    granted[model_self()] += slai_quota_take(&quota, 1);
}
static void charge_and_give(void)
{
    if (slai_quota_take(&quota, 1))
        slai_quota_give(&quota, 1);
}
static void judge_quota(void)
{
    unsigned sum = granted[1] + granted[2] + granted[3];
    MODEL_REQUIRE(quota.used == sum && sum <= 2);
}
static void judge_quota_full(void)
{
    judge_quota();
    MODEL_REQUIRE(quota.used == 2);
}

/* --- Heaps --- */

static struct sla_heap *heap;
static void use_heap(void)
{
    unsigned *p = slai_malloc_in(heap, 8192);
    MODEL_REQUIRE(p != NULL);
    *p = 1;
}
static void make_heap(void)
{
    heap = slai_heap_make("model", NULL);
    MODEL_REQUIRE(heap != NULL);
}
static void make_and_use_heap(void)
{
    make_heap();
    use_heap();
}
static void end_heap(void)
{
    MODEL_REQUIRE(slai_heap_end(heap) == NULL);
    heap = NULL;
}
static void heap_of_1(void)
{
    three();
    model_as(1, make_and_use_heap);
    model_as(2, use_heap);
}
static void park_others(void) { slai_threads_park_others(); }
static void tend_heaps(void)
{
    bool waiting = false;
    (void)slai_heaps_tend(1, 0, &waiting);
}
static void ask_accounts(void)
{
    for (uint32_t n = 1; n < slai_load_acquire(&slai_account_end); n++) {
        struct slai_account *a = slai_account(n);
        MODEL_REQUIRE(a != NULL && a->number == n);
        (void)slai_load_relaxed(&slai_heap_of(a)->live);
    }
}
static void leave(void) { scene_leave(); }
static void judge_heap(void)
{
    if (heap != NULL)
        end_heap();
    scene_judge();
}

/* --- Object caches --- */

static sla_cache_t *cache;
static void make_cache(void)
{
    cache = sla_cache_create("model", 4096, 0, 0, NULL, NULL, NULL);
    MODEL_REQUIRE(cache != NULL);
}
static void make_and_use_cache(void)
{
    unsigned *p;
    make_cache();
    p = sla_cache_alloc(cache);
    MODEL_REQUIRE(p != NULL);
    *p = 1;
    sla_cache_free(cache, p);
}
static void tend_classes(void)
{
    bool waiting = false;
    (void)slai_depot_tend_all(NULL, 1, 0, &waiting);
}
static void end_cache(void)
{
    sla_cache_t *gone = cache;
    cache = NULL;
    MODEL_REQUIRE(sla_cache_destroy(gone) == 0);
}
static void cache_of_1(void)
{
    two();
    model_as(1, make_and_use_cache);
}
static void end_and_make_cache(void)
{
    end_cache();
    make_and_use_cache();
}
static void judge_cache(void)
{
    scene_judge_begin();
    MODEL_REQUIRE(cache == NULL || sla_cache_destroy(cache) == 0);
    scene_judge();
}

#define SCENARIO(title, before, after, ...) {.name = title, .setup = before, .body = {__VA_ARGS__}, .judge = after}

const struct model_scenario scene_life[] = {
    SCENARIO("init: two first calls", NULL, scene_judge, first_call, first_call),
    SCENARIO("region: a look as the second is made", before_first_big, judge_big, make_big, look_there),
    SCENARIO("region: a look as it is made and dropped", before_first_big, judge_big, make_and_drop_big, look_there),
    SCENARIO("region: a look as its place is used again", before_big, judge_big, make_drop_make_big, look_there),
    SCENARIO("region: two large blocks", before_first_big, judge_big, make_big, make_big),
    SCENARIO("page: a look at slabs as one is made", two, scene_judge, take, look_at_slabs),
    SCENARIO("page: two slabs are made", two, scene_judge, take, take_other_class),
    SCENARIO("quota: three threads, room for two", NULL, judge_quota_full, charge, charge, charge),
    SCENARIO("quota: one takes two, one takes and gives", NULL, judge_quota, charge_twice, charge_and_give),
    SCENARIO("quota: nobody is refused for what was refused", NULL, judge_quota_full, charge, charge_twice),
    SCENARIO("heap: its end as others are parked", heap_of_1, judge_heap, end_heap, NULL, park_others),
    SCENARIO("heap: its end as another thread ends", heap_of_1, judge_heap, end_heap, leave),
    SCENARIO("heap: it is made as accounts are asked", two, judge_heap, make_heap, ask_accounts),
    SCENARIO("heap: it is made as heaps are tended", two, judge_heap, make_and_use_heap, tend_heaps),
    SCENARIO("cache: it is made as all classes are tended", two, judge_cache, make_cache, tend_classes),
    SCENARIO("cache: it ends as all classes are tended", cache_of_1, judge_cache, end_cache, tend_classes),
    SCENARIO("cache: it ends as another thread ends", cache_of_1, judge_cache, end_cache, leave),
    SCENARIO("cache: its place is used again as all classes are tended", cache_of_1, judge_cache, end_and_make_cache,
             tend_classes),
    {.name = "init: three first calls",
     .body = {first_call, first_call, first_call},
     .judge = scene_judge,
     .level = MODEL_LONG},
    {.name = "heap: it is used and ends as others are parked",
     .setup = heap_of_1,
     .body = {end_heap, leave, park_others},
     .judge = judge_heap,
     .level = MODEL_LONG},
    {.name = "cache: it is made and used as all classes are tended",
     .setup = two,
     .body = {make_and_use_cache, tend_classes},
     .judge = judge_cache,
     .level = MODEL_LONG},
    {.name = NULL},
};
