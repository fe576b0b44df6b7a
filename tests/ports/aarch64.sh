#!/bin/sh
# aarch64.sh: ARM with 64 bits, under an emulator.
# SPDX-License-Identifier: MIT
exec sh "$(dirname "$0")/run.sh" aarch64 aarch64-64k
