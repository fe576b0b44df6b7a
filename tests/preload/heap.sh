#!/bin/sh
# heap.sh: on the drop-in the C library's names allocate in the current heap.
#
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.sh"
[ -e "$LIBSLABALLOC" ] || skip "there is no $LIBSLABALLOC"
cat >program.c <<'C'
#define _GNU_SOURCE
#include <malloc.h>
#include <slaballoc/heap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(void)
{
    sla_heap_t *heap = sla_heap_create("libc");
    sla_heap_stats_t stats;
    void *outside = malloc(100), *p;
    char *text, *printed;
    if (heap == NULL || sla_heap_of(outside) != NULL || sla_heap_push(heap) != 0)
        return 2;
    text = strdup("in the heap");
    if (sla_heap_of(text) != heap || asprintf(&printed, "%s %d", text, 7) < 0 || sla_heap_of(printed) != heap)
        return 3;
    if (sla_heap_of(calloc(10, 10)) != heap || sla_heap_of(aligned_alloc(64, 64)) != heap ||
        sla_heap_of(malloc(1000000)) != heap || sla_heap_of(calloc(1, 100000)) != heap)
        return 4;
    outside = realloc(outside, 5000); /* stays where it is */
    p = realloc(malloc(10), 3000);
    if (sla_heap_of(outside) != NULL || sla_heap_of(p) != heap || malloc_usable_size(p) < 3000)
        return 5;
    sla_heap_pop();
    if (sla_heap_of(text = realloc(text, 200)) != heap || strcmp(text, "in the heap") != 0)
        return 6;
    free(printed);
    free(text);
    free(outside);
    p = malloc(10);
    if (sla_heap_of(p) != NULL || sla_heap_stats(heap, &stats, sizeof stats) != 0 || stats.blocks != 5)
        return 7;
    sla_heap_destroy(heap);
    free(p);
    return 0;
}
C
directory=$(dirname "$LIBSLABALLOC")
# shellcheck disable=SC2086
$CC $include -w -fno-builtin program.c -o program -L"$directory" -Wl,-rpath,"$directory" -lslaballoc || fail "linking"
ours ./program || fail "on the drop-in: ended with $?"
echo "$name: the current heap is malloc's"
