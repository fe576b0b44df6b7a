#!/bin/sh
# binary.sh [ROOT [LIBRARIES]]: properties of the built shared libraries.
#
#  - neither calls an allocation function by its public name: inside the drop-in
#    that could be another library's, inside the plain one a second heap; and none
#    calls itself, which compilers achieve by making calloc of malloc and memset
#  - thread-local storage is at most 64 bytes: it comes out of a small reserve
#    when the library is loaded late
#  - no function has more than 1 KiB of stack, for threads with the smallest ones;
#    but for what a program calls to look at its heap: 3 KiB
#  - it stays loaded after dlclose (nodelete), binds at once, has no text
#    relocations and no executable stack, and a soname with the right number
#
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.sh"
libraries=${2:-${top_builddir:-$PWD}/.libs}
nm=${NM:-nm} objdump=${OBJDUMP:-objdump} readelf=${READELF:-readelf}
[ "${SLABALLOC_SANITIZER:-no}" = no ] || skip 'a sanitizer changes all of it'

names=$(sed -e 's/#.*//' "$here/libc-symbols.txt" | awk 'NF > 0 { print $1 }' | tr '\n' '|')
names="(${names}strdup|sla_[a-z_]+)"

# Where the stack pointer moves by a constant: x86 and arm64, as objdump writes them. Negative numbers are epilogues.
frames() {
  awk -v short="$1" '
    function number(hex,    i, n) {
      for (i = 3; i <= length(hex); i++)
        n = n * 16 + index("0123456789abcdef", substr(hex, i, 1)) - 1
      return n
    }
    /^[0-9a-f]+ <.*>:$/ {
      inside = $2
      gsub(/[<>:]/, "", inside)
      most = inside ~ /^(slai_stats_|sla_cache_iterate)/ ? 3072 : 1024
    }
    /[ \t]sub[ \t]+\$0x[0-9a-f]+,%[er]sp/ || /[ \t]sub[ \t]+sp, sp, #0x[0-9a-f]+/ {
      match($0, /0x[0-9a-f]+/)
      if (RLENGTH < 10 && number(substr($0, RSTART, RLENGTH)) > most)
        print short ": " inside " takes " number(substr($0, RSTART, RLENGTH)) " bytes of stack, " most " is the limit"
    }'
}

look_at() {
  library=$1 short=${1##*/}
  $nm -D -u "$library" | awk '{ sub(/@.*/, "", $NF); print $NF }' | grep -Ex "$names" |
    sed "s|.*|$short: needs & from elsewhere|" | faults
  $readelf -rW "$library" | awk '$5 != "" { sub(/@.*/, "", $5); print $5 }' | grep -Ex "$names" | sort -u |
    sed "s|.*|$short: its own & is bound at run time|" | faults
  # By address: one function may have several names.
  $objdump -d --no-show-raw-insn "$library" | awk -v names="^$names\$" -v short="$short" '
    /^[0-9a-f]+ <.*>:$/ {
      inside = $2
      gsub(/[<>:]/, "", inside)
      start = $1
      sub(/^0*/, "", start)
      next
    }
    /[ \t](call|callq|bl)[ \t]/ && inside ~ names && match($0, / [0-9a-f]+ <[^>]*>$/) {
      target = substr($0, RSTART + 1)
      sub(/ .*/, "", target)
      if (target == start)
        print short ": " inside " calls itself"
    }' | sort -u | faults

  # The debug levels and -O0 take more.
  case " ${SLABALLOC_CFLAGS:--O2} " in *' -O2 '* | *' -O3 '* | *' -Os '*)
    [ "${SLABALLOC_DEBUG:-0}" -gt 0 ] || $objdump -d --no-show-raw-insn "$library" | frames "$short" | faults
  esac

  $readelf -lW "$library" > "$work/segments"
  tls=$(awk '$1 == "TLS" { print $6 }' "$work/segments")
  # The debug levels keep each thread's locks in its own memory.
  [ "${SLABALLOC_DEBUG:-0}" -gt 0 ] || [ $((${tls:-0})) -le 64 ] || fault "$short: $((tls)) bytes of thread-local storage, 64 is the limit"
  awk -v short="$short" '$1 == "GNU_STACK" && $7 ~ /E/ { print short ": executable stack" }' "$work/segments" | faults
  $readelf -dW "$library" > "$work/dynamic"
  grep -q 'FLAGS_1.*NODELETE' "$work/dynamic" || fault "$short: can be unloaded (no -z nodelete)"
  grep -q 'FLAGS_1.*NOW' "$work/dynamic" || fault "$short: binds late (no -z now)"
  ! grep -q 'TEXTREL' "$work/dynamic" || fault "$short: has text relocations"
  grep -q "SONAME.*\[$short\.[0-9]*\]" "$work/dynamic" || fault "$short: soname is not $short.NUMBER"
}

seen=0
for library in "$libraries/libslaballoc.so" "$libraries/libslaballoc-malloc.so"; do
  [ ! -e "$library" ] || { look_at "$library"; seen=$((seen + 1)); }
done
[ "$seen" -gt 0 ] || skip 'no shared library was built'
verdict
