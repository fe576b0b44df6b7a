#!/bin/sh
# posix.sh: the layer for systems that are not Linux.
# SPDX-License-Identifier: MIT
exec sh "$(dirname "$0")/run.sh" posix
