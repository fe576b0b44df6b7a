#!/bin/sh
# git.sh: scripts of git's own suite, against a git built from its source.
# SPDX-License-Identifier: MIT
. "${top_srcdir:?}/tests/programs/common.sh"
need make perl
source_of git
cd "$src" || exit 99
whole() {
    make -s CC="$CC" CFLAGS='-O0 -w' NO_OPENSSL=1 NO_CURL=1 NO_EXPAT=1 NO_GETTEXT=1 NO_TCLTK=1 NO_PYTHON=1 \
        NO_INSTALL_HARDLINKS=1 all
}
built git whole
cd t || exit 99
TEST_NO_MALLOC_CHECK=1
export TEST_NO_MALLOC_CHECK
one() { timeout 900 $with sh "./$1" --root="$work/trash"; }
small='t0000 t0001 t0002 t0003 t0008 t0021 t0027 t0040 t0060 t1006 t1007 t1050 t1300 t1400 t1450 t2000 t2020 t3000
    t3200 t3400 t3404 t3600 t3700 t3903 t4001 t4013 t4015 t4100 t4200 t5000 t5300 t5302 t5310 t5500 t5510 t5601
    t6000 t6022 t6120 t7004 t7102 t7400 t7501 t7600 t7700 t7810 t9300'
set --
for unit in $(pick "$small" "$(echo t[0-8]*.sh)"); do
    for file in "${unit%.sh}"*.sh; do
        [ ! -e "$file" ] || { set -- "$@" "$file"; break; }
    done
done
run_units "$@"
