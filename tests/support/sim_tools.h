// SPDX-License-Identifier: Apache-2.0
//
// How sim.c begins and ends what sim_tools.c keeps of a run.
#ifndef FKL_TESTS_SUPPORT_SIM_TOOLS_H
#define FKL_TESTS_SUPPORT_SIM_TOOLS_H

#include "support/sim.h"

// Called by the scenario's thread before the scenario.
void sim_tools_begin(const sim_scenario *scenario, uint64_t seed);
// After the run: checks that nothing is left.
void sim_tools_end(void);
// Blocks that were written to after they were freed: a hint why something else failed.
size_t sim_tools_count_touched(void);
// Where the calling thread is about to sleep, or NULL.
const char *sim_tools_where(void);

#endif
