# build.sh: for tests that build the library another way; sourced.  $work is a
# directory that goes with the test, $source a tree that no build is in.
# SPDX-License-Identifier: MIT

# shellcheck source=copy.sh
. "$(dirname "$0")/../rig/copy.sh"
name=$(basename "$0" .sh)
skip() { echo "$name: skipped: $*"; exit 77; }
fail() { echo "$name: FAIL: $*" >&2; exit 1; }
need() { for tool; do command -v "$tool" > /dev/null 2>&1 || skip "$tool is not installed"; done; }

: "${top_srcdir:?run by make check}" "${CC:=cc}" "${MAKE:=make}"
[ "${SLABALLOC_SANITIZER:-no}" = no ] && [ -z "${TEST_WRAPPER-}" ] || skip 'for plain builds'
pkg-config --exists 'check >= 0.15.2' 2> /dev/null || skip 'Check is not installed'
level=${SLABALLOC_TEST_LEVEL:-check}
work=$(mktemp -d "${TMPDIR:-/tmp}/slaballoc-$name.XXXXXX") || exit 99
trap 'status=$?; cd /; rm -rf "$work"; exit $status' EXIT
trap 'exit 99' HUP INT TERM

unbuilt "$top_srcdir" "$work/tree"

# The other build is to know nothing of the one that this is a test of.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES TESTS VERBOSE top_builddir LIBSLABALLOC LIBSLABALLOC_MALLOC \
  SLABALLOC_LIBRARY SLABALLOC_RUN SLABALLOC_BENCH SLABALLOC_RECORDER SLABALLOC_EXAMPLES SLABALLOC_CFLAGS \
  SLABALLOC_DEBUG SLABALLOC_SANITIZER CK_FORK

# build DIRECTORY CONFIGURE-ARGUMENT...
build() {
  directory=$work/$1
  shift
  mkdir "$directory" && (cd "$directory" &&
    "$source/configure" -q --with-check=yes --disable-bench --disable-shared CC="$CC" "$@") \
    > "$directory.log" 2>&1 || { tail -n 20 "$directory.log"; fail "configure $*"; }
}

# check DIRECTORY TESTS: Check programs there; what failed is shown.
check() {
  $MAKE -s -j2 -C "$work/$1" check check_PROGRAMS="$2" TESTS="$2" > "$work/$1.log" 2>&1 || {
    grep -hE ':[EF]:' "$work/$1"/tests/*/*.log | head -n 20
    tail -n 20 "$work/$1.log"
    fail "tests in the build $1"
  }
  tail -n 1 "$work/$1.log"
}
