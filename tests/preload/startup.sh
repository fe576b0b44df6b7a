#!/bin/sh
# startup.sh: what the drop-in costs a program that does nothing: at most
# 96 KB of peak RSS, 56 of them its own and not the file's, at most 64 bytes of
# thread-local storage. Without src/layout.ld, or with checks: 150 KB of peak RSS.
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
    static const char *const lines[] = {"VmHWM:", "RssAnon:"};
    for (int i = 0; i < 2; i++) {
        char *value = strstr(text, lines[i]);
        if (value == NULL)
            return 77;
        value += strcspn(value, "0123456789");
        size_t digits = strspn(value, "0123456789");
        if (write(1, value, digits) < 0 || write(1, i == 0 ? " " : "\n", 1) < 0)
            return 1;
    }
    return 0;
}
C
$CC -O0 trivial.c -o trivial || fail "compiling"
./trivial >/dev/null || skip "no VmHWM or RssAnon in /proc/self/status"

# Where libraries come to lie is random, and with it how much of them the kernel maps around a page.
runs=31
median() { # FILE COLUMN
    awk -v c="$2" '{ print $c }' "$1" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}
i=0
while [ $i -lt $runs ]; do
    ./trivial >>plain.kib || fail "the plain run"
    LD_PRELOAD=$LIBSLABALLOC_MALLOC ./trivial >>preloaded.kib || fail "the preloaded run"
    i=$((i + 1))
done
peak=$(($(median preloaded.kib 1) - $(median plain.kib 1)))
own=$(($(median preloaded.kib 2) - $(median plain.kib 2)))
most=150 most_own=100
if [ "${SLABALLOC_DEBUG:-0}" -eq 0 ] && "$READELF" -SW "$LIBSLABALLOC_MALLOC" | grep -q '\.text\.rare'; then
    most=96 most_own=56
fi
[ "$peak" -le "$most" ] || fail "$peak KiB more peak RSS, $most is the limit"
[ "$own" -le "$most_own" ] || fail "$own KiB more anonymous memory, $most_own is the limit"

# The segment may be missing; its size is the sixth number of the program header.
tls=$("$READELF" -lW "$LIBSLABALLOC_MALLOC" | awk '$1 == "TLS" { print $6 }')
: "${tls:=0x0}"
[ $((tls)) -le 64 ] || fail "$((tls)) bytes of thread-local storage"
echo "$name: $peak KiB more at the start, $own of them anonymous, $((tls)) bytes of TLS"
