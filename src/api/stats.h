/* Where the memory went, for the public statistics and for libc's. */
#ifndef API_STATS_H
#define API_STATS_H

#include <slaballoc/stats.h>

void slai_stats_collect(sla_stats_t *out);
void slai_stats_print(void (*out)(void *arg, const char *line), void *arg);

#endif
