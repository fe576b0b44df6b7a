#!/bin/sh
# self.sh: the library built on the drop-in: the compiler's output is the same to
# the byte, and what it built carries make and the compiler for its own tests.
# SPDX-License-Identifier: MIT
library=${LIBSLABALLOC_MALLOC:?run by make check}
. "${top_srcdir:?}/tests/rig/build.sh"
name=self
[ -e "$library" ] || skip "there is no $library"
unset LD_PRELOAD

# All of the build, the compiler too, but not what it is told by configure.
built_on() { # PRELOAD DIRECTORY
    LD_PRELOAD=$1 $MAKE -s -j2 -C "$work/$2" libslaballoc-malloc.la > "$work/$2.log" 2>&1 ||
        { tail -n 20 "$work/$2.log"; fail "the build in $2, on ${1:-the C library}"; }
}
# The same directory for both: its name is in the debugging information.
build one --disable-static CFLAGS='-O2 -g'
built_on '' one
(cd "$work/one" && find src -name '*.o' -exec sha256sum {} + | sort) > "$work/plain"
$MAKE -s -C "$work/one" clean > "$work/clean.log" 2>&1
built_on "$library" one
(cd "$work/one" && find src -name '*.o' -exec sha256sum {} + | sort) > "$work/ours"
objects=$(wc -l < "$work/plain")
[ "$objects" -gt 20 ] || fail "only $objects objects"
diff "$work/plain" "$work/ours" || fail 'other objects than on the C library'

# The one that was built so, under make, the shell, the compiler and the tests' drivers.
cp "$work/one/.libs/libslaballoc-malloc.so" "$work/carrier.so"
LD_PRELOAD=$work/carrier.so
export LD_PRELOAD
check one 'tests/unit/test_slab tests/unit/test_stack tests/api/test_realloc'
echo "ran: self: $objects objects the same, the library's tests on the library"
