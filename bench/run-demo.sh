#!/bin/sh
# run-demo.sh: what 'make run' shows.  The four scenarios of slaballoc-bench
# against the system's malloc, then real programs with and without the drop-in:
# the same output, and time and peak memory side by side.
# SPDX-License-Identifier: MIT
set -u
LC_ALL=C
export LC_ALL
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
status=0

if [ ! -r "$LIBSLABALLOC_MALLOC" ]; then
  echo 'make run: this build has no shared libslaballoc-malloc, nothing to show' >&2
  exit 1
fi

# --- the scenarios ---
"$SLABALLOC_BENCH" "$@" || status=1

# --- real programs ---
cat > "$work/python3" <<'END'
import json, hashlib
words = ["%x" % (n * 2654435761 % 2**32) for n in range(60000)]
table = {}
for n, word in enumerate(words):
    table.setdefault(word[:3], []).append({"word": word, "n": n, "tags": [word[i:i + 2] for i in range(0, 6, 2)]})
for _ in range(4):
    text = json.dumps(table, sort_keys=True)
    table = json.loads(text)
print(len(text), hashlib.sha256(text.encode()).hexdigest())
END
cat > "$work/sqlite3" <<'END'
CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, value INTEGER);
WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 200000)
INSERT INTO t SELECT n, printf('name-%d-%d', n * 7919 % 100003, n), n * 31337 % 65521 FROM c;
CREATE INDEX i ON t(name);
SELECT count(*), sum(value), min(name), max(name) FROM t;
SELECT value % 10 AS d, count(*), group_concat(substr(name, 1, 8)) IS NULL FROM t GROUP BY d ORDER BY d;
DELETE FROM t WHERE id % 3 = 0;
SELECT count(*), sum(length(name)) FROM t WHERE name LIKE 'name-5%';
END
cat > "$work/perl" <<'END'
my (%count, $sum);
for my $n (1 .. 400000) {
    my $word = sprintf("%x", $n * 2654435761 % 1048583);
    push @{$count{substr($word, 0, 3)}}, $word . "x" x ($n % 40);
}
for my $key (sort keys %count) {
    my $text = join ",", sort @{$count{$key}};
    $sum = ($sum * 31 + length($text) + unpack("%32C*", $text)) % 4294967291;
}
print scalar(keys %count), " ", $sum, "\n";
END

# once PROGRAM with|without: one run; its figures are added to PROGRAM.WHICH.
once() {
  case $1 in
    python3) set -- "$2" python3 env PYTHONMALLOC=malloc PYTHONHASHSEED=0 python3 -S "$work/python3" ;;
    sqlite3) set -- "$2" sqlite3 sqlite3 -batch -init "$work/sqlite3" :memory: .quit ;;
    perl) set -- "$2" perl env PERL_HASH_SEED=0 perl "$work/perl" ;;
  esac
  which=$1 program=$2
  shift 2
  [ "$which" = without ] || set -- "$SLABALLOC_RUN" -l "$LIBSLABALLOC_MALLOC" "$@"
  "$MEASURE" "$work/figures" "$@" > "$work/$program.$which.output" 2> "$work/errors" || {
    echo "$program, $which slaballoc, failed:" >&2
    cat "$work/errors" >&2
    return 1
  }
  cat "$work/figures" >> "$work/$program.$which"
}

median() { # FILE COLUMN
  sort -n -k "$2" "$1" | awk -v column="$2" '{ v[NR] = $column } END { print v[int((NR + 1) / 2)] }'
}

echo
echo 'Real programs under slaballoc-run: medians of 3 runs, interleaved'
printf '%-10s %12s %12s %12s %12s   %s\n' '' 'seconds' 'seconds' 'peak MiB' 'peak MiB' 'same'
printf '%-10s %12s %12s %12s %12s   %s\n' 'program' 'system' 'slaballoc' 'system' 'slaballoc' 'output'
ran=0
for program in python3 sqlite3 perl; do
  command -v $program > /dev/null 2>&1 || continue
  ran=$((ran + 1))
  for _ in 1 2 3; do
    once $program without && once $program with || { status=1; continue 2; }
  done
  same=yes
  cmp -s "$work/$program.without.output" "$work/$program.with.output" || { same=NO; status=1; }
  [ -s "$work/$program.with.output" ] || { same='NONE'; status=1; }
  echo "$(median "$work/$program.without" 1) $(median "$work/$program.with" 1)" \
    "$(median "$work/$program.without" 2) $(median "$work/$program.with" 2)" |
    awk -v p=$program -v same=$same '{ printf "%-10s %12.2f %12.2f %12.1f %12.1f   %s\n", p, $1, $2, $3 / 1024, $4 / 1024, same }'
done
[ "$ran" -gt 0 ] || echo '(none of python3, sqlite3 and perl is here)'
exit $status
