#!/bin/sh
# atomics.sh [ROOT]: atomic operations only through util/atomic.h, so that every
# use spells its order and the same source runs under another implementation.
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.sh"

c_files src | grep -v '^src/util/atomic\.h$' | code_of |
  grep -E '__atomic_|__sync_|(^|[^A-Za-z0-9_])_Atomic|stdatomic|[^A-Za-z0-9_]atomic_[a-z_]+ *\(|memory_order|__ATOMIC_' |
  sed 's/\([^:]*:[0-9]*\):.*/\1: an atomic operation outside util\/atomic.h/' | faults
verdict
