/*
 * trace.c: headers, checksums, and reading records.  Nothing here allocates:
 * the recorder, which is inside malloc, uses it too.
 *
 * SPDX-License-Identifier: MIT
 */
#include "trace.h"

#include <string.h>

const char *const trace_kind_name[TRACE_CALLS] = {
    [TRACE_END] = "",
    [TRACE_MALLOC] = "malloc",
    [TRACE_CALLOC] = "calloc",
    [TRACE_REALLOC] = "realloc",
    [TRACE_REALLOCARRAY] = "reallocarray",
    [TRACE_ALIGNED_ALLOC] = "aligned_alloc",
    [TRACE_POSIX_MEMALIGN] = "posix_memalign",
    [TRACE_MEMALIGN] = "memalign",
    [TRACE_VALLOC] = "valloc",
    [TRACE_PVALLOC] = "pvalloc",
    [TRACE_FREE] = "free",
    [TRACE_FREE_SIZED] = "free_sized",
    [TRACE_FREE_ALIGNED_SIZED] = "free_aligned_sized",
    [TRACE_USABLE_SIZE] = "malloc_usable_size",
};

/* Little-endian on every machine. */
static uint64_t get_word(const uint8_t *at, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = bytes; i > 0; i--) {
        value = value << 8 | at[i - 1];
    }
    return value;
}

static void put_word(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

uint64_t trace_sum(const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    uint64_t sum = length;

    /* Each step is one-to-one in the word, so a change of one word is always seen. */
    for (; length >= 8; length -= 8, at += 8) {
        sum = (sum ^ get_word(at, 8)) * UINT64_C(0x9E3779B97F4A7C15);
        sum ^= sum >> 32;
    }
    if (length > 0) {
        sum = (sum ^ get_word(at, (unsigned)length)) * UINT64_C(0x9E3779B97F4A7C15);
        sum ^= sum >> 32;
    }
    return sum;
}

void trace_put_chunk(uint8_t *at, const struct trace_chunk *chunk)
{
    memcpy(at, TRACE_CHUNK_MAGIC, 8);
    put_word(at + 8, chunk->thread, 4);
    put_word(at + 12, chunk->sequence, 4);
    put_word(at + 16, chunk->capacity, 4);
    put_word(at + 20, chunk->length, 4);
    put_word(at + 24, chunk->produced, 8);
    put_word(at + 32, chunk->epoch, 8);
    put_word(at + 40, chunk->micros, 8);
    put_word(at + 48, chunk->sum, 8);
    put_word(at + 56, trace_sum(at, 56), 8);
}

bool trace_get_chunk(const uint8_t *at, struct trace_chunk *chunk)
{
    if (memcmp(at, TRACE_CHUNK_MAGIC, 8) != 0 || get_word(at + 56, 8) != trace_sum(at, 56)) {
        return false;
    }
    chunk->thread = (uint32_t)get_word(at + 8, 4);
    chunk->sequence = (uint32_t)get_word(at + 12, 4);
    chunk->capacity = (uint32_t)get_word(at + 16, 4);
    chunk->length = (uint32_t)get_word(at + 20, 4);
    chunk->produced = get_word(at + 24, 8);
    chunk->epoch = get_word(at + 32, 8);
    chunk->micros = get_word(at + 40, 8);
    chunk->sum = get_word(at + 48, 8);
    return chunk->thread < TRACE_THREADS_MAX && chunk->produced < (uint64_t)1 << TRACE_NUMBER_BITS &&
           (chunk->length == TRACE_OPEN || chunk->length <= chunk->capacity);
}

enum { HEAD_FIELDS = 48 }; /* bytes before the command; the sum is of all but itself */

void trace_put_head(uint8_t *at, const struct trace_head *head)
{
    size_t length = head->command_length;

    if (length > TRACE_HEADER - HEAD_FIELDS) {
        length = TRACE_HEADER - HEAD_FIELDS;
    }
    memcpy(at, TRACE_MAGIC, 8);
    put_word(at + 8, TRACE_VERSION, 4);
    put_word(at + 12, TRACE_HEADER, 4);
    put_word(at + 16, head->finished, 4);
    put_word(at + 20, head->process, 4);
    put_word(at + 24, head->started, 8);
    put_word(at + 32, length, 8);
    if (length > 0) {
        memcpy(at + HEAD_FIELDS, head->command, length);
    }
    put_word(at + 40, trace_sum(at, 40) ^ trace_sum(at + HEAD_FIELDS, length), 8);
}

const char *trace_get_head(const uint8_t *at, size_t size, struct trace_head *head)
{
    if (size < 8 || memcmp(at, TRACE_MAGIC, 8) != 0) {
        return "not a trace";
    }
    if (size < HEAD_FIELDS) {
        return "the header is cut off";
    }
    if (get_word(at + 8, 4) != TRACE_VERSION) {
        return "a version of the format that this program does not know";
    }
    head->header_size = (uint32_t)get_word(at + 12, 4);
    head->finished = (get_word(at + 16, 4) & 1) != 0;
    head->process = (uint32_t)get_word(at + 20, 4);
    head->started = get_word(at + 24, 8);
    uint64_t length = get_word(at + 32, 8);
    if (head->header_size != TRACE_HEADER || length > TRACE_HEADER - HEAD_FIELDS) {
        return "the header is damaged";
    }
    if (size < TRACE_HEADER) {
        return "the header is cut off";
    }
    if (get_word(at + 40, 8) != (trace_sum(at, 40) ^ trace_sum(at + HEAD_FIELDS, (size_t)length))) {
        return "the header is damaged";
    }
    head->command_length = (uint32_t)length;
    head->command = (const char *)at + HEAD_FIELDS;
    return NULL;
}

static enum trace_result get_number(struct trace_cursor *cursor, uint64_t *value)
{
    uint64_t result = 0;

    for (unsigned shift = 0;; shift += 7) {
        if (cursor->at == cursor->end) {
            return TRACE_CUT_OFF;
        }
        uint8_t byte = *cursor->at++;
        if (shift == 63 && byte > 1) {
            return TRACE_BAD;
        }
        result |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            *value = result;
            return TRACE_GOT;
        }
    }
}

static enum trace_result get_object(struct trace_cursor *cursor, struct trace_record *record)
{
    uint64_t first = 0, second = 0;

    if (record->object != TRACE_OWN && record->object != TRACE_FOREIGN) {
        return TRACE_GOT;
    }
    enum trace_result result = get_number(cursor, &first);
    if (result != TRACE_GOT) {
        return result;
    }
    if (record->object == TRACE_OWN) {
        record->number = cursor->produced - first;
        return first >= 1 && first <= cursor->produced ? TRACE_GOT : TRACE_BAD;
    }
    result = get_number(cursor, &second);
    record->thread = (uint32_t)first;
    record->number = second;
    return result != TRACE_GOT || (first < TRACE_THREADS_MAX && second >> TRACE_NUMBER_BITS == 0) ? result
                                                                                                  : TRACE_BAD;
}

static enum trace_result get_fields(struct trace_cursor *cursor, struct trace_record *record, uint8_t shape)
{
    const struct {
        uint8_t bit;
        uint64_t *field;
    } fields[] = {
        {TRACE_HAS_ALIGN, &record->align}, {TRACE_HAS_COUNT, &record->count}, {TRACE_HAS_SIZE, &record->size},
        {TRACE_HAS_DELTA, &record->delta}, {TRACE_HAS_TIME, &record->micros},
    };
    enum trace_result result = shape & TRACE_HAS_OBJECT ? get_object(cursor, record) : TRACE_GOT;

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]) && result == TRACE_GOT; i++) {
        if (shape & fields[i].bit) {
            result = get_number(cursor, fields[i].field);
        }
    }
    return result;
}

enum trace_result trace_get(struct trace_cursor *cursor, struct trace_record *record)
{
    if (cursor->at == cursor->end || *cursor->at == TRACE_END) {
        return TRACE_NO_MORE;
    }
    uint8_t first = *cursor->at++;
    *record = (struct trace_record){.kind = (enum trace_kind)(first & 31),
                                    .object = (enum trace_which)(first >> 5 & 3),
                                    .failed = first >> 7 != 0};
    if (record->kind == TRACE_END || record->kind >= TRACE_KINDS) {
        return TRACE_BAD;
    }
    enum trace_result result = get_fields(cursor, record, trace_shape[record->kind]);
    if (result != TRACE_GOT) {
        return result;
    }
    if (__builtin_add_overflow(cursor->epoch, record->delta, &cursor->epoch) ||
        __builtin_add_overflow(cursor->micros, record->micros, &cursor->micros)) {
        return TRACE_BAD;
    }
    if (trace_makes(record)) {
        cursor->produced++;
    }
    return cursor->produced >> TRACE_NUMBER_BITS == 0 ? TRACE_GOT : TRACE_BAD;
}
