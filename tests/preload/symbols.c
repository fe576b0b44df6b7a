/*
 * symbols.c: run on the drop-in; what libc hands out comes from our heap, and
 * the calls of malloc.h do something sensible.
 *
 * SPDX-License-Identifier: MIT
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <netdb.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

static int (*owns)(const void *);
static int failures;

static void expect(int condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "symbols: not so: %s\n", what);
        failures++;
    }
}

static void ours(void *block, const char *what)
{
    expect(block != NULL && owns(block) == 1, what);
    free(block);
}

static void from_libc(void)
{
    char *text = NULL, *line = NULL;
    wchar_t *wide = NULL;
    size_t length = 0, room = 0;
    ours(strdup("text"), "strdup");
    ours(strndup("text", 2), "strndup");
    ours(wcsdup(L"text"), "wcsdup");
    ours(realpath("/usr/..", NULL), "realpath");
    ours(getcwd(NULL, 0), "getcwd");
    ours(asprintf(&text, "%d %s", 5, "apples") > 0 ? text : NULL, "asprintf");
    FILE *file = fopen("/proc/self/status", "r");
    expect(file != NULL && owns(file) == 1, "fopen");
    ours(getline(&line, &room, file) > 0 ? line : NULL, "getline");
    fclose(file);
    file = open_memstream(&text, &length);
    for (int i = 0; i < 10000; i++)
        fprintf(file, "line %d\n", i);
    fclose(file);
    expect(length == 98890, "length of open_memstream");
    ours(text, "open_memstream");
    file = open_wmemstream(&wide, &length);
    fputws(L"wide", file);
    fclose(file);
    ours(wide, "open_wmemstream");
    struct addrinfo *found = NULL, hints = {.ai_flags = AI_NUMERICHOST};
    expect(getaddrinfo("127.0.0.1", NULL, &hints, &found) == 0 && owns(found) == 1, "getaddrinfo");
    freeaddrinfo(found);
    setenv("SLABALLOC_TEST_SYMBOLS", "a value long enough to be allocated", 1);
    char *scanned = NULL;
    expect(sscanf("word", "%ms", &scanned) == 1, "sscanf %ms");
    ours(scanned, "sscanf");
}

static void from_malloc_h(void)
{
    void *block = NULL;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    ours(malloc(100), "malloc");
    ours(calloc(10, 10), "calloc");
    ours(realloc(NULL, 100), "realloc");
    ours(reallocarray(NULL, 10, 10), "reallocarray");
    ours(aligned_alloc(64, 128), "aligned_alloc");
    ours(memalign(64, 100), "memalign");
    ours(posix_memalign(&block, 64, 100) == 0 ? block : NULL, "posix_memalign");
    block = valloc(100);
    expect((uintptr_t)block % page == 0, "valloc is aligned to a page");
    ours(block, "valloc");
    block = pvalloc(page + 1);
    expect((uintptr_t)block % page == 0 && malloc_usable_size(block) >= 2 * page,
           "pvalloc rounds up to pages");
    ours(block, "pvalloc");
    block = malloc(1000);
    expect(malloc_usable_size(block) >= 1000, "malloc_usable_size");
    expect(malloc_usable_size(NULL) == 0, "malloc_usable_size(NULL)");
    expect(mallopt(-12345, 1) == 0, "mallopt of something unknown");
    struct mallinfo2 info = mallinfo2();
    expect(info.uordblks >= 1000 && info.arena >= info.uordblks, "mallinfo2");
    free(block);
    block = malloc(50000000);
    info = mallinfo2();
    expect(info.uordblks + info.hblkhd >= 50000000, "mallinfo2 counts large blocks");
    free(block);
    expect(malloc_trim(0) == 0 || malloc_trim(0) == 0, "malloc_trim");
    malloc_stats();
    char *text = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&text, &length);
    expect(malloc_info(0, file) == 0, "malloc_info");
    fclose(file);
    expect(strstr(text, "<malloc") != NULL && strstr(text, "</malloc>") != NULL, "malloc_info writes XML");
    free(text);
    errno = 0;
    expect(malloc_info(1, stderr) != 0, "malloc_info with an unknown option");
    volatile size_t huge = SIZE_MAX;
    errno = 0;
    expect(malloc(huge) == NULL && errno == ENOMEM, "malloc(SIZE_MAX)");
    errno = 0;
    expect(pvalloc(huge) == NULL && errno == ENOMEM, "pvalloc(SIZE_MAX)");
}

/* Names that headers do not declare everywhere: found at run time, as programs do. */
static void from_symbols(void)
{
    static const char *const names[] = {"malloc",
                                        "calloc",
                                        "realloc",
                                        "reallocarray",
                                        "free",
                                        "cfree",
                                        "free_sized",
                                        "free_aligned_sized",
                                        "aligned_alloc",
                                        "posix_memalign",
                                        "memalign",
                                        "valloc",
                                        "pvalloc",
                                        "malloc_usable_size",
                                        "malloc_trim",
                                        "mallinfo",
                                        "mallinfo2",
                                        "malloc_stats",
                                        "malloc_info",
                                        "mallopt",
                                        "__libc_malloc",
                                        "__libc_calloc",
                                        "__libc_realloc",
                                        "__libc_free",
                                        "__libc_memalign",
                                        "__libc_valloc",
                                        "__libc_pvalloc",
                                        "__posix_memalign"};
    Dl_info ours_info, info;
    expect(dladdr(dlsym(RTLD_DEFAULT, "sla_malloc"), &ours_info) != 0, "dladdr of sla_malloc");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        void *symbol = dlsym(RTLD_DEFAULT, names[i]);
        expect(symbol != NULL && dladdr(symbol, &info) != 0 && info.dli_fbase == ours_info.dli_fbase,
               names[i]);
    }
    void (*free_sized_found)(void *, size_t);
    *(void **)&free_sized_found = dlsym(RTLD_DEFAULT, "free_sized");
    free_sized_found(malloc(100), 100);
    void *(*libc_malloc)(size_t);
    *(void **)&libc_malloc = dlsym(RTLD_DEFAULT, "__libc_malloc");
    ours(libc_malloc(100), "__libc_malloc");
}

static void *thread(void *arg)
{
    (void)arg;
    void *block = strdup("in a thread");
    expect(owns(block) == 1, "strdup in a thread");
    return block;
}

int main(void)
{
    pthread_t id;
    void *left = NULL;
    *(void **)&owns = dlsym(RTLD_DEFAULT, "sla_owns");
    if (owns == NULL) {
        fputs("symbols: the drop-in is not there\n", stderr);
        return 1;
    }
    from_libc();
    from_malloc_h();
    from_symbols();
    expect(pthread_create(&id, NULL, thread, NULL) == 0 && pthread_join(id, &left) == 0, "a thread");
    free(left);
    return failures != 0;
}
