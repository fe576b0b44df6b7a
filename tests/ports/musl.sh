#!/bin/sh
# musl.sh: another C library, and programs that are linked statically.
# SPDX-License-Identifier: MIT
exec sh "$(dirname "$0")/run.sh" musl musl-static
