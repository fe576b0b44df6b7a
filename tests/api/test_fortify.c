/*
 * test_fortify.c: what a compiler takes for a block's size.  All of a block may
 * be used that came with its usable size; with _FORTIFY_SOURCE=3 the C library
 * aborts a program that writes beyond what it asked sla_malloc() for.
 *
 * SPDX-License-Identifier: MIT
 */
#if defined(__OPTIMIZE__) && (__GNUC__ >= 12 || __clang_major__ >= 9)
#undef _FORTIFY_SOURCE
#define _FORTIFY_SOURCE 3
#endif
#include "support.h"

#include <signal.h>

/* What the compiler knows of a pointer; (size_t)-1: nothing. */
#if defined(__OPTIMIZE__) && __GNUC__ >= 12
#define KNOWN(p) __builtin_dynamic_object_size(p, 0)
#define KNOWS 1
#else
#define KNOWN(p) ((size_t)-1)
#define KNOWS 0
#endif

static char source[8 * MIB];

static void use_it_all(void *arg)
{
    size_t size = *(const size_t *)arg, usable;
    char *block = sla_malloc_usable(size, &usable);
    CHILD_REQUIRE(block != NULL && usable >= size);
    CHILD_REQUIRE(KNOWN(block) == (size_t)-1);
    memset(block, 1, usable);
    memcpy(block, source, usable);
    memmove(block, block + 1, usable - 1);
    snprintf(block, usable, "%*d", (int)usable - 1, 7);
    CHILD_REQUIRE(strlen(block) == usable - 1);
    /* Nor after it grew where it is. */
    usable = sla_try_expand(block, usable, usable + 1);
    memset(block, 2, usable);
    sla_free(block);
}

START_TEST(all_that_is_usable)
{
    static const size_t sizes[] = {1, 9, 100, 1000, 5000, 33000, 70000, 5000000};
    size_t size = sizes[_i];
    struct support_child child;
    support_run_child(use_it_all, &size, 20, &child);
    ck_assert_msg(child.exited && child.status == 0, "signal %d: %s", child.signal, child.errors);
}
END_TEST

/* A constant, which is all that _FORTIFY_SOURCE=2 looks at. */
static void use_a_constant(void *arg)
{
    size_t usable;
    char *block = sla_malloc_usable(100, &usable);
    (void)arg;
    CHILD_REQUIRE(usable == 112);
    memset(block, 1, 112);
    sla_free(block);
}

START_TEST(more_than_a_constant)
{
    struct support_child child;
    support_run_child(use_a_constant, NULL, 20, &child);
    ck_assert_msg(child.exited && child.status == 0, "signal %d: %s", child.signal, child.errors);
}
END_TEST

/* The others tell the compiler how much was asked for, and that is what it takes for the size. */
START_TEST(what_the_others_tell)
{
    size_t size = support_size(100);
    if (!KNOWS)
        return;
    char *a = sla_malloc(size), *b = sla_calloc(1, size), *c = sla_rezalloc(NULL, 0, size);
    ck_assert_uint_eq(KNOWN(a), 100);
    ck_assert_uint_eq(KNOWN(b), 100);
    ck_assert_uint_eq(KNOWN(c), 100);
    sla_free(a);
    sla_free(b);
    sla_free(c);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api/fortify");
    TCase *tc = tcase_create("fortify");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, all_that_is_usable, 0, 8);
    tcase_add_test(tc, more_than_a_constant);
    tcase_add_test(tc, what_the_others_tell);
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
