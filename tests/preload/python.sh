#!/bin/sh
# python.sh: CPython's own tests, with every object from malloc.
#
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.sh"
python=/usr/bin/python3
[ -x "$python" ] || need python3
[ -x "$python" ] || python=$(command -v python3)
"$python" -c 'import test.test_json, test.test_dict, test.test_list, test.test_threading' 2>/dev/null ||
    skip "the test suite of $python is not installed (Debian: libpython3-testsuite)"

tests='test_json test_dict test_list test_threading'
[ "$quick" = 1 ] && tests='test_json test_dict test_list'
PYTHONMALLOC=malloc
PYTHONDONTWRITEBYTECODE=1
export PYTHONMALLOC PYTHONDONTWRITEBYTECODE

ours "$python" -c '
import ctypes
owns = ctypes.CDLL(None).sla_owns
owns.argtypes = [ctypes.c_void_p]
assert owns(id(object())) == 1, "objects do not come from the drop-in"
' || fail "objects of Python are not on the drop-in"

# What a test prints holds times; the verdict is the exit status and the count.
mkdir -p plain preloaded
env --default-signal=INT true 2>/dev/null || skip "env has no --default-signal"
# The shell lets background commands ignore SIGINT, which test_threading needs.
# shellcheck disable=SC2086
(cd plain && exec env --default-signal=INT "$python" -m test --tempdir "$work/plain" -j2 $tests >../plain.out 2>&1) &
first=$!
# shellcheck disable=SC2086
(cd preloaded && exec "$SLABALLOC_RUN" "$python" -m test --tempdir "$work/preloaded" -j2 $tests >../preloaded.out 2>&1)
ours_status=$?
wait "$first"
plain_status=$?
# test_threading has deadlines of its own that a busy machine misses: once more, alone, before it counts.
if [ "$plain_status" = 0 ] && [ "$ours_status" != 0 ]; then
    cp preloaded.out first.out
    # shellcheck disable=SC2086
    (cd preloaded && exec env --default-signal=INT "$SLABALLOC_RUN" "$python" -m test --tempdir "$work/preloaded" \
        -j2 $tests >../preloaded.out 2>&1)
    ours_status=$?
fi
[ "$ours_status" = "$plain_status" ] || {
    tail -40 preloaded.out >&2
    fail "exit status $plain_status on the C library, $ours_status on the drop-in"
}
verdict() { sed -n -e '/^Result:/p' -e '/tests\{0,1\} OK/p' -e '/tests\{0,1\} failed/,$p' "$1"; }
verdict plain.out >plain.verdict
verdict preloaded.out >preloaded.verdict
cmp plain.verdict preloaded.verdict || fail "different verdicts"
[ "$ours_status" = 0 ] || skip "the tests fail on the C library's malloc too: $(tail -1 plain.verdict)"
echo "$name: $tests: $(tail -1 preloaded.verdict)"
