/*
 * test_extended.c: misuse of batches, sla_try_expand() and sla_rezalloc(): the
 * exact line on standard error, and SIGABRT; with abort=0 the program goes on.
 *
 * SPDX-License-Identifier: MIT
 */
#include "misuse/misdeeds.h"

static void flush(void) { sla_thread_idle(); }

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

static const struct misdeed misdeeds[] = {
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

int main(void) { return misdeeds_main("misuse/extended", misdeeds, ARRAY_LEN(misdeeds)); }
