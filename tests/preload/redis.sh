#!/bin/sh
# redis.sh: redis-server on the drop-in under redis-benchmark, then a shutdown
# that saves, and the data read back by a server on the C library's malloc.
#
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.sh"
need redis-server redis-cli redis-benchmark

requests=100000
[ "$quick" = 1 ] && requests=10000
socket=$work/redis.sock
server=

cleanup() {
    [ -n "$server" ] && kill -9 "$server" 2>/dev/null
}

cli() { redis-cli -s "$socket" "$@"; }

start() {
    "$@" redis-server --port 0 --unixsocket "$socket" --dir "$work" --save '' --appendonly no \
        --dbfilename dump.rdb --daemonize no >server.log 2>&1 &
    server=$!
    tries=0
    until [ "$(cli ping 2>/dev/null)" = PONG ]; do
        tries=$((tries + 1))
        [ $tries -gt 100 ] && { cat server.log >&2; fail "the server does not answer"; }
        kill -0 "$server" 2>/dev/null || { cat server.log >&2; fail "the server died at its start"; }
        sleep 0.1
    done
}

stop() {
    cli shutdown "$1" >/dev/null 2>&1
    wait "$server"
    status=$?
    server=
    [ $status = 0 ] || { cat server.log >&2; fail "the server ended with $status"; }
}

start "$SLABALLOC_RUN"
is_mapped "$server" || fail "the server does not have the drop-in"
redis-benchmark -s "$socket" -q -n "$requests" -d 64 -r 20000 -t set,get,lpush >bench.log 2>&1 ||
    fail "redis-benchmark failed: $(tail -1 bench.log)"
cli del mylist >/dev/null
# The list that LRANGE reads is filled by redis-benchmark itself.
redis-benchmark -s "$socket" -q -n "$requests" -P 16 -t lrange_100 >>bench.log 2>&1 ||
    fail "redis-benchmark failed: $(tail -1 bench.log)"
i=0
while [ $i -lt 200 ]; do
    echo "SET key:check:$i value-$i-$(printf '%0*d' $((i * 7 + 1)) 1)"
    echo "RPUSH list:check item-$i"
    echo "HSET hash:check field-$i $i"
    i=$((i + 1))
done | cli >/dev/null || fail "setting the keys"
cli config set activedefrag no >/dev/null
cli memory purge >/dev/null
cli info memory >/dev/null || fail "INFO"
cli eval 'local t = {} for i = 1, 20000 do t[i] = tostring(i) end return #t' 0 | grep -q 20000 || fail "EVAL"
sum_before=$(cli debug digest 2>/dev/null || true)
size_before=$(cli dbsize)
cli bgsave >/dev/null
while [ "$(cli info persistence | tr -d '\r' | sed -n 's/^rdb_bgsave_in_progress://p')" != 0 ]; do sleep 0.1; done
cli info persistence | grep -q rdb_last_bgsave_status:ok || fail "background saving, a fork of the server, failed"
stop save
grep -Eiq 'crash|assert|bug report|slaballoc:' server.log && { cat server.log >&2; fail "the log shows a fault"; }

start env
[ "$(cli dbsize)" = "$size_before" ] || fail "the data read back is not what was saved"
[ "$(cli get key:check:150)" = "value-150-$(printf '%0*d' 1051 1)" ] || fail "a value read back is wrong"
[ "$(cli hget hash:check field-77)" = 77 ] || fail "a field read back is wrong"
[ -z "$sum_before" ] || [ "$(cli debug digest 2>/dev/null || true)" = "$sum_before" ] || fail "the digest differs"
stop nosave
echo "$name: $requests requests each, $size_before keys"
