#!/bin/sh
# instructions.sh: what a pair of malloc and free costs, pattern by pattern, in
# instructions: exact where times are not, so a slower path shows at once.
#
# callgrind counts patterns.c on the drop-in, and objects.c with the plain library,
# at two lengths; the difference has neither the start of the process nor the first
# rounds in it.  A figure includes
# the pattern's own loop, 7 to 14 instructions a pair, as the ceilings do.
# "grow" counts the steps of realloc, "batch64" the blocks of batches.  When a figure is above its ceiling for a
# good reason, say so where you raise it; when one falls, lower its ceiling.
#
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/../preload/common.sh"

# --- The builds and machines that the ceilings are for ---
need valgrind awk "$READELF"
[ "${SLABALLOC_SANITIZER:-no}" = no ] || skip "a sanitizer changes all of it"
[ "${SLABALLOC_MEMCHECK:-no}" = no ] || skip "memcheck is told of each block"
[ "${SLABALLOC_DEBUG:-0}" = 0 ] || skip "the libraries have checks in them"
level=
for flag in ${SLABALLOC_CFLAGS--O2 -ftls-model=initial-exec}; do
    case $flag in
    -O*) level=$flag ;;
    --coverage | -fprofile* | -pg | -finstrument*) skip "built with $flag" ;;
    -ftls-model=*) model=${flag#*=} ;;
    esac
done
case $level in -O2 | -O3) ;; *) skip "not optimised: ${level:-no -O} rather than -O2" ;; esac
[ "${model:-}" = initial-exec ] || skip "thread-local storage of another model"
$READELF -h "$LIBSLABALLOC_MALLOC" | grep -q 'Machine:.*X86-64' || skip "not built for x86-64"
if $READELF -p .comment "$LIBSLABALLOC_MALLOC" | grep -q clang; then skip "the ceilings are for GCC's code"; fi
# clear and grow are memset and memcpy as well, and those are the processor's.
grep -qw avx2 /proc/cpuinfo 2>/dev/null && copies=yes || copies=no

# --- Counting ---
$CC -O2 -fno-builtin "$top_srcdir/tests/cost/patterns.c" -pthread -o patterns -ldl || fail "compiling"

$CC -O2 -fno-builtin -I"$top_srcdir/include" "$top_srcdir/tests/cost/objects.c" -o objects "$LIBSLABALLOC" ||
    fail "compiling"
LD_LIBRARY_PATH=$(dirname "$LIBSLABALLOC")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH

count() { # PROGRAM PATTERN ROUNDS
    [ "$1" = patterns ] && preload=$LIBSLABALLOC_MALLOC || preload=
    SLABALLOC_CONF=purge_delay=-1 LD_PRELOAD=$preload \
        valgrind --tool=callgrind --callgrind-out-file=/dev/null "./$1" "$2" "$3" 2>log |
        grep . >&2
    awk '/Collected/ { print $4; n = 1 } END { exit !n }' log
}
count patterns again 1 >/dev/null || skip "valgrind does not run here: $(grep '[a-z]' log | tail -n 1)"

status=0
measure() { # PROGRAM, and lines of PATTERN CEILING ROUNDS
    while read -r pattern ceiling rounds; do
        pairs=$("./$1" | awk -v p="$pattern" '$1 == p { print $2 }')
        [ "$copies" = yes ] || case $pattern in clear | grow) continue ;; esac
        short=$(count "$1" "$pattern" "$rounds") && long=$(count "$1" "$pattern" $((2 * rounds))) ||
            fail "$pattern: $(tail -n 1 log)"
        awk -v pattern="$pattern" -v ceiling="$ceiling" -v sum=$((long - short)) -v pairs=$((rounds * pairs)) 'BEGIN {
            cost = sprintf("%.1f", sum / pairs)
            printf "%-8s %6s, ceiling %s\n", pattern, cost, ceiling
            exit cost + 0 > ceiling + 0 || cost + 0 <= 0
        }' || status=1
    done
}
measure patterns <<END
again 40 20
stack 46 40
deep 82 20
swing 47 40
queue 46 40
shuffle 46 40
medium 56 200
clear 73 20
grow 58 100
batch64 12 20
handoff 108 20
END
measure objects <<END
object 40 20
built 40 20
objects 46 20
batch 12 20
END
[ "$status" = 0 ] || fail "more instructions than the ceilings allow"
