// SPDX-License-Identifier: Apache-2.0
//
// Thread ring: actors in a circle pass a number on, each time less one, until it is 0.
// Parameters: actors (at least 2), hops. Operations: hops. Checksum: all payloads received.

#include "kit.h"

#include <stdlib.h>

enum { TOKEN, END };

struct member {
    fkl_actor *actor;
    fkl_actor *next;
    int64_t members;
    int64_t sum;
};

static fkl_turn pass(fkl_actor *self, fkl_msg *msg, void *state)
{
    struct member *member = state;
    (void)self;
    bool end = fkl_msg_tag(msg) == END;
    int64_t value = kit_take(msg);
    if (end) { // its value says how many are behind
        if (value > 0)
            kit_send(member->next, END, value - 1);
        return FKL_TURN_END;
    }
    member->sum += value;
    if (value > 0) {
        kit_send(member->next, TOKEN, value - 1);
        return FKL_TURN_CONTINUE;
    }
    kit_send(member->next, END, member->members - 2);
    return FKL_TURN_END;
}

static const fkl_behaviour passes = {.receive = pass};

kit_result run_thread_ring(const int64_t *params)
{
    int64_t count = params[0], hops = params[1], sum = 0;
    if (count < 2)
        kit_fail("a ring has two members or more");
    struct member *members = kit_alloc(count, sizeof *members);
    for (int64_t i = 0; i < count; ++i) {
        members[i].members = count;
        members[i].actor = kit_spawn(&passes, &members[i]);
    }
    for (int64_t i = 0; i < count; ++i)
        members[i].next = members[(i + 1) % count].actor;
    fkl_time begin = fkl_now();
    kit_send(members[0].actor, TOKEN, hops);
    kit_join(members[hops % count].actor); // who gets the 0
    fkl_time ns = fkl_now() - begin;
    for (int64_t i = 0; i < count; ++i) {
        if (i != hops % count)
            kit_join(members[i].actor);
        sum += members[i].sum;
    }
    free(members);
    return (kit_result){ns, hops, sum, 0, NULL};
}
