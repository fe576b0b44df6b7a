# tests/programs/local.mk: real programs' own suites on the drop-in.
#
# SPDX-License-Identifier: MIT

rig_tests += \
	%D%/bash.sh \
	%D%/git.sh \
	%D%/perl.sh \
	%D%/postgres.sh \
	%D%/python.sh \
	%D%/redis.sh \
	%D%/self.sh \
	%D%/sqlite.sh \
	%D%/stress.sh
rig_files += %D%/common.sh
soak_first += %D%/perl.sh %D%/postgres.sh %D%/redis.sh %D%/sqlite.sh %D%/stress.sh
