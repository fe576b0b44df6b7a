# bench/local.mk: the tools, and what 'make run' shows.
#
# SPDX-License-Identifier: MIT

if BENCH
bin_PROGRAMS += slaballoc-bench
endif
EXTRA_PROGRAMS += slaballoc-bench
slaballoc_bench_SOURCES = \
	%D%/allocs.c \
	%D%/bench.h \
	%D%/charts.c \
	%D%/child.c \
	%D%/compare.c \
	%D%/compare.h \
	%D%/csv.c \
	%D%/fail.c \
	%D%/heaps.c \
	%D%/heaps.h \
	%D%/histogram.c \
	%D%/histogram.h \
	%D%/inbox.h \
	%D%/installed.c \
	%D%/job.h \
	%D%/json.c \
	%D%/latency.c \
	%D%/latency.h \
	%D%/machine.c \
	%D%/machine.h \
	%D%/main.c \
	%D%/marks.c \
	%D%/params.c \
	%D%/program.c \
	%D%/progress.c \
	%D%/progress.h \
	%D%/record.c \
	%D%/recorder.h \
	%D%/replay.c \
	%D%/replay.h \
	%D%/replay_child.c \
	%D%/replay_plan.c \
	%D%/report.c \
	%D%/report.h \
	%D%/runner.c \
	%D%/scenario_aligned.c \
	%D%/scenario_cache.c \
	%D%/scenario_calloc.c \
	%D%/scenario_churn.c \
	%D%/scenario_cross.c \
	%D%/scenario_crowd.c \
	%D%/scenario_fixed.c \
	%D%/scenario_grow.c \
	%D%/scenario_growth.c \
	%D%/scenario_handoff.c \
	%D%/scenario_idle.c \
	%D%/scenario_kv.c \
	%D%/scenario_large.c \
	%D%/scenario_larson.c \
	%D%/scenario_mstress.c \
	%D%/scenario_multi.c \
	%D%/scenario_objects.c \
	%D%/scenario_pareto.c \
	%D%/scenario_phase.c \
	%D%/scenario_pin.c \
	%D%/scenario_request.c \
	%D%/scenario_requests.c \
	%D%/scenario_single.c \
	%D%/scenario_sleepers.c \
	%D%/scenario_stress.c \
	%D%/scenario_tree.c \
	%D%/scenario_xmalloc.c \
	%D%/scenarios.c \
	%D%/scenarios.h \
	%D%/show.c \
	%D%/stats.c \
	%D%/stats.h \
	%D%/sweep.c \
	%D%/sweep.h \
	%D%/table.c \
	%D%/trace.c \
	%D%/trace.h \
	%D%/trace_file.c \
	%D%/trace_file.h \
	%D%/trace_order.c \
	%D%/trim.c \
	%D%/work.c \
	%D%/work.h
slaballoc_bench_CPPFLAGS = $(RELEASE_CPPFLAGS) -D_GNU_SOURCE -DSLA_DROPIN_PATH='"$(dropin_path)"' \
	-DSLA_RECORDER_PATH='"$(pkglibdir)/libslaballoc-record.so"'
slaballoc_bench_LDADD = -lm $(DL_LIBS) $(PTHREAD_LIBS)

# What 'record' preloads: no part of the allocator, and not to be linked to.
if BENCH
if PRELOAD_SHARED
pkglib_LTLIBRARIES = libslaballoc-record.la
endif
endif
libslaballoc_record_la_SOURCES = \
	%D%/recorder.c \
	%D%/recorder.h \
	%D%/recorder_writer.c \
	%D%/recorder_writer.h \
	%D%/trace.c \
	%D%/trace.h
libslaballoc_record_la_CPPFLAGS = $(RELEASE_CPPFLAGS) -D_GNU_SOURCE
libslaballoc_record_la_CFLAGS = $(AM_CFLAGS) $(LIB_CFLAGS)
libslaballoc_record_la_LIBADD = $(DL_LIBS) $(PTHREAD_LIBS) $(ATOMIC_LIBS)
libslaballoc_record_la_LDFLAGS = $(AM_LDFLAGS) $(LIB_LDFLAGS) -module -avoid-version -shared

# By the name with the number: the plain .so link is often in a package for developers.
dropin_path = $(libdir)/libslaballoc-malloc.so.$(SLA_SONUMBER)

# A make rule and not configure: libdir is only known when make expands it.
EXTRA_DIST += %D%/README.md %D%/slaballoc-run.in %D%/run-demo.sh
CLEANFILES += slaballoc-run
slaballoc-run: %D%/slaballoc-run.in Makefile
	$(AM_V_GEN)$(SED) -e 's|@libdir[@]|$(libdir)|g' -e 's|@dropin_path[@]|$(dropin_path)|g' \
	  -e 's|@PACKAGE_VERSION[@]|$(PACKAGE_VERSION)|g' \
	  $(top_srcdir)/%D%/slaballoc-run.in > $@-t && chmod +x $@-t && mv -f $@-t $@
if PRELOAD_SHARED
bin_SCRIPTS += slaballoc-run
endif

# In a make of its own, or two jobs would build the same objects.
run: all
	@$(MAKE) $(AM_MAKEFLAGS) slaballoc-bench$(EXEEXT)
	@$(AM_TESTS_ENVIRONMENT) $(SHELL) $(top_srcdir)/%D%/run-demo.sh
.PHONY: run
