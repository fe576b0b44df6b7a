# man/local.mk: the manual pages.  A page that is one line ".so man3/X.3" is
# another name of page X.  API pages keep their names under --program-prefix.
#
# SPDX-License-Identifier: MIT

notrans_dist_man3_MANS = \
	%D%/sla_aligned_alloc.3 \
	%D%/sla_alloc_batch.3 \
	%D%/sla_cache_alloc.3 \
	%D%/sla_cache_alloc_batch.3 \
	%D%/sla_cache_create.3 \
	%D%/sla_cache_destroy.3 \
	%D%/sla_cache_free.3 \
	%D%/sla_cache_free_batch.3 \
	%D%/sla_cache_iterate.3 \
	%D%/sla_cache_name.3 \
	%D%/sla_cache_of.3 \
	%D%/sla_cache_reap.3 \
	%D%/sla_cache_set_limit.3 \
	%D%/sla_cache_set_reclaim.3 \
	%D%/sla_cache_stats.3 \
	%D%/sla_calloc.3 \
	%D%/sla_free.3 \
	%D%/sla_free_aligned_sized.3 \
	%D%/sla_free_batch.3 \
	%D%/sla_free_sized.3 \
	%D%/sla_good_size.3 \
	%D%/sla_heap_aligned_alloc.3 \
	%D%/sla_heap_calloc.3 \
	%D%/sla_heap_create.3 \
	%D%/sla_heap_create_on.3 \
	%D%/sla_heap_current.3 \
	%D%/sla_heap_destroy.3 \
	%D%/sla_heap_malloc.3 \
	%D%/sla_heap_name.3 \
	%D%/sla_heap_of.3 \
	%D%/sla_heap_pop.3 \
	%D%/sla_heap_push.3 \
	%D%/sla_heap_realloc.3 \
	%D%/sla_heap_set_limit.3 \
	%D%/sla_heap_stats.3 \
	%D%/sla_heap_visit.3 \
	%D%/sla_maintain.3 \
	%D%/sla_malloc.3 \
	%D%/sla_malloc_usable.3 \
	%D%/sla_memalign.3 \
	%D%/sla_option_get.3 \
	%D%/sla_option_set.3 \
	%D%/sla_owns.3 \
	%D%/sla_posix_memalign.3 \
	%D%/sla_realloc.3 \
	%D%/sla_reallocarray.3 \
	%D%/sla_rezalloc.3 \
	%D%/sla_stats_get.3 \
	%D%/sla_stats_print.3 \
	%D%/sla_thread_idle.3 \
	%D%/sla_trim.3 \
	%D%/sla_try_expand.3 \
	%D%/sla_usable_size.3 \
	%D%/sla_version.3 \
	%D%/slaballoc.3 \
	%D%/slaballoc.hpp.3
notrans_dist_man7_MANS = \
	%D%/slaballoc.7

dist_man1_MANS =
dist_man5_MANS =
if BENCH
dist_man1_MANS += %D%/slaballoc-bench.1
dist_man5_MANS += %D%/slaballoc-trace.5
else
EXTRA_DIST += %D%/slaballoc-bench.1 %D%/slaballoc-trace.5
endif
if PRELOAD_SHARED
dist_man1_MANS += %D%/slaballoc-run.1
else
EXTRA_DIST += %D%/slaballoc-run.1
endif
