// SPDX-License-Identifier: Apache-2.0
#include "savina.hpp"

namespace
{

using ping_atom = caf::atom_constant<caf::atom("ping")>;
using pong_atom = caf::atom_constant<caf::atom("pong")>;

struct crowd {
    std::vector<caf::actor> workers;
    std::int64_t pings = 0;
    caf::actor sink;
    caf::actor main;
};

struct state {
    std::int64_t sum = 0;
    std::uint32_t random = 0;
};

// Sends a ping to a worker chosen by chance.
template <class Self> void send_ping(Self *self, const crowd *all, std::int64_t value)
{
    self->state.random = self->state.random * 69069 + 1;
    auto chosen = (self->state.random >> 8) % all->workers.size();
    self->send(all->workers[chosen], ping_atom::value, value);
}

caf::behavior work(caf::stateful_actor<state> *self, const crowd *all, std::int64_t number)
{
    self->state.random = static_cast<std::uint32_t>(number);
    return {
        [=](ping_atom, std::int64_t value) {
            self->state.sum += value * number;
            self->send(caf::actor_cast<caf::actor>(self->current_sender()), pong_atom::value,
                       value);
        },
        [=](pong_atom, std::int64_t value) {
            self->state.sum += value;
            if (value < all->pings)
                send_ping(self, all, value + 1);
            else
                self->send(all->sink, done_atom::value);
        },
        [=](start_atom) { send_ping(self, all, 1); },
        [=](stop_atom) {
            self->send(all->main, self->state.sum);
            self->quit();
        },
    };
}

struct sink_state {
    std::int64_t left = 0;
};

caf::behavior wait_for_all(caf::stateful_actor<sink_state> *self, caf::actor main,
                           std::int64_t count)
{
    self->state.left = count;
    return {
        [=](done_atom) {
            if (--self->state.left == 0) {
                self->send(main, done_atom::value);
                self->quit();
            }
        },
    };
}

} // namespace

result run_big(caf::actor_system &system, const params &numbers)
{
    caf::scoped_actor self{system};
    std::int64_t count = numbers[0], sum = 0;
    crowd all;
    all.pings = numbers[1];
    all.main = self;
    all.sink = system.spawn(wait_for_all, self, count);
    for (std::int64_t i = 1; i <= count; ++i)
        all.workers.push_back(system.spawn(work, &all, i));
    stopwatch watch;
    for (const caf::actor &worker : all.workers)
        self->send(worker, start_atom::value);
    self->receive([](done_atom) {});
    std::int64_t ns = watch.ns();
    for (const caf::actor &worker : all.workers)
        self->send(worker, stop_atom::value);
    std::int64_t i = 0;
    self->receive_for(i, count)([&](std::int64_t part) { sum += part; });
    return {ns, 2 * count * numbers[1], sum};
}
