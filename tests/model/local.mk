# tests/model/local.mk: the model checker and its scenarios.
#
# SPDX-License-Identifier: MIT

# The library's source as it is, but compiled so that each access to memory calls the checker; and the scenarios
# likewise. What os.c defines is taken from there, as the program's own objects come first.
model_sources = $(core_sources) \
	%D%/scene.c \
	%D%/scene.h \
	%D%/scene_fork.c \
	%D%/scene_life.c \
	%D%/scene_lock.c \
	%D%/scene_remote.c
if HAVE_CHECK
if MODEL
check_LIBRARIES = %D%/libmodel.a
check_PROGRAMS += %D%/test_model
TESTS += %D%/test_model
endif
endif
model_cppflags = $(INCLUDES_HERE) -I$(top_srcdir)/tests -DSLA_DEBUG=1 -DSLA_TESTING=0 -DSLAI_MODEL=1 $(SYSTEM_CPPFLAGS)
%C%_libmodel_a_SOURCES = $(model_sources)
%C%_libmodel_a_CPPFLAGS = $(model_cppflags) -DSPINS=1 -include $(srcdir)/%D%/redirect.h
%C%_libmodel_a_CFLAGS = $(AM_CFLAGS) $(MODEL_CFLAGS)

%C%_test_model_SOURCES = \
	%D%/engine.c \
	%D%/engine.h \
	%D%/memory.c \
	%D%/model.h \
	%D%/os.c \
	%D%/redirect.h \
	%D%/sites.c \
	%D%/test_model.c \
	%D%/tsan.c
%C%_test_model_CPPFLAGS = $(model_cppflags)
%C%_test_model_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
%C%_test_model_LDADD = %D%/libmodel.a tests/libsupport.la $(CHECK_LIBS) $(PTHREAD_LIBS) $(ATOMIC_LIBS)

rig_tests += %D%/missing.sh %D%/spin.sh
EXTRA_DIST += %D%/README.md %D%/lock.pml %D%/parking.pml %D%/remote.pml
