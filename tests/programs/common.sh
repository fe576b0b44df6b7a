# common.sh: what the tests with real programs' own suites share; sourced, not run.
#
# A suite is a list of units (a file of tests, a script) and a function `one UNIT`
# that runs one with the words in $with before the program.  A unit that fails on
# the drop-in and not on the C library's malloc is a failure; where it passes on
# the drop-in at another try it depends on time, and is told of.
#
# SPDX-License-Identifier: MIT
. "$top_srcdir/tests/preload/common.sh"

level=${SLABALLOC_TEST_LEVEL:-check}
sources=${SLABALLOC_SOURCES:-$top_builddir}/sources

# pick SMALL LARGE: LARGE in a soak, else SMALL.
pick() { if [ "$level" = soak ]; then echo "$2"; else echo "$1"; fi; }

# source_of PACKAGE: $src is its upstream source, fetched once.  One process at a time works on it.
source_of() {
    need flock
    src=$sources/$1
    mkdir -p "$src" || exit 99
    exec 8> "$sources/$1.lock" 9> "$sources/lists.lock"
    flock 8
    if [ ! -e "$src/.fetched" ]; then
        flock 9
        sh "$top_srcdir/tests/rig/debian-source" "$1" "$src" > "$work/fetch.log" 2>&1 ||
            skip "no source of $1: $(tail -n 1 "$work/fetch.log")"
        : > "$src/.fetched"
    fi
    exec 9>&-
}

# built WHAT COMMAND...: runs the command, which builds in the current directory, unless it has been run.
built() {
    [ ! -e ".built-$1" ] || return 0
    what=$1
    shift
    "$@" > "$work/build.log" 2>&1 || skip "cannot build $what: $(tail -n 1 "$work/build.log")"
    : > ".built-$what"
}

# attempt WITH UNIT LOG
attempt() {
    with=$1
    one "$2" > "$3" 2>&1 < /dev/null
}

# run_units UNIT...: the suite, or what SLABALLOC_UNITS says; ends with the totals and the verdict.
run_units() {
    # shellcheck disable=SC2086
    [ -z "${SLABALLOC_UNITS:-}" ] || set -- $SLABALLOC_UNITS
    total=0 both=0 unsteady=0 failed=
    for unit; do
        total=$((total + 1))
        attempt "$SLABALLOC_RUN" "$unit" "$work/unit.log" && continue
        if ! attempt '' "$unit" "$work/plain.log"; then
            both=$((both + 1))
            echo "$name: $unit fails on the C library too"
        elif attempt "$SLABALLOC_RUN" "$unit" "$work/again.log" ||
            attempt "$SLABALLOC_RUN" "$unit" "$work/again.log"; then
            unsteady=$((unsteady + 1))
            echo "$name: $unit failed once, and passed"
        else
            failed="$failed $unit"
            echo "--- $unit, on the drop-in:"
            tail -n 40 "$work/again.log"
        fi
    done
    echo "ran: $name: $total units, $(echo $failed | wc -w | tr -d ' ') failed," \
        "$both fail on the C library too, $unsteady unsteady"
    [ -z "$failed" ] || fail "on the drop-in alone:$failed"
    [ "$both" -lt "$total" ] || skip "no unit passes here, on either"
}
