#!/bin/sh
# dlopen.sh: the plain library opened and closed by threads that use it, again
# and again, and after others took all static TLS; a plugin bound to the C library's own free.
#
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.sh"
[ -e "$LIBSLABALLOC" ] || skip "there is no $LIBSLABALLOC"
# Each thread's list of held locks does not fit what is left of static thread-local storage.
[ "${SLABALLOC_DEBUG:-0}" -lt 2 ] || skip "a debug level that keeps each thread's locks cannot be opened late"
rounds=1000
cat >opener.c <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static const char *path;
static size_t mappings(void)
{
    size_t lines = 0;
    FILE *file = fopen("/proc/self/maps", "r");
    for (int c; (c = fgetc(file)) != EOF;)
        lines += c == '\n';
    fclose(file);
    return lines;
}
static void *use(void *arg)
{
    void *(*allocate)(size_t);
    void (*release)(void *);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(3);
    }
    *(void **)&allocate = dlsym(library, "sla_malloc");
    *(void **)&release = dlsym(library, "sla_free");
    for (int i = 0; i < 100; i++) {
        char *block = allocate((size_t)i * 30 + 1);
        memset(block, i, (size_t)i * 30 + 1);
        release(block);
    }
    void *left = allocate(64);
    if (arg != NULL) /* freed while the library is still open, by name, in this thread */
        release(left);
    dlclose(library);
    return NULL; /* the thread's end hook runs after dlclose */
}
int main(int argc, char **argv)
{
    size_t before = 0, rounds = strtoul(argv[2], NULL, 10);
    path = argv[1];
    for (size_t i = 0; i < rounds; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, use, "") != 0 || pthread_join(thread, NULL) != 0)
            return 4;
        if (i == rounds / 10)
            before = mappings();
    }
    pthread_t thread;
    pthread_create(&thread, NULL, use, NULL);
    pthread_join(thread, NULL);
    if (mappings() > before + 4) {
        fprintf(stderr, "mappings went from %zu to %zu\n", before, mappings());
        return 5;
    }
    return argc == 3 ? 0 : 1;
}
C
$CC -w opener.c -o opener -ldl -lpthread || fail "compiling"
./opener "$LIBSLABALLOC" $rounds || fail "opening and closing ended with $?"

# Static thread-local storage is scarce in a running process.  Others have taken all of it: opening says so, and nothing
# else happens.  Others have taken some: ours still finds room.
cat >filler.c <<'C'
__thread char filler[SIZE] __attribute__((tls_model("initial-exec"))) = {1};
char *filler_at(void) { return filler; }
C
cat >full.c <<'C'
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
static int fill(const char *with, int most)
{
    char name[40];
    for (int i = 0; i < most; i++) {
        snprintf(name, sizeof(name), "./%s%d.so", with, i);
        if (dlopen(name, RTLD_NOW) == NULL)
            return i;
    }
    return most;
}
static int use(void *library)
{
    void *(*allocate)(size_t);
    void (*release)(void *);
    if (library == NULL)
        return 0;
    *(void **)&allocate = dlsym(library, "sla_malloc");
    *(void **)&release = dlsym(library, "sla_free");
    for (size_t i = 1; i < 1000; i++)
        release(memset(allocate(i), 1, i));
    return 1;
}
int main(int argc, char **argv)
{
    int first = fill("filler", argc > 2 ? 12 : 40), rest = argc > 2 ? 0 : fill("grain", 40);
    int works = use(dlopen(argv[1], RTLD_NOW));
    const char *why = works ? "" : dlerror();
    if (!works && (argc > 2 || why == NULL || strstr(why, "static TLS") == NULL)) {
        fprintf(stderr, "not opened: %s\n", why != NULL ? why : "and no reason given");
        return 1;
    }
    if (works && !use(dlopen(argv[1], RTLD_NOW)))
        return 2;
    printf("%d + %d and %s\n", first, rest, works ? "ours" : "no room");
    return 0;
}
C
i=0
while [ $i -lt 40 ]; do
    $CC -w -shared -fPIC -DSIZE=64 filler.c -o filler$i.so && $CC -w -shared -fPIC -DSIZE=8 filler.c -o grain$i.so ||
        fail "compiling a filler"
    i=$((i + 1))
done
$CC -w full.c -o full -ldl || fail "compiling"
full=$(./full "$LIBSLABALLOC") || fail "with no static TLS left"
part=$(./full "$LIBSLABALLOC" some) || fail "with 768 bytes of static TLS taken"

# RTLD_DEEPBIND binds the plugin to its own libraries first, the preloaded drop-in comes after the C library.
cat >plugin.c <<'C'
#include <stdlib.h>
#include <string.h>
void plugin_free(void *block) { free(block); }
char *plugin_make(void) { return strdup("made by the plugin"); }
C
cat >host.c <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(void)
{
    void *plugin = dlopen("./plugin.so", RTLD_NOW | RTLD_DEEPBIND);
    void (*release)(void *);
    char *(*make)(void);
    if (plugin == NULL)
        return 3;
    *(void **)&release = dlsym(plugin, "plugin_free");
    *(void **)&make = dlsym(plugin, "plugin_make");
    puts("before");
    fflush(stdout);
    release(strdup("made by the host"));
    free(make());
    puts("after");
    return 0;
}
C
$CC -shared -fPIC plugin.c -o plugin.so && $CC -w host.c -o host -ldl || fail "compiling the plugin"
./host >out 2>err || fail "the plugin on the C library's malloc"
ours ./host >out 2>err
status=$?
# Either one heap, or a clear end: never silent corruption.
case $status in
0) grep -q after out || fail "the plugin's host stopped without a word" ;;
134) grep -Eq 'slaballoc: free|free\(\): invalid|munmap_chunk' err || { cat err >&2; fail "aborted without saying why"; } ;;
*) cat err >&2; fail "the plugin's host ended with $status" ;;
esac
echo "$name: $rounds times opened and closed; static TLS: $part; full: $full; RTLD_DEEPBIND ends with $status"
