#!/bin/sh
# selftest.sh: the structural tests catch what they are there for.  A small tree
# that keeps every rule passes; then each rule is broken once, and its test must
# fail with a line that names the place.
# SPDX-License-Identifier: MIT
set -u
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
cc=${CC:-cc}
CXX=${CXX-c++}
command -v "${CXX%% *}" > /dev/null 2>&1 || CXX=
export CXX
unset top_srcdir top_builddir SLABALLOC_VERSION SLABALLOC_SANITIZER SLABALLOC_DEBUG SLABALLOC_CFLAGS
count=0 failed=0

good_tree() {
  rm -rf "$work/tree" && mkdir -p "$work/tree" && cd "$work/tree" || exit 99
  mkdir -p include src/api src/heap src/os src/util man bench tests/unit tests/mutants build-aux libs
  cat > include/slaballoc.h <<'END'
#ifndef SLABALLOC_H
#define SLABALLOC_H
#include <stddef.h>
#define SLA_VERSION_MAJOR 1
#define SLA_VERSION_MINOR 2
#define SLA_VERSION_PATCH 3
#define SLA_VERSION_STRING "1.2.3"
#define SLA_API __attribute__((visibility("default")))
#ifdef __cplusplus
extern "C" {
#endif
SLA_API void *sla_malloc(size_t size);
SLA_API void sla_free(void *block);
#ifdef __cplusplus
}
#endif
#endif
END
  cat > src/api/malloc.c <<'END'
/* free(3), "mmap(" and #if in comments are no calls */
#include "heap/slab.h"
#include "os/os.h"
#include <slaballoc.h>

void *sla_malloc(size_t size)
{
    const char *text = "printf(malloc(1)) /* __atomic_add";
    return text == 0 ? 0 : slai_take(size);
}

void sla_free(void *block) { slai_give(block); }
END
  cat > src/api/override.c <<'END'
#include <slaballoc.h>

#if defined(__GLIBC__)
#define LIBC 1
#endif
void free(void *block) { sla_free(block); }
END
  cat > src/heap/slab.h <<'END'
/* A header. */
#ifndef HEAP_SLAB_H
#define HEAP_SLAB_H

#include "util/atomic.h"

void *slai_take(size_t size);
void slai_give(void *block);

#endif
END
  cat > src/os/os.h <<'END'
#ifndef OS_OS_H
#define OS_OS_H
#endif
END
  cat > src/os/linux.c <<'END'
#include "os/os.h"

#include <sys/mman.h>
#ifdef __linux__
void *slai_map(void) { return mmap(0, 1, 0, 0, -1, 0); }
#endif
END
  cat > src/util/atomic.h <<'END'
#ifndef UTIL_ATOMIC_H
#define UTIL_ATOMIC_H
#include <stddef.h>
#define slai_load(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#endif
END
  cat > src/LAYERS <<'END'
# module        rank   duty
api/malloc      -      entry points
api/override    -      the libc names
heap/slab       1      slabs
os/linux        -      system calls
os/os           -      contract
util/atomic     -      atomics
END
  printf 'SLABALLOC_1.2 {\n    global:\n        sla_free;\n        sla_malloc;\n    local: *;\n};\n' > src/slaballoc.map
  printf 'slaballoc 1.2.3 (today)\n' > NEWS
  cat > man/sla_malloc.3 <<'END'
.Dd January 1, 2026
.Dt SLA_MALLOC 3
.Os
.Sh NAME
.Nm sla_malloc ,
.Nm sla_free
.Nd get and free memory
.Sh LIBRARY
.Lb libslaballoc
.Sh DESCRIPTION
Text.
END
  sed -i '/^\.Sh LIBRARY/,/^\.Lb/d' man/sla_malloc.3
  echo '.so man3/sla_malloc.3' > man/sla_free.3
  echo 'int main(void) { return 0; }' > bench/main.c
  echo 'int main(void) { return 0; }' > tests/unit/test_slab.c
  find src -name '*.[ch]' | sed 's|^src/|%D%/|' > src/local.mk
  printf '%%D%%/sla_malloc.3 %%D%%/sla_free.3\n' > man/local.mk
  echo '%D%/main.c' > bench/local.mk
  echo '%D%/unit/test_slab' > tests/local.mk
  bug='Bug: size is lost\nClass: probe\nKilled-by: tests/unit/test_slab\n--- a/src/heap/slab.h\n+++ b/src/heap/slab.h\n'
  bug="$bug@@ -6,3 +6,3 @@\n \n-void *slai_take(size_t size);\n+void *slai_take(void);\n void slai_give(void *block);\n"
  for i in 0 1 2 3 4 5 6 7 8 9; do
    for j in 0 1 2 3; do
      # shellcheck disable=SC2059
      printf "$bug" > "tests/mutants/$j$i-bug.patch"
      echo "%D%/$j$i-bug.patch"
    done
  done > tests/mutants/local.mk
}

# Libraries as the map wants them, from stand-in sources; built once.
good_libraries() {
  mkdir -p "$work/good" && cd "$work/good" || exit 99
  {
    sed -e 's/#.*//' "$here/libc-symbols.txt" | awk -v bits="$(getconf LONG_BIT)" -v glibc="$glibc" '
      NF == 1 || ($2 == "lp64" && bits == 64) || ($2 == "ilp32" && bits != 64) || ($2 == "glibc" && glibc) {
        printf "void %s(void) {}\n", $1
      }'
  } > names.c
  printf 'void sla_malloc(void) {}\nvoid sla_free(void) {}\n' > plain.c
  printf 'SLABALLOC_1.2 { global: sla_malloc; sla_free; local: *; };\n' > plain.map
  sed 's/local: \*;//' plain.map > malloc.map
  build good plain.c 'names.c' || exit 99
}

flags='-shared -fPIC -fno-builtin -nostdlib -w'
hard='-Wl,-z,nodelete -Wl,-z,now'
# build DIRECTORY PLAIN-SOURCE DROP-IN-SOURCE [FLAGS]: four libraries out of the sources.
build() {
  mkdir -p "$work/$1" && cd "$work/good" || return 1
  # shellcheck disable=SC2086
  $cc $flags $hard ${4-} -Wl,-soname,libslaballoc.so.0 -Wl,--version-script=plain.map "$2" \
    -o "$work/$1/libslaballoc.so" &&
    $cc $flags $hard ${4-} -Wl,-soname,libslaballoc-malloc.so.0 -Wl,--version-script=malloc.map plain.c "$3" \
      -o "$work/$1/libslaballoc-malloc.so" &&
    $cc -fno-builtin -w -c "$2" -o "$work/$1/plain.o" && $cc -fno-builtin -w -c "$3" -o "$work/$1/names.o" &&
    $cc -fno-builtin -w -c plain.c -o "$work/$1/core.o" && cd "$work/$1" &&
    rm -f ./*.a && ar cr libslaballoc.a plain.o && ar cr libslaballoc-malloc.a core.o names.o && rm -f ./*.o
}

run_rule() { # TEST [LIBRARIES]
  sh "$here/$1.sh" "$work/tree" ${2+"$work/$2"} > "$work/output" 2>&1
}

passes() { # TEST [LIBRARIES]
  count=$((count + 1))
  if ! run_rule "$@"; then
    failed=$((failed + 1))
    echo "$1: the good tree does not pass:"
    cat "$work/output"
  fi
}

# catches TEST WANTED [LIBRARIES]: the test fails with a line matching WANTED; the tree is made good again.
catches() {
  count=$((count + 1))
  wanted=$2 test=$1
  shift 2
  run_rule "$test" "$@"
  status=$?
  if [ "$status" -ne 1 ] || ! grep -Eq -- "$wanted" "$work/output"; then
    failed=$((failed + 1))
    echo "$test: exit $status, wanted 1 and a line with: $wanted"
    cat "$work/output"
  fi
  good_tree
}

glibc=0
! getconf GNU_LIBC_VERSION > /dev/null 2>&1 || glibc=1
good_libraries
good_tree
for rule in layers sizes calls atomics headers lists version manpages; do passes $rule; done
! command -v patch > /dev/null 2>&1 || passes mutants
passes exports good
passes binary good

# --- layers ---
sed -i 's|"util/atomic.h"|"api/malloc.h"|' src/heap/slab.h && touch src/api/malloc.h
catches layers '^src/heap/slab.h:5: layer heap includes "api/malloc.h"'
sed -i 's|"util/atomic.h"|"atomic.h"|' src/heap/slab.h
catches layers '^src/heap/slab.h:5: .*"directory/file.h"'
sed -i 's|"util/atomic.h"|"util/gone.h"|' src/heap/slab.h
catches layers '^src/heap/slab.h:5: .*not in src/'
sed -i '/^heap.slab/d' src/LAYERS
catches layers '^src/LAYERS: heap/slab is not listed'
echo 'heap/ghost 1 none' >> src/LAYERS
catches layers '^src/LAYERS: heap/ghost is no module'
echo 'heap/slab 1 again' >> src/LAYERS
catches layers '^src/LAYERS: heap/slab is listed twice'
rm src/LAYERS
catches layers '^src/LAYERS: is missing'
printf '#if 1\n#endif\n' >> src/api/malloc.c
catches layers '^src/api/malloc.c:13: conditional'
printf '#ifdef FEATURE\n#endif\n' >> src/heap/slab.h
catches layers '^src/heap/slab.h:11: conditional'
sed -i 's/^#include <slaballoc.h>/#ifndef X_H\n#define X_H\n#endif/' src/api/malloc.c
catches layers '^src/api/malloc.c:4: conditional'

# --- sizes ---
awk 'BEGIN { for (i = 0; i < 601; i++) print "/* */" }' > src/api/malloc.c
catches sizes '^src/api/malloc.c: 601 lines'
awk 'BEGIN { print "int f(int a)\n{"; for (i = 0; i < 59; i++) print "    a++;"; print "}" }' > bench/main.c
catches sizes '^bench/main.c:2: function f has 61 lines'
awk 'BEGIN { print "int g(int a) {"; for (i = 0; i < 59; i++) print "    a++;"; print "}" }' > bench/main.c
catches sizes '^bench/main.c:1: function g has 61 lines'
awk 'BEGIN { printf "/*"; for (i = 0; i < 117; i++) printf "x"; print "*/" }' > bench/main.c
catches sizes '^bench/main.c:1: line of 121'
printf '\tint tab;\n' > bench/main.c
catches sizes '^bench/main.c:1: a tab'

# --- calls ---
for call in 'malloc(1)' 'free(0)' 'strdup("")' 'printf("")' 'snprintf(0, 0, "")' 'getenv("")' 'abort()' \
  'pthread_self()' 'mmap(0, 0, 0, 0, 0, 0)' 'write(1, 0, 0)' 'strerror(1)' 'qsort(0, 0, 0, 0)' 'clock_gettime(0, 0)'; do
  sed -i "s|return text.*|return (void *)$call;|" src/api/malloc.c
  catches calls "^src/api/malloc.c:9: ${call%%(*}\(\) "
done
sed -i 's|^#include <sla.*|#include <stdio.h>|' src/api/malloc.c
catches calls '^src/api/malloc.c:4: .*stdio.h. does not belong'
sed -i 's|^#include <sla.*|#include <pthread.h>|' src/api/malloc.c
catches calls '^src/api/malloc.c:4: .*pthread.h. outside os/'
sed -i 's|^#include <sla.*|#include <unistd.h>|' src/api/malloc.c
catches calls '^src/api/malloc.c:4: .*unistd.h. outside os/'

# --- sites ---
with_sites() { # BODY of a function in os/linux.c
  printf 'enum slai_call {\n    SLAI_CALL_MAP, /* mmap */\n    SLAI_CALLS\n};\n' > src/os/fault.h
  printf '#include "os/os.h"\nvoid *slai_map(void)\n{\n    %s\n}\n' "$1" > src/os/linux.c
}
with_sites 'return SLAI_CALL(MAP, mmap(0));'
passes sites
with_sites 'return SLAI_CALL(MAP, mmap(0)); if (munmap(0)) return 0;'
catches sites '^src/os/linux.c:4: munmap\(\) outside SLAI_CALL'
with_sites 'return mmap(SLAI_CALL(MAP, 0));'
catches sites '^src/os/linux.c:4: mmap\(\) outside SLAI_CALL'
with_sites 'SLAI_CALL(MAP, mmap(0));
    SLAI_CALL(MAP, mmap(0));'
catches sites '^src/os/linux.c: SLAI_CALL\(MAP\) twice'
with_sites 'return 0;'
catches sites '^src/os/fault.h: SLAI_CALL_MAP is no place.s'

# --- atomics ---
for use in '__atomic_fetch_add(\&n, 1, 0)' '__sync_synchronize()' '(_Atomic int *)0' 'atomic_load(\&n)'; do
  sed -i "s|return text.*|return (void *)$use;|" src/api/malloc.c
  catches atomics '^src/api/malloc.c:9: an atomic operation'
done

# --- headers ---
sed -i '/stddef/d' include/slaballoc.h
catches headers '^slaballoc.h: does not compile alone: .*c11'
sed -i 's/(size_t size);/(size_t size, int class);/' include/slaballoc.h
[ -z "$CXX" ] || catches headers '^slaballoc.h: does not compile alone: .*c\+\+17'
good_tree
echo 'typedef missing_t other_t;' >> src/heap/slab.h
catches headers '^heap/slab.h: does not compile alone'

# --- lists ---
touch src/heap/new.c
catches lists '^src/local.mk: does not name src/heap/new.c'
touch tests/unit/test_new.c
catches lists '^tests/local.mk: does not name tests/unit/test_new.c'
rm man/sla_free.3
catches lists '^man/local.mk: names man/sla_free.3, which is not there'

# --- seeded bugs ---
if command -v patch > /dev/null 2>&1; then
  sed -i 's/size_t size/size_t bytes/' src/heap/slab.h
  catches mutants '^tests/mutants/00-bug.patch: does not apply'
  rm tests/mutants/00-bug.patch && sed -i /00-bug/d tests/mutants/local.mk
  catches mutants '^tests/mutants: 39 seeded bugs'
  sed -i /Bug:/d tests/mutants/01-bug.patch
  catches mutants '^tests/mutants/01-bug.patch: has no line "Bug:"'
  sed -i s/test_slab/test_gone/ tests/mutants/01-bug.patch
  catches mutants '^tests/mutants/01-bug.patch: killed by tests/unit/test_gone, which'
  sed -i /12-bug/d tests/mutants/local.mk
  catches mutants '^tests/mutants/local.mk: does not name 12-bug.patch'
fi

# --- version ---
sed -i 's/PATCH 3/PATCH 4/' include/slaballoc.h
catches version '^include/slaballoc.h: the text says 1.2.3, the numbers say 1.2.4'
echo 'slaballoc 1.2.2' > NEWS
catches version '^NEWS: does not begin'
sed -i 's/SLABALLOC_1.2/SLABALLOC_1.10/' src/slaballoc.map
catches version '^src/slaballoc.map: SLABALLOC_1.10 is newer'

# --- manual pages ---
rm man/sla_malloc.3 && sed -i 's/sla_malloc;/sla_malloc;/' src/slaballoc.map
catches manpages '^man/sla_malloc.3: is missing'
rm man/sla_malloc.3
catches manpages '^man/sla_free.3: points to man3/sla_malloc.3, which is not there'
sed -i '/^\.Nm sla_free/d' man/sla_malloc.3
catches manpages '^man/sla_malloc.3: does not name sla_free'
if command -v "${MANDOC:-mandoc}" > /dev/null 2>&1; then
  echo '.Zz' >> man/sla_malloc.3
  catches manpages 'sla_malloc.3:[0-9]+:.*unknown|sla_malloc.3:[0-9]+:.*ERROR'
fi

# --- exports ---
echo 'SLA_API void sla_more(void);' >> include/slaballoc.h
catches exports '^sla_more: declared in a public header' good
sed -i '/sla_free/d' include/slaballoc.h
catches exports '^sla_free: in src/slaballoc.map, not declared' good
cd "$work/good" || exit 99
{ cat names.c; echo 'void leaked(void) {}'; } > leak.c
build leak plain.c leak.c
catches exports '^libslaballoc-malloc.so: exports also leaked' leak
catches exports '^libslaballoc-malloc.a: exports also leaked' leak
cd "$work/good" || exit 99
grep -v ' malloc(' names.c > short.c
build short plain.c short.c
catches exports '^libslaballoc-malloc.so: does not export malloc$' short
cd "$work/good" || exit 99
cp malloc.map malloc.map.good
sed 's/sla_malloc;/sla_malloc; malloc;/' malloc.map.good > malloc.map
build versioned plain.c names.c
catches exports '^libslaballoc-malloc.so: does not export malloc$' versioned
cd "$work/good" && mv malloc.map.good malloc.map && cp plain.map plain.map.good || exit 99
sed 's/local: \*;//' plain.map.good > plain.map
{ cat plain.c; echo 'void other(void) {}'; } > other.c
build other other.c names.c
catches exports '^libslaballoc.so: exports also other' other
catches exports '^libslaballoc.a: exports also other' other
cd "$work/good" && mv plain.map.good plain.map || exit 99

# --- binaries ---
cd "$work/good" || exit 99
sed 's/void calloc(void) {}/void calloc(void) { calloc(); *(volatile char *)0; }/' names.c > self.c
build self plain.c self.c '-Wl,-Bsymbolic'
catches binary '^libslaballoc-malloc.so: calloc calls itself' self
cd "$work/good" || exit 99
sed 's/void calloc(void) {}/void malloc(void); void calloc(void) { malloc(); }/' names.c > bound.c
build bound plain.c bound.c
catches binary '^libslaballoc-malloc.so: its own malloc is bound at run time' bound
cd "$work/good" || exit 99
{ echo 'void malloc(void);'; sed 's/void sla_malloc(void) {}/void sla_malloc(void) { malloc(); }/' plain.c; } > uses.c
build uses uses.c names.c
catches binary '^libslaballoc.so: needs malloc from elsewhere' uses
cd "$work/good" || exit 99
{ cat plain.c; echo '__thread char big[65]; char *sla_free2(void) { return big; }'; } > tls.c
build tls tls.c names.c -Wl,--no-gc-sections
catches binary '^libslaballoc.so: 65 bytes of thread-local' tls
cd "$work/good" && saved=$hard && hard='-Wl,-z,lazy' && build soft plain.c names.c
hard=$saved
catches binary '^libslaballoc.so: can be unloaded' soft
catches binary '^libslaballoc.so: binds late' soft
cd "$work/good" || exit 99
{ cat plain.c; echo 'void use(char *); void use(char *p) { *p = 1; } void deep(void) { char a[2000]; use(a); }'; } > deep.c
case $(uname -m) in x86_64 | i?86 | aarch64)
  build deep deep.c names.c '-O0 -fno-stack-protector'
  catches binary '^libslaballoc.so: deep takes 20[0-9]* bytes of stack' deep
esac
cd "$work/good" && build stack plain.c names.c -Wl,-z,execstack
catches binary '^libslaballoc.so: executable stack' stack

echo "$count probes, $failed failed"
[ "$failed" -eq 0 ]
