// SPDX-License-Identifier: Apache-2.0
#include "savina.hpp"

namespace
{

using retrieve_atom = caf::atom_constant<caf::atom("retrieve")>;

struct state {
    std::int64_t sum = 0;
};

caf::behavior count(caf::stateful_actor<state> *self)
{
    return {
        [=](std::int64_t value) { self->state.sum += value; },
        [=](retrieve_atom) {
            self->quit();
            return self->state.sum;
        },
    };
}

caf::behavior produce(caf::event_based_actor *self, caf::actor counter, caf::actor main,
                      std::int64_t messages)
{
    return {
        [=](start_atom) {
            for (std::int64_t value = 1; value <= messages; ++value)
                self->send(counter, value);
            self->send(counter, retrieve_atom::value);
        },
        [=](std::int64_t sum) {
            self->send(main, sum);
            self->quit();
        },
    };
}

} // namespace

result run_counting(caf::actor_system &system, const params &numbers)
{
    caf::scoped_actor self{system};
    std::int64_t sum = 0;
    caf::actor counter = system.spawn(count);
    caf::actor producer = system.spawn(produce, counter, self, numbers[0]);
    stopwatch watch;
    self->send(producer, start_atom::value);
    self->receive([&](std::int64_t total) { sum = total; });
    return {watch.ns(), numbers[0], sum};
}
