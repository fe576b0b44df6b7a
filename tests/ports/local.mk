# tests/ports/local.mk: other systems, compilers, flags and switches.
#
# SPDX-License-Identifier: MIT

rig_tests += \
	%D%/aarch64.sh \
	%D%/i386.sh \
	%D%/matrix.sh \
	%D%/musl.sh \
	%D%/pages.sh \
	%D%/posix.sh
rig_files += %D%/dropin.c %D%/matrix.txt %D%/run.sh %D%/skipped.txt
