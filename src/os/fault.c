#include "os/fault.h"

#if SLA_TESTING
#include "os/os.h"
#include "util/bits.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

struct slai_fault slai_fault;

/* What the system has done of a call that it refuses: it does not undo its first steps. */
static void in_part(enum slai_call call, void *p, size_t size)
{
    size_t half = size / 2 / 65536 * 65536;
    if (call == SLAI_CALL_COMMIT && half > 0)
        (void)mprotect(p, half, PROT_READ | PROT_WRITE);
    else if (call == SLAI_CALL_PURGE && half > 0)
        (void)mmap(p, half, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    else if (call == SLAI_CALL_RENEW || call == SLAI_CALL_PIECE)
        (void)munmap(p, size);
}

static bool fail(enum slai_call call, void *p, size_t size)
{
    slai_add_relaxed(&slai_fault.failed[call], 1);
    if (slai_fault.done == SLAI_DONE_PART)
        in_part(call, p, size);
    errno = slai_fault.err != 0 ? slai_fault.err : ENOMEM;
    return true;
}

static uint64_t mixed(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Is it the turn of this one? Threads may come here together: which of them gets it is then open. */
static bool its_turn(enum slai_call call)
{
    long n = slai_load_relaxed(&slai_fault.after[call]);
    if (n == 0)
        return false;
    if (n > 1) {
        slai_add_relaxed(&slai_fault.after[call], -1);
        return false;
    }
    n = slai_load_relaxed(&slai_fault.more[call]);
    if (n == 0)
        slai_set_relaxed(&slai_fault.after[call], 0);
    else if (n > 0)
        slai_add_relaxed(&slai_fault.more[call], -1);
    return true;
}

bool slai_fault_due(enum slai_call call, void *p, size_t size)
{
    slai_add_relaxed(&slai_fault.seen[call], 1);
    if (call == SLAI_CALL_RESERVE && slai_fault.limit != 0 && size > slai_fault.limit)
        return fail(call, p, size);
    if (call == SLAI_CALL_COMMIT && slai_fault.committed != 0) {
        if (size > slai_fault.committed)
            return fail(call, p, size);
        slai_fault.committed -= size;
    }
    if (slai_fault.ask != NULL && slai_fault.ask(call, size))
        return fail(call, p, size);
    if (slai_fault.odds != 0 && (slai_fault.mask >> call & 1) != 0 &&
        mixed(slai_fault.seed + 0x9e3779b97f4a7c15u * slai_add_relaxed(&slai_fault.drawn, 1)) % slai_fault.odds == 0)
        return fail(call, p, size);
    return its_turn(call) && fail(call, p, size);
}

size_t slai_fault_page(size_t asked)
{
    const char *text = slai_os_environment("SLABALLOC_TEST_PAGE");
    size_t page = 0;
    for (; text != NULL && *text >= '0' && *text <= '9'; text++)
        page = page * 10 + (size_t)(*text - '0');
    return slai_is_pow2(page) && page > asked ? page : asked;
}

void slai_fault_map(size_t more, size_t less)
{
    slai_add_relaxed(&slai_fault.mapped, more - less);
}

size_t slai_fault_slack(void)
{
    size_t page = slai_os_page(), asked = (size_t)sysconf(_SC_PAGESIZE);
    return page > asked ? page - asked : 0;
}

void *slai_fault_cut(char *p, size_t size, size_t slack)
{
    size_t head = (size_t)-(uintptr_t)p & slack;
    if (head > 0)
        (void)munmap(p, head);
    if (slack > head)
        (void)munmap(p + head + size, slack - head);
    return p + head;
}
#endif
