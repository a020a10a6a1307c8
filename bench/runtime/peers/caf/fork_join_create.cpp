// SPDX-License-Identifier: Apache-2.0
#include "savina.hpp"

namespace
{

struct state {
    std::int64_t left = 0;
    std::int64_t sum = 0;
};

caf::behavior collect(caf::stateful_actor<state> *self, caf::actor main, std::int64_t messages)
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

caf::behavior pass_on(caf::event_based_actor *self, caf::actor collector)
{
    return {
        [=](std::int64_t value) {
            self->send(collector, value);
            self->quit();
        },
    };
}

} // namespace

result run_fork_join_create(caf::actor_system &system, const params &numbers)
{
    caf::scoped_actor self{system};
    std::int64_t sum = 0;
    caf::actor collector = system.spawn(collect, self, numbers[0]);
    stopwatch watch;
    for (std::int64_t value = 1; value <= numbers[0]; ++value) {
        caf::actor actor = system.spawn(pass_on, collector);
        self->send(actor, value);
    }
    self->receive([&](std::int64_t total) { sum = total; });
    return {watch.ns(), numbers[0], sum};
}
