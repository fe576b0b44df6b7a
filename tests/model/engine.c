/*
 * engine.c: which thread goes next.
 *
 * Depth first, stateless: an interleaving is run from its beginning, along the
 * choices on the path so far and then any; then the last choice that has an
 * alternative is changed.  Which alternatives matter is found by dynamic partial
 * order reduction (Flanagan and Godefroid) with sleep sets: a thread is tried
 * earlier only where its step and another's touch one word, one of them writes,
 * and nothing orders them.
 *
 * SPDX-License-Identifier: MIT
 */
#include "engine.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#define DEPTH 6000u
#define STACK ((size_t)256 << 10)
#define WORDS 8192u

enum state { NONE, READY, ASLEEP, ENDED, GONE };

static struct thread {
    ucontext_t context;
    char *stack;
    char *own;                      /* its copy of what is thread-local, and as it was after the set-up */
    char *own_first;
    enum state state;
    struct model_op next;
    uint32_t past[MODEL_THREADS];   /* up to which step of each it comes after, in the sense of the reduction */
} threads[MODEL_THREADS];

/* A step on the path: what was possible before it, and what of it is still to be tried. */
static struct node {
    struct model_op op;
    uint8_t chosen, enabled, asleep, done, wanted;
    uint8_t ran, preempted; /* who took the step before; how many could have gone on and did not */
    uint16_t outcome, outcomes;
    uint32_t before; /* the last step, + 1, at the same word */
} nodes[DEPTH];
static uint32_t depth, fixed; /* steps taken; those that are on the path already */
static uint8_t asleep;        /* threads that need not be tried here */
static bool starting;
static enum { GOING, AT_END, LIKE_OTHERS, WRONG } outcome;
static struct model_result *result;
static ucontext_t main_context;
const struct model_scenario *model_scene;
unsigned model_forker;

/* Words as the reduction sees them. */
static struct place {
    uintptr_t word;
    unsigned run;
    uint32_t last; /* step + 1 */
    uint32_t wrote[MODEL_THREADS], read[MODEL_THREADS];
} places[WORDS];

static struct place *place_of(uintptr_t word)
{
    size_t i = (word * 0x9E3779B97F4A7C15u) >> 51;
    while (places[i].run == model_run && places[i].word != word)
        i = (i + 1) % WORDS;
    if (places[i].run != model_run)
        places[i] = (struct place){.word = word, .run = model_run};
    return &places[i];
}

/* --- Switching --- */

int model_errno __attribute__((section("model_tls")));
extern char own_begin[] __asm__("__start_model_tls") __attribute__((visibility("hidden")));
extern char own_end[] __asm__("__stop_model_tls") __attribute__((visibility("hidden")));

static char *own_at_start;
static size_t own_size(void) { return (size_t)(own_end - own_begin); }

static void become(unsigned t)
{
    if (t == model_current)
        return;
    memcpy(threads[model_current].own, own_begin, own_size());
    memcpy(own_begin, threads[t].own, own_size());
    model_current = t;
}

bool model_private(uintptr_t p)
{
    if (p - (uintptr_t)own_begin < own_size())
        return true;
    for (unsigned t = 0; t < MODEL_THREADS; t++)
        if (p - (uintptr_t)threads[t].stack < STACK)
            return true;
    return false;
}

static void leave(void)
{
    model_concurrent = false;
    setcontext(&main_context);
    abort();
}

void model_violation(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(result->what, sizeof result->what, format, args);
    va_end(args);
    outcome = WRONG;
    leave();
    abort();
}

/* --- The reduction --- */

static bool writes(const struct model_op *op) { return op->kind != MODEL_READ; }

static bool local(const struct model_op *op) { return op->kind == MODEL_POINT || op->kind == MODEL_RESUME; }

static bool dependent(const struct model_op *a, const struct model_op *b)
{
    if (a->kind == MODEL_CHILD || b->kind == MODEL_CHILD)
        return true;
    return !local(a) && !local(b) && a->word == b->word && (writes(a) || writes(b));
}

static bool possible(unsigned t)
{
    const struct thread *th = &threads[t];
    if (th->state != READY)
        return false;
    return th->next.kind != MODEL_LOCK || model_lock_free(th->next.word);
}

/* Thread t's step is not ordered after step i, and could have been tried before it. */
static void want(uint32_t i, unsigned t)
{
    struct node *n = &nodes[i];
    if (model_scene->bound != 0)
        return;
    n->wanted |= (n->enabled >> t & 1) != 0 ? (uint8_t)(1u << t) : n->enabled;
}

static void find_race(unsigned t, const struct model_op *op, uint32_t from)
{
    const uint32_t *past = threads[t].past;
    for (uint32_t i = from; i > 0; i = op->kind == MODEL_CHILD ? i - 1 : nodes[i - 1].before) {
        const struct node *n = &nodes[i - 1];
        if (n->chosen == t || !dependent(&n->op, op))
            continue;
        if (i <= past[n->chosen]) {
            if (writes(&n->op) && op->kind != MODEL_CHILD)
                return; /* all before it is ordered too */
            continue;
        }
        if (op->kind == MODEL_LOCK && n->op.kind == MODEL_UNLOCK)
            continue; /* never both possible: the race is with the step that took the lock */
        want(i - 1, t);
        return;
    }
}

static void join(uint32_t *a, const uint32_t *b)
{
    for (unsigned t = 0; t < MODEL_THREADS; t++)
        if (a[t] < b[t])
            a[t] = b[t];
}

/* Thread t takes its step as number `depth`. */
static void note_step(unsigned t, struct node *n)
{
    struct thread *th = &threads[t];
    n->op = th->next;
    n->before = 0;
    if (n->op.kind == MODEL_CHILD) {
        find_race(t, &n->op, depth);
        if (model_scene->bound == 0)
            n->wanted |= n->enabled; /* the others' next steps will never be taken */
    } else if (!local(&n->op)) {
        struct place *p = place_of(n->op.word);
        find_race(t, &n->op, p->last);
        n->before = p->last;
        p->last = depth + 1;
        join(th->past, p->wrote);
        if (writes(&n->op))
            join(th->past, p->read);
        th->past[t] = depth + 1;
        join(writes(&n->op) ? p->wrote : p->read, th->past);
    }
    th->past[t] = depth + 1;
}

static unsigned first_of(unsigned mask) { return (unsigned)__builtin_ctz(mask); }

/* Is it a preemption that t goes on here? */
static bool preempts(const struct node *n, unsigned t) { return t != n->ran && (n->enabled >> n->ran & 1) != 0; }

/* With a bound on preemptions there is no reduction: all that are within it are wanted. */
static uint8_t affordable(const struct node *n)
{
    bool more = n->preempted < model_scene->bound || (n->enabled >> n->ran & 1) == 0;
    return more ? n->enabled : (uint8_t)(1u << n->ran);
}

/* Picks the thread for a step that is not on the path yet. */
static bool extend_path(struct node *n, unsigned enabled)
{
    unsigned free = enabled & ~(unsigned)asleep, all = 0;
    for (unsigned t = 1; t < MODEL_THREADS; t++)
        all |= threads[t].state == READY || threads[t].state == ASLEEP ? 1u << t : 0;
    if (enabled == 0 && all != 0)
        model_violation("deadlock: threads 0x%x wait for ever", all);
    if (free == 0) {
        outcome = all == 0 ? AT_END : LIKE_OTHERS;
        return false;
    }
    *n = (struct node){.enabled = (uint8_t)enabled, .asleep = asleep, .outcomes = 1, .ran = (uint8_t)model_current};
    if (depth > 0)
        n->preempted = (uint8_t)(n[-1].preempted + preempts(&n[-1], n[-1].chosen));
    n->chosen = (uint8_t)((free >> model_current & 1) != 0 ? model_current : first_of(free));
    n->wanted = model_scene->bound != 0 ? affordable(n) : (uint8_t)(1u << n->chosen);
    fixed = depth + 1;
    return true;
}

/* The thread that takes the next step; 0: the interleaving is over. */
static unsigned decide(void)
{
    struct node *n = &nodes[depth];
    unsigned enabled = 0, t;
    for (t = 1; t < MODEL_THREADS; t++)
        enabled |= possible(t) ? 1u << t : 0;
    if (depth == DEPTH)
        model_violation("no end after %u steps", depth);
    if (depth >= fixed && !extend_path(n, enabled))
        return 0;
    if (n->enabled != enabled)
        model_violation("checker: the same choices led elsewhere");
    t = n->chosen;
    note_step(t, n);
    asleep = model_scene->bound != 0 ? 0 : (uint8_t)((n->asleep | n->done) & ~(1u << t));
    for (unsigned u = 1; u < MODEL_THREADS; u++)
        if ((asleep >> u & 1) != 0 && dependent(&threads[u].next, &n->op))
            asleep &= (uint8_t)~(1u << u);
    depth++;
    return t;
}

static void go_on(void)
{
    unsigned from = model_current, t = decide();
    if (t == 0)
        leave();
    if (t == from)
        return;
    become(t);
    swapcontext(&threads[from].context, &threads[t].context);
}

void model_stop(enum model_kind kind, uintptr_t word)
{
    struct thread *self = &threads[model_current];
    self->next = (struct model_op){kind, word};
    if (starting)
        swapcontext(&self->context, &main_context);
    else
        go_on();
}

unsigned model_choose(unsigned n)
{
    struct node *last = &nodes[depth - 1];
    if (n > UINT16_MAX || last->outcome >= n)
        model_violation("checker: %u outcomes of one step", n);
    last->outcomes = (uint16_t)n;
    return last->outcome;
}

void model_sleep(uintptr_t word)
{
    struct thread *self = &threads[model_current];
    self->state = ASLEEP;
    self->next = (struct model_op){MODEL_RESUME, word};
    go_on();
}

void model_wake_one(uintptr_t word)
{
    unsigned waiting[MODEL_THREADS], n = 0, t;
    for (t = 1; t < MODEL_THREADS; t++)
        if (threads[t].state == ASLEEP && threads[t].next.word == word)
            waiting[n++] = t;
    if (n == 0)
        return;
    t = waiting[model_choose(n)];
    threads[t].state = READY;
    join(threads[t].past, threads[model_current].past);
}

void model_fork(void)
{
    model_stop(MODEL_CHILD, 0);
    model_drop_late();
    model_know_all();
    model_forker = 0;
    for (unsigned t = 1; t < MODEL_THREADS; t++)
        if (t != model_current && threads[t].state != NONE)
            threads[t].state = GONE;
}

/* --- An interleaving --- */

static void run_body(void)
{
    model_scene->body[model_current - 1]();
    threads[model_current].state = ENDED;
    if (starting) /* without a single step */
        setcontext(&main_context);
    go_on();
}

static void enter(unsigned t, void (*function)(void))
{
    getcontext(&threads[t].context);
    threads[t].context.uc_stack.ss_sp = threads[t].stack;
    threads[t].context.uc_stack.ss_size = STACK;
    threads[t].context.uc_link = &main_context;
    makecontext(&threads[t].context, function, 0);
}

/* Runs function as thread 0, memory being just memory. False: a violation. */
static bool alone(void (*function)(void))
{
    become(0);
    outcome = GOING;
    if (function != NULL) {
        enter(0, function);
        swapcontext(&main_context, &threads[0].context);
    }
    return outcome != WRONG;
}

void model_as(unsigned t, void (*what)(void))
{
    unsigned before = model_current;
    become(t);
    what();
    become(before);
}

unsigned model_self(void) { return model_current; }

/* Each thread runs to its first step, then as decided. */
static void interleave(void)
{
    unsigned t;
    depth = 0;
    asleep = 0;
    model_forker = (model_scene->flags & MODEL_FORK) != 0;
    model_memory_begin();
    outcome = GOING;
    model_concurrent = starting = true;
    for (t = 1; t < MODEL_THREADS && outcome == GOING; t++) {
        memset(threads[t].past, 0, sizeof threads[t].past);
        threads[t].state = model_scene->body[t - 1] != NULL ? READY : NONE;
        if (threads[t].state == NONE)
            continue;
        become(t);
        enter(t, run_body);
        swapcontext(&main_context, &threads[t].context);
    }
    starting = false;
    if (outcome == GOING && (t = decide()) != 0) {
        become(t);
        swapcontext(&main_context, &threads[t].context);
    }
    model_concurrent = false;
    result->steps += depth;
}

/* Changes the last choice that has an alternative. False: there is none. */
static bool next_path(void)
{
    for (; fixed > 0; fixed--) {
        struct node *n = &nodes[fixed - 1];
        unsigned left;
        if (n->outcome + 1 < n->outcomes) {
            n->outcome++;
            return true;
        }
        n->done |= (uint8_t)(1u << n->chosen);
        left = n->wanted & ~(unsigned)n->done & ~(unsigned)n->asleep;
        if (left != 0) {
            n->chosen = (uint8_t)first_of(left);
            n->outcome = 0;
            n->outcomes = 1;
            return true;
        }
    }
    return false;
}

static void explore(unsigned long most)
{
    size_t mark = model_log_mark();
    become(0);
    memcpy(threads[0].own, own_begin, own_size());
    for (unsigned t = 0; t < MODEL_THREADS; t++)
        memcpy(threads[t].own_first, threads[t].own, own_size());
    do {
        become(0);
        for (unsigned t = 0; t < MODEL_THREADS; t++)
            memcpy(threads[t].own, threads[t].own_first, own_size());
        memcpy(own_begin, threads[0].own, own_size());
        interleave();
        if (outcome == AT_END) {
            result->runs++;
            alone(model_scene->judge);
        } else {
            result->pruned += outcome == LIKE_OTHERS;
        }
        result->violated = outcome == WRONG;
        model_log_undo(mark);
        if (result->violated)
            return;
        result->complete = !next_path();
    } while (!result->complete && result->runs + result->pruned < most);
}

static void crashed(int number, siginfo_t *info, void *context)
{
    (void)context;
    snprintf(result->what, sizeof result->what, "signal %d at address %p", number, info->si_addr);
    outcome = WRONG;
    leave();
}

static void catch_signals(void)
{
    static char stack[65536];
    stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = crashed;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigaltstack(&other, NULL);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGFPE, &action, NULL);
}

static void *obtain(size_t size)
{
    void *p = malloc(size);
    if (p == NULL)
        abort();
    return p;
}

static void prepare(void)
{
    if (own_at_start == NULL)
        own_at_start = memcpy(obtain(own_size()), own_begin, own_size());
    for (unsigned t = 0; t < MODEL_THREADS && threads[t].stack == NULL; t++) {
        threads[t].stack = obtain(STACK);
        threads[t].own = obtain(own_size());
        threads[t].own_first = obtain(own_size());
    }
}

bool model_explore(const struct model_scenario *scenario, unsigned long most, struct model_result *r)
{
    size_t mark = model_log_mark();
    unsigned t;
    prepare();
    catch_signals();
    memset(r, 0, sizeof *r);
    result = r;
    model_scene = scenario;
    model_os_begin();
    become(0);
    for (t = 0; t < MODEL_THREADS; t++)
        memcpy(threads[t].own, own_at_start, own_size());
    memcpy(own_begin, own_at_start, own_size());
    fixed = 0;
    memset(nodes, 0, sizeof nodes[0]);
    if (alone(scenario->setup))
        explore(most);
    r->violated = outcome == WRONG;
    become(0);
    model_log_undo(mark);
    model_os_begin();
    return !r->violated;
}
