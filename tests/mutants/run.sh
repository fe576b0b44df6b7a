#!/bin/sh
# run.sh [OPTION...] [NAME...]: seeded bugs.  Each NAME.patch of this directory puts
# one bug, of the kind that a careless commit brings, into a copy of the tree; the
# suite must fail on it.  The score is the share of bugs that it kills.
#
#   -j JOBS   so many copies at work at once (default: processors)
#   -a        what the tests named in "Killed-by:" let live meets all other tests
#   -s        no such line is believed: all tests, to see which is the first to kill
#   -t TEST   by this test, in the usual build, whatever those lines say
#   -e N      each Nth bug only, the first of them by SLABALLOC_TEST_SEED
#   -o FILE   a line "NAME TEST" for each kill, as "Killed-by:" has it
#
# Lines at the head of a patch: "Bug:" what it is, "Class:" the kind it stands for,
# "Killed-by:" tests of which one fails, "Build:" arguments of configure that it
# takes to see it, "Survives:" why no test can, if none can.
#
# Without arguments, as a test of 'make check-extended': each eighth, by the tests named; at
# SLABALLOC_TEST_LEVEL=soak all, with -a.  'make check-mutants' runs all, with -a.  Exit 1 below
# 95 %, and where a patch does not apply or build, or the unchanged tree fails one of the tests.
#
# SPDX-License-Identifier: MIT
set -u
LC_ALL=C
export LC_ALL
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../rig/copy.sh"
top=${top_srcdir:-$(cd "$here/../.." && pwd)}
jobs=$(getconf _NPROCESSORS_ONLN 2> /dev/null || echo 2) all=no named=yes every=1 out=/dev/null by=''
level=${SLABALLOC_TEST_LEVEL:-extended}
[ "$level" != soak ] || all=yes
[ $# -gt 0 ] || [ "$level" = soak ] || every=8
offset=$(awk "BEGIN { print ${SLABALLOC_TEST_SEED:-0} % $every }")
while getopts j:ast:e:o: option; do
  case $option in
    j) jobs=$OPTARG ;;
    a) all=yes ;;
    s) named=no all=yes ;;
    t) by=$OPTARG ;;
    e) every=$OPTARG offset=$(awk "BEGIN { print ${SLABALLOC_TEST_SEED:-0} % $OPTARG }") ;;
    o) out=$OPTARG ;;
    *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))
for tool in patch make timeout tar; do
  command -v $tool > /dev/null 2>&1 || { echo "skipped: $tool is not installed"; exit 77; }
done
[ -x "$top/configure" ] || { echo 'skipped: there is no configure'; exit 77; }
[ "${SLABALLOC_SANITIZER:-no}" = no ] && [ -z "${TEST_WRAPPER-}" ] || { echo 'skipped: for plain builds'; exit 77; }

work=$(mktemp -d "${TMPDIR:-/tmp}/slaballoc-mutants.XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT
trap 'trap - EXIT; kill $workers 2> /dev/null; rm -rf "$work"; exit 99' HUP INT TERM
workers=
mkdir "$work/claimed" "$work/results" "$work/took"
: "${CC:=cc}" "${CXX:=c++}"
case $CC in
  *ccache*) ;;
  *)
    if command -v ccache > /dev/null 2>&1; then
      CC="ccache $CC" CCACHE_DIR=$work/ccache
      export CCACHE_DIR
    fi
    ;;
esac
# The copies' builds and tests are to know nothing of the build that this is a test of.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES TESTS VERBOSE top_srcdir top_builddir LIBSLABALLOC LIBSLABALLOC_MALLOC \
  SLABALLOC_LIBRARY SLABALLOC_RUN SLABALLOC_BENCH SLABALLOC_RECORDER SLABALLOC_EXAMPLES SLABALLOC_CFLAGS \
  SLABALLOC_TEST_SEED CK_FORK CK_TIMEOUT_MULTIPLIER CK_RUN_CASE
export SLABALLOC_TEST_LEVEL=check
limit=200 # seconds for a test, and ten times as long as it took in the unchanged tree

field() { sed -n "s/^$1: *//p" "$2" | head -n 1; } # NAME PATCH
files_of() { sed -n 's|^--- a/\([^ 	]*\).*|\1|p' "$1"; }

killers() { if [ -n "$by" ]; then echo "$by"; else field Killed-by "$1"; fi; } # PATCH
switches() { [ -n "$by" ] || field Build "$1"; } # PATCH

# --- a worker: a copy of the tree, builds of it, one patch after the other ---

copy_tree() { # SLOT
  [ -d "$1/tree" ] || copy_source "$top" "$1/tree"
}

# The build directory for "ARGUMENTS", made if need be.
build_of() { # SLOT ARGUMENTS
  build=$1/$(printf '%s' "$2" | tr -c 'a-z' '_')
  if [ ! -f "$build/Makefile" ]; then
    mkdir -p "$build" && (
      cd "$build" || exit 1
      # shellcheck disable=SC2086
      ../tree/configure -q --with-check=yes CC="$CC" CXX="$CXX" $2 > configure.log 2>&1
    ) || { tail -n 5 "$build/configure.log"; return 1; }
  fi
}

# The Check programs need the debug twin alone, built once; the rest what is installed.
select_build() { # SLOT PATCH TEST
  arguments=$(switches "$2")
  case ${arguments:+given}$3 in
    given*) ;;
    *.sh) arguments='CFLAGS=-O2' ;;
    *) arguments='--disable-shared CFLAGS=-O1' ;;
  esac
  build_of "$1" "$arguments"
}

# run_test SLOT PATCH TEST: 0 passed or skipped, 1 failed, 2 it does not build.
run_test() {
  select_build "$1" "$2" "$3" || return 2
  base=${3%.sh}
  rm -f "$build/$base.log" "$build/$base.trs"
  case $3 in
    tests/structure/*) goal= ;;
    *.sh) goal=all ;;
    *) goal=$3 ;;
  esac
  case $3 in tests/structure/exports.sh | tests/structure/binary.sh) goal=all ;; esac
  if [ -n "$goal" ] && ! make -C "$build" -s "$goal" > "$1/make.log" 2>&1; then
    grep -E 'error|Error' "$1/make.log" | head -n 5
    return 2
  fi
  took=$(cat "$work/took/$(echo "$3" | tr / -)" 2> /dev/null || echo 0)
  begun=$(date +%s)
  CK_DEFAULT_TIMEOUT=$((40 + took * 2)) timeout -k 5 $((limit + took * 10)) \
    make -C "$build" -s "$base.log" > "$1/test.log" 2>&1
  [ $? -lt 124 ] || { how=', by time'; return 1; }
  took=$(($(date +%s) - begun))
  grep -Eq '^:test-result: (PASS|SKIP)' "$build/$base.trs" 2> /dev/null
}

# The other tests of the package: those named as the module first, then those that fail fast.
other_tests() { # BUILD PATCH
  modules=$(files_of "$2" | sed 's|.*/||; s|[.].*||' | tr '\n' '|') first=unit
  case $(files_of "$2") in src/api/*) first=api ;; esac
  printf 'include Makefile\nshow:\n\t@echo $(check_programs) $(filter %%.sh,$(TESTS)) $(rig_tests)\n' |
    make -C "$1" -s -f - show 2> /dev/null | tr ' ' '\n' | grep -v '^tests/mutants/' |
    awk -v modules="^test_(${modules%|})\$" -v order="$first unit api misuse threads structure model fuzz fault life \
      cxx preload examples cost" '
      BEGIN { n = split(order, at); for (i = n; i > 0; i--) rank[at[i]] = i }
      { split($0, part, "/"); r = part[2] in rank ? rank[part[2]] : n + 1
        print (part[3] ~ modules ? 0 : 100) + r, NR, $0 }' | sort -n |
    sed 's/^[0-9]* [0-9]* //'
}

judge() { # SLOT PATCH
  slot=$1 patch=$2 name=$(basename "$2" .patch) tests='' how=''
  if ! patch -d "$slot/tree" -p1 -N -s -f < "$patch" > "$slot/patch.log" 2>&1; then
    echo 'BAD: the patch does not apply'
    return
  fi
  [ "$named" = no ] || tests=$(killers "$patch")
  if [ $all = yes ]; then
    build_of "$slot" '--disable-shared CFLAGS=-O1'
    tests="$tests $(other_tests "$build" "$patch")"
  fi
  for test in $tests; do
    run_test "$slot" "$patch" "$test"
    case $? in
      1) echo "killed: $test$how"; return ;;
      2) echo "BAD: $test does not build"; return ;;
    esac
  done
  echo "SURVIVED: $(field Bug "$patch")"
}

restore() { # SLOT PATCH: with a new date, so that make sees it
  for file in $(files_of "$2"); do
    rm -f "$1/tree/$file.orig" "$1/tree/$file.rej"
    cp "$top/$file" "$1/tree/$file"
  done
}

worker() { # NUMBER
  slot=$work/slot$1
  copy_tree "$slot"
  for patch in "$work/list"/*.patch; do
    name=$(basename "$patch" .patch)
    mkdir "$work/claimed/$name" 2> /dev/null || continue
    start=$(date +%s)
    judge "$slot" "$patch" > "$slot/verdict" 2>&1
    verdict=$(tail -n 1 "$slot/verdict")
    restore "$slot" "$patch"
    printf '%-28s %s (%d s)\n' "$name" "$verdict" $(($(date +%s) - start))
    [ "${verdict%%:*}" != BAD ] || sed '$d' "$slot/verdict"
    echo "$verdict" > "$work/results/$name"
    case $verdict in killed:*) echo "$name ${verdict#killed: }" | sed 's/, by time//' >> "$out" ;; esac
  done
}

# --- the unchanged tree passes the tests that are to kill ---

plain_worker() { # NUMBER
  slot=$work/slot$1 line=0
  copy_tree "$slot"
  while read -r test arguments; do
    line=$((line + 1))
    mkdir "$work/claimed/plain$line" 2> /dev/null || continue
    echo "Build: $arguments" > "$slot/plain"
    if run_test "$slot" "$slot/plain" "$test" < /dev/null > /dev/null; then
      echo "$took" > "$work/took/$(echo "$test" | tr / -)"
      continue
    fi
    echo "the unchanged tree fails $test: none of its kills would count"
    tail -n 20 "$slot/make.log" "$slot/test.log" "$build/${test%.sh}.log" 2> /dev/null
    touch "$work/unfit"
  done < "$work/pairs"
}

unchanged() {
  for patch in "$work/list"/*.patch; do
    for test in $(killers "$patch"); do echo "$test $(switches "$patch")"; done
  done | sort -u > "$work/pairs"
  # How long that takes is seen here; it may take long.
  while read -r test _; do echo 200 > "$work/took/$(echo "$test" | tr / -)"; done < "$work/pairs"
  in_parallel plain_worker
  [ ! -e "$work/unfit" ] && echo "the unchanged tree passes the $(wc -l < "$work/pairs") tests that are to kill"
}

# in_parallel FUNCTION: as many as there may be at once, each with a number.
in_parallel() {
  i=0 workers=
  while [ $i -lt "$jobs" ]; do
    i=$((i + 1))
    "$1" $i &
    workers="$workers $!"
  done
  wait
}

# --- all ---

mkdir "$work/list"
if [ $# -gt 0 ]; then
  for name; do cp "$here/$(basename "$name" .patch).patch" "$work/list" || exit 99; done
else
  ls "$here"/*.patch | awk -v every="$every" -v offset="$offset" 'NR % every == (offset + 1) % every' |
    while read -r file; do cp "$file" "$work/list"; done
fi
[ $named = no ] || unchanged || exit 1
in_parallel worker

ran=$(ls "$work/list" | wc -l)
killed=$(cat "$work/results"/* | grep -c '^killed:')
bad=$((ran - $(cat "$work/results"/* | grep -Ec '^(killed|SURVIVED):')))
echo
echo 'bugs killed, of so many, by class:'
for patch in "$work/list"/*.patch; do
  name=$(basename "$patch" .patch)
  echo "$(sed 's/:.*//' "$work/results/$name" 2> /dev/null)	$(field Class "$patch")"
done | awk -F '\t' '{ n[$2]++; k[$2] += $1 == "killed" }
  END { for (c in n) printf "  %3d of %3d  %s\n", k[c], n[c], c }' | sort -k 4
for patch in "$work/list"/*.patch; do
  name=$(basename "$patch" .patch)
  case $(cat "$work/results/$name" 2> /dev/null) in
    killed:*) ;;
    *) echo "not killed: $name: $(field Bug "$patch")$(sed -n 's/^Survives: */; but /p' "$patch")" ;;
  esac
done
score=$(awk "BEGIN { printf \"%.1f\", $killed * 100 / $ran }")
echo "ran: $ran seeded bugs, $killed killed, score $score %, seed $offset"
[ "$bad" -eq 0 ] || echo "$bad patches did not apply or build"
[ "$bad" -eq 0 ] && awk "BEGIN { exit !($score >= 95) }"
