/*
 * test_thread.c: caches' birth and death, and threads that have none.
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "cache/depot.h"
#include "cache/remote.h"
#include "heap/meta.h"

/* --- ends --- */

static struct leaver {
    struct slai_tcache *tc;
    void *blocks[20];
    size_t size;
} leaver;

static void *leave_blocks(void *arg)
{
    struct leaver *self = arg;
    UNIT_EXPECT(!slai_has_cache(slai_tcache));
    for (size_t i = 0; i < ARRAY_LEN(self->blocks); i++) {
        UNIT_EXPECT((self->blocks[i] = sla_malloc(self->size)) != NULL);
        support_fill(self->blocks[i], self->size, i);
    }
    self->tc = slai_tcache;
    UNIT_EXPECT(slai_has_cache(self->tc) && self->tc->live);
    return NULL;
}

START_TEST(slabs_go_to_the_depot)
{
    static const size_t sizes[] = {8, 64, 500, 5000, 32768};
    leaver.size = sizes[_i];
    sla_thread_idle();
    unit_in_thread(leave_blocks, &leaver);
    ck_assert(!leaver.tc->live);
    ck_assert_ptr_eq(leaver.tc->inbox, SLAI_INBOX_CLOSED);
    unit_sound();
    struct slai_span *first = slai_slab_of(leaver.blocks[0]);
    for (size_t i = 0; i < ARRAY_LEN(leaver.blocks); i++) {
        struct slai_span *s = slai_slab_of(leaver.blocks[i]);
        ck_assert_ptr_null(s->owner);
        ck_assert(support_matches(leaver.blocks[i], leaver.size, i));
    }
    /* Their free blocks are the next thread's. */
    if (!slai_slab_full(slai_slab_of(leaver.blocks[19]))) {
        void *p = sla_malloc(leaver.size);
        struct slai_tcache *owns = slai_slab_of(p)->owner;
        ck_assert(owns == slai_tcache || owns == NULL); /* adopted, or lent by the depot */
        ck_assert(slai_slab_of(p) == slai_slab_of(leaver.blocks[19]) || slai_slab_of(p) == first);
        sla_free(p);
    }
    for (size_t i = 0; i < ARRAY_LEN(leaver.blocks); i++)
        sla_free(leaver.blocks[i]);
}
END_TEST

static void *use_and_free(void *arg)
{
    size_t scale = *(size_t *)arg;
    static _Thread_local void *p[3000];
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        p[i] = sla_malloc(1 + i % 60 * scale);
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        sla_free(p[i]);
    return NULL;
}

START_TEST(nothing_is_left_behind)
{
    size_t scale = (size_t)_i;
    sla_free(sla_malloc(support_size(1))); /* this thread's own cache is there */
    sla_thread_idle();
    for (int i = 0; i < 25; i++) /* until the free pages lie as they will */
        unit_in_thread(use_and_free, &scale);
    sla_stats_t before = unit_stats();
    for (int i = 0; i < 25; i++)
        unit_in_thread(use_and_free, &scale);
    sla_stats_t after = unit_stats();
    ck_assert_uint_eq(after.live, before.live);
    ck_assert_uint_eq(after.slabs, before.slabs);
    ck_assert_uint_eq(after.metadata, before.metadata); /* caches and grown stacks are used again */
    ck_assert_uint_eq(after.threads, before.threads);
}
END_TEST

static void *own_address(void *arg)
{
    struct slai_tcache **out = arg;
    sla_free(sla_malloc(support_size(32)));
    *out = slai_tcache;
    /* A cache used before is as good as new. */
    for (unsigned c = slai_open_after(*out, 0); c != SLAI_NO_CLASS; c = slai_open_after(*out, c)) {
        UNIT_EXPECT((size_t)((*out)->stacks[c].limit - (*out)->bins[c].base) == slai_classes[c].limit_first);
        UNIT_EXPECT(slai_stack_count(*out, c) <= 4);
    }
    UNIT_EXPECT((*out)->inbox == NULL);
    return NULL;
}

START_TEST(caches_are_used_again)
{
    struct slai_tcache *first, *second;
    unit_in_thread(own_address, &first);
    unit_in_thread(use_and_free, &(size_t){3});
    unit_in_thread(own_address, &second);
    ck_assert_ptr_eq(first, second);
}
END_TEST

static void count_caches(struct slai_tcache *tc, void *arg)
{
    (void)tc;
    ++*(size_t *)arg;
}

static size_t caches(void)
{
    size_t n = 0;
    slai_threads_visit(count_caches, &n);
    return n;
}

static void *stay(void *arg)
{
    struct unit_turn *turn = arg;
    sla_free(sla_malloc(support_size(32)));
    unit_pass(turn);
    unit_await(turn, 100);
    return NULL;
}

START_TEST(caches_in_use_are_visited)
{
    struct unit_turn turn = {0};
    pthread_t threads[5];
    sla_free(sla_malloc(support_size(32)));
    size_t before = caches();
    for (int i = 0; i < 5; i++)
        unit_thread(&threads[i], stay, &turn);
    unit_await(&turn, 5);
    ck_assert_uint_eq(caches(), before + 5);
    ck_assert_uint_eq(unit_stats().threads, before + 5);
    atomic_store(&turn.now, 100);
    for (int i = 0; i < 5; i++)
        unit_join(threads[i]);
    ck_assert_uint_eq(caches(), before);
}
END_TEST

/* --- after the end: a later destructor allocates --- */

static pthread_key_t late_key; /* made after the library's, so its destructor runs after the library's */
static void *kept;
static int ends;

static void at_the_very_end(void *value)
{
    void *p[50];
    (void)value;
    UNIT_EXPECT((const void *)slai_tcache == &slai_dead);
    errno = SENTINEL_ERRNO;
    for (size_t i = 0; i < ARRAY_LEN(p); i++) {
        size_t size = i * i * 20;
        UNIT_EXPECT((p[i] = sla_malloc(size)) != NULL);
        support_fill(p[i], size, i);
    }
    UNIT_EXPECT(slai_shared_used());
    for (size_t i = 0; i < ARRAY_LEN(p); i++) {
        UNIT_EXPECT(support_matches(p[i], i * i * 20, i));
        p[i] = sla_realloc(p[i], i * i * 20 + 100);
        UNIT_EXPECT(p[i] != NULL);
    }
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        sla_free(p[i]);
    unsigned char *zeroes = sla_calloc(3, 100);
    UNIT_EXPECT(zeroes != NULL && support_is_zero(zeroes, 300));
    void *aligned = sla_aligned_alloc(256, support_size(1000));
    UNIT_EXPECT(aligned != NULL && ((uintptr_t)aligned & 255) == 0);
    sla_free(aligned);
    sla_free(zeroes);
    sla_free(kept); /* a block of another thread's slab */
    kept = sla_malloc(support_size(77));
    sla_thread_idle(); /* nothing of its own: nothing happens */
    UNIT_EXPECT(errno == SENTINEL_ERRNO);
    UNIT_EXPECT((const void *)slai_tcache == &slai_dead); /* no new cache, which would leak */
    ends++;
}

static void *with_a_late_destructor(void *arg)
{
    (void)arg;
    UNIT_EXPECT(pthread_setspecific(late_key, &late_key) == 0);
    sla_free(sla_malloc(support_size(100)));
    return NULL;
}

START_TEST(dead_threads_share_a_cache)
{
    ck_assert_int_eq(pthread_key_create(&late_key, at_the_very_end), 0);
    kept = sla_malloc(55);
    ends = 0;
    size_t before = caches() - slai_shared_used();
    for (int i = 0; i < 5; i++)
        unit_in_thread(with_a_late_destructor, NULL);
    ck_assert_int_eq(ends, 5);
    ck_assert_uint_eq(caches(), before + 1);
    sla_free(kept);
    unit_sound();
    /* Trimming empties the shared cache too. */
    (void)sla_trim(0);
    struct slai_tcache *shared = slai_shared_lock();
    ck_assert_ptr_nonnull(shared);
    for (unsigned c = 1; c < SLAI_CLASSES; c++)
        ck_assert_uint_eq(slai_stack_count(shared, c), 0);
    slai_shared_unlock();
    ck_assert_int_eq(pthread_key_delete(late_key), 0);
}
END_TEST

/* --- fresh processes: what is refused at the start --- */

#define KEYS 16
static pthread_key_t foreign_keys[KEYS];

/* Another library's thread-local values; without a hook of ours, theirs must stay what they are. */
static void *without_hook(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < KEYS; i++)
        CHILD_REQUIRE(pthread_setspecific(foreign_keys[i], &foreign_keys[i]) == 0);
    errno = SENTINEL_ERRNO;
    for (size_t size = 1; size < 100000; size = size * 3 / 2 + 1) {
        unsigned char *p = sla_malloc(size);
        CHILD_REQUIRE(p != NULL && errno == SENTINEL_ERRNO);
        memset(p, 1, size);
        p = sla_realloc(p, size * 2);
        CHILD_REQUIRE(p != NULL && p[size - 1] == 1);
        sla_free(p);
    }
    CHILD_REQUIRE(errno == SENTINEL_ERRNO);
    for (size_t i = 0; i < KEYS; i++)
        CHILD_REQUIRE(pthread_getspecific(foreign_keys[i]) == &foreign_keys[i]);
    CHILD_REQUIRE((const void *)slai_tcache == &slai_dead);
    return NULL;
}

static void in_threads(void *(*function)(void *), int count)
{
    pthread_t threads[8];
    for (int i = 0; i < count; i++)
        CHILD_REQUIRE(pthread_create(&threads[i], NULL, function, NULL) == 0);
    for (int i = 0; i < count; i++)
        CHILD_REQUIRE(pthread_join(threads[i], NULL) == 0);
}

static void no_key(void)
{
    for (size_t i = 0; i < KEYS; i++)
        CHILD_REQUIRE(pthread_key_create(&foreign_keys[i], NULL) == 0);
    unit_refuse(SLAI_CALL_KEY, 1);
    errno = SENTINEL_ERRNO;
    void *p = sla_malloc(support_size(100));
    CHILD_REQUIRE(p != NULL && errno == SENTINEL_ERRNO);
    CHILD_REQUIRE(slai_fault.seen[SLAI_CALL_KEY] == 1);
    sla_free(p);
    for (int i = 0; i < 3; i++)
        in_threads(without_hook, 4);
    without_hook(NULL);
    CHILD_REQUIRE(caches() == 1);
    (void)sla_trim(0);
    sla_stats_t stats;
    CHILD_REQUIRE(sla_stats_get(&stats, sizeof(stats)) == 0 && stats.live == 0);
    CHILD_REQUIRE(slai_check_heap() == NULL);
}

static void *cacheless;

static void *without_cache(void *arg)
{
    (void)arg;
    errno = 0;
    CHILD_REQUIRE(sla_malloc(support_size(10)) == NULL && errno == ENOMEM);
    errno = 0;
    CHILD_REQUIRE(sla_calloc(1, support_size(10)) == NULL && errno == ENOMEM);
    errno = SENTINEL_ERRNO;
    sla_free(cacheless); /* lost, quietly */
    CHILD_REQUIRE(errno == SENTINEL_ERRNO);
    CHILD_REQUIRE(!slai_has_cache(slai_tcache));
    unit_no_faults();
    errno = SENTINEL_ERRNO;
    void *p = sla_malloc(support_size(10)); /* the next try */
    CHILD_REQUIRE(p != NULL && errno == SENTINEL_ERRNO);
    CHILD_REQUIRE(slai_has_cache(slai_tcache));
    sla_free(p);
    return NULL;
}

static void *without_trouble(void *arg)
{
    (void)arg;
    sla_free(sla_malloc(support_size(10)));
    CHILD_REQUIRE(slai_has_cache(slai_tcache));
    return NULL;
}

static void drain_meta(size_t size)
{
    while (slai_meta_take(size) != NULL)
        continue;
}

static void no_metadata(void)
{
    cacheless = sla_malloc(200);
    unit_refuse(SLAI_CALL_RESERVE, 1);
    unit_refuse(SLAI_CALL_COMMIT, 1);
    drain_meta(sizeof(struct slai_tcache));
    drain_meta(4096);
    drain_meta(64);
    in_threads(without_cache, 1);
    CHILD_REQUIRE(slai_check_heap() == NULL);
    in_threads(without_trouble, 2);
}

static const struct mode {
    const char *name;
    void (*function)(void);
} modes[] = {{"no_key", no_key}, {"no_metadata", no_metadata}};

START_TEST(refused_at_the_start)
{
    struct support_child child;
    /* What allocates as the first key is made would have the library's before it. */
    support_run_self(modes[_i].name, "SLABALLOC_TEST_REENTER", "0", &child);
    ck_assert_msg(child.exited && child.status == 0, "%s: signal %d, %s", modes[_i].name, child.signal, child.errors);
}
END_TEST

/* --- sleepers --- */

#define HELD 300
#define HELD_SIZE 400
static struct sleeper {
    struct unit_turn turn;
    struct slai_tcache *tc;
    void *blocks[HELD];
} sleeper;

static void *sleep_and_wake(void *arg)
{
    struct sleeper *self = arg;
    for (size_t i = 0; i < HELD; i++) {
        UNIT_EXPECT((self->blocks[i] = sla_malloc(HELD_SIZE)) != NULL);
        support_fill(self->blocks[i], HELD_SIZE, i);
    }
    self->tc = slai_tcache;
    unit_pass(&self->turn);
    unit_await(&self->turn, 2);
    for (size_t i = 0; i < HELD; i += 2) {
        UNIT_EXPECT(support_matches(self->blocks[i], HELD_SIZE, i));
        sla_free(self->blocks[i]);
        UNIT_EXPECT((self->blocks[i] = sla_malloc(HELD_SIZE)) != NULL);
        support_fill(self->blocks[i], HELD_SIZE, i);
    }
    sla_thread_idle(); /* a slow path */
    UNIT_EXPECT(!self->tc->parked);
    for (size_t i = 0; i < HELD; i++) {
        UNIT_EXPECT(support_matches(self->blocks[i], HELD_SIZE, i));
        sla_free(self->blocks[i]);
    }
    return NULL;
}

static void *doze(void *arg)
{
    struct unit_turn *turn = arg;
    void *p = sla_malloc(HELD_SIZE);
    unit_pass(turn);
    unit_await(turn, 2);
    sla_free(p);
    return NULL;
}

static pthread_t fall_asleep(void)
{
    pthread_t thread;
    memset(&sleeper, 0, sizeof(sleeper));
    unit_thread(&thread, sleep_and_wake, &sleeper);
    unit_await(&sleeper.turn, 1);
    return thread;
}

static void wake(pthread_t thread)
{
    unit_pass(&sleeper.turn);
    unit_join(thread);
}

static struct slai_tcache *owner_of(void *block) { return slai_load_acquire(&slai_slab_of(block)->owner); }

/* A thread that grows takes over what a sleeper could have lent it, and what others have freed for it. */
START_TEST(sleepers_lend_their_slabs)
{
    static void *grown[2 * SLAI_CLASSES * 64];
    size_t n = 0;
    sla_thread_idle();
    pthread_t thread = fall_asleep();
    size_t before = slai_load_relaxed(&slai_slabs_made);
    ck_assert_ptr_eq(owner_of(sleeper.blocks[HELD - 1]), sleeper.tc);
    for (size_t i = 1; i < HELD; i += 2)
        sla_free(sleeper.blocks[i]); /* to its inbox */
    sla_thread_idle();
    /* Less than the threshold leaves it alone; growth beyond it does not. */
    for (; slai_load_relaxed(&slai_slabs_made) - before < 2 * slai_load_relaxed(&slai_growth.every) + 2; n++) {
        ck_assert_uint_lt(n, ARRAY_LEN(grown));
        ck_assert_ptr_nonnull(grown[n] = sla_malloc(8000));
        if (slai_load_relaxed(&slai_slabs_made) - before < 8)
            ck_assert(!sleeper.tc->parked);
    }
    ck_assert(sleeper.tc->parked);
    ck_assert_ptr_null(slai_load_relaxed(&sleeper.tc->inbox));
    unit_sound();
    /* The blocks that it held are free for us without a new slab. */
    before = slai_load_relaxed(&slai_slabs_made);
    for (size_t i = 1; i < HELD; i += 2) {
        ck_assert_ptr_nonnull(sleeper.blocks[i] = sla_malloc(HELD_SIZE));
        support_fill(sleeper.blocks[i], HELD_SIZE, i);
    }
    ck_assert_uint_eq(slai_load_relaxed(&slai_slabs_made), before);
    ck_assert_ptr_eq(owner_of(sleeper.blocks[HELD - 1]), slai_tcache);
    wake(thread);
    while (n > 0)
        sla_free(grown[--n]);
    unit_sound();
}
END_TEST

START_TEST(trim_parks_all_others)
{
    pthread_t thread = fall_asleep(), other;
    struct unit_turn turn = {0};
    unit_thread(&other, doze, &turn);
    unit_await(&turn, 1);
    (void)sla_trim(0);
    ck_assert(sleeper.tc->parked); /* and not the latest alone */
    unit_pass(&turn);
    unit_join(other);
    ck_assert_ptr_null(owner_of(sleeper.blocks[0]));
    ck_assert(!((struct slai_tcache *)slai_tcache)->parked);
    /* Late frees find the depot; those that were on their way to the inbox are found by the next. */
    for (size_t i = 1; i < HELD; i += 2)
        sla_free(sleeper.blocks[i]);
    sla_thread_idle();
    ck_assert_ptr_null(slai_load_relaxed(&sleeper.tc->inbox));
    for (size_t i = 1; i < HELD; i += 2) {
        ck_assert_ptr_nonnull(sleeper.blocks[i] = sla_malloc(HELD_SIZE));
        support_fill(sleeper.blocks[i], HELD_SIZE, i);
    }
    unit_sound();
    wake(thread);
}
END_TEST

/* A thread that took a slow path since slabs were made is awake. */
START_TEST(who_works_is_awake)
{
    sla_thread_idle();
    slai_add_relaxed(&slai_slabs_made, 7);
    ck_assert_uint_ne(slai_tcache->seen, slai_slabs_made);
    sla_thread_idle();
    ck_assert_uint_eq(slai_tcache->seen, slai_slabs_made);
}
END_TEST

/* Before an allocation fails, what sleepers could lend is taken. */
START_TEST(sleepers_help_in_need)
{
    pthread_t thread = fall_asleep();
    size_t every = slai_growth.every;
    void *last = NULL, *p;
    for (size_t i = 1; i < HELD; i += 2)
        sla_free(sleeper.blocks[i]);
    sla_thread_idle();
    slai_growth.every = SIZE_MAX / 4; /* not before */
    unit_refuse(SLAI_CALL_COMMIT, 1);
    unit_refuse(SLAI_CALL_RESERVE, 1);
    size_t theirs = 0;
    errno = SENTINEL_ERRNO;
    while ((p = sla_malloc(HELD_SIZE)) != NULL) {
        theirs += slai_slab_of(p) == slai_slab_of(sleeper.blocks[0]);
        UNIT_QUICK(errno == SENTINEL_ERRNO);
        *(void **)p = last;
        last = p;
    }
    ck_assert_int_eq(errno, ENOMEM);
    unit_no_faults();
    slai_growth.every = every;
    ck_assert(sleeper.tc->parked);
    ck_assert_uint_ge(theirs, 40); /* of its first slab, which holds 157 and half of whose 150 were freed */
    for (; last != NULL; last = p) {
        p = *(void **)last;
        sla_free(last);
    }
    for (size_t i = 1; i < HELD; i += 2) {
        ck_assert_ptr_nonnull(sleeper.blocks[i] = sla_malloc(HELD_SIZE));
        support_fill(sleeper.blocks[i], HELD_SIZE, i);
    }
    wake(thread);
}
END_TEST

/* Threads that grow together are awake, however many. */
START_TEST(threshold_grows_with_the_threads)
{
    size_t one = slai_load_relaxed(&slai_growth.every);
    pthread_t thread = fall_asleep();
    ck_assert_uint_ge(slai_load_relaxed(&slai_growth.every), one);
    ck_assert_uint_ge(one, 16);
    wake(thread);
    ck_assert_uint_eq(slai_load_relaxed(&slai_growth.every), one);
}
END_TEST

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < ARRAY_LEN(modes); i++) {
        if (strcmp(argv[1], modes[i].name) == 0) {
            modes[i].function();
            return 0;
        }
    }
    Suite *suite = suite_create("thread");
    TCase *tc = unit_case(suite, "thread");
    tcase_add_loop_test(tc, slabs_go_to_the_depot, 0, 5);
    tcase_add_loop_test(tc, nothing_is_left_behind, 1, 6);
    tcase_add_test(tc, caches_are_used_again);
    tcase_add_test(tc, caches_in_use_are_visited);
    tcase_add_test(tc, dead_threads_share_a_cache);
    tcase_add_test(tc, sleepers_lend_their_slabs);
    tcase_add_test(tc, trim_parks_all_others);
    tcase_add_test(tc, who_works_is_awake);
    tcase_add_test(tc, sleepers_help_in_need);
    tcase_add_test(tc, threshold_grows_with_the_threads);
    tcase_add_loop_test(tc, refused_at_the_start, 0, (int)ARRAY_LEN(modes));
    return support_main(suite);
}
