// SPDX-License-Identifier: Apache-2.0
#include "savina.hpp"

namespace
{

struct state {
    std::int64_t sum = 0;
};

caf::behavior pong(caf::stateful_actor<state> *self)
{
    return {
        [=](std::int64_t value) {
            self->state.sum += value;
            self->send(caf::actor_cast<caf::actor>(self->current_sender()), value);
        },
        [=](stop_atom) {
            self->quit();
            return self->state.sum;
        },
    };
}

caf::behavior ping(caf::stateful_actor<state> *self, caf::actor pong, caf::actor main,
                   std::int64_t last)
{
    return {
        [=](start_atom) { self->send(pong, std::int64_t{1}); },
        [=](std::int64_t value) {
            self->state.sum += value;
            if (value < last) {
                self->send(pong, value + 1);
                return;
            }
            self->send(main, self->state.sum);
            self->quit();
        },
    };
}

} // namespace

result run_ping_pong(caf::actor_system &system, const params &numbers)
{
    caf::scoped_actor self{system};
    std::int64_t sum = 0;
    caf::actor ponger = system.spawn(pong);
    caf::actor pinger = system.spawn(ping, ponger, self, numbers[0]);
    stopwatch watch;
    self->send(pinger, start_atom::value);
    self->receive([&](std::int64_t part) { sum = part; });
    std::int64_t ns = watch.ns();
    self->send(ponger, stop_atom::value);
    self->receive([&](std::int64_t part) { sum += part; });
    return {ns, 2 * numbers[0], sum};
}
