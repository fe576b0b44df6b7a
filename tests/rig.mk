# tests/rig.mk: what 'make check-extended' adds to 'make check', and what
# 'make check-soak' repeats.  A test of the rig prints "ran: WHAT, HOW MUCH, SEED".
#
# SPDX-License-Identifier: MIT

# Shell tests that 'make check' leaves out, because of their time or their tools.
rig_tests = %D%/life/modes.sh %D%/rig/coverage.sh %D%/rig/tsan.sh %D%/rig/soaktest.sh
# What those read besides themselves.
rig_files = %D%/rig/build.sh %D%/rig/copy.sh
# What a round of 'make check-soak' runs: each takes SLABALLOC_TEST_SEED from it.
soak_tests = \
	%D%/life/test_fork \
	%D%/life/test_signals \
	%D%/life/test_torture \
	%D%/threads/test_stress \
	%D%/threads/test_mix \
	%D%/threads/test_churn \
	%D%/threads/test_drift \
	%D%/threads/test_fork \
	%D%/threads/test_objcache
# What the first round runs besides: tests that have more to do in a soak, but seldom another course.
soak_first =
# Adds to these lists.
include %D%/fault/local.mk
include %D%/mutants/local.mk
include %D%/fuzz/local.mk
include %D%/model/local.mk
include %D%/ports/local.mk
include %D%/memcheck/local.mk
include %D%/programs/local.mk
