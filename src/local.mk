# src/local.mk: the libraries.
#
#   libslabcore.la           everything but the libc names; not installed
#   libslaballoc.la          the sla_ functions
#   libslaballoc-malloc.la   the same and the libc names and C++ operators
#   libslabcheck.la          the debug twin, for tests; not installed
#
# SPDX-License-Identifier: MIT

include_HEADERS += include/slaballoc.h
subinclude_HEADERS += include/slaballoc/cache.h include/slaballoc/heap.h include/slaballoc/stats.h

# For C++ alone.
subinclude_HEADERS += include/slaballoc/slaballoc.hpp

core_sources = \
	%D%/api/align.c \
	%D%/api/api.h \
	%D%/api/batch.c \
	%D%/api/control.c \
	%D%/api/fast.h \
	%D%/api/fork.c \
	%D%/api/heap.c \
	%D%/api/init.c \
	%D%/api/malloc.c \
	%D%/api/objadmin.c \
	%D%/api/objcache.c \
	%D%/api/objcache.h \
	%D%/api/objdebug.c \
	%D%/api/resize.c \
	%D%/api/stats.c \
	%D%/api/stats.h \
	%D%/cache/depot.c \
	%D%/cache/depot.h \
	%D%/cache/heap.c \
	%D%/cache/heap.h \
	%D%/cache/idle.c \
	%D%/cache/idle.h \
	%D%/cache/provide.c \
	%D%/cache/provide.h \
	%D%/cache/remote.c \
	%D%/cache/remote.h \
	%D%/cache/stack.c \
	%D%/cache/thread.c \
	%D%/cache/thread.h \
	%D%/heap/account.c \
	%D%/heap/account.h \
	%D%/heap/check.c \
	%D%/heap/check.h \
	%D%/heap/chunk.c \
	%D%/heap/chunk.h \
	%D%/heap/large.c \
	%D%/heap/large.h \
	%D%/heap/meta.c \
	%D%/heap/meta.h \
	%D%/heap/misuse.c \
	%D%/heap/misuse.h \
	%D%/heap/pageheap.c \
	%D%/heap/pageheap.h \
	%D%/heap/purge.c \
	%D%/heap/purge.h \
	%D%/heap/region.c \
	%D%/heap/region.h \
	%D%/heap/sizeclass.c \
	%D%/heap/sizeclass.h \
	%D%/heap/slab.c \
	%D%/heap/slab.h \
	%D%/os/fault.c \
	%D%/os/fault.h \
	%D%/os/lock.c \
	%D%/os/lock.h \
	%D%/os/memory.c \
	%D%/os/os.h \
	%D%/os/shadow.h \
	%D%/os/system.h \
	%D%/os/tls.c \
	%D%/os/tls.h \
	%D%/util/assert.h \
	%D%/util/atomic.c \
	%D%/util/atomic.h \
	%D%/util/bits.h \
	%D%/util/compiler.h \
	%D%/util/conf.c \
	%D%/util/conf.h \
	%D%/util/list.h \
	%D%/util/panic.c \
	%D%/util/panic.h
if OS_LINUX
core_sources += %D%/os/linux.c
else
core_sources += %D%/os/posix.c
endif
if VALGRIND
core_sources += %D%/os/shadow.c
endif
EXTRA_DIST += %D%/README.md %D%/LAYERS %D%/slaballoc.map %D%/layout.ld %D%/os/linux.c %D%/os/posix.c %D%/os/shadow.c

# mremap and the like: what the system layer uses is not in plain POSIX.
if OS_LINUX
SYSTEM_CPPFLAGS = -D_GNU_SOURCE
else
SYSTEM_CPPFLAGS = -DSLA_POSIX_ONLY
endif

noinst_LTLIBRARIES += libslabcore.la
libslabcore_la_SOURCES = $(core_sources)
libslabcore_la_CPPFLAGS = $(RELEASE_CPPFLAGS) $(SYSTEM_CPPFLAGS)
libslabcore_la_CFLAGS = $(AM_CFLAGS) $(LIB_CFLAGS)

check_LTLIBRARIES += libslabcheck.la
libslabcheck_la_SOURCES = $(core_sources)
libslabcheck_la_CPPFLAGS = $(AM_CPPFLAGS) $(SYSTEM_CPPFLAGS)
# Counting is for the twin alone: in the drop-in its code would call malloc.
libslabcheck_la_CFLAGS = $(AM_CFLAGS) $(LIB_CFLAGS) $(COVERAGE_FLAGS)
libslabcheck_la_LIBADD = $(PTHREAD_LIBS) $(ATOMIC_LIBS)

# --- The interface's version, SLA_VERSION_INFO = c:r:a in configure.ac ---
# Changed at a release only, and after a comparison with abidiff:
#   code changed, interface not        c:r+1:a
#   interface grown, nothing removed   c+1:0:a+1
#   anything removed or changed        c+1:0:0
#
#   release   c:r:a   soname
#   0.1       0:0:0   libslaballoc.so.0, libslaballoc-malloc.so.0
library_ldflags = $(AM_LDFLAGS) $(LIB_LDFLAGS) $(LAYOUT_LDFLAGS) -no-undefined -version-info $(SLA_VERSION_INFO)
if LAYOUT
library_ldflags += -Wl,-T,$(top_srcdir)/%D%/layout.ld
endif

lib_LTLIBRARIES += libslaballoc.la
libslaballoc_la_SOURCES =
libslaballoc_la_LIBADD = libslabcore.la $(PTHREAD_LIBS) $(ATOMIC_LIBS)
libslaballoc_la_LDFLAGS = $(library_ldflags)
if VSCRIPT
libslaballoc_la_LDFLAGS += -Wl,--version-script=$(top_srcdir)/%D%/slaballoc.map $(VSCRIPT_LDFLAGS)
EXTRA_libslaballoc_la_DEPENDENCIES = %D%/slaballoc.map %D%/layout.ld
else
libslaballoc_la_LDFLAGS += -export-symbols-regex '^sla_'
endif

if PRELOAD
lib_LTLIBRARIES += libslaballoc-malloc.la
libslaballoc_malloc_la_SOURCES = %D%/api/override.c
libslaballoc_malloc_la_CPPFLAGS = $(RELEASE_CPPFLAGS) $(SYSTEM_CPPFLAGS)
# A new_handler may throw through operator new.
libslaballoc_malloc_la_CFLAGS = $(AM_CFLAGS) $(LIB_CFLAGS) -fexceptions
libslaballoc_malloc_la_LIBADD = libslabcore.la $(PTHREAD_LIBS) $(ATOMIC_LIBS)
libslaballoc_malloc_la_LDFLAGS = $(library_ldflags)
if VSCRIPT
libslaballoc_malloc_la_LDFLAGS += -Wl,--version-script=%D%/slaballoc-malloc.map $(VSCRIPT_LDFLAGS)
EXTRA_libslaballoc_malloc_la_DEPENDENCIES = %D%/slaballoc-malloc.map %D%/layout.ld
endif
else
EXTRA_DIST += %D%/api/override.c
endif

# The same node for the sla_ names, so that a program linked to the plain
# library binds them to the drop-in when that is preloaded: one heap, not two.
# No 'local: *' and no libc names: those must have no version, or the program's
# malloc@GLIBC_2.2.5 would not be found here.  Hidden visibility guards the rest.
%D%/slaballoc-malloc.map: %D%/slaballoc.map
	$(AM_V_GEN)$(MKDIR_P) %D% && $(SED) '/local:/d' $(top_srcdir)/%D%/slaballoc.map > $@-t && mv -f $@-t $@
CLEANFILES += %D%/slaballoc-malloc.map
