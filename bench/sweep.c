/*
 * sweep.c: a scenario again and again with one parameter growing.
 *
 * SPDX-License-Identifier: MIT
 */
#include "sweep.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Those whose answer to more threads, or to more that is live, says most. */
static const char *const for_threads[] = {"multi", "larson", "cross", NULL};
static const char *const for_live[] = {"single", "kv", NULL};

/* A live set must leave room for what the allocators add to it, and for the rest of the machine. */
static uint64_t live_limit(void)
{
    return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) / 2;
}

/* Doubles from low; high itself is the last value. */
static void fill_values(struct sweep *sweep, uint64_t low, uint64_t high)
{
    uint64_t value = low;

    while (value < high) {
        sweep->values[sweep->count++] = value;
        value = value > high / 2 ? high : 2 * value;
    }
    sweep->values[sweep->count++] = high;
}

struct sweep sweep_parse(const char *text)
{
    static const int possible[] = {PARAM_THREADS, PARAM_LIVE};
    struct sweep sweep = {.on = true};
    const char *equals = strchr(text, '=');
    uint64_t low, high;

    for (size_t i = 0; equals != NULL && i < sizeof(possible) / sizeof(possible[0]); i++) {
        const char *name = param_table[possible[i]].name;
        if (strlen(name) == (size_t)(equals - text) && strncmp(text, name, strlen(name)) == 0) {
            sweep.info = &param_table[possible[i]];
        }
    }
    if (sweep.info == NULL) {
        usage_error("bad value '%s' of --sweep (threads=A..B or live=A..B)", text);
    }
    if (!param_parse_range(sweep.info, equals + 1, &low, &high)) {
        usage_error("bad range '%s' of --sweep (A..B, %llu to %llu)", equals + 1,
                    (unsigned long long)sweep.info->min, (unsigned long long)sweep.info->max);
    }
    if (sweep.info == &param_table[PARAM_LIVE] && high > live_limit()) {
        fprintf(stderr, PROGRAM ": note: live sets above %llu MiB, half of the memory, are left out\n",
                (unsigned long long)(live_limit() >> 20));
        high = live_limit();
        if (low > high) {
            usage_error("nothing is left of --sweep=%s", text);
        }
    }
    fill_values(&sweep, low, high);
    return sweep;
}

bool sweep_applies(const struct sweep *sweep, const struct scenario *scenario)
{
    return sweep->info == &param_table[PARAM_THREADS] ? !scenario->one_thread : scenario->defaults.live != 0;
}

bool sweep_default(const struct sweep *sweep, const struct scenario *scenario)
{
    const char *const *names = sweep->info == &param_table[PARAM_THREADS] ? for_threads : for_live;

    for (; *names != NULL; names++) {
        if (strcmp(*names, scenario->name) == 0) {
            return true;
        }
    }
    return false;
}

void sweep_set(const struct sweep *sweep, size_t point, struct params *params)
{
    *param_field(params, sweep->info) = sweep->values[point];
}
