// SPDX-License-Identifier: Apache-2.0
//
// A bank that loses nothing, although an account fails in the midst of its business.
//
// Each account is a pooled actor, which alone knows its balance. Tellers are thread actors that
// transfer money: they ask one account for the money and another one to take it. An ask ends with
// an answer, with the news that the account is no more, or at its deadline; so a teller always
// knows what happened to the money, and puts it back where it came from when the transfer fails.
//
// One account finds that it has been emptied too often, and fails. Its exit record says why, and
// carries its balance, so that the auditor, who monitors all accounts, can still count it.
#include <forkless/forkless.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ACCOUNTS = 8, TELLERS = 4, TRANSFERS = 500, START = 1000, PATIENCE = 40, SUSPECT = 3 };

enum operation { DEPOSIT, WITHDRAW, BALANCE };

struct request {
    enum operation operation;
    int64_t amount;
};

struct account {
    int64_t balance;
    int withdrawals_left; // before it fails; below 0: it never does
};

struct bank {
    fkl_runtime *runtime;
    fkl_actor_id accounts[ACCOUNTS];
};

struct teller {
    struct bank *bank;
    unsigned seed;
    int done, refused, put_back;
};

// A real program would do better than to exit.
static void check(fkl_err err, const char *doing)
{
    if (err != FKL_OK) {
        fprintf(stderr, "bank: %s failed, because %s\n", doing, fkl_strerror(err));
        exit(1);
    }
}

// ---- accounts

static int64_t apply(struct account *account, const struct request *request)
{
    if (request->operation == DEPOSIT) {
        account->balance += request->amount;
    } else if (request->operation == WITHDRAW) {
        if (account->balance < request->amount)
            return -1;
        account->balance -= request->amount;
        account->withdrawals_left--;
    }
    return account->balance;
}

static fkl_turn serve(fkl_actor *self, fkl_msg *msg, void *state)
{
    struct account *account = state;
    if (account->withdrawals_left == 0) {
        fkl_failure failure = {.type = "suspicious_account",
                               .message = "it has been emptied too often",
                               .payload = &account->balance,
                               .payload_len = sizeof account->balance};
        check(fkl_actor_fail(self, &failure), "failing");
        fkl_msg_destroy(msg); // unanswered: who asked learns it, as do those who still wait
        return FKL_TURN_END;
    }
    int64_t result = apply(account, fkl_msg_data(msg));
    fkl_msg *answer;
    check(fkl_msg_create_copy(fkl_actor_runtime(self), FKL_CODEC_RAW, &result, sizeof result,
                              &answer),
          "making an answer");
    if (fkl_reply(msg, answer) != FKL_OK)
        fkl_msg_destroy(answer); // who asked has gone
    fkl_msg_destroy(msg);
    return FKL_TURN_CONTINUE;
}

static void close_account(fkl_actor *self, void *state)
{
    (void)self;
    free(state);
}

static fkl_actor_id open_account(fkl_runtime *runtime, bool suspect)
{
    fkl_behaviour behaviour = {.receive = serve, .finish = close_account};
    fkl_spawn_options options = {.name = "account"};
    struct account *account = malloc(sizeof *account);
    check(account ? FKL_OK : FKL_ENOMEM, "opening an account");
    *account = (struct account){START, suspect ? PATIENCE : -1};
    fkl_actor *actor;
    check(fkl_spawn_pooled(runtime, &options, &behaviour, account, &actor), "opening an account");
    fkl_actor_id id = fkl_actor_get_id(actor);
    fkl_actor_release(actor);
    return id;
}

// ---- tellers

// What the account answers. Errors: those of fkl_ask_until().
static fkl_err ask(struct bank *bank, fkl_actor_id account, enum operation operation,
                   int64_t amount, int64_t *result)
{
    struct request request = {operation, amount};
    fkl_msg *msg;
    check(fkl_msg_create_copy(bank->runtime, FKL_CODEC_RAW, &request, sizeof request, &msg),
          "making a request");
    fkl_msg *answer;
    fkl_err err = fkl_ask_until(bank->runtime, account, msg, fkl_after_ms(60000), &answer);
    if (!err)
        *result = *(int64_t *)fkl_msg_data(answer);
    fkl_msg_destroy(answer); // on FKL_EDOWN it would say how the account ended
    return err;
}

static void transfer(struct teller *teller, fkl_actor_id from, fkl_actor_id to, int64_t amount)
{
    int64_t result;
    fkl_err err = ask(teller->bank, from, WITHDRAW, amount, &result);
    if (err || result < 0) {
        teller->refused++;
    } else if (ask(teller->bank, to, DEPOSIT, amount, &result) == FKL_OK) {
        teller->done++;
    } else {
        // It ended before it took the money, so that goes back. The other one is alive: it has just
        // answered, and only the suspect fails.
        check(ask(teller->bank, from, DEPOSIT, amount, &result), "putting money back");
        teller->put_back++;
    }
}

static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return *seed >> 16;
}

static void tell(fkl_actor *self, void *arg)
{
    (void)self;
    struct teller *teller = arg;
    for (int i = 0; i < TRANSFERS; i++) {
        unsigned from = next_random(&teller->seed) % ACCOUNTS;
        unsigned to = (from + 1 + next_random(&teller->seed) % (ACCOUNTS - 1)) % ACCOUNTS;
        int64_t amount = 1 + next_random(&teller->seed) % 300;
        transfer(teller, teller->bank->accounts[from], teller->bank->accounts[to], amount);
    }
}

// ---- the auditor

static int64_t read_last_balance(const fkl_exit *record)
{
    fkl_failure_view failure;
    check(fkl_failure_read(record->error, record->error_len, &failure), "reading a failure");
    printf("an account failed: %.*s, %.*s\n", (int)failure.type.len, failure.type.data,
           (int)failure.message.len, failure.message.data);
    int64_t balance;
    check(failure.payload_len == sizeof balance ? FKL_OK : FKL_ECORRUPT, "reading a balance");
    memcpy(&balance, failure.payload, sizeof balance); // it may lie at any address
    return balance;
}

static void audit(fkl_actor *self, void *arg)
{
    (void)self;
    struct bank *bank = arg;
    int64_t total = 0;
    int open = 0;
    for (int i = 0; i < ACCOUNTS; i++) {
        int64_t balance = 0;
        fkl_err err = ask(bank, bank->accounts[i], BALANCE, 0, &balance);
        if (err)
            check(i == SUSPECT ? FKL_OK : err, "asking for a balance");
        open += !err;
        total += balance;
    }
    fkl_msg *msg;
    check(fkl_receive_until(fkl_after_ms(60000), &msg), "receiving the news");
    fkl_exit record;
    check(fkl_msg_down(msg, NULL, &record, NULL), "reading the news");
    total += read_last_balance(&record);
    fkl_msg_destroy(msg);
    printf("%d of %d accounts are open; %lld of %d are accounted for\n", open, ACCOUNTS,
           (long long)total, ACCOUNTS * START);
}

// Watches from the beginning, audits when the tellers have gone home.
static void auditor(fkl_actor *self, void *arg)
{
    struct bank *bank = arg;
    struct teller tellers[TELLERS];
    fkl_actor *actors[TELLERS];
    fkl_monitor_ref ref;
    for (int i = 0; i < ACCOUNTS; i++)
        check(fkl_monitor(bank->accounts[i], &ref), "watching");
    for (int i = 0; i < TELLERS; i++) {
        fkl_spawn_options options = {.name = "teller"};
        tellers[i] = (struct teller){.bank = bank, .seed = (unsigned)i + 1};
        check(fkl_spawn(bank->runtime, &options, tell, &tellers[i], &actors[i]), "hiring");
    }
    int transfers = 0;
    for (int i = 0; i < TELLERS; i++) {
        check(fkl_actor_join_thread_until(actors[i], FKL_FOREVER), "waiting for a teller");
        fkl_actor_release(actors[i]);
        transfers += tellers[i].done + tellers[i].refused + tellers[i].put_back;
    }
    printf("%d transfers were tried\n", transfers);
    audit(self, bank);
}

int main(void)
{
    struct bank bank;
    check(fkl_runtime_create(NULL, &bank.runtime), "making the runtime");
    for (int i = 0; i < ACCOUNTS; i++)
        bank.accounts[i] = open_account(bank.runtime, i == SUSPECT);
    fkl_actor *actor;
    check(fkl_spawn(bank.runtime, &(fkl_spawn_options){.name = "auditor"}, auditor, &bank, &actor),
          "spawning the auditor");
    check(fkl_actor_join_thread_until(actor, FKL_FOREVER), "waiting for the auditor");
    fkl_actor_release(actor);
    check(fkl_runtime_shutdown(bank.runtime, fkl_after_ms(10000)), "shutting down");
    check(fkl_runtime_destroy(bank.runtime), "destroying the runtime");
    return 0;
}
