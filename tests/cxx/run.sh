#!/bin/sh
# run.sh: slaballoc.hpp, with each standard that the compiler knows, without a
# warning; and that it compiles without exceptions and run-time types.
# SPDX-License-Identifier: MIT
set -u
skip() { echo "skipped: $*"; exit 77; }
[ -n "${CXX-}" ] || skip 'no C++ compiler'
[ "${SLABALLOC_SANITIZER:-no}" = no ] || skip 'the program would need the sanitizer, too'
[ -z "${TEST_WRAPPER-}" ] || skip 'it cannot be run here'
[ -e "$LIBSLABALLOC" ] || skip "there is no $LIBSLABALLOC"
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
here=$top_srcdir/tests/cxx
directory=$(dirname "$LIBSLABALLOC")
bad=0 good=''

compile() { # STANDARD FLAGS...
  standard=$1
  shift
  # shellcheck disable=SC2086
  $CXX -std=$standard -O1 -g -Wall -Wextra -Wshadow -pedantic -Werror -I"$top_srcdir/include" "$@"
}

echo 'int main() {}' > "$work/empty.cc"
for standard in c++17 c++20 c++23; do
  # shellcheck disable=SC2086
  $CXX -std=$standard -fsyntax-only "$work/empty.cc" 2> "$work/errors" || continue
  if compile $standard "$here/containers.cc" -o "$work/program" -L"$directory" -Wl,-rpath,"$directory" -lslaballoc \
    -pthread && "$work/program"; then
    good="$good $standard"
  else
    echo "$standard: failed"
    bad=1
  fi
  if compile $standard "$top_srcdir/examples/pmr-container.cc" -o "$work/example" -L"$directory" \
    -Wl,-rpath,"$directory" -lslaballoc && "$work/example" > "$work/out" &&
    grep -q '^the heap with the limit alone was refused$' "$work/out"; then :; else
    echo "$standard: pmr-container failed"
    bad=1
  fi
  cat > "$work/bare.cc" <<'CC'
#include <slaballoc/slaballoc.hpp>
int *of(sla::object_cache<int> &cache) { return cache.make(7).release(); }
int *many() { return sla::allocator<int>().allocate(7); }
CC
  compile $standard -fno-exceptions -fno-rtti -fsyntax-only "$work/bare.cc" || { echo "$standard, bare: failed"; bad=1; }
done
echo "as it should be:$good"
[ -n "$good" ] && [ $bad -eq 0 ]
