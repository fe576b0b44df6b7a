/*
 * test_objcache.c: object caches from inside: limits and what is charged to
 * them, memory that is out, callbacks that call back, and slabs that nobody but
 * their cache may touch.
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "api/objcache.h"
#include "cache/idle.h"
#include "heap/meta.h"
#include "heap/purge.h"

#include <slaballoc/heap.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY 6000
static void *objects[MANY];

static sla_cache_stats_t stats_of(sla_cache_t *cache)
{
    sla_cache_stats_t st;
    ck_assert_int_eq(sla_cache_stats(cache, &st, sizeof(st)), 0);
    return st;
}

static size_t slab_bytes(const sla_cache_t *cache) { return (size_t)cache->store.kind.class.pages << SLAI_PAGE_SHIFT; }

/* What is charged is what the slabs take, always. */
static void sound(sla_cache_t *cache)
{
    sla_cache_stats_t st = stats_of(cache);
    ck_assert_uint_eq(cache->store.kind.quota.used, st.slabs * slab_bytes(cache));
    ck_assert_uint_eq(st.bytes, cache->store.kind.quota.used);
    ck_assert_uint_eq(st.live + st.cached + st.free, st.slabs * cache->store.kind.class.capacity);
    unit_sound();
}

static void end(sla_cache_t *cache)
{
    sound(cache);
    ck_assert_int_eq(sla_cache_destroy(cache), 0);
    ck_assert_uint_eq(cache->store.kind.quota.used, 0);
    ck_assert(!cache->alive && !cache->taken && cache->visitors == 0);
    unit_sound();
}

static sla_cache_t *make(size_t size, unsigned flags)
{
    sla_cache_t *cache = sla_cache_create("unit", size, 0, flags, NULL, NULL, NULL);
    ck_assert_ptr_nonnull(cache);
    return cache;
}

static size_t take_all(sla_cache_t *cache, void **to, size_t most)
{
    size_t n = 0;
    while (n < most && (to[n] = sla_cache_alloc(cache)) != NULL)
        n++;
    return n;
}

static size_t made, ended;
static int set_up(void *object, void *arg)
{
    *(void **)object = arg;
    made++;
    return 0;
}

static void tear_down(void *object, void *arg)
{
    UNIT_QUICK(*(void **)object == arg);
    ended++;
}

static sla_cache_t *make_built(size_t size, unsigned flags)
{
    made = ended = 0;
    sla_cache_t *cache = sla_cache_create("built", size, 0, flags, set_up, tear_down, &made);
    ck_assert_ptr_nonnull(cache);
    return cache;
}

/* --- limits --- */

static const size_t limit_sizes[] = {16, 500, 9000, 100000, SLA_CACHE_SIZE_MAX};

START_TEST(limit_is_kept_to_a_slab)
{
    for (int built = 0; built < 2; built++) {
        sla_cache_t *cache = built ? make_built(limit_sizes[_i], 0) : make(limit_sizes[_i], 0);
        size_t slab = slab_bytes(cache), slabs = limit_sizes[_i] < 100 ? 1 : 3, n;
        sla_cache_set_limit(cache, slabs * slab + slab / 2);
        n = take_all(cache, objects, MANY);
        ck_assert_int_eq(errno, ENOMEM);
        ck_assert_uint_eq(n, slabs * cache->store.kind.class.capacity);
        ck_assert_uint_eq(stats_of(cache).limit, slabs * slab + slab / 2);
        sound(cache);
        sla_cache_set_limit(cache, 1); /* what is there stays, and is used again */
        for (size_t i = 0; i < n; i++)
            sla_cache_free(cache, objects[i]);
        if (!built) /* its empty slabs went */
            sla_cache_set_limit(cache, slabs * slab);
        ck_assert_uint_eq(take_all(cache, objects, MANY), n);
        sla_cache_set_limit(cache, (slabs + 1) * slab - 1);
        ck_assert_ptr_null(sla_cache_alloc(cache));
        sla_cache_set_limit(cache, (slabs + 1) * slab);
        ck_assert_ptr_nonnull(objects[n++] = sla_cache_alloc(cache));
        sla_cache_set_limit(cache, 0);
        ck_assert_uint_eq(sla_cache_alloc_batch(cache, objects + n, 100), 100);
        sound(cache);
        sla_cache_free_batch(cache, objects, n + 100);
        sla_cache_set_limit(cache, slab - 1);
        (void)sla_cache_reap(cache);
        errno = 0;
        ck_assert_ptr_null(sla_cache_alloc(cache));
        ck_assert_int_eq(errno, ENOMEM);
        end(cache);
        ck_assert_uint_eq(made, ended);
    }
}
END_TEST

static struct spare {
    void *objects[100];
    size_t count, calls, depth, deepest;
    int answer, greedy;
} spare;

static int reclaim(sla_cache_t *cache, void *arg)
{
    struct spare *s = arg;
    s->calls++;
    s->deepest = ++s->depth > s->deepest ? s->depth : s->deepest;
    for (int i = 0; i < 5 && s->greedy; i++) {
        UNIT_QUICK(sla_cache_alloc(cache) == NULL); /* there is none, and we are not asked again */
        UNIT_QUICK(sla_malloc(PTRDIFF_MAX) == NULL);
    }
    if (s->count > 0)
        sla_cache_free(cache, s->objects[--s->count]);
    s->depth--;
    errno = 4711;
    return s->answer;
}

START_TEST(reclaim_at_the_limit)
{
    sla_cache_t *cache = _i & 1 ? make_built(3000, 0) : make(3000, 0);
    spare = (struct spare){.answer = 1, .greedy = _i >> 1};
    sla_cache_set_limit(cache, slab_bytes(cache));
    sla_cache_set_reclaim(cache, reclaim, &spare);
    size_t n = take_all(cache, objects, cache->store.kind.class.capacity);
    ck_assert_uint_eq(spare.calls, 0);
    while (spare.count < 7)
        spare.objects[spare.count++] = objects[--n];
    errno = SENTINEL_ERRNO;
    for (size_t i = 0; i < 7; i++) {
        ck_assert_ptr_nonnull(objects[n++] = sla_cache_alloc(cache));
        ck_assert_int_eq(errno, SENTINEL_ERRNO);
        ck_assert_uint_eq(spare.calls, i + 1);
    }
    ck_assert_ptr_null(sla_cache_alloc(cache)); /* it says yes, but there is nothing */
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_uint_eq(spare.calls, 8);
    spare.answer = 0;
    spare.objects[spare.count++] = objects[--n];
    errno = 0;
    ck_assert_ptr_null(sla_cache_alloc(cache));
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_ptr_nonnull(objects[n++] = sla_cache_alloc(cache)); /* it had freed one all the same */
    sla_cache_set_reclaim(cache, NULL, NULL);
    ck_assert_ptr_null(sla_cache_alloc(cache));
    ck_assert_uint_eq(spare.calls, 9);
    ck_assert_uint_eq(spare.deepest, 1);
    errno = 0;
    ck_assert_uint_eq(sla_cache_alloc_batch(cache, objects + n, 10), 0);
    ck_assert_int_eq(errno, ENOMEM);
    sla_cache_free_batch(cache, objects, n);
    end(cache);
}
END_TEST

/* --- memory is out --- */

static void no_memory(void)
{
    unit_refuse(SLAI_CALL_COMMIT, 1);
    unit_refuse(SLAI_CALL_RESERVE, 1);
}

static void *use_up(void)
{
    void *last = NULL, *p;
    for (size_t size = 60000; size >= 64; size /= 2)
        while (errno = SENTINEL_ERRNO, (p = sla_malloc(size)) != NULL) {
            UNIT_QUICK(errno == SENTINEL_ERRNO); /* however it was found */
            *(void **)p = last;
            last = p;
        }
    return last;
}

static void free_chain(void *last)
{
    for (void *p; last != NULL; last = p) {
        p = *(void **)last;
        sla_free(last);
    }
}

START_TEST(caches_help_in_need)
{
    sla_heap_t *heap = _i == 0 ? NULL : sla_heap_create("in need");
    sla_cache_t *kept = make_built(5000, 0), *unreaped = make(5000, SLA_CACHE_NO_REAP), *stable;
    stable = make(5000, SLA_CACHE_TYPE_STABLE);
    size_t slabs = stats_of(kept).slabs;
    ck_assert_uint_eq(take_all(kept, objects, 2000), 2000);
    slabs = stats_of(kept).slabs;
    sla_cache_free_batch(kept, objects, 2000);
    ck_assert_uint_eq(take_all(unreaped, objects, 1000), 1000);
    sla_cache_free_batch(unreaped, objects, 1000);
    ck_assert_uint_eq(take_all(stable, objects, 1000), 1000);
    sla_cache_free_batch(stable, objects, 1000);
    size_t other = stats_of(unreaped).slabs, third = stats_of(stable).slabs;
    sla_thread_idle();
    spare = (struct spare){.answer = 0};
    sla_cache_set_reclaim(unreaped, reclaim, &spare);
    ck_assert_int_eq(sla_heap_push(heap), 0);
    no_memory();
    void *chain = use_up();
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_uint_eq(spare.calls, 0);
    ck_assert_uint_lt(stats_of(kept).slabs, slabs / 4);
    ck_assert_uint_eq(stats_of(unreaped).slabs, other);
    ck_assert_uint_eq(stats_of(stable).slabs, third);
    sla_cache_set_reclaim(kept, reclaim, &spare);
    errno = 0;
    ck_assert_ptr_null(sla_malloc(support_size(60000)));
    ck_assert_int_eq(errno, ENOMEM); /* whatever the callback set it to */
    ck_assert_uint_eq(spare.calls, 1);
    ck_assert_ptr_nonnull(objects[0] = sla_cache_alloc(unreaped)); /* what it has is its own */
    unit_no_faults();
    free_chain(chain);
    sla_heap_pop();
    sla_heap_destroy(heap);
    sla_cache_set_reclaim(kept, NULL, NULL);
    sound(unreaped);
    unit_catch();
    ck_assert_int_eq(sla_cache_destroy(unreaped), -1);
    ck_assert_int_eq(errno, EBUSY);
    ck_assert_str_eq(unit_caught(), "slaballoc: cache_destroy: 1 object of cache 'unit' still allocated\n");
    ck_assert(unreaped->alive && unreaped->taken);
    sla_cache_free(unreaped, objects[0]);
    end(kept);
    end(stable);
    end(unreaped);
}
END_TEST

/* A destructor that allocates, while memory is sought: no deeper than that. */
static size_t depth, deepest;
static void allocating_end(void *object, void *arg)
{
    (void)object;
    (void)arg;
    deepest = ++depth > deepest ? depth : deepest;
    sla_free(sla_malloc(support_size(50000)));
    depth--;
}

START_TEST(destructors_that_allocate)
{
    sla_cache_t *cache = sla_cache_create("deep", 60000, 0, 0, NULL, allocating_end, NULL);
    depth = deepest = 0;
    ck_assert_uint_eq(take_all(cache, objects, 400), 400);
    sla_cache_free_batch(cache, objects, 400);
    sla_thread_idle();
    no_memory();
    void *chain = use_up();
    (void)sla_cache_reap(cache);
    unit_no_faults();
    ck_assert_uint_ge(deepest, 1);
    ck_assert_uint_le(deepest, 2);
    free_chain(chain);
    end(cache);
}
END_TEST

/* In a child, where the metadata is used up for good. */
static void without_metadata(void *arg)
{
    sla_cache_t *cache = arg, *all[SLA_CACHE_MOST], *last;
    size_t n = 0;
    no_memory();
    for (size_t size = 64; size <= 8192; size *= 2)
        while (slai_meta_take(size) != NULL)
            continue;
    while (slai_meta_keep(64) != NULL)
        continue;
    while ((last = sla_cache_create("no", 10, 0, 0, NULL, NULL, NULL)) != NULL)
        all[n++] = last; /* in places that were used before */
    CHILD_REQUIRE(errno == ENOMEM);
    CHILD_REQUIRE(sla_cache_alloc(cache) == NULL && errno == ENOMEM);
    unit_no_faults();
    CHILD_REQUIRE((last = sla_cache_create("yes", 10, 0, 0, NULL, NULL, NULL)) != NULL);
    CHILD_REQUIRE((objects[0] = sla_cache_alloc(cache)) != NULL);
    sla_cache_free(cache, objects[0]);
    CHILD_REQUIRE(sla_cache_destroy(cache) == 0 && sla_cache_destroy(last) == 0);
    while (n > 0)
        CHILD_REQUIRE(sla_cache_destroy(all[--n]) == 0);
    CHILD_REQUIRE(slai_check_heap() == NULL);
}

START_TEST(metadata_is_out)
{
    struct support_child child;
    sla_cache_t *cache = _i == 0 ? make(64, 0) : make_built(64, 0);
    support_run_child(without_metadata, cache, 30, &child);
    ck_assert_msg(child.exited && child.status == 0, "signal %d, %s", child.signal, child.errors);
    end(cache);
}
END_TEST

/* --- slabs that are their cache's alone --- */

START_TEST(kept_pages_are_not_purged)
{
    sla_cache_t *cache = _i == 0 ? make_built(40, 0) : make(40, SLA_CACHE_TYPE_STABLE);
    ck_assert_uint_eq(take_all(cache, objects, MANY), MANY);
    for (size_t i = 0; i < MANY; i++)
        support_fill((char *)objects[i] + 8, 32, i);
    for (size_t i = 0; i < MANY; i++) /* all but a few: whole pages of free ones */
        if (i % 1000 != 0)
            sla_cache_free(cache, objects[i]);
    slai_conf.purge_delay = 0;
    (void)sla_maintain();
    for (int i = 0; i < 1000; i++) {
        void *p = sla_malloc(support_size(3000));
        sla_free(p);
        sla_thread_idle();
    }
    (void)sla_maintain();
    (void)slai_idle_purge(slai_tcache);
    (void)slai_idle_purge_others();
    for (size_t i = 0; i < MANY; i++)
        if (i % 1000 == 0 || _i == 1) {
            UNIT_QUICK(support_matches((char *)objects[i] + 8, 32, i));
        }
    for (size_t i = 0; i < MANY; i++)
        if (i % 1000 == 0)
            sla_cache_free(cache, objects[i]);
    end(cache);
    ck_assert_uint_eq(made, ended);
}
END_TEST

/* --- several threads: figures, slabs of sleepers, forks --- */

static struct unit_turn turn;
static void *holds_some(void *arg)
{
    void *own[300];
    UNIT_EXPECT(sla_cache_alloc_batch(arg, own, 300) == 300);
    sla_cache_free_batch(arg, own + 100, 200);
    unit_pass(&turn);
    unit_await(&turn, 2);
    sla_cache_free_batch(arg, own, 100);
    return NULL;
}

START_TEST(figures_are_exact_at_rest)
{
    pthread_t thread;
    sla_cache_t *cache = _i == 0 ? make(300, 0) : make_built(300, 0);
    turn.now = 0;
    unit_thread(&thread, holds_some, cache);
    unit_await(&turn, 1);
    ck_assert_uint_eq(take_all(cache, objects, 50), 50);
    (void)sla_cache_reap(cache); /* parks the other; what is in its stack stays */
    sla_cache_stats_t st = stats_of(cache);
    ck_assert_uint_ge(st.live, 150);
    ck_assert_uint_le(st.live + st.cached, 350);
    unit_pass(&turn);
    unit_join(thread);
    ck_assert_uint_eq(stats_of(cache).live, 50);
    sla_cache_free_batch(cache, objects, 50);
    st = stats_of(cache);
    ck_assert_uint_eq(st.live, 0);
    end(cache);
    ck_assert_uint_eq(made, ended);
}
END_TEST

static atomic_int stop;
static void *makes_and_destroys(void *arg)
{
    sla_cache_t *cache = arg;
    void *own[60];
    while (!atomic_load(&stop)) {
        size_t n = sla_cache_alloc_batch(cache, own, 60);
        sla_cache_free_batch(cache, own, n);
        (void)sla_cache_reap(cache);
    }
    return NULL;
}

/* In a child, what is charged is what the slabs take, whatever other threads were about. */
START_TEST(quotas_after_a_fork)
{
    pthread_t threads[2];
    sla_cache_t *cache = _i == 0 ? make(9000, 0) : make_built(9000, 0);
    atomic_store(&stop, 0);
    for (int i = 0; i < 2; i++)
        unit_thread(&threads[i], makes_and_destroys, cache);
    for (size_t i = 0; i < support_scaled(100); i++) {
        int status = 0;
        usleep((unsigned)i % 7 * 50);
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
            sla_cache_stats_t st;
            int right = sla_cache_stats(cache, &st, sizeof(st)) == 0 && st.bytes == cache->store.kind.quota.used &&
                        slai_check_heap() == NULL;
            _exit(right ? 0 : 1);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < 2; i++)
        unit_join(threads[i]);
    end(cache);
}
END_TEST

/* A fork handler that runs between ours may make a cache: its depot's lock was not taken, and is not given up. */
START_TEST(made_between_fork_handlers)
{
    sla_cache_t *cache;
    size_t before = 0;
    uint32_t end_of_all;
    do { /* no place of an earlier cache is left: it gets a new one */
        end_of_all = slai_object_end;
        objects[before++] = make(100, 0);
    } while (slai_object_end == end_of_all);
    slai_objcaches_lock();
    slai_depot_lock_all();
    slai_fork_begin();
    cache = make(200, 0);
    sla_cache_free(cache, sla_cache_alloc(cache));
    slai_lock(&slai_depot_of(cache->class)->lock); /* as if by another thread */
    slai_fork_end();
    slai_depot_unlock_all();
    slai_objcaches_unlock();
    ck_assert_uint_eq(slai_depot_of(cache->class)->lock.state, SLAI_LOCK_HELD);
    slai_lock_reset(&slai_depot_of(cache->class)->lock);
    end(cache);
    while (before > 0)
        end(objects[--before]);
}
END_TEST

/* --- regions beyond the first --- */

static void in_many_regions(void)
{
    sla_cache_t *caches[4];
    size_t sizes[4] = {64, 3000, 70000, 500000}, counts[4] = {3000, 1500, 200, 40}, n = 0;
    slai_fault.limit = 40 * MIB; /* a region is no larger */
    for (size_t c = 0; c < 4; c++) {
        caches[c] = sla_cache_create("far", sizes[c], 0, c == 1 ? SLA_CACHE_DEBUG : 0, c == 2 ? set_up : NULL, NULL,
                                     NULL);
        for (size_t i = 0; i < counts[c]; i++) {
            CHILD_REQUIRE((objects[n] = sla_cache_alloc(caches[c])) != NULL);
            support_fill(objects[n], sizes[c], n);
            n++;
        }
    }
    CHILD_REQUIRE(slai_region_count > 1 && slai_check_heap() == NULL);
    n = 0;
    for (size_t c = 0; c < 4; c++) {
        sla_cache_stats_t st;
        CHILD_REQUIRE(sla_cache_stats(caches[c], &st, sizeof(st)) == 0 && st.live == counts[c]);
        for (size_t i = 0; i < counts[c]; i++, n++) {
            CHILD_REQUIRE(support_matches(objects[n], sizes[c], n));
            CHILD_REQUIRE(sla_cache_of(objects[n]) == caches[c]);
            if (i % 2 == 0)
                sla_cache_free(caches[c], objects[n]);
            else
                sla_free(objects[n]);
        }
        CHILD_REQUIRE(sla_cache_alloc_batch(caches[c], objects, 20) == 20);
        sla_cache_free_batch(caches[c], objects, 20);
        CHILD_REQUIRE(sla_cache_destroy(caches[c]) == 0);
    }
    CHILD_REQUIRE(slai_check_heap() == NULL);
}

START_TEST(many_regions)
{
    struct support_child child;
    support_run_self("regions", "SLABALLOC_CONF", NULL, &child);
    ck_assert_msg(child.exited && child.status == 0, "signal %d, %s", child.signal, child.errors);
}
END_TEST

static int count_destroyed;
static int build_one(void *object, void *arg)
{
    (void)object;
    (void)arg;
    return 0;
}
static void unbuild_one(void *object, void *arg)
{
    (void)object;
    (void)arg;
    count_destroyed++;
}

/* Slabs that will be due are told of, go when they are, and then there is nothing to wait for. */
START_TEST(maintain_waits_for_slabs_at_rest)
{
    sla_cache_t *cache = sla_cache_create("rest", 4000, 0, 0, build_one, unbuild_one, NULL);
    size_t n = 100;
    ck_assert_uint_eq(take_all(cache, objects, n), n);
    while (n > 0)
        sla_cache_free(cache, objects[--n]);
    sla_thread_idle();
    ck_assert_uint_ge(stats_of(cache).slabs, 4);
    ck_assert_int_eq(sla_option_set("purge_delay", 100000), 0);
    ck_assert_int_ge(sla_maintain(), 0);
    ck_assert_int_eq(count_destroyed, 0);
    ck_assert_int_eq(sla_option_set("purge_delay", 1), 0);
    unit_sleep(5);
    (void)sla_maintain();
    ck_assert_int_gt(count_destroyed, 0);
    ck_assert_uint_eq(stats_of(cache).slabs, 1);
    ck_assert_int_eq(sla_option_set("purge_delay", -1), 0);
    end(cache);
    ck_assert_uint_ge((size_t)count_destroyed, 100);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "regions") == 0) {
        in_many_regions();
        return 0;
    }
    Suite *suite = suite_create("objcache");
    TCase *tc = unit_case(suite, "objcache");
    tcase_add_loop_test(tc, limit_is_kept_to_a_slab, 0, (int)ARRAY_LEN(limit_sizes));
    tcase_add_loop_test(tc, reclaim_at_the_limit, 0, 4);
    tcase_add_loop_test(tc, caches_help_in_need, 0, 2); /* the default heap, and another */
    tcase_add_test(tc, destructors_that_allocate);
    tcase_add_loop_test(tc, metadata_is_out, 0, 2);
    tcase_add_loop_test(tc, kept_pages_are_not_purged, 0, 2);
    tcase_add_loop_test(tc, figures_are_exact_at_rest, 0, 2);
    if (!SUPPORT_TSAN)
        tcase_add_loop_test(tc, quotas_after_a_fork, 0, 2);
    tcase_add_test(tc, maintain_waits_for_slabs_at_rest);
    tcase_add_test(tc, made_between_fork_handlers);
    tcase_add_test(tc, many_regions);
    return support_main(suite);
}
