// SPDX-License-Identifier: Apache-2.0
#include "savina.hpp"

namespace
{

using next_atom = caf::atom_constant<caf::atom("next")>;

struct state {
    caf::actor next;
    std::int64_t sum = 0;
};

caf::behavior pass(caf::stateful_actor<state> *self, caf::actor main)
{
    return {
        [=](std::int64_t value) {
            self->state.sum += value;
            if (value > 0)
                self->send(self->state.next, value - 1);
            else
                self->send(main, done_atom::value);
        },
        [=](next_atom, const caf::actor &next) { self->state.next = next; },
        [=](stop_atom) {
            self->send(main, self->state.sum);
            self->quit();
        },
    };
}

} // namespace

result run_thread_ring(caf::actor_system &system, const params &numbers)
{
    caf::scoped_actor self{system};
    std::int64_t count = numbers[0], hops = numbers[1], sum = 0;
    std::vector<caf::actor> members;
    for (std::int64_t i = 0; i < count; ++i)
        members.push_back(system.spawn(pass, self));
    for (std::int64_t i = 0; i < count; ++i)
        self->send(members[i], next_atom::value, members[(i + 1) % count]);
    stopwatch watch;
    self->send(members[0], hops);
    self->receive([](done_atom) {});
    std::int64_t ns = watch.ns();
    for (const caf::actor &member : members)
        self->send(member, stop_atom::value);
    std::int64_t i = 0;
    self->receive_for(i, count)([&](std::int64_t part) { sum += part; });
    return {ns, hops, sum};
}
