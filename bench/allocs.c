/*
 * allocs.c: the list of allocators to compare.
 *
 * SPDX-License-Identifier: MIT
 */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The path in full: the loader would search for a bare name. */
static char *library_path(const char *path)
{
    static const char magic[4] = "\177ELF";
    char start[sizeof(magic)] = "";
    struct stat status;
    char *full = realpath(path, NULL);
    int fd = full == NULL ? -1 : open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        usage_error("cannot read library '%s': %s", path, strerror(errno));
    }
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) ||
        read(fd, start, sizeof(start)) != (ssize_t)sizeof(start) ||
        memcmp(start, magic, sizeof(magic)) != 0) {
        usage_error("'%s' is not a shared library", path);
    }
    close(fd);
    if (strpbrk(full, ": \t\n") != NULL) {
        usage_error("library '%s': LD_PRELOAD cannot name a path with a blank or a colon", full);
    }
    return full;
}

static bool name_good(const char *name)
{
    size_t length = strlen(name);

    return length > 0 && length <= ALLOC_NAME_MAX &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-") == length;
}

void alloc_add(struct alloc_list *list, const char *name, const char *path)
{
    if (!name_good(name)) {
        usage_error("bad allocator name '%s' (1-%d letters, digits, . _ + -)", name, ALLOC_NAME_MAX);
    }
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].name, name) == 0) {
            usage_error("allocator '%s' is named twice", name);
        }
    }
    struct alloc *items = must_alloc(list->count + 1, sizeof(*items));
    if (list->count > 0) {
        memcpy(items, list->items, list->count * sizeof(*items));
    }
    free(list->items);
    list->items = items;
    struct alloc *added = &items[list->count++];
    strcpy(added->name, name);
    added->path = path == NULL ? NULL : library_path(path);
}

void alloc_add_spec(struct alloc_list *list, const char *spec)
{
    char name[ALLOC_NAME_MAX + 2];
    const char *equals = strchr(spec, '=');

    if (equals == NULL || equals == spec || equals[1] == '\0') {
        usage_error("bad allocator '%s' (NAME=LIBRARY is wanted)", spec);
    }
    size_t length = (size_t)(equals - spec);
    if (length > ALLOC_NAME_MAX) {
        length = ALLOC_NAME_MAX + 1; /* long enough to be refused */
    }
    memcpy(name, spec, length);
    name[length] = '\0';
    alloc_add(list, name, equals + 1);
}

void alloc_clear(struct alloc_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].path);
    }
    free(list->items);
    *list = (struct alloc_list){NULL, 0};
}

const char *alloc_dropin(const char *option)
{
    const char *variable = getenv("SLABALLOC_LIBRARY");

    if (option != NULL) {
        return option;
    }
    return variable != NULL && *variable != '\0' ? variable : SLA_DROPIN_PATH;
}
