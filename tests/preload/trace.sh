#!/bin/sh
# trace.sh: record, replay and show of slaballoc-bench on real programs; what a
# program does while it is recorded is what it does otherwise.
#
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.sh"

[ -x "$SLABALLOC_BENCH" ] || skip "there is no $SLABALLOC_BENCH"
[ -e "${SLABALLOC_RECORDER:-}" ] || skip "there is no recorder"
bench() { "$SLABALLOC_BENCH" "$@"; }

# status WANTED COMMAND...: with that exit status and a message, which it leaves in message.
status() {
    wanted=$1
    shift
    "$@" >out 2>message
    got=$?
    [ $got = "$wanted" ] || { cat message >&2; fail "exit status $got and not $wanted of: $*"; }
    [ "$wanted" = 0 ] || [ "$(grep -c '' message)" -le 3 ] || { cat message >&2; fail "a long message of: $*"; }
}
says() { grep -q -- "$1" message || { cat message >&2; fail "the message does not say '$1'"; }; }

# same TRACE: replayed on the C library and on ours, with the calls that were recorded.
same() {
    bench replay -r 1 --library="$LIBSLABALLOC_MALLOC" "$@" >replay.out 2>&1 || { cat replay.out >&2; fail "replay $*"; }
    grep -q 'peak live bytes.*equal$' replay.out || { cat replay.out >&2; fail "replay $*: no peak"; }
    if grep -q DIFFERENT replay.out; then cat replay.out >&2; fail "replay $*: other calls"; fi
    grep -Eq '^(malloc|calloc) .* equal$' replay.out || fail "replay $*: no calls"
}

# calls TRACE: their number.
calls() { bench show "$1" 2>/dev/null | sed -n 's/^calls  *\([0-9][0-9]*\), in.*/\1/p'; }

# --- threads that hand blocks to each other, fork, end early and are killed ---
cat >threads.c <<'C'
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ROUNDS = 20000 };
static void *box;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static void *produce(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        char *block = malloc((size_t)i % 3000 + 1);
        block[0] = (char)i;
        pthread_mutex_lock(&lock);
        while (box != NULL)
            pthread_cond_wait(&changed, &lock);
        box = block;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
    }
    return arg;
}

static void *consume(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&lock);
        while (box == NULL)
            pthread_cond_wait(&changed, &lock);
        char *block = box;
        box = NULL;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
        if (i % 5 == 0)
            block = realloc(block, 5000);
        free(block);
    }
    return arg;
}

static void *brief(void *arg)
{
    return calloc(1, 100 + (arg != NULL));
}

int main(int argc, char **argv)
{
    pthread_t threads[2];
    void *result;

    pthread_create(&threads[0], NULL, produce, NULL);
    pthread_create(&threads[1], NULL, consume, NULL);
    for (int i = 0; i < 200; i++) {
        pthread_t one;
        pthread_create(&one, NULL, brief, argv);
        pthread_join(one, &result);
        free(result);
        if (i % 50 == 0) {
            pid_t child = fork();
            if (child == 0) {
                for (int k = 0; k < 1000; k++)
                    free(malloc(100));
                _exit(0);
            }
            waitpid(child, NULL, 0);
        }
    }
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    void *aligned;
    if (posix_memalign(&aligned, 256, 1000) != 0)
        return 1;
    free(aligned);
    free(aligned_alloc(64, 640));
    puts("done");
    fflush(stdout);
    if (argc > 1)
        kill(getpid(), SIGKILL);
    return 7;
}
C
$CC -O1 -fno-builtin -o threads threads.c -lpthread 2>cc.log || { cat cc.log >&2; fail "compiling"; }
status 7 bench record -o threads.trace -- ./threads
grep -q '^done$' out || fail "the output of a recorded program"
same threads.trace
same --touch=none threads.trace
same --touch=all threads.trace
bench show threads.trace >show.out 2>message || fail "show"
[ ! -s message ] || fail "show of a good trace has a message"
grep -q '^program  *./threads$' show.out || fail "show does not name the program"
grep -q ' 203 threads' show.out || fail "show does not count the threads"
grep -Eq 'cross-thread 20[0-9]{3} of' show.out || { cat show.out >&2; fail "show does not count what crosses"; }
grep -q '^unknown' show.out && fail "objects of nobody"

# Killed: what it did is there.
status 137 bench record -q -o killed.trace -- ./threads killed
same killed.trace
[ "$(calls killed.trace)" -ge 44000 ] || fail "the trace of a killed program has $(calls killed.trace) calls"

# The recording itself is killed: the file is as the recorder left it.
bench record -q -o half.trace -- sh -c 'kill -9 $PPID; exec ./threads' >/dev/null 2>&1
tries=0
until [ "$(calls half.trace)" -ge 44000 ] 2>/dev/null; do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || fail "the trace of a recording that was killed"
    sleep 0.1
done
sleep 0.2
status 0 bench show half.trace
says 'not finished'
same half.trace

# Children, and one by its name.
status 7 bench record -q -c -o family.trace -- ./threads
[ "$(find . -name 'family.trace.[0-9]*' | wc -l)" = 4 ] || fail "the traces of four children"
for child in family.trace.[0-9]*; do
    [ "$(calls "$child")" = 2000 ] || fail "a child of a fork: $(calls "$child") calls"
    same "$child"
done
status 7 bench record -q -p threads -o named.trace -- sh -c 'true; ./threads; exit $?'
[ "$(calls named.trace)" -ge 44000 ] || fail "a program by its name"

# --- real programs ---
# real NAME COMMAND...
real() {
    trace=$1
    shift
    "$@" >plain.out 2>plain.err
    plain_status=$?
    bench record -q -o "$trace" -- "$@" >recorded.out 2>recorded.err
    [ $? = $plain_status ] || { cat recorded.err >&2; fail "$1: another exit status when recorded"; }
    cmp plain.out recorded.out && cmp plain.err recorded.err || fail "$1: another output when recorded"
    same "$trace"
    size=$(wc -c <"$trace") count=$(calls "$trace")
    # The header is 4096 bytes.
    [ $((size - 4096)) -le $((8 * count)) ] || fail "$1: $size bytes for $count calls"
    echo "$name: $1: $count calls, $size bytes"
}
if command -v sqlite3 >/dev/null 2>&1; then
    real sqlite.trace sqlite3 :memory: "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
        INSERT INTO t SELECT i, hex(i * 7919 % 10007) FROM n; CREATE INDEX x ON t(b);
        SELECT count(*), min(b), max(b) FROM t; SELECT length(group_concat(b)) FROM t;"
fi
python=$(python3 -c 'import sys; print(sys.executable)' 2>/dev/null)
if [ -x "$python" ]; then
    PYTHONMALLOC=malloc
    export PYTHONMALLOC
    real python.trace "$python" -c 'import json; d = [{str(j): "v" * j for j in range(20)} for i in range(500)]
print(len(json.dumps(d)), sum(len(str(i)) for i in range(20000)))'
fi
if command -v "$CXX" >/dev/null 2>&1; then
    echo '#include <map>
#include <string>
std::map<std::string, int> m; int main() { return m.size(); }' >small.cc
    status 0 bench record -q -p cc1plus -o cxx.trace -- "$CXX" -O1 -c small.cc -o small.o
    same cxx.trace
fi

# --- what is not as it should be ---
status 2 bench record
says 'record: -o FILE is missing'
status 2 bench record -o x.trace
says 'no program'
status 2 bench record -o x.trace --no-such-option true
status 2 bench record --recorder=./nowhere.so -o x.trace true
says 'nowhere.so'
status 1 bench record -o /nonexistent/x.trace true
says '/nonexistent/x.trace'
status 127 bench record -o x.trace ./no-such-program
says 'no-such-program'
status 1 bench record -p nobody -o x.trace true
says 'no program of that name'
for command in replay show; do
    status 2 bench $command
    says "$command: no trace"
    status 2 bench $command a b
    says 'more than one trace'
    status 1 bench $command ./nowhere.trace
    says 'nowhere.trace: No such file'
    status 1 bench $command .
    says 'not a regular file'
    status 1 bench $command threads.c
    says 'threads.c: not a trace'
    : >empty.trace
    status 1 bench $command empty.trace
    says 'not a trace'
done
status 2 bench replay --touch=much threads.trace
says "bad value 'much' of --touch"

# Damaged: refused, or what is left of it.  Cut off: used.
size=$(wc -c <threads.trace)
cp threads.trace damaged.trace
printf 'XXXX' | dd of=damaged.trace bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null
status 1 bench show damaged.trace
says 'damaged in 1 place'
status 1 bench replay damaged.trace
says 'damaged in 1 place'
same --force damaged.trace
head -c $((size / 2)) threads.trace >cut.trace
status 0 bench show cut.trace
says 'the end of the file is missing'
same cut.trace
echo "$name: $(calls threads.trace) calls of 203 threads"
