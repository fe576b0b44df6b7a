/*
 * tsan.c: what code compiled with -fsanitize=thread calls, at each access to memory.
 *
 * SPDX-License-Identifier: MIT
 */
#include "engine.h"

void __tsan_init(void);
void __tsan_func_entry(void *pc);
void __tsan_func_exit(void);
void __tsan_read_range(void *p, size_t size);
void __tsan_write_range(void *p, size_t size);
void __tsan_atomic_signal_fence(int order);
void __tsan_atomic_thread_fence(int order);
void *model_memcpy(void *to, const void *from, size_t size);
void *model_memmove(void *to, const void *from, size_t size);
void *model_memset(void *p, int value, size_t size);

#define PC __builtin_return_address(0)

void __tsan_init(void) {}
void __tsan_func_entry(void *pc) { (void)pc; }
void __tsan_func_exit(void) {}

#define ACCESS(name, size) \
    void __tsan_read##name(void *p); \
    void __tsan_write##name(void *p); \
    void __tsan_read##name(void *p) { model_plain((uintptr_t)p, size, false, PC); } \
    void __tsan_write##name(void *p) { model_plain((uintptr_t)p, size, true, PC); }

ACCESS(1, 1)
ACCESS(2, 2)
ACCESS(4, 4)
ACCESS(8, 8)
ACCESS(16, 16)

#define UNALIGNED(n) \
    void __tsan_unaligned_read##n(void *p); \
    void __tsan_unaligned_write##n(void *p); \
    void __tsan_unaligned_read##n(void *p) { model_plain((uintptr_t)p, n, false, PC); } \
    void __tsan_unaligned_write##n(void *p) { model_plain((uintptr_t)p, n, true, PC); }

UNALIGNED(2)
UNALIGNED(4)
UNALIGNED(8)
UNALIGNED(16)

void __tsan_read_range(void *p, size_t size) { model_plain((uintptr_t)p, size, false, PC); }
void __tsan_write_range(void *p, size_t size) { model_plain((uintptr_t)p, size, true, PC); }

static void pieces(const void *p, size_t size, bool write, const void *pc)
{
    for (size_t n; size > 0; p = (const char *)p + n, size -= n) {
        n = size < 64 ? size : 64;
        model_plain((uintptr_t)p, n, write, pc);
    }
}

void *model_memcpy(void *to, const void *from, size_t size)
{
    pieces(from, size, false, PC);
    pieces(to, size, true, PC);
    return memcpy(to, from, size);
}

void *model_memmove(void *to, const void *from, size_t size)
{
    pieces(from, size, false, PC);
    pieces(to, size, true, PC);
    return memmove(to, from, size);
}

void *model_memset(void *p, int value, size_t size)
{
    pieces(p, size, true, PC);
    return memset(p, value, size);
}


/* --- Atomics --- */

static uint64_t load(void *p, unsigned size, int order, const void *pc)
{
    unsigned parts = model_parts(pc, "load", order);
    if (!model_concurrent)
        return model_peek((uintptr_t)p, size);
    model_stop(MODEL_READ, (uintptr_t)p);
    model_pc = pc;
    return model_load((uintptr_t)p, size, parts);
}

static void store(void *p, unsigned size, uint64_t value, int order, const void *pc)
{
    unsigned parts = model_parts(pc, "store", order);
    if (!model_concurrent) {
        model_log((uintptr_t)p, size);
        memcpy(p, &value, size);
        return;
    }
    model_stop(MODEL_WRITE, (uintptr_t)p);
    model_pc = pc;
    model_store((uintptr_t)p, size, value, parts);
}

static uint64_t modify(void *p, unsigned size, enum model_rmw how, uint64_t value, int order, const void *pc)
{
    unsigned parts = model_parts(pc, "rmw", order);
    uint64_t old;
    if (model_concurrent) {
        model_stop(MODEL_WRITE, (uintptr_t)p);
        model_pc = pc;
        return model_modify((uintptr_t)p, size, how, value, parts);
    }
    old = model_peek((uintptr_t)p, size);
    model_log((uintptr_t)p, size);
    value = how == MODEL_SWAP ? value : how == MODEL_ADD ? old + value : how == MODEL_OR ? old | value : old & value;
    memcpy(p, &value, size);
    return old;
}

/* No other word of four bytes is compared and swapped than a lock's. */
static enum model_kind kind_of(unsigned size, uint64_t expected, uint64_t value)
{
    if ((model_scene->flags & MODEL_REAL_LOCKS) != 0 || size != 4)
        return MODEL_WRITE;
    return expected == 0 && value == 1 ? MODEL_LOCK : expected == 1 && value == 0 ? MODEL_UNLOCK : MODEL_WRITE;
}

static bool cas(void *p, unsigned size, void *expected, uint64_t value, int order, int failed, enum model_cas how,
                const void *pc)
{
    uint64_t want = model_peek((uintptr_t)expected, size), have;
    unsigned parts = model_parts(pc, "cas", order);
    bool acquires = (parts & MODEL_ACQUIRE) != 0 && failed != __ATOMIC_RELAXED, done;
    if (model_concurrent) {
        enum model_kind kind = kind_of(size, want, value);
        model_stop(kind, (uintptr_t)p);
        model_pc = pc;
        if (kind != MODEL_WRITE)
            how = MODEL_IN_ONE_STEP;
        done = model_cas((uintptr_t)p, size, &want, value, parts, acquires, how);
    } else {
        have = model_peek((uintptr_t)p, size);
        done = have == want;
        want = have;
        if (done) {
            model_log((uintptr_t)p, size);
            memcpy(p, &value, size);
        }
    }
    memcpy(expected, &want, size);
    return done;
}

#define ATOMIC(bits, type) \
    type __tsan_atomic##bits##_load(const volatile type *p, int order); \
    void __tsan_atomic##bits##_store(volatile type *p, type v, int order); \
    type __tsan_atomic##bits##_exchange(volatile type *p, type v, int order); \
    type __tsan_atomic##bits##_fetch_add(volatile type *p, type v, int order); \
    type __tsan_atomic##bits##_fetch_sub(volatile type *p, type v, int order); \
    type __tsan_atomic##bits##_fetch_or(volatile type *p, type v, int order); \
    type __tsan_atomic##bits##_fetch_and(volatile type *p, type v, int order); \
    int __tsan_atomic##bits##_compare_exchange_strong(volatile type *p, type *e, type v, int order, int failed); \
    int __tsan_atomic##bits##_compare_exchange_weak(volatile type *p, type *e, type v, int order, int failed); \
    type __tsan_atomic##bits##_load(const volatile type *p, int order) \
    { \
        return (type)load((void *)(uintptr_t)p, sizeof(type), order, PC); \
    } \
    void __tsan_atomic##bits##_store(volatile type *p, type v, int order) \
    { \
        store((void *)(uintptr_t)p, sizeof(type), v, order, PC); \
    } \
    type __tsan_atomic##bits##_exchange(volatile type *p, type v, int order) \
    { \
        return (type)modify((void *)(uintptr_t)p, sizeof(type), MODEL_SWAP, v, order, PC); \
    } \
    type __tsan_atomic##bits##_fetch_add(volatile type *p, type v, int order) \
    { \
        return (type)modify((void *)(uintptr_t)p, sizeof(type), MODEL_ADD, v, order, PC); \
    } \
    type __tsan_atomic##bits##_fetch_sub(volatile type *p, type v, int order) \
    { \
        return (type)modify((void *)(uintptr_t)p, sizeof(type), MODEL_ADD, (uint64_t)0 - v, order, PC); \
    } \
    type __tsan_atomic##bits##_fetch_or(volatile type *p, type v, int order) \
    { \
        return (type)modify((void *)(uintptr_t)p, sizeof(type), MODEL_OR, v, order, PC); \
    } \
    type __tsan_atomic##bits##_fetch_and(volatile type *p, type v, int order) \
    { \
        return (type)modify((void *)(uintptr_t)p, sizeof(type), MODEL_AND, v, order, PC); \
    } \
    int __tsan_atomic##bits##_compare_exchange_strong(volatile type *p, type *e, type v, int order, int failed) \
    { \
        return cas((void *)(uintptr_t)p, sizeof(type), e, v, order, failed, MODEL_STRONG, PC); \
    } \
    int __tsan_atomic##bits##_compare_exchange_weak(volatile type *p, type *e, type v, int order, int failed) \
    { \
        return cas((void *)(uintptr_t)p, sizeof(type), e, v, order, failed, MODEL_WEAK, PC); \
    }

ATOMIC(8, uint8_t)
ATOMIC(16, uint16_t)
ATOMIC(32, uint32_t)
ATOMIC(64, uint64_t)

void __tsan_atomic_signal_fence(int order) { (void)order; }

void __tsan_atomic_thread_fence(int order)
{
    unsigned parts = model_parts(PC, "fence", order);
    if (model_concurrent)
        model_fence(parts);
}
