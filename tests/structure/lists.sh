#!/bin/sh
# lists.sh [ROOT]: the makefile fragments name each file explicitly; this finds
# what they forgot and what is gone.
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.sh"

# compare FRAGMENT: standard input has the files that it, or those beside and below it, must name.
compare() {
  directory=$(dirname "$1")
  sort -u > "$work/there"
  find "$directory" -name '*.mk' | while read -r fragment; do
    sed 's/^#.*//' "$fragment" | grep -oE '%D%/[A-Za-z0-9_./-]+' | sed "s|%D%|$(dirname "$fragment")|"
  done | sort -u > "$work/named"
  comm -23 "$work/there" "$work/named" | while read -r file; do
    # A test program is named without its suffix.
    grep -qxF "${file%.c}" "$work/named" || echo "$1: does not name $file"
  done | faults
  while read -r file; do
    case $file in *-malloc.map) continue ;; esac
    case $file in *.la | *.a) continue ;; esac
    [ -f "$file" ] || [ -f "$file.c" ] || echo "$1: names $file, which is not there"
  done < "$work/named" | faults
}

c_files src | compare src/local.mk
find man -name '*.[1-8]' | compare man/local.mk
find bench -name '*.[ch]' -o -name '*.in' -o -name '*.sh' | compare bench/local.mk
[ ! -d examples ] || find examples -name '*.c' | compare examples/local.mk
find tests -name '*.[ch]' -o -name '*.cc' -o -name '*.sh' -o -name '*.awk' -o -name '*.txt' -o -name '*.py' \
  -o -name '*.sql' -o -name '*.pl' -o -name '*.pml' | compare tests/local.mk
verdict
