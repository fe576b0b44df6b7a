#include "os/fault.h"

#include "os/os.h"
#include "util/atomic.h"
#include "util/bits.h"

#include <errno.h>

struct slai_fault slai_fault;

static bool fail(void)
{
    errno = slai_fault.err != 0 ? slai_fault.err : ENOMEM;
    return true;
}

bool slai_fault_due(enum slai_call call, size_t size)
{
    slai_add_relaxed(&slai_fault.seen[call], 1);
    if (call == SLAI_CALL_RESERVE && slai_fault.limit != 0 && size > slai_fault.limit)
        return fail();
    if (call == SLAI_CALL_COMMIT && slai_fault.committed != 0) {
        if (size > slai_fault.committed)
            return fail();
        slai_fault.committed -= size;
    }
    if (slai_fault.after[call] > 0) {
        if (--slai_fault.after[call] > 0)
            return false;
        if (slai_fault.more[call] != 0) {
            slai_fault.after[call] = 1;
            slai_fault.more[call] -= slai_fault.more[call] > 0;
        }
        return fail();
    }
    return false;
}

size_t slai_fault_page(size_t asked)
{
    const char *text = slai_os_environment("SLABALLOC_TEST_PAGE");
    size_t page = 0;
    for (; text != NULL && *text >= '0' && *text <= '9'; text++)
        page = page * 10 + (size_t)(*text - '0');
    return slai_is_pow2(page) && page > asked ? page : asked;
}
