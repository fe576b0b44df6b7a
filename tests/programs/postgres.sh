#!/bin/sh
# postgres.sh: PostgreSQL's regression tests, of the version that is installed.
# SPDX-License-Identifier: MIT
. "${top_srcdir:?}/tests/programs/common.sh"
[ "$level" = soak ] || skip 'in a soak alone'
need pg_config setpriv psql
binaries=$(ls -d /usr/lib/postgresql/*/bin 2> /dev/null | tail -n 1)
regress=${binaries%/bin}/lib/pgxs/src/test/regress/pg_regress
[ -x "$binaries/postgres" ] && [ -x "$regress" ] || skip 'no server with pg_regress is installed'
version=$("$binaries/postgres" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
source_of "postgresql-$version"
cd "$src/src/test/regress" || exit 99
headers=$(pg_config --includedir-server)
[ -e "$headers/postgres.h" ] || skip 'the headers of the server are not installed'
$CC -O1 -w -fPIC -shared -I"$headers" -o "$work/regress.so" regress.c || skip 'regress.c cannot be built'
# The server refuses to run as root.
user=
[ "$(id -u)" -ne 0 ] || user='setpriv --reuid=65534 --regid=65534 --clear-groups --reset-env'
cp -r . "$work/suite" && cp "$SLABALLOC_RUN" "$LIBSLABALLOC_MALLOC" "$work/"
[ -z "$user" ] || chown -R 65534:65534 "$work"
one() {
    preload=
    [ -z "$with" ] || preload=$work/libslaballoc-malloc.so
    rm -rf "$work/instance"
    (cd "$work/suite" && timeout 3000 $user env LC_ALL=C LD_PRELOAD="$preload" "$regress" \
        --inputdir=. --bindir="$binaries" --dlpath="$work" --temp-instance="$work/instance" \
        --port=$((30000 + $$ % 20000)) --max-concurrent-tests=4 \
        --schedule="$1")
}
run_units ./parallel_schedule
