/*
 * containers.cc: slaballoc.hpp under the standard's containers, and its object cache.
 *
 * SPDX-License-Identifier: MIT
 */
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <deque>
#include <list>
#include <map>
#include <set>
#include <slaballoc/slaballoc.hpp>
#include <slaballoc/stats.h>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {

int failures;

void expect(bool right, const char *what, int line)
{
    if (right)
        return;
    failures++;
    std::fprintf(stderr, "containers.cc:%d: %s\n", line, what);
}
#define EXPECT(condition) expect(condition, #condition, __LINE__)

template <class Exception, class Function> bool throws(Function function)
{
    try {
        function();
    } catch (const Exception &) {
        return true;
    }
    return false;
}

std::size_t live()
{
    sla_stats_t stats;
    return sla_stats_get(&stats, sizeof stats) == 0 ? stats.live : 0;
}

template <class T> using vector = std::vector<T, sla::allocator<T>>;
template <class T> using list = std::list<T, sla::allocator<T>>;
using string = std::basic_string<char, std::char_traits<char>, sla::allocator<char>>;
template <class K, class V> using map = std::map<K, V, std::less<>, sla::allocator<std::pair<const K, V>>>;
struct hash {
    std::size_t operator()(const string &s) const { return std::hash<std::string_view>()(s); }
};
template <class K, class V>
using unordered_map = std::unordered_map<K, V, hash, std::equal_to<>, sla::allocator<std::pair<const K, V>>>;

struct alignas(128) Wide {
    char bytes[128] = {};
};
struct alignas(16) Paired {
    long double value = 0;
};

bool aligned(const void *address, std::size_t to) { return reinterpret_cast<std::uintptr_t>(address) % to == 0; }

string key(int i) { return "a key too long to be kept in place, number " + string(std::to_string(i).c_str()); }

void containers()
{
    map<string, vector<int>> sorted;
    unordered_map<string, list<string>> hashed;
    std::deque<int, sla::allocator<int>> queue;
    std::set<int, std::less<int>, sla::allocator<int>> set;
    for (int i = 0; i < 5000; i++) {
        sorted[key(i % 100)].push_back(i);
        hashed[key(i % 70)].push_front(key(i));
        queue.push_back(i);
        set.insert(i % 1000);
        if (i % 3 == 0)
            queue.pop_front();
    }
    EXPECT(sorted.size() == 100 && sorted[key(7)].size() == 50 && sorted[key(7)][1] == 107);
    EXPECT(hashed.size() == 70 && hashed[key(3)].back() == key(3));
    EXPECT(queue.front() == 1667 && queue.back() == 4999 && set.size() == 1000);
    EXPECT(sla_owns(sorted[key(7)].data()) == 1 && sla_owns(sorted.begin()->first.data()) == 1);

    vector<int> numbers(1000, 3), others;
    const int *data = numbers.data();
    others = std::move(numbers);
    EXPECT(others.data() == data); /* moved as a whole: allocators are equal */
    vector<Wide> wide(3);
    vector<Paired> paired(1);
    EXPECT(aligned(wide.data(), 128) && aligned(paired.data(), 16));
    EXPECT(aligned(vector<long double>(1).data(), alignof(long double)));
    vector<bool> bits(100, true);
    EXPECT(std::count(bits.begin(), bits.end(), true) == 100);

    auto shared = std::allocate_shared<string>(sla::allocator<string>(), key(1));
    EXPECT(*shared == key(1) && sla_owns(shared.get()) == 1);
}

void allocators()
{
    sla::allocator<int> ints;
    sla::allocator<Wide> wides(ints);
    using traits = std::allocator_traits<sla::allocator<int>>;
    static_assert(traits::is_always_equal::value && std::is_empty_v<sla::allocator<int>>);
    static_assert(std::is_same_v<traits::rebind_alloc<Wide>, sla::allocator<Wide>>);
    EXPECT(ints == wides && !(ints != wides));
    EXPECT(throws<std::bad_alloc>([&] { ints.deallocate(ints.allocate(PTRDIFF_MAX / sizeof(int)), 1); }));
    EXPECT(throws<std::bad_array_new_length>([&] { wides.deallocate(wides.allocate(PTRDIFF_MAX), 1); }));
    int *none = ints.allocate(0);
    EXPECT(none != nullptr);
    ints.deallocate(none, 0);
    ints.deallocate(nullptr, 0);
}

std::atomic<int> alive;

struct Counted {
    explicit Counted(int n, std::string s = "") : number(n), text(std::move(s))
    {
        if (n < 0)
            throw std::invalid_argument("negative");
        alive++;
    }
    ~Counted() { alive--; }
    Counted(const Counted &) = delete;
    int number;
    std::string text;
};

void object_caches()
{
    sla::object_cache<Counted> cache("counted");
    std::vector<sla::object_cache<Counted>::pointer> objects;
    for (int i = 0; i < 1000; i++)
        objects.push_back(cache.make(i, "text of object " + std::to_string(i)));
    EXPECT(alive == 1000 && objects[7]->number == 7 && objects[7]->text == "text of object 7");
    EXPECT(sla_cache_of(objects[7].get()) == cache.native_handle());
    EXPECT(std::string(cache.name()) == "counted" && cache.stats().live == 1000);
    EXPECT(throws<std::invalid_argument>([&] { (void)cache.make(-1); }));
    EXPECT(cache.stats().live == 1000);

    sla::object_cache<Counted> moved(std::move(cache));
    EXPECT(cache.native_handle() == nullptr && moved.make(1)->number == 1);
    std::thread([&] { objects.erase(objects.begin() + 500, objects.end()); }).join();
    EXPECT(alive == 500);
    objects.clear();
    EXPECT(alive == 0 && moved.stats().live == 0 && moved.reap() > 0);

    moved.set_limit(65536);
    EXPECT(throws<std::bad_alloc>([&] {
        for (int i = 0; i < 10000; i++)
            objects.push_back(moved.make(i));
    }));
    objects.clear();
    Counted *raw = moved.allocate();
    moved.deallocate(raw);
    moved = sla::object_cache<Counted>("another");
    EXPECT(alive == 0 && std::string(moved.name()) == "another");

    sla::object_cache<Wide> wide;
    auto one = wide.make();
    EXPECT(aligned(one.get(), 128));
    EXPECT(throws<std::system_error>([] { sla::object_cache<int> unknown_flags("bad", 1u << 30); }));
}

#if defined(SLA_HAS_PMR)
void fill(std::pmr::memory_resource *resource)
{
    std::pmr::map<std::pmr::string, std::pmr::vector<int>> sorted(resource);
    std::pmr::unordered_map<int, std::pmr::list<std::pmr::string>> hashed(resource);
    for (int i = 0; i < 3000; i++) {
        sorted[std::pmr::string(key(i % 50).c_str(), resource)].push_back(i);
        hashed[i % 20].emplace_back(key(i).c_str());
    }
    EXPECT(sorted.size() == 50 && sorted.begin()->second.size() == 60);
    EXPECT(hashed[7].size() == 150 && hashed[7].front() == key(7).c_str());
    EXPECT(sorted.begin()->second.get_allocator().resource() == resource);
}

void resources()
{
    sla::heap heap("first"), other;
    sla::heap_resource resource(heap), same(heap.native_handle()), elsewhere(other), anywhere;
    fill(&resource);
    EXPECT(heap.stats().live == 0 && heap.stats().peak > 0 && other.stats().peak == 0);
    fill(&anywhere);
    EXPECT(resource == same && !(resource == elsewhere) && !(resource == *std::pmr::new_delete_resource()));

    std::pmr::vector<Wide> wide(3, &resource);
    EXPECT(aligned(wide.data(), 128) && sla_heap_of(wide.data()) == heap.native_handle());
    void *small = resource.allocate(1, 16);
    EXPECT(aligned(small, 16));
    resource.deallocate(small, 1, 16);
    std::pmr::vector<Wide> taken(std::move(wide), &same), copied(std::move(taken), &elsewhere);
    EXPECT(sla_heap_of(copied.data()) == other.native_handle());

    other.set_limit(1 << 20);
    EXPECT(throws<std::bad_alloc>([&] { std::pmr::vector<char> large(8 << 20, &elsewhere); }));
}
#else
void resources() {}
#endif

alignas(65536) unsigned char lent_memory[1 << 20];

void *lend(std::size_t size, int *, void *)
{
    static bool taken;
    if (taken || size > sizeof lent_memory)
        return nullptr;
    taken = true;
    return lent_memory;
}

void heaps()
{
    sla::heap heap("scoped");
    sla::heap moved(std::move(heap));
    EXPECT(heap.native_handle() == nullptr && std::string(moved.name()) == "scoped");
    {
        sla::heap::scope scope(moved);
        vector<int> numbers(100);
        EXPECT(sla_heap_of(numbers.data()) == moved.native_handle());
        sla::heap::scope inner(nullptr);
        EXPECT(sla_heap_of(vector<int>(100).data()) == nullptr);
    }
    EXPECT(sla_heap_current() == nullptr && moved.stats().live == 0);
    auto *lost = new (sla_heap_malloc(moved.native_handle(), sizeof(vector<int>))) vector<int>();
    EXPECT(lost->empty() && moved.stats().blocks == 1);
    moved = sla::heap("another"); /* frees what was in the first one */
    {
        sla::heap lent(sla_heap_pages_t{lend, nullptr, nullptr, std::size_t(1) << 20}, "lent");
        auto *first = static_cast<unsigned char *>(sla_heap_malloc(lent.native_handle(), 100));
        EXPECT(first >= lent_memory && first < lent_memory + sizeof lent_memory && lent.stats().provided > 0);
    }
    try {
        sla::heap none(sla_heap_pages_t{nullptr, nullptr, nullptr, 0});
        EXPECT(!"made on no memory");
    } catch (const std::system_error &e) {
        EXPECT(e.code().value() == EINVAL);
    }
    EXPECT(moved.stats().blocks == 0);
}

} // namespace

int main()
{
    std::size_t before = live();
    containers();
    allocators();
    object_caches();
    heaps();
    resources();
    EXPECT(live() == before);
    if (failures == 0)
        std::puts("all as it should be");
    return failures != 0;
}
