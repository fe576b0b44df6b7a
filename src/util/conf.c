#include "util/conf.h"

#include "util/atomic.h"
#include "util/panic.h"

#include <errno.h>
#include <limits.h>

#define MAX_DELAY 86400000L /* a day, in ms */

struct slai_conf slai_conf = {
    .purge_delay = 500,
    .stats_at_exit = 0,
    .verbose = 0,
    .abort = 1,
    .huge_pages = SLAI_HUGE_DEFAULT,
    .cache_size = 3 << 20,
    .reserve = sizeof(size_t) > 4 ? 1 << 20 : 256,
};

static const struct option {
    const char *name;
    long *value;
    long min, max;
    const char *const *words; /* other spellings of min, min + 1, ... */
} options[] = {
    {"purge_delay", &slai_conf.purge_delay, -1, MAX_DELAY, NULL},
    {"stats_at_exit", &slai_conf.stats_at_exit, 0, 1, NULL},
    {"verbose", &slai_conf.verbose, 0, 2, NULL},
    {"abort", &slai_conf.abort, 0, 1, NULL},
    {"huge_pages", &slai_conf.huge_pages, SLAI_HUGE_NEVER, SLAI_HUGE_ALWAYS,
     (const char *const[]){"never", "default", "always", NULL}},
    {"cache_size", &slai_conf.cache_size, 16384, 1L << 30, NULL},
    {"reserve", &slai_conf.reserve, 1, sizeof(size_t) > 4 ? 1L << 24 : 1024, NULL},
};

/*
 * Own loops rather than libc's string functions: every one of those is resolved when the library is loaded, which
 * touches pages of libc that a small program would never need.
 */
static bool same(const char *word, const char *text, size_t len)
{
    size_t i = 0;
    while (i < len && word[i] != '\0' && word[i] == text[i])
        i++;
    return i == len && word[i] == '\0';
}

/* Characters before the first `stop`, or the end, or n. */
static size_t span(const char *text, size_t n, char stop)
{
    size_t i = 0;
    while (i < n && text[i] != '\0' && text[i] != stop)
        i++;
    return i;
}

static const struct option *find(const char *name, size_t len)
{
    for (size_t i = 0; i < SLA_ARRAY_LEN(options); i++)
        if (same(options[i].name, name, len))
            return &options[i];
    return NULL;
}

SLA_COLD int slai_conf_get(const char *name, long *value)
{
    const struct option *o = find(name, span(name, SIZE_MAX, '\0'));
    if (o == NULL)
        return ENOENT;
    *value = slai_load_relaxed(o->value);
    return 0;
}

SLA_COLD int slai_conf_set(const char *name, long value)
{
    const struct option *o = find(name, span(name, SIZE_MAX, '\0'));
    if (o == NULL)
        return ENOENT;
    if (value < o->min || value > o->max)
        return EINVAL;
    slai_set_relaxed(o->value, value);
    return 0;
}

static SLA_COLD void report(const char *key, size_t len, const char *what, const struct option *o)
{
    struct slai_line l;
    slai_line_start(&l);
    slai_line_text(&l, "option '");
    slai_line_textn(&l, key, len > 40 ? 40 : len);
    slai_line_text(&l, "': ");
    slai_line_text(&l, what);
    if (o != NULL) {
        slai_line_text(&l, " ");
        slai_line_signed(&l, o->min);
        slai_line_text(&l, " to ");
        slai_line_signed(&l, o->max);
    }
    slai_line_text(&l, "; default kept");
    slai_line_end(&l);
}

/* A decimal number of exactly len characters; no libc parser, since those take locales and set errno. */
static bool number(const char *s, size_t len, long *out)
{
    bool negative = len > 0 && s[0] == '-';
    size_t i = negative ? 1 : 0;
    long v = 0;
    if (i == len)
        return false;
    for (; i < len; i++) {
        if (s[i] < '0' || s[i] > '9' || __builtin_mul_overflow(v, 10L, &v) ||
            __builtin_add_overflow(v, (long)(s[i] - '0'), &v))
            return false;
    }
    *out = negative ? -v : v;
    return true;
}

static bool word(const struct option *o, const char *s, size_t len, long *out)
{
    if (o->words == NULL)
        return false;
    for (long i = 0; o->words[i] != NULL; i++) {
        if (same(o->words[i], s, len)) {
            *out = o->min + i;
            return true;
        }
    }
    return false;
}

/* One entry of len characters; false when it was bad. */
static bool entry(const char *text, size_t len)
{
    size_t klen = span(text, len, '=');
    const char *value = text + klen + 1;
    const struct option *o = find(text, klen);
    long v = 0;
    if (o == NULL) {
        report(text, klen, "unknown", NULL);
    } else if (klen + 1 >= len) {
        report(text, klen, "no value, want", o);
    } else if (!word(o, value, len - klen - 1, &v) && !number(value, len - klen - 1, &v)) {
        report(text, klen, "not a number, want", o);
    } else if (v < o->min || v > o->max) {
        report(text, klen, "out of range, want", o);
    } else {
        slai_set_relaxed(o->value, v);
        return true;
    }
    return false;
}

int slai_conf_parse(const char *text)
{
    int bad = 0;
    while (text != NULL && *text != '\0') {
        size_t len = span(text, SIZE_MAX, ',');
        if (len > 0 && !entry(text, len))
            bad++;
        text += len;
        if (*text == ',')
            text++;
    }
    return bad;
}
