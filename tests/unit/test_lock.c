/*
 * test_lock.c: the mutex, and that the rank checker fires.
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "os/lock.h"

#include <signal.h>
#include <unistd.h>

static struct slai_lock first = SLAI_LOCK_INIT(SLAI_RANK_INIT);
static struct slai_lock low = SLAI_LOCK_INIT(SLAI_RANK_THREADS), high = SLAI_LOCK_INIT(SLAI_RANK_PAGEHEAP),
                        top = SLAI_LOCK_INIT(SLAI_RANK_META), depot = SLAI_LOCK_INIT(SLAI_RANK_DEPOT + 5);

/* --- ranks --- */

static void wrong_order(void *arg)
{
    (void)arg;
    slai_lock(&high);
    slai_lock(&low);
}

static void same_rank(void *arg)
{
    static struct slai_lock twin = SLAI_LOCK_INIT(SLAI_RANK_META);
    (void)arg;
    slai_lock(&top);
    slai_lock(&twin);
}

static void twice(void *arg)
{
    (void)arg;
    slai_lock(&top);
    slai_lock(&top);
}

static void depots_backwards(void *arg)
{
    static struct slai_lock other = SLAI_LOCK_INIT(SLAI_RANK_DEPOT + 4);
    (void)arg;
    slai_lock(&depot);
    slai_lock(&other);
}

static void wrong_after_release(void *arg)
{
    (void)arg;
    slai_lock(&low);
    slai_lock(&high);
    slai_lock(&top);
    slai_unlock(&high);
    slai_lock(&high); /* top is still held */
}

static void unlock_not_held(void *arg)
{
    (void)arg;
    slai_unlock(&high);
}

static void unlock_twice(void *arg)
{
    (void)arg;
    slai_lock(&low);
    slai_lock(&high);
    slai_unlock(&high);
    slai_unlock(&high);
}

static void no_rank(void *arg)
{
    static struct slai_lock bare;
    (void)arg;
    slai_lock(&bare);
}

static void too_many(void *arg)
{
    static struct slai_lock many[3000];
    (void)arg;
    for (size_t i = 0; i < ARRAY_LEN(many); i++) {
        many[i].rank = SLAI_RANK_INIT + (uint32_t)i;
        slai_lock(&many[i]);
    }
}

static void not_held(void *arg)
{
    (void)arg;
    slai_lock(&low);
    slai_assert_held(&high);
}

static void heap_function_without_its_lock(void *arg)
{
    (void)arg;
    slai_span_free(slai_pages_take(1, 1, SLAI_KIND_BUSY));
}

static const struct {
    void (*function)(void *);
    const char *line;
} violations[] = {
    {wrong_order, "lock order violated"},
    {same_rank, "lock order violated"},
    {twice, "lock order violated"},
    {depots_backwards, "lock order violated"},
    {wrong_after_release, "lock order violated"},
    {unlock_not_held, "unlock of a lock not held"},
    {unlock_twice, "unlock of a lock not held"},
    {no_rank, "lock without a rank"},
    {too_many, "too many locks held"},
    {not_held, NULL},
    {heap_function_without_its_lock, NULL},
};

START_TEST(checker_fires)
{
    struct support_child child;
    support_run_child(violations[_i].function, NULL, 5, &child);
    if (violations[_i].line != NULL)
        ck_assert_msg(unit_aborted(&child, violations[_i].line), "signal %d, %s", child.signal, child.errors);
    else
        ck_assert(child.signal == SIGABRT && strstr(child.errors, "slai_lock_held(l)") != NULL);
}
END_TEST

START_TEST(right_order_is_fine)
{
    for (int i = 0; i < 3; i++) {
        slai_lock(&low);
        slai_lock(&depot);
        slai_lock(&high);
        slai_lock(&top);
        ck_assert(slai_lock_held(&low) && slai_lock_held(&depot) && slai_lock_held(&high) && slai_lock_held(&top));
        /* Released in any order. */
        slai_unlock(&depot);
        slai_unlock(&top);
        slai_unlock(&low);
        ck_assert(!slai_lock_held(&low) && slai_lock_held(&high) && !slai_lock_held(&top));
        slai_assert_held(&high);
        slai_lock(&top);
        slai_unlock(&high);
        slai_unlock(&top);
    }
    ck_assert_uint_eq(low.state | depot.state | high.state | top.state, 0);
}
END_TEST

static void *holds_nothing(void *arg)
{
    *(int *)arg = slai_lock_held(&high);
    slai_lock(&low);
    slai_unlock(&low);
    return NULL;
}

START_TEST(held_is_per_thread)
{
    int seen = 2;
    slai_lock(&high);
    unit_in_thread(holds_nothing, &seen);
    slai_unlock(&high);
    ck_assert_int_eq(seen, 0);
}
END_TEST

/* --- mutual exclusion --- */

#define WORKERS 4

static long counter; /* low */
static uint32_t inside;

static void *count_up(void *arg)
{
    size_t rounds = *(size_t *)arg;
    for (size_t i = 0; i < rounds; i++) {
        slai_lock(&low);
        if (inside++ != 0)
            counter -= 1000000;
        counter++;
        if (i % 256 == 0)
            sched_yield(); /* others come and sleep */
        inside--;
        slai_unlock(&low);
    }
    return NULL;
}

START_TEST(one_at_a_time)
{
    pthread_t threads[WORKERS];
    size_t rounds = support_scaled(20000);
    counter = 0;
    for (int i = 0; i < WORKERS; i++)
        unit_thread(&threads[i], count_up, &rounds);
    for (int i = 0; i < WORKERS; i++)
        unit_join(threads[i]);
    ck_assert_int_eq(counter, (long)(WORKERS * rounds));
    ck_assert_uint_eq(low.state, 0);
}
END_TEST

static void *pass_through(void *arg)
{
    struct unit_turn *arrived = arg;
    unit_pass(arrived);
    slai_lock(&low);
    counter++;
    slai_unlock(&low);
    return NULL;
}

START_TEST(sleepers_are_woken)
{
    pthread_t threads[WORKERS];
    struct unit_turn arrived = {0};
    counter = 0;
    slai_lock(&low);
    for (int i = 0; i < WORKERS; i++)
        unit_thread(&threads[i], pass_through, &arrived);
    unit_await(&arrived, WORKERS);
    unit_sleep(20);
    ck_assert_int_eq(counter, 0);
    ck_assert_uint_eq(slai_load_relaxed(&low.state), 2);
    slai_unlock(&low);
    for (int i = 0; i < WORKERS; i++)
        unit_join(threads[i]);
    ck_assert_int_eq(counter, WORKERS);
    ck_assert_uint_eq(low.state, 0);
}
END_TEST

static void *hold_for_ever(void *arg)
{
    slai_lock(&high);
    unit_pass(arg);
    unit_await(arg, 2);
    slai_unlock(&high);
    return NULL;
}

static void reset_and_use(void *arg)
{
    (void)arg;
    CHILD_REQUIRE(high.state != 0);
    slai_lock_reset(&high);
    slai_lock(&first);
    slai_lock(&high);
    slai_unlock(&high);
    slai_unlock(&first);
}

START_TEST(reset_frees_what_a_vanished_thread_held)
{
    pthread_t thread;
    struct unit_turn turn = {0};
    struct support_child child;
    if (SUPPORT_TSAN)
        return; /* it refuses to go on in the child of several threads */
    unit_thread(&thread, hold_for_ever, &turn);
    unit_await(&turn, 1);
    support_run_child(reset_and_use, NULL, 5, &child);
    unit_pass(&turn);
    unit_join(thread);
    ck_assert_msg(child.exited && child.status == 0, "%s", child.errors);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lock");
    TCase *tc = unit_case(suite, "lock");
    tcase_add_loop_test(tc, checker_fires, 0, (int)ARRAY_LEN(violations));
    tcase_add_test(tc, right_order_is_fine);
    tcase_add_test(tc, held_is_per_thread);
    tcase_add_test(tc, one_at_a_time);
    tcase_add_test(tc, sleepers_are_woken);
    tcase_add_test(tc, reset_frees_what_a_vanished_thread_held);
    return support_main(suite);
}
