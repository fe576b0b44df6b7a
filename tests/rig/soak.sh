#!/bin/sh
# soak.sh: rounds of $SOAK_TESTS, each with a seed of its own, for $SOAK_HOURS
# (8) or $SOAK_ROUNDS rounds; the first has $SOAK_FIRST too.  The file soak/state in the build directory has the
# number of rounds done, so a run that was stopped goes on with the next seed;
# soak/log has a line for each round.  A failure ends the run with the command
# that repeats it.
# SPDX-License-Identifier: MIT
set -u
: "${MAKE:=make}" "${SOAK_TESTS:?run by make check-soak}"

mkdir -p soak || exit 1
[ -s soak/state ] || echo "0 ${SOAK_SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}" > soak/state
read -r round base < soak/state
end=$(($(date +%s) + $(awk "BEGIN { print int(${SOAK_HOURS:-8} * 3600) }")))
last=${SOAK_ROUNDS:+$((round + SOAK_ROUNDS))}
echo "soak: base seed $base, from round $((round + 1)); remove soak/state to begin anew"

while [ "$(date +%s)" -lt "$end" ] && { [ -z "$last" ] || [ "$round" -lt "$last" ]; }; do
  round=$((round + 1))
  seed=$((base + round))
  tests=$SOAK_TESTS
  [ "$round" -gt 1 ] || tests="$SOAK_TESTS ${SOAK_FIRST:-}"
  started=$(date +%s)
  if ! SLABALLOC_TEST_SEED=$seed SLABALLOC_TEST_LEVEL=soak $MAKE check TESTS="$tests" > soak/round.log 2>&1; then
    mv soak/round.log "soak/failed.$round.log"
    echo "round $round seed $seed: FAILED" | tee -a soak/log
    grep -E 'ran: |failed|[0-9]:[EF]:' "soak/failed.$round.log" | head -n 40
    # What failed is in .trs files; all of it, if the build did.
    failed=
    for test in $tests; do
      ! grep -qs '^:test-result: [EF]' "${test%.sh}.trs" || failed="$failed $test"
    done
    echo "soak: again with: SLABALLOC_TEST_LEVEL=soak SLABALLOC_TEST_SEED=$seed make check TESTS='$(
      echo ${failed:-$tests})'" | tee -a soak/log
    exit 1
  fi
  echo "$round $base" > soak/state
  echo "round $round seed $seed: $(tail -n 1 soak/round.log), $(($(date +%s) - started)) s" | tee -a soak/log
  # How much, and where memory and mappings stand: a drift from round to round is to be seen in the log.
  sed -n 's/^ *\(.*seed.*\)$/  \1/p' soak/round.log | tee -a soak/log
done
echo "soak: $round rounds in all, no failure"
