/*
 * reenter_user.c: a program that goes through a malloc's first times: of the
 * process, of threads, of a fork, of large blocks, of a trim.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void require(int good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "reenter_user: %s\n", what);
    _exit(1);
}

static void use(size_t seed)
{
    enum { BLOCKS = 400 };
    unsigned char *p[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t size = i % 50 == 49 ? 300000 : (i * 37 + seed) % 5000 + 1;
        p[i] = malloc(size);
        require(p[i] != NULL, "malloc");
        memset(p[i], (int)i, size < 5000 ? size : 5000);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        require(*p[i] == (unsigned char)i && (i % 5 != 0 || (p[i] = realloc(p[i], 40000)) != NULL), "contents");
    for (size_t i = 0; i < BLOCKS; i++)
        free(p[i]);
    malloc_trim(0);
}

static void *thread(void *arg)
{
    pthread_key_t key;
    use((size_t)arg);
    require(pthread_key_create(&key, free) == 0 && pthread_setspecific(key, malloc(100)) == 0, "key");
    require(dlsym(RTLD_DEFAULT, "no such function") == NULL && dlerror() != NULL, "dlsym");
    return getenv("PATH");
}

int main(void)
{
    pthread_t threads[4];
    int status = -1;
    use(0);
    for (size_t i = 0; i < 4; i++)
        require(pthread_create(&threads[i], NULL, thread, (void *)i) == 0, "pthread_create");
    pid_t child = fork();
    if (child == 0) {
        use(1);
        require(pthread_create(&threads[0], NULL, thread, NULL) == 0, "pthread_create in the child");
        require(pthread_join(threads[0], NULL) == 0, "pthread_join in the child");
        exit(0);
    }
    for (size_t i = 0; i < 4; i++)
        require(pthread_join(threads[i], NULL) == 0, "pthread_join");
    require(waitpid(child, &status, 0) == child && status == 0, "the child");
    puts("done");
    return 0;
}
