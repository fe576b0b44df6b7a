/* Setting up: once, by whoever allocates first, which may be the dynamic linker before any constructor. */
#include "api/api.h"
#include "api/stats.h"
#include "cache/thread.h"
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
        slai_classes_init();
        slai_conf_parse(slai_os_environment("SLABALLOC_CONF"));
        if (slai_option(stats_at_exit) != 0)
            slai_os_keep_stderr(); /* coreutils close theirs before libraries are told of the end */
        if (!slai_threads_init())
            slai_tcache = (struct slai_tcache *)&slai_dead; /* without end hooks everyone shares a cache */
        slai_set_release(&state.ready, true);
    }
    slai_unlock(&state.lock);
    /* Last and without a lock, because registering may allocate. */
    if (mine)
        slai_fork_init();
    errno = saved; /* what was refused here is done without */
}

void slai_init(void)
{
    if (SLA_UNLIKELY(!slai_load_acquire(&state.ready)))
        set_up();
}

/*
 * Fork handlers run before the fork in the reverse order of registration, and
 * one that ran after ours and allocated would wait for a lock we hold: so be
 * the first to register, even if nothing is allocated for a while.
 */
static __attribute__((constructor(101))) void at_start(void) { slai_fork_init(); }

/* At the process's end nothing is torn down: other threads and later hooks may still allocate. */
static __attribute__((destructor)) void at_exit(void)
{
    if (slai_load_acquire(&state.ready) && slai_option(stats_at_exit) != 0)
        slai_stats_print(NULL, NULL);
}
