#!/bin/sh
# spin.sh: the protocols as models of their own, explored in full; and with a
# step missing, which must be noticed.
#
# SPDX-License-Identifier: MIT
set -u
for tool in spin "${CC%% *}"; do
  command -v "$tool" > /dev/null || { echo "skipped: no $tool"; exit 77; }
done
models=$(cd "${top_srcdir:-$(dirname "$0")/../..}/tests/model" && pwd)
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 99
status=0 states=0 refuted=0

# explore MODEL [DEFINITION]: leaves what the search said in $work/said.
explore() {
  rm -f pan* said
  spin ${2:+-D$2} -a "$models/$1.pml" > said 2>&1 &&
    ${CC-cc} -O1 -w -DSAFETY -DCOLLAPSE -DVECTORSZ=2048 -o pan pan.c >> said 2>&1 &&
    ./pan -m1000000 >> said 2>&1
  grep -q 'errors: [0-9]' said || { cat said; echo "$1: spin, or what it made, does not work"; exit 1; }
}

for model in lock remote parking; do
  explore "$model"
  if grep -q 'errors: 0$' said && ! grep -q 'max search depth too small' said; then
    states=$((states + $(sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' said)))
  else
    cat said
    echo "$model: an error, or not all of it was seen"
    status=1
  fi
  for missing in $(grep -o 'MISSING_[A-Z]*' "$models/$model.pml" | sort -u); do
    explore "$model" "$missing"
    if grep -q 'errors: 0$' said; then
      echo "$model: $missing goes unnoticed"
      status=1
    else
      refuted=$((refuted + 1))
    fi
  done
done
echo "ran: 3 models in full, $states states, $refuted variants with a missing step refuted"
exit $status
