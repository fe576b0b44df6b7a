#!/bin/sh
# fuzz.sh: libFuzzer with the address and the undefined behaviour sanitizer on the
# three targets of this directory: calls of the library (what test_fuzz replays),
# the options' parser, and the trace's.  It begins with tests/fuzz/corpus; what it
# finds beyond goes to fuzz/TARGET in the build directory, and is where the next
# run begins.  A finding is left there as crash-*, to be run again by
# "test_fuzz FILE", or "test_parsers conf|trace FILE".
# SPDX-License-Identifier: MIT
set -u

clang=${FUZZ_CC:-clang}
seed=${SLABALLOC_TEST_SEED:-1}
case ${SLABALLOC_TEST_LEVEL:-check} in
soak) seconds=600 ;;
extended) seconds=40 ;;
*) seconds=5 ;;
esac
seconds=${FUZZ_SECONDS:-$seconds}
top=$(cd "$top_srcdir" && pwd) || exit 1
mkdir -p fuzz/o && cd fuzz || exit 1

echo 'int LLVMFuzzerTestOneInput(const unsigned char *b, unsigned long n) { return b == 0 && n == 1; }' > probe.c
# shellcheck disable=SC2086
$clang -fsanitize=fuzzer,address,undefined probe.c -o probe 2> probe.log ||
  { echo "no clang with libFuzzer: skipped"; exit 77; }

flags="-O1 -g -std=gnu11 -pthread -I$top/src -I$top/include -I$top/tests -D_GNU_SOURCE -DSLA_DEBUG=3 -DSLA_TESTING=1
  -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
  -fno-builtin-malloc -fno-builtin-calloc -fno-builtin-realloc -fno-builtin-free"

# Objects are named after their sources; two at a time are made of what is newer.
compile() {
  for source; do
    object=o/$(echo "${source#"$top"/}" | tr / -).o
    [ "$object" -nt "$source" ] && [ -z "$(find "$top/src" "$top/tests/fuzz" "$top/bench" -name '*.h' -newer "$object")" ] ||
      printf '%s -c %s -o %s\n' "$clang $(echo $flags)" "$source" "$object"
  done | xargs -P 2 -I '{}' sh -c '{}'
}
objects() { for source; do echo "o/$(echo "${source#"$top"/}" | tr / -).o"; done; }

library=$(ls "$top"/src/*/*.c | grep -v -e /override.c -e /posix.c)
calls=$(cd "$top/tests/fuzz" && for f in blocks contents control fuzz heaps model objects shadow threads target_calls; do
  echo "$top/tests/fuzz/$f.c"; done)
conf="$top/tests/fuzz/conf.c $top/tests/fuzz/target_conf.c"
trace="$top/tests/fuzz/trace.c $top/tests/fuzz/target_trace.c"
for f in fail replay_plan trace trace_file trace_order; do trace="$trace $top/bench/$f.c"; done

# shellcheck disable=SC2046,SC2086
{
  compile $library $calls $conf $trace || exit 1
  link="$clang -fsanitize=fuzzer,address,undefined -pthread"
  $link -o calls $(objects $library $calls) && $link -o conf $(objects $library $conf) &&
    $link -o trace $(objects $trace "$top/tests/fuzz/conf.c" $library) || exit 1
}

# run TARGET SECONDS OPTIONS...
run() {
  target=$1
  mkdir -p "corpus-$target"
  given=$top/tests/fuzz/corpus/$target
  [ -d "$given" ] || given=
  # shellcheck disable=SC2086
  if ! ./"$target" -seed="$seed" -max_total_time="$(($2 + 1))" -rss_limit_mb=4096 -timeout=60 -print_final_stats=1 \
    -artifact_prefix="$PWD/" -close_fd_mask=1 $3 $4 "corpus-$target" $given > "$target.log" 2>&1; then
    grep -e fuzz: -e parsers: -e ERROR -e 'artifact_prefix' -e '^SUMMARY' "$target.log" | head -n 20
    echo "fuzz.sh: $target: a finding; see $PWD/$target.log"
    return 1
  fi
  echo "ran: libFuzzer on $target, $(sed -n 's/.*number_of_executed_units: //p' "$target.log") inputs in $2 s," \
    "$(grep -c . "$target.log") lines of log, coverage $(sed -n 's/.* cov: \([0-9]*\).*/\1/p' "$target.log" | tail -n 1), seed $seed"
}
export ASAN_OPTIONS="abort_on_error=1:detect_leaks=0:allocator_may_return_null=1:${ASAN_OPTIONS-}"
export SLABALLOC_CONF=reserve=4096
status=0
run calls $((seconds * 2)) -max_len=16384 -len_control=20 || status=1
run conf $((seconds / 2)) -max_len=300 -dict="$top/tests/fuzz/conf.dict" || status=1
run trace $((seconds / 2)) -max_len=2048 -len_control=50 || status=1
exit $status
