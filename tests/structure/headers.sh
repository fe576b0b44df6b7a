#!/bin/sh
# headers.sh [ROOT]: each header compiles alone, and included twice: the public
# ones as C11, C17 and C++17 (those for C++ alone as that) with every warning an error,
# the internal ones as C11.
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.sh"

cc=${CC:-cc}
c_warnings='-Wall -Wextra -Wundef -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Werror'

# alone HEADER LANGUAGE COMPILER FLAGS...
alone() {
  header=$1 language=$2
  shift 2
  printf '#include "%s"\n#include "%s"\ntypedef int not_empty;\n' "$header" "$header" > "$work/alone.$language"
  "$@" -fsyntax-only "$work/alone.$language" 2> "$work/errors" ||
    { fault "$header: does not compile alone: $*"; sed -n '1,3p' "$work/errors" | faults; }
}

for path in $(find include -name '*.h' | sort); do
  header=${path#include/}
  # shellcheck disable=SC2086
  for standard in c11 c17; do
    alone "$header" c $cc -std=$standard -pedantic $c_warnings -Iinclude
  done
  # shellcheck disable=SC2086
  [ -z "${CXX-}" ] || alone "$header" cc $CXX -std=c++17 -pedantic -Wall -Wextra -Wundef -Wshadow -Werror -Iinclude
done
[ -z "${CXX-}" ] || for path in $(find include -name '*.hpp' | sort); do
  # shellcheck disable=SC2086
  alone "${path#include/}" cc $CXX -std=c++17 -pedantic -Wall -Wextra -Wundef -Wshadow -Werror -Iinclude
done
[ -n "${CXX-}" ] || echo 'no C++ compiler: the C++ half is not tested'

[ ! -d src ] || for path in $(find src -name '*.h' | sort); do
  # shellcheck disable=SC2086
  alone "${path#src/}" c $cc -std=gnu11 -D_GNU_SOURCE -DSLA_DEBUG=0 -DSLA_TESTING=0 $c_warnings -Wno-unused-function \
    -Isrc -Iinclude
done
verdict
