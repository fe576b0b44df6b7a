/*
 * test_random.c: random sequences of calls against a shadow of what must be
 * live, and random bad arguments.  SLABALLOC_TEST_SEED=n replays one seed.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#define SLOTS 3000
#define OPERATIONS 125000 /* a seed; eight seeds */
#define SEEDS 8
#define BAD_INPUTS 4000

struct world {
    struct support_rng rng;
    struct support_block slots[SLOTS];
    size_t alignment[SLOTS];
};
static struct world world;

static void put(size_t i, void *start, size_t size, size_t alignment)
{
    size_t usable = sla_usable_size(start);
    ck_assert_ptr_nonnull(start);
    ck_assert_uint_ge(usable, size);
    ck_assert_uint_eq((uintptr_t)start % (alignment > 1 ? alignment : size >= 16 ? 16 : 8), 0);
    world.slots[i] = (struct support_block){start, size, support_next(&world.rng)};
    world.alignment[i] = alignment;
    support_fill(start, size, world.slots[i].seed);
}

static void create(size_t i)
{
    size_t size = support_random_size(&world.rng), alignment = (size_t)8 << support_below(&world.rng, 10);
    void *start = NULL;
    switch (support_below(&world.rng, 8)) {
    case 0:
        start = sla_calloc(1, size);
        ck_assert_ptr_nonnull(start);
        ck_assert(support_is_zero(start, size));
        break;
    case 1:
        put(i, sla_aligned_alloc(alignment, size), size, alignment);
        return;
    case 2:
        ck_assert_int_eq(sla_posix_memalign(&start, alignment, size), 0);
        put(i, start, size, alignment);
        return;
    case 3:
        start = sla_realloc(NULL, size);
        break;
    default:
        start = sla_malloc(size);
    }
    put(i, start, size, 1);
}

static void resize(size_t i)
{
    struct support_block *slot = &world.slots[i];
    size_t size = support_random_size(&world.rng) + 1, shared = size < slot->size ? size : slot->size;
    void *start = support_below(&world.rng, 2) ? sla_realloc(slot->start, size)
                                               : sla_reallocarray(slot->start, size, 1);
    ck_assert_ptr_nonnull(start);
    ck_assert(support_matches(start, shared & ~(size_t)7, slot->seed));
    put(i, start, size, 1);
}

static void destroy(size_t i)
{
    struct support_block *slot = &world.slots[i];
    ck_assert_msg(support_matches(slot->start, slot->size, slot->seed), "contents lost: %p, %zu bytes",
                  (void *)slot->start, slot->size);
    if (support_below(&world.rng, 3) != 0)
        sla_free(slot->start);
    else if (world.alignment[i] > 1)
        sla_free_aligned_sized(slot->start, world.alignment[i], slot->size);
    else
        sla_free_sized(slot->start, slot->size);
    slot->start = NULL;
}

static void step(size_t number)
{
    size_t i = support_below(&world.rng, SLOTS);
    if (world.slots[i].start == NULL)
        create(i);
    else if (support_below(&world.rng, 5) == 0)
        resize(i);
    else
        destroy(i);
    if (number % 8192 == 0) {
        ck_assert(support_disjoint(world.slots, SLOTS));
        sla_thread_idle();
    }
    if (number % 20000 == 0)
        (void)sla_trim(0);
}

START_TEST(random_operations)
{
    size_t operations = support_scaled(OPERATIONS) * (support_long() ? 20 : 1);
    uint64_t seed = 0x51ab + (uint64_t)_i;
    memset(&world, 0, sizeof(world));
    support_seed(&world.rng, seed);
    for (size_t number = 1; number <= operations; number++)
        step(number);
    ck_assert(support_disjoint(world.slots, SLOTS));
    for (size_t i = 0; i < SLOTS; i++)
        if (world.slots[i].start != NULL)
            destroy(i);
}
END_TEST

/* --- bad arguments --- */

static size_t near_the_top(void)
{
    static const size_t tops[] = {SIZE_MAX, PTRDIFF_MAX, (size_t)PTRDIFF_MAX + 8192};
    size_t top = tops[support_below(&world.rng, 3)];
    return top - support_below(&world.rng, 8192);
}

static size_t bad_alignment(void)
{
    size_t alignment;
    do
        alignment = support_next(&world.rng) >> support_below(&world.rng, 60);
    while (alignment != 0 && (alignment & (alignment - 1)) == 0);
    return alignment;
}

static void expect_null(void *got, int error)
{
    ck_assert_ptr_null(got);
    ck_assert_int_eq(errno, error);
    errno = SENTINEL_ERRNO;
}

static void expect_refusal(size_t alignment, size_t size, int error)
{
    void *out = &world;
    ck_assert_int_eq(sla_posix_memalign(&out, alignment, size), error);
    ck_assert_ptr_eq(out, &world);
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
}

START_TEST(bad_inputs_are_refused)
{
    void *block = sla_malloc(128);
    support_seed(&world.rng, 4711 + (uint64_t)_i);
    support_fill(block, 128, 1);
    errno = SENTINEL_ERRNO;
    for (int round = 0; round < BAD_INPUTS; round++) {
        size_t size = near_the_top(), alignment = (size_t)8 << support_below(&world.rng, 27);
        size_t factor = support_below(&world.rng, 1000) + 2;
        switch (support_below(&world.rng, 10)) {
        case 0: expect_null(sla_malloc(size), ENOMEM); break;
        case 1: expect_null(sla_calloc(size, factor), ENOMEM); break;
        case 2:
            expect_null(sla_calloc(factor, SIZE_MAX / factor + 1 + support_below(&world.rng, 100)), ENOMEM);
            break;
        case 3: expect_null(sla_realloc(block, size), ENOMEM); break;
        case 4: expect_null(sla_reallocarray(block, size, factor), ENOMEM); break;
        case 5: expect_null(sla_aligned_alloc(alignment, size), ENOMEM); break;
        case 6: expect_null(sla_memalign(alignment, size), ENOMEM); break;
        case 7: expect_refusal(alignment, size, ENOMEM); break;
        case 8: expect_refusal(bad_alignment(), support_below(&world.rng, 5000), EINVAL); break;
        default: expect_null(sla_aligned_alloc(bad_alignment(), support_below(&world.rng, 5000)), EINVAL);
        }
    }
    ck_assert(support_matches(block, 128, 1));
    sla_free(block);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api/random");
    TCase *tc = tcase_create("random");
    tcase_set_timeout(tc, support_long() ? 600 : 120);
    tcase_add_loop_test(tc, random_operations, 0, SEEDS);
    tcase_add_loop_test(tc, bad_inputs_are_refused, 0, SEEDS);
    suite_add_tcase(suite, tc);
    printf("random operations: %d seeds of %zu; bad inputs: %d of %d\n", SEEDS, support_scaled(OPERATIONS),
           SEEDS, BAD_INPUTS);
    return support_main(suite);
}
