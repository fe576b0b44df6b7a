# copy.sh: sourced by what builds a copy of the tree.
# SPDX-License-Identifier: MIT

# copy_source FROM TO: the source, without what a build in it has made: make would find that in the source and not make it.
copy_source() {
  mkdir -p "$2" && (cd "$1" && tar -cf - --exclude=./.git --exclude=./autom4te.cache --exclude='*.o' --exclude='*.lo' \
    --exclude='*.la' --exclude='*.a' --exclude='*.gcda' --exclude='*.gcno' --exclude=.libs --exclude=.deps \
    --exclude=./config.status --exclude=./config.h --exclude=./stamp-h1 --exclude=./Makefile --exclude=./libtool \
    --exclude='./slaballoc*.pc' --exclude=./slaballoc-run --exclude=./slaballoc-bench \
    --exclude=./src/slaballoc-malloc.map --exclude='*.trs' --exclude='*.log' --exclude=./fuzz --exclude=./soak \
    --exclude=./sources --exclude=./ports .) | (cd "$2" && tar -xf -)
}

# unbuilt FROM TO: $source is FROM; or, as a tree that is configured itself cannot have builds elsewhere, its copy in TO.
unbuilt() {
  source=$1
  [ -e "$1/config.status" ] || return 0
  source=$2
  copy_source "$1" "$2"
}
