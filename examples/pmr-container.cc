/*
 * pmr-container.cc: standard containers on a heap of their own.  Words are
 * counted in a map whose nodes and strings all lie in one heap with a limit;
 * the map is never taken apart: the heap goes, and all of it at once.
 *
 *   c++ -std=c++17 pmr-container.cc $(pkg-config --cflags --libs slaballoc)
 *   ./a.out
 *
 * SPDX-License-Identifier: MIT
 */
#include <cstddef>
#include <cstdio>
#include <map>
#include <memory_resource>
#include <new>
#include <slaballoc/slaballoc.hpp>
#include <string>

using Count = std::pmr::map<std::pmr::string, int>;

/* Words of a made-up text, so many of them different, until the heap is at its limit or the text ends; how many. */
static int count_words(Count &count, int words, int different)
{
    int n = 0;
    try {
        for (; n < words; n++) {
            char word[64];
            std::snprintf(word, sizeof word, "a word that is too long to lie in the string itself, %d", n % different);
            ++count[std::pmr::string(word, count.get_allocator())];
        }
    } catch (const std::bad_alloc &) {
        /* the heap's limit; what was counted so far is all there */
    }
    return n;
}

int main()
{
    int counted, refused_at;
    std::size_t held;
    {
        sla::heap heap("words");
        sla::heap_resource memory(heap);
        /* Placed in the heap too, and never destroyed: nothing in it is elsewhere. */
        auto *count = new (sla_heap_malloc(heap.native_handle(), sizeof(Count))) Count(&memory);
        counted = count_words(*count, 100000, 1000);
        held = heap.stats().live;
        std::printf("%d words, %zu different, in %zu bytes of a heap\n", counted, count->size(), held);
    } /* here it goes, and all of the map with it */
    {
        sla::heap heap("small");
        heap.set_limit(std::size_t{256} << 10);
        sla::heap_resource memory(heap);
        Count count(&memory);
        refused_at = count_words(count, 100000, 100000);
        std::printf("within 256 KiB: %zu different words before bad_alloc\n", count.size());
    }
    if (counted != 100000 || held == 0 || refused_at == 100000)
        return 1;
    std::puts("the heap with the limit alone was refused");
    return 0;
}
