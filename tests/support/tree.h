// SPDX-License-Identifier: Apache-2.0
//
// What the tests of supervision share: children that do what a message says and keep a diary, and a
// journal of what happened in which order, across all children.
#ifndef FKL_TESTS_SUPPORT_TREE_H
#define FKL_TESTS_SUPPORT_TREE_H

#include "support/rig.h"

#include <pthread.h>
#include <stdio.h>

// ---- the journal

enum { TREE_PAGES = 512 };

typedef struct tree_journal {
    atomic_int len;
    _Atomic(const char *) entries[TREE_PAGES]; // static texts, or of something that outlives it
} tree_journal;

static inline void tree_note(tree_journal *journal, const char *text)
{
    int page = atomic_fetch_add(&journal->len, 1);
    if (page < TREE_PAGES) {
        atomic_store(&journal->entries[page], text);
    }
}

// The entries from `first` on, joined by spaces. They must not change any more.
static inline void tree_read(tree_journal *journal, int first, char *text, size_t size)
{
    size_t len = 0;
    text[0] = '\0';
    for (int i = first; i < atomic_load(&journal->len) && i < TREE_PAGES; i++) {
        len += (size_t)snprintf(text + len, size - len, "%s%s", i > first ? " " : "",
                                atomic_load(&journal->entries[i]));
        cr_assert_lt(len, size);
    }
}

#define tree_assert_journal(journal, first, expected)                                              \
    do {                                                                                           \
        char tree_text_[2048];                                                                     \
        tree_read((journal), (first), tree_text_, sizeof tree_text_);                              \
        cr_assert_str_eq(tree_text_, (expected), "'%s', not '%s'", tree_text_, (expected));        \
    } while (0)

// ---- children

// Tags of messages to a child; every other one is written into its diary.
enum {
    DO_RETURN = 1000, // its function returns
    DO_FAIL,          // with an exit code
    DO_HANG           // deaf until its gate opens; then it returns
};

enum { TREE_DIARY = 64 };

// One child, over all its incarnations.
typedef struct tree_kid {
    const char *start; // what goes into the journal when it starts and when it ends
    const char *end;
    tree_journal *journal; // NULL: none
    rig_gate gate;
    bool hangs;         // takes no notice of a request to stop until the gate is open
    fkl_err unprepared; // what `prepare` gives
    atomic_int running;
    atomic_int overlaps; // incarnations that began before another had ended
    atomic_int starts;
    atomic_int discards;
    _Atomic fkl_actor_id id; // of the latest
    atomic_int received;
    atomic_uint_least64_t diary[TREE_DIARY];
} tree_kid;

#define TREE_KID(name, book)                                                                       \
    {                                                                                              \
        .start = "+" name, .end = "-" name, .journal = (book)                                      \
    }

// In the supervisor's thread, so that the journal has the starts in their order.
static inline fkl_err tree_prepare(void *arg, void **state)
{
    tree_kid *kid = arg;
    if (kid->unprepared) {
        return kid->unprepared;
    }
    if (kid->journal) {
        tree_note(kid->journal, kid->start);
    }
    *state = kid;
    return FKL_OK;
}

static inline void tree_discard(void *arg, void *state)
{
    (void)arg;
    atomic_fetch_add(&((tree_kid *)state)->discards, 1);
}

static inline void tree_begin(fkl_actor *self, tree_kid *kid)
{
    if (atomic_fetch_add(&kid->running, 1) > 0) {
        atomic_fetch_add(&kid->overlaps, 1);
    }
    atomic_store(&kid->id, fkl_actor_get_id(self));
    atomic_fetch_add(&kid->starts, 1);
}

static inline void tree_end(tree_kid *kid)
{
    if (kid->hangs) {
        rig_pass(&kid->gate);
    }
    if (kid->journal) {
        tree_note(kid->journal, kid->end);
    }
    atomic_fetch_sub(&kid->running, 1);
}

// Returns whether the child goes on.
static inline bool tree_handle(fkl_actor *self, tree_kid *kid, fkl_msg *msg)
{
    uint64_t tag = fkl_msg_tag(msg);
    fkl_msg_destroy(msg);
    if (tag == DO_FAIL) {
        fkl_err err = fkl_actor_set_exit(self, 7, NULL, 0);
        (void)err; // without an error to copy it cannot fail
    } else if (tag == DO_HANG) {
        rig_pass(&kid->gate);
    }
    if (tag >= DO_RETURN) {
        return false;
    }
    int page = atomic_load(&kid->received);
    if (page < TREE_DIARY) {
        atomic_store(&kid->diary[page], tag);
    }
    atomic_store(&kid->received, page + 1);
    return true;
}

static inline void act_kid(fkl_actor *self, void *arg)
{
    tree_kid *kid = arg;
    fkl_msg *msg = NULL;
    tree_begin(self, kid);
    for (;;) {
        fkl_err err = fkl_receive_until(FKL_FOREVER, &msg);
        if (err == FKL_ESTOPPED || (err == FKL_OK && !tree_handle(self, kid, msg))) {
            break;
        }
    }
    tree_end(kid);
}

static inline void pooled_start(fkl_actor *self, void *state)
{
    tree_begin(self, state);
}

static inline fkl_turn pooled_receive(fkl_actor *self, fkl_msg *msg, void *state)
{
    return tree_handle(self, state, msg) ? FKL_TURN_CONTINUE : FKL_TURN_END;
}

static inline void pooled_finish(fkl_actor *self, void *state)
{
    (void)self;
    tree_end(state);
}

static const fkl_behaviour pooled_kid = {pooled_receive, pooled_start, pooled_finish};

#define TREE_SPEC(name, kid) .id = (name), .prepare = tree_prepare, .arg = (kid), .fn = act_kid

// ---- supervisors

static inline fkl_actor *tree_start(fkl_runtime *runtime, const fkl_supervisor_options *options)
{
    fkl_actor *supervisor = NULL;
    fkl_start_failure failure = {FKL_OK, ""};
    fkl_spawn_options spawn = {.name = "boss"};
    fkl_err err = fkl_supervisor_start_until(runtime, &spawn, options, SOON, &supervisor, &failure);
    cr_assert_eq(err, FKL_OK, "%s of %s", fkl_err_name(err), failure.child);
    return supervisor;
}

static inline fkl_exit tree_stop(fkl_actor *supervisor)
{
    fkl_actor_stop(supervisor);
    return rig_join(supervisor);
}

static inline fkl_child tree_add(fkl_actor *supervisor, const fkl_child_spec *spec)
{
    fkl_child child = 0;
    assert_ok(fkl_supervisor_add_until(supervisor, spec, SOON, &child));
    return child;
}

static inline fkl_child_info tree_info(fkl_actor *supervisor, const char *id)
{
    fkl_child_info info;
    assert_ok(fkl_supervisor_find(supervisor, id, &info));
    return info;
}

static inline bool tree_is(fkl_actor *supervisor, const char *id, fkl_child_state state)
{
    fkl_child_info info;
    return fkl_supervisor_find(supervisor, id, &info) == FKL_OK && info.state == state;
}

// Waits until the child runs for the n-th time.
#define tree_await(kid, n) assert_eventually(atomic_load(&(kid)->starts) >= (n))

// The journal has so many entries.
#define tree_await_journal(journal, n) assert_eventually(atomic_load(&(journal)->len) >= (n))

// Sends to the latest incarnation, which must be alive.
static inline void tree_tell(fkl_actor *supervisor, tree_kid *kid, uint64_t tag)
{
    assert_ok(fkl_send(fkl_actor_runtime(supervisor), atomic_load(&kid->id), rig_msg(tag)));
}

static inline void tree_kill(fkl_actor *supervisor, tree_kid *kid)
{
    fkl_actor *actor = NULL;
    assert_ok(fkl_actor_find(fkl_actor_runtime(supervisor), atomic_load(&kid->id), &actor));
    cr_assert(fkl_actor_kill(actor, 9));
    fkl_actor_release(actor);
}

static inline fkl_supervisor_counts tree_counts(fkl_actor *supervisor)
{
    fkl_supervisor_counts counts;
    assert_ok(fkl_supervisor_count(supervisor, &counts));
    return counts;
}

// ---- the library's own messages

typedef struct tree_log {
    atomic_int len;
    char lines[16][512];
} tree_log;

// Supervisors of one runtime write from their threads; the tests have one that writes at a time.
static inline void tree_write(fkl_log_level level, const char *text, void *ctx)
{
    tree_log *log = ctx;
    int line = atomic_load(&log->len);
    if (level >= FKL_LOG_WARN && line < 16) {
        snprintf(log->lines[line], sizeof log->lines[line], "%s", text);
        atomic_store(&log->len, line + 1);
    }
}

static inline fkl_runtime *tree_create(tree_log *log)
{
    fkl_runtime *runtime = NULL;
    fkl_runtime_config config = {.log = tree_write, .log_ctx = log};
    assert_ok(fkl_runtime_create(&config, &runtime));
    return runtime;
}

#endif
