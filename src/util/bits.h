/* Bit and rounding arithmetic: pure, total for the arguments named. */
#ifndef UTIL_BITS_H
#define UTIL_BITS_H

#include "util/compiler.h"

#define SLAI_WORD_BITS 64u

SLA_INLINE bool slai_is_pow2(size_t x) { return x != 0 && (x & (x - 1)) == 0; }

/* align is a power of two; x + align - 1 must not overflow. */
SLA_INLINE size_t slai_round_up(size_t x, size_t align) { return (x + align - 1) & ~(align - 1); }
SLA_INLINE size_t slai_round_down(size_t x, size_t align) { return x & ~(align - 1); }

/* Index of the highest and of the lowest set bit; x is not 0. */
SLA_INLINE unsigned slai_log2(uint64_t x) { return 63u - (unsigned)__builtin_clzll(x); }
SLA_INLINE unsigned slai_low_bit(uint64_t x) { return (unsigned)__builtin_ctzll(x); }
SLA_INLINE unsigned slai_popcount(uint64_t x) { return (unsigned)__builtin_popcountll(x); }

/* Smallest power of two >= x; x in 1 .. SIZE_MAX / 2 + 1. */
SLA_INLINE size_t slai_ceil_pow2(size_t x) { return x <= 1 ? 1 : (size_t)2 << slai_log2(x - 1); }

#define SLAI_NO_BIT UINT32_MAX
/* The first set bit of an array of words from bit i on, or SLAI_NO_BIT. */
SLA_INLINE unsigned slai_next_bit(const uint64_t *words, size_t n, unsigned i)
{
    uint64_t from = ~(uint64_t)0 << i % SLAI_WORD_BITS;
    for (size_t w = i / SLAI_WORD_BITS; w < n; w++, from = ~(uint64_t)0)
        if ((words[w] & from) != 0)
            return (unsigned)(w * SLAI_WORD_BITS) + slai_low_bit(words[w] & from);
    return SLAI_NO_BIT;
}

/* A word with bits [0, n) set, n in 0..64. */
SLA_INLINE uint64_t slai_low_mask(unsigned n) { return n >= 64 ? ~(uint64_t)0 : ((uint64_t)1 << n) - 1; }

#endif
