#!/bin/sh
# redis.sh: units of redis's own suite, against the system's server.
# SPDX-License-Identifier: MIT
. "${top_srcdir:?}/tests/programs/common.sh"
need redis-server redis-cli redis-benchmark tclsh
source_of redis
cd "$src" || exit 99
for program in server cli benchmark check-aof check-rdb sentinel; do
    path=$(command -v "redis-$program") && ln -sf "$path" "src/redis-$program"
done
port=$((21000 + $$ % 100 * 100))
one() {
    $with tclsh tests/test_helper.tcl --single "$1" --clients 1 --baseport "$port" --portcount 90
}
small='unit/dump unit/auth unit/protocol unit/keyspace unit/scan unit/type/incr unit/type/list-2 unit/type/hash
    unit/type/stream unit/sort unit/multi unit/quit unit/acl unit/pubsub unit/slowlog unit/scripting unit/functions
    unit/introspection-2 unit/bitfield unit/hyperloglog unit/lazyfree unit/querybuf unit/tracking unit/geo
    integration/convert-ziplist-zset-on-load integration/redis-benchmark'
large="$small unit/info unit/info-command unit/type/string unit/type/list unit/type/list-3 unit/type/set
    unit/type/zset unit/expire unit/other unit/aofrw unit/acl-v2 unit/latency-monitor unit/pubsubshard
    unit/maxmemory unit/introspection unit/limits unit/obuf-limits unit/bitops unit/memefficiency unit/wait
    unit/pause unit/networking unit/client-eviction unit/violations unit/replybufsize integration/replication
    integration/replication-psync integration/aof integration/rdb integration/corrupt-dump
    integration/corrupt-dump-fuzzer integration/logging integration/redis-cli integration/dismiss-mem"
# shellcheck disable=SC2046
run_units $(pick "$small" "$large")
