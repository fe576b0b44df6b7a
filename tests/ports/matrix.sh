#!/bin/sh
# matrix.sh [NAME...]: the library by other compilers, flags and switches, a line each
# in matrix.txt.  Each builds without a warning and passes a fast selection of the
# tests: what the binary must not have (a calloc that calls calloc, say), the drop-in's
# symbols, dlopen, the static archive, conformance and a random run.
#
# SPDX-License-Identifier: MIT
set -u
here=$(cd "$(dirname "$0")" && pwd) || exit 1
. "$here/../rig/copy.sh"
work=$(mktemp -d "${TMPDIR:-/tmp}/slaballoc-matrix.XXXXXX") || exit 99
trap 'status=$?; cd /; rm -rf "$work"; exit $status' EXIT
trap 'exit 99' HUP INT TERM
unbuilt "$(cd "$here/../.." && pwd)" "$work/tree" || exit 1
: "${MAKE:=make}" "${SLABALLOC_TEST_LEVEL:=check}" "${SLABALLOC_PORTS_JOBS:=1}"
level=$SLABALLOC_TEST_LEVEL
# The amounts of a quick run: here it is the builds that are many.
SLABALLOC_TEST_LEVEL=quick
export SLABALLOC_TEST_LEVEL
unset MAKEFLAGS MFLAGS MAKELEVEL TESTS CFLAGS CXXFLAGS CPPFLAGS LDFLAGS LIBS CC CXX TEST_WRAPPER CK_FORK \
  READELF NM OBJDUMP MANDOC CONFIG_SITE top_builddir SLABALLOC_RUN SLABALLOC_BENCH SLABALLOC_RECORDER LIBSLABALLOC \
  LIBSLABALLOC_MALLOC SLABALLOC_LIBRARY SLABALLOC_CFLAGS SLABALLOC_DEBUG SLABALLOC_SANITIZER
have() { command -v "$1" > /dev/null 2>&1; }
pkg-config --exists 'check >= 0.15.2' 2> /dev/null || { echo "matrix: skipped: Check is not installed"; exit 77; }

programs='tests/api/test_conformance tests/fuzz/test_fuzz tests/threads/test_exit'
scripts='tests/structure/binary.sh tests/preload/symbols.sh tests/preload/dlopen.sh tests/preload/static.sh'

# build NAME COMPILER FLAGS...: 0, 1 or 77.
build() {
  name=$1 compiler=$2 flags=''
  shift 2
  have "$compiler" || { echo "matrix: $name: skipped: $compiler is not installed"; return 77; }
  while [ $# -gt 0 ] && [ "$1" != -- ]; do
    flags="$flags $1"
    shift
  done
  [ $# -eq 0 ] || shift
  # Half the objects will do, but for the archive's own line.
  case " $* " in *" --disable-shared "*) ;; *) set -- --disable-static "$@" ;; esac
  ! have ccache || compiler="ccache $compiler"
  mkdir "$work/$name" && cd "$work/$name" || return 1
  "$source/configure" -q --enable-werror --with-check=yes --disable-bench CC="$compiler" CFLAGS="$flags" CXX= "$@" &&
    $MAKE -s -j"$SLABALLOC_PORTS_JOBS" &&
    VERBOSE=1 $MAKE -s -j"$SLABALLOC_PORTS_JOBS" check TESTS="$programs $scripts" check_PROGRAMS="$programs" check_LIBRARIES=
}

tried=0 passed=0 failed='' counts=0
one() { # NAME WHEN COMPILER FLAGS...
  name=$1 when=$2
  shift 2
  [ "$when" = always ] || [ "$level" != quick ] || [ -n "$wanted" ] || return 0
  (build "$name" "$@") > "$work/$name.log" 2>&1
  case $? in
    0)
      tried=$((tried + 1)) passed=$((passed + 1))
      n=$(sed -n 's/^\([0-9]*\) passed, 0 failed$/\1/p' "$work/$name.log" | tail -n 1)
      counts=$((counts + ${n:-0})) ;;
    77) cat "$work/$name.log" ;;
    *)
      tried=$((tried + 1)) failed="$failed $name"
      grep -E 'rror:|FAIL:|warning:|:[EF]:|^(libslaballoc|matrix)' "$work/$name.log" | sort -u | head -n 25 | sed "s/^/$name: /" ;;
  esac
  rm -rf "${work:?}/$name"
}

wanted=$*
while read -r name rest; do
  case $name in '' | '#'*) continue ;; esac
  case " ${wanted:-$name} " in *" $name "*) ;; *) continue ;; esac
  # shellcheck disable=SC2086
  one "$name" $rest < /dev/null
done < "$here/matrix.txt"
[ "$tried" -gt 0 ] || exit 77
echo "ran: build matrix, $passed of $tried builds, $counts tests passed in them"
[ -z "$failed" ] || { echo "matrix: failed:$failed"; exit 1; }
