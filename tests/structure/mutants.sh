#!/bin/sh
# mutants.sh [ROOT]: each seeded bug of tests/mutants still fits the tree, says
# what it is, and names tests that exist; there are at least 40 of them.
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.sh"
command -v patch > /dev/null 2>&1 || skip 'patch is not installed'

for patch in tests/mutants/*.patch; do
  [ -f "$patch" ] || continue
  patch -p1 -N -s -f --dry-run -r - < "$patch" > "$work/output" 2>&1 || echo "$patch: does not apply: $(head -n 1 "$work/output")"
  for field in Bug Class; do
    grep -q "^$field: ." "$patch" || echo "$patch: has no line \"$field:\""
  done
  for test in $(sed -n 's/^Killed-by: *//p' "$patch"); do
    [ -f "$test" ] || [ -f "$test.c" ] || echo "$patch: killed by $test, which is not there"
  done
  grep -qF "%D%/${patch##*/}" tests/mutants/local.mk || echo "tests/mutants/local.mk: does not name ${patch##*/}"
done | faults
for name in $(grep -oE '[^/ ]*[.]patch' tests/mutants/local.mk); do
  [ -f "tests/mutants/$name" ] || fault "tests/mutants/local.mk: names $name, which is not there"
done
count=$(find tests/mutants -name '*.patch' | wc -l)
[ "$count" -ge 40 ] || fault "tests/mutants: $count seeded bugs, there should be 40 or more"
verdict
