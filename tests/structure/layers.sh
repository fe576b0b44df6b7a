#!/bin/sh
# layers.sh [ROOT]: directories of src/ in alphabetical order are the layers
# from top to bottom.
#
#  - includes of our own name the directory, exist, and do not point upwards
#  - src/LAYERS lists every module, and no other
#  - conditional compilation only in os/, util/compiler.h, util/atomic.h and
#    api/override.c; include guards excepted
#
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.sh"

c_files src | code_of > "$work/code"

awk -F : '
  {
    file = $1
    line = $2
    text = substr($0, length(file) + length(line) + 3)
  }
  text ~ /^[ \t]*#[ \t]*include[ \t]*"/ {
    split(text, part, "\"")
    target = part[2]
    split(file, path, "/")
    if (target == "config.h" && file == "src/util/compiler.h")
      next
    if (target !~ /^[a-z]+\/[a-z_]+\.h$/) {
      print file ":" line ": include \"" target "\" does not have the form \"directory/file.h\""
      next
    }
    split(target, to, "/")
    if (to[1] < path[2])
      print file ":" line ": layer " path[2] " includes \"" target "\" of a layer above it"
    if ((getline ignored < ("src/" target)) < 0)
      print file ":" line ": include \"" target "\" is not in src/"
    close("src/" target)
  }' "$work/code" | faults

# A guard is the #ifndef X that a #define X follows as the first code of a header.
awk -F : '
  function allowed(file) {
    return file ~ /^src\/os\// || file == "src/util/compiler.h" || file == "src/util/atomic.h" ||
      file == "src/api/override.c"
  }
  {
    file = $1
    line = $2
    text = substr($0, length(file) + length(line) + 3)
    if (file != last) {
      last = file
      seen = 0
    }
  }
  text ~ /^[ \t]*$/ { next }
  { seen++ }
  seen == 1 && file ~ /\.h$/ && text ~ /^#ifndef [A-Z0-9_]+_H$/ { next }
  text ~ /^[ \t]*#[ \t]*ifdef[ \t]+__cplusplus/ { next }
  text ~ /^[ \t]*#[ \t]*(if|ifdef|ifndef|elif)([^a-z]|$)/ && !allowed(file) {
    print file ":" line ": conditional compilation outside the system layer"
  }' "$work/code" | faults

if [ -f src/LAYERS ]; then
  sed -e 's/#.*//' src/LAYERS | awk 'NF > 0 { sub(/\.[ch]$/, "", $1); print $1 }' | sort > "$work/listed"
  uniq -d "$work/listed" | sed 's/.*/src\/LAYERS: & is listed twice/' | faults
  sort -u -o "$work/listed" "$work/listed"
  c_files src | sed -e 's/^src\///' -e 's/\.[ch]$//' | sort -u > "$work/modules"
  comm -13 "$work/listed" "$work/modules" | sed 's/.*/src\/LAYERS: & is not listed/' | faults
  comm -23 "$work/listed" "$work/modules" | sed 's/.*/src\/LAYERS: & is no module/' | faults
else
  fault 'src/LAYERS: is missing'
fi
verdict
