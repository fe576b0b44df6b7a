/*
 * shadow.c: a bit for every 8 bytes of address space that live blocks are in.
 *
 * Pages of 64 KiB are found by a hash of their number; one that is one block's
 * from end to end has no bits but a mark.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fuzz.h"

#include <stdlib.h>

#define PLACES ((size_t)1 << 17)
#define WORDS (FUZZ_PAGE / 8 / 64)

static struct page {
    uintptr_t number;
    bool taken, whole;
    uint64_t *bits;
} pages[PLACES];
static size_t pages_count;

static struct page *page_of(uintptr_t number)
{
    size_t i = (size_t)(number * 0x9e3779b97f4a7c15u >> 40) % PLACES;
    while (pages[i].taken && pages[i].number != number)
        i = (i + 1) % PLACES;
    if (!pages[i].taken) {
        FUZZ_REQUIRE(++pages_count < PLACES / 2);
        pages[i].taken = true;
        pages[i].number = number;
    }
    return &pages[i];
}

enum change { ADD, REMOVE, LOOK };

static uint64_t mask_of(size_t from, size_t to)
{
    return (~(uint64_t)0 >> (63 - (to - 1) % 64)) & (~(uint64_t)0 << from % 64);
}

/* Bits from to to-1 of a page. False: they are not as they must be. */
static bool change_bits(struct page *page, size_t from, size_t to, enum change how)
{
    if (page->whole)
        return false;
    if (page->bits == NULL) {
        if (how == LOOK)
            return true;
        page->bits = calloc(WORDS, sizeof(uint64_t));
        FUZZ_REQUIRE(page->bits != NULL);
    }
    for (size_t end; from < to; from = end) {
        uint64_t *word = &page->bits[from / 64], mask;
        end = (from | 63) + 1 < to ? (from | 63) + 1 : to;
        mask = mask_of(from, end);
        if ((*word & mask) != (how == REMOVE ? mask : 0))
            return false;
        if (how != LOOK)
            *word ^= mask;
    }
    return true;
}

static bool change_whole(struct page *page, enum change how)
{
    if (how == REMOVE ? !page->whole : page->whole || !change_bits(page, 0, FUZZ_PAGE / 8, LOOK))
        return false;
    if (how != LOOK)
        page->whole = how == ADD;
    return true;
}

static bool change(const void *start, size_t size, enum change how)
{
    uintptr_t at = (uintptr_t)start, last = at + size;
    bool good = true;
    for (uintptr_t next; at < last && good; at = next) {
        struct page *page = page_of(at / FUZZ_PAGE);
        size_t from = at % FUZZ_PAGE;
        next = at - from + FUZZ_PAGE < last ? at - from + FUZZ_PAGE : last;
        if (from == 0 && next - at == FUZZ_PAGE)
            good = change_whole(page, how);
        else
            good = change_bits(page, from / 8, (from + (next - at) + 7) / 8, how);
    }
    return good;
}

void fuzz_shadow_add(const void *start, size_t size)
{
    FUZZ_REQUIRE(change(start, size, ADD) && "overlap: part of the block is in another live one");
}

void fuzz_shadow_remove(const void *start, size_t size)
{
    FUZZ_REQUIRE(change(start, size, REMOVE) && "the model lost a block");
}

bool fuzz_shadow_clear(const void *start, size_t size) { return change(start, size, LOOK); }
