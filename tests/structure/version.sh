#!/bin/sh
# version.sh [ROOT]: one version: the header's macros agree with each other, with
# NEWS, with the symbol map's newest node, and with what configure was made for.
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/common.sh"

macro() { sed -n "s/^#define SLA_VERSION_$1 \"\{0,1\}\([0-9.]*\)\"\{0,1\}\$/\1/p" include/slaballoc.h; }
version=$(macro STRING)
numbers=$(macro MAJOR).$(macro MINOR).$(macro PATCH)
[ "$version" = "$numbers" ] || fault "include/slaballoc.h: the text says $version, the numbers say $numbers"
head -n 1 NEWS | grep -q "^slaballoc $version" || fault "NEWS: does not begin with slaballoc $version"
node=$(sed -n 's/^\(SLABALLOC_[0-9.]*\) .*{.*/\1/p' src/slaballoc.map | tail -n 1)
newest=$(printf 'SLABALLOC_%s\n%s\n' "${version%.*}" "$node" | sort -t _ -k 2,2V | tail -n 1)
[ "$newest" = "SLABALLOC_${version%.*}" ] || fault "src/slaballoc.map: $node is newer than version $version"
[ "${SLABALLOC_VERSION:-$version}" = "$version" ] ||
  fault "configure was made for $SLABALLOC_VERSION, the header says $version: run ./bootstrap"
verdict
