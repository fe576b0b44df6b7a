/*
 * test_parsers.c: options and traces of random bytes, some that look like what
 * they are to be.  "test_parsers conf|trace FILE..." runs those.
 *
 * SPDX-License-Identifier: MIT
 */
#include "support.h"

#include "parsers.h"

#include <slaballoc.h>

#define MOST 2048

static uint8_t input[MOST];

/* --- options: words of their language, put together at random, and then bytes changed --- */

static size_t append(size_t length, const char *text)
{
    size_t more = strlen(text);
    if (length + more > MOST)
        return length;
    memcpy(input + length, text, more);
    return length + more;
}

static size_t random_conf(struct support_rng *rng)
{
    static const char *const words[] = {"purge_delay", "stats_at_exit", "verbose", "abort", "huge_pages",
                                        "cache_size", "reserve", "=", "=", "=", ",", ",", "-", "never", "default",
                                        "always", "0", "1", "2", "16384", "1073741824", "1073741825", "86400000",
                                        "9223372036854775807", "9223372036854775808", " ", "=,", "0x10", "+1"};
    size_t length = 0;
    for (size_t n = support_below(rng, 16); n > 0; n--)
        length = append(length, words[support_below(rng, ARRAY_LEN(words))]);
    for (size_t n = support_below(rng, 4) == 0 ? support_below(rng, 4) : 0; n > 0 && length > 0; n--)
        input[support_below(rng, length)] = (uint8_t)support_next(rng);
    return length;
}

static void run_conf(struct support_rng *rng, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t size = random_conf(rng);
        fuzz_conf(input, size);
    }
    (void)sla_option_set("stats_at_exit", 0); /* nothing is to be printed at the end */
}

/* --- traces --- */

static void run_trace(struct support_rng *rng, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t size = support_below(rng, 8) != 0 ? support_below(rng, 400) : support_below(rng, MOST);
        for (size_t at = 0; at < size; at++) /* small numbers more often, as kinds and objects are */
            input[at] = (uint8_t)(support_next(rng) >> support_below(rng, 8));
        if (size > 0)
            input[0] |= (uint8_t)(i % 4 != 0);
        fuzz_trace(input, size);
    }
}

#define SEED 0x9a2
#define SHOW(what, count) support_ran("fuzz: %zu inputs of the %s, seed %d", count, what, SEED)

START_TEST(options)
{
    struct support_rng rng;
    size_t count = support_plan(100000, 2000000, 8000000);
    support_seed(&rng, SEED);
    run_conf(&rng, count);
    SHOW("options' parser", count);
}
END_TEST

START_TEST(traces)
{
    struct support_rng rng;
    size_t count = support_plan(20000, 500000, 2000000);
    support_seed(&rng, SEED);
    run_trace(&rng, count);
    SHOW("trace's parser", count);
}
END_TEST

static int run_files(int count, char **names, void (*run)(const uint8_t *bytes, size_t size))
{
    static uint8_t bytes[1 << 20];
    for (int i = 0; i < count; i++) {
        FILE *in = fopen(names[i], "rbe");
        if (in == NULL) {
            perror(names[i]);
            return 2;
        }
        run(bytes, fread(bytes, 1, sizeof(bytes), in));
        fclose(in);
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    Suite *suite = suite_create("fuzz/parsers");
    TCase *tc = tcase_create("parsers");
    if (argc > 2)
        return run_files(argc - 2, argv + 2, strcmp(argv[1], "conf") == 0 ? fuzz_conf : fuzz_trace);
    tcase_set_timeout(tc, support_long() ? 600 : 120);
    tcase_add_test(tc, options);
    tcase_add_test(tc, traces);
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
