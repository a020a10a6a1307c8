// SPDX-License-Identifier: Apache-2.0
//
// Shutting a runtime down and freeing it, while actors spawn, are spawned, and end.
//
// Models, access by access to what threads share:
//   runtime/actor.c     fkli_spawn, enlist, finish, fkli_actor_count_out, fkl_actor_release
//   runtime/runtime.c   fkl_runtime_shutdown (stop_all, await_idle), fkl_runtime_destroy
//   runtime/registry.c  the references to the runtime
//   runtime/wait.c      the list of waiters, fkli_await, fkli_waitlist_await. A park waits for the
//                       token and takes it.
//
// Proves: a shutdown never hangs, and when it succeeds no thread of the runtime runs; a destroy
// while one runs frees nothing; the runtime and each actor are freed once, when the last reference
// to an actor is dropped and not before, and nothing of them is touched afterwards; an actor that
// is spawned during a shutdown is refused or stopped; a thread that cannot be started leaves
// nothing.
//
// Bounds: an actor that spawns another; meanwhile another thread spawns a third, or (TWO) shuts
// down as well. One thread start fails or none, one shutdown times out or none.
// Left out: weak memory, workers and timers (their threads are stopped when all actors have ended),
// supervisors, the exit (monitor.pml has it), the actors' waits, which end when they are asked to
// stop.
//
// accepted:
// accepted: -DVARIANT_TWO
// rejected: -DFAULT_START
// rejected: -DFAULT_SPAWN
// rejected: -DFAULT_LOOK
// rejected: -DFAULT_GIVE
// rejected: -DFAULT_ORDER
// rejected: -DFAULT_DESTROY
// rejected: -DFAULT_UNLINK
// rejected: -DFAULT_ONE -DVARIANT_TWO
// rejected: -DFAULT_ALONE

#define ACTORS 3
#define MAIN 0 // the waiters
#define OTHER 1
#define NONE 255

mtype = { OK, REFUSED, NOT_STARTED, TIMED_OUT };

// The runtime. All but the references is guarded by its lock, and so is that `threads` becomes 0.
byte refs = 1;
bool lock, stopping;
byte threads;
bool listed[ACTORS];
byte queue[2], queued;
bool freed;

byte actor_refs[ACTORS];
bool stop_flag[ACTORS], actor_freed[ACTORS];

bool popped[2], token[2]; // of the waiters

byte failing_starts = 1, timeouts = 1;
bool other_done;

#define touch() assert(!freed)
#define touch_actor(a) assert(!actor_freed[a])
inline take_lock() { d_step { !lock -> touch(); lock = true } }
inline give_lock() { d_step { touch(); lock = false } }

// -- References

inline release_runtime()
{
    d_step {
        touch();
        refs--;
        if
        :: refs == 0 -> assert(threads == 0); freed = true
        :: else
        fi
    }
}

inline release_actor(a)
{
    d_step { touch_actor(a); actor_refs[a]--; last = (actor_refs[a] == 0) };
    if
    :: last ->
        last = false;
#ifdef FAULT_UNLINK // without the lock
        actor_freed[a] = true;
        listed[a] = false;
#else
        take_lock();
        listed[a] = false;
        give_lock();
        d_step { touch_actor(a); actor_freed[a] = true };
#endif
        release_runtime()
    :: else
    fi
}

// -- Threads

inline pop_and_wake_all()
{
    do
    :: d_step {
            queued > 0 ->
            w = queue[0];
            queue[0] = queue[1];
            queue[1] = 0;
            queued--;
            popped[w] = true
        };
        d_step { token[w] = true; w = 0 };
#ifdef FAULT_ONE // one waiter
        break
#endif
    :: queued == 0 -> break
    od
}

inline count_out()
{
    take_lock();
    d_step { touch(); threads--; idle = (threads == 0) };
#ifdef FAULT_GIVE // between the count and the wake
    give_lock();
    take_lock();
#endif
    if
    :: idle -> pop_and_wake_all()
    :: else
    fi;
    idle = false;
    give_lock()
}

// The end of one that was started.
inline leave()
{
    d_step {
        touch();
        if
#ifdef FAULT_ALONE // also the last one
        :: threads > 0 -> threads--; others = true
#else
        :: threads > 1 -> threads--; others = true
#endif
        :: else
        fi
    };
    if
    :: others -> others = false
    :: else -> count_out()
    fi
}

inline spawn(a, keeps, result)
{
    take_lock(); // enlist()
    d_step {
        touch();
#ifdef FAULT_SPAWN // does not see the shutdown
        result = OK;
#else
        result = (stopping -> REFUSED : OK);
#endif
        if
        :: result == OK ->
            listed[a] = true;
            actor_refs[a] = (keeps -> 2 : 1);
            refs++;
            threads++
        :: else
        fi
    };
    give_lock();
    if
    :: result == OK ->
        if
        :: true -> run actor(a)
        :: d_step { failing_starts > 0 -> failing_starts--; result = NOT_STARTED }
        fi
    :: else
    fi;
    if
    :: result == NOT_STARTED ->
        if
        :: keeps -> release_actor(a)
        :: else
        fi;
        release_actor(a);
#ifndef FAULT_START // is counted for ever
        count_out()
#endif
    :: else
    fi
}

// Actor 0 may spawn actor 1, then returns, or waits until it is asked to stop.
proctype actor(byte me)
{
    byte w;
    bool last, idle, others;
    mtype result;
    if
    :: me == 0 -> spawn(1, false, result); result = 0
    :: true
    fi;
    if
    :: true
    :: stop_flag[me]
    fi;
#ifdef FAULT_ORDER // counts itself out too early
    leave();
    release_actor(me)
#else
    release_actor(me);
    leave()
#endif
}

// -- Shutdown

inline stop_all()
{
    take_lock();
    stopping = true;
    a = 0;
    do
    :: a < ACTORS && listed[a] -> d_step { touch_actor(a); stop_flag[a] = true }; a++
    :: a < ACTORS && !listed[a] -> a++
    :: a == ACTORS -> a = 0; break
    od;
    give_lock()
}

inline await_idle(me, result)
{
#ifdef FAULT_LOOK // before it has the lock
    idle = (threads == 0);
    take_lock();
#else
    take_lock(); // idle_or_queue()
    idle = (threads == 0);
#endif
    d_step {
        if
        :: !idle -> popped[me] = false; queue[queued] = me; queued++
        :: else
        fi
    };
    give_lock();
    result = OK;
    if
    :: idle
    :: else ->
        do // fkli_await()
        :: popped[me] -> break
        :: !popped[me] && result != OK -> break
        :: !popped[me] && result == OK ->
            if
            :: d_step { token[me] -> token[me] = false }
            :: d_step { timeouts > 0 -> timeouts--; result = TIMED_OUT }
            fi
        od;
        take_lock(); // fkli_waitlist_await()
        d_step {
            touch();
            if
            :: queued > 0 && queue[0] == me -> queue[0] = queue[1]; queue[1] = 0; queued--
            :: queued > 1 && queue[1] == me -> queue[1] = 0; queued--
            :: else
            fi;
            if
            :: popped[me] -> result = OK
            :: else
            fi
        };
        give_lock()
    fi;
    idle = false
}

// Goes on waiting when it times out.
inline shut_down(me)
{
    do
    :: stop_all();
        await_idle(me, result);
        if
        :: result == OK -> break
        :: else
        fi
    od
}

inline destroy(done)
{
    take_lock();
    d_step {
        done = (threads == 0);
#ifdef FAULT_DESTROY // although threads run
        done = true;
#endif
        stopping = stopping || done
    };
    give_lock();
    if
    :: done -> release_runtime()
    :: else
    fi
}

proctype other()
{
    byte a, w;
    bool last, idle;
    mtype result;
#ifdef VARIANT_TWO
    shut_down(OTHER);
#else
    spawn(2, false, result);
#endif
    other_done = true
}

proctype user()
{
    byte a, w;
    bool last, idle, kept, done;
    mtype result;
    spawn(0, true, result);
    kept = (result == OK);
    run other();
    if
    :: true -> other_done; destroy(done) // perhaps too early
    :: shut_down(MAIN);
        assert(threads == 0);
        other_done
    fi;
    if
    :: !done ->
        shut_down(MAIN);
        destroy(done);
        assert(done)
    :: else
    fi;
    if
    :: kept -> touch_actor(0); release_actor(0)
    :: else
    fi;
    assert(freed) // so that the allocator may go as well
}

init
{
    byte a;
    run user();
    _nr_pr == 1;
    assert(freed && refs == 0 && threads == 0 && queued == 0);
    do
    :: a < ACTORS -> assert(!listed[a] && actor_refs[a] == 0); a++
    :: else -> break
    od
}
