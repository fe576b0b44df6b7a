/*
 * The invariants of src/README.md, re-derived from the data.  For tests, at a
 * moment when no other thread is inside the allocator.  Each returns NULL, or
 * what is wrong.
 */
#ifndef HEAP_CHECK_H
#define HEAP_CHECK_H

#include "util/compiler.h"

/* I1, I2, I4, I9: spans tile the regions, bins hold just the free ones, slabs' counts match their bitmaps. */
const char *slai_check_heap(void);

#endif
