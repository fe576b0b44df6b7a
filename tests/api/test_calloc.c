/*
 * test_calloc.c: calloc gives zeroes whatever the memory held before, on
 * fresh, reused, purged and shrunk memory.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <sys/mman.h>

static const size_t sizes[] = {1,      8,      16,      24,      48,      64,      100,     128,    129,
                               256,    500,    1000,    1024,    2000,    4096,    5000,    8192,   10000,
                               16384,  20000,  32768,   32769,   40000,   65536,   65537,   100000, 131072,
                               262144, 300000, 1048576, 1048577, 2097152, 5000000, 20000000};

static size_t many(size_t size)
{
    size_t count = size <= 512 ? 2000 : size <= 32 * KIB ? 200 : size <= 300000 ? 20 : 3;
    return support_scaled(count) < 3 ? 3 : support_scaled(count);
}

static void dirty(size_t size, size_t count)
{
    void **blocks = malloc(count * sizeof(*blocks));
    for (size_t i = 0; i < count; i++) {
        blocks[i] = sla_malloc(size);
        ck_assert_ptr_nonnull(blocks[i]);
        memset(blocks[i], 0xd1, sla_usable_size(blocks[i]));
    }
    for (size_t i = 0; i < count; i++)
        sla_free(blocks[i]);
    free(blocks);
}

static void check_zero(size_t size, size_t count)
{
    void **blocks = malloc(count * sizeof(*blocks));
    for (size_t i = 0; i < count; i++) {
        blocks[i] = i % 2 ? sla_calloc(1, size) : sla_calloc(size, 1);
        ck_assert_ptr_nonnull(blocks[i]);
        ck_assert_msg(support_is_zero(blocks[i], size), "block %zu of %zu bytes is not zero", i, size);
    }
    for (size_t i = 0; i < count; i++) {
        memset(blocks[i], 0xd2, sla_usable_size(blocks[i]));
        sla_free(blocks[i]);
    }
    free(blocks);
}

START_TEST(zero_at_first)
{
    check_zero(sizes[_i], many(sizes[_i]));
}
END_TEST

START_TEST(zero_after_dirt)
{
    dirty(sizes[_i], many(sizes[_i]));
    check_zero(sizes[_i], many(sizes[_i]));
    check_zero(sizes[_i], many(sizes[_i]) * 2);
}
END_TEST

START_TEST(zero_after_purge)
{
    for (int round = 0; round < 3; round++) {
        dirty(sizes[_i], many(sizes[_i]));
        sla_thread_idle();
        (void)sla_trim(0);
        check_zero(sizes[_i], many(sizes[_i]));
    }
}
END_TEST

/* Pages that go from one kind of use to another: split, coalesced, partly purged. */
START_TEST(zero_in_another_size)
{
    size_t size = sizes[_i];
    dirty(size, many(size));
    sla_thread_idle();
    for (size_t other = 16; other <= (SUPPORT_MEMORY_IS_PLAIN ? 3 * MIB : 300 * KIB); other = other * 3 + 1) {
        check_zero(other, other < 64 * KIB ? 30 : 2);
        if (other % 2 == 0)
            (void)sla_trim(0);
        dirty(other, other < 64 * KIB ? 30 : 2);
    }
}
END_TEST

START_TEST(zero_after_realloc_shrink)
{
    size_t size = sizes[_i];
    unsigned char *block = sla_malloc(size * 4);
    memset(block, 0xd3, size * 4);
    block = sla_realloc(block, size);
    ck_assert_ptr_nonnull(block);
    check_zero(size * 3, 4);
    check_zero(size, 4);
    memset(block, 0xd4, size);
    sla_free(block);
    check_zero(size, 4);
}
END_TEST

static void zero_under_purge_at_once(void *arg)
{
    (void)arg;
    CHILD_REQUIRE(sla_option_set("purge_delay", 0) == 0);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        for (int round = 0; round < 4; round++) {
            unsigned char *block = sla_calloc(1, sizes[i]);
            CHILD_REQUIRE(block != NULL && support_is_zero(block, sizes[i]));
            memset(block, 0xd5, sla_usable_size(block));
            sla_free(block);
            (void)sla_maintain();
        }
}

START_TEST(zero_with_purge_delay_0)
{
    struct support_child child;
    support_run_child(zero_under_purge_at_once, NULL, 30, &child);
    ck_assert_msg(child.exited && child.status == 0, "%s", child.errors);
}
END_TEST

/* Locked pages keep their contents where MADV_DONTNEED is refused. */
static void zero_under_mlockall(void *arg)
{
    (void)arg;
    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) {
        support_mail[0] = 1;
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(sizes) && sizes[i] <= 2 * MIB; i++)
        for (int round = 0; round < 3; round++) {
            unsigned char *block = sla_calloc(1, sizes[i]);
            if (block == NULL) /* the limit on locked memory */
                continue;
            CHILD_REQUIRE(support_is_zero(block, sizes[i]));
            memset(block, 0xd6, sla_usable_size(block));
            sla_free(block);
            sla_thread_idle();
            (void)sla_trim(0);
        }
}

START_TEST(zero_under_locked_memory)
{
    struct support_child child;
    if (!SUPPORT_MEMORY_IS_PLAIN)
        return;
    support_run_child(zero_under_mlockall, NULL, 30, &child);
    ck_assert_msg(child.exited && child.status == 0, "signal %d: %s", child.signal, child.errors);
    if (child.mail[0] == 1)
        printf("zero_under_locked_memory: mlockall refused, not tested\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api/calloc");
    TCase *tc = tcase_create("calloc");
    int all = (int)ARRAY_LEN(sizes);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, zero_at_first, 0, all);
    tcase_add_loop_test(tc, zero_after_dirt, 0, all);
    tcase_add_loop_test(tc, zero_after_purge, 0, all);
    tcase_add_loop_test(tc, zero_in_another_size, 0, all);
    tcase_add_loop_test(tc, zero_after_realloc_shrink, 0, all);
    tcase_add_test(tc, zero_with_purge_delay_0);
    tcase_add_test(tc, zero_under_locked_memory);
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
