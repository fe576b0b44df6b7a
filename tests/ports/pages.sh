#!/bin/sh
# pages.sh: this build with bigger pages.
# SPDX-License-Identifier: MIT
exec sh "$(dirname "$0")/run.sh" page-16k page-64k
