/*
 * trace_file.c: finds the chunks of a trace, whatever happened to the file.
 *
 * SPDX-License-Identifier: MIT
 */
#include "trace_file.h"
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void add_span(struct trace_file *file, const struct trace_span *span)
{
    if ((file->span_count & (file->span_count - 1)) == 0) {
        size_t room = file->span_count == 0 ? 1 : 2 * file->span_count;
        struct trace_span *spans = must_alloc(room, sizeof(*spans));
        if (file->span_count > 0) {
            memcpy(spans, file->spans, file->span_count * sizeof(*spans));
        }
        free(file->spans);
        file->spans = spans;
    }
    file->spans[file->span_count++] = *span;
}

static void note_damage(struct trace_file *file, size_t offset)
{
    if (file->damaged++ == 0) {
        file->damaged_offset = offset;
    }
}

static bool all_zero(const uint8_t *bytes, size_t length)
{
    return length == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0);
}

/* The offset of the next header of a chunk at or after offset, or the size. */
static size_t next_chunk(const struct trace_file *file, size_t offset)
{
    struct trace_chunk chunk;

    while (file->size - offset >= TRACE_CHUNK_HEADER) {
        const uint8_t *found = memmem(file->bytes + offset, file->size - offset, TRACE_CHUNK_MAGIC,
                                      sizeof(TRACE_CHUNK_MAGIC) - 1);
        if (found == NULL) {
            break;
        }
        offset = (size_t)(found - file->bytes);
        if (file->size - offset >= TRACE_CHUNK_HEADER && trace_get_chunk(found, &chunk)) {
            return offset;
        }
        offset++;
    }
    return file->size;
}

/* Returns the offset behind the chunk at offset. */
static size_t take_chunk(struct trace_file *file, size_t offset)
{
    struct trace_span span = {.payload = file->bytes + offset + TRACE_CHUNK_HEADER};
    size_t left = file->size - offset - TRACE_CHUNK_HEADER;

    trace_get_chunk(file->bytes + offset, &span.chunk);
    if (span.chunk.length == TRACE_OPEN) {
        span.length = span.chunk.capacity < left ? span.chunk.capacity : left;
        file->open_chunks++;
        add_span(file, &span);
    } else if (span.chunk.length > left) {
        /* What is there cannot be checked as a whole, but its records are read one by one. */
        span.length = left;
        file->cut_off = true;
        add_span(file, &span);
    } else if (trace_sum(span.payload, span.chunk.length) != span.chunk.sum) {
        note_damage(file, offset);
    } else {
        span.length = span.chunk.length;
        add_span(file, &span);
    }
    return offset + TRACE_CHUNK_HEADER + (span.chunk.capacity < left ? span.chunk.capacity : left);
}

static void find_spans(struct trace_file *file)
{
    size_t offset = TRACE_HEADER;

    while (offset < file->size) {
        size_t next = next_chunk(file, offset);
        /* Room that was never used is no damage, nor is a last header that is not all there. */
        if (next != offset && !all_zero(file->bytes + offset, next - offset)) {
            if (next == file->size && next - offset < TRACE_CHUNK_HEADER) {
                file->cut_off = true;
            } else {
                note_damage(file, offset);
            }
        }
        offset = next < file->size ? take_chunk(file, next) : next;
    }
}

static int compare_spans(const void *left, const void *right)
{
    const struct trace_chunk *a = &((const struct trace_span *)left)->chunk;
    const struct trace_chunk *b = &((const struct trace_span *)right)->chunk;

    if (a->thread != b->thread) {
        return a->thread < b->thread ? -1 : 1;
    }
    return a->sequence < b->sequence ? -1 : a->sequence > b->sequence;
}

const char *trace_parse(struct trace_file *file, const uint8_t *bytes, size_t size)
{
    *file = (struct trace_file){.bytes = bytes, .size = size};
    const char *wrong = trace_get_head(bytes, size, &file->head);

    if (wrong != NULL) {
        return wrong;
    }
    find_spans(file);
    if (file->span_count > 0) {
        qsort(file->spans, file->span_count, sizeof(*file->spans), compare_spans);
    }
    for (size_t i = 0; i < file->span_count; i++) {
        file->thread_count += i == 0 || file->spans[i].chunk.thread != file->spans[i - 1].chunk.thread;
    }
    return NULL;
}

const char *trace_open(struct trace_file *file, const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const char *wrong = NULL;

    *file = (struct trace_file){0};
    if (fd < 0 || fstat(fd, &status) != 0) {
        wrong = strerror(errno);
    } else if (!S_ISREG(status.st_mode)) {
        wrong = "not a regular file";
    } else if (status.st_size == 0) {
        wrong = "not a trace: it is empty";
    } else {
        size_t size = (size_t)status.st_size;
        void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes == MAP_FAILED) {
            wrong = strerror(errno);
        } else {
            wrong = trace_parse(file, bytes, size);
            file->mapped = true;
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    if (wrong != NULL) {
        trace_close(file);
    }
    return wrong;
}

void trace_close(struct trace_file *file)
{
    free(file->spans);
    if (file->mapped) {
        munmap((void *)(uintptr_t)file->bytes, file->size);
    }
    *file = (struct trace_file){0};
}

bool trace_report(const struct trace_file *file, const char *path)
{
    if (file->damaged > 0) {
        fprintf(stderr, PROGRAM ": %s: damaged in %zu place%s, the first at byte %zu\n", path, file->damaged,
                file->damaged == 1 ? "" : "s", file->damaged_offset);
    }
    if (file->cut_off) {
        fprintf(stderr, PROGRAM ": %s: the end of the file is missing\n", path);
    } else if (!file->head.finished) {
        fprintf(stderr, PROGRAM ": %s: the recording was not finished; up to a moment it is there\n", path);
    }
    return file->damaged == 0;
}

/* The bytes of a span's records, and how many of them are calls. */
static size_t used_length(const struct trace_span *span, uint64_t *calls)
{
    struct trace_cursor cursor = {
        .at = span->payload, .end = span->payload + span->length, .produced = span->chunk.produced};
    struct trace_record record;
    const uint8_t *good = cursor.at;

    while (trace_get(&cursor, &record) == TRACE_GOT) {
        good = cursor.at;
        *calls += record.kind < TRACE_CALLS;
    }
    return (size_t)(good - span->payload);
}

static bool write_finished(const struct trace_file *file, FILE *out, uint64_t *calls)
{
    uint8_t header[TRACE_HEADER] = {0};
    struct trace_head head = file->head;

    head.finished = true;
    trace_put_head(header, &head);
    bool good = fwrite(header, sizeof(header), 1, out) == 1;
    for (size_t i = 0; i < file->span_count && good; i++) {
        const struct trace_span *span = &file->spans[i];
        struct trace_chunk chunk = span->chunk;
        size_t length = used_length(span, calls);

        if (length == 0) {
            continue;
        }
        chunk.length = chunk.capacity = (uint32_t)length;
        chunk.sum = trace_sum(span->payload, length);
        trace_put_chunk(header, &chunk);
        good = fwrite(header, TRACE_CHUNK_HEADER, 1, out) == 1 && fwrite(span->payload, length, 1, out) == 1;
    }
    return good;
}

const char *trace_finish(const char *path, uint64_t *calls, uint64_t *bytes)
{
    static const char suffix[] = ".part";
    struct trace_file file;
    const char *wrong = trace_open(&file, path);

    *calls = *bytes = 0;
    if (wrong != NULL) {
        return wrong;
    }
    char *part = must_alloc(strlen(path) + sizeof(suffix), 1);
    strcat(strcpy(part, path), suffix);
    FILE *out = fopen(part, "we");
    bool good = out != NULL && write_finished(&file, out, calls);
    long end = good ? ftell(out) : -1;
    if (out != NULL && fclose(out) != 0) {
        good = false;
    }
    good = good && end >= 0 && rename(part, path) == 0;
    wrong = good ? NULL : strerror(errno);
    if (!good && out != NULL) {
        unlink(part);
    }
    *bytes = good ? (uint64_t)end : 0;
    trace_close(&file);
    free(part);
    return wrong;
}
