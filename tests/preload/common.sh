# common.sh: what the tests of the drop-in share; sourced, not run.
#
# A test compares what a real program does on the drop-in with what it does on
# the C library's malloc.  Exit 0: the same; 1: not; 77: cannot be tested here.
#
# SPDX-License-Identifier: MIT

name=$(basename "$0" .sh)

fail() {
    echo "$name: FAIL: $*" >&2
    exit 1
}

skip() {
    echo "$name: skipped: $*"
    exit 77
}

# need PROGRAM...: skip where one is missing.
need() {
    for program in "$@"; do
        command -v "$program" >/dev/null 2>&1 || skip "$program is not installed"
    done
}

: "${CC:=cc}" "${CXX:=c++}" "${READELF:=readelf}"
: "${top_srcdir:?run by make check}" "${top_builddir:?run by make check}"
: "${SLABALLOC_RUN:=$top_builddir/slaballoc-run}"
: "${LIBSLABALLOC:=$top_builddir/.libs/libslaballoc.so}"
: "${LIBSLABALLOC_MALLOC:=$top_builddir/.libs/libslaballoc-malloc.so}"
: "${STATIC_MALLOC_A:=$top_builddir/.libs/libslaballoc-malloc.a}"
[ -e "$LIBSLABALLOC_MALLOC" ] || skip "there is no $LIBSLABALLOC_MALLOC"
case ${SLABALLOC_TEST_LEVEL:-check} in quick) quick=1 ;; *) quick=0 ;; esac
include="-I$top_srcdir/include"

work=$(mktemp -d "${TMPDIR:-/tmp}/slaballoc-$name.XXXXXX") || exit 99
cleanup() { :; }
trap 'status=$?; cleanup; rm -rf "$work"; exit $status' EXIT
trap 'exit 99' HUP INT TERM
cd "$work" || exit 99

# ours COMMAND...: run on the drop-in, by the wrapper that users use.
ours() { "$SLABALLOC_RUN" "$@"; }

# is_mapped PID: the process really has the drop-in.
is_mapped() { grep -q 'libslaballoc-malloc' "/proc/$1/maps"; }

# both DIRECTORY-LESS COMMAND...: run it on both, each in a directory of its own,
# and compare exit status, standard output and standard error.
both() {
    mkdir -p plain preloaded
    (cd plain && "$@" >../plain.out 2>../plain.err)
    plain_status=$?
    (cd preloaded && ours "$@" >../preloaded.out 2>../preloaded.err)
    preloaded_status=$?
    [ "$plain_status" = "$preloaded_status" ] || {
        tail -20 preloaded.err >&2
        fail "$1: exit status $plain_status on the C library, $preloaded_status on the drop-in"
    }
    cmp plain.out preloaded.out || fail "$1: different standard output"
    cmp plain.err preloaded.err || {
        diff plain.err preloaded.err | head -20 >&2
        fail "$1: different standard error"
    }
}

# Programs of the wrong kind (static, set-user-ID) would pass without testing anything.
sh_maps=$(ours sh -c 'cat /proc/self/maps')
case $sh_maps in
*libslaballoc-malloc*) ;;
*) fail "the wrapper does not preload the drop-in" ;;
esac
