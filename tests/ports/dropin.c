/*
 * dropin.c: a program on the drop-in, preloaded or (LINKED) linked, on any C
 * library: what that allocates comes from our heap, in threads, in a fork's
 * child, and freed by another thread than the one that asked.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef LINKED
int sla_owns(const void *block);
static int find(void) { return 1; }
#define owns sla_owns
#else
#include <dlfcn.h>
static int (*owns)(const void *);
static int find(void)
{
    *(void **)&owns = dlsym(RTLD_DEFAULT, "sla_owns");
    return owns != NULL;
}
#endif

#define REQUIRE(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "dropin.c:%d: not so: %s (errno %d)\n", __LINE__, #condition, errno); \
            _exit(1); \
        } \
    } while (0)

static void ours(void *block)
{
    REQUIRE(block != NULL && owns(block) == 1);
    free(block);
}

static void from_libc(void)
{
    char *text = NULL, *line = NULL;
    size_t length = 0, room = 0;
    void *aligned = NULL;
    FILE *file;
    ours(strdup("text"));
    ours(strndup("text", 2));
    ours(realpath("/usr/..", NULL));
    ours(getcwd(NULL, 0));
    REQUIRE(asprintf(&text, "%d %s", 5, "apples") > 0);
    ours(text);
    file = fopen("/proc/self/status", "r");
    REQUIRE(file != NULL && owns(file) == 1 && getline(&line, &room, file) > 0);
    ours(line);
    fclose(file);
    file = open_memstream(&text, &length);
    for (int i = 0; i < 10000; i++)
        fprintf(file, "line %d\n", i);
    fclose(file);
    REQUIRE(length == 98890);
    ours(text);
    ours(aligned_alloc(256, 1000));
    REQUIRE(posix_memalign(&aligned, 4096, 10) == 0 && (uintptr_t)aligned % 4096 == 0);
    ours(aligned);
    ours(calloc(1000, 1000));
    ours(realloc(malloc(10), 3000000));
    volatile size_t huge = SIZE_MAX;
    errno = 0;
    REQUIRE(malloc(huge) == NULL && errno == ENOMEM);
}

static void *make(void *arg)
{
    char *text = strdup(arg);
    for (int i = 1; i < 3000; i++)
        REQUIRE((text = realloc(text, (size_t)i * 10 + 20)) != NULL);
    return text;
}

static void in_threads(void)
{
    for (int round = 0; round < 20; round++) {
        pthread_t threads[4];
        for (int i = 0; i < 4; i++)
            REQUIRE(pthread_create(&threads[i], NULL, make, "kept") == 0);
        for (int i = 0; i < 4; i++) {
            void *text = NULL;
            REQUIRE(pthread_join(threads[i], &text) == 0 && strcmp(text, "kept") == 0);
            ours(text);
        }
    }
}

static void in_a_child(void)
{
    int status = 1;
    pid_t pid;
    fflush(NULL);
    pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        in_threads();
        from_libc();
        _exit(0);
    }
    REQUIRE(waitpid(pid, &status, 0) == pid && status == 0);
}

int main(void)
{
    if (!find()) {
        fputs("dropin: it is not there\n", stderr);
        return 1;
    }
    from_libc();
    in_threads();
    in_a_child();
    puts("dropin: ours");
    return 0;
}
