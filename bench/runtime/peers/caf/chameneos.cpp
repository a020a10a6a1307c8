// SPDX-License-Identifier: Apache-2.0
#include "savina.hpp"

namespace
{

using meet_atom = caf::atom_constant<caf::atom("meet")>;
using change_atom = caf::atom_constant<caf::atom("change")>;
using count_atom = caf::atom_constant<caf::atom("count")>;

constexpr std::int64_t colours = 3; // 0, 1 and 2

struct mall_state {
    std::int64_t left = 0;
    std::int64_t creatures = 0;
    std::int64_t sum = 0;
    caf::actor waiting;
};

struct creature_state {
    std::int64_t colour = 0;
    std::int64_t meetings = 0;
};

caf::behavior bring_together(caf::stateful_actor<mall_state> *self, caf::actor main,
                             std::int64_t meetings, std::int64_t creatures)
{
    self->state.left = meetings;
    self->state.creatures = creatures;
    return {
        [=](meet_atom, std::int64_t colour, const caf::actor &who) {
            mall_state &mall = self->state;
            if (mall.left == 0) {
                self->send(who, stop_atom::value);
            } else if (!mall.waiting) {
                mall.waiting = who;
            } else {
                self->send(mall.waiting, meet_atom::value, colour, who);
                mall.waiting = nullptr;
                --mall.left;
            }
        },
        [=](count_atom, std::int64_t count) {
            self->state.sum += count;
            if (--self->state.creatures == 0) {
                self->send(main, self->state.sum);
                self->quit();
            }
        },
    };
}

std::int64_t mixed(std::int64_t one, std::int64_t other)
{
    return one == other ? one : colours - one - other;
}

caf::behavior live(caf::stateful_actor<creature_state> *self, caf::actor mall, std::int64_t colour)
{
    self->state.colour = colour;
    auto ask = [=] { self->send(mall, meet_atom::value, self->state.colour, caf::actor{self}); };
    return {
        [=](meet_atom, std::int64_t other, const caf::actor &who) {
            self->state.colour = mixed(self->state.colour, other);
            ++self->state.meetings;
            self->send(who, change_atom::value, self->state.colour);
            ask();
        },
        [=](change_atom, std::int64_t colour) {
            self->state.colour = colour;
            ++self->state.meetings;
            ask();
        },
        [=](start_atom) { ask(); },
        [=](stop_atom) {
            self->send(mall, count_atom::value, self->state.meetings);
            self->quit();
        },
    };
}

} // namespace

result run_chameneos(caf::actor_system &system, const params &numbers)
{
    caf::scoped_actor self{system};
    std::int64_t count = numbers[0], meetings = numbers[1], sum = 0;
    caf::actor mall = system.spawn(bring_together, self, meetings, count);
    std::vector<caf::actor> creatures;
    for (std::int64_t i = 0; i < count; ++i)
        creatures.push_back(system.spawn(live, mall, i % colours));
    stopwatch watch;
    for (const caf::actor &creature : creatures)
        self->send(creature, start_atom::value);
    self->receive([&](std::int64_t total) { sum = total; });
    return {watch.ns(), 4 * meetings, sum};
}
