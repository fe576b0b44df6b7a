/*
 * test_slab.c: one slab: blocks taken, put, counted in and counted anew.
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "heap/meta.h"
#include "heap/slab.h"

static struct slai_tcache nobody; /* an owner that no thread has */

static struct slai_span *create(unsigned class)
{
    struct slai_span *s = slai_slab_create(class, &nobody);
    ck_assert_ptr_nonnull(s);
    return s;
}

/* Takes n blocks into out[0], out[1], ... in the order of taking. */
static uint32_t take(struct slai_span *s, void **out, uint32_t n)
{
    static void *room[65536 / 8 + 1];
    void **end = room + SLA_ARRAY_LEN(room);
    uint32_t got = slai_slab_take(s, end, n);
    for (uint32_t i = 0; i < got; i++)
        out[i] = end[-1 - (long)i];
    return got;
}

static void *taken[65536 / 8];

static uint32_t free_bits(const struct slai_span *s)
{
    uint32_t n = 0;
    for (unsigned w = 0; w < s->words; w++)
        n += slai_popcount(s->free[w]);
    return n;
}

/* --- all classes: _i --- */

START_TEST(new_slab)
{
    struct slai_span *s = create((unsigned)_i);
    ck_assert_uint_eq(slai_kind(s), SLAI_KIND_SLAB);
    ck_assert(slai_slab_empty(s) && !slai_slab_full(s));
    ck_assert_uint_eq(free_bits(s), s->capacity);
    ck_assert_uint_eq(s->capacity, slai_classes[_i].capacity);
    ck_assert_ptr_eq(s->owner, &nobody);
    ck_assert_uint_eq(s->place, SLAI_NOWHERE);
    for (unsigned w = 0; w < s->words; w++)
        ck_assert(slai_slab_remote(s)[w] == 0);
    unit_sound();
    slai_slab_destroy(s);
}
END_TEST

START_TEST(exactly_the_capacity_lowest_first)
{
    struct slai_span *s = create((unsigned)_i);
    uint32_t n = 0, step = 1;
    while (n < s->capacity) {
        uint32_t got = take(s, taken + n, step);
        ck_assert_uint_eq(got, step < s->capacity - n ? step : s->capacity - n);
        n += got;
        step += 7;
        ck_assert_uint_eq(s->used, n);
    }
    for (uint32_t i = 0; i < n; i++) {
        UNIT_QUICK((char *)taken[i] == s->start + (size_t)i * s->size);
        UNIT_QUICK(slai_slab_index(s, taken[i]) == i);
    }
    ck_assert(slai_slab_full(s));
    ck_assert_uint_eq(take(s, taken + n, 1), 0);
    unit_sound();
    for (uint32_t i = n; i-- > 0;)
        UNIT_QUICK(slai_slab_put(s, taken[i]));
    ck_assert(slai_slab_empty(s));
    slai_slab_destroy(s);
}
END_TEST

START_TEST(random_take_and_put)
{
    struct slai_span *s = create((unsigned)_i);
    struct support_rng rng;
    uint32_t out = 0;
    support_seed(&rng, (uint64_t)_i);
    for (int step = 0; step < 100; step++) {
        if (support_below(&rng, 2) != 0) {
            uint32_t want = (uint32_t)support_below(&rng, 100), got = take(s, taken + out, want);
            ck_assert_uint_eq(got, want < s->capacity - out ? want : s->capacity - out);
            for (uint32_t i = 1; i < got; i++)
                UNIT_QUICK((uintptr_t)taken[out + i - 1] < (uintptr_t)taken[out + i]);
            out += got;
        } else {
            for (size_t k = support_below(&rng, out + 1); k > 0; k--) {
                size_t i = support_below(&rng, out);
                UNIT_QUICK(slai_slab_put(s, taken[i]));
                taken[i] = taken[--out];
            }
        }
        ck_assert_uint_eq(s->used, out);
        ck_assert_uint_eq(free_bits(s), s->capacity - out);
        for (unsigned w = 0; w < s->hint; w++)
            UNIT_QUICK(s->free[w] == 0);
    }
    unit_sound();
    while (out > 0)
        UNIT_QUICK(slai_slab_put(s, taken[--out]));
    slai_slab_destroy(s);
}
END_TEST

/* --- the hint, and blocks' contents --- */

START_TEST(lowest_free_block_comes_first)
{
    struct slai_span *s = create(slai_class_of(16)); /* 4096 blocks */
    void *block;
    ck_assert_uint_eq(take(s, taken, 3000), 3000);
    static const uint32_t given[] = {2999, 70, 1500, 5, 2000};
    static const uint32_t order[] = {5, 70, 1500, 2000, 2999, 3000};
    for (size_t i = 0; i < ARRAY_LEN(given); i++)
        ck_assert(slai_slab_put(s, taken[given[i]]));
    ck_assert_uint_eq(s->hint, 0);
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        ck_assert_uint_eq(take(s, &block, 1), 1);
        ck_assert_uint_eq(slai_slab_index(s, block), order[i]);
    }
    for (uint32_t i = 0; i <= 3000; i++)
        UNIT_QUICK(slai_slab_put(s, s->start + (size_t)i * 16));
    slai_slab_destroy(s);
}
END_TEST

START_TEST(contents_are_left_alone)
{
    struct slai_span *s = create(slai_class_of(64));
    uint32_t n = take(s, taken, s->capacity);
    for (uint32_t i = 0; i < n; i++)
        support_fill(taken[i], 64, i);
    for (uint32_t i = 0; i < n; i++)
        UNIT_QUICK(slai_slab_put(s, taken[i]));
    n = take(s, taken, s->capacity);
    for (uint32_t i = 0; i < n; i++)
        UNIT_QUICK(support_matches(taken[i], 64, i));
    for (uint32_t i = 0; i < n; i++)
        UNIT_QUICK(slai_slab_put(s, taken[i]));
    slai_slab_destroy(s);
}
END_TEST

/* --- misuse: reported, and with abort=0 without effect --- */

START_TEST(wrong_put_is_reported)
{
    struct slai_span *s = create(slai_class_of(48));
    char want[128];
    ck_assert_uint_eq(take(s, taken, 10), 10);
    char *const never = s->start + 20 * 48, *const again = taken[3], *const middle = (char *)taken[4] + 1,
                *const inside = (char *)taken[5] + 16, *const end = s->start + (size_t)s->capacity * 48;
    const struct {
        char *p;
        const char *what;
    } cases[] = {{never, "block already free"},
                 {again, "block already free"},
                 {middle, "not the start of a block"},
                 {inside, "not the start of a block"},
                 {end, "not the start of a block"}};
    ck_assert(slai_slab_put(s, again));
    slai_conf.abort = 0;
    unit_catch();
    ck_assert(!slai_slab_put(s, cases[_i].p));
    snprintf(want, sizeof(want), "slaballoc: free(0x%jx): %s (size class 48)\n", (uintmax_t)(uintptr_t)cases[_i].p,
             cases[_i].what);
    ck_assert_str_eq(unit_caught(), want);
    ck_assert_uint_eq(s->used, 9);
    unit_sound();
    for (int i = 0; i < 10; i++)
        if (i != 3)
            UNIT_QUICK(slai_slab_put(s, taken[i]));
    slai_slab_destroy(s);
}
END_TEST

static void put_twice(void *arg)
{
    struct slai_span *s = arg;
    (void)slai_slab_put(s, taken[0]);
    support_mail[0] = 1;
    (void)slai_slab_put(s, taken[0]); /* as if under a lock: noted */
    slai_misuse_due();
    support_mail[0] = 2;
}

START_TEST(wrong_put_aborts)
{
    struct support_child child;
    struct slai_span *s = create(slai_class_of(100));
    ck_assert_uint_eq(take(s, taken, 2), 2);
    support_run_child(put_twice, s, 5, &child);
    ck_assert_int_eq(child.signal, 6);
    ck_assert_uint_eq(child.mail[0], 1);
    ck_assert(support_reported(&child, "free", (uintptr_t)taken[0], "block already free (size class #)"));
    ck_assert(slai_slab_put(s, taken[0]) && slai_slab_put(s, taken[1]));
    slai_slab_destroy(s);
}
END_TEST

static void destroy_in_use(void *arg) { slai_slab_destroy(arg); }

START_TEST(destroying_in_use_is_caught)
{
    struct support_child child;
    struct slai_span *s = create(3);
    ck_assert_uint_eq(take(s, taken, 1), 1);
    support_run_child(destroy_in_use, s, 5, &child);
    ck_assert(child.signal == 6 && strstr(child.errors, "assertion failed: s->used == 0") != NULL);
    ck_assert(slai_slab_put(s, taken[0]));
    slai_slab_destroy(s);
}
END_TEST

/* --- remote frees: collect and recount --- */

static void free_remotely(struct slai_span *s, uint32_t i, bool counted)
{
    slai_slab_remote(s)[i / 64] |= (uint64_t)1 << i % 64;
    s->remote += counted;
}

START_TEST(collect_counts_in)
{
    struct slai_span *s = create(slai_class_of(32));
    ck_assert_uint_eq(take(s, taken, 500), 500);
    for (uint32_t i = 0; i < 500; i += 7)
        free_remotely(s, i, true);
    size_t n = s->remote;
    unit_sound();
    slai_slab_collect(s);
    ck_assert_uint_eq(s->used, 500 - n);
    ck_assert_uint_eq(s->remote, 0);
    ck_assert_uint_eq(s->hint, 0);
    ck_assert_uint_eq(free_bits(s), s->capacity - s->used);
    unit_sound();
    slai_slab_collect(s); /* nothing new */
    ck_assert_uint_eq(s->used, 500 - n);
    for (uint32_t i = 0; i < 500; i++)
        if (i % 7 != 0)
            UNIT_QUICK(slai_slab_put(s, taken[i]));
    ck_assert(slai_slab_empty(s));
    slai_slab_destroy(s);
}
END_TEST

/* Bits may be seen before their number: the blocks stay out of reach until it has come. */
START_TEST(bits_before_their_count)
{
    struct slai_span *s = create(slai_class_of(4096)); /* 16 blocks */
    void *block;
    ck_assert_uint_eq(take(s, taken, 16), 16);
    free_remotely(s, 2, true);
    free_remotely(s, 9, false);
    slai_slab_collect(s);
    ck_assert_uint_eq(s->used, 15);
    ck_assert_uint_eq(take(s, &block, 5), 1); /* only what is counted */
    ck_assert(slai_slab_full(s));
    s->remote += 1;
    slai_slab_collect(s);
    ck_assert_uint_eq(s->used, 15);
    unit_sound();
    ck_assert_uint_eq(take(s, taken, 5), 1);
    for (uint32_t i = 0; i < 16; i++)
        UNIT_QUICK(slai_slab_put(s, s->start + (size_t)i * 4096));
    slai_slab_destroy(s);
}
END_TEST

START_TEST(collect_reports_what_was_free)
{
    struct slai_span *s = create(slai_class_of(32));
    char want[256];
    ck_assert_uint_eq(take(s, taken, 200), 200);
    ck_assert(slai_slab_put(s, taken[100]));
    free_remotely(s, 100, true);
    free_remotely(s, 101, true);
    slai_conf.abort = 0;
    unit_catch();
    slai_slab_collect(s);
    snprintf(want, sizeof(want), "slaballoc: free(0x%jx): block already free (size class 32)\n",
             (uintmax_t)(uintptr_t)taken[100]);
    ck_assert_str_eq(unit_caught(), want);
    ck_assert_uint_eq(s->used, 198);
    unit_sound();
    for (uint32_t i = 0; i < 200; i++)
        if (i != 100 && i != 101)
            UNIT_QUICK(slai_slab_put(s, taken[i]));
    slai_slab_destroy(s);
}
END_TEST

START_TEST(recount_believes_the_bitmaps)
{
    struct slai_span *s = create(slai_class_of(32));
    ck_assert_uint_eq(take(s, taken, 300), 300);
    for (uint32_t i = 0; i < 40; i++)
        free_remotely(s, i, i % 2 == 0); /* a number half added */
    s->used = 12345; /* as a thread that vanished in the middle may leave them */
    s->hint = (uint16_t)(s->words - 1);
    s->next_post = s;
    slai_slab_recount(s);
    ck_assert_uint_eq(s->used, 260);
    ck_assert_uint_eq(s->remote, 0);
    ck_assert_uint_eq(s->hint, 0);
    ck_assert_ptr_null(s->next_post);
    unit_sound();
    for (uint32_t i = 40; i < 300; i++)
        UNIT_QUICK(slai_slab_put(s, taken[i]));
    slai_slab_destroy(s);
}
END_TEST

/* --- refusals --- */

/* Every free page there is, so that the next needs the system. */
#define HOARD_MAX 20000
static struct slai_span *hoard[HOARD_MAX];

START_TEST(refused_slab_leaves_nothing)
{
    size_t bytes = 2 * sizeof(uint64_t) * slai_classes[1].words, n = 0, used;
    slai_slab_destroy(create(1)); /* its metadata is there */
    used = slai_pageheap.used_pages;
    unit_refuse(SLAI_CALL_COMMIT, 1);
    unit_refuse(SLAI_CALL_RESERVE, 1);
    while (n < HOARD_MAX && (hoard[n] = slai_pages_take(1, 1, SLAI_KIND_BUSY)) != NULL)
        n++;
    ck_assert_uint_lt(n, HOARD_MAX);
    void *before = slai_meta_take(bytes);
    slai_meta_give(before, bytes);
    errno = 0;
    ck_assert_ptr_null(slai_slab_create(1, &nobody));
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_ptr_eq(slai_meta_take(bytes), before); /* it went back */
    slai_meta_give(before, bytes);
    unit_sound();
    while (n > 0)
        slai_pages_give(hoard[--n]);
    ck_assert_uint_eq(slai_pageheap.used_pages, used);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("slab");
    TCase *tc = unit_case(suite, "slab");
    tcase_add_loop_test(tc, new_slab, 1, SLAI_CLASSES);
    tcase_add_loop_test(tc, exactly_the_capacity_lowest_first, 1, SLAI_CLASSES);
    tcase_add_loop_test(tc, random_take_and_put, 1, SLAI_CLASSES);
    tcase_add_test(tc, lowest_free_block_comes_first);
    tcase_add_test(tc, contents_are_left_alone);
    tcase_add_loop_test(tc, wrong_put_is_reported, 0, 5);
    tcase_add_test(tc, wrong_put_aborts);
    tcase_add_test(tc, destroying_in_use_is_caught);
    tcase_add_test(tc, collect_counts_in);
    tcase_add_test(tc, bits_before_their_count);
    tcase_add_test(tc, collect_reports_what_was_free);
    tcase_add_test(tc, recount_believes_the_bitmaps);
    tcase_add_test(tc, refused_slab_leaves_nothing);
    return support_main(suite);
}
