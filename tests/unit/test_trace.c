/*
 * test_trace.c: the traces of slaballoc-bench: what is written is read, whole
 * or in part, in an order that could have been; what is damaged is refused.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include "../../bench/replay.h"

#include <unistd.h>

enum { THREADS = 3, CHUNK = 8192, LIVE_MAX = 20000 };

/* --- a trace of random calls, and what is expected of it -------------------- */

struct expected {
    struct trace_record record;
    uint32_t thread;
    uint64_t epoch;
};

struct live {
    uint32_t thread;
    uint64_t number;
};

struct model {
    struct support_rng rng;
    uint8_t *bytes; /* the file */
    size_t size, room;
    struct {
        uint8_t buffer[CHUNK], *at;
        struct trace_chunk header;
        uint64_t produced, epoch, micros;
        size_t calls;
    } threads[THREADS];
    uint64_t epoch;
    struct live live[LIVE_MAX + 1000]; /* realloc(NULL) makes one more */
    size_t live_count;
    struct expected *expected;
    size_t count;
    uint64_t calls[TRACE_CALLS];
};

static void model_append(struct model *m, const void *bytes, size_t length)
{
    if (m->size + length > m->room) {
        m->room = 2 * (m->size + length);
        m->bytes = realloc(m->bytes, m->room);
        ck_assert_ptr_nonnull(m->bytes);
    }
    memcpy(m->bytes + m->size, bytes, length);
    m->size += length;
}

static void model_begin_chunk(struct model *m, uint32_t thread)
{
    struct trace_chunk *header = &m->threads[thread].header;

    header->thread = thread;
    header->produced = m->threads[thread].produced;
    header->epoch = m->threads[thread].epoch;
    header->micros = m->threads[thread].micros;
    m->threads[thread].at = m->threads[thread].buffer;
}

static void model_end_chunk(struct model *m, uint32_t thread)
{
    struct trace_chunk *header = &m->threads[thread].header;
    uint8_t bytes[TRACE_CHUNK_HEADER];

    header->length = header->capacity = (uint32_t)(m->threads[thread].at - m->threads[thread].buffer);
    header->sum = trace_sum(m->threads[thread].buffer, header->length);
    trace_put_chunk(bytes, header);
    model_append(m, bytes, sizeof(bytes));
    model_append(m, m->threads[thread].buffer, header->length);
    header->sequence++;
    model_begin_chunk(m, thread);
}

static void model_put(struct model *m, uint32_t thread, const struct trace_record *record)
{
    if (m->threads[thread].at + TRACE_RECORD_MAX > m->threads[thread].buffer + CHUNK) {
        model_end_chunk(m, thread);
    }
    m->threads[thread].at = trace_put(m->threads[thread].at, record, m->threads[thread].produced);
}

/* As the recorder does it: a tick now and then, else the epoch if another thread began one. */
static void model_put_epoch(struct model *m, uint32_t thread)
{
    struct trace_record record = {.kind = TRACE_EPOCH};

    if (m->threads[thread].calls++ % TRACE_EPOCH_CALLS == 0) {
        record.kind = TRACE_TICK;
        record.micros = support_below(&m->rng, 300);
        m->epoch++;
    }
    record.delta = m->epoch - m->threads[thread].epoch;
    if (record.kind == TRACE_TICK || record.delta > 0) {
        model_put(m, thread, &record);
        m->threads[thread].epoch = m->epoch;
        m->threads[thread].micros += record.micros;
    }
}

/* Picks a live object for the record, mostly a late one, and takes it off if it will be gone. */
static void model_pick(struct model *m, uint32_t thread, struct trace_record *record, bool takes)
{
    size_t back =
        support_below(&m->rng, support_below(&m->rng, 4) == 0 ? m->live_count : 1 + m->live_count / 100);
    struct live *live = &m->live[m->live_count - 1 - back];

    record->object = live->thread == thread ? TRACE_OWN : TRACE_FOREIGN;
    record->thread = live->thread == thread ? 0 : live->thread;
    record->number = live->number;
    if (takes) {
        *live = m->live[--m->live_count];
    }
}

static enum trace_kind model_kind(struct model *m)
{
    static const enum trace_kind makers[] = {TRACE_MALLOC,   TRACE_MALLOC,        TRACE_MALLOC,
                                             TRACE_CALLOC,   TRACE_ALIGNED_ALLOC, TRACE_POSIX_MEMALIGN,
                                             TRACE_MEMALIGN, TRACE_VALLOC,        TRACE_PVALLOC};
    static const enum trace_kind users[] = {
        TRACE_FREE,    TRACE_FREE,         TRACE_FREE,       TRACE_FREE_SIZED, TRACE_FREE_ALIGNED_SIZED,
        TRACE_REALLOC, TRACE_REALLOCARRAY, TRACE_USABLE_SIZE};

    /* Few live: make; many: free; random in between. */
    if (m->live_count == 0 || (m->live_count < LIVE_MAX && support_below(&m->rng, 100) < 52)) {
        return makers[support_below(&m->rng, support_below(&m->rng, 8) == 0 ? ARRAY_LEN(makers) : 3)];
    }
    return users[support_below(&m->rng, support_below(&m->rng, 8) == 0 ? ARRAY_LEN(users) : 3)];
}

static void model_call(struct model *m)
{
    uint32_t thread = (uint32_t)support_below(&m->rng, 16) % THREADS;
    struct trace_record record = {.kind = model_kind(m)};
    uint8_t shape = trace_shape[record.kind];

    record.failed = (shape & TRACE_MAKES) != 0 && support_below(&m->rng, 500) == 0;
    record.align = shape & TRACE_HAS_ALIGN ? (uint64_t)1 << (3 + support_below(&m->rng, 10)) : 0;
    record.count = shape & TRACE_HAS_COUNT ? 1 + support_below(&m->rng, 40) : 0;
    record.size = shape & TRACE_HAS_SIZE ? support_random_size(&m->rng) % 100000 : 0;
    if (shape & TRACE_HAS_OBJECT) {
        size_t odd = support_below(&m->rng, 1000);
        if (odd < 2) {
            record.object = odd == 0 ? TRACE_NULL : TRACE_UNKNOWN;
        } else {
            model_pick(m, thread, &record, (shape & TRACE_TAKES) != 0 && !record.failed);
        }
    }
    model_put_epoch(m, thread);
    model_put(m, thread, &record);
    m->expected[m->count++] = (struct expected){record, thread, m->epoch};
    m->calls[record.kind]++;
    if (record.object == TRACE_FOREIGN && ((shape & TRACE_TAKES) == 0 || record.failed)) {
        /* As the recorder: what another thread does with the object later is in a later epoch. */
        m->threads[thread].calls -= m->threads[thread].calls % TRACE_EPOCH_CALLS;
        model_put_epoch(m, thread);
    }
    if (trace_makes(&record)) {
        m->live[m->live_count++] = (struct live){thread, m->threads[thread].produced++};
    }
}

static struct model *model_make(uint64_t seed, size_t calls)
{
    static const char command[] = "program\0argument";
    const struct trace_head head = {.finished = true,
                                    .process = 42,
                                    .started = 1700000000,
                                    .command_length = sizeof(command),
                                    .command = command};
    struct model *m = calloc(1, sizeof(*m));
    uint8_t bytes[TRACE_HEADER] = {0};

    ck_assert_ptr_nonnull(m);
    m->expected = calloc(calls, sizeof(*m->expected));
    ck_assert_ptr_nonnull(m->expected);
    support_seed(&m->rng, seed);
    trace_put_head(bytes, &head);
    model_append(m, bytes, sizeof(bytes));
    for (uint32_t i = 0; i < THREADS; i++) {
        model_begin_chunk(m, i);
    }
    while (m->count < calls) {
        model_call(m);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        model_end_chunk(m, i);
    }
    return m;
}

static void model_free(struct model *m)
{
    free(m->bytes);
    free(m->expected);
    free(m);
}

static void expect_record(const struct trace_record *got, const struct trace_record *wanted)
{
    ck_assert_int_eq(got->kind, wanted->kind);
    ck_assert_int_eq(got->object, wanted->object);
    ck_assert_int_eq(got->failed, wanted->failed);
    ck_assert_uint_eq(got->thread, wanted->thread);
    ck_assert_uint_eq(got->number, wanted->number);
    ck_assert_uint_eq(got->align, wanted->align);
    ck_assert_uint_eq(got->count, wanted->count);
    ck_assert_uint_eq(got->size, wanted->size);
}

/* --- whole traces -------------------------------------------------------------- */

/* Each thread's calls come in their order, with all they had, and no epoch before an earlier one. */
START_TEST(a_million_calls_come_back)
{
    size_t calls = SUPPORT_MEMORY_IS_PLAIN ? 1000000 : 200000, at[THREADS] = {0};
    struct model *m = model_make(1, calls);
    struct trace_file file;
    struct trace_order order;
    struct trace_event event;
    uint64_t epoch = 0;
    size_t odd = 0, missed = 0;

    ck_assert_ptr_null(trace_parse(&file, m->bytes, m->size));
    ck_assert_uint_eq(file.thread_count, THREADS);
    ck_assert_uint_eq(file.damaged, 0);
    ck_assert_uint_eq(file.open_chunks, 0);
    ck_assert(!file.cut_off);
    trace_order_begin(&order, &file);
    while (trace_order_next(&order, &event)) {
        while (m->expected[at[event.thread]].thread != event.thread) {
            at[event.thread]++;
        }
        const struct expected *wanted = &m->expected[at[event.thread]++];
        expect_record(&event.record, &wanted->record);
        ck_assert_uint_ge(wanted->epoch, epoch);
        epoch = wanted->epoch;
        /* An object that the order does not know yet would be a call before the one that made it. */
        bool named = (trace_shape[event.record.kind] & TRACE_HAS_OBJECT) != 0 &&
                     (event.record.object == TRACE_OWN || event.record.object == TRACE_FOREIGN);
        missed += named && !event.known;
        ck_assert(event.known ? named : !named || (trace_shape[event.record.kind] & TRACE_TAKES) == 0);
        odd += event.record.object == TRACE_UNKNOWN;
    }
    ck_assert_uint_eq(order.calls, calls);
    ck_assert_uint_eq(order.live, m->live_count);
    /* A look at an object's size may come after another thread's free of it in the same epoch. */
    ck_assert_uint_eq(order.unknown, odd + missed);
    ck_assert_uint_le(missed, calls / 1000);
    ck_assert_uint_eq(order.broken, 0);
    ck_assert_msg(m->size <= 8 * calls, "%zu bytes for %zu calls", m->size, calls);
    trace_order_end(&order);
    trace_close(&file);
    model_free(m);
}
END_TEST

START_TEST(extreme_numbers_come_back)
{
    static const uint64_t values[] = {0, 1, 127, 128, 16383, 16384, UINT32_MAX, INT64_MAX, UINT64_MAX};
    uint8_t bytes[TRACE_RECORD_MAX];

    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        const struct trace_record wanted = {.kind = TRACE_REALLOCARRAY,
                                            .object = TRACE_FOREIGN,
                                            .thread = TRACE_THREADS_MAX - 1,
                                            .number = ((uint64_t)1 << TRACE_NUMBER_BITS) - 1,
                                            .count = values[i],
                                            .size = values[ARRAY_LEN(values) - 1 - i]};
        struct trace_record got;
        const uint8_t *end = trace_put(bytes, &wanted, 7);
        struct trace_cursor cursor = {.at = bytes, .end = end, .produced = 7};

        ck_assert_int_le((int)(end - bytes), TRACE_RECORD_MAX);
        ck_assert_int_eq(trace_get(&cursor, &got), TRACE_GOT);
        expect_record(&got, &wanted);
        ck_assert_int_eq(trace_get(&cursor, &got), TRACE_NO_MORE);
        for (const uint8_t *cut = bytes + 1; cut < end; cut++) {
            cursor = (struct trace_cursor){.at = bytes, .end = cut, .produced = 7};
            ck_assert_int_eq(trace_get(&cursor, &got), TRACE_CUT_OFF);
        }
    }
}
END_TEST

/* In one epoch, and the thread that frees has the lower number. */
START_TEST(an_object_is_made_before_it_is_freed)
{
    struct model *m = model_make(2, 1);
    struct trace_file file;
    struct trace_order order;
    struct trace_event event;
    uint64_t first = m->threads[2].produced, live;

    for (uint32_t i = 0; i < THREADS; i++) {
        struct trace_record seen = {.kind = TRACE_EPOCH, .delta = 10 - m->threads[i].epoch};
        model_put(m, i, &seen);
    }
    for (unsigned i = 0; i < 100; i++) {
        struct trace_record made = {.kind = TRACE_MALLOC, .size = 10};
        struct trace_record freed = {
            .kind = TRACE_FREE, .object = TRACE_FOREIGN, .thread = 2, .number = first + i};
        model_put(m, 0, &freed);
        model_put(m, 2, &made);
        m->threads[2].produced++;
    }
    model_end_chunk(m, 2);
    model_end_chunk(m, 0);
    ck_assert_ptr_null(trace_parse(&file, m->bytes, m->size));
    trace_order_begin(&order, &file);
    live = 0;
    while (trace_order_next(&order, &event)) {
        live += event.made != NULL;
        live -= event.taken;
        ck_assert(event.known == (event.record.object == TRACE_FOREIGN));
    }
    ck_assert_uint_eq(live, order.live);
    ck_assert_uint_eq(order.unknown, 0);
    ck_assert_uint_le(order.live, 1); /* the random call's */
    trace_order_end(&order);
    trace_close(&file);
    model_free(m);
}
END_TEST

static const char *plan_of(const struct trace_file *file, struct plan_head *head)
{
    FILE *plan = tmpfile();

    ck_assert_ptr_nonnull(plan);
    const char *wrong = plan_write(fileno(plan), file, TOUCH_PAGES);
    if (wrong == NULL) {
        ck_assert_int_eq(pread(fileno(plan), head, sizeof(*head), 0), (ssize_t)sizeof(*head));
    }
    fclose(plan);
    return wrong;
}

START_TEST(a_plan_has_every_call)
{
    struct model *m = model_make(3, 50000);
    struct trace_file file;
    struct plan_head head;

    ck_assert_ptr_null(trace_parse(&file, m->bytes, m->size));
    ck_assert_ptr_null(plan_of(&file, &head));
    ck_assert_mem_eq(head.wanted.calls, m->calls, sizeof(m->calls));
    ck_assert_uint_eq(head.threads, THREADS);
    ck_assert_uint_le(head.slots, LIVE_MAX + 2000);
    trace_close(&file);
    model_free(m);
}
END_TEST

/* --- parts of traces -------------------------------------------------------------- */

static uint64_t count_calls(const struct trace_file *file, uint64_t *peak)
{
    struct trace_order order;
    struct trace_event event;
    uint64_t calls;

    trace_order_begin(&order, file);
    while (trace_order_next(&order, &event)) {
    }
    calls = order.calls;
    *peak = order.peak_bytes;
    trace_order_end(&order);
    return calls;
}

/* As much as is there of it, wherever the file ends. */
START_TEST(a_trace_may_be_cut_off_anywhere)
{
    struct model *m = model_make(4, 20000);
    struct trace_file file;
    uint64_t last = 0, peak;

    for (size_t size = TRACE_HEADER; size <= m->size; size += size + 97 < m->size ? 97 : 1) {
        /* A copy of its own length, so that a sanitizer sees what is read behind its end. */
        uint8_t *bytes = malloc(size);
        ck_assert_ptr_nonnull(bytes);
        memcpy(bytes, m->bytes, size);
        ck_assert_ptr_null(trace_parse(&file, bytes, size));
        ck_assert_uint_eq(file.damaged, 0);
        uint64_t calls = count_calls(&file, &peak);
        ck_assert_uint_ge(calls, last);
        ck_assert_uint_le(last = calls, m->count);
        trace_close(&file);
        free(bytes);
    }
    ck_assert_uint_eq(last, m->count);
    model_free(m);
}
END_TEST

/* What the recorder leaves of a program that was killed: a chunk without length, and room behind its records.
 */
START_TEST(an_open_chunk_ends_at_the_first_zero)
{
    struct model *m = model_make(5, 100);
    struct trace_file file;
    static const uint8_t room[500];
    uint64_t peak;

    /* The last chunk is thread 2's, and its header is rewritten. */
    size_t calls = 0;
    for (size_t i = 0; i < m->count; i++) {
        calls += m->expected[i].thread == 2;
    }
    ck_assert_uint_gt(calls, 0);
    size_t offset = TRACE_HEADER;
    struct trace_chunk chunk;
    while (trace_get_chunk(m->bytes + offset, &chunk) && chunk.thread != 2) {
        offset += TRACE_CHUNK_HEADER + chunk.capacity;
    }
    model_append(m, room, sizeof(room));
    chunk.capacity += sizeof(room);
    chunk.length = TRACE_OPEN;
    chunk.sum = 0;
    trace_put_chunk(m->bytes + offset, &chunk);
    ck_assert_ptr_null(trace_parse(&file, m->bytes, m->size));
    ck_assert_uint_eq(file.open_chunks, 1);
    ck_assert_uint_eq(file.damaged, 0);
    ck_assert_uint_eq(count_calls(&file, &peak), m->count);
    trace_close(&file);
    model_free(m);
}
END_TEST

/* --- damage ------------------------------------------------------------------------- */

START_TEST(every_changed_byte_is_seen)
{
    struct model *m = model_make(6, 300);
    struct trace_file file;

    for (size_t i = 0; i < m->size; i++) {
        /* The header's room behind the command means nothing. */
        bool matters = i < 48 + sizeof("program\0argument") || i >= TRACE_HEADER;
        m->bytes[i] ^= 0x41;
        const char *wrong = trace_parse(&file, m->bytes, m->size);
        ck_assert_msg((wrong != NULL || file.damaged > 0) == matters, "byte %zu", i);
        trace_close(&file);
        m->bytes[i] ^= 0x41;
    }
    model_free(m);
}
END_TEST

static const struct {
    const char *bytes;
    size_t size;
    const char *wrong;
} foreign[] = {
    {"", 0, "not a trace"},
    {"\177ELF\2\1\1", 8, "not a trace"},
    {"SLATRAC", 7, "not a trace"},
    {"SLATRACE", 8, "the header is cut off"},
    {"SLATRACE\1\0\0\0\0\20\0\0", 16, "the header is cut off"},
};

START_TEST(what_is_no_trace_is_refused)
{
    struct trace_file file;
    uint8_t *bytes = calloc(1, TRACE_HEADER);

    ck_assert_str_eq(trace_parse(&file, (const uint8_t *)foreign[_i].bytes, foreign[_i].size),
                     foreign[_i].wrong);
    memcpy(bytes, "SLATRACE\2", 9);
    ck_assert_str_eq(trace_parse(&file, bytes, TRACE_HEADER),
                     "a version of the format that this program does not know");
    bytes[8] = 1;
    ck_assert_str_eq(trace_parse(&file, bytes, TRACE_HEADER), "the header is damaged");
    free(bytes);
}
END_TEST

/* Makes the sums of all chunks right again, so that damage gets to what reads the records. */
static void mend_sums(uint8_t *bytes, size_t size)
{
    for (size_t at = TRACE_HEADER; at + TRACE_CHUNK_HEADER <= size; at++) {
        struct trace_chunk chunk;
        if (memcmp(bytes + at, TRACE_CHUNK_MAGIC, 8) == 0) {
            uint64_t sum = trace_sum(bytes + at, 56);
            for (unsigned i = 0; i < 8; i++) {
                bytes[at + 56 + i] = (uint8_t)(sum >> (8 * i));
            }
            if (trace_get_chunk(bytes + at, &chunk) && chunk.length <= size - at - TRACE_CHUNK_HEADER) {
                chunk.sum = trace_sum(bytes + at + TRACE_CHUNK_HEADER, chunk.length);
                trace_put_chunk(bytes + at, &chunk);
            }
        }
    }
}

/* Changes some bytes, moves or removes some. */
static size_t damage(struct support_rng *rng, uint8_t *bytes, size_t size)
{
    for (size_t changes = 1 + support_below(rng, 20); changes > 0; changes--) {
        size_t at = support_below(rng, 4) == 0 ? TRACE_HEADER + support_below(rng, TRACE_CHUNK_HEADER)
                                               : TRACE_HEADER + support_below(rng, size - TRACE_HEADER);
        bytes[at] = support_below(rng, 3) == 0 ? 0xff : (uint8_t)support_next(rng);
    }
    if (support_below(rng, 4) == 0) {
        size_t from = TRACE_HEADER + support_below(rng, size - TRACE_HEADER);
        size_t to = TRACE_HEADER + support_below(rng, size - TRACE_HEADER);
        size_t most = size - (from > to ? from : to);
        memmove(bytes + to, bytes + from, support_below(rng, most + 1));
    }
    return support_below(rng, 4) == 0 ? support_below(rng, size) : size;
}

/* It has no answer to be right; it must end, and read nothing that is not there. */
START_TEST(ten_thousand_damaged_files_do_no_harm)
{
    size_t files = support_scaled(10000) < 10000 && SUPPORT_MEMORY_IS_PLAIN ? 10000 : support_scaled(10000);
    struct model *m = model_make(7, 1500);
    struct support_rng rng;
    struct plan_head head;
    size_t read = 0;

    support_seed(&rng, 8);
    for (size_t i = 0; i < files; i++) {
        uint8_t *copy = malloc(m->size), *bytes;
        struct trace_file file;
        uint64_t peak;
        ck_assert_ptr_nonnull(copy);
        memcpy(copy, m->bytes, m->size);
        size_t size = damage(&rng, copy, m->size);
        if (i % 2 == 0) {
            mend_sums(copy, size);
        }
        bytes = malloc(size + (size == 0)); /* of its own length, for a sanitizer */
        ck_assert_ptr_nonnull(bytes);
        memcpy(bytes, copy, size);
        if (trace_parse(&file, bytes, size) == NULL) {
            read += count_calls(&file, &peak) > 0;
            if (i % 50 == 0 && file.thread_count < 100) {
                (void)plan_of(&file, &head);
            }
            trace_close(&file);
        }
        free(bytes);
        free(copy);
    }
    /* Else the damage was so great that nothing was tried. */
    ck_assert_uint_gt(read, files / 2);
    model_free(m);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("unit/trace");
    TCase *tc = tcase_create("whole");
    tcase_add_test(tc, a_million_calls_come_back);
    tcase_add_test(tc, extreme_numbers_come_back);
    tcase_add_test(tc, an_object_is_made_before_it_is_freed);
    tcase_add_test(tc, a_plan_has_every_call);
    suite_add_tcase(suite, tc);
    tc = tcase_create("part");
    tcase_add_test(tc, a_trace_may_be_cut_off_anywhere);
    tcase_add_test(tc, an_open_chunk_ends_at_the_first_zero);
    suite_add_tcase(suite, tc);
    tc = tcase_create("damage");
    tcase_add_test(tc, every_changed_byte_is_seen);
    tcase_add_loop_test(tc, what_is_no_trace_is_refused, 0, (int)ARRAY_LEN(foreign));
    tcase_add_test(tc, ten_thousand_damaged_files_do_no_harm);
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
