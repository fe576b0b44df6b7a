/*
 * memory.c: what a word may hold.
 *
 * Memory itself has each word's last value.  Of a word that is used atomically
 * the earlier values of this interleaving are kept too, in the order in which
 * they were written, each with what its writer knew; a load may see any that is
 * not older than one that its thread knows of.  To know is a vector of clocks,
 * passed on by releases and acquires alone.  Every write is logged, so that an
 * interleaving can be undone.
 *
 * SPDX-License-Identifier: MIT
 */
#include "engine.h"

#include <stdio.h>
#include <stdlib.h>

#define WORDS 8192u
#define STORES 65536u
#define LOG_MAX ((size_t)1 << 20)

struct store {
    uint64_t value;
    uint32_t before; /* index of the one before, 0: none */
    uint8_t by;
    bool carries; /* an acquire that sees it learns `passed` */
    uint8_t again[MODEL_THREADS]; /* how often each saw it though there was a newer one */
    uint16_t at;
    model_clock passed, seen; /* seen: when each thread first saw it, 0: not yet */
};

struct word {
    uintptr_t address;
    unsigned run;
    unsigned size;
    uint32_t last;  /* its newest store */
    bool plain;     /* written plainly since: by whom, when */
    uint8_t by;
    uint16_t at;
};

static struct word words[WORDS];
static struct store stores[STORES];
static uint32_t stores_used;

static struct entry {
    uintptr_t address;
    uint64_t old;
    uint8_t size, by;
} *entries;
static size_t entries_used;
static size_t released[MODEL_THREADS]; /* what each thread wrote from here on was not released yet */

struct model_view model_views[MODEL_THREADS];
bool model_concurrent;
unsigned model_current, model_run;
const void *model_pc;
static bool failed_for_nothing;
static unsigned long accesses;
#define ACCESSES_MOST 2000000

uint64_t model_peek(uintptr_t p, unsigned size)
{
    uint64_t v = 0;
    memcpy(&v, (void *)p, size);
    return v;
}

/* --- The log --- */

void model_log(uintptr_t p, size_t size)
{
    if (entries == NULL && (entries = malloc(LOG_MAX * sizeof *entries)) == NULL)
        abort();
    while (size > 0) {
        uint8_t n = size < 8 ? (uint8_t)size : 8;
        if (entries_used == LOG_MAX)
            abort();
        entries[entries_used++] = (struct entry){p, model_peek(p, n), n, (uint8_t)model_current};
        p += n;
        size -= n;
    }
}

size_t model_log_mark(void) { return entries_used; }

void model_log_undo(size_t mark)
{
    while (entries_used > mark) {
        struct entry *e = &entries[--entries_used];
        memcpy((void *)e->address, &e->old, e->size);
    }
}

/* What was written from i on by t, not released, and not written again. */
static size_t next_late(unsigned t, size_t i)
{
    size_t k;
    for (; i < entries_used; i++) {
        if (entries[i].by != t || i < released[t])
            continue;
        for (k = i + 1; k < entries_used && entries[k].address != entries[i].address; k++)
            ;
        if (k == entries_used)
            break;
    }
    return i;
}

/*
 * A child is being made.  What another thread wrote since its last release need not have come as far as what it wrote
 * after it: either all is there, or one such write is not.
 */
void model_drop_late(void)
{
    size_t late[64], n = 0;
    unsigned k;
    for (unsigned t = 1; t < MODEL_THREADS; t++)
        for (size_t i = next_late(t, 0); t != model_current && i < entries_used && n < 64; i = next_late(t, i + 1))
            late[n++] = i;
    k = model_choose((unsigned)n + 1);
    if (k > 0) {
        struct entry e = entries[late[k - 1]];
        model_log(e.address, e.size);
        memcpy((void *)e.address, &e.old, e.size);
    }
}

/* --- Clocks --- */

static void learn(uint16_t *clock, const uint16_t *other)
{
    for (unsigned i = 0; i < MODEL_THREADS; i++)
        if (clock[i] < other[i])
            clock[i] = other[i];
}

static bool knows(const uint16_t *clock, unsigned by, uint16_t at) { return at <= clock[by]; }

void model_memory_begin(void)
{
    model_run++;
    stores_used = 1;
    failed_for_nothing = false;
    accesses = 0;
    memset(model_views, 0, sizeof model_views);
    for (unsigned i = 0; i < MODEL_THREADS; i++) {
        model_views[i].now[i] = 1;
        released[i] = entries_used;
    }
}

void model_know_all(void)
{
    for (unsigned t = 0; t < MODEL_THREADS; t++)
        learn(model_views[model_current].now, model_views[t].now);
}

static uint16_t *me(void) { return model_views[model_current].now; }

/* --- Races --- */

#define GRANULES 16384u

struct byte {
    uint16_t read[MODEL_THREADS], wrote[MODEL_THREADS];       /* plainly, when */
    uint16_t aread[MODEL_THREADS], awrote[MODEL_THREADS]; /* and atomically */
};
static struct granule {
    uintptr_t address;
    unsigned run;
    const void *pc[MODEL_THREADS];
    struct byte bytes[8];
} *granules;

static struct granule *granule_of(uintptr_t address)
{
    size_t i = (address * 0x9E3779B97F4A7C15u) >> 50;
    if (granules == NULL && (granules = calloc(GRANULES, sizeof *granules)) == NULL)
        abort();
    while (granules[i].run == model_run && granules[i].address != address)
        i = (i + 1) % GRANULES;
    if (granules[i].run != model_run) {
        memset(&granules[i], 0, sizeof granules[i]);
        granules[i].run = model_run;
        granules[i].address = address;
    }
    return &granules[i];
}

static void race(const struct granule *g, unsigned other, const void *pc, const char *how)
{
    char first[200];
    snprintf(first, sizeof first, "%s", model_where(g->pc[other]));
    model_violation("data race (%s): %s and %s", how, first, model_where(pc));
}

static void check(const struct granule *g, const uint16_t *other, const void *pc, const char *how)
{
    for (unsigned t = 0; t < MODEL_THREADS; t++)
        if (t != model_current && !knows(me(), t, other[t]))
            race(g, t, pc, how);
}

static void look(uintptr_t p, size_t size, bool write, bool atomic, const void *pc)
{
    for (struct granule *g = NULL; size > 0; p++, size--) {
        struct byte *b;
        if (g == NULL || p % 8 == 0)
            g = granule_of(p & ~(uintptr_t)7);
        b = &g->bytes[p % 8];
        check(g, b->wrote, pc, "write");
        if (write)
            check(g, b->read, pc, "read");
        if (!atomic)
            check(g, b->awrote, pc, "atomic write");
        if (!atomic && write)
            check(g, b->aread, pc, "atomic read");
        (atomic ? write ? b->awrote : b->aread : write ? b->wrote : b->read)[model_current] = me()[model_current];
        g->pc[model_current] = pc;
    }
}

/* --- Words --- */

static struct word *find(uintptr_t p, bool add)
{
    size_t i = (p * 0x9E3779B97F4A7C15u) >> 51;
    while (words[i].run == model_run && words[i].address != p)
        i = (i + 1) % WORDS;
    if (words[i].run == model_run)
        return &words[i];
    if (!add)
        return NULL;
    words[i] = (struct word){.address = p, .run = model_run};
    return &words[i];
}

static struct store *append(struct word *w, uint64_t value, unsigned by, uint16_t at)
{
    struct store *s = &stores[stores_used];
    if (stores_used == STORES)
        abort();
    memset(s, 0, sizeof *s);
    s->value = value;
    s->by = (uint8_t)by;
    s->at = at;
    s->before = w->last;
    w->last = stores_used++;
    return s;
}

/* The word with all its values, up to what memory holds. */
static struct word *word_at(uintptr_t p, unsigned size)
{
    struct word *w = find(p, true);
    w->size = size;
    if (w->last == 0)
        append(w, model_peek(p, size), 0, 0);
    else if (w->plain)
        append(w, model_peek(p, size), w->by, w->at);
    w->plain = false;
    return w;
}

/* A plain write is coming: what the word will hold is seen when somebody looks. */
static void overwrite(uintptr_t p, size_t size)
{
    for (uintptr_t q = p > 7 ? p - 7 : 0; q < p + size; q++) {
        struct word *w = find(q, false);
        if (w == NULL || q + w->size <= p)
            continue;
        w->plain = true;
        w->by = (uint8_t)model_current;
        w->at = me()[model_current];
    }
}

void model_plain(uintptr_t p, size_t size, bool write, const void *pc)
{
    if (model_private(p))
        return;
    if (++accesses > ACCESSES_MOST && entries_used > 0 && model_scene != NULL)
        model_violation("no end: a loop at %s", model_where(pc));
    if (model_concurrent) {
        if (write && model_forker != 0 && model_current != model_forker)
            model_stop(MODEL_POINT, 0);
        look(p, size, write, false, pc);
        if (write)
            overwrite(p, size);
    }
    if (write)
        model_log(p, size);
}

/* --- Steps: each is one tick of its thread's clock, and so is what comes after it --- */

static void begin(void) { me()[model_current]++; }
static void end(void) { me()[model_current]++; }

static void saw(struct store *s, unsigned parts)
{
    if (s->seen[model_current] == 0)
        s->seen[model_current] = me()[model_current];
    if ((parts & MODEL_ACQUIRE) != 0 && s->carries)
        learn(me(), s->passed);
}

/* The oldest that may still be seen: the newest that the thread knows of. */
static bool known(const struct store *s)
{
    if (knows(me(), s->by, s->at))
        return true;
    for (unsigned t = 0; t < MODEL_THREADS; t++)
        if (s->seen[t] != 0 && knows(me(), t, s->seen[t]))
            return true;
    return false;
}

/* A loop that nothing but time would end. */
static void see_old(struct store *s)
{
    if (++s->again[model_current] > 8)
        model_violation("looks for ever at an old value: %s", model_where(model_pc));
}

static struct store *nth(const struct word *w, unsigned n)
{
    struct store *s = &stores[w->last];
    while (n-- > 0)
        s = &stores[s->before];
    return s;
}

/* The one before may be seen too, has the same value, and leaves more to be seen later: so this one need not be. */
static bool repeats(const struct store *s, unsigned parts)
{
    return (parts & MODEL_ACQUIRE) == 0 && !known(s) && stores[s->before].value == s->value;
}

/* The nth store that a load may see, from the newest on, and not one that repeats; NULL: there are fewer. */
static struct store *choice(const struct word *w, unsigned n, unsigned parts)
{
    for (struct store *s = &stores[w->last];; s = &stores[s->before]) {
        if (!repeats(s, parts) && n-- == 0)
            return s;
        if (known(s))
            return NULL;
    }
}

uint64_t model_load(uintptr_t p, unsigned size, unsigned parts)
{
    struct word *w;
    struct store *s;
    unsigned n = 1, k;
    begin();
    look(p, size, false, true, model_pc);
    w = word_at(p, size);
    while (choice(w, n, parts) != NULL)
        n++;
    k = model_choose(n);
    s = choice(w, k, parts);
    if (k > 0)
        see_old(s);
    saw(s, parts);
    end();
    return s->value;
}

static void put(uintptr_t p, unsigned size, uint64_t value)
{
    model_log(p, size);
    memcpy((void *)p, &value, size);
}

static void write_new(struct word *w, uint64_t value, unsigned parts, const struct store *from)
{
    struct store *s = append(w, value, model_current, me()[model_current]);
    put(w->address, w->size, value);
    if (from != NULL && from->carries) { /* a release goes on through what reads and writes at once */
        s->carries = true;
        learn(s->passed, from->passed);
    }
    if ((parts & MODEL_RELEASE) != 0) {
        s->carries = true;
        learn(s->passed, me());
        released[model_current] = entries_used;
    } else if (model_views[model_current].fence[model_current] != 0) {
        s->carries = true;
        learn(s->passed, model_views[model_current].fence);
    }
    s->seen[model_current] = me()[model_current];
}

void model_store(uintptr_t p, unsigned size, uint64_t value, unsigned parts)
{
    begin();
    look(p, size, true, true, model_pc);
    write_new(word_at(p, size), value, parts, NULL);
    end();
}

static uint64_t cut(uint64_t value, unsigned size)
{
    return size == 8 ? value : value & (((uint64_t)1 << size * 8) - 1);
}

uint64_t model_modify(uintptr_t p, unsigned size, enum model_rmw how, uint64_t value, unsigned parts)
{
    struct word *w;
    struct store *s;
    uint64_t old;
    begin();
    look(p, size, true, true, model_pc);
    w = word_at(p, size);
    s = nth(w, 0);
    old = s->value;
    saw(s, parts);
    value = how == MODEL_SWAP ? value : how == MODEL_ADD ? old + value : how == MODEL_OR ? old | value : old & value;
    write_new(w, cut(value, size), parts, s);
    end();
    return old;
}

/* Values that the thread may see instead of what it expects. The newest is among them only if it is another. */
static unsigned others(const struct word *w, uint64_t expected, struct store **seen, unsigned most)
{
    unsigned n = 0;
    for (struct store *s = &stores[w->last];; s = &stores[s->before]) {
        if (s->value != expected && n < most)
            seen[n++] = s;
        if (known(s))
            return n;
    }
}

bool model_cas(uintptr_t p, unsigned size, uint64_t *expected, uint64_t value, unsigned parts, bool acquires,
               enum model_cas how)
{
    struct store *fail[32], *s;
    struct word *w;
    unsigned n, k, fits;
    begin();
    w = word_at(p, size);
    s = nth(w, 0);
    fits = s->value == *expected;
    n = how == MODEL_IN_ONE_STEP && fits ? 0 : others(w, *expected, fail, 31);
    if (fits && how == MODEL_WEAK && (model_scene->flags & MODEL_SPURIOUS) != 0 && !failed_for_nothing)
        fail[n++] = s;
    k = model_choose(fits + n);
    look(p, size, fits && k == 0, true, model_pc);
    if (fits && k == 0) {
        saw(s, parts);
        write_new(w, value, parts, s);
    } else {
        s = fail[k - fits];
        failed_for_nothing |= s->value == *expected;
        saw(s, acquires ? MODEL_ACQUIRE : 0);
        *expected = s->value;
    }
    end();
    return fits && k == 0;
}

void model_fence(unsigned parts)
{
    if ((parts & MODEL_RELEASE) == 0)
        return;
    begin();
    learn(model_views[model_current].fence, me());
    released[model_current] = entries_used;
    end();
}

/* The system's own look is at the newest value, and what a processor saw it sees from then on. */
bool model_futex_is(uintptr_t p, uint32_t value)
{
    struct word *w;
    begin();
    w = word_at(p, sizeof value);
    saw(nth(w, 0), 0);
    end();
    return nth(w, 0)->value == value;
}

bool model_lock_free(uintptr_t word)
{
    uint32_t state = (uint32_t)model_peek(word, sizeof state);
    return state != 1 && state != 2;
}
