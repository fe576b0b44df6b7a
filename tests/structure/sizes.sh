#!/bin/sh
# sizes.sh [ROOT]: a file has at most 600 lines, a function at most 60, a line
# at most 120 columns and no tab.
#
# A function reaches from the brace in the first column, or the line that ends
# in its opening brace, to the closing brace in the first column.
#
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.sh"

for file in $(c_files include src bench examples tests build-aux; find include -name '*.hpp'); do
  awk -v file="$file" '
    length($0) > 120 { print file ":" FNR ": line of " length($0) " columns, 120 is the limit" }
    /\t/ { print file ":" FNR ": a tab" }
    /^[A-Za-z_].*\)( SLA_[A-Z]+)*$/ { name = $0 }
    /^\{$/ && !start { start = FNR }
    /^[A-Za-z_].*\).*\{$/ && !/=/ && !start { start = FNR; name = $0 }
    /^\}/ && start {
      size = FNR - start + 1
      sub(/\(.*/, "", name)
      sub(/.*[ *]/, "", name)
      if (size > 60)
        print file ":" start ": function " name " has " size " lines, 60 is the limit"
      start = 0
    }
    END { if (NR > 600) print file ": " NR " lines, 600 is the limit" }' "$file"
done | faults
verdict
