/*
 * control.c: the operations on the whole: questions, options, giving back, statistics.
 *
 * SPDX-License-Identifier: MIT
 */
#include "fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* --- questions --- */

void fuzz_op_query(void)
{
    struct fuzz_block *b = fuzz_choose();
    size_t size = fuzz_size(), good = sla_good_size(size);
    int local;
    fuzz.ops++;
    FUZZ_REQUIRE(good >= size && good > 0 && sla_good_size(good) == good && sla_good_size(size + 1) >= good);
    FUZZ_REQUIRE(sla_usable_size(NULL) == 0 && sla_owns(NULL) == 0 && sla_owns(&local) == 0);
    FUZZ_REQUIRE(sla_heap_of(&local) == NULL && sla_cache_of(&local) == NULL);
    FUZZ_REQUIRE(sla_heap_current() == fuzz_handle(fuzz_current_heap()));
    FUZZ_REQUIRE(strcmp(sla_version(), SLA_VERSION_STRING) == 0 && strcmp(sla_heap_name(NULL), "default") == 0);
    if (b == NULL)
        return;
    FUZZ_REQUIRE(sla_usable_size(b->start) == b->usable);
    FUZZ_REQUIRE(sla_owns(b->start) == 1 && sla_owns(b->start + b->usable - 1) == 1);
    FUZZ_REQUIRE(sla_heap_of(b->start) == fuzz_handle(b->heap));
    FUZZ_REQUIRE(sla_cache_of(b->start + b->usable / 2) == (b->cache != NULL ? b->cache->handle : NULL));
    if (b->heap != NULL)
        FUZZ_REQUIRE(strcmp(sla_heap_name(sla_heap_of(b->start + b->usable / 2)), b->heap->name) == 0);
    fuzz.ops += 3;
}

/* --- options --- */

static const struct option {
    const char *name;
    long values[4], low, high, initial;
} options[] = {
    {"purge_delay", {500, -1, 1, 0}, -1, 86400000, 500},
    {"cache_size", {16384, 100000, 1 << 20, 3 << 20}, 16384, 1L << 30, 3 << 20},
    {"huge_pages", {0, 1, 2, 1}, 0, 2, 1},
    {"verbose", {0, 0, 0, 0}, 0, 2, 0},
    {"stats_at_exit", {0, 0, 0, 0}, 0, 1, 0},
};
#define OPTIONS (sizeof(options) / sizeof(options[0]))

void fuzz_op_option(void)
{
    unsigned how = fuzz_byte();
    const struct option *o = &options[how % OPTIONS];
    long value = 12345, wanted = o->values[how / 8 % 16 < 13 ? how / 8 % 3 : 3];
    fuzz.ops += 2;
    if (how >= 192) {
        FUZZ_REQUIRE(sla_option_set(o->name, how & 1 ? o->high + 1 : o->low - 1) == -1);
        fuzz_refused(EINVAL);
        FUZZ_REQUIRE(sla_option_get(o->name + 1, &value) == -1 && value == 12345);
        fuzz_refused(ENOENT);
        return;
    }
    FUZZ_REQUIRE(sla_option_set(o->name, wanted) == 0);
    FUZZ_REQUIRE(sla_option_get(o->name, &value) == 0 && value == wanted);
}

void fuzz_control_begin(void)
{
    for (size_t i = 0; i < OPTIONS; i++)
        FUZZ_REQUIRE(sla_option_set(options[i].name, options[i].initial) == 0);
}

/* --- giving back --- */

void fuzz_op_trim(void)
{
    size_t gone[FUZZ_CACHES], keep = fuzz_byte() < 128 ? 0 : (size_t)fuzz_word() * 64;
    sla_stats_t st;
    int result;
    fuzz_caches_gone(gone);
    result = sla_trim(keep);
    fuzz.ops++;
    FUZZ_REQUIRE(result == 0 || result == 1);
    fuzz_caches_check_kept(gone);
    FUZZ_REQUIRE(sla_stats_get(&st, sizeof(st)) == 0);
    FUZZ_REQUIRE(st.dirty <= keep);
    fuzz_self()->used = false;
}

void fuzz_op_maintain(void)
{
    size_t gone[FUZZ_CACHES];
    long next;
    fuzz_caches_gone(gone);
    next = sla_maintain();
    fuzz.ops++;
    FUZZ_REQUIRE(next >= -1 && next <= 86400000);
    fuzz_caches_check_kept(gone);
}

void fuzz_op_thread_idle(void)
{
    sla_thread_idle();
    fuzz.ops++;
}

/* --- statistics --- */

void fuzz_stats_check(void)
{
    sla_stats_t st, all;
    size_t half = sizeof(st) / sizeof(size_t) / 2 * sizeof(size_t);
    memset(&st, 0x11, sizeof(st));
    FUZZ_REQUIRE(sla_stats_get(&all, sizeof(all)) == 0 && sla_stats_get(&st, half) == 0);
    FUZZ_REQUIRE(memcmp(&st, &all, half) == 0 && *((unsigned char *)&st + half) == 0x11);
    FUZZ_REQUIRE(sla_stats_get(&st, half + 1) == -1);
    fuzz_refused(EINVAL);
    fuzz.ops += 3;
    FUZZ_EQUAL(all.live, fuzz.base + fuzz.bytes);
    FUZZ_REQUIRE(all.live + all.cached + all.slab_free <= all.slabs + all.large);
    FUZZ_REQUIRE(all.peak >= all.slabs + all.large && all.large <= all.live);
    FUZZ_REQUIRE(all.large_count <= fuzz.live_count && all.large >= all.large_count * FUZZ_PAGE);
    FUZZ_REQUIRE(all.threads <= FUZZ_THREADS && all.regions >= 1);
}

void fuzz_op_stats(void)
{
    fuzz_threads_settle();
    fuzz_stats_check();
}

struct printed {
    size_t lines, live;
};

static void print(void *arg, const char *line)
{
    struct printed *p = arg;
    void *block = sla_malloc(40);
    FUZZ_REQUIRE(line[0] != '\0' && line[strlen(line) - 1] == '\n');
    if (p->lines++ == 0)
        (void)sscanf(line, "slaballoc: live %zu", &p->live);
    sla_free(block); /* NULL, if the current heap is at its limit */
    errno = ESRCH;
}

void fuzz_op_print(void)
{
    struct printed p = {0, 0};
    size_t live = fuzz.base + fuzz.bytes; /* the callback may meet a limit, and a heap's pressure frees */
    fuzz_threads_settle();
    sla_stats_print(print, &p);
    fuzz.ops++;
    FUZZ_REQUIRE(p.lines >= 16);
    FUZZ_EQUAL(p.live, live);
}

/* --- what the library writes --- */

void fuzz_silence(bool quiet)
{
    static int kept = -1, nowhere = -1;
    if (nowhere < 0) {
        nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
        kept = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    }
    dup2(quiet ? nowhere : kept, STDERR_FILENO);
    errno = FUZZ_ERRNO;
}
