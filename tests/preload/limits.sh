#!/bin/sh
# limits.sh: programs on the drop-in under ulimit -v: memory, or a proper
# failure; never a signal.
#
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.sh"
need awk

cat >eat.c <<'C'
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(void)
{
    static char *blocks[4096];
    size_t total = 0, count = 0, sizes[] = {100000000, 10000000, 1000000, 70000, 5000, 100};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
        for (int i = 0; i < 500 && count < 4096; i++) {
            errno = 0;
            char *block = i % 2 ? calloc(1, sizes[s]) : malloc(sizes[s]);
            if (block == NULL) {
                if (errno != ENOMEM)
                    return 2;
                break;
            }
            block[0] = block[sizes[s] - 1] = 1;
            blocks[count++] = block;
            total += sizes[s];
        }
    while (count > 0)
        free(blocks[--count]);
    char *again = malloc(100);
    if (again == NULL)
        return 3;
    free(again);
    printf("%zu\n", total / 1024);
    return 0;
}
C
$CC -O1 eat.c -o eat || fail "compiling"
for mib in 12 16 20 24 32 48 64 96 128 192 256 512 1024 2048 4096 8192; do
    got=$( (ulimit -v $((mib * 1024)) && LD_PRELOAD=$LIBSLABALLOC_MALLOC exec ./eat) 2>err)
    status=$?
    [ $status = 0 ] || { cat err >&2; fail "with $mib MiB of address space: ended with $status"; }
    floor=$(((mib - 10) * 1024 / 4))
    [ "$got" -ge $floor ] || fail "with $mib MiB of address space only $got KiB could be had"
done

# Real programs, with memory enough and with too little.
for mib in 64 256 1024; do
    (ulimit -v $((mib * 1024)) && LD_PRELOAD=$LIBSLABALLOC_MALLOC exec awk \
        'BEGIN { for (i = 0; i < 50000; i++) a[i] = i "text"; print length(a) }') >out 2>err
    status=$?
    [ $status -lt 128 ] || { cat err >&2; fail "awk with $mib MiB of address space: ended with $status"; }
    [ $status != 0 ] || grep -q '^50000$' out || fail "awk with $mib MiB: wrong result"
done
echo "$name: 16 limits"
