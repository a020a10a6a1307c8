// SPDX-License-Identifier: Apache-2.0
#include "savina.hpp"

#include <deque>

namespace
{

using produce_atom = caf::atom_constant<caf::atom("produce")>;
using item_atom = caf::atom_constant<caf::atom("item")>;
using free_atom = caf::atom_constant<caf::atom("free")>;

struct producer_state {
    std::int64_t next = 0;
};

struct consumer_state {
    std::int64_t sum = 0;
};

struct manager_state {
    std::int64_t left = 0;         // items that no consumer has taken yet
    std::int64_t limit = 0;        // ask while fewer items wait
    std::int64_t per_producer = 0; // items
    std::deque<std::int64_t> items;
    std::deque<caf::actor> idle_producers;
    std::deque<caf::actor> idle_consumers;
};

caf::behavior produce(caf::stateful_actor<producer_state> *self, caf::actor manager,
                      std::int64_t first, std::int64_t last)
{
    self->state.next = first;
    return {
        [=](produce_atom) {
            self->send(manager, item_atom::value, self->state.next);
            if (self->state.next++ == last)
                self->quit();
        },
    };
}

caf::behavior consume(caf::stateful_actor<consumer_state> *self, caf::actor main)
{
    return {
        [=](item_atom, std::int64_t item) {
            self->state.sum += item;
            self->send(caf::actor_cast<caf::actor>(self->current_sender()), free_atom::value);
        },
        [=](stop_atom) {
            self->send(main, self->state.sum);
            self->quit();
        },
    };
}

caf::actor pop(std::deque<caf::actor> &actors)
{
    caf::actor first = std::move(actors.front());
    actors.pop_front();
    return first;
}

using manager = caf::stateful_actor<manager_state>;

void on_item(manager *self, std::int64_t item)
{
    manager_state &state = self->state;
    if (!state.idle_consumers.empty())
        self->send(pop(state.idle_consumers), item_atom::value, item);
    else
        state.items.push_back(item);
    if (item % state.per_producer == 0)
        return; // that was its last
    caf::actor producer = caf::actor_cast<caf::actor>(self->current_sender());
    if (static_cast<std::int64_t>(state.items.size()) < state.limit)
        self->send(producer, produce_atom::value);
    else
        state.idle_producers.push_back(std::move(producer));
}

void on_free(manager *self)
{
    manager_state &state = self->state;
    --state.left;
    caf::actor consumer = caf::actor_cast<caf::actor>(self->current_sender());
    if (state.items.empty()) {
        state.idle_consumers.push_back(std::move(consumer));
        return;
    }
    self->send(consumer, item_atom::value, state.items.front());
    state.items.pop_front();
    if (!state.idle_producers.empty())
        self->send(pop(state.idle_producers), produce_atom::value);
}

caf::behavior manage(manager *self, caf::actor main, std::int64_t producers, std::int64_t places,
                     std::int64_t items, const std::vector<caf::actor> &consumers)
{
    self->state.left = producers * items;
    self->state.limit = places - producers;
    self->state.per_producer = items;
    self->state.idle_consumers.assign(consumers.begin(), consumers.end());
    return {
        [=](item_atom, std::int64_t item) { on_item(self, item); },
        [=](free_atom) {
            on_free(self);
            if (self->state.left == 0) {
                self->send(main, done_atom::value);
                self->quit();
            }
        },
    };
}

} // namespace

result run_bounded_buffer(caf::actor_system &system, const params &numbers)
{
    caf::scoped_actor self{system};
    std::int64_t producer_count = numbers[0], consumer_count = numbers[1], places = numbers[2];
    std::int64_t items = numbers[3], sum = 0;
    std::vector<caf::actor> producers, consumers;
    for (std::int64_t i = 0; i < consumer_count; ++i)
        consumers.push_back(system.spawn(consume, self));
    caf::actor manager = system.spawn(manage, self, producer_count, places, items, consumers);
    for (std::int64_t i = 0; i < producer_count; ++i)
        producers.push_back(system.spawn(produce, manager, i * items + 1, (i + 1) * items));
    stopwatch watch;
    for (const caf::actor &producer : producers)
        self->send(producer, produce_atom::value);
    self->receive([](done_atom) {});
    std::int64_t ns = watch.ns();
    for (const caf::actor &consumer : consumers)
        self->send(consumer, stop_atom::value);
    std::int64_t i = 0;
    self->receive_for(i, consumer_count)([&](std::int64_t part) { sum += part; });
    return {ns, 4 * producer_count * items, sum};
}
