/*
 * test_exit.c: the ends and beginnings of threads: blocks that outlive their
 * thread, allocation in destructors before and after the library's own, many
 * keys, and every entry point as the first call of a thread or process.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <pthread.h>

/* What others freed for this thread is on its way until the thread takes it in. */
static size_t live(void)
{
    sla_stats_t stats;
    sla_thread_idle();
    if (sla_stats_get(&stats, sizeof(stats)) != 0)
        return 0;
    return stats.live;
}

static void run_thread(void *(*function)(void *), void *arg)
{
    pthread_t thread;
    CHILD_REQUIRE(pthread_create(&thread, NULL, function, arg) == 0);
    CHILD_REQUIRE(pthread_join(thread, NULL) == 0);
}

static void check_child(const struct support_child *child)
{
    ck_assert_msg(child->exited && child->status == 0, "status %d, signal %d: %s", child->status,
                  child->signal, child->errors);
}

/* --- destructors --- */

#define KEYS 64
/* POSIX promises four; thread sanitizer ends its part of the thread in the fourth, before we do. */
#define ROUNDS (SUPPORT_TSAN ? 3u : 4u)
static pthread_key_t keys[KEYS];
static __thread unsigned rounds_seen;

/* Frees what it has and, until the last round that POSIX promises, leaves something for the next. */
static void destroy(void *value)
{
    unsigned char *block = value;
    size_t index = block[0];
    if (!support_matches(block + 8, 56, index))
        support_child_fail(__FILE__, __LINE__, "contents kept until the destructor");
    sla_free(block);
    void *other = sla_calloc(3, 100 + index * 40);
    CHILD_REQUIRE(other != NULL && support_is_zero(other, 300 + index * 120));
    sla_free(sla_realloc(other, 5000));
    if (++rounds_seen > (ROUNDS - 1) * KEYS)
        return;
    block = sla_malloc(64);
    CHILD_REQUIRE(block != NULL);
    block[0] = (unsigned char)index;
    support_fill(block + 8, 56, index);
    pthread_setspecific(keys[index], block);
}

static void *set_all_keys(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < KEYS; i++) {
        unsigned char *block = sla_malloc(64);
        CHILD_REQUIRE(block != NULL);
        block[0] = (unsigned char)i;
        support_fill(block + 8, 56, i);
        pthread_setspecific(keys[i], block);
    }
    return NULL;
}

static void many_destructors(void *arg)
{
    size_t threads = support_scaled(400), before, warm = 0, mappings = 0;
    (void)arg;
    for (size_t i = 0; i < KEYS; i++)
        CHILD_REQUIRE(pthread_key_create(&keys[i], destroy) == 0);
    sla_free(sla_malloc(1));
    before = live();
    for (size_t i = 0; i < threads; i++) {
        run_thread(set_all_keys, NULL);
        if (i == threads / 4) {
            warm = support_rss_kib();
            mappings = support_mappings();
        }
    }
    CHILD_REQUIRE(live() == before);
    CHILD_REQUIRE(!SUPPORT_MEMORY_IS_PLAIN || support_rss_kib() <= warm + 512);
    CHILD_REQUIRE(!SUPPORT_MEMORY_IS_PLAIN || support_mappings() <= mappings + 3);
}

/* Keys made after the library's own: their destructors run after it too. */
START_TEST(destructors_after_ours)
{
    struct support_child child;
    sla_free(sla_malloc(1));
    support_run_child(many_destructors, NULL, 60, &child);
    check_child(&child);
}
END_TEST

/* Keys made before the first allocation of the process, more than glibc keeps room for in the thread. */
START_TEST(destructors_before_ours)
{
    struct support_child child;
    support_run_self("keys", NULL, NULL, &child);
    check_child(&child);
}
END_TEST

/* A thread whose only use of the heap is in its destructors. */
static void *set_foreign_blocks(void *arg)
{
    void **blocks = arg;
    for (size_t i = 0; i < KEYS; i++)
        pthread_setspecific(keys[i], blocks[i]);
    return NULL;
}

static void destroy_only(void *value)
{
    sla_free(value);
}

static void destructors_of_free_only_threads(void *arg)
{
    static void *blocks[KEYS];
    (void)arg;
    for (size_t i = 0; i < KEYS; i++)
        CHILD_REQUIRE(pthread_key_create(&keys[i], destroy_only) == 0);
    size_t before = live();
    for (size_t n = 0; n < support_scaled(500); n++) {
        for (size_t i = 0; i < KEYS; i++)
            blocks[i] = sla_malloc(i % 16 == 0 ? 50000 : 8 << i % 10);
        run_thread(set_foreign_blocks, blocks);
    }
    CHILD_REQUIRE(live() == before);
}

START_TEST(destructors_are_the_only_use)
{
    struct support_child child;
    support_run_child(destructors_of_free_only_threads, NULL, 60, &child);
    check_child(&child);
}
END_TEST

/* --- blocks that outlive their thread --- */

#define LEFT 3000
static struct support_block left[LEFT];

static void *leave(void *arg)
{
    struct support_rng rng;
    support_seed(&rng, (uint64_t)(uintptr_t)arg);
    for (size_t i = 0; i < LEFT; i++) {
        size_t size = support_random_size(&rng);
        left[i] = (struct support_block){sla_malloc(size), size, support_next(&rng)};
        support_fill(left[i].start, size, left[i].seed);
    }
    return NULL;
}

static void *free_left(void *arg)
{
    size_t start = (size_t)(uintptr_t)arg;
    for (size_t i = start; i < LEFT; i += 2) {
        CHILD_REQUIRE(support_matches(left[i].start, left[i].size, left[i].seed));
        sla_free(left[i].start);
    }
    return NULL;
}

START_TEST(blocks_outlive_their_thread)
{
    size_t before = live();
    for (uintptr_t round = 0; round < 10; round++) {
        pthread_t threads[2];
        run_thread(leave, (void *)(round + 1));
        ck_assert(support_disjoint(left, LEFT));
        for (size_t i = 0; i < 2; i++)
            ck_assert_int_eq(pthread_create(&threads[i], NULL, free_left, (void *)i), 0);
        for (size_t i = 0; i < 2; i++)
            ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        ck_assert_uint_eq(live(), before);
    }
}
END_TEST

/* Slabs of a thread that is gone are used again, not added to. */
START_TEST(orphaned_slabs_are_adopted)
{
    sla_stats_t stats;
    size_t most = 0;
    for (uintptr_t round = 0; round < 60; round++) {
        run_thread(leave, (void *)(round + 1));
        /* Every 50th stays: no slab becomes empty. */
        for (size_t i = 0; i < LEFT; i++)
            if (i % 50 != 0)
                sla_free(left[i].start);
        for (size_t i = 0; i < LEFT; i += 50)
            if (left[i].size > 300)
                sla_free(left[i].start);
        ck_assert_int_eq(sla_stats_get(&stats, sizeof(stats)), 0);
        if (round == 20)
            most = stats.slabs;
    }
    ck_assert_msg(stats.slabs <= most + 2 * MIB, "slabs went from %zu to %zu bytes", most, stats.slabs);
}
END_TEST

static void *work_and_exit(void *arg)
{
    (void)leave((void *)(uintptr_t)5);
    (void)arg;
    for (size_t i = 0; i < LEFT; i++)
        sla_free(left[i].start);
    pthread_exit(NULL);
}

START_TEST(pthread_exit_ends_it_too)
{
    size_t before = live();
    for (int i = 0; i < 20; i++)
        run_thread(work_and_exit, NULL);
    ck_assert_uint_eq(live(), before);
}
END_TEST

/* --- every call as the first --- */

static void *handed; /* a block of the main thread, or NULL */

static void first_malloc(void) { sla_free(sla_malloc(100)); }
static void first_calloc(void) { sla_free(sla_calloc(10, 10)); }
static void first_realloc_null(void) { sla_free(sla_realloc(NULL, 100)); }
static void first_reallocarray(void) { sla_free(sla_reallocarray(NULL, 10, 10)); }
static void first_aligned(void) { sla_free(sla_aligned_alloc(4096, 100)); }
static void first_memalign(void) { sla_free(sla_memalign(64, 100)); }
static void first_free_null(void) { sla_free(NULL); }
static void first_free_sized_null(void) { sla_free_sized(NULL, 8); }
static void first_good_size(void) { CHILD_REQUIRE(sla_good_size(100) >= 100); }
static void first_owns(void) { CHILD_REQUIRE(sla_owns(&handed) == 0); }
static void first_usable_null(void) { CHILD_REQUIRE(sla_usable_size(NULL) == 0); }
static void first_trim(void) { (void)sla_trim(0); }
static void first_maintain(void) { (void)sla_maintain(); }
static void first_idle(void) { sla_thread_idle(); }
static void first_version(void) { CHILD_REQUIRE(sla_version()[0] != '\0'); }
static void first_large(void) { sla_free(sla_malloc(3 * MIB)); }
static void first_impossible(void)
{
    CHILD_REQUIRE(sla_malloc(support_size(SIZE_MAX)) == NULL && errno == ENOMEM);
}
static void first_bad_alignment(void) { CHILD_REQUIRE(sla_aligned_alloc(support_size(3), 1) == NULL); }

static void first_posix(void)
{
    void *out = NULL;
    CHILD_REQUIRE(sla_posix_memalign(&out, 64, 100) == 0);
    sla_free(out);
}

static void first_options(void)
{
    long value = 0;
    CHILD_REQUIRE(sla_option_get("purge_delay", &value) == 0);
    CHILD_REQUIRE(sla_option_set("purge_delay", value) == 0);
}

static void first_stats(void)
{
    CHILD_REQUIRE(live() < 1000 * MIB);
}

static void ignore_line(void *arg, const char *line)
{
    (void)arg;
    (void)line;
}

static void first_print(void)
{
    sla_stats_print(ignore_line, NULL);
}

static void first_free(void)
{
    sla_free(handed);
    handed = NULL;
}

static void first_realloc(void)
{
    handed = sla_realloc(handed, 3000);
    CHILD_REQUIRE(handed != NULL);
}

static void first_usable(void)
{
    CHILD_REQUIRE(handed == NULL || sla_usable_size(handed) >= 100);
}

static void (*const firsts[])(void) = {
    first_malloc,     first_calloc,        first_realloc_null, first_reallocarray,    first_aligned,
    first_memalign,   first_free_null,     first_good_size,    first_free_sized_null, first_owns,
    first_usable_null, first_trim,         first_maintain,     first_idle,            first_version,
    first_large,      first_impossible,    first_bad_alignment, first_posix,          first_options,
    first_stats,      first_print,         first_free,         first_realloc,         first_usable,
};

static void *first_in_thread(void *arg)
{
    firsts[(uintptr_t)arg]();
    return NULL;
}

static void use_normally(void)
{
    void *blocks[100];
    for (size_t i = 0; i < 100; i++)
        CHILD_REQUIRE((blocks[i] = sla_malloc(i * 7)) != NULL);
    for (size_t i = 0; i < 100; i++)
        sla_free(blocks[i]);
}

START_TEST(first_call_of_a_thread)
{
    size_t before = live();
    for (size_t n = 0; n < support_scaled(200); n++) {
        handed = sla_malloc(100);
        run_thread(first_in_thread, (void *)(uintptr_t)_i);
        sla_free(handed);
    }
    use_normally();
    ck_assert_uint_eq(live(), before);
}
END_TEST

START_TEST(first_call_of_a_process)
{
    struct support_child child;
    char mode[16];
    snprintf(mode, sizeof(mode), "first %d", _i);
    support_run_self(mode, NULL, NULL, &child);
    check_child(&child);
}
END_TEST

static pthread_barrier_t barrier;

static void *all_first(void *arg)
{
    pthread_barrier_wait(&barrier);
    firsts[(uintptr_t)arg % 6]();
    use_normally();
    return NULL;
}

/* Sixteen threads race for the first call of the process. */
static int race_to_start(void)
{
    pthread_t threads[16];
    pthread_barrier_init(&barrier, NULL, 16);
    for (uintptr_t i = 0; i < 16; i++)
        CHILD_REQUIRE(pthread_create(&threads[i], NULL, all_first, (void *)i) == 0);
    for (size_t i = 0; i < 16; i++)
        CHILD_REQUIRE(pthread_join(threads[i], NULL) == 0);
    return EXIT_SUCCESS;
}

START_TEST(threads_race_for_the_first_call)
{
    struct support_child child;
    size_t all = support_plan(60, 10000, 1000);
    for (size_t i = 0; i < all; i++) {
        support_run_self("race", NULL, NULL, &child);
        check_child(&child);
    }
    support_ran("16 threads race for a process's first call: %zu processes", all);
}
END_TEST

static int run_mode(const char *mode)
{
    if (strcmp(mode, "keys") == 0)
        many_destructors(NULL);
    else if (strcmp(mode, "race") == 0)
        return race_to_start();
    else if (strncmp(mode, "first ", 6) == 0)
        firsts[strtoul(mode + 6, NULL, 10)]();
    use_normally();
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    if (argc == 2)
        return run_mode(argv[1]);
    Suite *suite = suite_create("threads/exit");
    TCase *tc = tcase_create("exit");
    tcase_set_timeout(tc, support_long() ? 900 : 120);
    tcase_add_test(tc, destructors_after_ours);
    tcase_add_test(tc, destructors_before_ours);
    tcase_add_test(tc, destructors_are_the_only_use);
    tcase_add_test(tc, blocks_outlive_their_thread);
    tcase_add_test(tc, orphaned_slabs_are_adopted);
    tcase_add_test(tc, pthread_exit_ends_it_too);
    tcase_add_loop_test(tc, first_call_of_a_thread, 0, (int)ARRAY_LEN(firsts));
    tcase_add_loop_test(tc, first_call_of_a_process, 0, (int)ARRAY_LEN(firsts));
    tcase_add_test(tc, threads_race_for_the_first_call);
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
