#!/bin/sh
# outside.sh: the drop-in where the system gives less than it might: a filter of
# system calls, few mappings, locked memory, the smallest stacks, no descriptors,
# limits, a control group, raised privilege.  Memory, or NULL with ENOMEM; never
# a signal.
#
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/../preload/common.sh"

$CC -O1 -Wall -pthread "$top_srcdir/tests/fault/outside.c" -o outside || fail "compiling"
seed=${SLABALLOC_TEST_SEED:-1}
case ${SLABALLOC_TEST_LEVEL:-check} in quick | check) seeds=1 ;; extended) seeds=8 ;; soak) seeds=40 ;; esac
ran=0

# expect "STATUSES" COMMAND...: it ends with one of them, on the drop-in.
expect() {
    wanted=$1
    shift
    LD_PRELOAD=$LIBSLABALLOC_MALLOC "$@" >out 2>err
    status=$?
    ran=$((ran + 1))
    case " $wanted " in *" $status "*) return 0 ;; esac
    cat out err >&2
    fail "$*: ended with $status, wanted: $wanted"
}

# --- filters: those that refuse a call, and one that lets the documented ones alone through ---
if $TEST_WRAPPER ./outside only "$seed" >/dev/null 2>&1; [ $? != 77 ]; then
    n=0
    while [ $n -lt $seeds ]; do
        each=$((seed + n)) n=$((n + 1))
        expect "0" ./outside only $each
        # ENOMEM 12, EAGAIN 11, EINVAL 22, EPERM 1, EACCES 13, ENOSYS 38
        for err in 12 11 22 1 13; do
            expect "0 3" ./outside fail mmap $err $each
            expect "0 3" ./outside fail mprotect $err $each
            expect "0" ./outside fail madvise $err $each
            expect "0" ./outside fail mremap $err $each
            expect "0" ./outside fail munmap $err $each
        done
        expect "0" ./outside fail getrlimit 1 $each
        expect "0" ./outside fail gettid 38 $each
        expect "0" ./outside fail sched_yield 38 $each
    done
    filters="filters"
else
    filters="no filters: the system does not take them"
fi

# --- limits ---
expect "0" ./outside stacks
expect "0" ./outside mappings 66000
expect "0 3 77" ./outside locked
for mib in 16 20 24 32 48 64 80 96 128 192 256 384 512 768 1024 1536 2048 4096 6144 8192; do
    for limit in v d; do # address space, data
        expect "0 3" sh -c "ulimit -$limit $((mib * 1024)) && exec ./outside script $seed"
    done
done
expect "0" ./outside nofiles
(ulimit -l 64) 2>/dev/null && expect "0 3 77" sh -c "ulimit -l 64 && exec ./outside locked"
for command in "./outside script $seed" "sort /dev/null"; do
    # shellcheck disable=SC2086
    expect "0 2" ./outside closed $command
done
expect "0" sh -c "exec ./outside script $seed <&- >&- 2>&-"
# Where the mappings lie: as the kernel does by default, without randomisation, and from low addresses up.
if setarch -R true 2>/dev/null; then
    expect "0" setarch -R ./outside script "$seed"
    expect "0" setarch -L ./outside script "$seed"
fi

# --- a control group, where one can be made, a fifth above what was used once: what it refuses is a page, and kills ---
group=/sys/fs/cgroup/memory/slaballoc-$$ most=memory.limit_in_bytes peak=memory.max_usage_in_bytes
[ -d /sys/fs/cgroup/memory ] || group=/sys/fs/cgroup/slaballoc-$$ most=memory.max peak=memory.peak
if mkdir "$group" 2>/dev/null; then
    cleanup() { rmdir "$group" 2>/dev/null; }
    inside="echo \$\$ > $group/cgroup.procs && exec ./outside script $seed"
    if sh -c "echo \$\$ > $group/cgroup.procs" 2>/dev/null && expect "0" sh -c "$inside" &&
        used=$(cat "$group/$peak" 2>/dev/null) && echo $((used / 5 * 6)) 2>/dev/null >"$group/$most"; then
        expect "0" sh -c "$inside"
        groups="a control group of $((used / 1000000 * 6 / 5)) MB"
    fi
fi

# --- with raised privilege the environment is not read ---
secure="no set-user-ID program can be run here"
if [ "$(id -u)" = 0 ] && [ -e "$STATIC_MALLOC_A" ] &&
    $CC -O1 -pthread "$top_srcdir/tests/fault/outside.c" "$STATIC_MALLOC_A" -o privileged 2>err; then
    chown 65534 privileged && chmod 4755 privileged && chmod 755 "$work"
    got=$(SLABALLOC_CONF=purge_delay=77 ./outside secure 2>/dev/null || SLABALLOC_CONF=purge_delay=77 ./privileged secure)
    case $got in
    '1 500') secure="a set-user-ID program" ran=$((ran + 1)) ;;
    '0 77') ;; # the mount does not raise privilege
    *) fail "a set-user-ID program says '$got', wanted '1 500': AT_SECURE, and the default of purge_delay" ;;
    esac
    chmod 755 privileged
    got=$(SLABALLOC_CONF=purge_delay=77 ./privileged secure)
    [ "$got" = '0 77' ] || fail "without privilege it says '$got', wanted '0 77'"
fi
echo "ran: a program on the drop-in in $ran narrow places ($filters; ${groups:-no control group}; $secure), seed $seed"
