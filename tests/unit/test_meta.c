/*
 * test_meta.c: the metadata arena.
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "heap/meta.h"
#include "heap/region.h"

static const size_t sizes[] = {1,    8,    63,   64,    65,    100,   128,    4000,   4032,   4095,
                               4096, 4097, 5000, 8192,  8193,  60000, 100000, 262144, 300000, 1048575,
                               SLAI_META_MAX};

START_TEST(zeroed_and_aligned)
{
    size_t size = sizes[_i];
    for (int round = 0; round < 3; round++) {
        errno = SENTINEL_ERRNO;
        unsigned char *p = slai_meta_take(size);
        ck_assert_ptr_nonnull(p);
        ck_assert_int_eq(errno, SENTINEL_ERRNO);
        ck_assert_uint_eq((uintptr_t)p % SLA_CACHELINE, 0);
        ck_assert(support_is_zero(p, size));
        ck_assert_ptr_null(slai_region_of(p)); /* I6 */
        memset(p, 0xee, size);
        slai_meta_give(p, size);
    }
}
END_TEST

START_TEST(given_back_is_reused)
{
    size_t size = sizes[_i];
    void *p = slai_meta_take(size);
    slai_meta_give(p, size);
    size_t bytes = slai_meta_bytes();
    ck_assert_ptr_eq(slai_meta_take(size), p);
    slai_meta_give(p, size);
    ck_assert_uint_eq(slai_meta_bytes(), bytes);
}
END_TEST

START_TEST(no_growth_in_steady_state)
{
    void *p[20];
    size_t bytes = 0;
    for (int round = 0; round < 50; round++) {
        for (size_t i = 0; i < 20; i++)
            ck_assert_ptr_nonnull(p[i] = slai_meta_take(sizes[i % 15]));
        for (size_t i = 0; i < 20; i++)
            slai_meta_give(p[i], sizes[i % 15]);
        ck_assert(round == 0 || slai_meta_bytes() == bytes);
        bytes = slai_meta_bytes();
    }
}
END_TEST

#define LIVE 200

START_TEST(no_overlap)
{
    static struct support_block live[LIVE];
    struct support_rng rng;
    support_seed(&rng, (uint64_t)_i);
    memset(live, 0, sizeof(live));
    for (size_t step = 0; step < support_scaled(4000); step++) {
        struct support_block *b = &live[support_below(&rng, LIVE)];
        if (b->start != NULL) {
            ck_assert(support_matches(b->start, b->size, b->seed));
            slai_meta_give(b->start, b->size);
            b->start = NULL;
            continue;
        }
        b->size = 1 + support_below(&rng, support_below(&rng, 20) != 0 ? 3000 : 40000);
        b->seed = step;
        b->start = slai_meta_take(b->size);
        ck_assert_ptr_nonnull(b->start);
        ck_assert(support_is_zero(b->start, b->size));
        support_fill(b->start, b->size, b->seed);
        if (step % 100 == 0)
            ck_assert(support_disjoint(live, LIVE));
    }
    for (size_t i = 0; i < LIVE; i++)
        if (live[i].start != NULL)
            slai_meta_give(live[i].start, live[i].size);
}
END_TEST

/* --- refusals --- */

/* Takes until the arena must ask the system; gives the blocks in a chain, for give_all(). */
static void **drain(size_t size)
{
    void **chain = NULL, **p;
    for (int i = 0; (p = slai_meta_take(size)) != NULL; i++) {
        ck_assert_int_lt(i, 1000000);
        *p = chain;
        chain = p;
    }
    return chain;
}

static void give_all(void **chain, size_t size)
{
    while (chain != NULL) {
        void **next = *chain;
        slai_meta_give(chain, size);
        chain = next;
    }
}

START_TEST(refusal_is_enomem_and_passes)
{
    slai_meta_give(slai_meta_take(64), 64); /* what a region brings committed is taken */
    unit_refuse(SLAI_CALL_COMMIT, 1);
    if (_i == 0)
        unit_refuse(SLAI_CALL_RESERVE, 1);
    size_t bytes = slai_meta_bytes();
    void **chain = drain(64), **biggest = drain(SLAI_META_MAX);
    ck_assert_uint_eq(slai_meta_bytes(), bytes);
    errno = 0;
    ck_assert_ptr_null(slai_meta_take(64));
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_ptr_null(slai_meta_take(SLAI_META_MAX));
    /* All chunks that were refused after being reserved went back. */
    if (_i == 1)
        ck_assert_uint_eq(slai_fault.seen[SLAI_CALL_RELEASE], slai_fault.seen[SLAI_CALL_RESERVE]);
    unit_no_faults();
    void *p = slai_meta_take(64);
    ck_assert_ptr_nonnull(p);
    slai_meta_give(p, 64);
    give_all(chain, 64);
    give_all(biggest, SLAI_META_MAX);
}
END_TEST

START_TEST(smaller_chunks_are_tried)
{
    unit_refuse(SLAI_CALL_RESERVE, 1);
    unit_refuse(SLAI_CALL_COMMIT, 1);
    void **chain = drain(64);
    unit_no_faults();
    if (slai_region_count > 0) { /* each region's share is refused, in two sizes */
        slai_fault.after[SLAI_CALL_COMMIT] = 1;
        slai_fault.more[SLAI_CALL_COMMIT] = 2 * (long)slai_region_count - 1;
    }
    slai_fault.limit = 100000; /* a chunk of 1 MiB is refused */
    size_t bytes = slai_meta_bytes();
    errno = SENTINEL_ERRNO;
    void *p = slai_meta_take(64);
    ck_assert_ptr_nonnull(p);
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    ck_assert_uint_eq(slai_meta_bytes() - bytes, 65536);
    slai_meta_give(p, 64);
    give_all(chain, 64);
}
END_TEST

/* --- threads --- */

static void *taker(void *arg)
{
    size_t failures = 0;
    void *p[32];
    (void)arg;
    for (size_t round = 0; round < support_scaled(400); round++) {
        for (size_t i = 0; i < 32; i++) {
            size_t size = sizes[i % 12];
            p[i] = slai_meta_take(size);
            failures += p[i] == NULL || !support_is_zero(p[i], size);
            support_fill(p[i], size, round + i);
        }
        for (size_t i = 0; i < 32; i++) {
            failures += !support_matches(p[i], sizes[i % 12], round + i);
            slai_meta_give(p[i], sizes[i % 12]);
        }
    }
    return failures == 0 ? NULL : (void *)1;
}

START_TEST(threads_share_it)
{
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        unit_thread(&threads[i], taker, NULL);
    for (int i = 0; i < 4; i++) {
        void *failed;
        ck_assert_int_eq(pthread_join(threads[i], &failed), 0);
        ck_assert_ptr_null(failed);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("meta");
    TCase *tc = unit_case(suite, "meta");
    tcase_add_loop_test(tc, zeroed_and_aligned, 0, (int)ARRAY_LEN(sizes));
    tcase_add_loop_test(tc, given_back_is_reused, 0, (int)ARRAY_LEN(sizes));
    tcase_add_test(tc, no_growth_in_steady_state);
    tcase_add_loop_test(tc, no_overlap, 0, 3);
    tcase_add_loop_test(tc, refusal_is_enomem_and_passes, 0, 2);
    tcase_add_test(tc, smaller_chunks_are_tried);
    tcase_add_test(tc, threads_share_it);
    return support_main(suite);
}
