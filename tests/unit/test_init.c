/*
 * test_init.c: the library is set up once, whoever comes first and however many do.
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

static void *first_call(void *arg)
{
    slai_init();
    return arg;
}

/* All come while somebody else has the lock, so nobody knows that another sets up. */
static void together(void)
{
    pthread_t threads[4];
    slai_init_lock();
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        CHILD_REQUIRE(pthread_create(&threads[i], NULL, first_call, NULL) == 0);
    unit_sleep(50);
    slai_init_unlock();
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
}

/* One sets up, the other comes after it, with nothing but that between them: the thread sanitizer is to see no race. */
static _Atomic int is_set_up;

static void *sets_up(void *arg)
{
    errno = 0;
    slai_init();
    CHILD_REQUIRE(errno == 0);
    atomic_store_explicit(&is_set_up, 1, memory_order_relaxed);
    return arg;
}

static void *comes_after(void *arg)
{
    while (atomic_load_explicit(&is_set_up, memory_order_relaxed) == 0)
        continue;
    sla_free(sla_malloc(100));
    return arg;
}

static void one_after_the_other(void)
{
    pthread_t threads[2];
    CHILD_REQUIRE(pthread_create(&threads[0], NULL, comes_after, NULL) == 0);
    CHILD_REQUIRE(pthread_create(&threads[1], NULL, sets_up, NULL) == 0);
    CHILD_REQUIRE(pthread_join(threads[0], NULL) == 0 && pthread_join(threads[1], NULL) == 0);
}

static const struct mode {
    const char *name;
    void (*function)(void);
} modes[] = {{"together", together}, {"one_after_the_other", one_after_the_other}};

START_TEST(set_up_once)
{
    struct support_child child;
    support_run_self("together", "SLABALLOC_CONF", "nonsense=1", &child);
    ck_assert(child.exited && child.status == 0);
    ck_assert_str_eq(child.errors, "slaballoc: option 'nonsense': unknown; default kept\n");
    support_run_self("one_after_the_other", "SLABALLOC_CONF", NULL, &child);
    ck_assert_msg(child.exited && child.status == 0, "%s", child.errors);
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
    Suite *suite = suite_create("init");
    TCase *tc = unit_case(suite, "init");
    tcase_add_test(tc, set_up_once);
    return support_main(suite);
}
