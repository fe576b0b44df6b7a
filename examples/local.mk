# examples/local.mk: programs to read and to begin from.  Installed as sources;
# 'make check' builds and runs them; the one in C++ by tests/cxx/run.sh, as there may be no compiler for it.
#
# SPDX-License-Identifier: MIT

examplesdir = $(docdir)/examples
dist_examples_DATA = \
	%D%/object-server.c \
	%D%/pmr-container.cc \
	%D%/request-heap.c \
	%D%/tenant-limit.c

example_programs = \
	%D%/object-server \
	%D%/request-heap \
	%D%/tenant-limit
check_PROGRAMS += $(example_programs)
# As their users build them: with the public headers, without ours.  Never installed, so there need be no script
# around them, which an emulator could not run.
%C%_object_server_SOURCES = %D%/object-server.c
%C%_object_server_CPPFLAGS = -I$(top_srcdir)/include
%C%_object_server_LDFLAGS = $(AM_LDFLAGS) -no-install
%C%_object_server_LDADD = libslaballoc.la $(PTHREAD_LIBS)
%C%_request_heap_SOURCES = %D%/request-heap.c
%C%_request_heap_CPPFLAGS = -I$(top_srcdir)/include
%C%_request_heap_LDFLAGS = $(AM_LDFLAGS) -no-install
%C%_request_heap_LDADD = libslaballoc.la $(PTHREAD_LIBS)
%C%_tenant_limit_SOURCES = %D%/tenant-limit.c
%C%_tenant_limit_CPPFLAGS = -I$(top_srcdir)/include
%C%_tenant_limit_LDFLAGS = $(AM_LDFLAGS) -no-install
%C%_tenant_limit_LDADD = libslaballoc.la $(PTHREAD_LIBS)
