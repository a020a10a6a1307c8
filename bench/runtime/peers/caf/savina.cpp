// SPDX-License-Identifier: Apache-2.0
//
// The program: caf NAME PARAMETER...
//
// Runs a benchmark, first for a tenth of its last parameter to warm up, and prints what the runner
// wants; caf versions says what it was built with.

#include "savina.hpp"

#include <algorithm>
#include <fstream>
#include <iostream>
#include <map>
#include <string>

#include <time.h>
#include <unistd.h>

namespace
{

using program = result (*)(caf::actor_system &, const params &);

const std::map<std::string, program> programs = {
    {"alive", run_alive},
    {"big", run_big},
    {"bounded_buffer", run_bounded_buffer},
    {"chameneos", run_chameneos},
    {"counting", run_counting},
    {"fork_join_create", run_fork_join_create},
    {"fork_join_throughput", run_fork_join_throughput},
    {"mailbox", run_mailbox},
    {"ping_pong", run_ping_pong},
    {"thread_ring", run_thread_ring},
};

// Nanoseconds of processor time of all threads.
std::int64_t processor_ns()
{
    timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return std::int64_t{used.tv_sec} * 1000000000 + used.tv_nsec;
}

void show_versions(caf::actor_system &system)
{
    std::cout << "CAF " << CAF_MAJOR_VERSION << '.' << CAF_MINOR_VERSION << '.' << CAF_PATCH_VERSION
              << ", GCC " << __VERSION__ << ", " << system.scheduler().num_workers()
              << " workers\n";
}

} // namespace

std::int64_t resident()
{
    std::int64_t all = 0, here = 0;
    std::ifstream("/proc/self/statm") >> all >> here;
    return here * sysconf(_SC_PAGESIZE);
}

int main(int argc, char **argv)
{
    caf::actor_system_config config;
    caf::actor_system system{config};
    std::string name = argc > 1 ? argv[1] : "";
    if (name == "versions") {
        show_versions(system);
        return 0;
    }
    auto found = programs.find(name);
    if (found == programs.end()) {
        std::cerr << "caf: no such program\n";
        return 1;
    }
    params numbers;
    for (int i = 2; i < argc; ++i)
        numbers.push_back(std::stoll(argv[i]));
    numbers.resize(std::max<std::size_t>(numbers.size(), 1));
    if (name != "alive") {
        params fewer = numbers;
        fewer.back() = std::max<std::int64_t>(1, fewer.back() / 10);
        found->second(system, fewer);
        system.await_all_actors_done();
    }
    std::int64_t used = processor_ns();
    result r = found->second(system, numbers);
    used = processor_ns() - used;
    std::cout << name << ' ' << r.ns << ' ' << r.operations << ' ' << r.checksum << " cpu=" << used;
    if (r.bytes)
        std::cout << " bytes=" << r.bytes;
    std::cout << std::endl;
    system.await_all_actors_done();
    return 0;
}
