#!/bin/sh
# sites.sh [ROOT]: every system call of the library can be made to fail.
#
#  - in src/os/ a function of the C library is called within SLAI_CALL(...), which
#    the tests can refuse; but for the few below, which cannot fail
#  - each kind of call of os/fault.h has one place in a file, and at least one in all
#
# That each of them is refused by a test is what tests/fault checks at its end.
#
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.sh"
[ -f src/os/fault.h ] || skip 'there is no src/os/fault.h'

# memcpy and the like; what has no way to fail; what valgrind alone sees.
harmless='memcpy|memset|pthread_self|pthread_equal|pthread_setcancelstate|pthread_key_delete|VALGRIND_[A-Z_]*'
keywords='if|else|for|while|switch|return|sizeof|defined|void|bool|_Static_assert'

c_files src/os | grep -v '/fault[.][ch]$' | code_of > "$work/code"

# Statements, of all lines up to the semicolon or brace that ends them; a definition's name is no call.
awk -F : -v harmless="^($harmless)\$" -v keywords="^($keywords)\$" '
  function look(text, file, line,    name, before, rest) {
    rest = text
    before = ""
    while (match(rest, /[A-Za-z_][A-Za-z0-9_]*[ \t]*\(/)) {
      name = substr(rest, RSTART, RLENGTH)
      gsub(/[^A-Za-z0-9_]/, "", name)
      before = before substr(rest, 1, RSTART - 1)
      if (name !~ /^(slai_|SLA|__)/ && name !~ harmless && name !~ keywords && !((file, name) in ours) &&
          before !~ /SLAI_CALL\([^;]*$/ && before !~ /[>.][ \t]*$/ && before !~ /\(\*$/)
        print file ":" line ": " name "() outside SLAI_CALL: no test can refuse it"
      before = before substr(rest, RSTART, RLENGTH)
      rest = substr(rest, RSTART + RLENGTH)
    }
  }
  {
    text = substr($0, length($1) + length($2) + 3)
    if (text ~ /^[ \t]*#/)
      next
    if (text ~ /^[a-z].*\(/ && text !~ /;[ \t]*$/) { # a definition
      name = text
      sub(/[ \t]*\(.*/, "", name)
      sub(/.*[ *]/, "", name)
      ours[$1, name] = 1
      sub(/^[^{]*/, "", text)
    }
    if (file != $1 || whole == "")
      start = $2
    if (file != $1)
      whole = ""
    file = $1
    whole = whole " " text
    if (text ~ /[;{}][ \t]*$/) {
      look(whole, file, start)
      whole = ""
    }
  }' "$work/code" | faults

sed -n 's/^ *SLAI_CALL_\([A-Z]*\),.*/\1/p' src/os/fault.h > "$work/kinds"
[ -s "$work/kinds" ] || fault 'src/os/fault.h: no SLAI_CALL_ in it'
grep -o 'SLAI_CALL([A-Z]*' "$work/code" | sed 's/.*(//' > "$work/used"
while read -r kind; do
  grep -qx "$kind" "$work/used" || fault "src/os/fault.h: SLAI_CALL_$kind is no place's"
done < "$work/kinds"
sed -n 's/^\([^:]*\):[0-9]*:.*SLAI_CALL(\([A-Z]*\).*/\1: SLAI_CALL(\2) twice: a test cannot tell which it refuses/p' \
  "$work/code" | sort | uniq -d | faults
verdict
