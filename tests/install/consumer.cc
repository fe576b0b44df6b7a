/*
 * The same from C++.  DROPIN: 1 if operator new is to come from the same heap.
 *
 * SPDX-License-Identifier: MIT
 */
#include <cstdio>
#include <map>
#include <new>
#include <slaballoc.h>
#include <slaballoc/stats.h>
#if __cplusplus >= 201703L
#include <slaballoc/slaballoc.hpp>
#endif
#include <string>
#include <vector>

namespace {

struct alignas(256) Wide {
    char bytes[256];
};

int fail(const char *what)
{
    std::fprintf(stderr, "consumer.cc: %s\n", what);
    return 1;
}

} // namespace

int main()
{
    std::map<std::string, std::vector<int>> words;
    for (int i = 0; i < 1000; i++)
        words["a rather long key, not kept in place " + std::to_string(i % 50)].push_back(i);
    if (words.size() != 50 || words.begin()->second.size() != 20)
        return fail("wrong contents");

#if __cplusplus >= 201703L
    std::vector<int, sla::allocator<int>> numbers(1000, 3);
    if (sla_owns(numbers.data()) != 1 || *sla::object_cache<int>("ints").make(7) != 7)
        return fail("slaballoc.hpp");
#endif

    int *number = new int(7);
    Wide *wide = new Wide[3];
    void *ours = sla_malloc(10);
    if (sla_owns(number) != DROPIN || sla_owns(wide) != DROPIN)
        return fail(DROPIN ? "operator new is not replaced" : "operator new is replaced");
    if (sla_owns(ours) != 1)
        return fail("a block of ours is not owned");
    if (reinterpret_cast<unsigned long>(wide) % 256 != 0)
        return fail("wrong alignment");
    delete number;
    delete[] wide;
    sla_free(ours);
    return 0;
}
