#!/bin/sh
# run.sh: a build with --enable-valgrind, under memcheck: each fault of faults.c is
# found, in the library and on the drop-in, by the words below; lost blocks are
# told; clean programs and the tests of the interface have no error.
# SPDX-License-Identifier: MIT
. "${top_srcdir:?}/tests/rig/build.sh"
name=memcheck include=-I$top_srcdir/include
need valgrind pkg-config
printf '#include <valgrind/memcheck.h>\n' | $CC -E - > /dev/null 2>&1 || skip 'there is no valgrind/memcheck.h'

build valgrind --enable-valgrind --disable-static CFLAGS='-O1 -g'
$MAKE -s -j2 -C "$work/valgrind" libslaballoc.la libslaballoc-malloc.la > "$work/log" 2>&1 ||
    { tail -n 30 "$work/log"; fail 'the build'; }
libraries=$work/valgrind/.libs
link="-L$libraries -Wl,-rpath,$libraries"
cd "$work" || exit 99
faults=$top_srcdir/tests/memcheck/faults.c
$CC -g -O1 $include -o faults "$faults" $link -lslaballoc || fail 'faults.c'
$CC -g -O1 $include -DFAULTS_LIBC -o dropin "$faults" $link -lslaballoc-malloc || fail 'faults.c, for the drop-in'

# memcheck PROGRAM ARGUMENT...: exit 42 with an error.  Without nouserintercepts valgrind puts its own malloc in
# the place of the drop-in's.
memcheck() {
    valgrind --error-exitcode=42 --soname-synonyms=somalloc=nouserintercepts --leak-check=full "$@" > log 2>&1
}
count=0
# finds FAULT TEXT...: an error, all of the texts, and no other error: as many as $errors says.
finds() {
    fault=$1 errors=${errors:-1}
    shift
    for program in ./faults ./dropin; do
        memcheck "$program" "$fault"
        [ $? -eq 42 ] || { cat log; fail "$program: $fault was not found"; }
        for text; do
            grep -q -e "$text" log || { cat log; fail "$program: $fault: no '$text'"; }
        done
        grep -q "ERROR SUMMARY: $errors error" log || { cat log; fail "$program: $fault: not $errors errors"; }
        ! grep -q WARNING log || { cat log; fail "$program: $fault: a warning"; }
        count=$((count + 1))
    done
    errors=1
}
read='Invalid read of size 1' write='Invalid write of size 1' depends='depends on uninitialised value'
finds after_free "$read" '10 bytes inside a block of size 100 free.d' 'in after_free\|: after_free '
finds after_free_large "$write" '200,000 bytes inside a block of size 300,000 free.d'
finds aligned "$write" '0 bytes after a block of size 300 alloc.d'
errors=2 finds batch "$write" '0 bytes after a block of size 24 alloc.d' "$read" 'a block of size 24 free.d'
finds before_start "$write" 'a block of size 200 alloc.d'
finds behind_end "$write" '0 bytes after a block of size 100 alloc.d'
finds behind_exact "$write" '0 bytes after a block of size 64 alloc.d'
finds behind_large "$read" '0 bytes after a block of size 100,001 alloc.d'
errors=2 finds heap_block "$read" '100 bytes inside a block of size 500 free.d' 'inside a block of size 90,000 free.d'
finds object "$read" '39 bytes inside a block of size 40 free.d'
finds realloc_grown "$depends"
finds realloc_old "$read" '0 bytes inside a block of size 100 free.d'
finds realloc_shrunk "$read" '0 bytes after a block of size 100 alloc.d'
finds reused "$depends"
finds uninitialised "$depends"
errors=3 finds leak '1,234 bytes in 1 blocks are definitely lost' '70,000 bytes in 1 blocks are definitely lost' \
    ' 16 bytes in 1 blocks are definitely lost' 'definitely lost: 71,250 bytes in 3 blocks'
for program in ./faults ./dropin; do
    memcheck "$program" clean || { cat log; fail "$program: an error where there is none"; }
    grep -q 'ERROR SUMMARY: 0 errors' log && ! grep -q WARNING log || { cat log; fail "$program: clean is not"; }
done
echo "ran: memcheck: $count faults, all found as they are"

# Real programs, preloaded, that have no error of their own with valgrind's malloc.
for command in 'sort -r' 'sed s/a/b/g' 'grep -n the'; do
    # shellcheck disable=SC2086
    LD_PRELOAD=$libraries/libslaballoc-malloc.so valgrind -q --error-exitcode=42 \
        --soname-synonyms=somalloc=nouserintercepts $command < "$faults" > /dev/null 2> log ||
        { cat log; fail "$command"; }
done

# The tests of the interface, with the library as it is installed: without an error of memcheck's, and to their end.
# Some assertions are about exact amounts, which red zones change: how many is told.
CK_FORK=no CK_DEFAULT_TIMEOUT=3600 SLABALLOC_TEST_LEVEL=quick
export CK_FORK CK_DEFAULT_TIMEOUT SLABALLOC_TEST_LEVEL
slices='errno fortify heap objuse'
[ "$level" != soak ] || slices="$slices align batch calloc conformance expand objcache realloc"
amounts=0
for slice in $slices; do
    [ -e "$top_srcdir/tests/api/test_$slice.c" ] || continue
    $CC -g -O1 -w -D_GNU_SOURCE $include -I"$top_srcdir/tests" -o "$slice" "$top_srcdir/tests/api/test_$slice.c" \
        "$top_srcdir/tests/support.c" "$top_srcdir/tests/arena.c" $link -lslaballoc \
        $(pkg-config --cflags --libs check) ||
        fail "test_$slice.c"
    valgrind -q --error-exitcode=42 "./$slice" > log 2>&1
    [ $? -le 1 ] && grep -q '^[0-9]*%: Checks: ' log || { cat log; fail "test_$slice"; }
    amounts=$((amounts + $(grep -c '^[^ ]*:F:' log)))
done
echo "ran: memcheck: tests of the interface: $slices; no error of memcheck's, $amounts other amounts"
