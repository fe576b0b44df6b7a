/*
 * test_conformance.c: every entry point against a table of arguments, with
 * the result and errno that the header promises.  Each row is one test.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

enum call {
    MALLOC,
    CALLOC,
    REALLOC_NULL,
    REALLOC_GROW,
    REALLOC_LARGE,
    REALLOCARRAY,
    ARRAY_NULL,
    ALIGNED,
    POSIX,
    MEMALIGN
};

static const char *const call_names[] = {
    "malloc(b)", "calloc(a, b)", "realloc(NULL, b)", "realloc(small, b)", "realloc(large, b)",
    "reallocarray(small, a, b)", "reallocarray(NULL, a, b)", "aligned_alloc(a, b)", "posix_memalign(a, b)",
    "memalign(a, b)"
};

enum want { BLOCK, FREED, ERROR };

struct row {
    enum call call;
    size_t a, b;   /* count or alignment, and size */
    enum want want;
    int error;     /* for ERROR */
};

#define ROWS_MAX 1024
static struct row rows[ROWS_MAX];
static size_t row_count;

static void add(enum call call, size_t a, size_t b, enum want want, int error)
{
    if (row_count == ROWS_MAX)
        abort();
    rows[row_count++] = (struct row){call, a, b, want, error};
}

/* Edges of a scheme with four or eight classes a doubling, of pages, slabs and large blocks. */
static const size_t sizes[] = {
    0,       1,       7,       8,        9,       15,     16,     17,     24,     31,      32,      33,
    47,      48,      49,      63,       64,      65,     80,     96,     112,    127,     128,     129,
    143,     144,     145,     160,      191,     192,    193,    255,    256,    257,     320,     321,
    511,     512,     513,     640,      1023,    1024,   1025,   1151,   1152,   1153,    1536,    2047,
    2048,    2049,    3072,    4095,     4096,    4097,   5120,   6144,   8191,   8192,    8193,    10240,
    16383,   16384,   16385,   20480,    24576,   28672,  32767,  32768,  32769,  36864,   49152,   65535,
    65536,   65537,   131071,  131072,   131073,  196608, 262143, 262144, 262145, 1048575, 1048576, 1048577,
    2097152, 3145729, 4194304, 16777217, 33554432};

static const size_t impossible[] = {
    SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 7, SIZE_MAX - 8, SIZE_MAX - 15, SIZE_MAX - 16, SIZE_MAX - 4095,
    SIZE_MAX - 4096, SIZE_MAX - 65535, SIZE_MAX - 65536, SIZE_MAX / 2 + 1, SIZE_MAX / 2 + 2,
    (size_t)PTRDIFF_MAX + 1, (size_t)PTRDIFF_MAX + 4096, (size_t)PTRDIFF_MAX + 65536, (size_t)3 << (SIZE_BITS - 2)
};

/* Within PTRDIFF_MAX, but more than any address space has. */
static const size_t enormous[] = {
    PTRDIFF_MAX, (size_t)PTRDIFF_MAX - 1, (size_t)PTRDIFF_MAX - 15, (size_t)PTRDIFF_MAX - 4095,
    (size_t)PTRDIFF_MAX - 4096, (size_t)PTRDIFF_MAX - 65534, BEYOND(62), BEYOND(60), BEYOND(56)
};

struct product {
    size_t a, b;
};
static const struct product overflowing[] = {{SIZE_MAX, 2},
                                             {2, SIZE_MAX},
                                             {SIZE_MAX, SIZE_MAX},
                                             {SIZE_MAX / 2 + 1, 2},
                                             {(size_t)1 << SIZE_BITS / 2, (size_t)1 << SIZE_BITS / 2},
                                             {((size_t)1 << SIZE_BITS / 2) + 1, (size_t)1 << SIZE_BITS / 2},
                                             {SIZE_MAX / 3 + 1, 3},
                                             {SIZE_MAX / 7 + 1, 7},
                                             {BEYOND(63), 2},
                                             {SIZE_MAX / 16 + 1, 16},
                                             {SIZE_MAX / 48 + 1, 48},
                                             {SIZE_MAX / 8 + 3, 8}, /* wraps to more than either */
                                             {(size_t)PTRDIFF_MAX / 2 + 1, 2},
                                             {(size_t)1 << (SIZE_BITS - 16), 1 << 15},
                                             {3, (size_t)PTRDIFF_MAX},
                                             {1, SIZE_MAX},
                                             {SIZE_MAX, 1}};
static const struct product fine[] = {{0, 0},     {0, 5},     {5, 0},       {0, SIZE_MAX}, {SIZE_MAX, 0},
                                      {1, 1},     {1, 16},    {16, 1},      {3, 5},        {7, 9},
                                      {10, 100},  {1000, 3},  {1, 4096},    {4096, 1},     {512, 128},
                                      {1, 65537}, {65537, 1}, {1024, 1024}, {1, 2 << 20},  {333, 3333}};
static const size_t bad_alignments[] = {
    3, 5, 6, 7, 9, 12, 24, 48, 96, 100, 1000, 4095, 4097, SIZE_MAX, SIZE_MAX - 1, (size_t)3 << (SIZE_BITS - 24),
    BEYOND(63) + 1
};
static const size_t hopeless_alignments[] = {BEYOND(48), BEYOND(56), BEYOND(62), BEYOND(63)};

static void add_good_sizes(void)
{
    static const enum call plain[] = {MALLOC, CALLOC, REALLOC_NULL, REALLOC_GROW, REALLOC_LARGE};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        size_t size = sizes[i];
        for (size_t c = 0; c < ARRAY_LEN(plain); c++) {
            int frees = size == 0 && (plain[c] == REALLOC_GROW || plain[c] == REALLOC_LARGE);
            add(plain[c], 1, size, frees ? FREED : BLOCK, 0);
        }
        if (i % 4 == 0) {
            add(ALIGNED, (size_t)8 << i % 10, size, BLOCK, 0);
            add(POSIX, (size_t)8 << i % 10, size, BLOCK, 0);
            add(MEMALIGN, (size_t)8 << i % 10, size, BLOCK, 0);
        }
    }
}

static void add_impossible_sizes(const size_t *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        add(MALLOC, 1, list[i], ERROR, ENOMEM);
        add(CALLOC, 1, list[i], ERROR, ENOMEM);
        add(REALLOC_NULL, 1, list[i], ERROR, ENOMEM);
        add(REALLOC_GROW, 1, list[i], ERROR, ENOMEM);
        add(REALLOC_LARGE, 1, list[i], ERROR, ENOMEM);
        add(ALIGNED, 64, list[i], ERROR, ENOMEM);
        add(POSIX, 4096, list[i], ERROR, ENOMEM);
        add(MEMALIGN, 16, list[i], ERROR, ENOMEM);
    }
}

static void add_products(void)
{
    for (size_t i = 0; i < ARRAY_LEN(overflowing); i++) {
        add(CALLOC, overflowing[i].a, overflowing[i].b, ERROR, ENOMEM);
        add(REALLOCARRAY, overflowing[i].a, overflowing[i].b, ERROR, ENOMEM);
        add(ARRAY_NULL, overflowing[i].a, overflowing[i].b, ERROR, ENOMEM);
    }
    for (size_t i = 0; i < ARRAY_LEN(fine); i++) {
        add(CALLOC, fine[i].a, fine[i].b, BLOCK, 0);
        add(REALLOCARRAY, fine[i].a, fine[i].b, fine[i].a * fine[i].b == 0 ? FREED : BLOCK, 0);
        add(ARRAY_NULL, fine[i].a, fine[i].b, BLOCK, 0);
    }
}

static void add_alignments(void)
{
    for (size_t i = 0; i < ARRAY_LEN(bad_alignments); i++) {
        add(ALIGNED, bad_alignments[i], 64, ERROR, EINVAL);
        add(POSIX, bad_alignments[i], 64, ERROR, EINVAL);
        if (bad_alignments[i] <= 4097)
            add(MEMALIGN, bad_alignments[i], 64, BLOCK, 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(hopeless_alignments); i++) {
        add(ALIGNED, hopeless_alignments[i], 64, ERROR, ENOMEM);
        add(POSIX, hopeless_alignments[i], 64, ERROR, ENOMEM);
        add(MEMALIGN, hopeless_alignments[i], 64, ERROR, ENOMEM);
    }
    add(ALIGNED, 0, 64, ERROR, EINVAL);
    add(POSIX, 0, 64, ERROR, EINVAL);
    add(MEMALIGN, 0, 64, BLOCK, 0);
    for (size_t alignment = 1; alignment < sizeof(void *); alignment *= 2) {
        add(ALIGNED, alignment, 64, BLOCK, 0);
        add(MEMALIGN, alignment, 64, BLOCK, 0);
        add(POSIX, alignment, 64, ERROR, EINVAL);
    }
    for (size_t alignment = 8; alignment <= GIB; alignment *= 2) {
        add(ALIGNED, alignment, 100, BLOCK, 0);
        add(POSIX, alignment, 5000, BLOCK, 0);
        add(MEMALIGN, alignment, 100000, BLOCK, 0);
    }
}

/* Makes the call; *old is the block handed to a realloc, NULL for the others. */
static void *perform(const struct row *row, void **old)
{
    size_t a = support_size(row->a), b = support_size(row->b);
    void *out = NULL;
    int error;

    switch (row->call) {
    case MALLOC: return sla_malloc(b);
    case CALLOC: return sla_calloc(a, b);
    case REALLOC_NULL: return sla_realloc(NULL, b);
    case REALLOC_GROW:
    case REALLOC_LARGE: return sla_realloc(*old, b);
    case REALLOCARRAY: return sla_reallocarray(*old, a, b);
    case ARRAY_NULL: return sla_reallocarray(NULL, a, b);
    case ALIGNED: return sla_aligned_alloc(a, b);
    case MEMALIGN: return sla_memalign(a, b);
    case POSIX:
        out = &rows;
        error = sla_posix_memalign(&out, a, b);
        if (error == 0)
            return out;
        ck_assert_ptr_eq(out, &rows);
        ck_assert_int_eq(errno, SENTINEL_ERRNO);
        errno = error;
        return NULL;
    }
    return NULL;
}

static size_t size_wanted(const struct row *row)
{
    int product = row->call == CALLOC || row->call == REALLOCARRAY || row->call == ARRAY_NULL;
    return product ? row->a * row->b : row->b;
}

static size_t alignment_wanted(const struct row *row)
{
    size_t size = size_wanted(row), wanted = size >= 16 ? 16 : 8;
    if (row->call < ALIGNED)
        return wanted;
    size_t rounded = 1;
    while (rounded < row->a)
        rounded *= 2;
    return rounded > wanted ? rounded : wanted;
}

static void check_block(const struct row *row, unsigned char *block, size_t kept)
{
    size_t size = size_wanted(row), usable = sla_usable_size(block);
    ck_assert_ptr_nonnull(block);
    ck_assert_uint_eq((uintptr_t)block % alignment_wanted(row), 0);
    ck_assert_uint_ge(usable, size);
    ck_assert_int_eq(sla_owns(block), 1);
    if (row->call == CALLOC)
        ck_assert(support_is_zero(block, size));
    if (kept != 0)
        ck_assert(support_matches(block, kept < size ? kept & ~(size_t)7 : size & ~(size_t)7, 42));
    if (usable > 0) {
        block[0] = 1;
        block[usable - 1] = 1;
    }
    errno = SENTINEL_ERRNO;
    sla_free(block);
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
}

START_TEST(row_holds)
{
    const struct row *row = &rows[_i];
    size_t kept = row->call == REALLOC_LARGE ? 300000 : 104;
    int resizes = row->call == REALLOC_GROW || row->call == REALLOC_LARGE || row->call == REALLOCARRAY;
    void *old = NULL;

    if (resizes) {
        old = sla_malloc(kept);
        ck_assert_ptr_nonnull(old);
        support_fill(old, kept, 42);
    }
    errno = SENTINEL_ERRNO;
    void *block = perform(row, &old);
    int seen = errno;
    if (row->want == BLOCK) {
        ck_assert_msg(block != NULL, "%s a=%zu b=%zu failed: errno %d", call_names[row->call], row->a, row->b,
                      seen);
        ck_assert_int_eq(seen, SENTINEL_ERRNO);
        check_block(row, block, resizes ? kept : 0);
        return;
    }
    ck_assert_msg(block == NULL, "%s a=%zu b=%zu gave %p", call_names[row->call], row->a, row->b, block);
    ck_assert_msg(seen == (row->want == FREED ? SENTINEL_ERRNO : row->error), "%s a=%zu b=%zu: errno %d",
                  call_names[row->call], row->a, row->b, seen);
    if (row->want == ERROR && resizes) {
        ck_assert(support_matches(old, kept, 42));
        sla_free(old);
    }
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("api/conformance");
    TCase *tc = tcase_create("rows");
    add_good_sizes();
    add_impossible_sizes(impossible, ARRAY_LEN(impossible));
    add_impossible_sizes(enormous, ARRAY_LEN(enormous));
    add_products();
    add_alignments();
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, row_holds, 0, (int)row_count);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    Suite *suite = make_suite();
    printf("conformance table: %zu cases\n", row_count);
    if (row_count < 400) {
        fprintf(stderr, "conformance table: fewer than 400 cases\n");
        return EXIT_FAILURE;
    }
    return support_main(suite);
}
