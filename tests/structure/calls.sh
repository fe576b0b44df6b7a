#!/bin/sh
# calls.sh [ROOT]: what the library may ask of the C library and the system.
#
#  - nothing that allocates, no stdio, nothing that may take a lock of the
#    C library's: such a call from inside malloc would come back to us
#  - system calls and pthread_ only in os/; util/panic.c may write, uncancelled
#  - the environment is read in api/init.c only
#
# api/override.c defines the C library's names, which looks like calling them.
#
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.sh"

c_files src | code_of > "$work/code"

# calls NAMES WHY [EXEMPT]: a line for each call of NAMES outside the EXEMPT files.
calls() {
  awk -F : -v names="$1" -v why="$2" -v exempt="${3:-^$}" '
    $1 ~ exempt { next }
    {
      text = substr($0, length($1) + length($2) + 3)
      if (match(text, "(^|[^A-Za-z0-9_.>])(" names ")[ \t]*\\(")) {
        found = substr(text, RSTART, RLENGTH)
        gsub(/[^A-Za-z0-9_]/, "", found)
        print $1 ":" $2 ": " found "() " why
      }
    }' "$work/code" | faults
}

# headers NAMES WHY [EXEMPT]: the same for #include <NAMES>.
headers() {
  awk -F : -v names="$1" -v why="$2" -v exempt="${3:-^$}" '
    $1 !~ exempt && $0 ~ "#[ \t]*include[ \t]*<(" names ")>" { print $1 ":" $2 ": " $3 " " why }' \
    "$work/code" | faults
}

heap='malloc|calloc|realloc|reallocarray|free|strdup|strndup|aligned_alloc|posix_memalign|memalign|valloc|pvalloc'
calls "$heap" 'is the function we replace' '^src/api/override[.]c$'
calls 'asprintf|vasprintf|getline|getdelim|opendir|setenv|putenv|qsort|dlopen|dlsym|backtrace|strerror|strsignal' \
  'may allocate'
calls 'v?f?printf|v?sn?printf|v?dprintf|f?puts|f?putc|putchar|fopen|fclose|fwrite|fread|fflush|perror|sscanf' \
  'is stdio' '^src/api/override[.]c$'
calls 'exit|atexit|at_quick_exit|setlocale|syslog|localtime|assert' 'does not belong in an allocator'
calls 'getenv|secure_getenv' 'reads the environment outside api/init.c' '^src/(api/init[.]c$|os/)'
calls 'abort|_exit|raise|kill' 'ends the process outside util/panic.c and heap/misuse.c' '^src/(util/panic|heap/misuse)[.]c$|^src/os/'
calls 'pthread_[a-z_]+' 'outside os/' '^src/(os/|util/panic[.]c$)'
calls 'pthread_(mutex|cond|rwlock|spin|key|once|create|atfork|set[^c]|get)[a-z_]*' 'outside os/' '^src/os/'
calls 'mmap|munmap|mprotect|madvise|mremap|mincore|mlock|sbrk|brk|syscall|prctl|sysconf|getauxval|getpagesize' \
  'is a system call outside os/' '^src/os/'
calls 'open|close|read|ioctl|fork|getpid|gettid|sched_yield|nanosleep|usleep|clock_gettime|getrlimit|getcpu' \
  'is a system call outside os/' '^src/os/'
calls 'write|writev' 'is a system call outside os/ and util/panic.c' '^src/(os/|util/panic[.]c$)'
headers 'stdio[.]h|malloc[.]h|locale[.]h|assert[.]h' 'does not belong in an allocator' '^src/api/override[.]c$'
headers 'pthread[.]h' 'outside os/ and util/panic.c' '^src/(os/|util/panic[.]c$)'
headers 'sched[.]h|threads[.]h|sys/.*|linux/.*|time[.]h|fcntl[.]h' 'outside os/' '^src/os/'
headers 'unistd[.]h' 'outside os/ and util/panic.c' '^src/(os/|util/panic[.]c$)'
verdict
