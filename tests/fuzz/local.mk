# tests/fuzz/local.mk: bytes as calls against a model, bad inputs, parsers.
#
# SPDX-License-Identifier: MIT

check_programs += %D%/test_badinputs %D%/test_fuzz %D%/test_parsers
soak_tests += %D%/test_badinputs %D%/test_fuzz %D%/test_parsers

fuzz_model = %D%/blocks.c %D%/contents.c %D%/control.c %D%/fuzz.c %D%/fuzz.h %D%/heaps.c %D%/model.c \
	%D%/objects.c %D%/ops.h %D%/shadow.c %D%/threads.c
%C%_test_fuzz_SOURCES = %D%/test_fuzz.c $(fuzz_model)
%C%_test_parsers_SOURCES = %D%/test_parsers.c %D%/conf.c %D%/parsers.h %D%/trace.c \
	bench/fail.c bench/replay_plan.c bench/trace.c bench/trace_file.c bench/trace_order.c
%C%_test_parsers_CPPFLAGS = $(AM_CPPFLAGS) -D_GNU_SOURCE

rig_tests += %D%/fuzz.sh
soak_first += %D%/fuzz.sh
rig_files += %D%/conf.dict %D%/target_calls.c %D%/target_conf.c %D%/target_trace.c
# Inputs by the hundred, so no list of them.
EXTRA_DIST += tests/fuzz/corpus
