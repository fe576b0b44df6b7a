#!/bin/sh
# run.sh: installcheck.  Uses what is below DESTDIR and nothing of the source
# or build tree: builds C and C++ programs with what pkg-config says, shared and
# static, runs them, and runs the installed tools.
# SPDX-License-Identifier: MIT
set -u
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 99

PKG_CONFIG_PATH=$DESTDIR$pkgconfigdir
PKG_CONFIG_SYSROOT_DIR=$DESTDIR
LD_LIBRARY_PATH=$DESTDIR$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR LD_LIBRARY_PATH
unset SLABALLOC_LIBRARY SLABALLOC_CONF LIBSLABALLOC LIBSLABALLOC_MALLOC
[ -n "$DESTDIR" ] || unset PKG_CONFIG_SYSROOT_DIR
sanitized=no
[ "${SLABALLOC_SANITIZER:-no}" = no ] || sanitized=yes
good=0 bad=0

result() { # NAME STATUS
  if [ "$2" -eq 0 ]; then
    good=$((good + 1))
    echo "  ok    $1"
  else
    bad=$((bad + 1))
    echo "  FAIL  $1"
    sed 's/^/        /' "$work/output"
  fi
}

# consumer NAME COMPILER-AND-FLAGS SOURCE LIBRARIES
consumer() {
  # shellcheck disable=SC2086
  $2 -DDROPIN=$dropin $($PKG_CONFIG --cflags "$package") "$here/$3" -o program $4 > output 2>&1 &&
    ./program > output 2>&1
  result "$1" $?
}

# The archive itself, for the rest of the libraries as pkg-config says.
with_archive() {
  # shellcheck disable=SC2046
  printf '%s ' $($PKG_CONFIG --static --libs "$package") | sed "s|-l$package |$DESTDIR$libdir/lib$package.a |"
}

consumers() {
  if [ -e "$DESTDIR$libdir/lib$package.so" ]; then
    consumer "$package, C, shared" "$CC $FLAGS" consumer.c "$($PKG_CONFIG --libs "$package")"
    [ -z "$CXX" ] ||
      consumer "$package, C++, shared" "$CXX $CXXFLAGS" consumer.cc "$($PKG_CONFIG --libs "$package")"
  fi
  if [ -e "$DESTDIR$libdir/lib$package.a" ]; then
    consumer "$package, C, archive" "$CC $FLAGS" consumer.c "$(with_archive)"
    [ -z "$CXX" ] || consumer "$package, C++, archive" "$CXX $CXXFLAGS" consumer.cc "$(with_archive)"
    if [ $sanitized = no ] && echo 'int main(void) { return 0; }' > empty.c &&
      $CC -static empty.c -o empty > output 2>&1; then
      consumer "$package, C, -static" "$CC $FLAGS -static" consumer.c "$($PKG_CONFIG --static --libs "$package")"
      [ -z "$CXX" ] || consumer "$package, C++, -static" "$CXX $CXXFLAGS -static" consumer.cc \
        "$($PKG_CONFIG --static --libs "$package")"
    else
      echo "  -     $package, -static: no static C library here, or a sanitizer"
    fi
  fi
}

# Each example, as its head says how to build it.
examples() {
  for source in "$DESTDIR$examplesdir"/*.c; do
    # shellcheck disable=SC2086,SC2046
    $CC $FLAGS "$source" -o program $($PKG_CONFIG --cflags --libs slaballoc) -pthread > output 2>&1 &&
      ./program > output 2>&1
    result "${source##*/}, as installed" $?
  done
  [ -n "$CXX" ] || return 0
  for source in "$DESTDIR$examplesdir"/*.cc; do
    # shellcheck disable=SC2086,SC2046
    $CXX $CXXFLAGS -std=c++17 "$source" -o program $($PKG_CONFIG --cflags --libs slaballoc) > output 2>&1 &&
      ./program > output 2>&1
    result "${source##*/}, as installed" $?
  done
}

echo "installcheck: below ${DESTDIR:-/}"
package=slaballoc dropin=0
consumers
[ ! -e "$DESTDIR$libdir/libslaballoc.so" ] || examples
package=slaballoc-malloc dropin=1
if $PKG_CONFIG --exists $package; then
  consumers
fi

run=$DESTDIR$bindir/$run_name
if [ -e "$run" ]; then
  library=$DESTDIR$libdir/libslaballoc-malloc.so
  "$run" -l "$library" true > output 2>&1
  result "$run_name true, by name of the library" $?
  # The library that it finds by itself is where configure was told, without DESTDIR.
  if [ -z "$DESTDIR" ]; then
    "$run" true > output 2>&1
    result "$run_name true" $?
    "$run" --stats ls / 2> output > /dev/null && grep -q '^slaballoc: ' output
    result "$run_name --stats ls" $?
    "$run" sh -c 'exit 7' > output 2>&1
    [ $? -eq 7 ]
    result "$run_name: the program's exit status" $?
  fi
fi
bench=$DESTDIR$bindir/$bench_name
if [ -e "$bench" ] && [ -e "$DESTDIR$libdir/libslaballoc-malloc.so" ]; then
  "$bench" --library="$DESTDIR$libdir/libslaballoc-malloc.so" --repeat=1 --ops=20000 single > output 2>&1
  result "$bench_name, briefly" $?
fi

if command -v man > /dev/null 2>&1; then
  for page in 3:slaballoc 7:slaballoc 3:sla_malloc 3:sla_calloc 3:sla_cache_alloc 1:slaballoc-run; do
    [ "${page%%:*}" != 1 ] || [ -e "$run" ] || continue
    name=${page#*:}
    [ "${page%%:*}" != 1 ] || name=$run_name
    MANPAGER=cat man -M "$DESTDIR$mandir" "${page%%:*}" "$name" > page 2> output &&
      grep -q "${page#*:}" page && [ "$(wc -l < page)" -gt 15 ]
    result "man ${page%%:*} $name" $?
  done
fi

echo "installcheck: $good passed, $bad failed"
[ "$bad" -eq 0 ]
