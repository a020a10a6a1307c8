// SPDX-License-Identifier: Apache-2.0
//
// Monitors: the watcher's own thread makes, receives and ends them, while the target ends and
// somebody kills the watcher.
//
// Models, access by access to what threads share:
//   runtime/monitor.c   fkl_monitor, fkl_demonitor, fkli_monitor_received, fkli_monitors_settle,
//                       fire, end, arm, release and the references
//   runtime/exit.c      publish, forget_refs
//   runtime/receive.c   accept, as far as FKL_MSG_DOWN goes
//   runtime/actor.c     finish, fkl_actor_release
//   runtime/registry.c  fkli_registry_find, as one step
// The mailbox is one step a call; mailbox.pml has what is in it.
//
// Proves: a watcher that lives and waits gets the message of each monitor once; after a demonitor
// none arrives, and what it returns says whether one had been received; whatever happens, each
// monitor, message and actor is freed once, and nothing of it is touched afterwards; no deadlock.
//
// Bounds: 1 watcher, 1 target, 1 killer of the watcher; 2 monitors, or (KILL_TARGET) 1 and a killer
// of the target as well.
// Left out: weak memory, the insides of list and table (they are sets here), the exit's error,
// links.
//
// accepted:
// accepted: -DVARIANT_KILL_TARGET
// rejected: -DFAULT_DECIDE
// rejected: -DFAULT_ARM -DVARIANT_KILL_TARGET
// rejected: -DFAULT_FIRE
// rejected: -DFAULT_DISCARD
// rejected: -DFAULT_RETAIN
// rejected: -DFAULT_SWEEP
// rejected: -DFAULT_UNLINK
// rejected: -DFAULT_REFUSED

#ifdef VARIANT_KILL_TARGET
#define MONITORS 1
#else
#define MONITORS 2
#endif
#define WATCHER 0
#define TARGET 1
#define NONE 255

mtype = { ARMED, FIRED, ENDED };
// Where a message is. LEFT: in the hands of who closed the mailbox; RECEIVED: of some one thread.
mtype = { WITH_MONITOR, UNDERWAY, IN_STACK, IN_FIFO, LEFT, RECEIVED, DESTROYED };

// Monitors.
byte refs[MONITORS];
mtype state[MONITORS];
bool has_target[MONITORS];
bool is_watching[MONITORS]; // in the watcher's table, guarded by its lock
bool is_watcher[MONITORS];  // in the target's list, guarded by its lock
bool discard[MONITORS];     // the watcher's own thread
bool made[MONITORS], freed[MONITORS];
// Their messages.
mtype where[MONITORS];
bool has_ref[MONITORS]; // to the monitor

// Actors.
byte actor_refs[2] = 1; // its thread's
bool actor_freed[2];
bool lock[2], exited[2];
bool ended_flag, closed; // the watcher's

byte received[MONITORS]; // of the test

#if MONITORS == 1
#define waiting(place) (where[0] == place)
#define newest(list) (list[0] -> 0 : NONE)
#else
#define waiting(place) (where[0] == place || where[1] == place)
#define newest(list) (list[1] -> 1 : (list[0] -> 0 : NONE))
#endif

#define touch(m) assert(made[m] && !freed[m])
#define touch_actor(a) assert(!actor_freed[a])
inline take_lock(a) { d_step { !lock[a] -> touch_actor(a); lock[a] = true } }
inline give_lock(a) { d_step { touch_actor(a); lock[a] = false } }

// -- References

inline retain_actor(a)
{
    d_step { touch_actor(a); actor_refs[a]++ }
}

inline release_actor(a)
{
    d_step {
        touch_actor(a);
        actor_refs[a]--;
        if
        :: actor_refs[a] == 0 ->
            assert(exited[a]);
            i = 0;
            do
            :: i < MONITORS -> // its lists are empty
                assert(!(a == WATCHER && is_watching[i]) && !(a == TARGET && is_watcher[i]));
                i++
            :: else -> break
            od;
            i = 0;
            actor_freed[a] = true
        :: else
        fi
    }
}

inline release(m)
{
    d_step {
        touch(m);
        refs[m]--;
        last = (refs[m] == 0);
        if
        :: last && state[m] != FIRED -> // nobody else sees it any more
            assert(where[m] == WITH_MONITOR);
            where[m] = DESTROYED
        :: else
        fi;
        if
        :: last -> assert(!is_watching[m] && !is_watcher[m]); freed[m] = true
        :: else
        fi
    };
    if
    :: last ->
        if
        :: has_target[m] -> release_actor(TARGET)
        :: else
        fi;
        release_actor(WATCHER);
        last = false
    :: else
    fi
}

// release_down()
inline destroy_message(m)
{
    d_step {
        assert(where[m] == UNDERWAY || where[m] == RECEIVED);
        where[m] = DESTROYED;
        referred = has_ref[m]
    };
    if
    :: referred -> referred = false; release(m)
    :: else
    fi
}

// -- Firing and ending

inline decide(m, how, won)
{
#ifdef FAULT_DECIDE // a load and a store
    won = (state[m] == ARMED);
    state[m] = (won -> how : state[m])
#else
    d_step {
        touch(m);
        won = (state[m] == ARMED);
        state[m] = (won -> how : state[m])
    }
#endif
}

inline fire(m)
{
    decide(m, FIRED, won);
    if
    :: !won -> release(m)
    :: else ->
        d_step {
            won = false;
            touch(m);
            assert(where[m] == WITH_MONITOR);
            if
            :: has_target[m] -> touch_actor(TARGET); assert(exited[TARGET])
            :: else
            fi;
            where[m] = UNDERWAY;
            has_ref[m] = true
        };
#ifndef FAULT_RETAIN // the watcher may be gone after the push
        retain_actor(WATCHER);
#endif
        d_step {
            touch_actor(WATCHER);
            refused = closed;
            if
            :: !refused -> where[m] = IN_STACK
            :: else
            fi
        };
        if
        :: refused ->
            refused = false;
#ifndef FAULT_REFUSED // leaks what the mailbox did not take
            destroy_message(m)
#endif
        :: else -> touch_actor(WATCHER) // fkli_actor_wake
        fi;
#ifndef FAULT_RETAIN
        release_actor(WATCHER)
#endif
    fi
}

inline end(m, won)
{
    decide(m, ENDED, won);
    if
    :: won && has_target[m] ->
        take_lock(TARGET);
        d_step { unlinked = is_watcher[m]; is_watcher[m] = false };
        give_lock(TARGET);
        if
#ifdef FAULT_UNLINK // drops the list's reference whoever took it out
        :: true -> unlinked = false; release(m)
#else
        :: unlinked -> unlinked = false; release(m)
        :: else
#endif
        fi
    :: else
    fi
}

inline settle_target()
{
    do
    :: take_lock(TARGET);
        d_step { m = newest(is_watcher); if :: m != NONE -> is_watcher[m] = false :: else fi };
        give_lock(TARGET);
        if
        :: m == NONE -> break
        :: else -> fire(m)
        fi
    od
}

// forget_refs()
inline settle_watcher()
{
#ifdef FAULT_SWEEP // its own monitors stay
    skip
#else
    take_lock(WATCHER);
    d_step {
        m = 0;
        do // the table is taken whole
        :: m < MONITORS -> taken[m] = is_watching[m]; is_watching[m] = false; m++
        :: else -> break
        od;
        m = 0
    };
    give_lock(WATCHER);
    do
    :: m < MONITORS && taken[m] -> taken[m] = false; end(m, won); won = false; release(m); m++
    :: m < MONITORS && !taken[m] -> m++
    :: m == MONITORS -> m = 0; break
    od
#endif
}

// -- Exit

inline publish_target()
{
    take_lock(TARGET);
    d_step { published = !exited[TARGET]; exited[TARGET] = true };
    give_lock(TARGET);
    if
    :: published -> published = false; settle_target()
    :: else
    fi
}

inline drop(from)
{
    m = 0;
    do
    :: d_step { m < MONITORS && where[m] == from -> where[m] = RECEIVED }; destroy_message(m); m++
    :: m < MONITORS && where[m] != from -> m++
    :: m == MONITORS -> m = 0; break
    od
}

inline publish_watcher()
{
    take_lock(WATCHER);
    d_step {
        published = !exited[WATCHER];
        if
        :: published ->
            ended_flag = true;
            closed = true;
            m = 0;
            do // what was in the stack is the closer's
            :: m < MONITORS -> where[m] = (where[m] == IN_STACK -> LEFT : where[m]); m++
            :: else -> break
            od;
            m = 0;
            exited[WATCHER] = true
        :: else
        fi
    };
    give_lock(WATCHER);
    if
    :: published -> published = false; settle_watcher(); drop(LEFT)
    :: else
    fi
}

// -- The watcher's own thread

inline monitor(m)
{
    d_step { // fkli_registry_find(), create()
        has_target[m] = (actor_refs[TARGET] > 0);
        actor_refs[TARGET] = actor_refs[TARGET] + has_target[m];
        touch_actor(WATCHER);
        actor_refs[WATCHER]++;
        made[m] = true;
        refs[m] = 2;
        state[m] = ARMED;
        where[m] = WITH_MONITOR
    };
    take_lock(WATCHER); // start_watching()
    d_step { lives = !exited[WATCHER]; is_watching[m] = lives };
    give_lock(WATCHER);
    if
    :: !lives -> release(m); release(m); mine[m] = false
    :: else ->
        mine[m] = true;
        armed = false;
        if
        :: has_target[m] -> // arm()
            take_lock(TARGET);
            d_step {
                touch(m);
#ifdef FAULT_ARM // on the dead
                armed = (state[m] == ARMED);
#else
                armed = (!exited[TARGET] && state[m] == ARMED);
#endif
                is_watcher[m] = armed
            };
            give_lock(TARGET)
        :: else
        fi;
        if
        :: armed
        :: else ->
#ifndef FAULT_FIRE // not for a target that is dead
            fire(m)
#endif
        fi
    fi
}

inline demonitor(m, result)
{
    take_lock(WATCHER); // take_watching()
    d_step { result = is_watching[m]; is_watching[m] = false };
    give_lock(WATCHER);
    if
    :: result ->
        end(m, won);
        if
        :: won -> won = false
        :: else ->
            d_step {
                touch(m);
#ifndef FAULT_DISCARD // of a message that is on its way
                discard[m] = true;
#endif
                found = (where[m] == IN_STACK || where[m] == IN_FIFO);
                where[m] = (found -> RECEIVED : where[m])
            };
            if
            :: found -> found = false; destroy_message(m)
            :: else
            fi
        fi;
        release(m)
    :: else
    fi
}

// fkli_monitor_received()
inline monitor_received(m, wanted)
{
    d_step { touch(m); assert(has_ref[m]); has_ref[m] = false; wanted = !discard[m] };
    take_lock(WATCHER);
    d_step { unlinked = is_watching[m]; is_watching[m] = false };
    give_lock(WATCHER);
    if
    :: unlinked -> unlinked = false; release(m)
    :: else
    fi;
    release(m)
}

// The oldest is not told from the newest, so either may come. Blocks like the receive.
inline receive()
{
    if
    :: ended_flag
    :: !ended_flag && (waiting(IN_STACK) || waiting(IN_FIFO)) ->
        d_step { // the list is taken as a whole
            m = 0;
            do
            :: m < MONITORS -> where[m] = (where[m] == IN_STACK -> IN_FIFO : where[m]); m++
            :: else -> break
            od;
            m = 0
        };
        if
        :: !waiting(IN_FIFO) // closed in between
        :: waiting(IN_FIFO) ->
            if
            :: where[0] == IN_FIFO -> m = 0
#if MONITORS == 2
            :: where[1] == IN_FIFO -> m = 1
#endif
            fi;
            where[m] = RECEIVED;
            monitor_received(m, wanted);
            if
            :: wanted -> assert(!ended_by_us[m]); received[m]++; assert(received[m] == 1)
            :: else
            fi;
            destroy_message(m);
            d_step { wanted = false; m = 0 }
        fi
    fi
}

proctype watcher()
{
    byte m, n, i;
    bool won, refused, last, referred, unlinked, published, lives, armed, found, wanted, result;
    bool taken[MONITORS], mine[MONITORS], ended_by_us[MONITORS];
    monitor(0);
#if MONITORS == 2
    monitor(1);
#endif
    do
    :: n < MONITORS ->
        if
        :: true -> // wants the message
            do
            :: mine[n] && !ended_flag && received[n] == 0 -> receive()
            :: else -> break
            od
        :: mine[n] -> // does not, or not any more
            if
            :: true
            :: receive()
            fi;
            demonitor(n, result);
            ended_by_us[n] = true;
            assert(result != (received[n] == 1) || ended_flag);
            result = false
        :: true // leaves without either
        fi;
        n++
    :: else -> break
    od;
    publish_watcher();
    drop(IN_FIFO); // fkli_mailbox_drain()
    release_actor(WATCHER)
}

proctype target()
{
    byte m, i;
    bool won, refused, last, referred, published;
    publish_target();
    release_actor(TARGET)
}

proctype killer(byte whom)
{
    byte m, i;
    bool won, refused, last, referred, unlinked, published;
    bool taken[MONITORS];
    if
    :: whom == WATCHER -> publish_watcher()
    :: whom == TARGET -> publish_target()
    :: true // does not kill, so that it wakes nobody who waits for a message
    fi;
    release_actor(whom)
}

init
{
    byte m;
    atomic {
        actor_refs[WATCHER]++; // the killer's
        run watcher();
        run target();
        run killer(WATCHER);
#ifdef VARIANT_KILL_TARGET
        actor_refs[TARGET]++;
        run killer(TARGET);
#endif
    };
    _nr_pr == 1;
    assert(actor_freed[WATCHER] && actor_freed[TARGET]);
    do
    :: m < MONITORS -> assert(!made[m] || freed[m] && where[m] == DESTROYED); m++
    :: else -> break
    od
}
