/* target_calls.c: libFuzzer's entry to fuzz_run(). */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    fuzz_run(bytes, size, 256);
    return 0;
}
