#!/bin/sh
# perl.sh: files of perl's own core tests, run by the system's perl.
# SPDX-License-Identifier: MIT
. "${top_srcdir:?}/tests/programs/common.sh"
need perl
source_of perl
cd "$src/t" || exit 99
# They look for the library beside them, and for a perl there; what is compiled comes from the system.
ln -sf "$(command -v perl)" perl
perl -MConfig -e 'print "$Config{archlib}\n$Config{privlib}\n"; print grep { m{perl-base} } map { "$_\n" } @INC' |
    while read -r directory; do
        (cd "$directory" 2> /dev/null && find . -name '*.p[ml]' -o -name '*.so') | while read -r file; do
            [ -e "../lib/$file" ] && continue
            mkdir -p "../lib/${file%/*}" && ln -sf "$directory/$file" "../lib/$file"
        done
    done
one() {
    timeout 300 $with ./perl "$1" > "$work/tap" 2>&1
    status=$?
    tail -n 30 "$work/tap"
    [ "$status" -eq 0 ] && ! grep -q '^not ok [^#]*$' "$work/tap"
}
small='op/append op/array op/auto op/bop op/chop op/closure op/concat2 op/die op/do op/each op/eval op/fork op/grep
    op/hash op/hashassign op/heredoc op/inc op/index op/join op/lc op/list op/local op/lop op/my op/pack op/push
    op/range op/recurse op/repeat op/reverse op/signatures op/sort op/splice op/split op/sprintf op/state op/sub
    op/substr op/tie op/tr op/undef op/utf8decode op/vec op/wantarray op/threads re/regexp re/pat re/subst re/qr
    re/reg_eval re/pat_advanced re/anyof uni/lower uni/sprintf io/print io/read base/lex cmd/for cmd/mod comp/parser'
if [ "$level" = soak ]; then
    set -- base/*.t cmd/*.t comp/*.t io/*.t mro/*.t op/*.t re/*.t uni/*.t
else
    set --
    for unit in $small; do set -- "$@" "$unit.t"; done
fi
run_units "$@"
