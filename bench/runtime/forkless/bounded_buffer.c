// SPDX-License-Identifier: Apache-2.0
//
// Bounded buffer: a manager between producers, which make an item when it asks for one, and
// consumers, which say when they are free. It asks only while there are places for what all
// producers may have under way.
// Parameters: producers, consumers, places (more than producers), items from each producer.
// Operations: messages, four for each item. Checksum: the items that the consumers got.

#include "kit.h"

#include <stdlib.h>

enum { PRODUCE, ITEM, FREE, END };

// A ring of integers; it never gets more than it was made for.
struct ring {
    int64_t *slots;
    int64_t size;
    int64_t first;
    int64_t len;
};

struct producer {
    fkl_actor *actor;
    fkl_actor *manager;
    int64_t next;
    int64_t last;
};

struct consumer {
    fkl_actor *actor;
    int64_t sum;
};

struct manager {
    fkl_actor *actor;
    int64_t limit; // ask while fewer items wait
    int64_t per_producer;
    int64_t left; // items that no consumer has taken yet
    struct ring items;
    struct ring idle_producers; // ids
    struct ring idle_consumers; // ids
};

static struct ring make_ring(int64_t size)
{
    return (struct ring){kit_alloc(size, sizeof(int64_t)), size, 0, 0};
}

static void put(struct ring *ring, int64_t value)
{
    if (ring->len == ring->size)
        kit_fail("more in a queue than there can be");
    ring->slots[(ring->first + ring->len++) % ring->size] = value;
}

static int64_t get(struct ring *ring)
{
    int64_t value = ring->slots[ring->first];
    ring->first = (ring->first + 1) % ring->size;
    --ring->len;
    return value;
}

static fkl_turn produce(fkl_actor *self, fkl_msg *msg, void *state)
{
    struct producer *producer = state;
    (void)self;
    fkl_msg_destroy(msg);
    kit_send(producer->manager, ITEM, producer->next);
    return producer->next++ < producer->last ? FKL_TURN_CONTINUE : FKL_TURN_END;
}

static fkl_turn consume(fkl_actor *self, fkl_msg *msg, void *state)
{
    struct consumer *consumer = state;
    (void)self;
    if (fkl_msg_tag(msg) == END) {
        fkl_msg_destroy(msg);
        return FKL_TURN_END;
    }
    fkl_actor_id manager = fkl_msg_sender(msg);
    consumer->sum += kit_take(msg);
    kit_send_id(manager, FREE, 0);
    return FKL_TURN_CONTINUE;
}

static void on_item(struct manager *manager, fkl_actor_id producer, int64_t item)
{
    if (manager->idle_consumers.len)
        kit_send_id((fkl_actor_id)get(&manager->idle_consumers), ITEM, item);
    else
        put(&manager->items, item);
    if (item % manager->per_producer == 0)
        return; // that was its last
    if (manager->items.len < manager->limit)
        kit_send_id(producer, PRODUCE, 0);
    else
        put(&manager->idle_producers, (int64_t)producer);
}

static void on_free(struct manager *manager, fkl_actor_id consumer)
{
    --manager->left;
    if (!manager->items.len) {
        put(&manager->idle_consumers, (int64_t)consumer);
        return;
    }
    kit_send_id(consumer, ITEM, get(&manager->items));
    if (manager->idle_producers.len)
        kit_send_id((fkl_actor_id)get(&manager->idle_producers), PRODUCE, 0);
}

static fkl_turn manage(fkl_actor *self, fkl_msg *msg, void *state)
{
    struct manager *manager = state;
    (void)self;
    bool is_item = fkl_msg_tag(msg) == ITEM;
    fkl_actor_id sender = fkl_msg_sender(msg);
    int64_t value = kit_take(msg);
    if (is_item)
        on_item(manager, sender, value);
    else
        on_free(manager, sender);
    if (manager->left)
        return FKL_TURN_CONTINUE;
    while (manager->idle_consumers.len)
        kit_send_id((fkl_actor_id)get(&manager->idle_consumers), END, 0);
    return FKL_TURN_END;
}

static const fkl_behaviour produces = {.receive = produce};
static const fkl_behaviour consumes = {.receive = consume};
static const fkl_behaviour manages = {.receive = manage};

kit_result run_bounded_buffer(const int64_t *params)
{
    int64_t producer_count = params[0], consumer_count = params[1], places = params[2];
    int64_t items = params[3], sum = 0;
    if (places <= producer_count)
        kit_fail("there must be more places than producers");
    struct producer *producers = kit_alloc(producer_count, sizeof *producers);
    struct consumer *consumers = kit_alloc(consumer_count, sizeof *consumers);
    struct manager manager = {.limit = places - producer_count,
                              .per_producer = items,
                              .left = producer_count * items,
                              .items = make_ring(places),
                              .idle_producers = make_ring(producer_count),
                              .idle_consumers = make_ring(consumer_count)};
    for (int64_t i = 0; i < consumer_count; ++i) {
        consumers[i].actor = kit_spawn(&consumes, &consumers[i]);
        put(&manager.idle_consumers, (int64_t)fkl_actor_get_id(consumers[i].actor));
    }
    manager.actor = kit_spawn(&manages, &manager);
    for (int64_t i = 0; i < producer_count; ++i) {
        producers[i] = (struct producer){NULL, manager.actor, i * items + 1, (i + 1) * items};
        producers[i].actor = kit_spawn(&produces, &producers[i]);
    }
    fkl_time begin = fkl_now();
    for (int64_t i = 0; i < producer_count; ++i)
        kit_send(producers[i].actor, PRODUCE, 0);
    kit_join(manager.actor);
    fkl_time ns = fkl_now() - begin;
    for (int64_t i = 0; i < producer_count; ++i)
        kit_join(producers[i].actor);
    for (int64_t i = 0; i < consumer_count; ++i) {
        kit_join(consumers[i].actor);
        sum += consumers[i].sum;
    }
    free(manager.items.slots);
    free(manager.idle_producers.slots);
    free(manager.idle_consumers.slots);
    free(producers);
    free(consumers);
    return (kit_result){ns, 4 * producer_count * items, sum, 0, NULL};
}
