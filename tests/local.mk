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
	SLABALLOC_DEBUG='$(SLA_DEBUG)'; export SLABALLOC_DEBUG; \
	SLABALLOC_MEMCHECK='$(SLA_MEMCHECK)'; export SLABALLOC_MEMCHECK; \
	SLABALLOC_CFLAGS='$(LIB_CFLAGS) $(CFLAGS)'; export SLABALLOC_CFLAGS; \
	SLABALLOC_VERSION='$(PACKAGE_VERSION)'; export SLABALLOC_VERSION; \
	SLABALLOC_EXAMPLES='$(example_programs)'; export SLABALLOC_EXAMPLES; \
	TEST_WRAPPER='$(TEST_WRAPPER)'; export TEST_WRAPPER; \
	SLABALLOC_RUN='$(abs_top_builddir)/slaballoc-run'; export SLABALLOC_RUN; \
	SLABALLOC_BENCH='$(abs_top_builddir)/slaballoc-bench$(EXEEXT)'; export SLABALLOC_BENCH; \
	SLABALLOC_RECORDER='$(abs_top_builddir)/.libs/libslaballoc-record.so'; export SLABALLOC_RECORDER; \
	LIBSLABALLOC='$(abs_top_builddir)/.libs/libslaballoc.so'; export LIBSLABALLOC; \
	LIBSLABALLOC_MALLOC='$(abs_top_builddir)/.libs/libslaballoc-malloc.so'; export LIBSLABALLOC_MALLOC; \
	SLABALLOC_LIBRARY="$$LIBSLABALLOC_MALLOC"; export SLABALLOC_LIBRARY;

check_LTLIBRARIES += %D%/libsupport.la
# unit.c looks inside, the rest of the tests do not.
%C%_libsupport_la_SOURCES = %D%/arena.c %D%/arena.h %D%/life/wrap.c %D%/support.c %D%/support.h \
	%D%/unit/unit.c %D%/unit/unit.h
%C%_libsupport_la_CPPFLAGS = $(AM_CPPFLAGS) $(COVERAGE_CPPFLAGS)
%C%_libsupport_la_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)

check_programs = \
	%D%/api/test_align \
	%D%/api/test_batch \
	%D%/api/test_calloc \
	%D%/api/test_conformance \
	%D%/api/test_control \
	%D%/api/test_errno \
	%D%/api/test_expand \
	%D%/api/test_fortify \
	%D%/api/test_heap \
	%D%/api/test_heaplimits \
	%D%/api/test_heappages \
	%D%/api/test_limits \
	%D%/api/test_objcache \
	%D%/api/test_objuse \
	%D%/api/test_realloc \
	%D%/api/test_sizes \
	%D%/life/test_fork \
	%D%/life/test_signals \
	%D%/life/test_threads \
	%D%/life/test_torture \
	%D%/misuse/test_conf \
	%D%/misuse/test_extended \
	%D%/misuse/test_heap \
	%D%/misuse/test_misuse \
	%D%/misuse/test_objcache \
	%D%/misuse/test_sized \
	%D%/threads/test_blowup \
	%D%/threads/test_churn \
	%D%/threads/test_drift \
	%D%/threads/test_exit \
	%D%/threads/test_fork \
	%D%/threads/test_heap \
	%D%/threads/test_heappages \
	%D%/threads/test_mix \
	%D%/threads/test_objcache \
	%D%/threads/test_objends \
	%D%/threads/test_order \
	%D%/threads/test_remote \
	%D%/threads/test_stress \
	%D%/unit/test_batch \
	%D%/unit/test_bench_stats \
	%D%/unit/test_bits \
	%D%/unit/test_chunk \
	%D%/unit/test_conf \
	%D%/unit/test_depot \
	%D%/unit/test_fault \
	%D%/unit/test_forkrepair \
	%D%/unit/test_handlers \
	%D%/unit/test_heap \
	%D%/unit/test_idle \
	%D%/unit/test_init \
	%D%/unit/test_invariants \
	%D%/unit/test_large \
	%D%/unit/test_list \
	%D%/unit/test_lock \
	%D%/unit/test_meta \
	%D%/unit/test_objcache \
	%D%/unit/test_os \
	%D%/unit/test_pageheap \
	%D%/unit/test_panic \
	%D%/unit/test_purge \
	%D%/unit/test_region \
	%D%/unit/test_remote \
	%D%/unit/test_scarce \
	%D%/unit/test_sizeclass \
	%D%/unit/test_slab \
	%D%/unit/test_stack \
	%D%/unit/test_stats \
	%D%/unit/test_thread \
	%D%/unit/test_trace
# Linked to the names that the drop-in replaces.
if PRELOAD
check_programs += %D%/unit/test_override
endif
%C%_unit_test_override_SOURCES = %D%/unit/test_override.c src/api/override.c
%C%_unit_test_override_CPPFLAGS = $(AM_CPPFLAGS) $(SYSTEM_CPPFLAGS)
%C%_unit_test_override_CFLAGS = $(AM_CFLAGS) $(LIB_CFLAGS) $(COVERAGE_FLAGS) -fexceptions
if HAVE_CHECK
check_PROGRAMS += $(check_programs)
TESTS += $(check_programs)
endif
LDADD = %D%/libsupport.la libslabcheck.la $(CHECK_LIBS) $(PTHREAD_LIBS) $(COVERAGE_FLAGS) -lm
LDADD += $(WRAP_LIBS)
%C%_misuse_test_extended_SOURCES = %D%/misuse/test_extended.c %D%/misuse/misdeeds.c %D%/misuse/misdeeds.h
%C%_misuse_test_misuse_SOURCES = %D%/misuse/test_misuse.c %D%/misuse/misdeeds.c %D%/misuse/misdeeds.h
%C%_unit_test_bench_stats_SOURCES = %D%/unit/test_bench_stats.c bench/stats.c bench/histogram.c bench/params.c
%C%_unit_test_trace_SOURCES = %D%/unit/test_trace.c bench/fail.c bench/replay_plan.c bench/trace.c \
	bench/trace_file.c bench/trace_order.c
%C%_life_test_torture_SOURCES = %D%/life/test_torture.c %D%/life/step.c %D%/life/step.h
%C%_unit_test_trace_CPPFLAGS = $(AM_CPPFLAGS) -D_GNU_SOURCE

structure_tests = \
	%D%/structure/atomics.sh \
	%D%/structure/binary.sh \
	%D%/structure/calls.sh \
	%D%/structure/exports.sh \
	%D%/structure/headers.sh \
	%D%/structure/layers.sh \
	%D%/structure/lists.sh \
	%D%/structure/manpages.sh \
	%D%/structure/mutants.sh \
	%D%/structure/sites.sh \
	%D%/structure/selftest.sh \
	%D%/structure/sizes.sh \
	%D%/structure/version.sh
preload_tests = \
	%D%/preload/coreutils.sh \
	%D%/preload/cxx.sh \
	%D%/preload/dlopen.sh \
	%D%/preload/gcc.sh \
	%D%/preload/git.sh \
	%D%/preload/heap.sh \
	%D%/preload/limits.sh \
	%D%/preload/oneheap.sh \
	%D%/preload/perl.sh \
	%D%/preload/python.sh \
	%D%/preload/redis.sh \
	%D%/preload/sqlite.sh \
	%D%/preload/startup.sh \
	%D%/preload/static.sh \
	%D%/preload/symbols.sh \
	%D%/preload/tools.sh \
	%D%/preload/trace.sh
TESTS += $(structure_tests)
TESTS += %D%/cxx/run.sh %D%/examples/run.sh
EXTRA_DIST += %D%/cxx/containers.cc %D%/cxx/run.sh %D%/examples/run.sh
EXTRA_DIST += $(structure_tests) %D%/structure/common.sh %D%/structure/libc-symbols.txt %D%/structure/strip.awk
# Ceilings of the drop-in's cost.
cost_tests = %D%/cost/instructions.sh
EXTRA_DIST += $(cost_tests) %D%/cost/objects.c %D%/cost/patterns.c
# Processes' lives on the drop-in.
life_tests = %D%/life/reenter.sh
EXTRA_DIST += $(life_tests) %D%/life/reenter.c %D%/life/reenter_user.c
if PRELOAD_SHARED
TESTS += $(preload_tests) $(cost_tests) $(life_tests)
endif
# What those read besides themselves.
preload_files = \
	%D%/preload/common.sh \
	%D%/preload/cxx.cc \
	%D%/preload/symbols.c
EXTRA_DIST += $(preload_tests) $(preload_files)

# --- check-extended and check-soak: the same harness, other lists and amounts ---
include %D%/rig.mk
EXTRA_DIST += $(rig_tests) $(rig_files) %D%/rig/soak.sh %D%/rig/debian-source
check-extended:
	@SLABALLOC_TEST_LEVEL=extended CK_TIMEOUT_MULTIPLIER=10 \
	  $(MAKE) $(AM_MAKEFLAGS) check TESTS='$(TESTS) $(rig_tests)'
# A round is one 'make check' of the soak list; tests/rig/soak.sh keeps count and seeds.
check-soak:
	@SLABALLOC_TEST_LEVEL=soak CK_TIMEOUT_MULTIPLIER=100 MAKE='$(MAKE)' SOAK_TESTS='$(soak_tests)' \
	  SOAK_FIRST='$(soak_first)' \
	  $(SHELL) $(top_srcdir)/%D%/rig/soak.sh
.PHONY: check-extended check-soak

# --- installcheck: programs built against what was installed ---
EXTRA_DIST += %D%/install/consumer.c %D%/install/consumer.cc %D%/install/run.sh
installcheck-local:
if CROSS
	@echo 'installcheck: nothing to run, this is a cross build'
else
	@$(AM_TESTS_ENVIRONMENT) \
	DESTDIR='$(DESTDIR)' libdir='$(libdir)' bindir='$(bindir)' mandir='$(mandir)' \
	PKG_CONFIG='$(PKG_CONFIG)' pkgconfigdir='$(pkgconfigdir)' examplesdir='$(examplesdir)' \
	run_name="`echo slaballoc-run | sed '$(transform)'`" bench_name="`echo slaballoc-bench | sed '$(transform)'`" \
	FLAGS='$(CPPFLAGS) $(CFLAGS) $(SANITIZER_FLAGS) $(LDFLAGS)' \
	CXXFLAGS='$(CXXFLAGS) $(SANITIZER_FLAGS) $(LDFLAGS)' \
	  $(SHELL) $(top_srcdir)/%D%/install/run.sh
endif
