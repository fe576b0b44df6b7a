#!/bin/sh
# stress.sh: stress-ng's workers that allocate, with what they verify.
# SPDX-License-Identifier: MIT
. "${top_srcdir:?}/tests/programs/common.sh"
need stress-ng
operations=$(pick 20000 2000000)
one() {
    # shellcheck disable=SC2086
    (cd "$work" && timeout 900 $with stress-ng --verify --metrics-brief --oom-avoid -t 600 $(echo "$1" | tr '_' ' '))
}
run_units "--malloc_2_--malloc-ops_$((operations * 10))" \
    "--malloc_1_--malloc-pthreads_4_--malloc-ops_$((operations * 5))" \
    "--malloc_1_--malloc-trim_--malloc-touch_--malloc-ops_$operations" \
    "--bigheap_1_--bigheap-ops_$((operations / 10))" \
    "--bsearch_1_--bsearch-ops_50" "--hash_1_--hash-ops_100" \
    "--tree_1_--tree-size_20000_--tree-ops_5" "--list_1_--list-ops_50" \
    "--qsort_1_--qsort-ops_10" "--radixsort_1_--radixsort-ops_10" "--fork_1_--fork-ops_500" \
    "--vfork_1_--vfork-ops_500" "--pthread_1_--pthread-ops_500" "--memthrash_1_--memthrash-ops_4" \
    "--zlib_1_--zlib-ops_20" "--str_1_--str-ops_50" "--wcs_1_--wcs-ops_50"
