// cxx.cc: all operators new and delete, the new-handler, bad_alloc.
//
// SPDX-License-Identifier: MIT
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <map>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

static int failures;
static int (*owns)(const void *);
static volatile std::size_t impossible = SIZE_MAX / 2 - 4096;

static void expect(bool condition, const char *what)
{
    if (!condition) {
        std::fprintf(stderr, "cxx: not so: %s\n", what);
        failures++;
    }
}

static void *ours(void *block, std::size_t alignment, const char *what)
{
    expect(block != nullptr && reinterpret_cast<std::uintptr_t>(block) % alignment == 0, what);
    expect(owns == nullptr || owns(block) == 1, what);
    return block;
}

static void all_operators()
{
    const auto a = std::align_val_t{256};
    for (std::size_t n : {1, 16, 100, 5000, 100000}) {
        ::operator delete(ours(::operator new(n), n < 16 ? 8 : 16, "new"));
        ::operator delete[](ours(::operator new[](n), n < 16 ? 8 : 16, "new[]"));
        ::operator delete(ours(::operator new(n, std::nothrow), 8, "new nothrow"), std::nothrow);
        ::operator delete[](ours(::operator new[](n, std::nothrow), 8, "new[] nothrow"), std::nothrow);
        ::operator delete(ours(::operator new(n), 8, "new for sized"), n);
        ::operator delete[](ours(::operator new[](n), 8, "new[] for sized"), n);
        ::operator delete(ours(::operator new(n, a), 256, "aligned new"), a);
        ::operator delete[](ours(::operator new[](n, a), 256, "aligned new[]"), a);
        ::operator delete(ours(::operator new(n, a, std::nothrow), 256, "aligned new nothrow"), a,
                          std::nothrow);
        ::operator delete[](ours(::operator new[](n, a, std::nothrow), 256, "aligned new[] nothrow"), a,
                            std::nothrow);
        ::operator delete(ours(::operator new(n, a), 256, "aligned new for sized"), n, a);
        ::operator delete[](ours(::operator new[](n, a), 256, "aligned new[] for sized"), n, a);
    }
    ::operator delete(nullptr);
    ::operator delete[](nullptr, std::size_t{8});
    ::operator delete(nullptr, a);
    void *first = ::operator new(0), *second = ::operator new(0);
    expect(first != nullptr && second != nullptr && first != second, "new of size 0 is unique");
    ::operator delete(first);
    ::operator delete(second);
}

template <typename F> static bool throws_bad_alloc(F f)
{
    try {
        f();
    } catch (const std::bad_alloc &) {
        return true;
    }
    return false;
}

static int handler_calls;
static void handler()
{
    if (++handler_calls == 3)
        std::set_new_handler(nullptr);
}
static void throwing_handler()
{
    throw std::runtime_error("no memory, says the handler");
}

static void failing()
{
    void *volatile sink = nullptr;
    const auto a = std::align_val_t{64};
    expect(throws_bad_alloc([&] { sink = ::operator new(impossible); }), "new throws");
    expect(throws_bad_alloc([&] { sink = ::operator new[](impossible); }), "new[] throws");
    expect(throws_bad_alloc([&] { sink = ::operator new(impossible, a); }), "aligned new throws");
    expect(throws_bad_alloc([&] { sink = ::operator new[](impossible, a); }), "aligned new[] throws");
    expect(::operator new(impossible, std::nothrow) == nullptr, "nothrow new gives null");
    expect(::operator new[](impossible, std::nothrow) == nullptr, "nothrow new[] gives null");
    expect(::operator new(impossible, a, std::nothrow) == nullptr, "nothrow aligned new gives null");
    handler_calls = 0;
    std::set_new_handler(handler);
    expect(throws_bad_alloc([&] { sink = ::operator new(impossible); }), "new throws after the handler");
    expect(handler_calls == 3, "the handler is called until it gives up");
    handler_calls = 0;
    std::set_new_handler(handler);
    expect(::operator new(impossible, std::nothrow) == nullptr &&handler_calls == 3,
           "nothrow new calls the handler");
    std::set_new_handler(throwing_handler);
    try {
        sink = ::operator new(impossible);
        expect(false, "the handler's exception goes through new");
    } catch (const std::runtime_error &) {
    }
    std::set_new_handler(nullptr);
    (void)sink;
}

static void containers()
{
    std::map<std::string, std::vector<int>> all;
    for (int i = 0; i < 50000; i++)
        all["key " + std::to_string(i % 997)].push_back(i);
    std::size_t count = 0;
    for (auto &entry : all)
        count += entry.second.size();
    expect(count == 50000, "containers keep all");
    std::thread other([&] { all.clear(); });
    other.join();
    for (int i = 0; i < 1000; i++)
        try {
            throw std::runtime_error(std::string(static_cast<std::size_t>(i), 'x'));
        } catch (const std::exception &) {
        }
}

int main(int argc, char **)
{
    *reinterpret_cast<void **>(&owns) = dlsym(RTLD_DEFAULT, "sla_owns");
    expect(owns != nullptr || argc > 1, "the drop-in is there");
    all_operators();
    failing();
    containers();
    std::puts(failures == 0 ? "all as it should be" : "failures");
    return failures != 0;
}
