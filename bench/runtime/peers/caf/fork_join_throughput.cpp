// SPDX-License-Identifier: Apache-2.0
#include "savina.hpp"

namespace
{

struct state {
    std::int64_t left = 0;
    std::int64_t sum = 0;
};

caf::behavior work(caf::stateful_actor<state> *self, caf::actor main, std::int64_t messages)
{
    self->state.left = messages;
    return {
        [=](std::int64_t value) {
            self->state.sum += value;
            if (--self->state.left == 0) {
                self->send(main, self->state.sum);
                self->quit();
            }
        },
    };
}

} // namespace

result run_fork_join_throughput(caf::actor_system &system, const params &numbers)
{
    caf::scoped_actor self{system};
    std::int64_t actors = numbers[0], messages = numbers[1], sum = 0;
    std::vector<caf::actor> workers;
    for (std::int64_t i = 0; i < actors; ++i)
        workers.push_back(system.spawn(work, self, messages));
    stopwatch watch;
    for (std::int64_t value = 1; value <= messages; ++value) {
        for (const caf::actor &worker : workers)
            self->send(worker, value);
    }
    std::int64_t i = 0;
    self->receive_for(i, actors)([&](std::int64_t part) { sum += part; });
    return {watch.ns(), actors * messages, sum};
}
