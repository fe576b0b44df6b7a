# tests/local.mk: what 'make check' and 'make installcheck' run.
#
# One Check program per file, linked to the debug twin; shell tests for the
# drop-in and for the rules of the source tree.
#
# SPDX-License-Identifier: MIT

TEST_EXTENSIONS = .sh
SH_LOG_COMPILER = $(SHELL)
LOG_COMPILER = $(TEST_WRAPPER)

# What tests may rely on in their environment.
AM_TESTS_ENVIRONMENT = \
	top_srcdir='$(abs_top_srcdir)'; export top_srcdir; \
	top_builddir='$(abs_top_builddir)'; export top_builddir; \
	CC='$(CC)'; export CC; CXX='$(CXX)'; export CXX; \
	NM='$(NM)'; export NM; OBJDUMP='$(OBJDUMP)'; export OBJDUMP; \
	READELF='$(READELF)'; export READELF; MANDOC='$(MANDOC)'; export MANDOC; \
	CK_FORK='$(CK_FORK)'; export CK_FORK; \
	CK_DEFAULT_TIMEOUT=$${CK_DEFAULT_TIMEOUT-120}; export CK_DEFAULT_TIMEOUT; \
	SLABALLOC_SANITIZER='$(SLA_SANITIZER)'; export SLABALLOC_SANITIZER; \
	SLABALLOC_VERSION='$(PACKAGE_VERSION)'; export SLABALLOC_VERSION; \
	SLABALLOC_RUN='$(abs_top_builddir)/slaballoc-run'; export SLABALLOC_RUN; \
	SLABALLOC_BENCH='$(abs_top_builddir)/slaballoc-bench$(EXEEXT)'; export SLABALLOC_BENCH; \
	LIBSLABALLOC='$(abs_top_builddir)/.libs/libslaballoc.so'; export LIBSLABALLOC; \
	LIBSLABALLOC_MALLOC='$(abs_top_builddir)/.libs/libslaballoc-malloc.so'; export LIBSLABALLOC_MALLOC;

check_LTLIBRARIES += %D%/libsupport.la
%C%_libsupport_la_SOURCES = %D%/support.c %D%/support.h
%C%_libsupport_la_CPPFLAGS = $(AM_CPPFLAGS)
%C%_libsupport_la_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)

check_programs = \
	%D%/api/test_align \
	%D%/api/test_conformance \
	%D%/api/test_errno \
	%D%/api/test_sizes
if HAVE_CHECK
check_PROGRAMS += $(check_programs)
TESTS += $(check_programs)
endif
LDADD = %D%/libsupport.la libslabcheck.la $(CHECK_LIBS) $(PTHREAD_LIBS)

structure_tests =
preload_tests =
TESTS += $(structure_tests)
if PRELOAD_SHARED
TESTS += $(preload_tests)
endif
EXTRA_DIST += $(structure_tests) $(preload_tests)
