#!/bin/sh
# postgres.sh: PostgreSQL's regression tests, of the system's version, built here.
# SPDX-License-Identifier: MIT
. "${top_srcdir:?}/tests/programs/common.sh"
[ "$level" = soak ] || skip 'in a soak alone'
need make perl setpriv
version=$(apt-cache depends postgresql 2> /dev/null | sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p' | head -n 1)
[ -n "$version" ] || skip 'no package of it to take the version from'
source_of "postgresql-$version"
cd "$src" || exit 99
# Of what it can do without, nothing: the tests pass with and without it.
build() {
    unset MAKEFLAGS MAKELEVEL # its makefiles look whether they are the first
    icu=
    ! ./configure --help | grep -q -e --without-icu || icu=--without-icu
    ./configure -q CC="$CC" CFLAGS='-O1 -w' --prefix="$PWD/installed" --without-readline --without-zlib $icu &&
        make -j2 && make install && make -C src/test/regress all
}
built server build
# The server refuses to run as root.
user=
[ "$(id -u)" -ne 0 ] || user='setpriv --reuid=65534 --regid=65534 --clear-groups --reset-env'
cp -rL installed src/test/regress "$LIBSLABALLOC_MALLOC" "$work/"
[ -z "$user" ] || chown -R 65534:65534 "$work"
one() {
    preload=
    [ -z "$with" ] || preload=$work/libslaballoc-malloc.so
    rm -rf "$work/instance"
    (cd "$work/regress" && timeout 3000 $user env LC_ALL=C LD_PRELOAD="$preload" ./pg_regress \
        --inputdir=. --bindir="$work/installed/bin" --dlpath="$work/regress" --temp-instance="$work/instance" \
        --port=$((30000 + $$ % 20000)) --max-connections=4 \
        --schedule="$1")
}
run_units ./parallel_schedule
