// SPDX-License-Identifier: Apache-2.0
#include "savina.hpp"

#include <thread>

namespace
{

struct state {
    std::int64_t left = 0;
    std::int64_t sum = 0;
};

caf::behavior take(caf::stateful_actor<state> *self, caf::actor main, std::int64_t messages)
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

void produce(const caf::actor &sink, std::int64_t messages)
{
    for (std::int64_t value = 1; value <= messages; ++value)
        caf::anon_send(sink, value);
}

} // namespace

result run_mailbox(caf::actor_system &system, const params &numbers)
{
    caf::scoped_actor self{system};
    std::int64_t count = numbers[0], messages = numbers[1], sum = 0;
    caf::actor sink = system.spawn(take, self, count * messages);
    std::vector<std::thread> producers;
    stopwatch watch;
    for (std::int64_t i = 0; i < count; ++i)
        producers.emplace_back(produce, sink, messages);
    self->receive([&](std::int64_t total) { sum = total; });
    std::int64_t ns = watch.ns();
    for (std::thread &producer : producers)
        producer.join();
    return {ns, count * messages, sum};
}
