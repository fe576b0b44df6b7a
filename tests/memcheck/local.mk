# tests/memcheck/local.mk: the library under memcheck, in a build of its own.
#
# SPDX-License-Identifier: MIT

rig_tests += %D%/run.sh
rig_files += %D%/faults.c
soak_first += %D%/run.sh
