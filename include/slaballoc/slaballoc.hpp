/*
 * slaballoc/slaballoc.hpp: slaballoc for C++17 and later, in this header alone.
 *
 *   sla::allocator<T>     for containers: std::vector<T, sla::allocator<T>>
 *   sla::object_cache<T>  objects of one type, from a cache of their own
 *   sla::heap             memory apart, freed as a whole
 *   sla::heap_resource    for std::pmr containers: memory of a heap
 *
 * See slaballoc.hpp(3).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SLABALLOC_HPP
#define SLABALLOC_HPP

#include <slaballoc.h>
#include <slaballoc/cache.h>
#include <slaballoc/heap.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <system_error>
#include <type_traits>
#include <utility>

/* Standard libraries have it later than their compilers know the language. */
#if defined(__has_include)
#if __has_include(<memory_resource>)
#include <memory_resource>
#endif
#endif
#if defined(__cpp_lib_memory_resource)
#define SLA_HAS_PMR 1
#endif

namespace sla {

namespace detail {

/* Without exceptions there is no other way to go on. */
template <class Exception, class... Args> [[noreturn]] inline void raise(Args &&...args)
{
#if defined(__cpp_exceptions)
    throw Exception(std::forward<Args>(args)...);
#else
    ((void)args, ...);
    std::abort();
#endif
}

[[noreturn]] inline void raise_errno(const char *what)
{
    if (errno == ENOMEM)
        raise<std::bad_alloc>();
    raise<std::system_error>(errno, std::generic_category(), what);
}

/* Does sla_malloc align blocks of this size so? */
constexpr bool is_plain(std::size_t size, std::size_t alignment) noexcept
{
    return alignment <= (size < 16 ? 8 : 16);
}

} // namespace detail

/*
 * An allocator for standard containers.  It has no state: all are equal, and what one allocated any other may free.
 * allocate throws std::bad_alloc, or std::bad_array_new_length.  Sizes and alignments are checked when memory is freed.
 */
template <class T> class allocator {
public:
    using value_type = T;
    using size_type = std::size_t;
    using difference_type = std::ptrdiff_t;
    using propagate_on_container_move_assignment = std::true_type;
    using is_always_equal = std::true_type;

    constexpr allocator() noexcept = default;
    template <class U> constexpr allocator(const allocator<U> &) noexcept {}

    [[nodiscard]] T *allocate(std::size_t count)
    {
        if (count > PTRDIFF_MAX / sizeof(T))
            detail::raise<std::bad_array_new_length>();
        const std::size_t size = count * sizeof(T);
        void *block = detail::is_plain(size, alignof(T)) ? sla_malloc(size) : sla_aligned_alloc(alignof(T), size);
        if (block == nullptr)
            detail::raise<std::bad_alloc>();
        return static_cast<T *>(block);
    }

    void deallocate(T *block, std::size_t count) noexcept
    {
        if constexpr (alignof(T) <= 16)
            sla_free_sized(block, count * sizeof(T));
        else
            sla_free_aligned_sized(block, alignof(T), count * sizeof(T));
    }

    template <class U> friend constexpr bool operator==(const allocator &, const allocator<U> &) noexcept
    {
        return true;
    }
    template <class U> friend constexpr bool operator!=(const allocator &, const allocator<U> &) noexcept
    {
        return false;
    }
};

/*
 * A cache of objects of type T (slaballoc/cache.h), and its owner.  make() constructs an object, the pointer it returns
 * destroys it and gives its memory back, in any thread.  All objects are to be gone before the cache is: else its end
 * is a line on standard error, and the cache stays for good.
 */
template <class T> class object_cache {
public:
    /* Keeps its cache by the library's handle, so the object_cache may be moved meanwhile. */
    class deleter {
    public:
        constexpr deleter() noexcept = default;
        explicit constexpr deleter(sla_cache_t *cache) noexcept : cache_(cache) {}
        void operator()(T *object) const noexcept
        {
            object->~T();
            sla_cache_free(cache_, object);
        }

    private:
        sla_cache_t *cache_ = nullptr;
    };
    using pointer = std::unique_ptr<T, deleter>;

    /* flags: SLA_CACHE_... Throws std::bad_alloc, or std::system_error with EINVAL or ENFILE. */
    explicit object_cache(const char *name = nullptr, unsigned flags = 0)
        : cache_(sla_cache_create(name, sizeof(T), alignof(T), flags, nullptr, nullptr, nullptr))
    {
        static_assert(sizeof(T) <= SLA_CACHE_SIZE_MAX, "objects of a cache have at most SLA_CACHE_SIZE_MAX bytes");
        static_assert(alignof(T) <= SLA_CACHE_ALIGN_MAX, "and this alignment");
        if (cache_ == nullptr)
            detail::raise_errno("sla_cache_create");
    }

    object_cache(object_cache &&other) noexcept : cache_(std::exchange(other.cache_, nullptr)) {}
    object_cache &operator=(object_cache &&other) noexcept
    {
        object_cache from(std::move(other));
        std::swap(cache_, from.cache_);
        return *this;
    }
    object_cache(const object_cache &) = delete;
    object_cache &operator=(const object_cache &) = delete;
    ~object_cache() { (void)sla_cache_destroy(cache_); }

    /* A new object, constructed from args. Throws std::bad_alloc, or what T's constructor throws. */
    template <class... Args> [[nodiscard]] pointer make(Args &&...args)
    {
        memory raw(allocate(), {cache_});
        T *object = ::new (static_cast<void *>(raw.get())) T(std::forward<Args>(args)...);
        (void)raw.release();
        return pointer(object, deleter(cache_));
    }

    /* Memory of an object, without its construction or destruction. allocate throws std::bad_alloc. */
    [[nodiscard]] T *allocate()
    {
        void *object = sla_cache_alloc(cache_);
        if (object == nullptr)
            detail::raise<std::bad_alloc>();
        return static_cast<T *>(object);
    }
    void deallocate(T *object) noexcept { sla_cache_free(cache_, object); }

    /* As their namesakes of slaballoc/cache.h. */
    std::size_t reap() noexcept { return sla_cache_reap(cache_); }
    void set_limit(std::size_t bytes) noexcept { sla_cache_set_limit(cache_, bytes); }
    [[nodiscard]] const char *name() const noexcept { return sla_cache_name(cache_); }
    [[nodiscard]] sla_cache_stats_t stats() const noexcept
    {
        sla_cache_stats_t figures{};
        (void)sla_cache_stats(cache_, &figures, sizeof figures);
        return figures;
    }

    /* For the functions of slaballoc/cache.h; still this object's. */
    [[nodiscard]] sla_cache_t *native_handle() const noexcept { return cache_; }

private:
    struct give_back {
        sla_cache_t *cache;
        void operator()(T *object) const noexcept { sla_cache_free(cache, object); }
    };
    using memory = std::unique_ptr<T, give_back>; /* of an object that is not, or not yet, constructed */

    sla_cache_t *cache_;
};

/*
 * A heap apart (slaballoc/heap.h), and its owner: with it goes all that is in the heap, no destructor being called.
 */
class heap {
public:
    /* Throws std::bad_alloc, or std::system_error with ENFILE. */
    explicit heap(const char *name = nullptr) : heap_(sla_heap_create(name))
    {
        if (heap_ == nullptr)
            detail::raise_errno("sla_heap_create");
    }
    /* On memory of the program's own; what the functions hand out must outlive the heap. */
    explicit heap(const sla_heap_pages_t &pages, const char *name = nullptr) : heap_(sla_heap_create_on(name, &pages))
    {
        if (heap_ == nullptr)
            detail::raise_errno("sla_heap_create_on");
    }
    heap(heap &&other) noexcept : heap_(std::exchange(other.heap_, nullptr)) {}
    heap &operator=(heap &&other) noexcept
    {
        heap from(std::move(other));
        std::swap(heap_, from.heap_);
        return *this;
    }
    heap(const heap &) = delete;
    heap &operator=(const heap &) = delete;
    ~heap() { sla_heap_destroy(heap_); }

    /* Makes a heap (nullptr: the default one) the calling thread's current one for as long as this local variable is
       there. */
    class scope {
    public:
        explicit scope(sla_heap_t *heap)
        {
            if (sla_heap_push(heap) != 0)
                detail::raise_errno("sla_heap_push");
        }
        explicit scope(const heap &heap) : scope(heap.native_handle()) {}
        scope(const scope &) = delete;
        scope &operator=(const scope &) = delete;
        ~scope() { sla_heap_pop(); }
    };

    /* As their namesakes of slaballoc/heap.h; more by native_handle(). */
    void set_limit(std::size_t bytes) noexcept { (void)sla_heap_set_limit(heap_, 0, bytes, nullptr, nullptr); }
    [[nodiscard]] const char *name() const noexcept { return sla_heap_name(heap_); }
    [[nodiscard]] sla_heap_stats_t stats() const noexcept
    {
        sla_heap_stats_t figures{};
        (void)sla_heap_stats(heap_, &figures, sizeof figures);
        return figures;
    }
    [[nodiscard]] sla_heap_t *native_handle() const noexcept { return heap_; }

private:
    sla_heap_t *heap_;
};

#if defined(SLA_HAS_PMR)
/*
 * A memory resource on a heap, which it does not own; as constructed by default, on the default heap, whichever is
 * current.  Two are equal if their heap is one.
 */
class heap_resource : public std::pmr::memory_resource {
public:
    heap_resource() noexcept = default;
    explicit heap_resource(sla_heap_t *heap) noexcept : heap_(heap) {}
    explicit heap_resource(const heap &heap) noexcept : heap_(heap.native_handle()) {}

    [[nodiscard]] sla_heap_t *native_handle() const noexcept { return heap_; }

private:
    void *do_allocate(std::size_t size, std::size_t alignment) override
    {
        void *block = detail::is_plain(size, alignment) ? sla_heap_malloc(heap_, size)
                                                        : sla_heap_aligned_alloc(heap_, alignment, size);
        if (block == nullptr)
            detail::raise<std::bad_alloc>();
        return block;
    }
    void do_deallocate(void *block, std::size_t size, std::size_t alignment) override
    {
        if (detail::is_plain(size, alignment))
            sla_free_sized(block, size);
        else
            sla_free_aligned_sized(block, alignment, size);
    }
    [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override
    {
#if defined(__cpp_rtti)
        auto *same = dynamic_cast<const heap_resource *>(&other);
        return same != nullptr && same->heap_ == heap_;
#else
        return this == &other;
#endif
    }

    sla_heap_t *heap_ = nullptr;
};
#endif

} // namespace sla

#endif
