# tests/fault/local.mk: system calls that fail, inside and from outside; limits.
#
# SPDX-License-Identifier: MIT

check_programs += %D%/test_calls
soak_tests += %D%/test_calls
%C%_test_calls_SOURCES = %D%/test_calls.c %D%/parts.c %D%/parts.h %D%/points.c %D%/runs.c %D%/runs.h \
	%D%/script.c %D%/script.h %D%/sites.c

rig_tests += %D%/inject.sh %D%/outside.sh
rig_files += %D%/outside.c
soak_first += %D%/inject.sh %D%/outside.sh
