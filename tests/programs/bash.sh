#!/bin/sh
# bash.sh: bash's own tests, run by the system's bash.
# SPDX-License-Identifier: MIT
. "${top_srcdir:?}/tests/programs/common.sh"
need bash
source_of bash
[ -d "$src/tests" ] || (cd "$src" && tar -xf bash-*.tar.* --strip-components=1) || skip 'the source is not as expected'
cd "$src/tests" || exit 99
helpers() {
    for helper in recho zecho printenv xcase; do
        $CC -w -DHAVE_STDLIB_H -DHAVE_STRING_H -DHAVE_UNISTD_H -DHAVE_LOCALE_H -include stdlib.h -include string.h \
            -include unistd.h -I.. -I../include -I../lib -o "$helper" "../support/$helper.c" || return 1
    done
}
built helpers helpers
# A script shows where it finds something else than it expects, which depends on the system: it is to be the same.
one() {
    say "$with" "$1" > "$work/said.one"
    say '' "$1" > "$work/said.plain"
    diff "$work/said.plain" "$work/said.one"
}
say() {
    (PATH=.:$PATH THIS_SH=$(command -v bash) BASH_TSTOUT=$work/tst TMPDIR=$work
     export PATH THIS_SH BASH_TSTOUT TMPDIR
     timeout 300 $1 bash "./$2" 2>&1 < /dev/null; echo "exit $?") | sed 's/[0-9][0-9][0-9]*/N/g'
}
small='run-alias run-appendop run-arith run-arith-for run-array run-array2 run-assoc run-braces run-builtins
    run-case run-casemod run-comsub run-comsub-posix run-cond run-cprint run-dbg-support run-dynvar run-exp-tests
    run-exportfunc run-extglob run-func run-getopts run-glob-test run-globstar run-heredoc run-herestr run-ifs
    run-ifs-posix run-input-test run-invert run-lastpipe run-mapfile run-more-exp run-nameref run-new-exp run-nquote
    run-parser run-posix2 run-posixexp run-precedence run-printf run-quote run-read run-redir run-rhs-exp run-set-e
    run-shopt run-strip run-tilde run-type run-varenv run-vredir'
set --
for unit in $(pick "$small" "$(echo run-* | sed 's/run-all//; s/run-minimal//; s/run-gprof//; s/run-jobs//')"); do
    [ ! -e "$unit" ] || set -- "$@" "$unit"
done
run_units "$@"
