#!/bin/sh
# python.sh: modules of CPython's own suite, with every object a block of malloc.
# SPDX-License-Identifier: MIT
. "${top_srcdir:?}/tests/programs/common.sh"
need python3
python3 -c 'import test.test_dict' 2> /dev/null || skip 'the tests of python3 are not installed'
PYTHONMALLOC=malloc PYTHONDONTWRITEBYTECODE=1
export PYTHONMALLOC PYTHONDONTWRITEBYTECODE
one() { timeout 900 $with python3 -m test -q "$1"; }
small='test_array test_ast test_bytes test_codecs test_collections test_copy test_ctypes test_decimal test_deque
    test_descr test_dict test_exceptions test_fork1 test_functools test_gc test_generators test_heapq test_json
    test_list test_long test_mmap test_pickle test_queue test_re test_set test_sort test_sqlite3 test_str
    test_struct test_subprocess test_thread test_threading test_tuple test_unicodedata test_weakref test_xml_etree
    test_zlib'
large="$small test_asyncio test_bigmem test_bz2 test_capi test_cmath test_concurrent_futures test_contextlib
    test_csv test_dataclasses test_datetime test_deque test_difflib test_embed test_enum test_faulthandler
    test_fstring test_hashlib test_importlib test_inspect test_io test_itertools test_logging test_lzma
    test_memoryview test_minidom test_multiprocessing_fork test_multiprocessing_spawn test_ordered_dict test_os
    test_ssl test_statistics test_sys test_syntax test_tarfile test_threading_local test_tracemalloc test_typing
    test_unicode test_unittest test_userdict test_zipfile test_zoneinfo"
# shellcheck disable=SC2046
run_units $(pick "$small" "$large")
