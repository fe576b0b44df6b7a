/*
 * replay_plan.c: makes a plan of a trace.
 *
 * Objects become slots, as few as ever live at a time and some more: a slot is
 * used again at once by the thread that emptied it, and by others only after
 * the next mark, so that sharing slots orders nothing.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bench.h"
#include "replay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MARKS = 200, MARK_CALLS_MIN = 1000 };

struct slot_list {
    uint32_t *items;
    size_t count, room;
};

struct stream {
    uint8_t *buffer, *at;           /* NULL: nothing to be written out */
    uint32_t first, last;           /* chunks */
    uint64_t first_call, last_call; /* in the order of all */
    bool born, ended, joined;
    struct slot_list free_slots;
};

struct planner {
    int fd;
    struct stream *streams;
    size_t stream_count;
    struct plan_chunk *chunks;
    size_t chunk_count, chunk_room;
    uint64_t offset;
    uint32_t *expected; /* threads that meet at each mark */
    size_t mark_count, mark_room;
    struct slot_list old_slots;
    uint32_t slots;
    size_t ended_threads; /* and not joined */
    struct plan_counts counts;
    int error;
};

static void *grown(void *old, size_t count, size_t *room, size_t size)
{
    if (count < *room) {
        return old;
    }
    size_t more = *room == 0 ? 64 : 2 * *room;
    void *items = must_alloc(more, size);
    if (count > 0) {
        memcpy(items, old, count * size);
    }
    free(old);
    *room = more;
    return items;
}

static void push_slot(struct slot_list *list, uint32_t slot)
{
    list->items = grown(list->items, list->count, &list->room, sizeof(slot));
    list->items[list->count++] = slot;
}

static uint32_t take_slot(struct planner *planner, struct stream *stream)
{
    if (stream->free_slots.count > 0) {
        return stream->free_slots.items[--stream->free_slots.count];
    }
    if (planner->old_slots.count > 0) {
        return planner->old_slots.items[--planner->old_slots.count];
    }
    return planner->slots++;
}

/* --- writing ---------------------------------------------------------------- */

static void write_at(struct planner *planner, const void *bytes, size_t length, uint64_t offset)
{
    const char *at = bytes;

    while (length > 0 && planner->error == 0) {
        ssize_t written = pwrite(planner->fd, at, length, (off_t)offset);
        if (written < 0 && errno != EINTR) {
            planner->error = errno;
        } else if (written > 0) {
            at += written;
            offset += (uint64_t)written;
            length -= (size_t)written;
        }
    }
}

static void flush_stream(struct planner *planner, struct stream *stream)
{
    size_t length = stream->buffer == NULL ? 0 : (size_t)(stream->at - stream->buffer);

    if (length == 0) {
        return;
    }
    planner->chunks =
        grown(planner->chunks, planner->chunk_count, &planner->chunk_room, sizeof(*planner->chunks));
    uint32_t number = (uint32_t)planner->chunk_count++;
    planner->chunks[number] =
        (struct plan_chunk){.offset = planner->offset, .length = (uint32_t)length, .next = PLAN_NO_CHUNK};
    if (stream->first == PLAN_NO_CHUNK) {
        stream->first = number;
    } else {
        planner->chunks[stream->last].next = number;
    }
    stream->last = number;
    write_at(planner, stream->buffer, length, planner->offset);
    planner->offset += length;
    stream->at = stream->buffer;
}

/* Begins a step: room for the whole of it. */
static uint8_t *step(struct planner *planner, struct stream *stream, unsigned code)
{
    if (stream->buffer == NULL) {
        stream->buffer = stream->at = must_alloc(PLAN_CHUNK, 1);
    }
    if (stream->at + PLAN_STEP_MAX > stream->buffer + PLAN_CHUNK) {
        flush_stream(planner, stream);
    }
    *stream->at++ = (uint8_t)code;
    return stream->at;
}

static void put_step(struct planner *planner, struct stream *stream, unsigned code, uint64_t first,
                     const uint64_t *second)
{
    uint8_t *at = trace_put_number(step(planner, stream, code), first);

    stream->at = second == NULL ? at : trace_put_number(at, *second);
}

/* --- threads and marks -------------------------------------------------------- */

static void end_stream(struct planner *planner, struct stream *stream)
{
    stream->ended = true;
    planner->ended_threads++;
    flush_stream(planner, stream);
    free(stream->buffer);
    stream->buffer = stream->at = NULL;
}

/* Main waits for the threads that have ended by now. */
static void join_ended(struct planner *planner)
{
    for (size_t i = 1; i < planner->stream_count && planner->ended_threads > 0; i++) {
        struct stream *other = &planner->streams[i];
        if (other->ended && !other->joined) {
            put_step(planner, &planner->streams[0], PLAN_JOIN, i, NULL);
            other->joined = true;
            planner->ended_threads--;
        }
    }
}

/* Main begins each thread, once those are gone that had ended by then. */
static void bear_stream(struct planner *planner, size_t thread)
{
    join_ended(planner);
    planner->streams[thread].born = true;
    put_step(planner, &planner->streams[0], PLAN_SPAWN, thread, NULL);
}

/* Behind it all have made their calls up to here: those who have ended, too. */
static void put_mark(struct planner *planner)
{
    uint32_t meeting = 0;

    join_ended(planner);
    for (size_t i = 0; i < planner->stream_count; i++) {
        struct stream *stream = &planner->streams[i];
        if (i == 0 || (stream->born && !stream->ended)) {
            put_step(planner, stream, PLAN_MARK, planner->mark_count, NULL);
            meeting++;
        }
        while (stream->free_slots.count > 0) {
            push_slot(&planner->old_slots, stream->free_slots.items[--stream->free_slots.count]);
        }
    }
    planner->expected =
        grown(planner->expected, planner->mark_count, &planner->mark_room, sizeof(*planner->expected));
    planner->expected[planner->mark_count++] = meeting;
}

/* --- calls -------------------------------------------------------------------- */

static void plan_call(struct planner *planner, struct trace_event *event)
{
    struct stream *stream = &planner->streams[event->thread];
    const struct trace_record *record = &event->record;
    uint8_t shape = trace_shape[record->kind];

    if (event->known && event->object.last_thread != event->thread) {
        put_step(planner, stream, PLAN_WAIT, event->object.last_thread, &event->object.last_call);
    }
    unsigned code = record->kind;
    code |= (shape & TRACE_HAS_OBJECT) && !event->known ? PLAN_NULL : 0;
    code |= (shape & TRACE_MAKES) && event->made == NULL ? PLAN_FAILED : 0;
    code |= event->held != NULL && (shape & TRACE_TAKES) ? PLAN_HELD : 0;
    uint8_t *at = step(planner, stream, code);
    if (event->known) {
        at = trace_put_number(trace_put_number(at, event->object.slot), event->object.size);
    }
    if (event->taken) {
        push_slot(&stream->free_slots, event->object.slot);
    }
    at = shape & TRACE_HAS_ALIGN ? trace_put_number(at, record->align) : at;
    at = shape & TRACE_HAS_COUNT ? trace_put_number(at, record->count) : at;
    at = shape & TRACE_HAS_SIZE ? trace_put_number(at, record->size) : at;
    if (event->made != NULL) {
        event->made->slot = take_slot(planner, stream);
        at = trace_put_number(at, event->made->slot);
    }
    stream->at = at;
    planner->counts.calls[record->kind]++;
}

/* First pass: when each thread begins and ends, and when most is live. */
static void survey(struct planner *planner, const struct trace_file *file, struct trace_order *totals)
{
    struct trace_event event;

    trace_order_begin(totals, file);
    while (trace_order_next(totals, &event)) {
        struct stream *stream = &planner->streams[event.thread];
        stream->first_call = event.thread_call == 0 ? event.call : stream->first_call;
        stream->last_call = event.call;
    }
}

/* Second pass. */
static void plan_calls(struct planner *planner, const struct trace_file *file,
                       const struct trace_order *totals)
{
    struct trace_order order;
    struct trace_event event;
    uint64_t every = totals->calls / MARKS > MARK_CALLS_MIN ? totals->calls / MARKS : MARK_CALLS_MIN;

    planner->streams[0].born = true;
    trace_order_begin(&order, file);
    while (trace_order_next(&order, &event) && planner->error == 0) {
        struct stream *stream = &planner->streams[event.thread];
        if (!stream->born) {
            bear_stream(planner, event.thread);
        }
        plan_call(planner, &event);
        if (order.calls % every == 0 || order.calls == totals->peak_call) {
            put_mark(planner);
        }
        if (event.call == stream->last_call && event.thread != 0) {
            end_stream(planner, stream);
        }
    }
    put_mark(planner);
    planner->counts.peak = order.peak_bytes;
    planner->counts.final = order.live_bytes;
    join_ended(planner);
    end_stream(planner, &planner->streams[0]);
    trace_order_end(&order);
}

static void write_tables(struct planner *planner, enum touch touch)
{
    size_t expected = planner->mark_count * sizeof(uint32_t);
    size_t first = planner->stream_count * sizeof(uint32_t);
    uint32_t *firsts = must_alloc(planner->stream_count, sizeof(*firsts));
    const struct plan_head head = {.threads = planner->stream_count,
                                   .marks = planner->mark_count,
                                   .slots = planner->slots,
                                   .chunks = planner->chunk_count,
                                   .tables = planner->offset,
                                   .touch = touch,
                                   .wanted = planner->counts};

    for (size_t i = 0; i < planner->stream_count; i++) {
        firsts[i] = planner->streams[i].first;
    }
    write_at(planner, planner->expected, expected, head.tables);
    write_at(planner, firsts, first, head.tables + expected);
    write_at(planner, planner->chunks, planner->chunk_count * sizeof(*planner->chunks),
             head.tables + expected + first);
    write_at(planner, &head, sizeof(head), 0);
    free(firsts);
}

const char *plan_write(int fd, const struct trace_file *file, enum touch touch)
{
    struct planner planner = {
        .fd = fd, .stream_count = file->thread_count, .offset = sizeof(struct plan_head)};
    struct trace_order totals;

    planner.streams = must_alloc(file->thread_count + 1, sizeof(*planner.streams));
    for (size_t i = 0; i < planner.stream_count; i++) {
        planner.streams[i].first = PLAN_NO_CHUNK;
    }
    survey(&planner, file, &totals);
    const char *wrong = totals.calls == 0 ? "there is no call in it" : NULL;
    if (wrong == NULL) {
        plan_calls(&planner, file, &totals);
        write_tables(&planner, touch);
        wrong = planner.error != 0 ? strerror(planner.error) : NULL;
    }
    trace_order_end(&totals);
    for (size_t i = 0; i < planner.stream_count; i++) {
        free(planner.streams[i].buffer);
        free(planner.streams[i].free_slots.items);
    }
    free(planner.streams);
    free(planner.chunks);
    free(planner.expected);
    free(planner.old_slots.items);
    return wrong;
}
