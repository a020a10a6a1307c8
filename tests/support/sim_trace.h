// SPDX-License-Identifier: Apache-2.0
//
// The last steps of a simulated run, in a ring, and how to print them with the functions and lines
// that they are at.
#ifndef FKL_TESTS_SUPPORT_SIM_TRACE_H
#define FKL_TESTS_SUPPORT_SIM_TRACE_H

#include <stdbool.h>
#include <stdint.h>

// Returns false when there is no memory.
bool sim_trace_enable(const char *program);
bool sim_trace_is_enabled(void);
// Forgets what was noted.
void sim_trace_clear(void);
void sim_trace_note(uint32_t thread, const void *caller);
// To stdout: number of the step, thread, place. Asks addr2line, and prints plain addresses without.
void sim_trace_print(void);

#endif
