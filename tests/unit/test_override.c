/*
 * test_override.c: the drop-in's own names, in a program that is linked to them:
 * malloc's family under all its names, malloc.h, C++'s operators.  Check itself
 * allocates with them.  (tests/preload has the real drop-in under real programs.)
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "unit.h"

#include <limits.h>
#include <setjmp.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#else
int malloc_trim(size_t keep);
int malloc_info(int options, FILE *out);
int mallopt(int parameter, int value);
void malloc_stats(void);
size_t malloc_usable_size(void *p);
void *pvalloc(size_t size);
void *valloc(size_t size);
void *memalign(size_t align, size_t size);
#endif

/* What no header has. */
void cfree(void *block);
void free_sized(void *block, size_t size);
void free_aligned_sized(void *block, size_t alignment, size_t size);
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void __libc_free(void *block);
void *__libc_memalign(size_t alignment, size_t size);
void *__libc_valloc(size_t size);
void *__libc_pvalloc(size_t size);
int __posix_memalign(void **out, size_t alignment, size_t size);

static size_t page;

/* A block of ours, of that size and alignment, that can be written to. */
static void *good(void *block, size_t size, size_t alignment)
{
    ck_assert_ptr_nonnull(block);
    ck_assert_int_eq(sla_owns(block), 1);
    ck_assert_uint_eq((uintptr_t)block % alignment, 0);
    ck_assert_uint_ge(malloc_usable_size(block), size);
    support_fill(block, size, size);
    return block;
}

START_TEST(every_name_gives_a_block)
{
    static const size_t sizes[] = {0, 1, 100, 5000, 32769, 100000, 3000000};
    size_t size = support_size(sizes[_i]);
    void *block;
    free(good(malloc(size), size, 8));
    cfree(good(calloc(1, size), size, 8));
    free_sized(good(realloc(NULL, size), size, 8), size);
    free(good(reallocarray(NULL, size, 1), size, 8));
    free_aligned_sized(good(aligned_alloc(128, size), size, 128), 128, size);
    free(good(memalign(256, size), size, 256));
    free(good(valloc(size), size, page));
    free(good(pvalloc(size), size != 0 ? (size + page - 1) / page * page : page, page));
    ck_assert_int_eq(posix_memalign(&block, 64, size), 0);
    free(good(block, size, 64));
#ifdef __GLIBC__
    __libc_free(good(__libc_malloc(size), size, 8));
    __libc_free(good(__libc_calloc(size, 1), size, 8));
    block = good(__libc_realloc(NULL, size), size, 8);
    block = good(__libc_realloc(block, size + 1), size + 1, 8);
    ck_assert(size == 0 || support_matches(block, size + 1, size + 1));
    __libc_free(block);
    __libc_free(good(__libc_memalign(64, size), size, 64));
    __libc_free(good(__libc_valloc(size), size, page));
    __libc_free(good(__libc_pvalloc(size), size, page));
    ck_assert_int_eq(__posix_memalign(&block, 4096, size), 0);
    __libc_free(good(block, size, 4096));
#endif
}
END_TEST

START_TEST(zeroed_and_refused)
{
    unsigned char *block = malloc(1000);
    memset(block, 0xff, 1000);
    free(block);
    block = calloc(10, 100);
    ck_assert(support_is_zero(block, 1000));
    free(block);
    size_t half = support_size(SIZE_MAX / 2 + 2);
    void *(*const calls[])(size_t) = {malloc, valloc, pvalloc};
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        static const size_t huge[] = {SIZE_MAX, SIZE_MAX / 2 + 1, PTRDIFF_MAX, PTRDIFF_MAX - 4096};
        for (size_t j = 0; j < ARRAY_LEN(huge); j++) {
            errno = 0;
            ck_assert_ptr_null(calls[i](huge[j]));
            ck_assert_int_eq(errno, ENOMEM);
        }
    }
    errno = 0;
    ck_assert_ptr_null(calloc(half, 2));
    ck_assert_int_eq(errno, ENOMEM);
    errno = 0;
    ck_assert_ptr_null(reallocarray(NULL, half, 2));
    ck_assert_int_eq(errno, ENOMEM);
    void *untouched = &half;
    errno = SENTINEL_ERRNO;
    ck_assert_int_eq(posix_memalign(&untouched, 24, 10), EINVAL);
    ck_assert_ptr_eq(untouched, &half);
    ck_assert_int_eq(errno, SENTINEL_ERRNO);
    free(support_pointer(NULL));
    ck_assert_uint_eq(malloc_usable_size(NULL), 0);
}
END_TEST

/* --- malloc.h --- */

START_TEST(trim_and_mallopt)
{
    enum { PURGE_NOW = -101, DECAY = -100, UNKNOWN = -12345 };
    long delay;
    free(malloc(8 * MIB));
    ck_assert_uint_ge(unit_stats().dirty, 8 * MIB);
    ck_assert_int_eq(malloc_trim(0), 1);
    ck_assert_uint_eq(unit_stats().dirty, 0);
    free(malloc(8 * MIB));
    ck_assert_int_eq(mallopt(PURGE_NOW, 0), 1);
    ck_assert_uint_eq(unit_stats().dirty, 0);
    ck_assert_int_eq(mallopt(DECAY, 1234), 1);
    ck_assert_int_eq(sla_option_get("purge_delay", &delay), 0);
    ck_assert_int_eq(delay, 1234);
    ck_assert_int_eq(mallopt(DECAY, -1), 0);
    ck_assert_int_eq(mallopt(UNKNOWN, 1), 0);
    ck_assert_int_eq(sla_option_get("purge_delay", &delay), 0);
    ck_assert_int_eq(delay, 1234);
}
END_TEST

static size_t element(const char *text, const char *name)
{
    char opening[40];
    snprintf(opening, sizeof(opening), "  <%s>", name);
    const char *found = strstr(text, opening);
    ck_assert_msg(found != NULL, "no element %s in: %s", name, text);
    return strtoull(found + strlen(opening), NULL, 10);
}

START_TEST(info_has_the_figures)
{
    char *text = NULL;
    size_t length = 0;
    void *large = malloc(10 * MIB);
    FILE *out = open_memstream(&text, &length);
    fputs(" ", out);
    fflush(out); /* what it allocates is there */
    ck_assert_int_eq(malloc_info(0, out), 0);
    fclose(out);
    sla_stats_t st = unit_stats();
    ck_assert_uint_ge(element(text, "live"), 10 * MIB);
    ck_assert_uint_eq(element(text, "large"), st.large);
    ck_assert_uint_eq(element(text, "metadata"), st.metadata);
    ck_assert_uint_eq(element(text, "committed"), st.committed);
    ck_assert_uint_eq(element(text, "reserved"), st.reserved);
    ck_assert_uint_eq(element(text, "threads"), 1);
    ck_assert_uint_eq(strncmp(text, " <malloc version=\"slaballoc-1\">\n", 32), 0);
    ck_assert_str_eq(strchr(text, '/') == NULL ? "" : text + length - 10, "</malloc>\n");
    free(text);
    free(large);
    ck_assert_int_eq(malloc_info(1, stdout), EINVAL);
    out = fopen("/dev/full", "w");
    if (out != NULL) {
        setvbuf(out, NULL, _IONBF, 0);
        ck_assert_int_eq(malloc_info(0, out), -1);
        fclose(out);
    }
}
END_TEST

static void print_stats(void *arg)
{
    (void)arg;
    malloc_stats();
}

START_TEST(stats_go_to_standard_error)
{
    struct support_child child;
    support_run_child(print_stats, NULL, 10, &child);
    ck_assert_ptr_nonnull(strstr(child.errors, "slaballoc: live "));
}
END_TEST

#ifdef __GLIBC__
START_TEST(mallinfo_counts)
{
    void *small = malloc(1000), *large = malloc(50 * MIB);
    struct mallinfo2 before = mallinfo2(), after;
    ck_assert_uint_ge(before.uordblks, 1000);
    ck_assert_uint_ge(before.arena, before.uordblks);
    ck_assert_uint_eq(before.fordblks, before.arena - before.uordblks);
    ck_assert_uint_ge(before.hblks, 1);
    ck_assert_uint_ge(before.hblkhd, 50 * MIB);
    free(large);
    after = mallinfo2();
    ck_assert_uint_eq(after.hblks, before.hblks - 1);
    ck_assert_uint_eq(after.hblkhd, before.hblkhd - 50 * MIB);
    ck_assert_uint_ge(after.keepcost, 50 * MIB);
    free(small);
}
END_TEST

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
START_TEST(mallinfo_in_ints)
{
    struct mallinfo2 wide = mallinfo2();
    struct mallinfo narrow = mallinfo();
    ck_assert_uint_eq((size_t)narrow.arena, wide.arena);
    ck_assert_uint_eq((size_t)narrow.uordblks, wide.uordblks);
    ck_assert_uint_eq((size_t)narrow.fordblks, wide.fordblks);
    ck_assert_uint_eq((size_t)narrow.keepcost, wide.keepcost);
    void *huge = SIZE_MAX > UINT32_MAX ? malloc(3 * GIB) : NULL;
    if (huge == NULL)
        return; /* no such address space */
    ck_assert_uint_ge(mallinfo2().hblkhd, 3 * GIB);
    ck_assert_int_eq(mallinfo().hblkhd, INT_MAX);
    free(huge);
}
END_TEST
#pragma GCC diagnostic pop
#endif

/* --- fork: the drop-in has its handlers registered by the first thread that is created, or a slow path after it --- */

static void *fill_stacks(void *arg)
{
    for (size_t i = 0; i < 2000; i++)
        free(malloc(i));
    return arg;
}

static void thread_and_look(void *arg)
{
    (void)arg;
    unit_in_thread(fill_stacks, NULL);
    CHILD_REQUIRE(slai_fork_watched);
}

START_TEST(threads_have_fork_handlers)
{
    struct support_child child;
    support_run_child(thread_and_look, NULL, 10, &child);
    ck_assert_msg(child.exited && child.status == 0, "signal %d, %s", child.signal, child.errors);
}
END_TEST

/* --- C++: its operators by their mangled names, and what they need of its runtime --- */

#ifdef __LP64__
#define WITH_SIZE(before, after) before##m##after
#else
#define WITH_SIZE(before, after) before##j##after
#endif
#define OPERATORS(array) \
    void *WITH_SIZE(_Zn##array, )(size_t size); \
    void *WITH_SIZE(_Zn##array, RKSt9nothrow_t)(size_t size, const void *tag); \
    void *WITH_SIZE(_Zn##array, St11align_val_t)(size_t size, size_t align); \
    void *WITH_SIZE(_Zn##array, St11align_val_tRKSt9nothrow_t)(size_t size, size_t align, const void *tag);
OPERATORS(w)
OPERATORS(a)
#define ENDS(array) \
    void _Zd##array##Pv(void *p); \
    void _Zd##array##PvRKSt9nothrow_t(void *p, const void *tag); \
    void _Zd##array##PvSt11align_val_t(void *p, size_t align); \
    void _Zd##array##PvSt11align_val_tRKSt9nothrow_t(void *p, size_t align, const void *tag); \
    void WITH_SIZE(_Zd##array##Pv, )(void *p, size_t size); \
    void WITH_SIZE(_Zd##array##Pv, St11align_val_t)(void *p, size_t size, size_t align);
ENDS(l)
ENDS(a)

typedef void (*new_handler)(void);
new_handler _ZSt15get_new_handlerv(void);
void _ZSt17__throw_bad_allocv(void);
static new_handler handler;
static size_t handled, give_up_after;
static jmp_buf thrown;

new_handler _ZSt15get_new_handlerv(void) { return handler; }

/* C++ would throw. */
void _ZSt17__throw_bad_allocv(void) { longjmp(thrown, 1); }

#define EACH_OPERATOR(array, size, align, use) \
    do { \
        use(WITH_SIZE(_Zn##array, )(size), 8); \
        use(WITH_SIZE(_Zn##array, RKSt9nothrow_t)(size, NULL), 8); \
        use(WITH_SIZE(_Zn##array, St11align_val_t)(size, align), align); \
        use(WITH_SIZE(_Zn##array, St11align_val_tRKSt9nothrow_t)(size, align, NULL), align); \
    } while (0)

static void *kept[16];
static size_t keeps;

static void keep(void *block, size_t size, size_t alignment) { kept[keeps++] = good(block, size, alignment); }

START_TEST(operators_give_and_take)
{
    static const size_t sizes[] = {0, 10, 3000, 100000};
    size_t size = support_size(sizes[_i]), live = unit_stats().live;
#define KEEP(block, alignment) keep(block, size, alignment)
    keeps = 0;
    EACH_OPERATOR(w, size, 512, KEEP);
    KEEP(WITH_SIZE(_Znw, )(size), 8);
    KEEP(WITH_SIZE(_Znw, St11align_val_t)(size, 64), 64);
    EACH_OPERATOR(a, size, 512, KEEP);
    KEEP(WITH_SIZE(_Zna, )(size), 8);
    KEEP(WITH_SIZE(_Zna, St11align_val_t)(size, 64), 64);
    for (size_t i = 0; i < keeps; i++)
        ck_assert(support_matches(kept[i], size, size));
    _ZdlPv(kept[0]);
    _ZdlPvRKSt9nothrow_t(kept[1], NULL);
    _ZdlPvSt11align_val_t(kept[2], 512);
    _ZdlPvSt11align_val_tRKSt9nothrow_t(kept[3], 512, NULL);
    WITH_SIZE(_ZdlPv, )(kept[4], size);
    WITH_SIZE(_ZdlPv, St11align_val_t)(kept[5], size, 64);
    _ZdaPv(kept[6]);
    _ZdaPvRKSt9nothrow_t(kept[7], NULL);
    _ZdaPvSt11align_val_t(kept[8], 512);
    _ZdaPvSt11align_val_tRKSt9nothrow_t(kept[9], 512, NULL);
    WITH_SIZE(_ZdaPv, )(kept[10], size);
    WITH_SIZE(_ZdaPv, St11align_val_t)(kept[11], size, 64);
    ck_assert_uint_le(unit_stats().live, live);
    _ZdlPv(NULL);
}
END_TEST

static void count_and_give_up(void)
{
    if (++handled >= give_up_after)
        handler = NULL;
}

/* Throwing: asks until there is no handler, then throws.  Otherwise: the same, and NULL. */
static int threw(void *(*plain)(size_t), void *(*aligned)(size_t, size_t), size_t size)
{
    if (setjmp(thrown) != 0)
        return 1;
    support_sink = plain != NULL ? plain(size) : aligned(size, 64);
    return 0;
}

START_TEST(handler_is_asked_until_it_is_gone)
{
    size_t huge = support_size(PTRDIFF_MAX);
    void *(*const plain[])(size_t) = {WITH_SIZE(_Znw, ), WITH_SIZE(_Zna, ), NULL, NULL};
    void *(*const aligned[])(size_t, size_t) = {NULL, NULL, WITH_SIZE(_Znw, St11align_val_t),
                                                WITH_SIZE(_Zna, St11align_val_t)};
    for (size_t i = 0; i < ARRAY_LEN(plain); i++)
        for (give_up_after = 0; give_up_after < 4; give_up_after++) {
            handled = 0;
            handler = give_up_after != 0 ? count_and_give_up : NULL;
            ck_assert_int_eq(threw(plain[i], aligned[i], huge), 1);
            ck_assert_uint_eq(handled, give_up_after);
        }
    give_up_after = 2;
#define REFUSED(block, alignment) ck_assert_ptr_null(block)
    handled = 0;
    handler = count_and_give_up;
    REFUSED(WITH_SIZE(_Znw, RKSt9nothrow_t)(huge, NULL), 8);
    ck_assert_uint_eq(handled, 2);
    REFUSED(WITH_SIZE(_Zna, RKSt9nothrow_t)(huge, NULL), 8);
    REFUSED(WITH_SIZE(_Znw, St11align_val_tRKSt9nothrow_t)(huge, 64, NULL), 64);
    REFUSED(WITH_SIZE(_Zna, St11align_val_tRKSt9nothrow_t)(huge, 64, NULL), 64);
}
END_TEST

/* The handler makes room: from then on commits are not refused. */
static void make_room(void)
{
    if (++handled == 3)
        handler = NULL;
    unit_no_faults();
}

START_TEST(handler_makes_room)
{
    for (int align = 0; align < 2; align++) {
        size_t size = (200 + 100 * (size_t)align) * MIB;
        handled = 0;
        handler = make_room;
        unit_refuse(SLAI_CALL_COMMIT, 1);
        void *block = align ? WITH_SIZE(_Znw, St11align_val_t)(size, 4096) : WITH_SIZE(_Znw, )(size);
        ck_assert_uint_eq(handled, 1);
        ck_assert_ptr_nonnull(block);
        ck_assert_uint_ge(malloc_usable_size(block), size);
        _ZdlPv(block);
    }
    handler = NULL;
}
END_TEST

int main(void)
{
    page = (size_t)sysconf(_SC_PAGESIZE);
    Suite *suite = suite_create("override");
    TCase *tc = unit_case(suite, "names");
    tcase_add_loop_test(tc, every_name_gives_a_block, 0, 7);
    tcase_add_test(tc, zeroed_and_refused);
    tc = unit_case(suite, "operators"); /* before large blocks have been freed */
    tcase_add_loop_test(tc, operators_give_and_take, 0, 4);
    tcase_add_test(tc, handler_is_asked_until_it_is_gone);
    tcase_add_test(tc, handler_makes_room);
    tc = unit_case(suite, "malloc.h");
    tcase_add_test(tc, trim_and_mallopt);
    tcase_add_test(tc, info_has_the_figures);
    tcase_add_test(tc, stats_go_to_standard_error);
    tcase_add_test(tc, threads_have_fork_handlers);
#ifdef __GLIBC__
    tcase_add_test(tc, mallinfo_counts);
    tcase_add_test(tc, mallinfo_in_ints);
#endif
    return support_main(suite);
}
