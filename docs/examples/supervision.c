// SPDX-License-Identifier: Apache-2.0
//
// A worker that fails, and a supervisor that replaces it:
//
//      main -> "worker" -> "ledger" -> a channel -> main
//
// The worker checks numbers and passes them on; 13 is too much for it. The message on which it
// failed is gone. Those behind it are not: the next incarnation has the same name, begins with a
// clean state, and receives what the one before it had not received. The ledger lives on, since the
// supervisor restarts only what was added after a child that failed.
#include <forkless/forkless.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { LAST = 0, UNLUCKY = 13 };

// A real program would do better than to exit.
static void check(fkl_err err, const char *doing)
{
    if (err != FKL_OK) {
        fprintf(stderr, "supervision: %s failed, because %s\n", doing, fkl_strerror(err));
        exit(1);
    }
}

static fkl_msg *number_message(uint64_t number)
{
    fkl_msg *msg;
    check(fkl_msg_create(NULL, FKL_CODEC_RAW, 0, &msg), "making a message");
    fkl_msg_set_tag(msg, number); // a small number needs no payload
    return msg;
}

// Nobody has the name for a moment while its owner is replaced.
static void tell(fkl_runtime *runtime, const char *name, uint64_t number)
{
    fkl_msg *msg = number_message(number);
    fkl_err err;
    while ((err = fkl_send_named(runtime, name, msg)) == FKL_ENOACTOR)
        check(fkl_sleep_until(fkl_after_ms(1)), "sleeping");
    check(err, "sending");
}

// ---- the children

// Each incarnation gets one of its own.
struct worker {
    uint64_t checked;
};

static fkl_err make_worker(void *arg, void **state)
{
    (void)arg;
    *state = calloc(1, sizeof(struct worker));
    return *state ? FKL_OK : FKL_ENOMEM;
}

static void discard_worker(void *arg, void *state)
{
    (void)arg;
    free(state);
}

static void work(fkl_actor *self, void *arg)
{
    struct worker *worker = arg;
    fkl_msg *msg;
    while (fkl_receive_until(FKL_FOREVER, &msg) == FKL_OK) {
        uint64_t number = fkl_msg_tag(msg);
        fkl_msg_destroy(msg);
        if (number == UNLUCKY) {
            printf("a worker fails after %" PRIu64 " numbers\n", worker->checked);
            check(fkl_actor_fail(self, &(fkl_failure){.type = "unlucky"}), "failing");
            break;
        }
        worker->checked++;
        tell(fkl_actor_runtime(self), "ledger", number);
    }
    free(worker);
}

struct ledger {
    fkl_channel *totals;
    uint64_t total;
};

// A pooled actor: it never waits, so it needs no thread.
static fkl_turn enter(fkl_actor *self, fkl_msg *msg, void *state)
{
    struct ledger *ledger = state;
    (void)self;
    ledger->total += fkl_msg_tag(msg);
    if (fkl_msg_tag(msg) != LAST) {
        fkl_msg_destroy(msg);
    } else {
        fkl_msg_set_tag(msg, ledger->total);
        check(fkl_channel_try_send(ledger->totals, msg), "telling the total");
    }
    return FKL_TURN_CONTINUE;
}

// ---- main

int main(void)
{
    const uint64_t numbers[] = {1, 2, UNLUCKY, 3, 4, LAST};
    fkl_runtime *runtime;
    fkl_actor *supervisor;
    fkl_msg *msg;
    fkl_start_failure failure;
    struct ledger ledger = {0};
    check(fkl_runtime_create(NULL, &runtime), "making the runtime");
    check(fkl_channel_create(runtime, 0, &ledger.totals), "making the channel");
    const fkl_behaviour entering = {.receive = enter};
    const fkl_child_spec children[] = {
        {.id = "ledger", .spawn.register_as = "ledger", .behaviour = &entering, .arg = &ledger},
        {.id = "worker",
         .spawn.register_as = "worker",
         .fn = work,
         .prepare = make_worker,
         .discard = discard_worker}};
    const fkl_supervisor_options options = {
        .strategy = FKL_REST_FOR_ONE, .children = children, .child_count = 2};
    check(fkl_supervisor_start_until(runtime, NULL, &options, fkl_after_ms(10000), &supervisor,
                                     &failure),
          "starting the children");
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        tell(runtime, "worker", numbers[i]);
    check(fkl_channel_receive_until(ledger.totals, FKL_FOREVER, &msg), "receiving the total");
    printf("the others make %" PRIu64 "\n", fkl_msg_tag(msg));
    fkl_msg_destroy(msg);
    // Stops the worker, then the ledger, then itself.
    fkl_actor_stop(supervisor);
    fkl_actor_release(supervisor);
    check(fkl_runtime_shutdown(runtime, fkl_after_ms(10000)), "shutting down");
    fkl_channel_release(ledger.totals);
    check(fkl_runtime_destroy(runtime), "destroying the runtime");
    return 0;
}
