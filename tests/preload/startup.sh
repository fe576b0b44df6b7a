#!/bin/sh
# startup.sh: what the drop-in costs a program that does nothing: at most
# 112 KiB of memory, 56 of them its own and not the file's, at most 64 bytes of
# thread-local storage. Without src/layout.ld, or with checks: 150 KiB.
#
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.sh"
need "$READELF" sort awk

# By page tables: the counters of /proc/self/status are off by up to 32 pages and more for each
# processor. Of files, only the library's counts: how much of others the kernel maps around a page is chance.
cat >trivial.c <<'C'
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
int main(void)
{
    static char text[65536];
    size_t n = 0;
    ssize_t got;
    free(malloc(100));
    int fd = open("/proc/self/smaps", O_RDONLY);
    while (n < sizeof(text) && (got = read(fd, text + n, sizeof(text) - n)) > 0)
        n += (size_t)got;
    return n > 0 && write(1, text, n) == (ssize_t)n ? 0 : 77;
}
C
$CC -O0 trivial.c -o trivial || fail "compiling"
./trivial | grep -q '^Anonymous:' || skip "no Anonymous in /proc/self/smaps"

# Prints the anonymous memory, and what else is there of the library's file.
count() {
    awk '/^[0-9a-f]+-[0-9a-f]+ / { ours = /libslaballoc/ }
        /^Rss:/ && ours { file += $2 }
        /^Anonymous:/ { own += $2; if (ours) file -= $2 }
        END { print own + 0, file + 0 }'
}
# Where the library comes to lie is random, and with it how much of it the kernel maps around a page.
runs=31
median() { # FILE COLUMN
    awk -v c="$2" '{ print $c }' "$1" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}
i=0
while [ $i -lt $runs ]; do
    ./trivial >plain.maps || fail "the plain run"
    count <plain.maps >>plain.kib
    LD_PRELOAD=$LIBSLABALLOC_MALLOC ./trivial >preloaded.maps || fail "the preloaded run"
    count <preloaded.maps >>preloaded.kib
    i=$((i + 1))
done
own=$(($(median preloaded.kib 1) - $(median plain.kib 1)))
all=$((own + $(median preloaded.kib 2)))
most=150 most_own=100
if [ "${SLABALLOC_DEBUG:-0}" -eq 0 ] && "$READELF" -SW "$LIBSLABALLOC_MALLOC" | grep -q '\.text\.rare'; then
    most=112 most_own=56
fi
[ "$all" -le "$most" ] || fail "$all KiB more, $most is the limit"
[ "$own" -le "$most_own" ] || fail "$own KiB more anonymous memory, $most_own is the limit"

# The segment may be missing; its size is the sixth number of the program header.
tls=$("$READELF" -lW "$LIBSLABALLOC_MALLOC" | awk '$1 == "TLS" { print $6 }')
: "${tls:=0x0}"
[ $((tls)) -le 64 ] || fail "$((tls)) bytes of thread-local storage"
echo "$name: $all KiB more at the start, $own of them anonymous, $((tls)) bytes of TLS"
