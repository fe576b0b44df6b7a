#include "util/atomic.h"

void (*slai_point_hook)(void); /* the tests' */
