/*
 * parsers.h: bytes from outside that the library and its tools read: options,
 * and the traces of slaballoc-bench.  Each call ends the process by
 * parsers_fail() if what was made of the bytes is not what it must be.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef SLABALLOC_TESTS_PARSERS_H
#define SLABALLOC_TESTS_PARSERS_H

#include <stddef.h>
#include <stdint.h>

/* The bytes are a value of SLABALLOC_CONF; what it sets is compared with a parser of the test's own. */
void fuzz_conf(const uint8_t *bytes, size_t size);

/* The bytes are a trace, as they are or (by the first one) with sums that are made right. */
void fuzz_trace(const uint8_t *bytes, size_t size);

#define PARSERS_REQUIRE(condition) \
    do { \
        if (!(condition)) \
            parsers_fail(__FILE__, __LINE__, #condition); \
    } while (0)
void parsers_fail(const char *file, int line, const char *what) __attribute__((noreturn));

#endif
