/*
 * machine.c: what machine this is.
 *
 * SPDX-License-Identifier: MIT
 */
#include "machine.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

static void look_for_processor(char *text, size_t size)
{
    char line[200];
    FILE *file = fopen("/proc/cpuinfo", "re");

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon != NULL && colon[1] == ' ') {
            colon[strcspn(colon, "\n")] = '\0';
            snprintf(text, size, "%s", colon + 2);
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

struct machine machine_look(void)
{
    struct machine machine = {.processor = "unknown", .libc = "unknown"};
    struct utsname host;

    uname(&host);
    snprintf(machine.system, sizeof(machine.system), "%s %s %s", host.sysname, host.release, host.machine);
    snprintf(machine.processor, sizeof(machine.processor), "%s", host.machine);
    look_for_processor(machine.processor, sizeof(machine.processor));
#ifdef __GLIBC__
    snprintf(machine.libc, sizeof(machine.libc), "glibc %s", gnu_get_libc_version());
#endif
    machine.processors = sysconf(_SC_NPROCESSORS_ONLN);
    machine.memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    return machine;
}
