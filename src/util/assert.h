/* Assertions of the debug twin; in a release build they cost nothing but are still compiled. */
#ifndef UTIL_ASSERT_H
#define UTIL_ASSERT_H

#include "util/compiler.h"
#include "util/panic.h"

#define SLAI_STR_(x) #x
#define SLAI_STR(x) SLAI_STR_(x)
#define slai_assert(cond)                                                                          \
    do {                                                                                           \
        if (SLA_DEBUG >= 1 && SLA_UNLIKELY(!(cond)))                                               \
            slai_panic("assertion failed: " #cond " (" __FILE__ ":" SLAI_STR(__LINE__) ")");       \
    } while (0)

#endif
