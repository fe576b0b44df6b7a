/*
 * test_heap.c: what is reported about heaps, to the letter.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include <signal.h>
#include <pthread.h>
#include <slaballoc/heap.h>
#include <sys/mman.h>

static void pop_nothing(void) { sla_heap_pop(); }

static void pop_too_often(void)
{
    sla_heap_t *heap = sla_heap_create("x");
    CHILD_REQUIRE(sla_heap_push(heap) == 0);
    sla_heap_pop();
    sla_heap_pop();
}

static void destroy_current(void)
{
    sla_heap_t *heap = sla_heap_create("x");
    CHILD_REQUIRE(sla_heap_push(heap) == 0 && sla_heap_push(NULL) == 0);
    support_mail[0] = (uintptr_t)heap;
    sla_heap_destroy(heap);
}

static void destroy_twice(void)
{
    sla_heap_t *heap = sla_heap_create("x");
    support_mail[0] = (uintptr_t)heap;
    sla_heap_destroy(heap);
    sla_heap_destroy(support_pointer(heap));
}

static void free_small_after_destroy(void)
{
    sla_heap_t *heap = sla_heap_create("x");
    void *p = sla_heap_malloc(heap, 100);
    p = sla_heap_malloc(heap, 100);
    support_mail[0] = (uintptr_t)p;
    sla_heap_destroy(heap);
    sla_free(support_pointer(p));
}

static void free_large_after_destroy(void)
{
    sla_heap_t *heap = sla_heap_create("x");
    void *p = sla_heap_malloc(heap, 1000000);
    support_mail[0] = (uintptr_t)p;
    sla_heap_destroy(heap);
    sla_free(support_pointer(p));
}

static void free_twice(void)
{
    sla_heap_t *heap = sla_heap_create("x");
    void *p = sla_heap_malloc(heap, 100);
    support_mail[0] = (uintptr_t)p;
    sla_free(p);
    sla_free(support_pointer(p));
}

/* The heap, of which a block was freed twice with another between. */
static sla_heap_t *freed_twice(void)
{
    sla_heap_t *heap = sla_heap_create("x");
    void *p = sla_heap_malloc(heap, 100), *q = sla_heap_malloc(heap, 100);
    support_mail[0] = (uintptr_t)p;
    sla_free(p);
    sla_free(q);
    sla_free(support_pointer(p));
    return heap;
}

static void free_twice_with_another_between(void)
{
    (void)freed_twice();
    sla_thread_idle();
}

static int look(void *block, size_t size, void *arg)
{
    (void)block;
    (void)size;
    (void)arg;
    return 0;
}

static void free_twice_before_a_visit(void)
{
    (void)sla_heap_visit(freed_twice(), look, NULL);
}

static void free_inside(void)
{
    sla_heap_t *heap = sla_heap_create("x");
    char *p = sla_heap_malloc(heap, 100);
    support_mail[0] = (uintptr_t)p + 8;
    sla_free(support_pointer(p + 8));
    sla_thread_idle();
}

static void size_inside(void)
{
    sla_heap_t *heap = sla_heap_create("x");
    char *p = sla_heap_malloc(heap, 100);
    support_mail[0] = (uintptr_t)p + 8;
    (void)!sla_usable_size(support_pointer(p + 8));
}

static void wrong_size(void)
{
    sla_heap_t *heap = sla_heap_create("x");
    char *p = sla_heap_malloc(heap, 100);
    support_mail[0] = (uintptr_t)p;
    sla_free_sized(p, support_size(500));
}

static char room[3 * 65536];
static void *crooked(size_t size, int *zero, void *arg)
{
    char *p = room + (-(uintptr_t)room & 65535) + 4096;
    (void)zero;
    (void)arg;
    support_mail[0] = (uintptr_t)p;
    return size == 65536 ? p : NULL;
}

static void put_back(void *memory, size_t size, void *arg)
{
    *(int *)arg += (uintptr_t)memory == support_mail[0] && size == 65536;
}

static void lend(void *(*get)(size_t, int *, void *))
{
    int puts = 0;
    const sla_heap_pages_t pages = {get, put_back, &puts, 65536};
    sla_heap_t *heap = sla_heap_create_on("x", &pages);
    CHILD_REQUIRE(sla_heap_malloc(heap, 10) == NULL && errno == ENOMEM);
    CHILD_REQUIRE(puts > 0);
    sla_heap_destroy(heap);
}

static void lend_unaligned(void) { lend(crooked); }

static void *from_a_heap(size_t size, int *zero, void *arg)
{
    void *p = sla_aligned_alloc(65536, size);
    (void)zero;
    (void)arg;
    support_mail[0] = (uintptr_t)p;
    return p;
}

static void lend_a_block(void) { lend(from_a_heap); }

static void *map_aligned(size_t size, int *zero, void *arg)
{
    char *p = mmap(NULL, size + 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)zero;
    (void)arg;
    return p != MAP_FAILED ? (void *)(((uintptr_t)p + 65535) & ~(uintptr_t)65535) : NULL;
}

static void unmap(void *memory, size_t size, void *arg)
{
    munmap(memory, size);
    support_mail[1]++;
    (void)arg;
}

static void *free_and_trim(void *block)
{
    sla_free(block);
    sla_trim(0);
    return NULL;
}

/* By two threads, and the chunk that the block was in has gone before the first one's free comes to the slab. */
static void free_twice_and_give_back(void)
{
    static const sla_heap_pages_t pages = {map_aligned, unmap, NULL, 0};
    sla_heap_t *heap = sla_heap_create_on("x", &pages);
    void *block = sla_heap_malloc(heap, 30000);
    pthread_t other;
    support_mail[0] = (uintptr_t)block;
    sla_free(block);
    CHILD_REQUIRE(pthread_create(&other, NULL, free_and_trim, block) == 0 && pthread_join(other, NULL) == 0);
    CHILD_REQUIRE(support_mail[1] > 0);
    sla_thread_idle();
}

static const struct {
    void (*misdeed)(void);
    const char *call, *what;
} cases[] = {
    {pop_nothing, "heap_pop", "no heap was pushed"},
    {pop_too_often, "heap_pop", "no heap was pushed"},
    {destroy_current, "heap_destroy", "heap is a thread's current one"},
    {destroy_twice, "heap_destroy", "heap already destroyed"},
    {free_small_after_destroy, "free", "large block already free"},
    {free_large_after_destroy, "free", "large block already free"},
    {free_twice, "free", "block already free (size class 112)"},
    {free_twice_with_another_between, "free", "block already free (size class 112)"},
    {free_twice_before_a_visit, "free", "block already free (size class 112)"},
    {free_inside, "free", "not the start of a block (size class 112)"},
    {size_inside, "usable_size", "not the start of a block (size class 112)"},
    {free_twice_and_give_back, "free", "block already free (size class 30720)"},
    {lend_unaligned, "heap_create_on", "get gave memory that is not aligned to 64 KiB"},
    {lend_a_block, "heap_create_on", "get gave memory that is a heap's already"},
    {wrong_size, "free_sized", "size 500 does not fit a block of 112 bytes"},
};

static void run(void *arg) { cases[*(int *)arg].misdeed(); }

START_TEST(reported)
{
    struct support_child child;
    int i = _i;
    support_run_child(run, &i, 10, &child);
    ck_assert_msg(support_reported(&child, cases[i].call, child.mail[0], cases[i].what), "expected '%s', got '%s'",
                  cases[i].what, child.errors);
    ck_assert_int_eq(child.signal, SIGABRT);
}
END_TEST

static void go_on(void *arg)
{
    sla_heap_t *heap = sla_heap_create("x");
    (void)arg;
    CHILD_REQUIRE(sla_option_set("abort", 0) == 0);
    CHILD_REQUIRE(sla_heap_push(heap) == 0);
    sla_heap_destroy(heap);
    CHILD_REQUIRE(sla_heap_of(sla_malloc(10)) == heap); /* it is still there */
    sla_heap_pop();
    sla_heap_pop();
    sla_heap_destroy(heap);
    lend_unaligned();
    lend_a_block();
}

START_TEST(with_abort_0_the_program_goes_on)
{
    struct support_child child;
    support_run_child(go_on, NULL, 10, &child);
    ck_assert_msg(child.exited && child.status == 0, "%s", child.errors);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("heap misuse");
    TCase *tc = tcase_create("reports");
    tcase_add_loop_test(tc, reported, 0, (int)ARRAY_LEN(cases));
    tcase_add_test(tc, with_abort_0_the_program_goes_on);
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
