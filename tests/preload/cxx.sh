#!/bin/sh
# cxx.sh: C++ on the drop-in, preloaded, linked, and linked statically.
#
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.sh"
need "$(echo "$CXX" | awk '{ print $1 }')"
source=$top_srcdir/tests/preload/cxx.cc
directory=$(dirname "$LIBSLABALLOC_MALLOC")

# The compiler may leave out pairs of new and delete: -fno-builtin keeps them.
build() {
    target=$1
    shift
    $CXX -std=c++17 -O1 -fno-builtin -w "$source" -o "$target" "$@" -ldl -lpthread 2>cc.log ||
        { cat cc.log >&2; fail "building $target"; }
}
build plain
./plain expect-nothing >out 2>err || skip "the program fails on the C library's malloc"
ours ./plain >out 2>err || { cat out err >&2; fail "preloaded"; }
build linked -L"$directory" -Wl,-rpath,"$directory" -Wl,--no-as-needed -lslaballoc-malloc
./linked >out 2>err || { cat out err >&2; fail "linked"; }
if [ -e "$STATIC_MALLOC_A" ]; then
    build archive -rdynamic -Wl,--whole-archive "$STATIC_MALLOC_A" -Wl,--no-whole-archive
    ./archive >out 2>err || { cat out err >&2; fail "linked to the static library"; }
fi
echo "$name: preloaded, linked, linked to the archive"
