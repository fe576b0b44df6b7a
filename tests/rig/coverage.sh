#!/bin/sh
# coverage.sh: the Check programs in a build with counters, and the system
# layer's in one with the plain POSIX layer; the thresholds are make coverage's.
# With little optimisation, so that what is counted is what is written.
# SPDX-License-Identifier: MIT
set -u
. "$(dirname "$0")/build.sh"
need gcovr
case $($CC --version 2> /dev/null) in *'Free Software Foundation'*) ;; *) skip "gcov is for gcc, not for $CC" ;; esac

export SLABALLOC_TEST_LEVEL=quick CK_TIMEOUT_MULTIPLIER=10
build linux --enable-coverage CFLAGS='-g -O1'
build posix --enable-coverage --enable-posix-only CFLAGS='-g -O1'
check linux '$(check_programs)'
check posix 'tests/unit/test_os tests/unit/test_lock tests/unit/test_purge tests/unit/test_large'
$MAKE -s -C "$work/linux" coverage COVERAGE_ALSO="$work/posix" > "$work/table" 2>&1
status=$?
cat "$work/table"
echo "ran: coverage of the Check programs,$(sed -n 's/^all *//p' "$work/table" | tr -s ' ')"
[ "$status" -eq 0 ] || fail 'below the thresholds'
