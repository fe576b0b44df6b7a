/*
 * installed.c: finds the allocators that are installed, by the names of their
 * libraries in the directories where the loader usually looks.
 *
 * Asking the loader itself (dlopen) would bring them into this process.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bench.h"

#include <elf.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The first library of an allocator that is found is taken: of tbbmalloc only the proxy replaces malloc. */
static const struct {
    const char *name, *library;
} peers[] = {
    {"mimalloc", "libmimalloc.so"},       {"jemalloc", "libjemalloc.so"},
    {"tcmalloc", "libtcmalloc_minimal.so"}, {"tcmalloc", "libtcmalloc.so"},
    {"tbbmalloc", "libtbbmalloc_proxy.so"},
};

static const char *const directories[] = {
    "/usr/local/lib", "/usr/local/lib64", "/usr/local/lib/*-linux-*", "/lib/*-linux-*", "/usr/lib/*-linux-*",
    "/lib64",         "/usr/lib64",       "/lib",                     "/usr/lib",
};

/* A directory may have libraries for another processor. */
static bool same_machine(const char *path)
{
    unsigned char ours[EI_NIDENT + 4], theirs[EI_NIDENT + 4];
    int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const ssize_t wanted = sizeof(ours);
    bool read_both = self >= 0 && fd >= 0 && read(self, ours, sizeof(ours)) == wanted &&
                     read(fd, theirs, sizeof(theirs)) == wanted;

    if (self >= 0) {
        close(self);
    }
    if (fd >= 0) {
        close(fd);
    }
    /* Class and byte order, and e_machine behind e_type. */
    return read_both && memcmp(theirs, ELFMAG, SELFMAG) == 0 && memcmp(ours + EI_CLASS, theirs + EI_CLASS, 2) == 0 &&
           memcmp(ours + EI_NIDENT + 2, theirs + EI_NIDENT + 2, 2) == 0;
}

/* The library of the highest number in a directory; its caller frees it. */
static char *find_in(const char *directory, const char *library)
{
    char pattern[200];
    glob_t found;
    char *best = NULL;

    snprintf(pattern, sizeof(pattern), "%s/%s.[0-9]*", directory, library);
    if (glob(pattern, 0, NULL, &found) != 0) {
        return NULL;
    }
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *path = found.gl_pathv[i];
        const char *number = strrchr(path, '/') + 1 + strlen(library) + 1;
        bool soname = strspn(number, "0123456789") == strlen(number);
        if (soname && same_machine(path) && (best == NULL || strverscmp(path, best) > 0)) {
            free(best);
            best = strdup(path);
        }
    }
    globfree(&found);
    return best;
}

static bool named(const struct alloc_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

void alloc_add_installed(struct alloc_list *list)
{
    for (size_t p = 0; p < sizeof(peers) / sizeof(peers[0]); p++) {
        for (size_t d = 0; d < sizeof(directories) / sizeof(directories[0]); d++) {
            char *path = named(list, peers[p].name) ? NULL : find_in(directories[d], peers[p].library);
            if (path != NULL) {
                alloc_add(list, peers[p].name, path);
                free(path);
            }
        }
    }
}
