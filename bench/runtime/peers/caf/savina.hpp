// SPDX-License-Identifier: Apache-2.0
//
// What the CAF programs share. Each has one function, called with the actor system and the numbers
// of the command line; actors are event-based, the main thread is a scoped actor.
#ifndef BENCH_SAVINA_HPP
#define BENCH_SAVINA_HPP

#include <chrono>
#include <cstdint>
#include <vector>

#include <caf/all.hpp>

using params = std::vector<std::int64_t>;

struct result {
    std::int64_t ns;
    std::int64_t operations;
    std::int64_t checksum;
    std::int64_t bytes = 0;
};

result run_alive(caf::actor_system &system, const params &numbers);
result run_big(caf::actor_system &system, const params &numbers);
result run_bounded_buffer(caf::actor_system &system, const params &numbers);
result run_chameneos(caf::actor_system &system, const params &numbers);
result run_counting(caf::actor_system &system, const params &numbers);
result run_fork_join_create(caf::actor_system &system, const params &numbers);
result run_fork_join_throughput(caf::actor_system &system, const params &numbers);
result run_mailbox(caf::actor_system &system, const params &numbers);
result run_ping_pong(caf::actor_system &system, const params &numbers);
result run_thread_ring(caf::actor_system &system, const params &numbers);

// Bytes of this process that are in memory.
std::int64_t resident();

class stopwatch
{
  public:
    std::int64_t ns() const
    {
        return std::chrono::nanoseconds(std::chrono::steady_clock::now() - begin_).count();
    }

  private:
    std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

// The kinds of messages; CAF matches on their types at compile time.
using start_atom = caf::atom_constant<caf::atom("start")>;
using stop_atom = caf::atom_constant<caf::atom("stop")>;
using done_atom = caf::atom_constant<caf::atom("done")>;

#endif
