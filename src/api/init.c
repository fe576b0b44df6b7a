/* Setting up: once, by whoever allocates first, which may be the dynamic linker before any constructor. */
#include "api/api.h"
#include "api/stats.h"
#include "cache/thread.h"
#include "heap/pageheap.h"
#include "os/os.h"
#include "util/conf.h"

#include <errno.h>

static struct {
    struct slai_lock lock;
    bool ready; /* INIT; read by anyone */
} state = {.lock = SLAI_LOCK_INIT(SLAI_RANK_INIT)};

static SLA_NOINLINE void set_up(void)
{
    int saved = errno;
    bool mine;
    slai_lock(&state.lock);
    mine = !state.ready;
    if (mine) {
        slai_conf_parse(slai_os_environment("SLABALLOC_CONF"));
        if (slai_option(stats_at_exit) != 0)
            slai_os_keep_stderr(); /* coreutils close theirs before libraries are told of the end */
        slai_threads_init(slai_fork_insist);
        slai_lock(&slai_pageheap.lock);
        slai_region_first(); /* if refused, the first allocation tries again and says ENOMEM */
        slai_unlock(&slai_pageheap.lock);
        slai_set_release(&state.ready, true);
    }
    slai_unlock(&state.lock);
    errno = saved; /* what was refused here is done without */
}

void slai_init_lock(void) { slai_lock_for_fork(&state.lock); }
void slai_init_unlock(void) { slai_unlock_after_fork(&state.lock); }
void slai_init_reset(void) { slai_lock_reset(&state.lock); }

void slai_init(void)
{
    if (SLA_UNLIKELY(!slai_load_acquire(&state.ready)))
        set_up();
}

/*
 * The plain library does not see libc allocate for the first thread that is created, so its fork handlers are
 * registered when it is loaded.
 */
static __attribute__((constructor(101))) void at_start(void)
{
    if (&slai_dropin == NULL)
        slai_fork_init();
}

/* At the process's end nothing is torn down: other threads and later hooks may still allocate. */
static __attribute__((destructor)) void at_exit(void)
{
    if (slai_load_acquire(&state.ready) && slai_option(stats_at_exit) != 0)
        slai_stats_print(NULL, NULL);
}
