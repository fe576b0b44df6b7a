#!/bin/sh
# run.sh: the examples do what they say, and no block or object is forgotten.
# SPDX-License-Identifier: MIT
set -u
cd "$top_builddir" || exit 99
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
bad=0

# says PROGRAM PATTERN: a line of what it printed.
says() {
  grep -Eq "$2" "$work/out" && return
  bad=1
  echo "$1: no line like '$2' in:"
  cat "$work/out"
}

for program in $SLABALLOC_EXAMPLES; do
  # shellcheck disable=SC2086
  $TEST_WRAPPER "./$program" > "$work/out" 2>&1
  status=$?
  if [ $status -eq 77 ] && [ -n "$TEST_WRAPPER" ]; then
    cat "$work/out"
    exit 77
  fi
  [ $status -eq 0 ] || { bad=1; echo "$program: exit status $status"; cat "$work/out"; }
  case ${program##*/} in
    object-server)
      says "$program" '^connections +400 used, +[0-9]+ constructed, 0 live'
      says "$program" '^requests +80000 used, +[0-9]+ constructed, 0 live'
      says "$program" '^80000 answers right, 0 refused, 0 wrong$'
      ;;
    request-heap)
      says "$program" '^3600 requests answered, 400 malformed, 0 failed$'
      says "$program" '^[1-9][0-9]+ blocks went with their heaps, 0 bytes remain$'
      ;;
    tenant-limit)
      says "$program" '^the greedy one alone was refused$'
      ;;
    *)
      bad=1
      echo "$program: what it is to say is not known here"
      ;;
  esac
done
[ $bad -eq 0 ] && echo "$SLABALLOC_EXAMPLES: as they should"
exit $bad
