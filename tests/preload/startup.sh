#!/bin/sh
# startup.sh: what the drop-in costs a program that does nothing: at most
# 150 KB of peak RSS, at most 64 bytes of thread-local storage.
#
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.sh"
need "$READELF" sort awk

# Each run reports its own peak, which begins anew at exec.
cat >trivial.c <<'C'
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(void)
{
    static char text[8192];
    free(malloc(100));
    int fd = open("/proc/self/status", O_RDONLY);
    if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
        return 1;
    char *peak = strstr(text, "VmHWM:");
    if (peak == NULL)
        return 77;
    peak += strspn(peak, "VmHWM: \t");
    size_t digits = strspn(peak, "0123456789");
    peak[digits] = '\n';
    return write(1, peak, digits + 1) < 0;
}
C
$CC -O0 trivial.c -o trivial || fail "compiling"
./trivial >/dev/null || skip "no VmHWM in /proc/self/status"

runs=15
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
i=0
while [ $i -lt $runs ]; do
    ./trivial >>plain.kib || fail "the plain run"
    LD_PRELOAD=$LIBSLABALLOC_MALLOC ./trivial >>preloaded.kib || fail "the preloaded run"
    i=$((i + 1))
done
plain=$(median plain.kib)
preloaded=$(median preloaded.kib)
[ $((preloaded - plain)) -le 150 ] || fail "peak RSS $plain KiB plain, $preloaded KiB preloaded: more than 150 KiB apart"

# The segment may be missing; its size is the sixth number of the program header.
tls=$("$READELF" -lW "$LIBSLABALLOC_MALLOC" | awk '$1 == "TLS" { print $6 }')
: "${tls:=0x0}"
[ $((tls)) -le 64 ] || fail "$((tls)) bytes of thread-local storage"
echo "$name: $((preloaded - plain)) KiB more at the start, $((tls)) bytes of TLS"
