/*
 * test_batch.c: what batches do to the stacks, and what refusals leave.
 *
 * Each test runs in a thread of its own, so that its stacks are as a thread's first.
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#define MOST 3000
static void *blocks[MOST];

static size_t count_of(unsigned c) { return slai_stack_count(slai_tcache, c); }

/* --- stacks --- */

/* A batch takes what is in the stack and refills for the rest; then it fills the stack, as far as that grows. */
static void *through_the_stack(void *arg)
{
    unsigned c = *(unsigned *)arg;
    size_t size = slai_class_size(c);
    for (size_t n = 1; n < 600; n = n * 3 / 2 + 1) {
        UNIT_EXPECT(sla_alloc_batch(size, blocks, n) == n);
        struct slai_stack *stack = &slai_tcache->stacks[c];
        for (size_t i = 0; i < n; i++)
            UNIT_EXPECT(slai_class_byte(blocks[i]) == 2 * c);
        sla_free_batch(blocks, n);
        size_t have = count_of(c);
        UNIT_EXPECT(stack->top <= stack->limit && slai_tcache->bins[c].base[0] == NULL);
        UNIT_EXPECT(n > slai_classes[c].limit_first || have >= n);
        size_t some = have / 2;
        UNIT_EXPECT(sla_alloc_batch(size, blocks, some) == some);
        UNIT_EXPECT(count_of(c) == have - some);
        for (size_t i = 0; i < some; i++)
            UNIT_EXPECT(i == 0 || blocks[i] != blocks[i - 1]);
        sla_free_batch(blocks, some);
        UNIT_EXPECT(count_of(c) == have);
    }
    UNIT_EXPECT_SOUND();
    return NULL;
}

START_TEST(stack_fills_and_empties)
{
    unsigned c = (unsigned)_i;
    unit_in_thread(through_the_stack, &c);
}
END_TEST

/* Room for all of it: no slow path, whatever the order of the blocks. */
static void *calm(void *arg)
{
    (void)arg;
    sla_free(sla_malloc(100));
    for (int warm = 0; warm < 4; warm++) {
        UNIT_EXPECT(sla_alloc_batch(100, blocks, 200) == 200);
        sla_free_batch(blocks, 200);
    }
    uint32_t events = slai_tcache->events;
    for (size_t round = 0; round < 50; round++) {
        size_t n = 200 - round;
        UNIT_EXPECT(sla_alloc_batch(100, blocks, n) == n);
        for (size_t i = 0; i < n; i += round + 1) {
            void *block = blocks[i];
            blocks[i] = blocks[n - 1 - i];
            blocks[n - 1 - i] = block;
        }
        sla_free_batch(blocks, n);
    }
    UNIT_EXPECT(slai_tcache->events == events);
    return NULL;
}

START_TEST(no_slow_path_while_there_is_room)
{
    unit_in_thread(calm, NULL);
}
END_TEST

/* Blocks of two classes that differ in the lowest bit of the page number alone. */
static void *neighbours(void *arg)
{
    static void *others[MOST];
    size_t pairs = 0;
    unsigned c = slai_class_of(1024), d = slai_class_of(512);
    (void)arg;
    for (size_t n = 64; n <= MOST; n += 64) { /* slabs of either in turn */
        UNIT_EXPECT(sla_alloc_batch(1024, blocks + n - 64, 64) == 64);
        UNIT_EXPECT(sla_alloc_batch(512, others + n - 64, 64) == 64);
    }
    size_t most = MOST / 64 * 64;
    for (size_t i = 0; i < most && pairs < 20; i++)
        for (size_t j = 0; j < most; j++) {
            void *pair[4] = {NULL, blocks[i], others[j], NULL};
            if (((uintptr_t)blocks[i] ^ (uintptr_t)others[j]) != SLAI_PAGE)
                continue;
            pairs++;
            sla_thread_idle();
            sla_free_batch(pair, 4);
            UNIT_EXPECT(count_of(c) == 1 && count_of(d) == 1);
            UNIT_EXPECT(*slai_tcache->stacks[c].top == blocks[i] && *slai_tcache->stacks[d].top == others[j]);
            blocks[i] = others[j] = NULL;
            break;
        }
    UNIT_EXPECT(pairs > 0);
    sla_free_batch(blocks, most);
    sla_free_batch(others, most);
    UNIT_EXPECT_SOUND();
    return NULL;
}

START_TEST(neighbouring_pages_of_two_classes)
{
    unit_in_thread(neighbours, NULL);
}
END_TEST

/* --- refusals --- */

static const struct {
    enum slai_call call;
    size_t size;
} refusals[] = {{SLAI_CALL_COMMIT, 8},     {SLAI_CALL_COMMIT, 64},    {SLAI_CALL_COMMIT, 1000},
                {SLAI_CALL_COMMIT, 40000}, {SLAI_CALL_COMMIT, 65537}, {SLAI_CALL_COMMIT, 1000000}};

/* Batches until one is refused in the middle: all that it gave is there, and good, and can be freed. */
START_TEST(refused_in_the_middle)
{
    static void *batches[4000];
    size_t size = refusals[_i].size, batch = size < 65537 ? 3000 : 300, n = 0, used = 0, got;
    sla_thread_idle();
    size_t live = unit_stats().live;
    void *first = sla_malloc(100);
    for (;;) { /* an array of blocks, kept in blocks of the heap's own */
        void **array = calloc(batch, sizeof(void *));
        ck_assert_ptr_nonnull(array);
        ck_assert_uint_lt(n, ARRAY_LEN(batches));
        batches[n++] = array;
        if (n == 3)
            unit_refuse(refusals[_i].call, 1);
        errno = SENTINEL_ERRNO;
        got = sla_alloc_batch(size, array, batch);
        used += got;
        if (got < batch)
            break;
        ck_assert_int_eq(errno, SENTINEL_ERRNO);
    }
    ck_assert_int_eq(errno, ENOMEM);
    unit_sound();
    sla_thread_idle();
    ck_assert_uint_eq(unit_stats().live, live + sla_good_size(100) + used * sla_good_size(size));
    unit_no_faults();
    for (size_t i = 0; i < n; i++) {
        void **array = batches[i];
        size_t count = i + 1 < n ? batch : got;
        for (size_t k = 0; k < count; k++)
            UNIT_QUICK(array[k] != NULL && sla_usable_size(array[k]) == sla_good_size(size));
        for (size_t k = count; k < batch; k++)
            UNIT_QUICK(array[k] == NULL); /* nothing was written there */
        sla_free_batch(array, batch);
        free(array);
    }
    sla_free(first);
    sla_thread_idle();
    ck_assert_uint_eq(unit_stats().live, live);
}
END_TEST

/* No memory for a cache, nor for the shared one. */
static void first_call_refused(void)
{
    void *p[3] = {NULL, NULL, NULL};
    unit_refuse(SLAI_CALL_RESERVE, 1);
    unit_refuse(SLAI_CALL_COMMIT, 1);
    errno = 0;
    CHILD_REQUIRE(sla_alloc_batch(100, p, 3) == 0 && errno == ENOMEM && p[0] == NULL);
    sla_free_batch(p, 3);
    unit_no_faults();
    CHILD_REQUIRE(sla_alloc_batch(100, p, 3) == 3);
    sla_free_batch(p, 3);
}

START_TEST(first_call_without_memory)
{
    struct support_child child;
    support_run_self("first", NULL, NULL, &child);
    ck_assert_msg(child.exited && child.status == 0, "signal %d: %s", child.signal, child.errors);
}
END_TEST

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "first") == 0) {
        first_call_refused();
        return EXIT_SUCCESS;
    }
    Suite *suite = suite_create("batch");
    TCase *tc = unit_case(suite, "batch");
    tcase_add_loop_test(tc, stack_fills_and_empties, 1, SLAI_CLASSES);
    tcase_add_test(tc, no_slow_path_while_there_is_room);
    tcase_add_test(tc, neighbouring_pages_of_two_classes);
    tcase_add_loop_test(tc, refused_in_the_middle, 0, (int)ARRAY_LEN(refusals));
    tcase_add_test(tc, first_call_without_memory);
    return support_main(suite);
}
