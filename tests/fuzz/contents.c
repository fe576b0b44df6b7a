/*
 * contents.c: what live blocks hold.  A block of up to fuzz.whole bytes is filled
 * and compared all over; of a larger one 64 bytes at either end, and 8 bytes in
 * each 4 KiB (32 KiB, in a large block), at a place that depends on its seed.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fuzz.h"

#define END 64
#define STEP 4096

static uint64_t word_of(uint64_t seed, size_t offset) { return (seed + offset) * 0x9e3779b97f4a7c15u; }

/* The place after this one where a large block is looked at. */
static size_t next_place(const struct fuzz_block *b, size_t offset)
{
    size_t tail = (b->size - END) & ~(size_t)7, next, apart = b->size > FUZZ_PAGE ? 8 * STEP : STEP;
    if (offset < END - 8 || offset >= tail)
        return offset + 8;
    next = (offset / apart + 1) * apart + (b->seed >> 9) % (STEP / 8) * 8;
    return next < tail ? next : tail;
}

void fuzz_paint(struct fuzz_block *b)
{
    size_t offset = b->skip;
    uint64_t word;
    b->seed = ++fuzz.serial * 0xd1342543de82ef95u;
    if (b->size <= fuzz.whole)
        for (; offset + 8 <= b->size; offset += 8) {
            word = word_of(b->seed, offset);
            memcpy(b->start + offset, &word, 8);
        }
    else
        for (; offset + 8 <= b->size; offset = next_place(b, offset)) {
            word = word_of(b->seed, offset);
            memcpy(b->start + offset, &word, 8);
        }
    for (; offset < b->size; offset++)
        b->start[offset] = (unsigned char)(b->seed >> 8 * (offset % 8));
}

static bool same(const unsigned char *bytes, uint64_t word) { return memcmp(bytes, &word, 8) == 0; }

/* Bytes from upto on may be anything: the block is about to shrink, or has. */
void fuzz_verify(const struct fuzz_block *b, size_t upto)
{
    size_t offset = b->skip;
    bool good = true;
    if (b->size <= fuzz.whole)
        for (; offset + 8 <= b->size && offset + 8 <= upto; offset += 8)
            good &= same(b->start + offset, word_of(b->seed, offset));
    else
        for (; offset + 8 <= b->size && offset + 8 <= upto; offset = next_place(b, offset))
            good &= same(b->start + offset, word_of(b->seed, offset));
    if (upto >= b->size)
        for (; offset < b->size; offset++)
            good &= b->start[offset] == (unsigned char)(b->seed >> 8 * (offset % 8));
    FUZZ_REQUIRE(good && "contents lost");
}

static bool is_zero(const unsigned char *bytes, size_t size)
{
    uint64_t any = 0, word;
    for (; size >= 8; size -= 8, bytes += 8) {
        memcpy(&word, bytes, 8);
        any |= word;
    }
    while (size > 0)
        any |= bytes[--size];
    return any == 0;
}

/* Of much, mostly the ends and some in each page. */
void fuzz_require_zero(const unsigned char *bytes, size_t from, size_t to)
{
    bool good;
    if (to - from <= FUZZ_PAGE / 8 || fuzz_random() % 16 == 0) {
        good = is_zero(bytes + from, to - from);
    } else {
        size_t shift = fuzz_random() % (STEP / 64) * 64;
        good = is_zero(bytes + from, 128) && is_zero(bytes + to - 128, 128);
        for (size_t at = from / STEP * STEP + STEP; at + STEP <= to; at += STEP)
            good &= is_zero(bytes + at + shift, 64);
    }
    FUZZ_REQUIRE(good && "not zero");
}
