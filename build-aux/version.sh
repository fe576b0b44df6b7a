#!/bin/sh
# Prints the version, read from the public header: it is written down nowhere else.
# SPDX-License-Identifier: MIT
set -eu
sed -n 's/^#define SLA_VERSION_STRING "\([0-9.]*\)"$/\1/p' "${1:-include/slaballoc.h}" | tr -d '\n'
