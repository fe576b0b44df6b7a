/*
 * trace_order.c: the calls of all threads in one order, by epoch, and by the
 * objects within an epoch; and the objects that live at each point of it.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bench.h"
#include "trace_file.h"

#include <stdlib.h>
#include <string.h>

/* --- the table of live objects: open addressing, at most half full ------ */

static uint64_t object_key(size_t thread, uint64_t number)
{
    return (uint64_t)(thread + 1) << TRACE_NUMBER_BITS | number;
}

static size_t home_of(const struct trace_order *order, uint64_t key)
{
    return (size_t)((key * UINT64_C(0x9E3779B97F4A7C15)) >> 20) & (order->table_size - 1);
}

/* Where the key is, or the empty place where it belongs. */
static struct trace_live *place_of(const struct trace_order *order, uint64_t key)
{
    size_t at = home_of(order, key);

    while (order->table[at].key != 0 && order->table[at].key != key) {
        at = (at + 1) & (order->table_size - 1);
    }
    return &order->table[at];
}

static void table_grow(struct trace_order *order)
{
    struct trace_live *old = order->table;
    size_t old_size = order->table_size;

    order->table_size = old_size == 0 ? 1024 : 2 * old_size;
    order->table = must_alloc(order->table_size, sizeof(*order->table));
    for (size_t i = 0; i < old_size; i++) {
        if (old[i].key != 0) {
            *place_of(order, old[i].key) = old[i];
        }
    }
    free(old);
}

static struct trace_live *table_add(struct trace_order *order, uint64_t key)
{
    if (2 * (order->live + 1) > order->table_size) {
        table_grow(order);
    }
    struct trace_live *place = place_of(order, key);
    if (place->key == 0) {
        order->live++;
    } else {
        order->live_bytes -= place->size; /* a damaged trace made it twice */
    }
    *place = (struct trace_live){.key = key};
    return place;
}

static void table_remove(struct trace_order *order, struct trace_live *place)
{
    size_t mask = order->table_size - 1;
    size_t hole = (size_t)(place - order->table);

    order->live--;
    for (size_t at = (hole + 1) & mask; order->table[at].key != 0; at = (at + 1) & mask) {
        size_t home = home_of(order, order->table[at].key);
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            order->table[hole] = order->table[at];
            hole = at;
        }
    }
    order->table[hole].key = 0;
}

/* --- the threads, in a heap by epoch ------------------------------------ */

static bool before(const struct trace_order *order, size_t a, size_t b)
{
    uint64_t epoch_a = order->threads[a].cursor.epoch, epoch_b = order->threads[b].cursor.epoch;

    return epoch_a != epoch_b ? epoch_a < epoch_b : a < b;
}

static void heap_set(struct trace_order *order, size_t at, size_t thread)
{
    order->heap[at] = thread;
    order->threads[thread].heap_at = at;
}

static void heap_up(struct trace_order *order, size_t at)
{
    size_t thread = order->heap[at];

    while (at > 0 && before(order, thread, order->heap[(at - 1) / 2])) {
        heap_set(order, at, order->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_set(order, at, thread);
}

static void heap_down(struct trace_order *order, size_t at)
{
    size_t thread = order->heap[at];

    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= order->heap_count) {
            break;
        }
        if (child + 1 < order->heap_count && before(order, order->heap[child + 1], order->heap[child])) {
            child++;
        }
        if (!before(order, order->heap[child], thread)) {
            break;
        }
        heap_set(order, at, order->heap[child]);
        at = child;
    }
    heap_set(order, at, thread);
}

static void heap_remove(struct trace_order *order, size_t at)
{
    size_t last = order->heap[--order->heap_count];

    if (at < order->heap_count) {
        heap_set(order, at, last);
        heap_up(order, at);
        heap_down(order, order->threads[last].heap_at);
    }
}

/* --- reading ------------------------------------------------------------- */

static void enter_span(struct trace_thread *thread, const struct trace_span *span)
{
    struct trace_cursor *cursor = &thread->cursor;
    const struct trace_chunk *chunk = &span->chunk;

    cursor->at = span->payload;
    cursor->end = span->payload + span->length;
    /* Further than the end of the chunk before: one between them is missing. */
    cursor->produced = chunk->produced > cursor->produced ? chunk->produced : cursor->produced;
    cursor->epoch = chunk->epoch > cursor->epoch ? chunk->epoch : cursor->epoch;
    cursor->micros = chunk->micros > cursor->micros ? chunk->micros : cursor->micros;
}

/* Reads the thread's next call. */
static void advance(struct trace_order *order, struct trace_thread *thread)
{
    for (;;) {
        thread->made = thread->cursor.produced;
        switch (trace_get(&thread->cursor, &thread->next)) {
        case TRACE_GOT:
            if (thread->next.kind < TRACE_CALLS) {
                thread->more = true;
                return;
            }
            break;
        case TRACE_BAD:
            order->broken++; /* fall through */
        case TRACE_CUT_OFF:
        case TRACE_NO_MORE:
        default:
            if (thread->span == thread->span_end) {
                thread->more = false;
                return;
            }
            enter_span(thread, &order->file->spans[thread->span++]);
            break;
        }
    }
}

void trace_order_begin(struct trace_order *order, const struct trace_file *file)
{
    *order = (struct trace_order){.file = file, .thread_count = file->thread_count};
    order->threads = must_alloc(file->thread_count + 1, sizeof(*order->threads));
    order->heap = must_alloc(file->thread_count + 1, sizeof(*order->heap));
    table_grow(order);
    size_t index = 0;
    for (size_t i = 0; i < file->span_count; index++) {
        struct trace_thread *thread = &order->threads[index];
        thread->id = file->spans[i].chunk.thread;
        thread->span = i;
        while (i < file->span_count && file->spans[i].chunk.thread == thread->id) {
            i++;
        }
        thread->span_end = i;
        advance(order, thread);
        if (thread->more) {
            heap_set(order, order->heap_count, index);
            heap_up(order, order->heap_count++);
        }
    }
}

void trace_order_end(struct trace_order *order)
{
    free(order->threads);
    free(order->heap);
    free(order->table);
    *order = (struct trace_order){0};
}

/* The index of a thread by its number, or thread_count. */
static size_t find_thread(const struct trace_order *order, uint32_t id)
{
    size_t low = 0, high = order->thread_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (order->threads[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < order->thread_count && order->threads[low].id == id ? low : order->thread_count;
}

/* Who made the object that the thread's next call is given; thread_count: nobody we know. */
static size_t maker_of(const struct trace_order *order, size_t thread)
{
    const struct trace_record *next = &order->threads[thread].next;

    if ((trace_shape[next->kind] & TRACE_HAS_OBJECT) == 0) {
        return order->thread_count;
    }
    return next->object == TRACE_OWN       ? thread
           : next->object == TRACE_FOREIGN ? find_thread(order, next->thread)
                                           : order->thread_count;
}

/*
 * From the thread of the lowest epoch to the one whose call must come before
 * its own: who has still to make, in that epoch, the object it was given.  If
 * patient, also who has made it and may in that epoch still have used it.
 * thread_count: they wait in a circle.
 */
static size_t choose_by(const struct trace_order *order, bool patient)
{
    size_t chosen = order->heap[0];
    size_t most = patient && order->thread_count > 8 ? 8 : order->thread_count;

    for (size_t steps = 0; steps < most; steps++) {
        const struct trace_thread *thread = &order->threads[chosen];
        size_t maker = maker_of(order, chosen);
        if (maker == order->thread_count || maker == chosen) {
            return chosen;
        }
        const struct trace_thread *other = &order->threads[maker];
        if (!other->more || other->cursor.epoch > thread->cursor.epoch ||
            (!patient && other->made > thread->next.number)) {
            return chosen;
        }
        chosen = maker;
    }
    return order->thread_count;
}

static size_t choose(const struct trace_order *order)
{
    size_t chosen = choose_by(order, true);

    chosen = chosen < order->thread_count ? chosen : choose_by(order, false);
    return chosen < order->thread_count ? chosen : order->heap[0]; /* a damaged trace */
}

static void take_object(struct trace_order *order, struct trace_event *event)
{
    const struct trace_record *record = &event->record;
    size_t maker = maker_of(order, event->thread);

    if ((trace_shape[record->kind] & TRACE_HAS_OBJECT) == 0 || record->object == TRACE_NULL) {
        return;
    }
    struct trace_live *found =
        maker < order->thread_count ? place_of(order, object_key(maker, record->number)) : NULL;
    if (found == NULL || found->key == 0) {
        order->unknown++;
        return;
    }
    event->known = true;
    event->object = *found;
    found->last_thread = (uint32_t)event->thread;
    found->last_call = event->thread_call;
    if ((trace_shape[record->kind] & TRACE_TAKES) == 0 || record->failed) {
        event->held = found;
        return;
    }
    event->taken = true;
    order->live_bytes -= found->size;
    table_remove(order, found);
}

static void make_object(struct trace_order *order, struct trace_event *event, uint64_t number)
{
    struct trace_live *made = table_add(order, object_key(event->thread, number));

    made->size = event->bytes;
    made->thread = made->last_thread = (uint32_t)event->thread;
    made->last_call = event->thread_call;
    made->birth_call = event->call;
    made->birth_bytes = order->total_bytes;
    made->birth_micros = order->micros;
    event->made = made;
    order->live_bytes += event->bytes;
    order->total_bytes += event->bytes;
    if (order->live_bytes > order->peak_bytes) {
        order->peak_bytes = order->live_bytes;
        order->peak_call = event->call + 1;
    }
    order->peak_live = order->live > order->peak_live ? order->live : order->peak_live;
}

bool trace_order_next(struct trace_order *order, struct trace_event *event)
{
    if (order->heap_count == 0) {
        return false;
    }
    size_t chosen = choose(order);
    struct trace_thread *thread = &order->threads[chosen];
    *event = (struct trace_event){
        .thread = chosen, .record = thread->next, .call = order->calls++, .thread_call = thread->calls};
    uint8_t shape = trace_shape[thread->next.kind];
    if (shape & TRACE_MAKES) {
        uint64_t count = shape & TRACE_HAS_COUNT ? thread->next.count : 1;
        if (__builtin_mul_overflow(count, thread->next.size, &event->bytes)) {
            event->bytes = UINT64_MAX;
        }
    }
    order->micros = thread->cursor.micros > order->micros ? thread->cursor.micros : order->micros;
    take_object(order, event);
    if (trace_makes(&thread->next)) {
        make_object(order, event, thread->made);
    }
    thread->calls++;
    advance(order, thread);
    if (thread->more) {
        heap_down(order, thread->heap_at);
    } else {
        heap_remove(order, thread->heap_at);
    }
    return true;
}
