#!/bin/sh
# static.sh: whole programs linked with -static, the archive replacing the C
# library's malloc.
#
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.sh"
[ -e "$STATIC_MALLOC_A" ] || skip "there is no $STATIC_MALLOC_A"
cat >hello.c <<'C'
#include <stdio.h>
int main(void) { puts("static"); return 0; }
C
$CC -static hello.c -o hello 2>/dev/null && ./hello >/dev/null || skip "no static C library here"

cat >program.c <<'C'
#include <pthread.h>
#include <slaballoc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static void *work(void *arg)
{
    char *text = strdup(arg);
    for (int i = 1; i < 5000; i++)
        if ((text = realloc(text, (size_t)i * 10 + 20)) == NULL)
            return NULL;
    return text;
}
int main(void)
{
    pthread_t threads[4];
    int status = 1;
    char *line = NULL;
    size_t length = 0;
    for (int i = 0; i < 4; i++)
        if (pthread_create(&threads[i], NULL, work, "kept") != 0)
            return 2;
    for (int i = 0; i < 4; i++) {
        void *text = NULL;
        pthread_join(threads[i], &text);
        if (text == NULL || strcmp(text, "kept") != 0 || sla_owns(text) != 1)
            return 3;
        free(text);
    }
    FILE *file = open_memstream(&line, &length);
    fprintf(file, "%d", 12345);
    fclose(file);
    if (sla_owns(line) != 1 || length != 5)
        return 4;
    free(line);
    pid_t pid = fork();
    if (pid == 0) {
        free(malloc(1000));
        exit(0);
    }
    if (waitpid(pid, &status, 0) != pid || status != 0)
        return 5;
    void *aligned = NULL;
    if (posix_memalign(&aligned, 4096, 10) != 0 || sla_owns(aligned) != 1)
        return 6;
    free(aligned);
    return 0;
}
C
# shellcheck disable=SC2086
$CC $include -O2 -static program.c "$STATIC_MALLOC_A" -lpthread -o program 2>ld.log ||
    { cat ld.log >&2; fail "a static link: symbols are missing or doubled"; }
grep -v 'statically linked applications' ld.log | grep -i warning >&2 && fail "the link warns"
./program || fail "the static program ended with $?"
# shellcheck disable=SC2086
$CC $include -O2 -static program.c -Wl,--whole-archive "$STATIC_MALLOC_A" -Wl,--no-whole-archive -lpthread -o whole ||
    fail "a static link of the whole archive"
./whole || fail "the static program with the whole archive ended with $?"
echo "$name: linked with -static, runs"
