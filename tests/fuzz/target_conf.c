/* target_conf.c: libFuzzer's entry to fuzz_conf(). */
#include "parsers.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    fuzz_conf(bytes, size);
    return 0;
}
