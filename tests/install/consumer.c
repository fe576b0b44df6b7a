/*
 * A program of somebody else's: built with nothing but what pkg-config says.
 * DROPIN: 1 if malloc is to come from the same heap, 0 if it is not.
 *
 * SPDX-License-Identifier: MIT
 */
#include <slaballoc.h>
#include <slaballoc/stats.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char *what)
{
    fprintf(stderr, "consumer.c: %s\n", what);
    return 1;
}

int main(void)
{
    sla_stats_t stats;
    char *ours = sla_malloc(100);
    char *libc = malloc(100);
    char *large = sla_calloc(1 << 20, 4);

    if (ours == NULL || libc == NULL || large == NULL)
        return fail("no memory");
    if (strcmp(sla_version(), SLA_VERSION_STRING) != 0)
        return fail("the header is of another version than the library");
    memset(ours, 1, 100);
    memset(libc, 2, 100);
    if (ours[99] != 1 || large[0] != 0 || large[(4 << 20) - 1] != 0)
        return fail("wrong contents");
    if (sla_owns(ours) != 1 || sla_owns(large) != 1)
        return fail("a block of ours is not owned");
    if (sla_owns(libc) != DROPIN)
        return fail(DROPIN ? "malloc is not replaced" : "malloc is replaced");
    if (sla_stats_get(&stats, sizeof stats) != 0 || stats.live < (4 << 20))
        return fail("statistics do not know the blocks");
    sla_free(ours);
    sla_free(large);
    free(libc);
    return 0;
}
