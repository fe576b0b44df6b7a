/*
 * test_limits.c: little address space, few mappings: every call gives memory
 * or NULL with ENOMEM, what is given works, and freeing makes room again.
 *
 * The limit is set before the program starts, so that the very first
 * reservation meets it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static const size_t limits_mib[] = {
    16, 20, 24, 28, 32, 40, 48, 64, 80, 96, 128, 192, 256, 384, 512, 768, 1024, 2048, 4096, 8192
};

/* --- the script: run in a process of its own, under the limit --- */

#define SLOTS 2600
static struct support_block slots[SLOTS];
static size_t failures;

/* Touching all of several GiB would measure the machine: the ends and a word here and there do. */
static size_t stride(const struct support_block *slot)
{
    return slot->size >= MIB ? MIB : slot->size > 16 * KIB ? 64 * KIB : 4096;
}

static void touch(struct support_block *slot)
{
    for (size_t at = 0; at + 8 <= slot->size; at += stride(slot))
        memcpy(slot->start + at, &slot->seed, 8);
    if (slot->size != 0)
        slot->start[slot->size - 1] = (unsigned char)slot->seed;
}

static int touched(const struct support_block *slot)
{
    for (size_t at = 0; at + 8 <= slot->size; at += stride(slot))
        if (at + 8 < slot->size && memcmp(slot->start + at, &slot->seed, 8) != 0)
            return 0;
    return slot->size == 0 || slot->start[slot->size - 1] == (unsigned char)slot->seed;
}

static int take(size_t i, size_t size, int kind)
{
    errno = SENTINEL_ERRNO;
    /* Zeroing and reading recycled GiBs would be all that this program does. */
    kind = size >= MIB && kind == 1 ? 0 : kind;
    void *start = kind == 0   ? sla_malloc(size)
                  : kind == 1 ? sla_calloc(1, size)
                              : sla_aligned_alloc(4096, size);
    if (start == NULL) {
        CHILD_REQUIRE(errno == ENOMEM);
        failures++;
        return 0;
    }
    CHILD_REQUIRE(errno == SENTINEL_ERRNO);
    CHILD_REQUIRE(kind != 1 || support_is_zero(start, size));
    slots[i] = (struct support_block){start, size, 0x1234567890abcdu + i};
    touch(&slots[i]);
    return 1;
}

static void give(size_t i)
{
    if (slots[i].start == NULL)
        return;
    CHILD_REQUIRE(touched(&slots[i]));
    errno = SENTINEL_ERRNO;
    sla_free(slots[i].start);
    CHILD_REQUIRE(errno == SENTINEL_ERRNO);
    slots[i].start = NULL;
}

static void give_all(void)
{
    for (size_t i = 0; i < SLOTS; i++)
        give(i);
}

/* Blocks of one size until there is no more, or the slots are full. */
static size_t fill_up(size_t size)
{
    size_t i = 0;
    while (i < SLOTS && take(i, size, (int)(i % 3)))
        i++;
    return i * size;
}

static void mixed(void)
{
    struct support_rng rng;
    support_seed(&rng, 99);
    for (size_t round = 0; round < 2000; round++) {
        size_t i = support_below(&rng, 500), size = support_random_size(&rng);
        if (slots[i].start == NULL) {
            (void)take(i, size, (int)(round % 3));
        } else if (round % 4 == 0) {
            errno = SENTINEL_ERRNO;
            void *start = sla_realloc(slots[i].start, size + 1);
            CHILD_REQUIRE(start != NULL || errno == ENOMEM);
            if (start != NULL) {
                slots[i].start = start;
                slots[i].size = size + 1;
                touch(&slots[i]);
            }
        } else {
            give(i);
        }
    }
}

static void script(void)
{
    static const size_t sizes[] = {64 * MIB, 1 * MIB, 100 * KIB, 40 * KIB, 8 * KIB, 1000, 48};
    size_t most = 0, before[ARRAY_LEN(sizes)] = {0};
    void *first = sla_malloc(100);
    CHILD_REQUIRE(first != NULL);
    for (int pass = 0; pass < 2; pass++)
        for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
            size_t total = fill_up(sizes[s]);
            /* What was had once can be had again, from what was freed; of the largest all but one. */
            CHILD_REQUIRE(pass == 0 || total + sizes[0] >= before[s] / 2);
            before[s] = total;
            most = total > most ? total : most;
            mixed();
            give_all();
        }
    sla_free(first);
    char line[64];
    int length = snprintf(line, sizeof(line), "%zu %zu", most, failures);
    CHILD_REQUIRE(write(2, line, (size_t)length) == length);
}

/* --- under limits --- */

struct limit {
    int resource;
    rlim_t bytes;
};

/* Not the hard one: what the process does at its end may be outside it. */
static void set_limit(const struct limit *limit)
{
    struct rlimit value;
    CHILD_REQUIRE(getrlimit(limit->resource, &value) == 0);
    value.rlim_cur = limit->bytes;
    CHILD_REQUIRE(setrlimit(limit->resource, &value) == 0);
}

static void run_under(void *arg)
{
    char *argv[] = {(char *)"test_limits", (char *)"script", NULL};
    set_limit(arg);
    execv("/proc/self/exe", argv);
    CHILD_REQUIRE(!"exec");
}

static void check_script(const struct support_child *child, size_t limit)
{
    size_t most = 0, failed = 0, own = 14 * MIB; /* program, libraries, stack */
    ck_assert_msg(child->exited && child->status == 0, "limit %zu MiB: status %d, signal %d: %s", limit / MIB,
                  child->status, child->signal, child->errors);
    ck_assert_int_eq(sscanf(child->errors, "%zu %zu", &most, &failed), 2);
    if (limit <= 512 * MIB)
        ck_assert_uint_gt(failed, 0);
    if (limit > own)
        ck_assert_msg(most >= (limit - own) / 4, "limit %zu MiB: only %zu KiB could be had", limit / MIB,
                      most / KIB);
}

START_TEST(address_space_limit)
{
    struct support_child child;
    struct limit limit = {RLIMIT_AS, limits_mib[_i] * MIB};
    if (!SUPPORT_MEMORY_IS_PLAIN)
        return;
    support_run_child(run_under, &limit, 60, &child);
    check_script(&child, limit.bytes);
}
END_TEST

START_TEST(data_limit)
{
    struct support_child child;
    struct limit limit = {RLIMIT_DATA, limits_mib[_i] * MIB};
    if (!SUPPORT_MEMORY_IS_PLAIN)
        return;
    support_run_child(run_under, &limit, 60, &child);
    check_script(&child, limit.bytes);
}
END_TEST

/* The limit comes when the heap is already in use. */
static void tighten(void *arg)
{
    for (size_t i = 0; i < 1000; i++)
        CHILD_REQUIRE(take(i, 1000, 0));
    set_limit(arg);
    mixed();
    for (size_t i = 0; i < SLOTS; i++)
        if (slots[i].start == NULL)
            (void)take(i, 100 * KIB, (int)(i % 3));
    give_all();
    mixed();
    give_all();
}

START_TEST(limit_below_what_is_in_use)
{
    static const size_t tight[] = {0, 1, 4096, 1 * MIB, 16 * MIB, 64 * MIB};
    struct support_child child;
    struct limit limit = {_i % 2 ? RLIMIT_DATA : RLIMIT_AS, tight[_i / 2]};
    if (!SUPPORT_MEMORY_IS_PLAIN)
        return;
    support_run_child(tighten, &limit, 60, &child);
    ck_assert_msg(child.exited && child.status == 0, "signal %d: %s", child.signal, child.errors);
}
END_TEST

/* Every mapping the kernel allows is taken: neither splitting nor adding one is possible. */
static void without_mappings(void *arg)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), most = 200000;
    (void)arg;
    for (size_t i = 0; i < 500; i++)
        CHILD_REQUIRE(take(i, 5000, 0));
    char *base = mmap(NULL, most * 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHILD_REQUIRE(base != MAP_FAILED);
    for (size_t i = 0; i < most; i++)
        if (mprotect(base + 2 * i * page, page, PROT_READ) != 0) {
            support_mail[0] = i;
            break;
        }
    mixed();
    for (size_t i = 1000; i < SLOTS; i++)
        (void)take(i, 40 * KIB, (int)(i % 3));
    give_all();
    (void)sla_trim(0);
    munmap(base, most * 2 * page);
    for (size_t i = 0; i < 1000; i++)
        CHILD_REQUIRE(take(i, 100 * KIB, 0));
    give_all();
}

START_TEST(no_mapping_left)
{
    struct support_child child;
    if (!SUPPORT_MEMORY_IS_PLAIN)
        return;
    support_run_child(without_mappings, NULL, 60, &child);
    ck_assert_msg(child.exited && child.status == 0, "signal %d: %s", child.signal, child.errors);
    if (child.mail[0] == 0)
        printf("no_mapping_left: this kernel allows more than 200000 mappings, not reached\n");
}
END_TEST

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "script") == 0) {
        script();
        _exit(EXIT_SUCCESS);
    }
    Suite *suite = suite_create("api/limits");
    TCase *tc = tcase_create("limits");
    int all = (int)ARRAY_LEN(limits_mib) - (SIZE_BITS > 32 ? 0 : 2); /* 4 GiB is no limit to 32 bits */
    if (!SUPPORT_MEMORY_IS_PLAIN)
        printf("limits: not tested under a sanitizer, whose shadow needs the address space\n");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, address_space_limit, 0, all);
    tcase_add_loop_test(tc, data_limit, 0, all);
    tcase_add_loop_test(tc, limit_below_what_is_in_use, 0, 12);
    tcase_add_test(tc, no_mapping_left);
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
