/*
 * test_fuzz.c: the inputs that have been found to be of interest, then random
 * ones.  "test_fuzz FILE..." runs those; "test_fuzz -n OPERATIONS [SEED]" goes on
 * for so long, with few looks at the invariants.  An input that fails is written
 * to a file, to be run again.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "support.h"

#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOM 65536
#define SHORTEST 64
#define SPARSE 8192 /* operations between two looks, where many are wanted */

static uint8_t input[ROOM];
static volatile size_t input_size;
static char failed_name[64];

/* --- an input that fails --- */

static void say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        _exit(3);
}

static void on_signal(int number)
{
    int fd = open(failed_name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd >= 0 && write(fd, input, input_size) == (ssize_t)input_size) {
        say("fuzz: again with: test_fuzz ");
        say(failed_name);
        say("\n");
    }
    signal(number, SIG_DFL);
    raise(number);
}

static void watch(uint64_t seed)
{
    static const int fatal[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    snprintf(failed_name, sizeof(failed_name), "fuzz-failed.%ju", (uintmax_t)seed);
    for (size_t i = 0; i < ARRAY_LEN(fatal); i++)
        signal(fatal[i], on_signal);
}

/* --- one file --- */

static void run_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, input, ROOM) : -1;
    if (size < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        exit(2);
    }
    close(fd);
    input_size = (size_t)size;
    fuzz_run(input, input_size, 256);
}

START_TEST(corpus)
{
    const char *top = getenv("top_srcdir");
    char path[4096];
    size_t files = 0;
    struct dirent *entry;
    DIR *directory;
    snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/calls", top != NULL ? top : ".");
    directory = opendir(path);
    ck_assert_msg(directory != NULL, "%s: %s", path, strerror(errno));
    watch(0);
    while ((entry = readdir(directory)) != NULL) {
        char file[4096 + 300];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
        run_file(file);
        files++;
    }
    closedir(directory);
    ck_assert_uint_gt(files, 0);
    support_ran("fuzz corpus, %zu inputs, %ju operations, %ju checks of the heap", files, (uintmax_t)fuzz.ops,
                (uintmax_t)fuzz.checks);
}
END_TEST

/* --- random ones --- */

/* Regions small or large: read before the library's first call, so it is the process's. */
static void choose_environment(uint64_t seed)
{
    static const char *const confs[] = {"", "reserve=16", "", "reserve=64,huge_pages=never"};
    setenv("SLABALLOC_CONF", confs[seed % ARRAY_LEN(confs)], 1);
}

/* Three of four have small blocks: those are cheap, and more is done. */
static void random_input(struct support_rng *rng)
{
    size_t size = SHORTEST << support_below(rng, support_long() ? 11 : 7);
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = support_next(rng);
        memcpy(input + i, &word, 8);
    }
    if (input[0] % 4 != 0)
        input[1] = (uint8_t)((input[1] & ~0x38) | 0x10);
    input_size = size;
}

static void run_random(uint64_t seed, uint64_t operations, unsigned check_every)
{
    struct support_rng rng;
    uint64_t end = fuzz.ops + operations;
    support_seed(&rng, seed);
    choose_environment(rng.state);
    watch(rng.state);
    while (fuzz.ops < end) {
        random_input(&rng);
        fuzz_run(input, input_size, check_every);
    }
}

#define SEEDS 4
START_TEST(random_inputs)
{
    uint64_t seed = 0xf022 + (uint64_t)_i;
    run_random(seed, support_plan(2000000, 20000000, 50000000) / SEEDS, support_long() ? SPARSE : 256);
    support_ran("fuzz, %ju operations in %ju random inputs, %ju checks of the heap, seed %ju", (uintmax_t)fuzz.ops,
                (uintmax_t)fuzz.inputs, (uintmax_t)fuzz.checks, (uintmax_t)seed);
}
END_TEST

static int hunt(uint64_t operations, uint64_t seed)
{
    double begun = support_seconds(), took;
    run_random(seed, operations, SPARSE);
    took = support_seconds() - begun;
    support_ran("fuzz, %ju operations in %ju random inputs, %ju checks of the heap, seed %ju, %.1f s, %.0f a second",
                (uintmax_t)fuzz.ops, (uintmax_t)fuzz.inputs, (uintmax_t)fuzz.checks, (uintmax_t)seed, took,
                (double)fuzz.ops / took);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    Suite *suite = suite_create("fuzz/fuzz");
    TCase *tc = tcase_create("fuzz");
    if (argc > 2)
        setenv("SLABALLOC_TEST_LEVEL", "soak", 0);
    if (argc > 2 && strcmp(argv[1], "-n") == 0)
        return hunt(strtoull(argv[2], NULL, 0), argc > 3 ? strtoull(argv[3], NULL, 0) : 1);
    if (argc > 1) {
        for (int i = 1; i < argc; i++)
            run_file(argv[i]);
        printf("%d inputs, %ju operations: good\n", argc - 1, (uintmax_t)fuzz.ops);
        return EXIT_SUCCESS;
    }
    tcase_set_timeout(tc, support_long() ? 600 : 120);
    tcase_add_test(tc, corpus);
    tcase_add_loop_test(tc, random_inputs, 0, SEEDS);
    suite_add_tcase(suite, tc);
    return support_main(suite);
}
