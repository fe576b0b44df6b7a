/*
 * recorder.h: how 'slaballoc-bench record' and the library it preloads meet.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef BENCH_RECORDER_H
#define BENCH_RECORDER_H

/*
 * PROCESS:CHILDREN:PROGRAM:FILE.  The process with this number is recorded in
 * FILE; if CHILDREN is 1, so are all others, in FILE.NUMBER.  PROGRAM, unless
 * empty, is the name that a program must have to be recorded; then the first
 * to have it is recorded in FILE, whatever its number.
 */
#define RECORDER_VARIABLE "SLABALLOC_RECORD"

#endif
