/*
 * runs.c: runs of the script with system calls refused, and what must be so when the system gives again.
 *
 * SPDX-License-Identifier: MIT
 */
#include "runs.h"

#include "heap/meta.h"
#include "os/os.h"

#include <sys/mman.h>

struct sums *sums;
bool runs_no_purge;

const char *const call_names[SLAI_CALLS] = {
#define NAME(call) [SLAI_CALL_##call] = #call
    NAME(RESERVE), NAME(COMMIT), NAME(RELEASE), NAME(DROP),   NAME(AGAIN),  NAME(RENEW), NAME(INTACT),
    NAME(MEND),    NAME(PURGE),  NAME(PROBE),   NAME(MOVE),   NAME(PIECE),  NAME(REMAP), NAME(HUGE),
    NAME(WAIT),    NAME(WAKE),   NAME(YIELD),   NAME(KEY),    NAME(ARM),    NAME(ATFORK), NAME(LIMIT),
    NAME(CLOCK),   NAME(STDERR), NAME(THREAD),  NAME(PAGE),   NAME(SECURE)
#undef NAME
};

const struct refusal refusals[SLAI_CALLS][REFUSALS] = {
    [SLAI_CALL_RESERVE] = {{ENOMEM, 0}, {EAGAIN, 0}, {EINVAL, 0}, {EPERM, 0}, {EACCES, 0}},
    [SLAI_CALL_COMMIT] = {{ENOMEM, 0}, {ENOMEM, SLAI_DONE_PART}, {EACCES, 0}, {EINVAL, 0}, {EPERM, SLAI_DONE_PART}},
    [SLAI_CALL_RELEASE] = {{ENOMEM, 0}, {EINVAL, 0}},
    [SLAI_CALL_RENEW] = {{ENOMEM, 0}, {ENOMEM, SLAI_DONE_PART}, {EAGAIN, 0}, {EPERM, SLAI_DONE_PART}},
    [SLAI_CALL_PURGE] = {{EINVAL, 0}, {EINVAL, SLAI_DONE_PART}, {ENOMEM, SLAI_DONE_PART}, {EAGAIN, 0}, {EPERM, 0}},
    [SLAI_CALL_PROBE] = {{EINVAL, 0}, {ENOMEM, 0}, {ENOMEM, SLAI_DONE_CLAIMED}},
    [SLAI_CALL_MOVE] = {{ENOSYS, 0}},
    [SLAI_CALL_PIECE] = {{ENOMEM, 0}, {ENOMEM, SLAI_DONE_PART}, {EINVAL, 0}, {EINVAL, SLAI_DONE_PART},
                         {EAGAIN, SLAI_DONE_PART}, {EFAULT, SLAI_DONE_PART}},
    [SLAI_CALL_HUGE] = {{EINVAL, 0}, {ENOMEM, 0}},
    [SLAI_CALL_WAIT] = {{EINTR, 0}, {EAGAIN, 0}, {ENOSYS, 0}},
    [SLAI_CALL_WAKE] = {{ENOSYS, 0}},
    [SLAI_CALL_KEY] = {{EAGAIN, 0}, {ENOMEM, 0}},
    [SLAI_CALL_ARM] = {{ENOMEM, 0}, {EINVAL, 0}},
    [SLAI_CALL_LIMIT] = {{EINVAL, 0}, {EPERM, 0}},
    [SLAI_CALL_CLOCK] = {{EINVAL, 0}, {ENOSYS, 0}},
    [SLAI_CALL_THREAD] = {{ENOSYS, 0}},
    [SLAI_CALL_PAGE] = {{ENOSYS, 0}},
    [SLAI_CALL_SECURE] = {{ENOSYS, 0}},
};

void runs_begin(void)
{
    sums = mmap(NULL, sizeof *sums, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (sums == MAP_FAILED)
        abort();
}

struct plan runs_plain(void)
{
    struct support_rng rng;
    struct plan plan = {.call = SLAI_CALLS};
    support_seed(&rng, 20);
    plan.script.seed = support_next(&rng);
    plan.script.operations = 1500;
    plan.script.threads = 1;
    return plan;
}

/* --- in the child --- */

void runs_faults_off(void)
{
    size_t mapped = slai_fault.mapped;
    uint64_t time = slai_fault.time;
    memset(&slai_fault, 0, sizeof slai_fault);
    slai_fault.mapped = mapped;
    slai_fault.time = time;
}

void runs_count(void)
{
    for (int c = 0; c < SLAI_CALLS; c++) {
        sums->seen[c] += slai_fault.seen[c];
        sums->failed[c] += slai_fault.failed[c];
    }
    runs_faults_off();
}

/* Address space that somebody answers for: regions, descriptors of lent chunks, metadata beside the regions. */
static size_t accounted(void)
{
    size_t bytes = slai_meta_bytes();
    for (size_t i = 0; i < slai_region_count; i++) {
        const struct slai_region *r = &slai_regions[i];
        if (r->pages == 0)
            continue;
        bytes += r->raw_size;
        if (!r->dedicated && r->lender == 0) /* what the arena has of its share */
            bytes -= (size_t)((char *)(r->spans + r->data - 1) - r->meta_next);
    }
    return bytes;
}

/* Readable bytes within the regions' data, as the system has them. */
static size_t readable(void)
{
    static char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    size_t bytes = 0;
    uintmax_t from, to;
    char r;
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        if (sscanf(line, "%jx-%jx %c", &from, &to, &r) != 3 || r != 'r')
            continue;
        for (size_t i = 0; i < slai_region_count; i++) {
            uintptr_t low = (uintptr_t)slai_regions[i].base + (slai_regions[i].data << SLAI_PAGE_SHIFT);
            uintptr_t high = (uintptr_t)slai_regions[i].base + (slai_regions[i].pages << SLAI_PAGE_SHIFT);
            low = from > low ? (uintptr_t)from : low;
            high = to < high ? (uintptr_t)to : high;
            if (slai_regions[i].pages > 0 && slai_regions[i].lender == 0 && low < high)
                bytes += high - low;
        }
    }
    if (maps != NULL)
        fclose(maps);
    return bytes;
}

void runs_require_nothing_lost(void)
{
    size_t page = slai_os_page();
    void *p = slai_os_reserve(page); /* what could not be released before is, by now */
    sla_stats_t stats;
    CHILD_REQUIRE(p != NULL && slai_os_release(p, page));
    CHILD_REQUIRE(slai_fault.mapped == accounted());
    CHILD_REQUIRE(sla_stats_get(&stats, sizeof stats) == 0);
    CHILD_REQUIRE(stats.live == 0 && stats.large == 0 && stats.large_count == 0);
    CHILD_REQUIRE(stats.slabs == 0 && (stats.dirty == 0 || runs_no_purge));
    CHILD_REQUIRE(stats.clean <= stats.committed && stats.committed <= stats.reserved);
    if (SUPPORT_MEMORY_IS_PLAIN)
        support_mail[0] = readable() - stats.committed;
}

void runs_run(void *arg);
void runs_run(void *arg)
{
    const struct plan *plan = arg;
    struct script again = plan->script;
    struct script_tally tally;
    slai_fault.time = 1000; /* a clock of our own: the same calls each time */
    if (plan->call < SLAI_CALLS) {
        slai_fault.after[plan->call] = plan->after;
        slai_fault.more[plan->call] = plan->more;
    }
    slai_fault.odds = plan->odds;
    slai_fault.mask = plan->mask;
    slai_fault.seed = plan->seed;
    slai_fault.err = plan->err;
    slai_fault.done = plan->done;
    runs_no_purge = plan->done == SLAI_DONE_CLAIMED;
    if (plan->points != 0)
        points_begin(plan);
    script_options();
    tally = script_run(&plan->script);
    sums->refused += tally.refused;
    sums->runs++;
    runs_count();
    script_end();
    runs_require_nothing_lost();
    again.operations /= plan->points != 0 ? 64 : 8;
    again.seed++;
    tally = script_run(&again);
    CHILD_REQUIRE(tally.refused == 0);
    script_end();
    runs_require_nothing_lost();
    points_end();
}

/* --- in the parent --- */

void runs_require(const struct plan *plan)
{
    static struct support_child child;
    support_run_child(runs_run, (void *)(uintptr_t)plan, 1200, &child);
    if (child.exited && child.status == 0)
        return;
    ck_abort_msg("%s call %ld and %ld more, odds %u of %#x, errno %d, done %d, seed %ju, %zu operations of seed %ju: "
                 "status %d, signal %d: %s",
                 plan->call < SLAI_CALLS ? call_names[plan->call] : "any", plan->after, plan->more, plan->odds,
                 plan->mask, plan->err, (int)plan->done, (uintmax_t)plan->seed, plan->script.operations,
                 (uintmax_t)plan->script.seed, child.status, child.signal, child.errors);
}
