#!/bin/sh
# git.sh: a repository of thousands of objects: add, commit, clone, gc, fsck,
# log, with the same object names as on the C library's malloc.
#
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.sh"
need git

files=600
[ "$quick" = 1 ] && files=300
HOME=$work
GIT_CONFIG_NOSYSTEM=1
GIT_AUTHOR_NAME=test GIT_AUTHOR_EMAIL=test@example.org GIT_COMMITTER_NAME=test GIT_COMMITTER_EMAIL=test@example.org
GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000'
export HOME GIT_CONFIG_NOSYSTEM GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL
export GIT_AUTHOR_DATE GIT_COMMITTER_DATE files

cat >session.sh <<'SESSION'
set -e
git init -q -b main repo
cd repo
git config gc.auto 0
for round in 1 2 3 4; do
    mkdir -p dir$round
    awk -v n="$files" -v r="$round" 'BEGIN {
        for (i = 0; i < n; i++) {
            f = sprintf("dir%d/file%d", r, i)
            for (j = 0; j < i % 40 + 1; j++) print "line", j, "of", i, "round", r * i % 7 > f
            close(f)
        }
        for (j = 0; j < 20000; j++) print (j * 7919 + r) % 10007 > "large"
    }'
    git add -A
    git commit -q -m "round $round"
done
git log --oneline --stat | tail -3
git rev-parse HEAD HEAD^{tree}
git diff --stat HEAD~2 HEAD | tail -1
git blame large | cut -c 1-8 | sort | uniq -c | sort -n | tail -2
cd ..
git clone -q --no-local repo copy
git -C copy rev-parse HEAD
git -C repo gc -q --prune=now
git -C repo fsck --full --strict --no-progress
git -C copy fsck --full --no-progress
git -C repo count-objects -v | grep -E '^(count|in-pack|packs|garbage):'
git -C repo checkout -q HEAD~3
git -C repo grep -c 'of 39' -- dir1 | head -5
git -C repo rev-list --objects --all | sort | sha1sum
git -C copy log --no-such-option 2>&1 | head -1
SESSION
both sh ../session.sh
[ "$preloaded_status" = 0 ] || { cat preloaded.err >&2; fail "the session ended with $preloaded_status"; }
echo "$name: $((files * 4)) files"
