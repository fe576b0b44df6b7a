/*
 * test_list.c: util/list.h against an array.
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "util/list.h"

#define MOST 64

static struct slai_link links[MOST];

/* The list holds exactly links[order[0]], links[order[1]], ... both ways. */
static void expect(const struct slai_list *list, const size_t *order, size_t count)
{
    const struct slai_link *link = list->first, *last = NULL;
    for (size_t i = 0; i < count; i++) {
        UNIT_QUICK(link == &links[order[i]] && link->prev == last);
        last = link;
        link = link->next;
    }
    ck_assert_ptr_null(link);
    ck_assert_ptr_eq(list->last, last);
    ck_assert((list->first == NULL) == (count == 0));
}

START_TEST(zero_is_empty)
{
    struct slai_list list;
    memset(&list, 0, sizeof(list));
    expect(&list, NULL, 0);
}
END_TEST

START_TEST(push_is_last_in_first)
{
    struct slai_list list = {NULL, NULL};
    for (size_t i = 0; i < 3; i++)
        slai_list_push(&list, &links[i]);
    expect(&list, (const size_t[]){2, 1, 0}, 3);
}
END_TEST

START_TEST(append_is_first_in_first)
{
    struct slai_list list = {NULL, NULL};
    for (size_t i = 0; i < 3; i++)
        slai_list_append(&list, &links[i]);
    expect(&list, (const size_t[]){0, 1, 2}, 3);
}
END_TEST

START_TEST(remove_any)
{
    static const size_t left[3][2] = {{1, 2}, {0, 2}, {0, 1}};
    struct slai_list list = {NULL, NULL};
    for (size_t i = 0; i < 3; i++)
        slai_list_append(&list, &links[i]);
    slai_list_remove(&list, &links[_i]);
    ck_assert_ptr_null(links[_i].next);
    ck_assert_ptr_null(links[_i].prev);
    expect(&list, left[_i], 2);
    slai_list_remove(&list, &links[left[_i][1]]);
    expect(&list, left[_i], 1);
    slai_list_remove(&list, &links[left[_i][0]]);
    expect(&list, NULL, 0);
}
END_TEST

START_TEST(random_operations)
{
    struct slai_list list = {NULL, NULL};
    size_t order[MOST], count = 0;
    int in[MOST] = {0};
    struct support_rng rng;
    support_seed(&rng, (uint64_t)_i + 1);
    for (int step = 0; step < 3000; step++) {
        size_t e = support_below(&rng, MOST);
        if (in[e]) {
            size_t at = 0;
            while (order[at] != e)
                at++;
            memmove(order + at, order + at + 1, (--count - at) * sizeof(order[0]));
            slai_list_remove(&list, &links[e]);
        } else if (support_below(&rng, 2) != 0) {
            memmove(order + 1, order, count++ * sizeof(order[0]));
            order[0] = e;
            slai_list_push(&list, &links[e]);
        } else {
            order[count++] = e;
            slai_list_append(&list, &links[e]);
        }
        in[e] = !in[e];
        expect(&list, order, count);
    }
}
END_TEST

static void remove_from_another(void *arg)
{
    struct slai_list one = {NULL, NULL}, other = {NULL, NULL};
    (void)arg;
    slai_list_push(&one, &links[0]);
    slai_list_push(&other, &links[1]);
    slai_list_remove(&other, &links[0]);
}

static void remove_after_a_stray_write(void *arg)
{
    struct slai_list list = {NULL, NULL};
    (void)arg;
    for (size_t i = 0; i < 3; i++)
        slai_list_push(&list, &links[i]);
    links[0].prev = &links[5];
    slai_list_remove(&list, &links[1]);
}

START_TEST(broken_links_are_found)
{
    static void (*const broken[])(void *) = {remove_from_another, remove_after_a_stray_write};
    struct support_child child;
    support_run_child(broken[_i], NULL, 10, &child);
    ck_assert_int_eq(child.signal, 6);
    ck_assert_ptr_nonnull(strstr(child.errors, "slaballoc: assertion failed: e->"));
    ck_assert_ptr_nonnull(strstr(child.errors, "list.h:"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("list");
    TCase *tc = unit_case(suite, "list");
    tcase_add_test(tc, zero_is_empty);
    tcase_add_test(tc, push_is_last_in_first);
    tcase_add_test(tc, append_is_first_in_first);
    tcase_add_loop_test(tc, remove_any, 0, 3);
    tcase_add_loop_test(tc, random_operations, 0, 5);
    tcase_add_loop_test(tc, broken_links_are_found, 0, 2);
    return support_main(suite);
}
