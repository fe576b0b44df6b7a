/*
 * conf.c: the options' parser against one of the test's own, written from
 * slaballoc(7): it goes by the text from end to end, with the C library's help.
 *
 * SPDX-License-Identifier: MIT
 */
#include "parsers.h"

#include "util/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <slaballoc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MOST 4096

static struct option {
    const char *name;
    long low, high;
    const char *words; /* each ended by a blank; the first is low */
    long value;
} options[] = {
    {"purge_delay", -1, 86400000, "", 0},
    {"stats_at_exit", 0, 1, "", 0},
    {"verbose", 0, 2, "", 0},
    {"abort", 0, 1, "", 0},
    {"huge_pages", 0, 2, "never default always ", 0},
    {"cache_size", 16384, 1L << 30, "", 0},
    {"reserve", 1, sizeof(size_t) > 4 ? 1L << 24 : 1024, "", 0},
};
#define OPTIONS (sizeof(options) / sizeof(options[0]))

void parsers_fail(const char *file, int line, const char *what)
{
    fprintf(stderr, "parsers: %s:%d: not so: %s\n", file, line, what);
    abort();
}

static struct option *option_named(const char *name)
{
    for (size_t i = 0; i < OPTIONS; i++)
        if (strcmp(options[i].name, name) == 0)
            return &options[i];
    return NULL;
}

static bool is_number(const char *text)
{
    size_t digits;
    text += *text == '-';
    digits = strspn(text, "0123456789");
    return digits > 0 && text[digits] == '\0';
}

/* "key=value"; false: it is bad. */
static bool set_entry(char *entry)
{
    char *equals = strchr(entry, '='), word[64];
    const char *found;
    struct option *o;
    long value;
    if (equals != NULL)
        *equals = '\0';
    o = option_named(entry);
    if (o == NULL || equals == NULL || equals[1] == '\0')
        return false;
    snprintf(word, sizeof(word), "%s ", equals + 1);
    found = strlen(word) == strlen(equals + 1) + 1 && strchr(equals + 1, ' ') == NULL ? strstr(o->words, word) : NULL;
    if (found != NULL && (found == o->words || found[-1] == ' ')) {
        for (value = o->low; found > o->words; found--)
            value += found[-1] == ' ';
    } else if (is_number(equals + 1)) {
        errno = 0;
        value = strtol(equals + 1, NULL, 10);
        if (errno != 0)
            return false;
    } else {
        return false;
    }
    if (value < o->low || value > o->high)
        return false;
    o->value = value;
    return true;
}

/* How many entries are bad. */
static int set_all(char *text)
{
    int bad = 0;
    for (char *next; text != NULL; text = next) {
        next = strchr(text, ',');
        if (next != NULL)
            *next++ = '\0';
        if (*text != '\0' && !set_entry(text))
            bad++;
    }
    return bad;
}

static void read_values(void)
{
    for (size_t i = 0; i < OPTIONS; i++)
        PARSERS_REQUIRE(sla_option_get(options[i].name, &options[i].value) == 0); /* reads the environment first */
}

static void check_values(void)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        long value = LONG_MIN;
        PARSERS_REQUIRE(sla_option_get(options[i].name, &value) == 0 && value == options[i].value);
        PARSERS_REQUIRE(value >= options[i].low && value <= options[i].high);
    }
}

/* The same text, as a name and a value of sla_option_set(). */
static void set_by_name(char *text, long value)
{
    struct option *o = option_named(text);
    long before = 77, after = 77;
    int expected = o == NULL ? ENOENT : value < o->low || value > o->high ? EINVAL : 0;
    errno = 0;
    PARSERS_REQUIRE(sla_option_get(text, &before) == (o == NULL ? -1 : 0) && errno == (o == NULL ? ENOENT : 0));
    errno = 0;
    PARSERS_REQUIRE(sla_option_set(text, value) == (expected == 0 ? 0 : -1) && errno == expected);
    (void)sla_option_get(text, &after);
    PARSERS_REQUIRE(after == (expected == 0 ? value : before));
    if (expected == 0)
        o->value = value;
}

static long as_number(const uint8_t *bytes, size_t size)
{
    long value = 0;
    memcpy(&value, bytes, size < sizeof(value) ? size : sizeof(value));
    return size % 2 == 0 ? value : value % 4;
}

void fuzz_conf(const uint8_t *bytes, size_t size)
{
    static char text[TEXT_MOST + 1], copy[TEXT_MOST + 1];
    static int nowhere = -1;
    int bad, kept;
    size = size < TEXT_MOST ? size : TEXT_MOST;
    memcpy(text, bytes, size);
    text[size] = '\0';
    strcpy(copy, text);
    if (nowhere < 0) { /* each bad entry is reported */
        nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
        PARSERS_REQUIRE(nowhere >= 0);
    }
    kept = dup(STDERR_FILENO);
    dup2(nowhere, STDERR_FILENO);
    read_values();
    bad = slai_conf_parse(text);
    dup2(kept, STDERR_FILENO);
    close(kept);
    PARSERS_REQUIRE(strcmp(text, copy) == 0);
    PARSERS_REQUIRE(bad == set_all(copy));
    check_values();
    strcpy(copy, text);
    copy[strcspn(copy, "=,")] = '\0';
    set_by_name(copy, as_number(bytes, size));
    check_values();
}
