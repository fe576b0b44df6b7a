#!/bin/sh
# tsan.sh: threads under the thread sanitizer, with more work than .ci/run gives
# them: orders that a program may rely on, remote frees, object caches, heaps,
# threads that come and go.  No suppressions.
# SPDX-License-Identifier: MIT
set -u
. "$(dirname "$0")/build.sh"
echo 'int main(void) { return 0; }' > "$work/one.c"
$CC -fsanitize=thread -o "$work/one" "$work/one.c" > /dev/null 2>&1 && "$work/one" || skip "no thread sanitizer with $CC"
unset TSAN_OPTIONS

case $level in soak) SLABALLOC_TEST_LEVEL=soak ;; *) SLABALLOC_TEST_LEVEL=extended ;; esac
export SLABALLOC_TEST_LEVEL CK_TIMEOUT_MULTIPLIER=10
programs='tests/threads/test_order tests/threads/test_mix tests/threads/test_remote tests/threads/test_objcache
  tests/threads/test_heap tests/threads/test_stress'
build tsan --enable-sanitizer=thread
check tsan "$(echo $programs)"
sed -n 's/^ *\(.*seed.*\)$/ran: under the thread sanitizer: \1/p' "$work/tsan.log"
echo "ran: thread sanitizer, $(tail -n 1 "$work/tsan.log"), 0 reports, 0 suppressions"
