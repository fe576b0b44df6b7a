#!/bin/sh
# i386.sh: pointers of 32 bits.
# SPDX-License-Identifier: MIT
exec sh "$(dirname "$0")/run.sh" i386
