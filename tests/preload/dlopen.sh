#!/bin/sh
# dlopen.sh: the plain library opened and closed by threads that use it, again
# and again; a plugin bound to the C library's own free.
#
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.sh"
[ -e "$LIBSLABALLOC" ] || skip "there is no $LIBSLABALLOC"
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
echo "$name: $rounds times opened and closed; RTLD_DEEPBIND ends with $status"
