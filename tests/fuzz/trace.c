/*
 * trace.c: the traces of slaballoc-bench, whatever is in them.
 *
 * SPDX-License-Identifier: MIT
 */
#include "parsers.h"

#include "../../bench/replay.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EVENTS_MOST 100000

/* Headers and checksums are made right, so that what is behind them is looked at too. */
static void mend(uint8_t *bytes, size_t size)
{
    struct trace_head head = {.finished = true, .process = 1, .header_size = TRACE_HEADER, .command = ""};
    if (size < TRACE_HEADER)
        return;
    trace_put_head(bytes, &head);
    for (size_t at = TRACE_HEADER; at + TRACE_CHUNK_HEADER <= size;) {
        struct trace_chunk chunk;
        size_t left = size - at - TRACE_CHUNK_HEADER, length;
        uint8_t fields[TRACE_CHUNK_HEADER];
        memcpy(fields, bytes + at, sizeof(fields));
        chunk = (struct trace_chunk){.thread = fields[0] % 4, .sequence = fields[1] % 8, .produced = fields[2],
                                     .epoch = fields[3], .micros = fields[4]};
        chunk.capacity = fields[5] + 256u * (fields[6] % 4);
        chunk.length = fields[7] % 8 == 0 ? TRACE_OPEN : fields[7] % 8 == 1 ? chunk.capacity / 2 : chunk.capacity;
        length = chunk.length == TRACE_OPEN ? chunk.capacity : chunk.length;
        length = length < left ? length : left;
        chunk.sum = fields[8] % 16 == 0 ? 1 : trace_sum(bytes + at + TRACE_CHUNK_HEADER, length);
        trace_put_chunk(bytes + at, &chunk);
        at += TRACE_CHUNK_HEADER + (chunk.capacity < left ? chunk.capacity : left) + (fields[9] % 8 == 0);
    }
}

/* Every span lies in the bytes, its records too. */
static void check_spans(const struct trace_file *file)
{
    for (size_t i = 0; i < file->span_count; i++) {
        const struct trace_span *span = &file->spans[i];
        struct trace_cursor cursor = {
            .at = span->payload, .end = span->payload + span->length, .produced = span->chunk.produced};
        struct trace_record record;
        PARSERS_REQUIRE(span->payload >= file->bytes && span->length <= file->size);
        PARSERS_REQUIRE(span->payload + span->length <= file->bytes + file->size);
        for (const uint8_t *before = cursor.at; trace_get(&cursor, &record) == TRACE_GOT; before = cursor.at) {
            PARSERS_REQUIRE(cursor.at > before && cursor.at <= cursor.end && cursor.at - before <= TRACE_RECORD_MAX);
            PARSERS_REQUIRE(record.kind > TRACE_END && record.kind < TRACE_KINDS);
        }
    }
}

static void check_order(const struct trace_file *file)
{
    struct trace_order order;
    struct trace_event event;
    size_t events = 0;
    trace_order_begin(&order, file);
    while (events++ < EVENTS_MOST && trace_order_next(&order, &event)) {
        PARSERS_REQUIRE(event.thread < order.thread_count && event.record.kind < TRACE_KINDS);
        PARSERS_REQUIRE(order.live <= order.calls && order.peak_live <= order.calls);
    }
    trace_order_end(&order);
}

static void check_plan(const struct trace_file *file)
{
    static int fd = -1;
    if (fd < 0)
        fd = memfd_create("plan", MFD_CLOEXEC);
    PARSERS_REQUIRE(fd >= 0 && ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
    (void)plan_write(fd, file, TOUCH_PAGES); /* what is wrong is a message, not a fault */
}

void fuzz_trace(const uint8_t *bytes, size_t size)
{
    unsigned how = size > 0 ? bytes[0] : 0;
    size_t pad = how & 1 ? TRACE_HEADER : 0; /* so that an input can be small */
    uint8_t *copy = calloc(pad + size + 1, 1);
    struct trace_file file;
    const char *wrong;
    PARSERS_REQUIRE(copy != NULL);
    if (size > 0)
        memcpy(copy + pad, bytes, size);
    if (how & 1)
        mend(copy, pad + size);
    wrong = trace_parse(&file, copy, pad + size);
    if (wrong == NULL) {
        PARSERS_REQUIRE(file.thread_count <= file.span_count);
        check_spans(&file);
        check_order(&file);
        if (how & 2)
            check_plan(&file);
    } else {
        PARSERS_REQUIRE(!(how & 1) || wrong[0] != '\0');
    }
    trace_close(&file);
    free(copy);
}
