/*
 * test_misuse.c: every kind of misuse that the library promises to detect:
 * the exact line on standard error, and SIGABRT.  With abort=0 the same line,
 * and the program goes on.
 *
 * SPDX-License-Identifier: MIT
 */
#include "misuse/misdeeds.h"

#include <pthread.h>
#include <slaballoc/heap.h>
#include <sys/mman.h>
#include <unistd.h>

static void flush(void) { sla_thread_idle(); }

/* --- pointers that are not ours --- */

static void free_static(size_t size)
{
    (void)size;
    sla_free(blamed(support_pointer(static_bytes + 16), 0));
}

static void free_stack(size_t size)
{
    char bytes[64] = {0};
    (void)size;
    sla_free(blamed(support_pointer(bytes), 0));
}

static void free_libc(size_t size)
{
    void *block = calloc(1, size);
    sla_free(blamed(support_pointer(block), 0));
    free(block);
}

static void free_mapped(size_t size)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)size;
    sla_free(blamed(support_pointer(page), 0));
}

static void free_function(size_t size)
{
    (void)size;
    sla_free(blamed(support_pointer((void *)(uintptr_t)&free_mapped), 0));
}

static void free_number(size_t number)
{
    sla_free(blamed(support_pointer((void *)(uintptr_t)number), 0));
}

static void free_high(size_t shift)
{
    sla_free(blamed(support_pointer((void *)(((uintptr_t)1 << shift) + 4096)), 0));
}

static void free_top(size_t below)
{
    sla_free(blamed(support_pointer((void *)(UINTPTR_MAX - below)), 0));
}

static void free_before_first_use(size_t size)
{
    /* The heap of this child has blocks, its thread has not. */
    (void)size;
    free_static(0);
}

/* --- freed twice --- */

static void twice_in_a_row(size_t size)
{
    void *block = blamed(pin(size), size);
    sla_free(block);
    sla_free(block);
}

/* Others in between: found when the batch goes back to the slab. */
static void twice_with_others_between(size_t size)
{
    void *other[3], *block;
    (void)pin(size);
    block = blamed(pin(size), size);
    for (size_t i = 0; i < 3; i++)
        other[i] = pin(size);
    sla_free(block);
    for (size_t i = 0; i < 3; i++)
        sla_free(other[i]);
    sla_free(block);
    flush();
}

static void twice_across_a_flush(size_t size)
{
    void *block;
    (void)pin(size);
    block = blamed(pin(size), size);
    sla_free(block);
    flush();
    sla_free(block);
    flush();
}

/* Enough frees of the class to make the cache give back by itself. */
static void twice_then_many_frees(size_t size)
{
    enum { MANY = 40000 };
    static void *blocks[MANY];
    size_t count = size <= 64 ? MANY : 4 * MIB / size * 4 > MANY ? MANY : 4 * MIB / size * 4;
    void *block;
    (void)pin(size);
    block = blamed(pin(size), size);
    for (size_t i = 0; i < count; i++)
        blocks[i] = pin(size);
    sla_free(block);
    sla_free(blocks[0]);
    sla_free(block);
    for (size_t i = 1; i < count; i++)
        sla_free(blocks[i]);
}

static void large_twice(size_t size)
{
    void *block = pin(size);
    blame(block, 0);
    sla_free(block);
    sla_free(block);
}

static void large_twice_with_others(size_t size)
{
    void *before = pin(size), *block = pin(size), *after = pin(size);
    blame(block, 0);
    sla_free(before);
    sla_free(block);
    sla_free(after);
    sla_free(block);
}

static void large_twice_after_trim(size_t size)
{
    void *block = pin(size);
    blame(block, 0);
    sla_free(block);
    (void)sla_trim(0);
    sla_free(block);
}

static void *free_and_flush(void *block)
{
    sla_free(block);
    flush();
    return NULL;
}

static void in_thread(void *(*function)(void *), void *arg)
{
    pthread_t thread;
    CHILD_REQUIRE(pthread_create(&thread, NULL, function, arg) == 0);
    CHILD_REQUIRE(pthread_join(thread, NULL) == 0);
}

/* Both frees come from another thread; the owner drains them. */
static void remote_twice(size_t size)
{
    void *block;
    (void)pin(size);
    block = blamed(pin(size), size);
    in_thread(free_and_flush, block);
    in_thread(free_and_flush, block);
    flush();
    (void)sla_trim(0);
}

static void *twice_remotely(void *block)
{
    sla_free(block);
    sla_free(block);
    return NULL;
}

static void remote_twice_in_a_row(size_t size)
{
    (void)pin(size);
    in_thread(twice_remotely, blamed(pin(size), size));
}

static void local_then_remote(size_t size)
{
    void *block;
    (void)pin(size);
    block = blamed(pin(size), size);
    sla_free(block);
    flush();
    in_thread(free_and_flush, block);
    flush();
    (void)sla_trim(0);
}

static void remote_then_local(size_t size)
{
    void *block;
    (void)pin(size);
    block = blamed(pin(size), size);
    in_thread(free_and_flush, block);
    flush();
    sla_free(block);
    flush();
}

static void *large_remotely(void *block)
{
    sla_free(block);
    return NULL;
}

static void large_local_and_remote(size_t size)
{
    void *block = pin(size);
    blame(block, 0);
    sla_free(block);
    in_thread(large_remotely, block);
}

/* --- not the start --- */

static void free_at(size_t size, size_t offset)
{
    char *block = pin(size);
    (void)pin(size);
    blame(block + offset, sla_good_size(size));
    sla_free(block + offset);
    flush();
}

static void inside_by_1(size_t size) { free_at(size, 1); }
static void inside_by_8(size_t size) { free_at(size, 8); }
static void inside_by_half(size_t size) { free_at(size, sla_good_size(size) / 2); }
static void inside_at_the_end(size_t size) { free_at(size, sla_good_size(size) - 1); }

/* What is left of a slab behind its last block; slabs are aligned to 64 KiB, and this size has one of as much. */
static void behind_the_last(size_t size)
{
    char *block = pin(size), *slab = block - (uintptr_t)block % (64 * KIB);
    blame(slab + 64 * KIB / size * size, sla_good_size(size));
    sla_free(slab + 64 * KIB / size * size);
    flush();
}

static void large_inside(size_t size)
{
    char *block = pin(size);
    blame(block + 4096, 0);
    sla_free(block + 4096);
}

static void large_inside_by_1(size_t size)
{
    char *block = pin(size);
    blame(block + 1, 0);
    sla_free(block + 1);
}

static void large_inside_at_the_end(size_t size)
{
    char *block = pin(size);
    blame(block + size - 1, 0);
    sla_free(block + size - 1);
}

/* --- realloc, usable_size --- */

static void realloc_static(size_t size)
{
    support_sink = sla_realloc(blamed(support_pointer(static_bytes), 0), size);
}

/* Into a heap, where what is reported is not copied. */
static void heap_realloc_static(size_t size)
{
    sla_heap_t *heap = sla_heap_create("x");
    errno = 0;
    void *moved = sla_heap_realloc(heap, blamed(support_pointer(static_bytes), 0), size);
    CHILD_REQUIRE(moved == NULL && errno == EINVAL);
}

static void realloc_number(size_t size)
{
    support_sink = sla_realloc(blamed(support_pointer((void *)(uintptr_t)8), 0), size);
}

static void realloc_large_freed(size_t size)
{
    void *block = pin(size);
    blame(block, 0);
    sla_free(block);
    support_sink = sla_realloc(block, size * 2);
}

static void realloc_large_inside(size_t size)
{
    char *block = pin(size);
    blame(block + 8192, 0);
    support_sink = sla_realloc(block + 8192, size * 2);
}

static void free_sized_static(size_t size) { sla_free_sized(blamed(support_pointer(static_bytes), 0), size); }

static void free_aligned_static(size_t size)
{
    sla_free_aligned_sized(blamed(support_pointer(static_bytes), 0), 16, size);
}

static void usable_static(size_t size)
{
    (void)size;
    CHILD_REQUIRE(sla_usable_size(blamed(support_pointer(static_bytes), 0)) == 0);
}

static void usable_number(size_t size)
{
    CHILD_REQUIRE(sla_usable_size(blamed(support_pointer((void *)(uintptr_t)size), 0)) == 0);
}

static void usable_large_freed(size_t size)
{
    void *block = pin(size);
    blame(block, 0);
    sla_free(block);
    CHILD_REQUIRE(sla_usable_size(block) == 0);
}

static const struct misdeed misdeeds[] = {
    {"static", free_static, 0, "free", FOREIGN},
    {"stack", free_stack, 0, "free", FOREIGN},
    {"libc", free_libc, 100, "free", FOREIGN},
    {"libc large", free_libc, 1000000, "free", FOREIGN},
    {"mapped", free_mapped, 0, "free", FOREIGN},
    {"function", free_function, 0, "free", FOREIGN},
    {"number", free_number, 1, "free", FOREIGN},
    {"number", free_number, 8, "free", FOREIGN},
    {"number", free_number, 4096, "free", FOREIGN},
    {"number", free_number, 0xdeadbeef, "free", FOREIGN},
    {"high", free_high, 40, "free", FOREIGN},
    {"high", free_high, 47, "free", FOREIGN},
    {"high", free_high, 48, "free", FOREIGN},
    {"high", free_high, 56, "free", FOREIGN},
    {"high", free_high, 63, "free", FOREIGN},
    {"top", free_top, 0, "free", FOREIGN},
    {"top", free_top, 15, "free", FOREIGN},
    {"top", free_top, 4095, "free", FOREIGN},
    {"before first use", free_before_first_use, 0, "free", FOREIGN},
    {"twice in a row", twice_in_a_row, 1, "free", TWICE},
    {"twice in a row", twice_in_a_row, 16, "free", TWICE},
    {"twice in a row", twice_in_a_row, 24, "free", TWICE},
    {"twice in a row", twice_in_a_row, 64, "free", TWICE},
    {"twice in a row", twice_in_a_row, 100, "free", TWICE},
    {"twice in a row", twice_in_a_row, 200, "free", TWICE},
    {"twice in a row", twice_in_a_row, 512, "free", TWICE},
    {"twice in a row", twice_in_a_row, 1000, "free", TWICE},
    {"twice in a row", twice_in_a_row, 2048, "free", TWICE},
    {"twice in a row", twice_in_a_row, 5000, "free", TWICE},
    {"twice in a row", twice_in_a_row, 16384, "free", TWICE},
    {"twice in a row", twice_in_a_row, 30000, "free", TWICE},
    {"others between", twice_with_others_between, 8, "free", TWICE},
    {"others between", twice_with_others_between, 16, "free", TWICE},
    {"others between", twice_with_others_between, 48, "free", TWICE},
    {"others between", twice_with_others_between, 64, "free", TWICE},
    {"others between", twice_with_others_between, 250, "free", TWICE},
    {"others between", twice_with_others_between, 1000, "free", TWICE},
    {"others between", twice_with_others_between, 4096, "free", TWICE},
    {"others between", twice_with_others_between, 12000, "free", TWICE},
    {"others between", twice_with_others_between, 32000, "free", TWICE},
    {"across a flush", twice_across_a_flush, 8, "free", TWICE},
    {"across a flush", twice_across_a_flush, 16, "free", TWICE},
    {"across a flush", twice_across_a_flush, 100, "free", TWICE},
    {"across a flush", twice_across_a_flush, 1000, "free", TWICE},
    {"across a flush", twice_across_a_flush, 8000, "free", TWICE},
    {"across a flush", twice_across_a_flush, 30000, "free", TWICE},
    {"many frees", twice_then_many_frees, 16, "free", TWICE},
    {"many frees", twice_then_many_frees, 64, "free", TWICE},
    {"many frees", twice_then_many_frees, 500, "free", TWICE},
    {"many frees", twice_then_many_frees, 4000, "free", TWICE},
    {"many frees", twice_then_many_frees, 20000, "free", TWICE},
    {"remote twice", remote_twice, 16, "free", TWICE},
    {"remote twice", remote_twice, 64, "free", TWICE},
    {"remote twice", remote_twice, 1000, "free", TWICE},
    {"remote twice", remote_twice, 10000, "free", TWICE},
    {"remote twice in a row", remote_twice_in_a_row, 16, "free", TWICE},
    {"remote twice in a row", remote_twice_in_a_row, 300, "free", TWICE},
    {"remote twice in a row", remote_twice_in_a_row, 20000, "free", TWICE},
    {"local then remote", local_then_remote, 16, "free", TWICE},
    {"local then remote", local_then_remote, 64, "free", TWICE},
    {"local then remote", local_then_remote, 5000, "free", TWICE},
    {"remote then local", remote_then_local, 16, "free", TWICE},
    {"remote then local", remote_then_local, 64, "free", TWICE},
    {"remote then local", remote_then_local, 5000, "free", TWICE},
    {"large twice", large_twice, 70000, "free", LARGE_TWICE},
    {"large twice", large_twice, 100000, "free", LARGE_TWICE},
    {"large twice", large_twice, 5000000, "free", LARGE_TWICE},
    {"large twice", large_twice, 100000000, "free", LARGE_TWICE},
    {"large with others", large_twice_with_others, 70000, "free", LARGE_TWICE},
    {"large with others", large_twice_with_others, 2000000, "free", LARGE_TWICE},
    {"large after trim", large_twice_after_trim, 70000, "free", LARGE_TWICE},
    {"large after trim", large_twice_after_trim, 2000000, "free", LARGE_TWICE},
    {"large remote", large_local_and_remote, 100000, "free", LARGE_TWICE},
    {"inside by 1", inside_by_1, 16, "free", INSIDE},
    {"inside by 1", inside_by_1, 1000, "free", INSIDE},
    {"inside by 8", inside_by_8, 16, "free", INSIDE},
    {"inside by 8", inside_by_8, 24, "free", INSIDE},
    {"inside by 8", inside_by_8, 64, "free", INSIDE},
    {"inside by 8", inside_by_8, 20000, "free", INSIDE},
    {"inside by half", inside_by_half, 32, "free", INSIDE},
    {"inside by half", inside_by_half, 256, "free", INSIDE},
    {"inside by half", inside_by_half, 8192, "free", INSIDE},
    {"inside by half", inside_by_half, 32768, "free", INSIDE},
    {"inside at the end", inside_at_the_end, 8, "free", INSIDE},
    {"inside at the end", inside_at_the_end, 100, "free", INSIDE},
    {"inside at the end", inside_at_the_end, 32000, "free", INSIDE},
    {"behind the last", behind_the_last, 48, "free", INSIDE},
    {"behind the last", behind_the_last, 112, "free", INSIDE},
    {"large inside", large_inside, 100000, "free", LARGE_INSIDE},
    {"large inside", large_inside, 5000000, "free", LARGE_INSIDE},
    {"large inside by 1", large_inside_by_1, 100000, "free", LARGE_INSIDE},
    {"large inside by 1", large_inside_by_1, 64000000, "free", LARGE_INSIDE},
    {"large inside at the end", large_inside_at_the_end, 100000, "free", LARGE_INSIDE},
    {"large inside at the end", large_inside_at_the_end, 64000000, "free", LARGE_INSIDE},
    {"realloc static", realloc_static, 100, "realloc", FOREIGN},
    {"realloc static to 0", realloc_static, 0, "realloc", FOREIGN},
    {"heap realloc static", heap_realloc_static, 100, "realloc", FOREIGN},
    {"realloc number", realloc_number, 100, "realloc", FOREIGN},
    {"realloc freed", realloc_large_freed, 100000, "realloc", LARGE_TWICE},
    {"realloc inside", realloc_large_inside, 100000, "realloc", LARGE_INSIDE},
    {"free_sized static", free_sized_static, 10, "free_sized", FOREIGN},
    {"free_aligned_sized static", free_aligned_static, 10, "free_aligned_sized", FOREIGN},
    {"usable static", usable_static, 0, "usable_size", FOREIGN},
    {"usable number", usable_number, 1, "usable_size", FOREIGN},
    {"usable number", usable_number, 0xfffff000, "usable_size", FOREIGN},
    {"usable freed", usable_large_freed, 100000, "usable_size", LARGE_TWICE},
};

int main(void) { return misdeeds_main("misuse/misuse", misdeeds, ARRAY_LEN(misdeeds)); }
