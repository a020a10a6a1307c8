// SPDX-License-Identifier: Apache-2.0
//
// Chameneos: creatures ask a mall to meet somebody. It brings them together two by two: it passes
// the second one's request on to the first, which takes a new colour from both and tells the second
// one; then both ask again. Parameters: creatures, meetings. Operations: messages, four for each
// meeting. Checksum: the meetings that all creatures counted, each twice.

#include "kit.h"

#include <stdlib.h>
#include <string.h>

enum { START, MEET, CHANGE, EXIT, COUNT };
enum { BLUE, RED, YELLOW, COLOURS };

struct creature {
    fkl_actor *mall;
    int64_t colour;
    int64_t meetings;
};

struct mall {
    int64_t left;      // meetings
    int64_t creatures; // whose count has not come
    int64_t sum;
    fkl_actor_id waiting;
};

// What a request says: FKL_NOBODY stands for the sender.
struct request {
    int64_t colour;
    fkl_actor_id who;
};

static fkl_msg *make_request(int64_t colour, fkl_actor_id who)
{
    fkl_msg *msg;
    struct request request = {colour, who};
    kit_check(fkl_msg_create(kit_runtime, FKL_CODEC_RAW, sizeof request, &msg), "a request");
    memcpy(fkl_msg_data(msg), &request, sizeof request);
    fkl_msg_set_tag(msg, MEET);
    return msg;
}

static int64_t mixed(int64_t one, int64_t other)
{
    return one == other ? one : COLOURS - one - other;
}

static void ask(struct creature *creature)
{
    kit_check(fkl_actor_send(creature->mall, make_request(creature->colour, FKL_NOBODY)), "asking");
}

static fkl_turn live(fkl_actor *self, fkl_msg *msg, void *state)
{
    struct creature *creature = state;
    (void)self;
    struct request request;
    switch (fkl_msg_tag(msg)) {
    case MEET:
        memcpy(&request, fkl_msg_data(msg), sizeof request);
        fkl_msg_destroy(msg);
        creature->colour = mixed(creature->colour, request.colour);
        ++creature->meetings;
        kit_send_id(request.who, CHANGE, creature->colour);
        break;
    case CHANGE:
        creature->colour = kit_take(msg);
        ++creature->meetings;
        break;
    case EXIT:
        kit_send_id(fkl_msg_sender(msg), COUNT, creature->meetings);
        fkl_msg_destroy(msg);
        return FKL_TURN_END;
    default:
        fkl_msg_destroy(msg);
    }
    ask(creature);
    return FKL_TURN_CONTINUE;
}

static fkl_turn bring_together(fkl_actor *self, fkl_msg *msg, void *state)
{
    struct mall *mall = state;
    (void)self;
    if (fkl_msg_tag(msg) == COUNT) {
        mall->sum += kit_take(msg);
        return --mall->creatures ? FKL_TURN_CONTINUE : FKL_TURN_END;
    }
    struct request request;
    fkl_actor_id who = fkl_msg_sender(msg);
    memcpy(&request, fkl_msg_data(msg), sizeof request);
    fkl_msg_destroy(msg);
    if (mall->left == 0) {
        kit_send_id(who, EXIT, 0);
    } else if (mall->waiting == FKL_NOBODY) {
        mall->waiting = who;
    } else {
        kit_check(fkl_send(kit_runtime, mall->waiting, make_request(request.colour, who)),
                  "passing a request on");
        mall->waiting = FKL_NOBODY;
        --mall->left;
    }
    return FKL_TURN_CONTINUE;
}

static const fkl_behaviour lives = {.receive = live};
static const fkl_behaviour brings_together = {.receive = bring_together};

kit_result run_chameneos(const int64_t *params)
{
    int64_t count = params[0], meetings = params[1];
    struct mall mall = {.left = meetings, .creatures = count};
    struct creature *creatures = kit_alloc(count, sizeof *creatures);
    fkl_actor **actors = kit_alloc(count, sizeof(fkl_actor *));
    fkl_actor *mall_actor = kit_spawn(&brings_together, &mall);
    for (int64_t i = 0; i < count; ++i) {
        creatures[i] = (struct creature){mall_actor, i % COLOURS, 0};
        actors[i] = kit_spawn(&lives, &creatures[i]);
    }
    fkl_time begin = fkl_now();
    for (int64_t i = 0; i < count; ++i)
        kit_send(actors[i], START, 0);
    kit_join(mall_actor);
    fkl_time ns = fkl_now() - begin;
    for (int64_t i = 0; i < count; ++i) {
        if (creatures[i].colour < 0 || creatures[i].colour >= COLOURS)
            kit_fail("a colour that does not exist");
        kit_join(actors[i]);
    }
    free(actors);
    free(creatures);
    return (kit_result){ns, 4 * meetings, mall.sum, 0, NULL};
}
