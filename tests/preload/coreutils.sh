#!/bin/sh
# coreutils.sh: sort, grep, awk, sed, tar, bash on the drop-in.
#
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.sh"
need sort grep awk sed tar
lines=100000
[ "$quick" = 1 ] && lines=30000
awk -v n="$lines" 'BEGIN { for (i = 0; i < n; i++) print (i * 7919) % 1000003, "text", i % 97, "more", i }' >data
LC_ALL=C
export LC_ALL

both sort -n --parallel=2 -S 20M ../data
both sort -k3,3n -k1,1r -u ../data
both grep -c '9[0-4].*7$' ../data
both grep -E '(12|34){2}' ../data
both grep -r . ../no-such-directory
both awk '{ sum[$3] += $1; text[$3] = text[$3] substr($1, 1, 2) } END { for (i = 0; i < 97; i++) print i, sum[i], length(text[i]) }' ../data
both sed -n 's/\([0-9]*\) text \(9.\)/<\2 \1>/p' ../data
both sh -c 'tar -cf - ../data 2>/dev/null | tar -xOf - | cksum'
both sh -c 'cut -d" " -f1,3 ../data | tr 0-9 a-j | uniq -c | tail -3'
both ls -lR /usr/include/linux/netfilter
both expr 12345678901234567890 '*' 98765432109876543210
both seq 1 0.5 20000
if command -v bash >/dev/null 2>&1; then
    both bash -c 'declare -A h; for i in {1..8000}; do h[k$((i % 500))]+=$i; done; for i in {0..499}; do echo "$i ${h[k$i]}"; done
        x=$(for i in {1..50}; do (echo "sub $i"); done); echo "${#x}"; exit 7'
    [ "$preloaded_status" = 7 ] || fail "bash ended with $preloaded_status"
fi
for tool in xz gzip bzip2; do
    command -v $tool >/dev/null 2>&1 && both sh -c "$tool -c <../data | $tool -dc | cksum"
done
echo "$name: $lines lines"
