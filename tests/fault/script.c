/*
 * script.c: a script of operations on all entry points, which checks all that it is given.
 *
 * SPDX-License-Identifier: MIT
 */
#include "script.h"

#include "parts.h"

#include "api/api.h"
#include "heap/check.h"

#include <sys/wait.h>
#include <unistd.h>

struct support_rng script_rng;
struct script_tally script_tally;

void script_options(void)
{
    /* MiB: region follows region. The library's set-up, which is now, makes the first. */
    CHILD_REQUIRE(setenv("SLABALLOC_CONF", "reserve=8,purge_delay=0", 1) == 0);
    sla_free(sla_malloc(1));
}

void script_sound(void)
{
    const char *wrong = slai_check_heap();
    if (wrong != NULL)
        support_child_fail("heap", 0, wrong);
}

/* --- blocks --- */

#define SLOTS 300
static struct support_block slots[SLOTS];

/* Ends and a word in each page: to write all of some MiB would measure the machine. */
static size_t stride(size_t size) { return size > 256 * KIB ? 64 * KIB : 4096; }

static void touch(struct support_block *b)
{
    for (size_t at = 0; at + 8 <= b->size; at += stride(b->size))
        memcpy(b->start + at, &b->seed, 8);
    if (b->size != 0)
        b->start[b->size - 1] = (unsigned char)b->seed;
}

/* Does it hold what was written when it was `was` bytes long? */
static int holds(const struct support_block *b, size_t was, size_t now)
{
    for (size_t at = 0; at + 8 <= was && at + 8 <= now; at += stride(was))
        if (memcmp(b->start + at, &b->seed, at + 8 == was ? 7 : 8) != 0)
            return 0;
    return was > now || was == 0 || b->start[was - 1] == (unsigned char)b->seed;
}

static size_t some_size(void)
{
    size_t dice = support_below(&script_rng, 100);
    if (dice < 65)
        return support_random_size(&script_rng);
    if (dice < 88)
        return 64 * KIB + support_below(&script_rng, 600 * KIB);
    return MIB + support_below(&script_rng, dice < 98 ? 3 * MIB : 12 * MIB);
}

/* What every call promises: memory and errno as it was, or NULL and ENOMEM. */
int script_got(const void *p)
{
    CHILD_REQUIRE(errno == (p != NULL ? SENTINEL_ERRNO : ENOMEM));
    script_tally.refused += p == NULL;
    return p != NULL;
}

static void *obtain(size_t size, unsigned how, int *zero)
{
    size_t align = (size_t)16 << support_below(&script_rng, 14), usable;
    void *p = NULL;
    *zero = 0;
    errno = SENTINEL_ERRNO;
    switch (how) {
    case 0:
        *zero = 1;
        return sla_calloc(1, size);
    case 1:
        p = sla_aligned_alloc(align, size);
        CHILD_REQUIRE(((uintptr_t)p & (align - 1)) == 0);
        return p;
    case 2:
        if (sla_posix_memalign(&p, align, size) != 0)
            errno = ENOMEM; /* it returns it */
        return p;
    case 3:
        p = sla_malloc_usable(size, &usable);
        CHILD_REQUIRE(p == NULL ? usable == 0 : usable >= size && usable == sla_usable_size(p));
        return p;
    default:
        return sla_malloc(size);
    }
}

static void take(struct support_block *b)
{
    size_t size = some_size();
    int zero;
    unsigned char *p = obtain(size, (unsigned)support_below(&script_rng, 8), &zero);
    if (!script_got(p))
        return;
    *b = (struct support_block){p, size, support_next(&script_rng)};
    if (zero)
        for (size_t at = 0; at < size; at += at < 16 * KIB ? 1 : 509)
            CHILD_REQUIRE(p[at] == 0);
    touch(b);
}

static void give(struct support_block *b)
{
    if (b->start == NULL)
        return;
    CHILD_REQUIRE(holds(b, b->size, b->size));
    errno = SENTINEL_ERRNO;
    if (b->size % 3 == 0)
        sla_free_sized(b->start, b->size);
    else
        sla_free(b->start);
    CHILD_REQUIRE(errno == SENTINEL_ERRNO);
    b->start = NULL;
}

static void resize(struct support_block *b)
{
    unsigned how = (unsigned)support_below(&script_rng, 8);
    size_t was = b->size, size = how < 3 ? was + 1 + support_below(&script_rng, was + 1) : some_size() + 1;
    void *p;
    errno = SENTINEL_ERRNO;
    if (how == 7) {
        size_t usable = sla_try_expand(b->start, was, size > was ? size : was);
        CHILD_REQUIRE(usable >= was && errno == SENTINEL_ERRNO); /* it has that much already */
        CHILD_REQUIRE(usable == sla_usable_size(b->start) && holds(b, was, usable));
        return;
    }
    p = how == 6 ? sla_rezalloc(b->start, was, size) : sla_realloc(b->start, size);
    if (!script_got(p)) {
        CHILD_REQUIRE(size > was && holds(b, was, was)); /* to shrink needs no memory */
        return;
    }
    b->start = p;
    b->size = size;
    CHILD_REQUIRE(holds(b, was, size));
    for (size_t at = was; how == 6 && at < size; at += at < was + 4096 ? 1 : 509)
        CHILD_REQUIRE(b->start[at] == 0);
    touch(b);
}

static void step_block(void)
{
    struct support_block *b = &slots[support_below(&script_rng, SLOTS)];
    if (b->start == NULL)
        take(b);
    else if (support_below(&script_rng, 3) == 0)
        resize(b);
    else
        give(b);
}

static void step_batch(void)
{
    void *blocks[200];
    size_t want = 1 + support_below(&script_rng, ARRAY_LEN(blocks)), size = 1 + support_below(&script_rng, 3000);
    errno = SENTINEL_ERRNO;
    size_t n = sla_alloc_batch(size, blocks, want);
    CHILD_REQUIRE(n <= want && errno == (n == want ? SENTINEL_ERRNO : ENOMEM));
    script_tally.refused += n < want;
    for (size_t i = 0; i < n; i++)
        memset(blocks[i], (int)i, size);
    for (size_t i = 0; i < n; i++)
        CHILD_REQUIRE(*(unsigned char *)blocks[i] == (unsigned char)i);
    errno = SENTINEL_ERRNO;
    sla_free_batch(blocks, n);
    CHILD_REQUIRE(errno == SENTINEL_ERRNO);
}

/* --- what gives memory back --- */

static void step_trim(void)
{
    errno = SENTINEL_ERRNO;
    switch (support_below(&script_rng, 4)) {
    case 0:
        (void)sla_trim(0);
        break;
    case 1:
        (void)sla_trim(MIB);
        break;
    case 2:
        (void)sla_maintain();
        break;
    default:
        sla_thread_idle();
    }
    CHILD_REQUIRE(errno == SENTINEL_ERRNO);
}

static void step_options(void)
{
    static const long delays[] = {0, 0, 0, 1, -1};
    CHILD_REQUIRE(sla_option_set("huge_pages", (long)support_below(&script_rng, 3)) == 0);
    CHILD_REQUIRE(sla_option_set("purge_delay", delays[support_below(&script_rng, 5)]) == 0);
}

/* --- a fork: the child goes on with what there is --- */

static void step_fork(void)
{
    int status = 0;
    pid_t pid = fork();
    CHILD_REQUIRE(pid >= 0);
    if (pid == 0) {
        alarm(20);
        parts_forget(); /* the other thread is gone */
        for (size_t i = 0; i < 200; i++)
            step_block();
        step_trim();
        script_sound();
        _exit(0);
    }
    CHILD_REQUIRE(waitpid(pid, &status, 0) == pid);
    CHILD_REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* --- the whole --- */

static const struct {
    void (*step)(void);
    unsigned weight, threads;
} steps[] = {
    {step_block, 600, 0},   {step_batch, 60, 0},  {parts_cache, 120, 0},  {parts_heap, 120, 0}, {step_trim, 12, 0},
    {step_options, 4, 0}, {parts_thread, 6, 1}, {parts_worker, 30, 1}, {step_fork, 2, 1},
};

static void step(int threads)
{
    unsigned all = 0, dice;
    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        all += steps[i].weight;
    dice = (unsigned)support_below(&script_rng, all);
    for (size_t i = 0; i < ARRAY_LEN(steps); dice -= steps[i++].weight)
        if (dice < steps[i].weight) {
            if (threads || !steps[i].threads)
                steps[i].step();
            return;
        }
}

static size_t left; /* operations to do */

void script_leave_after(size_t operations) { left = operations < left ? operations : left; }

struct script_tally script_run(const struct script *script)
{
    script_rng.state = script->seed;
    script_tally = (struct script_tally){script->operations, 0};
    left = script->operations;
    for (size_t i = 0; left > 0; i++, left--) {
        step(script->threads);
        if (i % 250 == 0)
            script_sound();
    }
    script_sound();
    return script_tally;
}

void script_end(void)
{
    for (size_t i = 0; i < SLOTS; i++)
        give(&slots[i]);
    parts_end();
    for (int i = 0; i < 2; i++) /* what the shared cache held of the thread's comes back to the thread */
        (void)sla_trim(0);
    script_sound();
}
