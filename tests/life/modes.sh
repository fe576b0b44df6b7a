#!/bin/sh
# modes.sh: the api tests, and some unit tests, again while the functions of the C library
# that the library calls allocate, in two ways (tests/life/wrap.c).
# SPDX-License-Identifier: MIT
set -u
: "${top_builddir:?run by make check}"

# Of the unit tests those that do not count pages and blocks to the last one.
programs=0 failures=0
for program in "$top_builddir"/tests/api/test_* \
  "$top_builddir"/tests/unit/test_thread "$top_builddir"/tests/unit/test_forkrepair \
  "$top_builddir"/tests/unit/test_heap "$top_builddir"/tests/unit/test_remote "$top_builddir"/tests/unit/test_chunk; do
  case ${program##*/} in *.*) continue ;; esac
  [ -x "$program" ] || continue
  for mode in 1 2; do
    programs=$((programs + 1))
    SLABALLOC_TEST_LEVEL=quick SLABALLOC_TEST_REENTER=$mode "$program" > modes.out 2>&1 && continue
    failures=$((failures + 1))
    echo "FAIL: SLABALLOC_TEST_REENTER=$mode $program"
    grep -E ':[EF]:' modes.out
  done
done
rm -f modes.out
[ "$programs" -gt 0 ] || { echo "modes: no Check program was built"; exit 77; }
echo "ran: unit and api tests with functions that allocate, $programs runs of programs in 2 modes"
[ "$failures" -eq 0 ]
