#!/bin/sh
# exports.sh [ROOT [LIBRARIES]]: the built libraries export what they should.
#
#   public headers                = src/slaballoc.map
#   libslaballoc.so               = the map
#   libslaballoc-malloc.so        = the map, and libc-symbols.txt without versions
#   libslaballoc.a                  only sla_ and slai_ names
#   libslaballoc-malloc.a           those, and libc-symbols.txt
#
# A library that was not built (--disable-shared, --disable-preload) is left out.
#
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.sh"
libraries=${2:-${top_builddir:-$PWD}/.libs}
nm=${NM:-nm}

sed -n 's/^ *\(sla_[a-z0-9_]*\);.*/\1/p' src/slaballoc.map | sort > "$work/map"
find include -name '*.h' | code_of | cut -d : -f 3- | grep '^SLA_API ' | grep -oE 'sla_[a-z0-9_]+\(' | tr -d '(' |
  sort > "$work/declared"
comm -23 "$work/declared" "$work/map" | sed 's/$/: declared in a public header, not in src\/slaballoc.map/' | faults
comm -13 "$work/declared" "$work/map" | sed 's/$/: in src\/slaballoc.map, not declared in a public header/' | faults

# The words of libc-symbols.txt that hold here.
libc=other
! getconf GNU_LIBC_VERSION > /dev/null 2>&1 || libc=glibc
abi=lp64
[ "$(getconf LONG_BIT)" = 64 ] || abi=ilp32
sed -e 's/#.*//' "$here/libc-symbols.txt" |
  awk -v libc=$libc -v abi=$abi 'NF == 1 || $2 == libc || $2 == abi { print $1 }' | sort > "$work/libc"

# The names as nm shows them: NODE, and name@@NODE for each name of the map, if the library has versions.
versioned() { # LIBRARY
  node=$(sed -n 's/^\(SLABALLOC_[0-9.]*\) .*{.*/\1/p' src/slaballoc.map)
  if $nm -D "$1" | grep -q '@@SLABALLOC_'; then
    awk -v nodes="$node" '
      BEGIN { split(nodes, name, "\n"); for (i in name) print name[i] }
      /^SLABALLOC_/ { current = $1 }
      /^ *sla_/ { sub(/;.*/, ""); print $1 "@@" current }' src/slaballoc.map
  else
    cat "$work/map"
  fi
}

differ() { # LIBRARY, with $work/wanted and $work/found
  sort -u -o "$work/wanted" "$work/wanted"
  comm -23 "$work/wanted" "$work/found" | sed "s|^|${1##*/}: does not export |" | faults
  comm -13 "$work/wanted" "$work/found" | sed "s|^|${1##*/}: exports also |" | faults
}

seen=0
check_shared() { # LIBRARY EXTRA-NAMES
  [ -e "$1" ] || return 0
  seen=$((seen + 1))
  { versioned "$1"; cat "$2"; } > "$work/wanted"
  $nm -D --defined-only "$1" | awk '{ print $NF }' | sort -u > "$work/found"
  differ "$1"
}

check_static() { # LIBRARY EXTRA-NAMES
  [ -e "$1" ] || return 0
  seen=$((seen + 1))
  $nm -g --defined-only "$1" 2> /dev/null | awk 'NF == 3 { print $3 }' | grep -Ev '^slai?_' | sort -u > "$work/found"
  cp "$2" "$work/wanted"
  differ "$1"
  $nm -g --defined-only "$1" 2> /dev/null | awk 'NF == 3 && $3 ~ /^sla_/ { print $3 }' | sort -u > "$work/found"
  cp "$work/map" "$work/wanted"
  differ "$1"
}

check_shared "$libraries/libslaballoc.so" /dev/null
check_shared "$libraries/libslaballoc-malloc.so" "$work/libc"
# A sanitizer or coverage puts names of its own into the objects.
if [ "${SLABALLOC_SANITIZER:-no}" = no ]; then
  check_static "$libraries/libslaballoc.a" /dev/null
  check_static "$libraries/libslaballoc-malloc.a" "$work/libc"
fi
[ "$seen" -gt 0 ] || fault "$libraries: no library there"
verdict
