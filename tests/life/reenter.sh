#!/bin/sh
# reenter.sh: on the drop-in, with a preloaded library whose mmap, getenv, open,
# dlsym, pthread_key_create, pthread_setspecific, pthread_atfork and the like
# allocate whenever they are called: nothing hangs, nothing recurs.
# SPDX-License-Identifier: MIT
. "$top_srcdir/tests/preload/common.sh"

$CC -O1 -fPIC -shared -o reenter.so "$top_srcdir/tests/life/reenter.c" -ldl > cc.log 2>&1 ||
  skip "the C library here is another: $(head -n 1 cc.log)"
$CC -O1 -pthread -o user "$top_srcdir/tests/life/reenter_user.c" -ldl || fail "reenter_user.c does not compile"

runs=0
# in_mode MODE COMMAND...: within a minute; its standard output is then in out.
in_mode() {
  mode=$1
  shift
  rm -f log
  timeout 60 env LD_PRELOAD="$work/reenter.so $LIBSLABALLOC_MALLOC" REENTER="$mode" REENTER_LOG="$work/log" \
    "$@" > out 2> err
  status=$?
  runs=$((runs + 1))
  [ "$status" -eq 0 ] || { cat err >&2; fail "$*, mode $mode: status $status (124: it hangs)"; }
}

repeat=$([ "${SLABALLOC_TEST_LEVEL:-check}" = extended ] && echo 100 || echo 3)
for mode in 0 1 2; do
  i=0
  while [ $i -lt "$repeat" ]; do
    in_mode $mode ./user
    [ "$(cat out)" = 'done' ] || fail "user, mode $mode: not done"
    i=$((i + 1))
  done
  for function in pthread_key_create pthread_setspecific __register_atfork dlsym getenv; do
    grep -q "^$function [1-9]" log || fail "user, mode $mode: $function was never called (it may be hooked in vain)"
  done
  in_mode $mode sh -c 'i=0; while [ $i -lt 2000 ]; do echo $i; i=$((i + 1)); done | sort -n | tail -n 1'
  [ "$(cat out)" = 1999 ] || fail "sort, mode $mode: a wrong last line"
done
echo "ran: functions that allocate whenever they are called, $runs runs in 3 modes"
