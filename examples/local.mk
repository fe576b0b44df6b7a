# examples/local.mk: programs to read and to begin from.  Installed as sources;
# 'make check' builds and runs them.
#
# SPDX-License-Identifier: MIT

examplesdir = $(docdir)/examples
dist_examples_DATA = \
	%D%/object-server.c

example_programs = \
	%D%/object-server
check_PROGRAMS += $(example_programs)
# As their users build them: with the public headers, without ours.  Never installed, so there need be no script
# around them, which an emulator could not run.
%C%_object_server_SOURCES = %D%/object-server.c
%C%_object_server_CPPFLAGS = -I$(top_srcdir)/include
%C%_object_server_LDFLAGS = $(AM_LDFLAGS) -no-install
%C%_object_server_LDADD = libslaballoc.la $(PTHREAD_LIBS)
