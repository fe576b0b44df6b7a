/*
 * Atomics: the one place that names the compiler's.  Every use spells its order,
 * which tests/model relies on; it defines SLAI_MODEL.
 *
 * Fields that one thread owns and others only look at are plain C objects: the
 * owner reads them plainly and writes them with slai_set_*, others read them
 * with slai_load_*.  That costs the owner nothing and is no data race.
 */
#ifndef UTIL_ATOMIC_H
#define UTIL_ATOMIC_H

#include "util/compiler.h"

/*
 * Where the tests step in: before each step that another thread, or a fork child, may see, in order.  A build without
 * SLA_TESTING compiles it away.
 */
extern void (*slai_point_hook)(void) SLA_HIDDEN;
SLA_INLINE void slai_point(void)
{
    if (SLA_TESTING && SLA_UNLIKELY(__atomic_load_n(&slai_point_hook, __ATOMIC_RELAXED) != NULL))
        slai_point_hook();
}

#define slai_load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define slai_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define slai_load_seq(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define slai_set_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define slai_set_release(p, v) (slai_point(), __atomic_store_n((p), (v), __ATOMIC_RELEASE))
#define slai_swap_acq_rel(p, v) (slai_point(), __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL))
#define slai_swap_acquire(p, v) (slai_point(), __atomic_exchange_n((p), (v), __ATOMIC_ACQUIRE))
#define slai_swap_release(p, v) (slai_point(), __atomic_exchange_n((p), (v), __ATOMIC_RELEASE))
#define slai_add_relaxed(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define slai_add_acq_rel(p, v) (slai_point(), __atomic_fetch_add((p), (v), __ATOMIC_ACQ_REL))
#define slai_or_relaxed(p, v) __atomic_fetch_or((p), (v), __ATOMIC_RELAXED)
#define slai_or_release(p, v) (slai_point(), __atomic_fetch_or((p), (v), __ATOMIC_RELEASE))

/* Weak compare-and-swap; *expected is reloaded on failure. */
#define slai_cas_acquire(p, expected, v) \
    (slai_point(), __atomic_compare_exchange_n((p), (expected), (v), true, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
#define slai_cas_release(p, expected, v) \
    (slai_point(), __atomic_compare_exchange_n((p), (expected), (v), true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
#define slai_cas_acq_rel(p, expected, v) \
    (slai_point(), __atomic_compare_exchange_n((p), (expected), (v), true, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))

/* Thread sanitizer, as gcc and as clang say it. */
#if defined(__SANITIZE_THREAD__)
#define SLAI_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SLAI_TSAN 1
#endif
#endif

/*
 * A field written before anyone can hold a pointer for which the old value would be wrong.  Either value will
 * do, so this is a plain load, which compilers fold into the comparison; the sanitizer is told that it is meant.
 */
#ifdef SLAI_TSAN
#define slai_load_settled(p) slai_load_relaxed(p)
#else
#define slai_load_settled(p) (*(p))
#endif

/*
 * ++*p by p's only writer, after all its earlier stores.  x86 keeps stores in order by itself, and can then
 * increment memory in one instruction.
 */
#if (defined(__x86_64__) || defined(__i386__)) && !defined(SLAI_MODEL)
#define slai_increment_release(p) (slai_point(), __atomic_signal_fence(__ATOMIC_RELEASE), (void)++*(p))
#else
#define slai_increment_release(p) slai_set_release((p), *(p) + 1)
#endif

/* The compiler is to reload what it has read; no instruction. */
#define slai_forget_registers() __atomic_signal_fence(__ATOMIC_ACQ_REL)

/* Orders this thread's earlier stores before its later ones (fork sees memory as another thread would). */
#if defined(SLAI_TSAN) && !defined(SLAI_MODEL) /* it does not know fences; only a fork child relies on this one */
#define slai_fence_release() (slai_point(), __atomic_signal_fence(__ATOMIC_RELEASE))
#else
#define slai_fence_release() (slai_point(), __atomic_thread_fence(__ATOMIC_RELEASE))
#endif

#endif
