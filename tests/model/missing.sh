#!/bin/sh
# missing.sh: the library with a step missing, or with one too many, in what its
# threads share: seeded bugs that the model checker finds by itself.  Those that
# need a misuse, many slabs or more than three threads to be seen are not here.
#
# SPDX-License-Identifier: MIT
set -u
[ -x "${top_builddir:-.}/tests/model/test_model" ] || { echo 'skipped: this build has no model checker'; exit 77; }
here=$(cd "$(dirname "$0")" && pwd)
exec sh "$here/../mutants/run.sh" -t tests/model/test_model \
  010-lock-no-wake 011-lock-woken-forgets 012-lock-fork-anyone 013-lock-reset-awaited 014-lock-fork-parent-wake \
  038-slab-take-uncounted 052-slab-recount-remote 100-remote-count-first 102-remote-closed 103-remote-drain-owner \
  104-remote-post-relaxed 105-remote-bits-relaxed 106-collect-relaxed 107-unlock-relaxed 108-lock-relaxed \
  109-region-publish-relaxed 110-depot-adopt-count 112-depot-unlocked 128-thread-inbox-open 129-thread-reopen \
  130-thread-end-none 134-repair-busy 190-fork-meta 192-fork-repair
