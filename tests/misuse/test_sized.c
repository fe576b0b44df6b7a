/*
 * test_sized.c: sizes and alignments given to free that cannot be right, and
 * all those that are.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <signal.h>

struct sized {
    size_t asked, told;
};

/* More than the block has: certainly wrong.  Less may be right, after a realloc in place or with an
 * alignment. */
static const struct sized wrong[] = {
    {1, 100},       {8, SIZE_MAX},        {8, 65},             {16, 65},          {64, 4096},
    {64, 129},      {64, PTRDIFF_MAX},    {100, 200},          {100, 100000},     {1000, 2000},
    {1000, 100000}, {4096, 5000},         {20000, 30000},      {32768, 40000},    {32768, 65537},
    {40000, 70000}, {100000, 1000000},    {100000, 200000},    {5000000, 6000000}, {5000000, SIZE_MAX},
};

static void free_wrongly(void *arg)
{
    const struct sized *s = arg;
    void *block = sla_malloc(s->asked);
    support_mail[0] = (uintptr_t)block;
    support_mail[1] = sla_usable_size(block);
    sla_free_sized(block, support_size(s->told));
}

START_TEST(wrong_size_aborts)
{
    struct support_child child;
    char what[128];
    support_run_child(free_wrongly, (void *)(uintptr_t)&wrong[_i], 10, &child);
    snprintf(what, sizeof(what), "size %zu does not fit a block of %zu bytes", wrong[_i].told,
             (size_t)child.mail[1]);
    ck_assert_msg(support_reported(&child, "free_sized", child.mail[0], what), "expected '%s', got '%s'",
                  what, child.errors);
    ck_assert_int_eq(child.signal, SIGABRT);
}
END_TEST

static void free_wrongly_aligned(void *arg)
{
    const struct sized *s = arg;
    void *block = sla_aligned_alloc(64, s->asked);
    support_mail[0] = (uintptr_t)block;
    support_mail[1] = sla_usable_size(block);
    sla_free_aligned_sized(block, 64, support_size(s->told));
}

START_TEST(wrong_size_of_aligned_aborts)
{
    struct support_child child;
    char what[128];
    support_run_child(free_wrongly_aligned, (void *)(uintptr_t)&wrong[_i], 10, &child);
    snprintf(what, sizeof(what), "size %zu does not fit a block of %zu bytes", wrong[_i].told,
             (size_t)child.mail[1]);
    ck_assert_msg(support_reported(&child, "free_aligned_sized", child.mail[0], what),
                  "%zu: expected '%s', got '%s'", wrong[_i].asked, what, child.errors);
    ck_assert_int_eq(child.signal, SIGABRT);
}
END_TEST

/* An address that is not even aligned so cannot have been asked for with that alignment. */
static void free_with_alignment(void *arg)
{
    size_t alignment = *(const size_t *)arg;
    unsigned char *block;
    do
        block = sla_malloc(64);
    while (alignment > 64 && (uintptr_t)block % alignment == 0);
    support_mail[0] = (uintptr_t)block;
    support_mail[1] = sla_usable_size(block);
    sla_free_aligned_sized(block, alignment, 64);
}

START_TEST(wrong_alignment_aborts)
{
    static const size_t alignments[] = {0, 3, 48, 128, 4096, 65536, (size_t)1 << 30};
    size_t alignment = alignments[_i];
    struct support_child child;
    char what[128];
    support_run_child(free_with_alignment, &alignment, 10, &child);
    snprintf(what, sizeof(what), "alignment %zu does not fit a block of %zu bytes", alignment,
             (size_t)child.mail[1]);
    ck_assert_msg(support_reported(&child, "free_aligned_sized", child.mail[0], what),
                  "expected '%s', got '%s'", what, child.errors);
    ck_assert_int_eq(child.signal, SIGABRT);
}
END_TEST

static void survive(void *arg)
{
    const struct sized *s = arg;
    CHILD_REQUIRE(sla_option_set("abort", 0) == 0);
    void *block = sla_malloc(s->asked);
    support_fill(block, s->asked, 1);
    errno = SENTINEL_ERRNO;
    sla_free_sized(block, support_size(s->told));
    CHILD_REQUIRE(errno == SENTINEL_ERRNO);
    for (int i = 0; i < 1000; i++) {
        void *other = sla_malloc(s->asked);
        CHILD_REQUIRE(other != NULL && other != block); /* leaked, as the manual says */
        memset(other, 0, s->asked);
        if (i % 2)
            sla_free(other);
        if (s->asked > MIB)
            break;
    }
    CHILD_REQUIRE(support_matches(block, s->asked, 1));
}

START_TEST(wrong_size_is_survived)
{
    struct support_child child;
    support_run_child(survive, (void *)(uintptr_t)&wrong[_i], 10, &child);
    ck_assert_msg(child.exited && child.status == 0, "%s", child.errors);
    ck_assert_ptr_nonnull(strstr(child.errors, "slaballoc: free_sized(0x"));
    ck_assert_ptr_nonnull(strstr(child.errors, " does not fit a block of "));
}
END_TEST

static void free_rightly(void *arg)
{
    (void)arg;
    for (size_t size = 0; size <= 300000; size += size < 3000 ? 1 : 997) {
        sla_free_sized(sla_malloc(size), size);
        sla_free_sized(sla_calloc(1, size), size);
        sla_free_sized(sla_realloc(NULL, size), size);
        void *block = sla_malloc(size);
        sla_free_sized(block, sla_usable_size(block));
        for (size_t alignment = 1; alignment <= 8192; alignment *= 2) {
            sla_free_aligned_sized(sla_aligned_alloc(alignment, size), alignment, size);
            if (alignment < 16 || size % 16 == 0)
                sla_free_aligned_sized(sla_memalign(alignment, size), alignment, size);
        }
    }
    void *block = sla_malloc(10);
    block = sla_realloc(block, 5000);
    block = sla_realloc(block, 600);
    sla_free_sized(block, 600);
    block = sla_realloc(sla_malloc(5000000), 1000000);
    sla_free_sized(block, 1000000);
    block = sla_realloc(sla_aligned_alloc(4096, 100), 50);
    sla_free_sized(block, 50);
}

START_TEST(right_sizes_are_accepted)
{
    static struct support_child child;
    support_run_child(free_rightly, NULL, 60, &child);
    ck_assert_msg(child.exited && child.status == 0, "signal %d: %s", child.signal, child.errors);
    ck_assert_str_eq(child.errors, "");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("misuse/sized");
    TCase *tc = tcase_create("sized");
    int all = (int)ARRAY_LEN(wrong);
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, wrong_size_aborts, 0, all);
    tcase_add_loop_test(tc, wrong_size_of_aligned_aborts, 0, all);
    tcase_add_loop_test(tc, wrong_alignment_aborts, 0, 7);
    tcase_add_loop_test(tc, wrong_size_is_survived, 0, all);
    tcase_add_test(tc, right_sizes_are_accepted);
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
