/*
 * test_extended.c: misuse of batches, sla_try_expand() and sla_rezalloc(): the
 * exact line on standard error, and SIGABRT; with abort=0 the program goes on.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <signal.h>

/* A misdeed leaves in support_mail what the report must say. */
enum { ADDRESS, SIZE_CLASS, DONE };
static int after_report_runs; /* with abort=0: what follows the misdeed */

static void blame(const void *address, size_t size_class)
{
    support_mail[ADDRESS] = (uintptr_t)address;
    support_mail[SIZE_CLASS] = size_class;
}

static void *blamed(void *address, size_t size)
{
    blame(address, sla_good_size(size));
    return address;
}

static void flush(void)
{
    sla_thread_idle();
}

static void *pin(size_t size)
{
    void *block = sla_malloc(size);
    CHILD_REQUIRE(block != NULL);
    return support_sink = block;
}

static char static_bytes[64];

/* --- batches: from the last one on, each as sla_free() --- */

static void batch_of(void *first, void *second, void *third)
{
    void *blocks[] = {NULL, first, second, third};
    sla_free_batch(blocks, ARRAY_LEN(blocks));
}

static void batch_static(size_t size)
{
    batch_of(pin(size), blamed(support_pointer(static_bytes), 0), pin(size));
}

static void batch_twice_in_a_row(size_t size)
{
    void *block = blamed(pin(size), size);
    batch_of(pin(size), block, block);
}

static void batch_twice_amid_others(size_t size)
{
    void *blocks[20], *block = pin(size);
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
        blocks[i] = i == 11 ? block : pin(size);
    blocks[10] = blamed(block, size);
    sla_free_batch(blocks, ARRAY_LEN(blocks));
}

static void batch_twice_across_batches(size_t size)
{
    void *block = pin(size);
    batch_of(block, pin(size), NULL);
    batch_of(NULL, pin(size + size / 2 + 16), blamed(block, size));
}

static void batch_then_free(size_t size)
{
    void *block = pin(size);
    batch_of(block, pin(size), pin(size));
    sla_free(blamed(block, size));
}

static void batch_with_others_between(size_t size)
{
    (void)pin(size);
    void *block = blamed(pin(size), size);
    batch_of(block, pin(size), block);
    flush();
}

static void batch_large_twice(size_t size)
{
    void *block = pin(size);
    blame(block, 0);
    batch_of(pin(size), block, block);
}

static void batch_inside(size_t size)
{
    char *block = pin(size);
    blame(block + 8, sla_good_size(size));
    batch_of(pin(size), block + 8, pin(size));
    flush();
}

static void batch_large_inside(size_t size)
{
    char *block = pin(size);
    blame(block + 8, 0);
    batch_of(NULL, block + 8, pin(size));
}

/* --- sla_try_expand(), sla_rezalloc() --- */

static void expand_static(size_t size)
{
    CHILD_REQUIRE(sla_try_expand(blamed(support_pointer(static_bytes), 0), size, size) == 0 && errno == EINVAL);
}

static void expand_inside(size_t size)
{
    char *block = pin(size);
    blame(block + 8, sla_good_size(size));
    CHILD_REQUIRE(sla_try_expand(block + 8, 1, size) == 0);
}

static void expand_freed(size_t size)
{
    void *block = pin(size);
    blame(block, 0);
    sla_free(block);
    CHILD_REQUIRE(sla_try_expand(block, 1, size * 2) == 0);
}

static void rezalloc_static(size_t size)
{
    CHILD_REQUIRE(sla_rezalloc(blamed(support_pointer(static_bytes), 0), 1, size) == NULL && errno == EINVAL);
}

static void rezalloc_inside(size_t size)
{
    char *block = pin(size);
    blame(block + 8, sla_good_size(size));
    CHILD_REQUIRE(sla_rezalloc(block + 8, 1, size) == NULL);
}

static void rezalloc_freed(size_t size)
{
    void *block = pin(size);
    blame(block, 0);
    sla_free(block);
    CHILD_REQUIRE(sla_rezalloc(block, 1, size * 2) == NULL);
}

#define FOREIGN "not a block of this heap"
#define TWICE "block already free (size class #)"
#define LARGE_TWICE "large block already free"
#define INSIDE "not the start of a block (size class #)"
#define LARGE_INSIDE "not the start of a large block"

static const struct misdeed {
    const char *name;
    void (*run)(size_t size);
    size_t size;
    const char *call, *what;
} misdeeds[] = {
    {"batch static", batch_static, 100, "free", FOREIGN},
    {"batch twice in a row", batch_twice_in_a_row, 8, "free", TWICE},
    {"batch twice in a row", batch_twice_in_a_row, 64, "free", TWICE},
    {"batch twice in a row", batch_twice_in_a_row, 1000, "free", TWICE},
    {"batch twice in a row", batch_twice_in_a_row, 30000, "free", TWICE},
    {"batch twice amid others", batch_twice_amid_others, 64, "free", TWICE},
    {"batch twice amid others", batch_twice_amid_others, 3000, "free", TWICE},
    {"batch twice across", batch_twice_across_batches, 16, "free", TWICE},
    {"batch twice across", batch_twice_across_batches, 64, "free", TWICE},
    {"batch then free", batch_then_free, 64, "free", TWICE},
    {"batch others between", batch_with_others_between, 16, "free", TWICE},
    {"batch others between", batch_with_others_between, 1000, "free", TWICE},
    {"batch large twice", batch_large_twice, 100000, "free", LARGE_TWICE},
    {"batch inside", batch_inside, 64, "free", INSIDE},
    {"batch inside", batch_inside, 20000, "free", INSIDE},
    {"batch large inside", batch_large_inside, 100000, "free", LARGE_INSIDE},
    {"expand static", expand_static, 100, "try_expand", FOREIGN},
    {"expand inside", expand_inside, 100, "try_expand", INSIDE},
    {"expand freed", expand_freed, 100000, "try_expand", LARGE_TWICE},
    {"rezalloc static", rezalloc_static, 100, "rezalloc", FOREIGN},
    {"rezalloc static to 0", rezalloc_static, 0, "rezalloc", FOREIGN},
    {"rezalloc inside", rezalloc_inside, 100, "rezalloc", INSIDE},
    {"rezalloc freed", rezalloc_freed, 100000, "rezalloc", LARGE_TWICE},
};

static void commit(void *arg)
{
    const struct misdeed *m = arg;
    if (after_report_runs)
        CHILD_REQUIRE(sla_option_set("abort", 0) == 0);
    errno = SENTINEL_ERRNO;
    m->run(m->size);
    support_mail[DONE] = 1;
    if (strcmp(m->call, "free") == 0)
        CHILD_REQUIRE(errno == SENTINEL_ERRNO);
    /* The block is out of use for good: nobody gets it twice. */
    static void *blocks[100];
    CHILD_REQUIRE(sla_alloc_batch(m->size % 4096 + 1, blocks, ARRAY_LEN(blocks)) == ARRAY_LEN(blocks));
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
        for (size_t j = 0; j < i; j++)
            CHILD_REQUIRE(blocks[j] != blocks[i]);
    sla_free_batch(blocks, ARRAY_LEN(blocks));
}

/* The line of the report, and nothing else. */
static void check_report(const struct misdeed *m, const struct support_child *child)
{
    char what[96];
    size_t length = strcspn(m->what, "#");
    snprintf(what, sizeof(what), "%s", m->what);
    if (m->what[length] == '#')
        snprintf(what + length, sizeof(what) - length, "%ju)", (uintmax_t)child->mail[SIZE_CLASS]);
    ck_assert_msg(support_reported(child, m->call, child->mail[ADDRESS], what),
                  "%s, %zu: expected '%s(%#jx): %s', got '%s', signal %d, status %d", m->name, m->size, m->call,
                  (uintmax_t)child->mail[ADDRESS], what, child->errors, child->signal, child->status);
}

START_TEST(misdeed_aborts)
{
    struct support_child child;
    after_report_runs = 0;
    support_run_child(commit, (void *)(uintptr_t)&misdeeds[_i], 20, &child);
    check_report(&misdeeds[_i], &child);
    ck_assert_int_eq(child.signal, SIGABRT);
    ck_assert_uint_eq(child.mail[DONE], 0);
}
END_TEST

START_TEST(misdeed_is_survived)
{
    struct support_child child;
    after_report_runs = 1;
    support_run_child(commit, (void *)(uintptr_t)&misdeeds[_i], 20, &child);
    check_report(&misdeeds[_i], &child);
    ck_assert_msg(child.exited && child.status == 0, "%s: signal %d, status %d", misdeeds[_i].name,
                  child.signal, child.status);
    ck_assert_uint_eq(child.mail[DONE], 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("misuse/extended");
    TCase *tc = tcase_create("extended");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, misdeed_aborts, 0, (int)ARRAY_LEN(misdeeds));
    tcase_add_loop_test(tc, misdeed_is_survived, 0, (int)ARRAY_LEN(misdeeds));
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
