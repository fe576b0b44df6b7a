#!/bin/sh
# soaktest.sh: soak.sh itself, with a make that only pretends: a stopped run goes
# on where it was, and a failure ends it with the command that repeats it.
# SPDX-License-Identifier: MIT
set -u
soak=${top_srcdir:?run by make check}/tests/rig/soak.sh
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 99
fail() { echo "soaktest: FAIL: $*"; cat out soak/log; exit 1; }

# Fails for the seed $BAD; says which seeds it was given.
cat > make << 'END'
#!/bin/sh
echo "$SLABALLOC_TEST_SEED" >> seeds
echo "$2" >> lists
for test in a b; do echo ":test-result: PASS" > "$test.trs"; done
echo "     ran: pretence, nothing, seed $SLABALLOC_TEST_SEED"
if [ "$SLABALLOC_TEST_SEED" = "${BAD:-}" ]; then echo ":test-result: FAIL" > b.trs; exit 2; fi
echo '2 passed, 0 failed'
END
chmod +x make
run() { MAKE=$work/make SOAK_TESTS='a b' SOAK_FIRST=c.sh SOAK_SEED=100 SOAK_ROUNDS=$1 SLABALLOC_TEST_LEVEL=soak sh "$soak" > out 2>&1; }

run 2 || fail 'two rounds without a failure'
run 3 || fail 'three more'
[ "$(tr '\n' ' ' < seeds)" = '101 102 103 104 105 ' ] || fail 'a run that goes on does not take the next seeds'
[ "$(sort lists | uniq -c | tr -s ' \n' ' ')" = ' 4 TESTS=a b 1 TESTS=a b c.sh ' ] || fail 'the first round is not the one that has more'
[ "$(cat soak/state)" = '5 100' ] || fail 'the state is not as it was left'
[ "$(grep -c 'ran: pretence' soak/log)" -eq 5 ] || fail 'what ran is not in the log'
BAD=107
export BAD
run 5 && fail 'a failure does not end it'
grep -q "again with: SLABALLOC_TEST_LEVEL=soak SLABALLOC_TEST_SEED=107 make check TESTS='b'" out ||
  fail 'no replay line'
[ -e soak/failed.7.log ] && [ "$(cat soak/state)" = '6 100' ] || fail 'the failed round is not kept, or counted as done'
BAD=
run 1 || fail 'the round that failed, when it is mended'
[ "$(tail -n 1 seeds)" = 107 ] || fail 'it does not begin with the round that failed'
# Stopped in the middle of a round.
printf '#!/bin/sh\nkill -TERM $PPID\nsleep 1\n' > make
run 1 && fail 'stopped, and it says that all is well'
[ "$(cat soak/state)" = '7 100' ] || fail 'a round that was stopped counts as done'
echo 'ran: soak.sh: 9 rounds pretended, one failed, one stopped, seed 100'
