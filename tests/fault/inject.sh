#!/bin/sh
# inject.sh: real programs on the drop-in while strace makes the n-th call of one
# kind fail, for n from 1 on.  Each ends as it does without, or says that it has no
# memory; no signal ends it, but for the two documented aborts.
#
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/../preload/common.sh"
need strace sort
strace -f -o trace --inject=madvise:error=EINVAL:when=60000 true 2>/dev/null || skip "strace cannot trace here"

$CC -O1 -Wall -pthread "$top_srcdir/tests/fault/outside.c" -o outside || fail "compiling"
i=0
while [ $i -lt 3000 ]; do
    echo "line $((i * 7919 % 3001)) of some text"
    i=$((i + 1))
done >lines
cat >program.py <<'PY'
words = {str(i): [i] * 20 for i in range(20000)}
assert sum(len(words[w]) for w in words) == 400000
print("fine")
PY
seed=${SLABALLOC_TEST_SEED:-1}
case ${SLABALLOC_TEST_LEVEL:-check} in quick | check) most=2 ;; extended) most=12 ;; soak) most=60 ;; esac
runs=0 refused=0

injected() { # ENVIRONMENT COMMAND...
    environment=$1
    shift
    timeout -s KILL 120 strace -f -q -e trace="$call" -e "inject=$call:error=$err:when=$when" -o trace \
        -E "$environment" "$@"
}

# under CALL ERRNO N NAME COMMAND...
under() {
    call=$1 err=$2 when=$3 what=$4
    shift 4
    injected "LD_PRELOAD=$LIBSLABALLOC_MALLOC" "$@" >out 2>err
    status=$?
    runs=$((runs + 1))
    if [ $status = 0 ]; then
        cmp -s out "$what.out" || fail "$what, $call call $when failing with $err: ended well with other output"
        return
    fi
    refused=$((refused + 1))
    # What the dynamic linker or the program itself asks for may fail as well: that is its own affair, but no crash.
    if [ $status -ge 128 ]; then
        grep -q 'slaballoc: \(mremap failed\|a mapping was lost\)' err && return
        grep -q 'slaballoc: ' err || grep -qi 'memory\|MemoryError\|cannot' err && [ $status = 134 ] && return
        # The dynamic linker's first call, before there is any malloc, is one that it does not survive itself.
        cp trace trace.ours
        injected SLABALLOC= "$@" >/dev/null 2>&1
        [ $? -ge 128 ] && return
        tail -n 5 trace.ours err >&2
        fail "$what, $call call $when failing with $err: ended by signal $((status - 128))"
    fi
}

# each NAME COMMAND...: its calls of each kind, evenly spaced from the first to the last.
each() {
    what=$1
    shift
    LD_PRELOAD=$LIBSLABALLOC_MALLOC "$@" >"$what.out" 2>err || fail "$what does not run"
    strace -f -q -e trace=mmap,munmap,mprotect,madvise,mremap -o all -E "LD_PRELOAD=$LIBSLABALLOC_MALLOC" \
        "$@" >/dev/null 2>&1
    for kind in mmap:ENOMEM mmap:EAGAIN mprotect:ENOMEM mprotect:EACCES munmap:ENOMEM madvise:EINVAL \
        madvise:EAGAIN mremap:ENOMEM mremap:EFAULT; do # and no futex: one that does not wake hangs anybody
        total=$(grep -c " ${kind%:*}(" all)
        # strace counts for each thread: so no n of the whole is too high, some fall into no thread.
        i=0
        while [ $i -lt $most ] && [ $i -lt "$total" ]; do
            step=$((total / most + 1))
            under "${kind%:*}" "${kind#*:}" $((1 + (i * step + seed) % total)) "$what" "$@"
            i=$((i + 1))
        done
        [ "$total" = 0 ] || under "${kind%:*}" "${kind#*:}" "$((1 + seed % total))+2" "$what" "$@"
    done
}

each script ./outside script "$seed"
each sort sort lines
each sh sh -c 'i=0; t=; while [ $i -lt 200 ]; do t="$t$i "; i=$((i + 1)); done; echo "$t"'
! command -v python3 >/dev/null 2>&1 || each python3 python3 -S -c "$(cat program.py)"
echo "ran: real programs with their n-th system call failing, $runs runs, $refused of them ended early, seed $seed"
