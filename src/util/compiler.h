/* What differs between compilers and builds: the only conditionals above the OS layer. */
#ifndef UTIL_COMPILER_H
#define UTIL_COMPILER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Build constants; every configuration compiles every line, so these are used in plain `if`. */
#ifndef SLA_DEBUG
#define SLA_DEBUG 0 /* 0: none, 1: asserts, 2: lock ranks, 3: checkers */
#endif
#ifndef SLA_TESTING
#define SLA_TESTING 0 /* fault injection and internal test hooks */
#endif
#ifndef SLA_VALGRIND
#define SLA_VALGRIND 0 /* memcheck is told of each block */
#endif

#define SLA_LIKELY(x) __builtin_expect(!!(x), 1)
#define SLA_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define SLA_INLINE static inline __attribute__((always_inline))
#define SLA_COLD __attribute__((noinline, cold))
#define SLA_NOINLINE __attribute__((noinline))
#ifdef __ELF__
#define SLA_RARE __attribute__((section(".bss.rare"))) /* a zeroed array mostly never touched (src/layout.ld) */
#else
#define SLA_RARE
#endif
#define SLA_NORETURN __attribute__((noreturn))
#define SLA_CACHELINE 64
#define SLA_PRINTF(f, a) __attribute__((format(printf, f, a)))

/* Internal functions cross files but never leave the library. */
#define SLA_HIDDEN __attribute__((visibility("hidden")))

/* Tells the processor that this is a spin. */
#if defined(__x86_64__) || defined(__i386__)
#define SLA_PAUSE() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define SLA_PAUSE() __asm__ volatile("yield")
#else
#define SLA_PAUSE() __asm__ volatile("" ::: "memory")
#endif

/* The compiler is to index by i where it stands, not to make a pointer of it first: x86 scales for nothing. */
#define SLA_INDEX(i) __asm__("" : "+r"(i))

#define SLA_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define SLA_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

#endif
