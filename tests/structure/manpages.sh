#!/bin/sh
# manpages.sh [ROOT]: each exported function has a page in man/, of its own or
# as another name of one that names it; each such reference has its target; and
# mandoc, where there is one, has nothing to say about them.
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.sh"

symbols=$(sed -n 's/^ *\(sla_[a-z0-9_]*\);.*/\1/p' src/slaballoc.map)
[ -n "$symbols" ] || fault 'src/slaballoc.map: names no function'

for symbol in $symbols; do
  page=man/$symbol.3
  if [ ! -f "$page" ]; then
    fault "$page: is missing; src/slaballoc.map exports $symbol"
    continue
  fi
  alias=$(sed -n '1s/^\.so man3\/\(.*\)$/\1/p' "$page")
  [ -z "$alias" ] || page=man/$alias
  [ ! -f "$page" ] || grep -Eq "^\.Nm $symbol( ,)?\$" "$page" || fault "$page: does not name $symbol in .Nm"
done

for page in man/*.[1-8]; do
  target=$(sed -n 's/^\.so //p' "$page")
  if [ -n "$target" ]; then
    [ "$(wc -l < "$page")" -eq 1 ] || fault "$page: a .so line and more"
    [ -f "man/${target#man[1-8]/}" ] || fault "$page: points to $target, which is not there"
  elif command -v "${MANDOC:-mandoc}" > /dev/null 2>&1; then
    "${MANDOC:-mandoc}" -T lint -W warning "$page" 2>&1 | faults
  fi
done
command -v "${MANDOC:-mandoc}" > /dev/null 2>&1 || echo 'no mandoc: the pages are not linted'
verdict
