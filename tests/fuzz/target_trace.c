/* target_trace.c: libFuzzer's entry to fuzz_trace(). */
#include "parsers.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    fuzz_trace(bytes, size);
    return 0;
}
