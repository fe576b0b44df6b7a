#!/bin/sh
# symbols.sh: all libc allocation on the drop-in comes from one heap, ours.
#
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.sh"
need awk
here=$top_srcdir/tests/preload

# shellcheck disable=SC2086
$CC $include -O1 -fno-builtin -Wno-deprecated-declarations "$here/symbols.c" -o symbols -ldl -lpthread 2>cc.log ||
    { cat cc.log >&2; fail "symbols.c does not compile"; }
ours ./symbols >out 2>err || { cat out err >&2; fail "preloaded"; }
[ -s err ] || fail "malloc_stats wrote nothing"
./symbols >/dev/null 2>&1 && fail "passes without the drop-in: it tests nothing"

# Linked to the drop-in, without preloading: the same.
directory=$(dirname "$LIBSLABALLOC_MALLOC")
# shellcheck disable=SC2086
$CC $include -O1 -fno-builtin -Wno-deprecated-declarations "$here/symbols.c" -o linked \
    -L"$directory" -Wl,-rpath,"$directory" -Wl,--no-as-needed -lslaballoc-malloc -ldl -lpthread ||
    fail "linking to the drop-in"
./linked >out 2>err || { cat out err >&2; fail "linked"; }
echo "$name: preloaded and linked"
