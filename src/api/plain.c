/*
 * Only in the plain library, which is not malloc: it does not see libc allocate for a first thread, so its fork
 * handlers are registered when it is loaded.
 */
#include "api/api.h"

static __attribute__((constructor(101))) void at_start(void) { slai_fork_init(); }
