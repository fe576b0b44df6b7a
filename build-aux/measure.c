/*
 * measure FILE COMMAND...: runs the command and writes "SECONDS KIB" to FILE:
 * its wall time and its peak resident memory.  Exits as the command did.
 *
 * SPDX-License-Identifier: MIT
 */
#define _DEFAULT_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int run(char **command, double *seconds, struct rusage *usage)
{
    int status = 0;
    double start = now();
    pid_t child = fork();
    if (child == 0) {
        execvp(command[0], command);
        fprintf(stderr, "measure: %s: %s\n", command[0], strerror(errno));
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, usage) < 0) {
        perror("measure");
        return 125;
    }
    *seconds = now() - start;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
    struct rusage usage;
    double seconds = 0;
    if (argc < 3) {
        fputs("usage: measure FILE COMMAND...\n", stderr);
        return 2;
    }
    int status = run(argv + 2, &seconds, &usage);
    FILE *file = status == 125 ? NULL : fopen(argv[1], "w");
    if (file == NULL)
        return 125;
    fprintf(file, "%.3f %ld\n", seconds, usage.ru_maxrss);
    return fclose(file) == 0 ? status : 125;
}
