#!/bin/sh
# sqlite.sh: a script of 300,000 rows with indexes, joins, text and blobs.
#
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.sh"
need sqlite3

rows=300000
[ "$quick" = 1 ] && rows=30000
cat >script.sql <<SQL
PRAGMA journal_mode = MEMORY;
PRAGMA temp_store = MEMORY;
CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c REAL, d BLOB);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $rows)
INSERT INTO t SELECT i, printf('row %d %s', i, hex(i * 7919 % 10007)), i / 7.0,
    CASE i % 10 WHEN 0 THEN zeroblob(i % 900) ELSE x'00ff' END FROM n;
CREATE INDEX t_b ON t(b);
CREATE INDEX t_c ON t(c, b);
SELECT count(*), sum(a), round(avg(c), 3), sum(length(b)), sum(length(d)) FROM t;
SELECT b FROM t WHERE b LIKE 'row 12345%' ORDER BY b LIMIT 20;
SELECT a % 17 AS k, count(*), min(b), max(b), group_concat(substr(b, 1, 5)) IS NOT NULL FROM t GROUP BY k ORDER BY k;
SELECT x.a, y.b FROM t x JOIN t y ON y.a = x.a * 3 WHERE x.a BETWEEN 100 AND 120;
UPDATE t SET b = b || ' changed' WHERE a % 3 = 0;
DELETE FROM t WHERE a % 5 = 1;
SELECT count(*), sum(length(b)) FROM t;
SELECT length(group_concat(b, ';')) FROM t;
SELECT sum(json_extract(json_object('a', a, 'b', b), '\$.a')) FROM t;
CREATE TABLE u AS SELECT * FROM t ORDER BY b DESC;
SELECT a FROM u LIMIT 5;
SELECT no_such_column FROM t;
PRAGMA integrity_check;
VACUUM;
SQL
both sh -c 'sqlite3 test.db <../script.sql'
grep -q '^ok$' preloaded.out || fail "the integrity check does not say ok"
cmp plain/test.db preloaded/test.db || fail "the databases differ"
echo "$name: $rows rows"
