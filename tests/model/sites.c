/*
 * sites.c: the places where atomic operations stand, and their orders.
 *
 * A place is told by the address that its call returns to; addr2line names it.
 * An inline function has one in each of its copies: those of one name and kind
 * are weakened together.
 *
 * SPDX-License-Identifier: MIT
 */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PLACES 4096u
#define SITES 512u

static struct place {
    const void *pc;
    const char *kind;
    unsigned parts, drop;
    unsigned site; /* + 1, 0: not named yet */
    uint64_t scenes[2]; /* which scenarios came by, by number */
} places[PLACES];
static size_t places_used;
unsigned model_number;

static struct model_site sites[SITES];
static size_t sites_used;

static unsigned parts_of(int order)
{
    switch (order) {
    case __ATOMIC_RELAXED: return 0;
    case __ATOMIC_CONSUME:
    case __ATOMIC_ACQUIRE: return MODEL_ACQUIRE;
    case __ATOMIC_RELEASE: return MODEL_RELEASE;
    default: return MODEL_ACQUIRE | MODEL_RELEASE;
    }
}

unsigned model_parts(const void *pc, const char *kind, int order)
{
    size_t i = ((uintptr_t)pc * 0x9E3779B97F4A7C15u) >> 52;
    if (!model_concurrent)
        return 0;
    while (places[i].pc != NULL && places[i].pc != pc)
        i = (i + 1) % PLACES;
    if (places[i].pc == NULL) {
        if (++places_used == PLACES / 2)
            abort();
        places[i] = (struct place){pc, kind, parts_of(order), 0, 0, {0, 0}};
    }
    places[i].scenes[model_number / 64 % 2] |= (uint64_t)1 << model_number % 64;
    return places[i].parts & ~places[i].drop;
}

extern const char start[] __asm__("__executable_start") __attribute__((visibility("hidden")));

/* As linked, not as loaded. The byte before: within the call. */
static uintptr_t linked(const void *pc)
{
    static int moved = -1;
    if (moved < 0) /* is it a program that may lie anywhere? */
        moved = (uintptr_t)start > 0x10000000u;
    return (uintptr_t)pc - 1 - (moved != 0 ? (uintptr_t)start : 0);
}

/* "/where/ever/src/cache/remote.c:24 (discriminator 2)": from the directory within src on, "cache/remote.c:24". */
static const char *shorten(char *line)
{
    char *at = line, *next;
    line[strcspn(line, " \n")] = '\0';
    while ((next = strstr(at, "src/")) != NULL)
        at = next + 4;
    if (at == line && (next = strrchr(line, '/')) != NULL)
        at = next + 1;
    return at;
}

/* Line `number` of a file, without what is around it. */
static const char *text_of(const char *path, long number)
{
    static char line[512];
    FILE *f = fopen(path, "r");
    char *text = line;
    line[0] = '\0';
    for (long i = 0; f != NULL && i < number; i++)
        if (fgets(line, sizeof line, f) == NULL)
            line[0] = '\0';
    if (f != NULL)
        fclose(f);
    line[strcspn(line, "\n")] = '\0';
    return text + strspn(text, " ");
}

static char *copy(const char *text)
{
    char *c = strdup(text);
    if (c == NULL)
        abort();
    return c;
}

/* addr2line, for n addresses; its answer has a line for each. */
static FILE *ask(const void *const *pcs, size_t n)
{
    char command[8192], self[1024];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    int used;
    if (length <= 0)
        return NULL;
    self[length] = '\0';
    used = snprintf(command, sizeof command, "addr2line -e '%s'", self);
    for (size_t i = 0; i < n; i++)
        used += snprintf(command + used, sizeof command - (size_t)used, " 0x%lx", (unsigned long)linked(pcs[i]));
    used += snprintf(command + used, sizeof command - (size_t)used, " 2>/dev/null");
    return popen(command, "r");
}

const char *model_where(const void *pc)
{
    static char line[1024];
    FILE *f = ask(&pc, 1);
    const char *name = "somewhere";
    if (f == NULL)
        return name;
    if (fgets(line, sizeof line, f) != NULL)
        name = shorten(line);
    pclose(f);
    return name;
}

static unsigned site_of(const struct place *p, char *line)
{
    char path[1024];
    const char *name, *colon;
    snprintf(path, sizeof path, "%s", line);
    path[strcspn(path, " \n")] = '\0';
    name = shorten(line);
    for (size_t i = 0; i < sites_used; i++)
        if (strcmp(sites[i].name, name) == 0 && strcmp(sites[i].kind, p->kind) == 0)
            return (unsigned)i + 1;
    colon = strrchr(path, ':');
    if (sites_used == SITES || colon == NULL)
        return 0;
    path[colon - path] = '\0';
    sites[sites_used] = (struct model_site){.name = copy(name), .kind = p->kind,
                                            .text = copy(text_of(path, strtol(colon + 1, NULL, 10))),
                                            .parts = p->parts};
    return (unsigned)++sites_used;
}

#define AT_ONCE 200
static bool name_some(struct place **which, size_t n)
{
    const void *pcs[AT_ONCE];
    char line[1024];
    FILE *f;
    bool good = true;
    for (size_t i = 0; i < n; i++)
        pcs[i] = which[i]->pc;
    f = ask(pcs, n);
    for (size_t i = 0; f != NULL && i < n && good; i++) {
        good = fgets(line, sizeof line, f) != NULL && strchr(line, '?') == NULL;
        which[i]->site = good ? site_of(which[i], line) : 0;
        good = which[i]->site != 0;
    }
    return f != NULL && pclose(f) == 0 && good;
}

static int by_name(const void *a, const void *b)
{
    const struct model_site *x = *(struct model_site *const *)a, *y = *(struct model_site *const *)b;
    int order = strcmp(x->name, y->name);
    return order != 0 ? order : strcmp(x->kind, y->kind);
}

size_t model_sites(struct model_site **list, size_t most)
{
    struct place *unnamed[AT_ONCE];
    size_t n = 0;
    for (size_t i = 0; i <= PLACES; i++) {
        if (i < PLACES && places[i].pc != NULL && places[i].site == 0)
            unnamed[n++] = &places[i];
        if ((i == PLACES && n > 0) || n == AT_ONCE) {
            if (!name_some(unnamed, n))
                return 0;
            n = 0;
        }
    }
    for (n = 0; n < sites_used && n < most; n++)
        list[n] = &sites[n];
    qsort(list, n, sizeof *list, by_name);
    return n;
}

bool model_visits(unsigned scene, const struct model_site *site)
{
    for (size_t i = 0; i < PLACES; i++)
        if (places[i].site == (unsigned)(site - sites) + 1 && (places[i].scenes[scene / 64 % 2] >> scene % 64 & 1) != 0)
            return true;
    return false;
}

void model_weaken(const struct model_site *site, unsigned drop)
{
    for (size_t i = 0; i < PLACES; i++)
        if (places[i].site == (unsigned)(site - sites) + 1)
            places[i].drop = drop;
}
