#!/bin/sh
# run.sh PORT...: the library built for another system, and its Check programs run
# there.  Ports: musl, musl-static, aarch64, i386, posix; page-16k and page-64k are
# the build at hand under a bigger page, aarch64-64k is both.
#
# Each port has a directory of its own, with Check built for it from Debian's source,
# in SLABALLOC_PORTS_CACHE (default: ports in the build directory); kept, it makes the
# next run shorter.  Exit 0: passed (or at least one, the others' tools are missing);
# 1: failed; 77: no port could be tried.
#
# SPDX-License-Identifier: MIT
set -u
[ $# -gt 0 ] || { echo "usage: run.sh PORT..." >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd) || exit 1
. "$here/../rig/copy.sh"
build=${top_builddir:-$PWD}
cache=${SLABALLOC_PORTS_CACHE:-$build/ports}
: "${MAKE:=make}" "${SLABALLOC_TEST_LEVEL:=check}" "${SLABALLOC_PORTS_JOBS:=1}"
export SLABALLOC_TEST_LEVEL
# What an outer make or an outer build says is not meant for these builds.
unset MAKEFLAGS MFLAGS MAKELEVEL TESTS CFLAGS CXXFLAGS CPPFLAGS LDFLAGS LIBS CC CXX TEST_WRAPPER CK_FORK \
  READELF NM OBJDUMP MANDOC CONFIG_SITE SLABALLOC_TEST_PAGE
mkdir -p "$cache/check" && cache=$(cd "$cache" && pwd) || exit 1

command -v flock > /dev/null 2>&1 || { echo "ports: skipped: flock is not installed"; exit 77; }
exec 7> "$cache/tree.lock"
flock 7
unbuilt "$(cd "$here/../.." && pwd)" "$cache/tree" || exit 1
exec 7>&-
say() { echo "ports: $*"; }
have() { command -v "$1" > /dev/null 2>&1; }
compiler() { if have ccache; then echo "ccache $1"; else echo "$1"; fi; }

# quietly LOG COMMAND...: what it says is shown if it fails.
quietly() {
  log=$1
  shift
  "$@" > "$log" 2>&1 && return
  result=$?
  tail -n 40 "$log"
  return "$result"
}

# What a port is: its build's directory, its kind for skipped.txt, compiler, host, and how its programs are run.
# A tool that is not there is named in `missing`.
describe() { # PORT
  directory=$1 kind=$1 host='' cc='' wrapper='' more='' missing='' page='' cxx=no
  case $1 in
    musl | musl-static)
      host=x86_64-linux-musl cc=musl-gcc
      [ "$1" = musl ] || cc='musl-gcc -static' more=--disable-shared
      have musl-gcc || missing=musl-gcc ;;
    aarch64 | aarch64-64k)
      directory=aarch64 host=aarch64-linux-gnu cc=aarch64-linux-gnu-gcc
      wrapper='qemu-aarch64 -L /usr/aarch64-linux-gnu'
      [ "$1" = aarch64 ] || page=65536
      have qemu-aarch64 || missing=qemu-aarch64
      have "$cc" || missing=$cc ;;
    i386)
      host=i686-linux-gnu cc=i686-linux-gnu-gcc
      # Of a loader and a C library from two packages the one may not fit the other: either the system's, or the
      # compiler's. A kernel may refuse the system's (ia32_emulation=off): then it runs in the emulator.
      if [ ! -e /lib/ld-linux.so.2 ]; then wrapper='qemu-i386 -L /usr/i686-linux-gnu'
      elif ! /lib/ld-linux.so.2 --version > /dev/null 2>&1; then wrapper='qemu-i386'; fi
      [ -z "$wrapper" ] || kind=i386-emulated
      [ -z "$wrapper" ] || have qemu-i386 || missing=qemu-i386
      have "$cc" || missing=$cc ;;
    posix) cc=gcc more=--enable-posix-only; have gcc || missing=gcc ;;
    page-16k) directory='' page=16384 ;;
    page-64k) directory='' page=65536 ;;
    *) say "there is no port $1"; exit 2 ;;
  esac
}

# Check for the port, unless it is there already.  77: no source of it.
get_check() {
  [ -n "$host" ] || ! pkg-config --exists 'check >= 0.15.2' || return 0
  installed=$cache/check/$directory
  [ ! -e "$installed/lib/libcheck.a" ] || return 0
  (flock 8 # ports at the same time share the source
    [ -e "$cache/check/source/configure" ] ||
      sh "$source/tests/rig/debian-source" check "$cache/check/source") 8> "$cache/source.lock" || return 77
  rm -rf "$cache/check/build-$directory"
  mkdir -p "$cache/check/build-$directory" && cd "$cache/check/build-$directory" || return 1
  quietly configure.log ../source/configure -q --prefix="$installed" --disable-shared --disable-subunit \
    ${host:+--host="$host"} CC="$(compiler "$cc")" &&
    quietly make.log $MAKE -s -j"$SLABALLOC_PORTS_JOBS" SUBDIRS='lib src' install
}

# The library of the port, configured if it is not yet.
configure_port() {
  mkdir -p "$cache/$directory" && cd "$cache/$directory" || return 1
  [ "Makefile" -nt "$source/configure" ] && return 0
  quietly configure.log env PKG_CONFIG_PATH="$cache/check/$directory/lib/pkgconfig" "$source/configure" -q \
    --enable-werror --with-check=yes --disable-bench ${host:+--host="$host"} $more CC="$(compiler "$cc")" \
    TEST_WRAPPER="$wrapper"
}

# The programs for a kind of port: a few for a quick look, where a port differs from the one before it in one respect,
# and in an emulator that fails many; else all of unit and api and a slice of the rest; without those of skipped.txt.
programs() { # KIND
  few=no
  case $1 in musl-static | aarch64-64k | *-emulated) few=yes ;; esac
  if [ "$SLABALLOC_TEST_LEVEL" = quick ] || [ "$few" = yes ]; then
    echo 'unit/test_bits unit/test_idle unit/test_large unit/test_lock unit/test_meta unit/test_objcache unit/test_os
      unit/test_region unit/test_sizeclass unit/test_slab unit/test_thread api/test_align api/test_conformance fuzz/test_fuzz
      api/test_realloc threads/test_exit' | tr -s ' \n' '\n\n'
  else
    sed -n '/^check_programs = /,/[^\\]$/s|.*%D%/\([a-z]*/test_[a-z_]*\).*|\1|p' "$source/tests/local.mk" |
      grep -Ex 'unit/.*|api/.*|threads/test_(exit|remote|fork)|misuse/test_(misuse|sized|heap|objcache)'
    echo fuzz/test_fuzz; echo fuzz/test_badinputs
  fi | awk -v port="$1" '
    NR == FNR {
      if ($1 != "" && $1 !~ /^#/ && port ~ "^(" $1 ")$")
        for (i = 2; i <= NF; i++)
          skip[$i] = 1
      next
    }
    $1 != "" && !($1 in skip) { print "tests/" $1 }' "$here/skipped.txt" -
}

# preloaded LIBRARY COMMAND...: on the port.
preloaded() {
  object=$1
  shift
  # shellcheck disable=SC2086
  if [ -n "$wrapper" ]; then $wrapper -E LD_PRELOAD="$object" "$@"; else LD_PRELOAD=$object "$@"; fi
}

# The drop-in as this port's programs meet it: preloaded, linked, in a static program.
drop_in() {
  flags="-O2 -w $here/dropin.c -lpthread"
  library=$cache/$directory/.libs/libslaballoc-malloc
  # shellcheck disable=SC2086
  if [ -e "$library.so" ]; then
    $cc $flags -o dropin -ldl && preloaded "$library.so" ./dropin &&
      $cc -DLINKED $flags -o dropin-linked -Wl,-rpath,"${library%/*}" "$library.so" && $wrapper ./dropin-linked || return 1
  fi
  # shellcheck disable=SC2086
  $cc -DLINKED $flags -static -o dropin-static "$library.a" 2> static.log && $wrapper ./dropin-static
}

# run_port PORT: 0, 1 or 77.
run_port() {
  describe "$1"
  [ -z "$missing" ] || { say "$1: skipped: $missing is not installed"; return 77; }
  list=$(programs "$kind" | tr '\n' ' ')
  if [ -n "$directory" ]; then
    (get_check) || return
    (configure_port) || return 1
    cd "$cache/$directory" || return 1
    quietly make.log $MAKE -s -j"$SLABALLOC_PORTS_JOBS" || return 1
    quietly dropin.log drop_in || { say "$1: the drop-in failed"; return 1; }
  else
    cd "$build" || return 1
  fi
  log=$cache/$1.log
  # An emulator keeps a table of all pages, reserved ones too: gigabytes of it, in each child, for a region of a TiB.
  # shellcheck disable=SC3045
  case $host in aarch64*) ulimit -v 41943040 ;; esac
  [ -z "$page" ] || export SLABALLOC_TEST_PAGE=$page
  run_programs $list > "$log" 2>&1
  result=$?
  unset SLABALLOC_TEST_PAGE
  counts=$(grep -Ex '[0-9]+ passed, [0-9]+ failed' "$log" | head -n 1)
  if [ "$result" -ne 0 ] && [ -n "$wrapper" ]; then # one that emulates threads may hang: what failed is run alone
    again=
    for program in $list; do
      ! grep -qs '^:test-result: [FE]' "$program.trs" || again="$again $program"
    done
    say "$1: once more:$again"
    # shellcheck disable=SC2086
    run_programs $again > "$log.again" 2>&1
    result=$?
    cat "$log.again" >> "$log"
  fi
  if [ "$result" -ne 0 ]; then
    grep -E ':[EF]:|^(FAIL|ERROR|XPASS)|rror' "$log" | sort -u | head -n 40
    say "$1: failed: ${counts:-no totals}; see $log"
    return 1
  fi
  echo "ran: $kind, ${counts%% *} tests passed"
}

# The port's own make check; of the build at hand the programs that are there, since its make is running.
run_programs() {
  if [ -n "$directory" ]; then
    # Emulated, a test takes so much longer that it does the least that there is.
    [ -z "$wrapper" ] || export SLABALLOC_TEST_LEVEL=quick
    CK_DEFAULT_TIMEOUT=200 CK_TIMEOUT_MULTIPLIER=1 $MAKE -s -k -j"$SLABALLOC_PORTS_JOBS" check TESTS="$*" \
      check_PROGRAMS="$*" check_LIBRARIES=
    return
  fi
  passed=0 failed=0
  for program; do
    output=$(top_srcdir=$source CK_DEFAULT_TIMEOUT=600 ./"$program") || failed=$((failed + 1))
    echo "$output"
    passed=$((passed + $(echo "$output" | sed -n 's/.*Checks: \([0-9]*\),.*/\1/p')))
  done
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
}

tried=0 status=0
for port; do
  (flock 9 && run_port "$port") 9> "$cache/${port%-64k}.lock"
  case $? in
    0) tried=1 ;;
    77) ;;
    *) status=1 ;;
  esac
done
[ "$status" -eq 0 ] || exit 1
[ "$tried" -eq 1 ] || exit 77
