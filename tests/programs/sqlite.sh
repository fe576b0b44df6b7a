#!/bin/sh
# sqlite.sh: SQLite's own tests, by its testfixture, and its fuzz cases.
# SPDX-License-Identifier: MIT
. "${top_srcdir:?}/tests/programs/common.sh"
need tclsh make
tcl=$(dirname "$(find /usr/lib /usr/lib64 /usr/local/lib -name tclConfig.sh 2> /dev/null | head -n 1)")
[ -e "$tcl/tclConfig.sh" ] || skip 'tclConfig.sh is not installed'
source_of sqlite3
tests=$src/test
mkdir -p "$src-build" && cd "$src-build" || exit 99
fixture() { "$src/configure" -q CC="$CC" CFLAGS='-O1 -w' --with-tcl="$tcl" && make testfixture fuzzcheck; }
built testfixture fixture
fixtures=$PWD
cd "$work" || exit 99
one() {
    case $1 in
    *.db) timeout 900 $with "$fixtures/fuzzcheck" -q "$tests/$1" ;;
    *)
        timeout 900 $with "$fixtures/testfixture" "$tests/$1.test" > "$work/said"
        status=$?
        tail -n 30 "$work/said"
        [ "$status" -eq 0 ] && grep -q '^0 errors out of ' "$work/said"
        ;;
    esac
}
small='aggnested alter analyze attach autoinc between bigrow blob boundary1 btree01 cache capi2 cast check collate1
    conflict corrupt2 count cse cte date1 default delete distinct e_expr enc expr fkey1 fts3aa fts3query func
    groupby having hook in incrblob index insert intpkey join json101 like limit malloc5 memdb memsubsys1 minmax
    notnull null pragma printf quote rowid savepoint schema select1 select2 select4 shared sort subquery substr
    temptable trans trigger1 types unique update upsert1 utf16align vacuum view wal where window1 with1 fuzzdata1.db'
if [ "$level" = soak ]; then
    set -- fuzzdata1.db fuzzdata2.db fuzzdata3.db fuzzdata4.db fuzzdata5.db
    for file in "$tests"/*.test; do
        file=${file##*/}
        case $file in # those run others, take hours, or need what is not there
        all.test | *quick.test | full.test | permutations.test | soak.test | memleak.test | mallocAll.test | \
            rtree.test | *fault*.test | crash*.test | *malloc*.test | speed*.test | big*.test | fts*rnd.test | \
            valgrind.test) ;;
        *) set -- "$@" "${file%.test}" ;;
        esac
    done
else
    set --
    for unit in $small; do
        if [ -e "$tests/$unit" ] || [ -e "$tests/$unit.test" ]; then set -- "$@" "$unit"; fi
    done
fi
run_units "$@"
