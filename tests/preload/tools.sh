#!/bin/sh
# tools.sh: slaballoc-run and slaballoc-bench: what they do with good options,
# and the exact status and message for bad ones, bad libraries and bad runs.
# SPDX-License-Identifier: MIT
set -u
LC_ALL=C
export LC_ALL
unset SLABALLOC_CONF LD_PRELOAD
run=$SLABALLOC_RUN bench=$SLABALLOC_BENCH library=$LIBSLABALLOC_MALLOC
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
cases=0 failures=0

# try STATUS COMMAND...: runs it; its output is then in $work/out and $work/err.
try() {
  wanted=$1
  shift
  what="$*"
  "$@" > "$work/out" 2> "$work/err" < /dev/null
  status=$?
  cases=$((cases + 1))
  [ "$status" -eq "$wanted" ] || wrong "status $status, not $wanted"
}

wrong() {
  failures=$((failures + 1))
  echo "FAIL: $what: $*"
  sed 's/^/  out: /' "$work/out"
  sed 's/^/  err: /' "$work/err"
}

# Of the last command: a line of its output that matches; all of its output; nothing.
out_has() { grep -q -e "$1" "$work/out" || wrong "output lacks '$1'"; }
err_has() { grep -q -e "$1" "$work/err" || wrong "message lacks '$1'"; }
out_is() { [ "$(cat "$work/out")" = "$1" ] || wrong "output is not '$1'"; }
quiet() { [ ! -s "$work/err" ] || wrong 'it printed a message'; }
silent() { [ ! -s "$work/out" ] || wrong 'it printed something on standard output'; }

# usage PATTERN COMMAND...: one line that matches, one hint, status 2.
usage() {
  pattern=$1 tool=slaballoc-run
  shift
  case "$*" in *"$bench"*) tool=slaballoc-bench ;; esac
  try 2 "$@"
  silent
  [ "$(wc -l < "$work/err")" -eq 2 ] || wrong 'not a message and a hint of one line each'
  head -n 1 "$work/err" | grep -q "$tool: .*$pattern" || wrong "message lacks '$pattern'"
  tail -n 1 "$work/err" | grep -q -e "^Usage: $tool" -e "^Try '$tool --help'" || wrong 'no usage hint'
}

# --- slaballoc-run: what it passes on ---
try 0 "$run" --help; out_has '^Usage: slaballoc-run'; quiet
try 0 "$run" -h; out_has '--library'
try 0 "$run" --version; out_is "slaballoc-run (slaballoc) $SLABALLOC_VERSION"
try 0 "$run" -V; out_is "slaballoc-run (slaballoc) $SLABALLOC_VERSION"
try 0 "$run" -l "$library" true; quiet; silent
try 0 env SLABALLOC_LIBRARY="$library" "$run" true; quiet
try 0 env SLABALLOC_LIBRARY=/nonexistent "$run" -l "$library" true
try 7 "$run" -l "$library" sh -c 'exit 7'
try 0 "$run" -l "$library" printf '%s|' a 'b c' '' -x '*'; out_is 'a|b c||-x|*|'
try 0 "$run" -l "$library" -- echo -s; out_is -s
try 0 "$run" -l "$library" echo -l; out_is -l
for form in "-l $library" "-l$library" "--library $library" "--library=$library"; do
  try 0 "$run" $form printenv LD_PRELOAD; out_is "$library"
done
try 0 env LD_PRELOAD="$library" "$run" -l "$library" printenv LD_PRELOAD; out_is "$library:$library"
try 1 "$run" -l "$library" printenv SLABALLOC_CONF; out_is ''
for form in '-c verbose=1' '-cverbose=1' '--conf verbose=1' '--conf=verbose=1'; do
  try 0 "$run" -l "$library" $form printenv SLABALLOC_CONF; out_is verbose=1
done
try 0 "$run" -l "$library" -c verbose=1 --conf=abort=0 printenv SLABALLOC_CONF; out_is verbose=1,abort=0
try 0 env SLABALLOC_CONF=verbose=1 "$run" -sl "$library" printenv SLABALLOC_CONF
out_is verbose=1,stats_at_exit=1
# Not a program of coreutils: those close standard error before they exit.
try 0 "$run" --stats -l "$library" awk 'BEGIN { exit }'; silent
[ -s "$work/err" ] || wrong 'no statistics'
case $library in
  */*/*)
    (failures=0 && cd "${library%/*}" && try 0 "$run" -l "${library##*/}" printenv LD_PRELOAD &&
      out_is "$library" && exit $failures) || failures=$((failures + 1))
    ;;
esac
printf '#!/bin/sh\necho "dash $1"\n' > "$work/-dash"
chmod +x "$work/-dash"
try 0 env PATH="$work:$PATH" "$run" -l "$library" -- -dash x; out_is 'dash x'
# The process is replaced: same id, so signals and job control reach the program.
try 0 sh -c "\"$run\" -l \"$library\" sh -c 'echo \$\$' & echo \$!; wait"
[ "$(sort -u "$work/out" | wc -l)" -eq 1 ] || wrong 'the program has another process id'

# --- slaballoc-run: bad input ---
usage 'no program' "$run"
usage 'no program' "$run" -s
usage 'no program' "$run" -l "$library" --
usage "unknown option '--nonsense'" "$run" --nonsense true
usage "unknown option '-x'" "$run" -x true
usage "unknown option '-x'" "$run" -sx true
usage "option '-l' needs a value" "$run" -l
usage "option '--conf' needs a value" "$run" --conf
usage "cannot read library '/nonexistent/lib.so'" "$run" -l /nonexistent/lib.so true
usage "cannot read library '/nonexistent/lib.so'" env SLABALLOC_LIBRARY=/nonexistent/lib.so "$run" true
usage 'cannot read library' "$run" -l "$work" true
usage 'empty' "$run" --library= true
cp "$library" "$work/with blank.so" && usage 'blank or a colon' "$run" -l "$work/with blank.so" true
cp "$library" "$work/with:colon.so" && usage 'blank or a colon' "$run" -l "$work/with:colon.so" true
: > "$work/plain"
for program in /nonexistent/program nonexistent-program ''; do
  try 127 "$run" -l "$library" "$program"; silent; err_has "slaballoc-run: $program: program not found"
done
for program in "$work/plain" "$work"; do
  try 126 "$run" -l "$library" "$program"; silent; err_has "slaballoc-run: $program: not executable"
done
try 126 env PATH="$work:$PATH" "$run" -l "$library" plain; err_has 'slaballoc-run: plain: not executable'

# --- slaballoc-bench ---
finish() {
  echo "$cases cases, $failures failed"
  [ "$failures" -eq 0 ]
  exit
}
if [ ! -x "$bench" ]; then
  echo 'slaballoc-bench was not built: not tested'
  finish
fi
small='--repeat 2 --ops 20000 --live 256K'
try 0 "$bench" --help; out_has '^Usage: slaballoc-bench'; quiet
try 0 "$bench" -h; out_has '--alloc'
try 0 "$bench" --version; out_is "slaballoc-bench (slaballoc) $SLABALLOC_VERSION"
try 0 "$bench" --list; quiet
for scenario in single multi stress large larson xmalloc kv idle handoff crowd sleepers growth objects requests-heap; do out_has "^$scenario  *[a-z]"; done
scenarios=$(grep -c '^[a-z]' "$work/out")
[ "$scenarios" -ge 32 ] || wrong "only $scenarios scenarios"
[ "$(grep -c '^  *source: [a-z]' "$work/out")" -eq "$scenarios" ] || wrong 'not a source for each scenario'
try 0 env SLABALLOC_LIBRARY="$library" "$bench" $small -t 3 single multi stress; quiet
for scenario in single multi stress; do out_has "^$scenario  *[13] system  *[0-9]"; done
[ "$(grep -c ' slaballoc  .*[0-9][ *]$' "$work/out")" -eq 4 ] || wrong 'not a row for each scenario and the mean'
try 0 "$bench" --library "$library" --csv -r 2 -n 20 --live 4M large; quiet
[ "$(wc -l < "$work/out")" -eq 3 ] || wrong 'not a head line and two rows'
[ "$(awk -F , '{ print NF }' "$work/out" | sort -u)" = 51 ] || wrong 'rows of different length'
out_has '^large,system,ok,2,1,4194304,1,'; out_has '^large,slaballoc,ok,2,'
try 0 "$bench" --system --csv $small single; quiet
[ "$(wc -l < "$work/out")" -eq 2 ] || wrong 'not one allocator'
try 0 "$bench" --self --library "$library" --csv $small single; quiet; out_has '^single,slaballoc,ok,'
try 0 "$bench" --system --alloc "other=$library" --csv $small single; quiet; out_has '^single,other,ok,'
try 0 "$bench" --system --csv -r 1 --seconds 0.05 --live 64K single; out_has '^single,system,ok,1,'
# Each scenario does the same work on both (a row that did not would have failed).
try 0 "$bench" --csv -r 1 --ops 2000 --live 128K $("$bench" --list | sed -n 's/^\([a-z][a-z-]*\) .*/\1/p' |
  grep -v -e '^idle$' -e '^phase$' -e '^handoff$')
[ "$(grep -c ',ok,1,' "$work/out")" -eq $((2 * (scenarios - 3))) ] || wrong 'not every scenario ran'
try 0 "$bench" --csv -r 1 --ops 2000 --live 128K -t 1 xmalloc cross churn cache-scratch multi; quiet
try 0 "$bench" --csv -r 1 --ops 2000 --live 128K -t 5 xmalloc cross churn cache-scratch larson-sized; quiet
try 0 "$bench" --csv -r 1 --ops 2000 --live 1M --size 16..2K single larson kv; quiet
try 0 "$bench" --system --csv -r 1 --quick --seconds 0.02 --live 1M phase; quiet; out_has '^phase,system,ok,1,'
# The moments that scenarios note: resident bytes and live ones.
try 0 "$bench" --csv -r 1 -n 20000 --live 256K -t 3 --producers 2 handoff; quiet
for allocator in system slaballoc; do
  out_has "^handoff,$allocator,ok,1,3,.*,peak=[1-9][0-9]*/[1-9][0-9]*;drained=[0-9]*/0;asked by malloc_trim=[0-9]*/0;2 s"
done
for tbb in /usr/lib/*-linux-*/libtbbmalloc_proxy.so.2; do # its malloc is in another library than the call to ask by
  [ ! -f "$tbb" ] || { try 0 "$bench" --system --alloc "tbb=$tbb" --csv -r 1 -n 20000 --live 256K handoff
    out_has '^handoff,tbb,.*;asked by scalable_allocation_command='; }
done
try 0 "$bench" --system --csv -r 1 -n 2000 --live 128K --producers 7 -t 4 handoff; quiet; out_has ',peak='
try 0 "$bench" --self --library "$library" --csv -r 1 -n 2000 --live 128K -t 1 handoff; quiet; out_has ';asked by malloc_trim='
try 0 "$bench" --csv -r 1 -n 2000 --live 128K -t 7 sleepers crowd; quiet; out_has '^sleepers,slaballoc,.*,asleep=[1-9][0-9]*/[1-9]'
try 0 "$bench" --system --csv -r 1 --seconds 0.05 -t 7 sleepers handoff; quiet; out_has "^sleepers,system,ok,1,7,"
try 0 "$bench" --csv -r 1 -n 2000 --live 64K --size 64 growth; quiet
for allocator in system slaballoc; do out_has "^growth,$allocator,ok,1,1,65536,1,2000,.*,full=[1-9][0-9]*/65536,"; done
try 0 "$bench" --self --library "$library" -r 1 --quick --live 1M idle phase; quiet
out_has ' slaballoc  *MiB resident/live: full [0-9.]*/[01]\.[0-9] ([0-9.]*), freed [0-9.]*/0\.0, 2 s later '; out_has ' slaballoc  *MiB resident/live: built 1 [0-9.]*/1\.0 ([0-9.]*), thinned 1 '
try 0 "$bench" --system --json -r 1 -n 2000 --live 1M growth; quiet
out_has '"marks": \[{"name": "full", "live_bytes": 1048576, "resident_bytes": [1-9]'
# Those that compare interfaces say what they used, and run by name alone.
try 0 "$bench" --csv -r 1 -n 2000 --live 128K -t 3 objects objects-handoff requests-heap; quiet
for scenario in objects objects-handoff; do
  out_has "^$scenario,system,ok,1,3,.*,by malloc=[1-9][0-9]*/13"
  out_has "^$scenario,slaballoc,ok,1,3,.*,by sla_cache_alloc=[1-9][0-9]*/13"
done
out_has '^requests-heap,system,ok,1,3,.*,by malloc='; out_has '^requests-heap,slaballoc,ok,1,3,.*,by [a-z]'
try 0 "$bench" --self --library "$library" --csv -r 1 -n 2000 --plain objects requests-heap single; quiet
out_has '^objects,.*,by malloc='; out_has '^requests-heap,.*,by malloc='; out_has '^single,slaballoc,ok'
try 0 "$bench" --system --csv -r 1 --seconds 0.02 -t 2 objects-handoff requests-heap; quiet
try 0 "$bench" --system --csv --latency -r 1 -n 2000 --size 64 requests-heap; quiet
# Latencies, and the time of none without the option.
try 0 "$bench" --csv --latency $small stress; quiet
[ "$(awk -F , '$2 == "system" { n = 0; for (i = 27; i <= 51; i++) n += $i > 0; print n }' "$work/out")" -eq 25 ] ||
  wrong 'not five percentiles of five kinds of calls'
try 0 "$bench" --latency $small single; out_has 'malloc  *system  *ns  p50 [0-9]'; out_has 'p99.99 [0-9].* max [0-9]'
# JSON, the report, the sweeps.
try 0 "$bench" --json --latency $small single large; quiet
out_has '"rss_over_time"'; out_has '"p99.99"'
if command -v python3 > /dev/null 2>&1; then
  cp "$work/out" "$work/json"
  try 0 python3 -m json.tool "$work/json"
fi
try 0 "$bench" --report "$work/report" --latency $small single large; out_has "^report: $work/report/index.html"
grep -q '</html>' "$work/report/index.html" || wrong 'no whole page'
if command -v gnuplot > /dev/null 2>&1; then
  for image in $(sed -n 's/.*<img src="\([^"]*\)".*/\1/p' "$work/report/index.html"); do
    grep -q '</svg>' "$work/report/$image" || wrong "$image is not a chart"
  done
  grep -q '<img src="time-0.svg"' "$work/report/index.html" || wrong 'no chart of times'
fi
mkdir "$work/nothing"
try 0 env PATH="$work/nothing" "$bench" --report "$work/report2" $small single; err_has 'gnuplot is not installed'
grep -q 'No charts.*gnuplot is not installed' "$work/report2/index.html" || wrong 'the page does not say why'
try 0 "$bench" --csv $small --sweep threads=1..3 multi; quiet
[ "$(awk -F , 'NR > 1 { print $5 }' "$work/out" | uniq | tr '\n' ' ')" = '1 2 3 ' ] || wrong 'not 1, 2, 3 threads'
try 0 "$bench" --system --csv -r 1 --ops 1000 --sweep live=64K..256K; quiet
[ "$(grep -c '^single,system,ok' "$work/out")" -eq 3 ] || wrong 'not three live sets'
try 0 "$bench" --system -r 1 --ops 1000 --sweep live=1M single; out_has 'bytes of overhead a live byte'
# Whole programs.
try 0 "$bench" program -r 2 -- sh -c 'exit 0'; quiet; out_has '^sh  *system  *[0-9.]* '; out_has ' slaballoc  *[0-9.]* '
try 0 "$bench" program --system -r 1 --output="$work/text" -- echo hello; quiet
[ "$(cat "$work/text")" = hello ] || wrong 'the output of the program is not there'
try 0 "$bench" program --system -r 2 --input="$work/text" --output="$work/text2" -- cat; quiet
cmp -s "$work/text" "$work/text2" || wrong 'the program did not read its input in each run'
try 0 "$bench" program --self --library "$library" -r 1 --output="$work/text" -- printenv LD_PRELOAD
case $(cat "$work/text") in *libslaballoc-malloc*) ;; *) wrong 'the program had no library preloaded' ;; esac
try 1 "$bench" program --csv -r 1 -- sh -c 'exit 3'; err_has 'sh under system failed: exit status 3'
try 1 "$bench" program --system --timeout=1 -r 1 -- sleep 20; out_has 'failed: not finished after 1 s'
try 1 "$bench" program --system -r 1 -- /nonexistent/program; out_has 'failed: cannot start .*: No such file'
# The same seed does the same work, another one other work.
calls() { "$bench" --system --csv $small --seed "$1" stress | tail -n 1 | cut -d , -f 8; }
cases=$((cases + 1)) what='calls by seed'
[ "$(calls 7)" = "$(calls 7)" ] || wrong 'differ for one seed'
[ "$(calls 7)" != "$(calls 8)" ] || wrong 'equal for two seeds'
# LD_PRELOAD of the environment would be measured as the system's malloc.
try 0 env LD_PRELOAD="$library" "$bench" --system $small single
err_has 'LD_PRELOAD of the environment is not used'

# --- slaballoc-bench: bad input ---
usage "unrecognized option '--nonsense'" "$bench" --nonsense
usage "invalid option -- 'x'" "$bench" -x
usage 'requires an argument' "$bench" --threads
usage "unknown scenario 'nonsense'" "$bench" --system single nonsense
for value in 0 -1 1025 99999999999999999999 x 2x '' ' 2' 1.5 0x10; do
  usage "bad value '$value' of --threads (1 to 1024)" "$bench" --threads="$value"
done
for value in 0 -1 1024 x ''; do
  usage "bad value '$value' of --producers (1 to 1023)" "$bench" --producers="$value"
done
for value in 0 -5 1e9 99999999999999999999G 2000T; do
  usage "bad value '$value' of --ops" "$bench" --ops="$value"
done
for value in 0 1023 -1K 2048T 1KK K 18446744073709551615G; do
  usage "bad value '$value' of --live" "$bench" --live="$value"
done
for value in 0 0.001 -1 nan inf 1e9 3601 1s; do
  usage "bad value '$value' of --seconds" "$bench" --seconds="$value"
done
for value in 0 1001 -3; do
  usage "bad value '$value' of --repeat (1 to 1000)" "$bench" --repeat="$value"
done
usage "bad value '0' of --timeout" "$bench" --timeout=0
usage "bad value '18446744073709551616' of --seed" "$bench" --seed=18446744073709551616
for value in 15 0 2K..1K 1..2 16.. ..32 2G x; do
  usage "bad value '$value' of --size" "$bench" --size="$value"
done
for value in x threads seed=1..2 =1..2 ''; do
  usage "bad value '$value' of --sweep" "$bench" --sweep="$value"
done
for value in 0..4 4..1 1..1025 '' x 1..; do
  usage "bad range '$value' of --sweep" "$bench" --sweep="threads=$value"
done
usage "scenario 'single' has no --threads to sweep" "$bench" --sweep=threads=1..2 single
usage "scenario 'churn' has no --live to sweep" "$bench" --sweep=live=1M..2M churn
usage 'cannot make the directory' "$bench" --system --report /nonexistent/report single
usage '--report needs' "$bench" --report=
usage 'no program to run' "$bench" program
usage 'no program to run' "$bench" program --
usage "cannot read '/nonexistent'" "$bench" program --input=/nonexistent -- true
usage 'exclude each other' "$bench" --ops=5 --seconds=1
usage "cannot read library '/nonexistent.so': No such file" "$bench" --library /nonexistent.so single
usage "cannot read library '/nonexistent.so'" env SLABALLOC_LIBRARY=/nonexistent.so "$bench" single
usage 'cannot read library' "$bench" --alloc other=/nonexistent.so
usage 'is not a shared library' "$bench" --alloc other=/dev/null
usage 'is not a shared library' "$bench" --alloc "other=$work"
usage 'is not a shared library' "$bench" --alloc "other=$work/plain"
usage 'blank or a colon' "$bench" --alloc "other=$work/with blank.so"
for spec in other =x other= ''; do
  usage "bad allocator '$spec'" "$bench" --alloc="$spec"
done
usage "bad allocator name 'a,b'" "$bench" --alloc "a,b=$library"
usage 'bad allocator name' "$bench" --alloc "a-name-that-is-far-too-long-for-a-table=$library"
usage "allocator 'system' is named twice" "$bench" --system --alloc "system=$library"
usage "allocator 'x' is named twice" "$bench" --alloc "x=$library" --alloc "x=$library"
usage 'not for use by hand' "$bench" --child
try 1 sh -c "\"$bench\" --list > /dev/full"
try 1 sh -c "\"$bench\" --system $small single > /dev/full"; err_has 'cannot write'

# --- slaballoc-bench: allocators that fail; the others go on ---
cat > "$work/bad.c" <<'END'
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static char arena[1 << 28];
static size_t used, calls;
void *malloc(size_t size)
{
    size_t at = __atomic_fetch_add(&used, (size + 79) & ~(size_t)63, __ATOMIC_RELAXED);
    if (__atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) > 500) {
        MISDEED;
    }
    *(size_t *)(void *)(arena + at + 48) = size;
    return arena + at + 64;
}
void free(void *block) { (void)block; }
void *calloc(size_t count, size_t size) { return malloc(count * size); }
void *realloc(void *block, size_t size)
{
    void *fresh = malloc(size);
    if (block != NULL) {
        size_t old = *(size_t *)(void *)((char *)block - 16);
        memcpy(fresh, block, old < size ? old : size);
    }
    return fresh;
}
END
bad() { # NAME MISDEED
  ${CC:-cc} -shared -fPIC -O1 -fno-builtin -w -DMISDEED="$2" -o "$work/$1.so" "$work/bad.c" 2> "$work/cc.err"
}
# failing NAME REASON OPTIONS...: its row fails for the reason, the system's and the drop-in's are good.
failing() {
  name=$1 reason=$2
  shift 2
  try 1 "$bench" --library "$library" --alloc "$name=$work/$name.so" "$@"
  out_has " $name  *failed: $reason"; out_has ' system  *[0-9.]* '; out_has ' slaballoc  *[0-9.]* '
}
if ! bad crash 'abort()'; then
  echo "no C compiler ($(head -n 1 "$work/cc.err")): failing allocators not tested"
  finish
fi
bad hang 'for (;;) pause()'
bad null 'return NULL'
bad quit '_exit(5)'
bad same 'return arena + 64'
# An allocator with interfaces of its own: its heaps work, its object caches forget the constructor.
cat >> "$work/bad.c" << 'END'
void *sla_heap_create(const char *name) { return name == NULL ? arena : NULL; }
void *sla_heap_malloc(void *heap, size_t size) { return heap == arena ? malloc(size) : NULL; }
void sla_heap_destroy(void *heap) { if (heap != arena) abort(); }
void *sla_cache_create(void) { return arena; }
void *sla_cache_alloc(void *cache) { return cache == arena ? malloc(192) : NULL; }
void sla_cache_free(void *cache, void *object) { (void)cache, (void)object; }
int sla_cache_destroy(void *cache) { return cache != arena; }
END
bad own 'calls = 0'
echo 'int nothing;' > "$work/empty.c"
${CC:-cc} -shared -fPIC -o "$work/empty.so" "$work/empty.c"
failing crash 'killed by signal 6 (Aborted)' $small single
failing hang 'not finished after 1 s' --timeout=1 $small single
failing null 'out of memory for a block' $small multi
failing quit 'exit status 5' $small single
failing same 'contents of a block' $small -t 1 stress
failing empty 'the library was not preloaded or has no malloc' $small single
failing own 'an object was not as it is set up' -r 2 -n 20000 --live 256K objects
try 0 "$bench" --system --alloc "own=$work/own.so" --csv -r 2 -n 20000 requests-heap
out_has '^requests-heap,own,ok,2,.*,by sla_heap_create=[1-9]'; out_has '^requests-heap,system,ok,2,.*,by malloc='
{ printf '\177ELF'; head -c 4000 /dev/zero; } > "$work/fake.so"
failing fake 'the library was not preloaded or has no malloc' $small single
try 1 "$bench" --system --csv --alloc "crash=$work/crash.so" $small single multi
out_has '^multi,crash,failed,0,'; out_has '^multi,system,ok,2,'
err_has 'multi under crash failed: killed by signal 6'
[ "$(awk -F , '{ print NF }' "$work/out" | sort -u)" = 51 ] || wrong 'rows of different length'
finish
