#!/bin/sh
# run-demo.sh: what 'make run' shows.  Some scenarios of slaballoc-bench
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

# --- the scenarios: the four classic ones unless others are asked for ---
[ $# -gt 0 ] || set -- --quick --repeat=5 single multi stress large
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

# command_of PROGRAM ACTION...: the action on the program's command.
command_of() {
  program=$1
  shift
  case $program in
    python3) "$@" env PYTHONMALLOC=malloc PYTHONHASHSEED=0 python3 -S "$work/python3" ;;
    sqlite3) "$@" sqlite3 -batch -init "$work/sqlite3" :memory: .quit ;;
    perl) "$@" env PERL_HASH_SEED=0 perl "$work/perl" ;;
  esac
}

# Its output without and with the drop-in, then its figures by turns on both.
outputs() {
  "$@" > "$work/without" 2> "$work/errors" < /dev/null &&
    "$SLABALLOC_RUN" -l "$LIBSLABALLOC_MALLOC" "$@" > "$work/with" 2> "$work/errors" < /dev/null
}
figures() {
  "$SLABALLOC_BENCH" program --library "$LIBSLABALLOC_MALLOC" --csv -r 3 -- "$@" > "$work/figures" 2> "$work/errors"
}

echo
echo 'Real programs under slaballoc-run: medians of 3 runs, interleaved'
printf '%-10s %12s %12s %12s %12s   %s\n' '' 'seconds' 'seconds' 'peak MiB' 'peak MiB' 'same'
printf '%-10s %12s %12s %12s %12s   %s\n' 'program' 'system' 'slaballoc' 'system' 'slaballoc' 'output'
ran=0
for program in python3 sqlite3 perl; do
  command -v $program > /dev/null 2>&1 || continue
  ran=$((ran + 1))
  if ! command_of $program outputs || ! command_of $program figures; then
    echo "$program failed:" >&2
    cat "$work/errors" >&2
    status=1
    continue
  fi
  same=yes
  cmp -s "$work/without" "$work/with" || { same=NO; status=1; }
  [ -s "$work/with" ] || { same='NONE'; status=1; }
  # The columns are found by the names in the first line.
  awk -F , -v p=$program -v same=$same '
    NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i; next }
    { wall[$2] = $column["wall_s"]; peak[$2] = $column["peak_kib"] }
    END {
      printf "%-10s %12.2f %12.2f %12.1f %12.1f   %s\n", p, wall["system"], wall["slaballoc"],
        peak["system"] / 1024, peak["slaballoc"] / 1024, same
    }' "$work/figures"
done
[ "$ran" -gt 0 ] || echo '(none of python3, sqlite3 and perl is here)'
exit $status
