/*
 * test_remote.c: blocks freed by others than their slab's owner: the inbox, and who empties it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "unit.h"

#include "cache/depot.h"
#include "cache/remote.h"

#define COUNT 40
#define SIZE 64

/* A thread that holds blocks of one slab, and does one thing more before it ends. */
static struct owner {
    pthread_t thread;
    struct unit_turn turn;
    void (*then)(struct owner *self);
    struct slai_tcache *tc;
    struct slai_span *slab;
    void *blocks[COUNT];
} owner;

static void *own(void *arg)
{
    struct owner *self = arg;
    size_t n = 0;
    self->tc = slai_cache_get();
    if (self->tc->bins[slai_class_of(SIZE)].base == NULL)
        UNIT_EXPECT(slai_stack_open(self->tc, slai_class_of(SIZE))); /* as the refill that takes a slab has done */
    self->slab = slai_slab_create(slai_class_of(SIZE), self->tc);
    UNIT_EXPECT(self->slab != NULL);
    void *taken[COUNT];
    n = slai_slab_take(self->slab, taken + COUNT, COUNT);
    UNIT_EXPECT(n == COUNT);
    for (size_t i = 0; i < COUNT; i++)
        self->blocks[i] = taken[COUNT - 1 - i];
    self->slab->place = SLAI_PARTIAL;
    slai_list_push(&self->tc->bins[self->slab->class].partial, &self->slab->link);
    unit_pass(&self->turn);
    unit_await(&self->turn, 2);
    if (self->then != NULL)
        self->then(self);
    return NULL;
}

static void start(void (*then)(struct owner *self))
{
    memset(&owner, 0, sizeof(owner));
    owner.then = then;
    unit_thread(&owner.thread, own, &owner);
    unit_await(&owner.turn, 1);
}

static void finish(void)
{
    unit_pass(&owner.turn);
    unit_join(owner.thread);
}

static struct slai_span *inbox(void) { return slai_load_acquire(&owner.tc->inbox); }
static size_t remote(void) { return slai_load_acquire(&owner.slab->remote); }

static size_t remote_bits(const struct slai_span *s)
{
    size_t n = 0;
    for (unsigned w = 0; w < s->words; w++)
        n += slai_popcount(slai_load_relaxed(&slai_slab_remote(s)[w]));
    return n;
}

/* --- posting --- */

static void all_drained(struct owner *self)
{
    UNIT_EXPECT(self->slab->used == COUNT); /* not counted until the owner looks */
    sla_thread_idle();
    UNIT_EXPECT(slai_load_relaxed(&self->tc->inbox) == NULL);
    UNIT_EXPECT(self->slab->used == COUNT - 15 && self->slab->remote == 0);
    UNIT_EXPECT(remote_bits(self->slab) == 0);
}

START_TEST(posts_once)
{
    start(all_drained);
    ck_assert_ptr_null(inbox());
    slai_remote_free(owner.slab, owner.blocks, 10);
    ck_assert_uint_eq(remote(), 10);
    ck_assert_ptr_eq(inbox(), owner.slab);
    ck_assert_ptr_null(owner.slab->next_post);
    slai_remote_free(owner.slab, owner.blocks + 10, 5);
    ck_assert_uint_eq(remote(), 15);
    ck_assert_uint_eq(remote_bits(owner.slab), 15);
    ck_assert_ptr_eq(inbox(), owner.slab);
    ck_assert_ptr_null(owner.slab->next_post); /* else it would be in a circle */
    finish();
    for (size_t i = 15; i < COUNT; i++)
        sla_free(owner.blocks[i]);
}
END_TEST

START_TEST(any_order_sets_the_same_bits)
{
    struct support_rng rng;
    void *order[COUNT];
    start(NULL);
    memcpy(order, owner.blocks, sizeof(order));
    support_seed(&rng, (uint64_t)_i);
    for (size_t i = COUNT; i > 1; i--) {
        size_t j = support_below(&rng, i);
        void *t = order[j];
        order[j] = order[i - 1];
        order[i - 1] = t;
    }
    slai_remote_free(owner.slab, order, COUNT);
    ck_assert_uint_eq(remote(), COUNT);
    for (uint32_t i = 0; i < COUNT; i++)
        ck_assert(slai_load_relaxed(&slai_slab_remote(owner.slab)[i / 64]) >> i % 64 & 1);
    finish();
}
END_TEST

static void refill_sees_it(struct owner *self)
{
    unsigned c = self->slab->class;
    void *p = slai_stack_refill(self->tc, c);
    UNIT_EXPECT(p == self->blocks[0]); /* the lowest one free */
    UNIT_EXPECT(self->slab->used >= 1);
    slai_set_release(&self->tc->stacks[c].top, self->tc->stacks[c].top + 1);
    *self->tc->stacks[c].top = p;
}

START_TEST(refill_drains)
{
    start(refill_sees_it);
    slai_remote_free(owner.slab, owner.blocks, COUNT);
    finish();
}
END_TEST

static void overflow_sees_it(struct owner *self)
{
    unsigned c = slai_class_of(30000);
    void *p[40];
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        p[i] = sla_malloc(30000);
    self->tc->budget = 0; /* no growth: the next overflow flushes */
    UNIT_EXPECT(self->slab->remote == COUNT || self->slab->remote == 0);
    for (size_t i = 0; i < ARRAY_LEN(p); i++)
        sla_free(p[i]);
    UNIT_EXPECT(self->tc->bins[c].refilled == 0);
    UNIT_EXPECT(slai_load_relaxed(&self->tc->inbox) == NULL);
}

START_TEST(overflow_drains)
{
    start(overflow_sees_it);
    slai_remote_free(owner.slab, owner.blocks, COUNT);
    finish();
}
END_TEST

/* The public way: a flush by another thread gathers the blocks of each slab. */
START_TEST(flush_sends_them_home)
{
    start(NULL);
    for (size_t i = 0; i < COUNT; i++)
        sla_free(owner.blocks[i]);
    sla_thread_idle();
    ck_assert_uint_eq(remote(), COUNT);
    ck_assert_ptr_eq(inbox(), owner.slab);
    finish();
}
END_TEST

/* --- no owner, another owner, none any more --- */

START_TEST(end_of_the_owner_counts_in)
{
    start(NULL);
    slai_remote_free(owner.slab, owner.blocks, 5);
    finish();
    ck_assert_ptr_null(owner.slab->owner);
    ck_assert_ptr_eq(owner.tc->inbox, SLAI_INBOX_CLOSED);
    ck_assert_uint_eq(owner.slab->used, COUNT - 5);
    ck_assert_uint_eq(owner.slab->remote, 0);
    unit_sound();
    /* Without an owner the depot takes them at once; the last one empties the slab. */
    slai_remote_free(owner.slab, owner.blocks + 5, 5);
    ck_assert_uint_eq(owner.slab->used, COUNT - 10);
    ck_assert_uint_eq(owner.slab->remote, 0);
    slai_remote_free(owner.slab, owner.blocks + 10, COUNT - 10);
    ck_assert(slai_kind(owner.slab) != SLAI_KIND_SLAB || slai_slab_empty(owner.slab)); /* one may be kept */
    (void)sla_trim(0);
    ck_assert_uint_ne(slai_kind(owner.slab), SLAI_KIND_SLAB);
}
END_TEST

static void settle_never(struct slai_tcache *tc, struct slai_span *s)
{
    (void)tc;
    (void)s;
    ck_abort_msg("settled with a thread that does not own it");
}

START_TEST(wrong_inbox_is_forwarded)
{
    start(NULL);
    slai_remote_free(owner.slab, owner.blocks, 3);
    /* As if it had been posted to us before its owner changed. */
    struct slai_span *posted = slai_swap_acq_rel(&owner.tc->inbox, NULL);
    ck_assert_ptr_eq(posted, owner.slab);
    slai_remote_drain(slai_cache_get(), posted, settle_never);
    ck_assert_ptr_eq(inbox(), owner.slab);
    ck_assert_uint_eq(remote(), 3);
    finish();
    for (size_t i = 3; i < COUNT; i++)
        sla_free(owner.blocks[i]);
}
END_TEST

START_TEST(forwarded_to_the_depot)
{
    start(NULL);
    finish();
    ck_assert_ptr_null(owner.slab->owner);
    slai_slab_remote(owner.slab)[0] |= 7;
    owner.slab->remote = 3;
    slai_remote_drain(slai_cache_get(), owner.slab, settle_never);
    ck_assert_uint_eq(owner.slab->used, COUNT - 3);
    ck_assert_uint_eq(owner.slab->remote, 0);
    unit_sound();
    for (size_t i = 3; i < COUNT; i++)
        sla_free(owner.blocks[i]);
}
END_TEST

/* A closed inbox: whoever posts looks again until the new owner shows. */
static struct slai_tcache closed;

static void *post_to_the_closed(void *arg)
{
    (void)arg;
    slai_remote_free(owner.slab, owner.blocks, 4);
    unit_pass(&owner.turn);
    return NULL;
}

static void take_owner_back(struct owner *self)
{
    pthread_t poster;
    slai_set_relaxed(&closed.inbox, SLAI_INBOX_CLOSED);
    slai_set_release(&self->slab->owner, &closed);
    if (pthread_create(&poster, NULL, post_to_the_closed, NULL) != 0)
        return;
    for (int i = 0; i < 500 && slai_load_acquire(&self->slab->remote) != 4; i++)
        unit_sleep(10);
    unit_sleep(10);
    UNIT_EXPECT(atomic_load(&self->turn.now) == 2); /* it waits */
    UNIT_EXPECT(slai_load_acquire(&self->slab->remote) == 4);
    slai_set_release(&self->slab->owner, self->tc);
    pthread_join(poster, NULL);
    UNIT_EXPECT(atomic_load(&self->turn.now) == 3);
    UNIT_EXPECT(slai_load_acquire(&self->tc->inbox) == self->slab);
    UNIT_EXPECT(slai_load_acquire(&closed.inbox) == SLAI_INBOX_CLOSED);
}

START_TEST(closed_inbox)
{
    start(take_owner_back);
    finish();
    ck_assert_uint_eq(owner.slab->used, COUNT - 4);
    for (size_t i = 4; i < COUNT; i++)
        sla_free(owner.blocks[i]);
}
END_TEST

/* --- misuse --- */

static void idle(struct owner *self)
{
    (void)self;
    sla_thread_idle();
}

START_TEST(misuse_is_reported)
{
    static const char twice[] = "block already free", middle[] = "not the start of a block";
    char want[512], *odd;
    start(idle);
    odd = (char *)owner.blocks[7] + 8;
    void *const same_batch[] = {owner.blocks[0], owner.blocks[1], owner.blocks[0]};
    void *const later_batch[] = {owner.blocks[1], owner.blocks[2]};
    void *const inside[] = {odd, owner.blocks[3]};
    slai_conf.abort = 0;
    unit_catch();
    slai_remote_free(owner.slab, same_batch, 3);
    ck_assert_uint_eq(remote(), 2);
    slai_remote_free(owner.slab, later_batch, 2);
    ck_assert_uint_eq(remote(), 3);
    slai_remote_free(owner.slab, inside, 2);
    ck_assert_uint_eq(remote(), 4);
    void *const all_wrong[] = {odd, odd};
    slai_remote_free(owner.slab, all_wrong, 2);
    ck_assert_uint_eq(remote(), 4);
    snprintf(want, sizeof(want),
             "slaballoc: free(0x%jx): %s (size class 64)\nslaballoc: free(0x%jx): %s (size class 64)\n"
             "slaballoc: free(0x%jx): %s (size class 64)\nslaballoc: free(0x%jx): %s (size class 64)\n"
             "slaballoc: free(0x%jx): %s (size class 64)\n",
             (uintmax_t)(uintptr_t)owner.blocks[0], twice, (uintmax_t)(uintptr_t)owner.blocks[1], twice,
             (uintmax_t)(uintptr_t)odd, middle, (uintmax_t)(uintptr_t)odd, middle, (uintmax_t)(uintptr_t)odd, middle);
    ck_assert_str_eq(unit_caught(), want);
    finish();
    ck_assert_uint_eq(owner.slab->used, COUNT - 4);
    unit_sound();
    for (size_t i = 4; i < COUNT; i++)
        sla_free(owner.blocks[i]);
}
END_TEST

/* A block freed twice, of a slab that goes with all its blocks before the second free is looked at. */
START_TEST(slab_gone_with_the_first_message)
{
    struct owner first;
    char want[128];
    start(NULL);
    finish();
    first = owner;
    start(NULL);
    finish();
    slai_conf.abort = 0;
    unit_catch();
    sla_free(owner.blocks[3]);
    sla_free(first.blocks[0]);
    for (size_t i = 0; i < COUNT; i++)
        sla_free(owner.blocks[i]);
    sla_thread_idle();
    snprintf(want, sizeof(want), "slaballoc: free(0x%jx): block already free (size class 64)\n",
             (uintmax_t)(uintptr_t)owner.blocks[3]);
    ck_assert_str_eq(unit_caught(), want);
    for (size_t i = 1; i < COUNT; i++)
        sla_free(first.blocks[i]);
    sla_thread_idle();
    unit_sound();
}
END_TEST

START_TEST(free_by_owner_and_by_other)
{
    char want[128];
    slai_conf.abort = 0;
    start(idle);
    slai_remote_free(owner.slab, owner.blocks, 1);
    /* The owner is parked, so its fields may be used here as if by it. */
    ck_assert(slai_slab_put(owner.slab, owner.blocks[0]));
    unit_catch();
    finish(); /* the owner counts in, and finds out */
    snprintf(want, sizeof(want), "slaballoc: free(0x%jx): block already free (size class 64)\n",
             (uintmax_t)(uintptr_t)owner.blocks[0]);
    ck_assert_str_eq(unit_caught(), want);
    ck_assert_uint_eq(owner.slab->used, COUNT - 1);
    for (size_t i = 1; i < COUNT; i++)
        sla_free(owner.blocks[i]);
}
END_TEST

/* --- many threads at once --- */

#define RING 4
static struct ring {
    void *_Atomic mail[64];
    size_t rounds;
} ring[RING];

static void *pass_around(void *arg)
{
    size_t me = (size_t)((struct ring *)arg - ring);
    struct ring *next = &ring[(me + 1) % RING];
    struct support_rng rng;
    support_seed(&rng, me);
    for (size_t i = 0; i < ring[me].rounds; i++) {
        size_t size = 1 + support_below(&rng, support_below(&rng, 10) != 0 ? 300 : 40000);
        unsigned char *p = sla_malloc(size);
        UNIT_EXPECT(p != NULL);
        *p = (unsigned char)me;
        sla_free(atomic_exchange(&next->mail[support_below(&rng, 64)], p));
    }
    return NULL;
}

START_TEST(ring_of_threads)
{
    pthread_t threads[RING];
    sla_thread_idle();
    size_t before = unit_stats().live;
    memset(ring, 0, sizeof(ring));
    for (size_t i = 0; i < RING; i++) {
        ring[i].rounds = support_scaled(8000) + 1000 * i; /* they end one after the other */
        unit_thread(&threads[i], pass_around, &ring[i]);
    }
    for (size_t i = 0; i < RING; i++)
        unit_join(threads[i]);
    unit_sound();
    for (size_t i = 0; i < RING; i++)
        for (size_t k = 0; k < 64; k++)
            sla_free(atomic_load(&ring[i].mail[k]));
    sla_thread_idle();
    ck_assert_uint_eq(unit_stats().live, before);
    unit_sound();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("remote");
    TCase *tc = unit_case(suite, "remote");
    tcase_add_test(tc, posts_once);
    tcase_add_loop_test(tc, any_order_sets_the_same_bits, 0, 5);
    tcase_add_test(tc, refill_drains);
    tcase_add_test(tc, overflow_drains);
    tcase_add_test(tc, flush_sends_them_home);
    tcase_add_test(tc, end_of_the_owner_counts_in);
    tcase_add_test(tc, wrong_inbox_is_forwarded);
    tcase_add_test(tc, forwarded_to_the_depot);
    tcase_add_test(tc, closed_inbox);
    tcase_add_test(tc, misuse_is_reported);
    tcase_add_test(tc, slab_gone_with_the_first_message);
    tcase_add_test(tc, free_by_owner_and_by_other);
    tcase_add_loop_test(tc, ring_of_threads, 0, 3);
    return support_main(suite);
}
