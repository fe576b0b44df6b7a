/*
 * test_model.c: every interleaving of each scenario; and every memory order in
 * turn left out, which some scenario must notice.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include "scene.h"

#include <stdarg.h>

#define SCENARIOS_MOST 128 /* as model_visits() can tell apart */
#define SITES_MOST 512

static const struct model_scenario *const lists[] = {scene_lock, scene_remote, scene_life, scene_fork};

static const struct model_scenario *scenarios[SCENARIOS_MOST];
static size_t scenario_count;

static char report[16384];
static void __attribute__((format(printf, 1, 2))) tell(const char *format, ...)
{
    size_t used = strlen(report);
    va_list args;
    va_start(args, format);
    vsnprintf(report + used, sizeof report - used, format, args);
    va_end(args);
}

/* SLABALLOC_MODEL=TEXT: only scenarios with that in their names. */
static void choose(void)
{
    const char *only = getenv("SLABALLOC_MODEL");
    scenario_count = 0;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        for (const struct model_scenario *s = lists[i]; s->name != NULL; s++)
            if (s->level <= (unsigned)support_level() && (only == NULL || strstr(s->name, only) != NULL))
                scenarios[scenario_count++] = s;
}

START_TEST(all_interleavings)
{
    unsigned long runs = 0, most = support_plan(30000, 1000000, 1000000);
    int wordy = getenv("SLABALLOC_MODEL") != NULL;
    choose();
    for (size_t i = 0; i < scenario_count; i++) {
        struct model_result r;
        double before = support_seconds();
        if (!model_explore(scenarios[i], most, &r))
            tell("%s: %s\n", scenarios[i]->name, r.what);
        else if (!r.complete)
            tell("%s: more than %lu interleavings\n", scenarios[i]->name, most);
        runs += r.runs + r.pruned;
        if (wordy)
            printf("%s: %lu interleavings, %lu of them cut short, %lu steps, %.2f s\n", scenarios[i]->name, r.runs,
                   r.pruned, r.steps, support_seconds() - before);
    }
    support_ran("%zu scenarios, all of their %lu interleavings", scenario_count, runs);
    fflush(stdout);
    ck_assert_msg(report[0] == '\0', "%s", report);
}
END_TEST

/* --- Weakened orders --- */

/* Orders that no scenario needs, and what is known of why. README.md says more. */
#define LOCKED "whoever goes by it takes the lock next"
#define SETTLED "who holds a block has learned of it with the block"
#define CHILD "for a fork child, where more than one late write would have to come together"
#define PUBLIC "its readers come by the number's release, or look only at what a lock protects"
#define COUNTER "a number and nothing behind it"
static const struct {
    const char *file, *text; /* part of the line */
    unsigned part;
    const char *why;
} needless[] = {
    {"api/malloc.c", "slai_set_release(&stack->top", MODEL_RELEASE, CHILD},
    {"api/objcache.c", "slai_increment_release", MODEL_RELEASE, CHILD},
    {"cache/stack.c", "slai_fence_release();", MODEL_RELEASE, CHILD},
    {"cache/stack.c", "slai_set_release(", MODEL_RELEASE, CHILD},
    {"cache/thread.c", "slai_fence_release();", MODEL_RELEASE, CHILD},
    {"cache/thread.c", "slai_set_release(&tc->busy, 0)", MODEL_RELEASE, CHILD},
    {"cache/thread.c", "slai_set_release(&tc->objects, objects)", MODEL_RELEASE, CHILD},
    {"heap/slab.c", "slai_fence_release();", MODEL_RELEASE, CHILD},
    {"api/objadmin.c", "slai_load_acquire(&cache->visitors)", MODEL_ACQUIRE, "no scenario visits a cache that ends"},
    {"api/objadmin.c", "slai_set_release(&slai_object_classes", MODEL_RELEASE, PUBLIC},
    {"heap/sizeclass.h", "slai_object_classes[", MODEL_ACQUIRE, PUBLIC},
    {"cache/heap.c", "slai_load_acquire(&heap->pushed)", MODEL_ACQUIRE, "no scenario pushes a heap"},
    {"cache/heap.c", "slai_set_release(&slai_accounts[", MODEL_RELEASE, PUBLIC},
    {"heap/account.h", "slai_load_acquire(&slai_accounts[", MODEL_ACQUIRE, PUBLIC},
    {"cache/depot.c", "slai_set_release(&s->owner", MODEL_RELEASE, LOCKED},
    {"cache/remote.c", "slai_load_acquire(&s->owner) != tc", MODEL_ACQUIRE,
     "an own slab, or it is sent on by a look anew"},
    {"cache/remote.c", "*owner = slai_load_acquire(&s->owner)", MODEL_ACQUIRE,
     "a cache's memory is never given back"},
    {"cache/remote.c", "slai_cas_acq_rel(&owner->inbox", MODEL_ACQUIRE,
     "the next load of it, or of the owner, acquires"},
    {"cache/stack.c", "slai_swap_acq_rel(&tc->inbox, NULL)", MODEL_RELEASE,
     "who finds it empty looks at nothing else"},
    {"cache/thread.c", "slai_set_release(&tc->inbox, NULL)", MODEL_RELEASE,
     "who finds it open posts; who does not looks again"},
    {"heap/account.c", "slai_cas_acq_rel(&a->peak", MODEL_ACQUIRE, COUNTER},
    {"heap/account.c", "slai_cas_acq_rel(&a->peak", MODEL_RELEASE, COUNTER},
    {"heap/sizeclass.c", "slai_cas_acq_rel(&q->used", MODEL_ACQUIRE, COUNTER},
    {"heap/sizeclass.c", "slai_cas_acq_rel(&q->used", MODEL_RELEASE, COUNTER},
    {"heap/region.c", "slai_set_release(&slai_window.pages", MODEL_RELEASE, SETTLED},
    {"heap/region.c", "slai_set_release(&slai_object_window.pages", MODEL_RELEASE, SETTLED},
    {"heap/region.c", "slai_set_release(&r->pages, pages)", MODEL_RELEASE,
     "covered by the release of the regions' number"},
    {"heap/region.c", "slai_load_acquire(&r->pages)", MODEL_ACQUIRE, "covered by the acquire of the regions' number"},
    {"heap/region.c", "slai_load_acquire(&r->base)", MODEL_ACQUIRE, "no scenario moves a region between the two looks"},
    {"heap/region.c", "n = slai_load_acquire(&slai_region_count)", MODEL_ACQUIRE, SETTLED},
    {"heap/slab.c", "slai_load_acquire(&slai_slab_remote(s)", MODEL_ACQUIRE, "no scenario purges a slab with pages"},
    {"heap/slab.c", "slai_set_release(&s->owner, owner)", MODEL_RELEASE, SETTLED},
    {"os/lock.c", "slai_cas_acquire(&l->state, &s, SLAI_LOCK_AWAITED)) {", MODEL_ACQUIRE, "it takes no lock"},
    {"os/lock.c", "slai_swap_acquire(&l->state, SLAI_LOCK_FORK)", MODEL_ACQUIRE, "the lock is held already"},
    {"os/lock.c", "slai_set_release(&forking, false)", MODEL_RELEASE, LOCKED},
};

static const char *why_needless(const struct model_site *s, unsigned part)
{
    for (size_t i = 0; i < ARRAY_LEN(needless); i++)
        if (strncmp(s->name, needless[i].file, strlen(needless[i].file)) == 0 && needless[i].part == part &&
            strstr(s->text, needless[i].text) != NULL)
            return needless[i].why;
    return NULL;
}

/* The first scenario that notices, of those that come by the place. NULL: none. */
static const struct model_scenario *noticed(const struct model_site *site, unsigned long most, struct model_result *r)
{
    for (size_t i = 0; i < scenario_count; i++) {
        model_number = (unsigned)i;
        if ((site == NULL || model_visits(model_number, site)) && !model_explore(scenarios[i], most, r))
            return scenarios[i];
    }
    return NULL;
}

START_TEST(weakened_orders_are_noticed)
{
    struct model_site *sites[SITES_MOST];
    struct model_result r;
    size_t n, caught = 0, spared = 0;
    unsigned long most = support_plan(1200, 3000, 100000);
    const char *only = getenv("SLABALLOC_MODEL_SITE"); /* "FILE:LINE" */
    int wordy = getenv("SLABALLOC_MODEL_WORDY") != NULL;
    choose();
    ck_assert_msg(noticed(NULL, most, &r) == NULL, "%s", r.what);
    n = model_sites(sites, SITES_MOST);
    if (n == 0)
        support_ran("no weakened orders, as addr2line is missing");
    for (size_t i = 0; i < n; i++)
        for (unsigned part = MODEL_ACQUIRE; part <= MODEL_RELEASE; part++) {
            const char *what = part == MODEL_ACQUIRE ? "acquire" : "release", *why = why_needless(sites[i], part);
            const struct model_scenario *by;
            if ((sites[i]->parts & part) == 0 || strncmp(sites[i]->name, "scene", 5) == 0 ||
                (only != NULL && strcmp(sites[i]->name, only) != 0))
                continue;
            if (why != NULL && !support_long()) {
                spared++;
                continue;
            }
            model_weaken(sites[i], part);
            by = noticed(sites[i], most, &r);
            model_weaken(sites[i], 0);
            caught += by != NULL;
            spared += by == NULL && why != NULL;
            if (wordy)
                fprintf(stderr, "%s %s: %s: %s: %s\n", sites[i]->name, what, sites[i]->text,
                        by != NULL ? by->name : "-", by != NULL ? r.what : "");
            if (by == NULL && why == NULL)
                tell("%s without %s goes unnoticed: %s\n", sites[i]->name, what, sites[i]->text);
        }
    support_ran("%zu weakened orders caught, %zu known not to matter", caught, spared);
    fflush(stdout);
    ck_assert_msg(report[0] == '\0', "%s", report);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("model");
    TCase *tc = tcase_create("interleavings");
    tcase_set_timeout(tc, 900); /* it counts interleavings; the machine may be slow */
    tcase_add_test(tc, all_interleavings);
    suite_add_tcase(suite, tc);
    tc = tcase_create("weakened");
    tcase_set_timeout(tc, 900);
    tcase_add_test(tc, weakened_orders_are_noticed);
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
