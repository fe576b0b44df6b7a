/*
 * params.c: the parameters of a scenario: their names, units and bounds.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The bounds keep every product computed from them inside 64 bits. */
const struct param_info param_table[PARAM_COUNT] = {
    [PARAM_THREADS] = {"threads", offsetof(struct params, threads), UNIT_COUNT, 1, 1024},
    [PARAM_OPS] = {"ops", offsetof(struct params, ops), UNIT_COUNT, 1, 1000000000000},
    [PARAM_SECONDS] = {"seconds", offsetof(struct params, millis), UNIT_SECONDS, 10, 3600000},
    [PARAM_LIVE] = {"live", offsetof(struct params, live), UNIT_BYTES, 1024, (uint64_t)1 << 40},
    [PARAM_SEED] = {"seed", offsetof(struct params, seed), UNIT_COUNT, 0, UINT64_MAX},
    [PARAM_SIZE_MIN] = {"size", offsetof(struct params, size_min), UNIT_BYTES, 16, (uint64_t)1 << 30},
    [PARAM_SIZE_MAX] = {"size", offsetof(struct params, size_max), UNIT_BYTES, 16, (uint64_t)1 << 30},
    [PARAM_PRODUCERS] = {"producers", offsetof(struct params, producers), UNIT_COUNT, 1, 1023},
    [PARAM_PLAIN] = {"plain", offsetof(struct params, plain), UNIT_COUNT, 0, 1},
};

uint64_t *param_field(struct params *params, const struct param_info *info)
{
    return (uint64_t *)(void *)((char *)params + info->offset);
}

static bool parse_seconds(const char *text, uint64_t *value)
{
    char *end;

    errno = 0;
    double seconds = strtod(text, &end);
    if (*end != '\0' || errno != 0 || !(seconds >= 0 && seconds < 1e9)) {
        return false;
    }
    *value = (uint64_t)(seconds * 1000 + 0.5);
    return true;
}

static bool parse_scaled(const char *text, uint64_t kilo, uint64_t *value)
{
    static const char suffixes[] = "KMGT";
    char *end;

    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0) {
        return false;
    }
    uint64_t scale = 1;
    if (*end != '\0') {
        const char *found = strchr(suffixes, *end);
        if (found == NULL || end[1] != '\0') {
            return false;
        }
        for (const char *s = suffixes; s <= found; s++) {
            scale *= kilo;
        }
    }
    return !__builtin_mul_overflow(number, scale, value);
}

bool param_parse(const struct param_info *info, const char *text, uint64_t *value)
{
    /* strtoull would take blanks and a minus sign. */
    if (*text < '0' || *text > '9') {
        return false;
    }
    bool good = info->unit == UNIT_SECONDS
                    ? parse_seconds(text, value)
                    : parse_scaled(text, info->unit == UNIT_BYTES ? 1024 : 1000, value);
    return good && *value >= info->min && *value <= info->max;
}

bool param_parse_range(const struct param_info *info, const char *text, uint64_t *low, uint64_t *high)
{
    char first[32];
    const char *dots = strstr(text, "..");
    size_t length = dots != NULL ? (size_t)(dots - text) : strlen(text);

    if (length >= sizeof(first)) {
        return false;
    }
    memcpy(first, text, length);
    first[length] = '\0';
    return param_parse(info, first, low) && param_parse(info, dots != NULL ? dots + 2 : first, high) &&
           *low <= *high;
}
