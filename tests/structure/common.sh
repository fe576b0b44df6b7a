# common.sh: what the structural tests share; they source it.
#
# A test takes the root of the tree to look at (default: this package's), so
# that selftest.sh can point it at trees that break its rule.
#
# SPDX-License-Identifier: MIT
set -u
LC_ALL=C
export LC_ALL

here=$(cd "$(dirname "$0")" && pwd)
root=${1:-${top_srcdir:-$here/../..}}
cd "$root" || exit 99
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
: > "$work/faults"

# A finding, or a stream of them.
fault() { printf '%s\n' "$*" >> "$work/faults"; }
faults() { cat >> "$work/faults"; }

# Last line of each test: prints the findings, exits 1 if there are any.
verdict() {
  cat "$work/faults"
  [ ! -s "$work/faults" ]
  exit
}

skip() { echo "skipped: $*"; exit 77; }

# C sources below the named directories, sorted.
c_files() {
  for directory; do
    [ ! -d "$directory" ] || find "$directory" -name '*.[ch]' -type f
  done | sort
}

# FILE:LINE:CODE for each line of the files named on standard input, without
# comments and with strings emptied.
code_of() {
  while read -r file; do
    awk -v file="$file" -f "$here/strip.awk" "$file"
  done
}
