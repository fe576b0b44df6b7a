/*
 * replay_child.c: carries out a plan, in the process that is measured.
 *
 * Nothing here calls malloc but the calls of the trace.  The program's main
 * thread is ours; the others are begun and joined where they were.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bench.h"
#include "replay.h"
#include "work.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct player {
    _Alignas(128) uint64_t done; /* calls; read by those who wait for one */
    const uint8_t *at;
    uint8_t *buffer;
    uint32_t next_chunk;
    int64_t live; /* bytes; of one thread it may well be negative */
    uint64_t calls[TRACE_CALLS];
    struct histogram *latency;
    pthread_t thread;
};

static int plan_fd;
static struct plan_head head;
static const uint32_t *expected;
static const struct plan_chunk *chunks;
static struct player *players;
static void **slots;
static bool alone; /* one thread: nobody waits for it */

static pthread_mutex_t mark_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t mark_passed = PTHREAD_COND_INITIALIZER;
static uint32_t meeting;
static uint64_t marks_passed;
static uint64_t peak, resident_before, resident_at_peak, counting_nanos;

static void (*free_sized_call)(void *, size_t);
static void (*free_aligned_sized_call)(void *, size_t, size_t);

static void read_plan(void *bytes, size_t length, uint64_t offset)
{
    char *at = bytes;

    while (length > 0) {
        ssize_t got = pread(plan_fd, at, length, (off_t)offset);
        if (got == 0 || (got < 0 && errno != EINTR)) {
            work_fail("cannot read the plan of the replay: %s", got == 0 ? "it is cut off" : strerror(errno));
        }
        if (got > 0) {
            at += got;
            offset += (uint64_t)got;
            length -= (size_t)got;
        }
    }
}

static bool next_chunk(struct player *player)
{
    if (player->next_chunk == PLAN_NO_CHUNK) {
        return false;
    }
    const struct plan_chunk *chunk = &chunks[player->next_chunk];
    read_plan(player->buffer, chunk->length, chunk->offset);
    player->buffer[chunk->length] = PLAN_CHUNK_END;
    player->at = player->buffer;
    player->next_chunk = chunk->next;
    return true;
}

static inline uint64_t get(struct player *player)
{
    uint64_t value = *player->at++;

    if (__builtin_expect(value >= 128, 0)) {
        unsigned shift = 7;
        uint8_t byte;
        value &= 127;
        do {
            byte = *player->at++;
            value |= (uint64_t)(byte & 127) << shift;
            shift += 7;
        } while (byte >= 128);
    }
    return value;
}

/* --- order ------------------------------------------------------------------ */

/* A short wait is the rule; a long one must not take the processor from who is waited for. */
static void wait_for(size_t thread, uint64_t call)
{
    for (unsigned turns = 0; __atomic_load_n(&players[thread].done, __ATOMIC_ACQUIRE) <= call; turns++) {
        if (turns > 1000) {
            nanosleep(&(struct timespec){0, 50000}, NULL);
        } else if (turns > 100) {
            sched_yield();
        }
    }
}

static uint64_t nanos_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* While all stand still; the time is not part of the work. */
static void count_live(void)
{
    uint64_t began = nanos_now();
    int64_t live = 0;

    for (size_t i = 0; i < head.threads; i++) {
        live += players[i].live;
    }
    if (live > 0 && (uint64_t)live > peak) {
        uint64_t resident = work_resident();
        peak = (uint64_t)live;
        resident_at_peak = resident > resident_before ? resident - resident_before : 0;
    }
    counting_nanos += nanos_now() - began;
}

static void pass_mark(uint64_t mark)
{
    if (alone) {
        count_live();
        return;
    }
    pthread_mutex_lock(&mark_mutex);
    if (++meeting == expected[mark]) {
        count_live();
        meeting = 0;
        marks_passed = mark + 1;
        pthread_cond_broadcast(&mark_passed);
    }
    while (marks_passed <= mark) {
        pthread_cond_wait(&mark_passed, &mark_mutex);
    }
    pthread_mutex_unlock(&mark_mutex);
}

/* --- calls ------------------------------------------------------------------- */

static void touch_bytes(unsigned char *block, size_t from, size_t to)
{
    const size_t page = 4096;

    if (head.touch == TOUCH_NONE || from >= to) {
        return;
    }
    if (head.touch == TOUCH_ALL) {
        memset(block + from, 1, to - from);
        return;
    }
    block[from] = 1;
    for (size_t at = (from | (page - 1)) + 1; at < to; at += page) {
        block[at] = 1;
    }
    block[to - 1] = 1;
}

static void *call_timed(struct player *player, enum trace_kind kind, size_t align, size_t count, size_t size)
{
    void *block = NULL;

    switch (kind) {
    case TRACE_MALLOC:
        return timed_malloc(player->latency, size);
    case TRACE_CALLOC:
        return timed_calloc(player->latency, count, size);
    default:
        if (kind == TRACE_VALLOC || kind == TRACE_PVALLOC) {
            align = (size_t)sysconf(_SC_PAGESIZE);
        }
        return timed_aligned(player->latency, &block, align, size) == 0 ? block : NULL;
    }
}

static void *call_alloc(struct player *player, enum trace_kind kind, size_t align, size_t count, size_t size)
{
    void *block = NULL;

    if (__builtin_expect(player->latency != NULL, 0)) {
        return call_timed(player, kind, align, count, size);
    }
    switch (kind) {
    case TRACE_MALLOC:
        return malloc(size);
    case TRACE_CALLOC:
        return calloc(count, size);
    case TRACE_ALIGNED_ALLOC:
        return aligned_alloc(align, size);
    case TRACE_POSIX_MEMALIGN:
        return posix_memalign(&block, align, size) == 0 ? block : NULL;
    case TRACE_MEMALIGN:
        return memalign(align, size);
    default: /* pvalloc's sizes were recorded in whole pages: so it need not be there, and musl has none */
        return valloc(size);
    }
}

static void call_free(struct player *player, enum trace_kind kind, void *block, size_t align, size_t size)
{
    if (__builtin_expect(player->latency != NULL, 0)) {
        timed_free(player->latency, block);
    } else if (kind == TRACE_FREE_SIZED && free_sized_call != NULL) {
        free_sized_call(block, size);
    } else if (kind == TRACE_FREE_ALIGNED_SIZED && free_aligned_sized_call != NULL) {
        free_aligned_sized_call(block, align, size);
    } else {
        free(block);
    }
}

static void *call_realloc(struct player *player, enum trace_kind kind, void *block, size_t count, size_t size)
{
    if (kind == TRACE_REALLOCARRAY) {
        return reallocarray(block, count, size);
    }
    return player->latency != NULL ? timed_realloc(player->latency, block, size) : realloc(block, size);
}

/* A slot's block; it was made by now, since whoever made it was waited for. */
static inline void *block_of(uint64_t slot)
{
    void *block = slots[slot];

    if (__builtin_expect(block == NULL, 0)) {
        work_fail("the plan of the replay is wrong: block %llu is not there", (unsigned long long)slot);
    }
    return block;
}

static void play_call(struct player *player, unsigned code)
{
    enum trace_kind kind = (enum trace_kind)(code & PLAN_STEP);
    uint8_t shape = trace_shape[kind];
    bool given = (shape & TRACE_HAS_OBJECT) && (code & PLAN_NULL) == 0;
    uint64_t slot = given ? get(player) : 0;
    size_t old_size = given ? (size_t)get(player) : 0;
    void *block = given ? block_of(slot) : NULL, *made;

    size_t align = shape & TRACE_HAS_ALIGN ? (size_t)get(player) : 0;
    size_t count = shape & TRACE_HAS_COUNT ? (size_t)get(player) : 1;
    size_t size = shape & TRACE_HAS_SIZE ? (size_t)get(player) : 0;
    player->calls[kind]++;
    if ((shape & TRACE_MAKES) == 0) {
        if (kind == TRACE_USABLE_SIZE) {
            (void)malloc_usable_size(block);
            return;
        }
        if (given) {
            slots[slot] = NULL;
            player->live -= (int64_t)old_size;
        }
        call_free(player, kind, block, align, size);
        return;
    }
    made = shape & TRACE_TAKES ? call_realloc(player, kind, block, count, size)
                               : call_alloc(player, kind, align, count, size);
    if (given && (code & PLAN_HELD) == 0) {
        slots[slot] = NULL;
        player->live -= (int64_t)old_size;
    }
    if (code & PLAN_FAILED) {
        /* It failed, or freed; where it did not, what it gave is not part of the trace. */
        if (made != NULL && (code & PLAN_HELD)) {
            slots[slot] = made;
        } else if (made != NULL) {
            free(made);
        }
        return;
    }
    if (__builtin_expect(made == NULL, 0)) {
        work_fail("%s of %zu bytes gave nothing", trace_kind_name[kind], count * size);
    }
    touch_bytes(made, old_size, count * size);
    player->live += (int64_t)(count * size);
    slots[get(player)] = made;
}

/* --- threads ------------------------------------------------------------------ */

static void play(struct player *player);

static void *play_thread(void *arg)
{
    play(arg);
    return NULL;
}

static void begin_thread(size_t index)
{
    int error = pthread_create(&players[index].thread, NULL, play_thread, &players[index]);

    if (error != 0) {
        work_fail("cannot start thread %zu: %s", index, strerror(error));
    }
}

static void play(struct player *player)
{
    player->buffer = work_map(PLAN_CHUNK + 1);
    player->latency = latency_open();
    while (next_chunk(player)) {
        unsigned code;
        while ((code = *player->at++) != PLAN_CHUNK_END) {
            uint64_t first;
            switch (code) {
            case PLAN_MARK:
                pass_mark(get(player));
                break;
            case PLAN_WAIT:
                first = get(player);
                wait_for((size_t)first, get(player));
                break;
            case PLAN_SPAWN:
                begin_thread((size_t)get(player));
                break;
            case PLAN_JOIN:
                pthread_join(players[get(player)].thread, NULL);
                break;
            default:
                play_call(player, code);
                if (!alone) {
                    __atomic_store_n(&player->done, player->done + 1, __ATOMIC_RELEASE);
                }
                break;
            }
        }
    }
    work_unmap(player->buffer, PLAN_CHUNK + 1);
}

/* --- the whole ------------------------------------------------------------------ */

static void load_plan(const char *fd)
{
    plan_fd = (int)strtol(fd, NULL, 10);
    read_plan(&head, sizeof(head), 0);
    size_t meetings = head.marks * sizeof(uint32_t), firsts = head.threads * sizeof(uint32_t);
    size_t length = meetings + firsts + head.chunks * sizeof(struct plan_chunk);
    char *tables = work_map(length);
    read_plan(tables, length, head.tables);
    expected = (const uint32_t *)(void *)tables;
    /* Copied, because the two tables before it may end off the boundary of eight. */
    struct plan_chunk *copy = work_map(head.chunks * sizeof(*copy) + 1);
    memcpy(copy, tables + meetings + firsts, head.chunks * sizeof(*copy));
    chunks = copy;
    players = work_map(head.threads * sizeof(*players));
    slots = work_map((head.slots + 1) * sizeof(*slots));
    /* Touched before the first sample, so that growth is the allocator's. */
    memset(slots, 0, (head.slots + 1) * sizeof(*slots));
    for (size_t i = 0; i < head.threads; i++) {
        players[i].next_chunk = expected[head.marks + i];
    }
    alone = head.threads == 1;
}

static void find_sized(void)
{
    union {
        void *object;
        void (*sized)(void *, size_t);
        void (*aligned_sized)(void *, size_t, size_t);
    } found;

    found.object = dlsym(RTLD_DEFAULT, "free_sized");
    free_sized_call = found.sized;
    found.object = dlsym(RTLD_DEFAULT, "free_aligned_sized");
    free_aligned_sized_call = found.aligned_sized;
}

/* argv: replay PLAN-FD */
void replay_child(int argc, char **argv, struct outcome *outcome)
{
    if (argc != 2) {
        work_fail("a replay needs its plan");
    }
    load_plan(argv[1]);
    find_sized();
    resident_before = work_resident();
    uint64_t began = nanos_now();
    play(&players[0]);
    outcome->nanos = nanos_now() - began - counting_nanos;
    outcome->live = peak;
    outcome->rss_live = resident_at_peak;

    struct plan_counts *seen = &head.seen;
    int64_t final = 0;
    memset(seen, 0, sizeof(*seen));
    for (size_t i = 0; i < head.threads; i++) {
        for (size_t kind = 0; kind < TRACE_CALLS; kind++) {
            seen->calls[kind] += players[i].calls[kind];
            outcome->ops += players[i].calls[kind];
            outcome->check += players[i].calls[kind] * (kind + 1);
        }
        final += players[i].live;
        latency_close(players[i].latency);
    }
    seen->peak = peak;
    seen->final = (uint64_t) final;
    outcome->check += peak;
    head.runs++;
    if (pwrite(plan_fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head)) {
        work_fail("cannot write what was replayed: %s", strerror(errno));
    }
    if (memcmp(seen, &head.wanted, sizeof(*seen)) != 0) {
        work_fail("the replay made other calls than the trace has");
    }
}
