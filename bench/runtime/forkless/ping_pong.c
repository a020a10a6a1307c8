// SPDX-License-Identifier: Apache-2.0
//
// Ping-pong: two actors send one message to and fro.
// Parameters: pings. Operations: messages. Checksum: all payloads received.

#include "kit.h"

enum { START, PING, PONG, END };

struct player {
    fkl_actor *other;
    int64_t last;
    int64_t sum;
};

static fkl_turn ping(fkl_actor *self, fkl_msg *msg, void *state)
{
    struct player *player = state;
    (void)self;
    int64_t value = kit_take(msg);
    player->sum += value;
    if (value == player->last) {
        kit_send(player->other, END, 0);
        return FKL_TURN_END;
    }
    kit_send(player->other, PING, value + 1);
    return FKL_TURN_CONTINUE;
}

static fkl_turn pong(fkl_actor *self, fkl_msg *msg, void *state)
{
    struct player *player = state;
    (void)self;
    bool end = fkl_msg_tag(msg) == END;
    int64_t value = kit_take(msg);
    if (end)
        return FKL_TURN_END;
    player->sum += value;
    kit_send(player->other, PONG, value);
    return FKL_TURN_CONTINUE;
}

static const fkl_behaviour pings = {.receive = ping};
static const fkl_behaviour pongs = {.receive = pong};

kit_result run_ping_pong(const int64_t *params)
{
    struct player pinger = {.last = params[0]}, ponger = {0};
    pinger.other = kit_spawn(&pongs, &ponger);
    ponger.other = kit_spawn(&pings, &pinger);
    fkl_time begin = fkl_now();
    kit_send(ponger.other, START, 0);
    kit_join(ponger.other);
    fkl_time ns = fkl_now() - begin;
    kit_join(pinger.other);
    return (kit_result){ns, 2 * params[0], pinger.sum + ponger.sum, 0, NULL};
}
