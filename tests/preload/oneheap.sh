#!/bin/sh
# oneheap.sh: a program that is linked to the plain library and run on the
# drop-in has one heap, not two.
#
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.sh"
[ -e "$LIBSLABALLOC" ] || skip "there is no $LIBSLABALLOC"
cat >program.c <<'C'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <slaballoc.h>
#include <slaballoc/stats.h>
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv)
{
    int wanted = argc > 1 && argv[1][0] == '1';
    sla_stats_t before, after;
    void *libc = malloc(8), *own = sla_malloc(8);
    if (sla_owns(libc) != wanted || sla_owns(own) != 1)
        return 2;
    if (!wanted) {
        free(libc);
        sla_free(own);
        return 0;
    }
    /* Freed by the other name. */
    free(own);
    sla_free(libc);
    own = realloc(sla_malloc(100), 100000);
    if (own == NULL || sla_usable_size(own) < 100000)
        return 3;
    sla_free(own);
    sla_stats_get(&before, sizeof(before));
    void *large = malloc(10000000);
    sla_stats_get(&after, sizeof(after));
    if (after.live - before.live < 10000000)
        return 4;
    free(large);
    Dl_info plain, libc_name;
    if (!dladdr((void *)&sla_malloc, &plain) || !dladdr(dlsym(RTLD_DEFAULT, "malloc"), &libc_name))
        return 5;
    return plain.dli_fbase == libc_name.dli_fbase ? 0 : 6;
}
C
directory=$(dirname "$LIBSLABALLOC")
# shellcheck disable=SC2086
$CC $include -w program.c -o program -L"$directory" -Wl,-rpath,"$directory" -lslaballoc -ldl || fail "linking"
./program 0 || fail "without the drop-in: ended with $?"
ours ./program 1 || fail "on the drop-in: ended with $?"
echo "$name: one heap"
