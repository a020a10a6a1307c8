// SPDX-License-Identifier: Apache-2.0
#include "savina.hpp"

#include <algorithm>

namespace
{

using ask_atom = caf::atom_constant<caf::atom("ask")>;
using last_atom = caf::atom_constant<caf::atom("last")>;

// So many messages are under way at a time, lest the memory for them be counted as the actors'.
constexpr std::int64_t batch = 1000;

caf::behavior answer(caf::event_based_actor *self)
{
    return {
        [](ask_atom, std::int64_t value) { return value; },
        [=](last_atom, std::int64_t value) {
            self->quit();
            return value;
        },
    };
}

template <class Kind>
std::int64_t ask_all(caf::scoped_actor &self, const std::vector<caf::actor> &actors, Kind kind)
{
    std::int64_t count = static_cast<std::int64_t>(actors.size()), sum = 0;
    for (std::int64_t first = 0; first < count; first += batch) {
        std::int64_t behind = std::min(first + batch, count);
        for (std::int64_t i = first; i < behind; ++i)
            self->send(actors[i], kind, i + 1);
        std::int64_t i = first;
        self->receive_for(i, behind)([&](std::int64_t value) { sum += value; });
    }
    return sum;
}

} // namespace

result run_alive(caf::actor_system &system, const params &numbers)
{
    caf::scoped_actor self{system};
    std::vector<caf::actor> actors;
    actors.reserve(numbers[0]);
    std::int64_t before = resident();
    stopwatch watch;
    for (std::int64_t i = 0; i < numbers[0]; ++i)
        actors.push_back(system.spawn(answer));
    std::int64_t sum = ask_all(self, actors, ask_atom::value);
    std::int64_t bytes = resident() - before;
    sum += ask_all(self, actors, last_atom::value);
    return {watch.ns(), numbers[0], sum, bytes};
}
