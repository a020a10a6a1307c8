// SPDX-License-Identifier: Apache-2.0
//
// The mailbox's handshake: senders push, one consumer receives and sleeps, somebody stops or drains
// the actor or publishes its exit.
//
// Models, access by access to what threads share:
//   runtime/inbox.c           push, take_list, block, unblock, drain, close
//   runtime/mailbox.c         the same of two inboxes: pop, close, drop, clear
//   runtime/scan.c            fkli_mailbox_block, fkli_mailbox_is_done
//   runtime/receive.c         fkl_receive_until: look, sleep_and_look
//   runtime/send.c            fkl_actor_send, fkl_actor_drain
//   runtime/exit.c            publish, up to the drop of what was left
//   runtime/actor.c           finish, as far as the mailbox goes
//   runtime/wait.c            fkli_scope_stop, fkli_wait_cancelled (without interrupts)
//   runtime/platform/futex.c  fkli_park, fkli_unpark, and the kernel's comparison before a sleep
//
// Proves: each message is handled, refused or dropped, exactly one of them and once; messages of
// one sender are handled in order; the consumer never sleeps while it has a message (nobody stops
// it before all messages have found their end, so it would sleep for ever); a stop, an exit or a
// drain always ends its sleep; a drained mailbox is emptied, not dropped; a message's memory may be
// used again at once (no ABA).
//
// Bounds: two senders of two messages each, one of which uses its memory again; or (SYSTEM) one of
// two user messages and one of a system message, with both inboxes; or (THREE_SENDERS) three of one
// message each. 1 sleep that ends by itself (signal, deadline, no reason), none with three senders.
// Left out: weak memory (every step is sequentially consistent), monitors (monitor.pml), bounds,
// receiving by choice, replies that are due, actors of the pool, counters, loads that only spare a
// compare-and-swap.
//
// accepted:
// accepted: -DVARIANT_SYSTEM
// accepted: -DVARIANT_THREE_SENDERS
// rejected: -DFAULT_WAKE -DVARIANT_SYSTEM
// rejected: -DFAULT_BLOCK
// rejected: -DFAULT_ONLY_USER -DVARIANT_SYSTEM
// rejected: -DFAULT_TAKE
// rejected: -DFAULT_CLOSE
// rejected: -DFAULT_PARK
// rejected: -DFAULT_EXIT
// rejected: -DFAULT_DRAIN -DVARIANT_SYSTEM
// rejected: -DFAULT_DONE -DVARIANT_SYSTEM

#define NONE 0 // a NULL; addresses of messages are 1 to 3

// The head word of an inbox: a list in the lower bits, and states.
#define list_of(word) ((word) & 7)
#define DRAINED 8
#define CLOSED 16
#define BLOCKED 32

#define SYSTEM 0
#define USER 1

#define MESSAGES 4
#ifdef VARIANT_SYSTEM
#define is_system(message) ((message) == 2)
#else
#define is_system(message) false
#endif
#define PLACES 3

mtype = { OK, EMPTY, STOPPED, TIMED_OUT, SIGNAL }; // of a receive
mtype = { NO_TOKEN, PARKED, NOTIFIED };            // of the parker
mtype = { AGAIN, PUSHED, PUSHED_WAKE, PUSH_REFUSED };

byte top[2];              // the inboxes' heads
byte next[PLACES + 1];    // the messages' links
byte content[PLACES + 1]; // which message is there, plus 1; 0: free memory
bool settled[MESSAGES];   // handled, refused or dropped

mtype token = NO_TOKEN;
bool asleep;              // in the kernel
#ifdef VARIANT_THREE_SENDERS
byte disturbances = 0;    // sleeps that may still end by themselves
#else
byte disturbances = 1;
#endif

bool stop_flag, ended_flag; // the scope's
bool actor_lock, exited;
bool only_drains; // of the test: no user message may be dropped

#define all_settled() (settled[0] && settled[1] && settled[2] && settled[3])

// -- Messages. Within d_step: nobody else sees them any more.

inline settle(address)
{
    assert(content[address] != 0 && !settled[content[address] - 1]);
    settled[content[address] - 1] = true;
    content[address] = 0;
    next[address] = NONE
}

inline settle_chain(chain)
{
    do
    :: chain != NONE ->
        scratch = next[chain];
        assert(!only_drains || is_system(content[chain] - 1));
        settle(chain);
        chain = scratch
    :: else -> break
    od;
    scratch = NONE
}

inline reverse(newest, oldest)
{
    oldest = NONE;
    do
    :: newest != NONE ->
        scratch = next[newest];
        next[newest] = oldest;
        oldest = newest;
        newest = scratch
    :: else -> break
    od;
    scratch = NONE
}

// -- Parker

inline unpark()
{
    d_step { must_wake = (token == PARKED); token = NOTIFIED };
    if
    :: must_wake -> d_step { asleep = false; must_wake = false } // futex_wake_one
    :: else
    fi
}

// `ended` becomes OK for a wake or for no reason, TIMED_OUT, or SIGNAL.
inline park(ended)
{
    ended = OK;
    d_step { // take_token
        found = (token == NOTIFIED);
        if :: found -> token = NO_TOKEN :: else fi
    };
    if
    :: found
    :: else ->
#ifdef FAULT_PARK // does not see a token that came before the sleeper marked itself
        token = PARKED;
#else
        d_step {
            found = (token == NOTIFIED);
            if :: found -> token = NO_TOKEN :: else -> token = PARKED fi
        };
#endif
        if
        :: found
        :: else ->
            asleep = (token == PARKED); // the kernel compares
            if
            :: !asleep
            :: d_step { asleep && disturbances > 0 -> disturbances--; asleep = false };
                if
                :: ended = OK
                :: ended = TIMED_OUT
                :: ended = SIGNAL
                fi
            fi;
            d_step {
                if :: token == NOTIFIED -> ended = OK :: else fi;
                token = NO_TOKEN
            }
        fi
    fi;
    found = false
}

// -- Inbox

inline push(inbox, address, result)
{
    do
    :: result == AGAIN ->
        d_step { // the link is private until the head is swapped
            next[address] = list_of(seen);
            if
            :: (seen & (CLOSED | DRAINED)) -> result = PUSH_REFUSED; next[address] = NONE
            :: !(seen & (CLOSED | DRAINED)) && top[inbox] != seen -> seen = top[inbox]
            :: !(seen & (CLOSED | DRAINED)) && top[inbox] == seen ->
                top[inbox] = address | (seen & DRAINED);
#ifdef FAULT_WAKE // a push over BLOCKED does not say so
                result = PUSHED
#else
                result = ((seen & BLOCKED) -> PUSHED_WAKE : PUSHED)
#endif
            fi
        }
    :: else -> break
    od
}

// With fkli_inbox_take().
inline pop(inbox, address)
{
    if
    :: first[inbox] != NONE
    :: else ->
        seen = top[inbox];
        do
        :: list_of(seen) == NONE -> break
        :: else ->
            d_step {
#ifdef FAULT_TAKE // the list is exchanged for NULL, which can replace CLOSED
                seen = list_of(top[inbox]);
                top[inbox] = NONE;
                reverse(seen, first[inbox])
#else
                if
                :: top[inbox] == seen ->
                    top[inbox] = seen & DRAINED;
                    seen = list_of(seen);
                    reverse(seen, first[inbox])
                :: else -> seen = top[inbox]
                fi
#endif
            }
        od
    fi;
    seen = NONE;
    d_step {
        address = first[inbox];
        if
        :: address != NONE -> first[inbox] = next[address]; next[address] = NONE
        :: else
        fi
    }
}

inline block(inbox, blocked)
{
    d_step {
#ifdef FAULT_BLOCK // announces although something came in between
        if :: !(top[inbox] & CLOSED) -> top[inbox] = BLOCKED :: else fi;
#else
        if :: top[inbox] == 0 -> top[inbox] = BLOCKED :: else fi;
#endif
        blocked = ((top[inbox] & BLOCKED) != 0)
    }
}

inline unblock(inbox)
{
    d_step { top[inbox] = top[inbox] & (DRAINED | CLOSED | 7) }
}

inline close(inbox, chain)
{
#ifdef FAULT_CLOSE // a load and a store
    seen = top[inbox];
    d_step { top[inbox] = CLOSED; chain = list_of(seen); seen = NONE };
#else
    d_step { chain = list_of(top[inbox]); top[inbox] = CLOSED };
#endif
    d_step { seen = chain; reverse(seen, chain) }
}

// -- Mailbox and exit

inline mailbox_pop(address)
{
#ifdef VARIANT_SYSTEM
    pop(SYSTEM, address);
#endif
    if
    :: address == NONE -> pop(USER, address)
    :: else
    fi
}

inline mailbox_block(blocked)
{
#if !defined VARIANT_SYSTEM || defined FAULT_ONLY_USER // announces the sleep in one inbox only
    block(USER, blocked)
#else
    block(SYSTEM, blocked);
    if
    :: blocked ->
        block(USER, blocked);
        if
        :: !blocked -> unblock(SYSTEM)
        :: else
        fi
    :: else
    fi
#endif
}

// Whether a drained mailbox has nothing more to come.
inline mailbox_is_done(done)
{
    done = ((top[USER] & (CLOSED | DRAINED)) == DRAINED);
    if
    :: done ->
#ifndef FAULT_DONE // although messages wait
        done = (list_of(top[USER]) == NONE)
#endif
    :: else
    fi
}

inline mailbox_unblock()
{
    unblock(USER);
#ifdef VARIANT_SYSTEM
    unblock(SYSTEM)
#endif
}

inline mailbox_close()
{
    close(USER, left);
#ifdef VARIANT_SYSTEM
    close(SYSTEM, left_system)
#endif
}

inline publish(published)
{
    d_step { !actor_lock -> actor_lock = true; published = !exited };
    if
    :: published ->
        ended_flag = true;
        mailbox_close();
        d_step { exited = true; actor_lock = false };
#ifndef FAULT_EXIT // does not wake the consumer
        unpark();
#endif
        d_step { settle_chain(left); settle_chain(left_system) }
    :: else -> actor_lock = false
    fi
}

inline stop()
{
    stop_flag = true;
    unpark()
}

inline drain()
{
    d_step {
        must_wake = ((top[USER] & BLOCKED) != 0);
        if
        :: !(top[USER] & CLOSED) -> top[USER] = list_of(top[USER]) | DRAINED
        :: else
        fi
    };
    if
    :: must_wake ->
        must_wake = false;
#ifndef FAULT_DRAIN // does not wake the consumer
        unpark()
#endif
    :: else
    fi
}

// -- Processes

// Sends messages from `message` to `last`; their memory is at `address` and following, or all at
// `address` if it `reuses`.
proctype sender(byte inbox; byte message; byte last; byte address; bool reuses)
{
    byte seen;
    bool must_wake;
    mtype result;
    do
    :: message <= last ->
        d_step {
            content[address] == 0 -> // fkl_msg_create()
            content[address] = message + 1;
            result = AGAIN;
            seen = top[inbox]
        };
        push(inbox, address, result);
        if
        :: result == PUSHED_WAKE -> unpark()
        :: result == PUSH_REFUSED -> d_step { settle(address) }
        :: else
        fi;
        d_step { seen = 0; result = 0; message++; address = (reuses -> address : address + 1) }
    :: else -> break
    od
}

proctype consumer()
{
    byte address, seen, scratch, left, left_system;
    byte first[2]; // the private FIFOs
    bool found, blocked, published, must_wake, done;
    mtype ended, err;
receive:
    ended = OK;
    do
    :: if // fkli_wait_cancelled
        :: stop_flag || ended_flag -> err = STOPPED
        :: else ->
            mailbox_pop(address);
            err = (address == NONE -> EMPTY : OK);
            if
            :: err == EMPTY ->
                mailbox_is_done(done);
                err = (done -> STOPPED : EMPTY);
                done = false
            :: else
            fi
        fi;
        if
        :: err == EMPTY && ended != OK -> err = ended; break
        :: err == EMPTY && ended == OK ->
            mailbox_block(blocked);
            if
            :: blocked ->
                d_step { blocked = false; err = 0 };
                park(ended);
                mailbox_unblock();
                if
                :: ended == SIGNAL -> err = SIGNAL; break
                :: else
                fi
            :: else
            fi
        :: else -> break
        fi
    od;
    ended = OK;
    if
    :: err == OK ->
        d_step {
            assert(content[address] != 2 || settled[0]); // the same sender's first
            settle(address);
            address = NONE
        };
        goto receive
    :: err == STOPPED
    :: else -> goto receive
    fi;
    publish(published);
    d_step { settle_chain(first[USER]); settle_chain(first[SYSTEM]) }
}

// A stop, a drain or an exit from outside: at any time, or once there is nothing left to wake for.
proctype ender()
{
    byte seen, scratch, left, left_system;
    bool published, kills, must_wake;
    if
    :: true -> kills = false; goto ends // fkl_actor_exit_now() of a helper
    :: true -> kills = true; goto ends  // fkl_actor_kill()
    :: true -> goto stops
#ifndef VARIANT_THREE_SENDERS
    :: true -> only_drains = true; goto drains
#endif
    :: true -> all_settled(); goto stops
    fi;
ends:
    publish(published);
    if
    :: published && kills
    :: else -> goto done
    fi;
stops:
    stop();
    goto done;
drains:
    drain();
done:
    skip
}

init
{
    atomic {
#if defined VARIANT_SYSTEM
        run sender(USER, 0, 1, 1, false);
        run sender(SYSTEM, 2, 2, 3, false);
        settled[3] = true;
#elif defined VARIANT_THREE_SENDERS
        run sender(USER, 0, 0, 1, false);
        run sender(USER, 3, 3, 2, false);
        run sender(USER, 2, 2, 3, false);
        settled[1] = true;
        top[SYSTEM] = CLOSED;
#else
        run sender(USER, 0, 1, 1, false);
        run sender(USER, 2, 3, 3, true);
        top[SYSTEM] = CLOSED;
#endif
        run consumer();
        run ender()
    };
    _nr_pr == 1;
    assert(exited && all_settled());
    assert(top[SYSTEM] == CLOSED && top[USER] == CLOSED)
}
