// SPDX-License-Identifier: Apache-2.0
//
// The counting semaphore beneath fkl_sem, fkl_mutex and bounded channels: takers that wait, time
// out, are stopped or interrupted; givers; a closer.
//
// Models, access by access to what threads share:
//   runtime/credit.c  all of it. A loop around one compare-and-swap is one step, for what it
//                     decides depends on the word alone, and the word has no other part.
//   runtime/wait.c    fkli_await, fkli_wait_cancelled, fkli_waitlist_*, fkli_wake. A park waits for
//                     the token and takes it; mailbox.pml has the parker itself.
//
// Proves: no unit is lost or made (value + taken = given); no wake is lost: a patient taker gets a
// unit as long as there is one for each taker, else Spin would find the end invalid in which it
// waits; whenever somebody is queued while there is a unit, a wake is under way; no bit and no
// waiter is left behind; a close ends all waits; an interrupt is reported once or kept; a taker
// that got its unit in its first wait may free the credit, although the giver has not returned.
//
// Bounds: 2 takers and 2 givers of 1 unit; or (THREE) 3 takers and 2 givers of 2 and 1 units; or
// (MUTEX) 3 takers that give back what they took, with 1 unit; or (CLOSE) 2 takers, 1 unit and a
// close; or (FREE) 1 taker that frees after its first wait, and 1 giver. The first taker is
// patient, times out, is stopped or interrupted; with THREE it times out.
// Left out: weak memory, the pins of thread records, FKL_EOVERFLOW.
//
// accepted:
// accepted: -DVARIANT_THREE
// accepted: -DVARIANT_MUTEX
// accepted: -DVARIANT_CLOSE
// accepted: -DVARIANT_FREE
// rejected: -DFAULT_GIVE
// rejected: -DFAULT_LEAVE
// rejected: -DFAULT_NEXT
// rejected: -DFAULT_CLEAR
// rejected: -DFAULT_DUTY -DVARIANT_MUTEX
// rejected: -DFAULT_LOOK
// rejected: -DFAULT_INTERRUPT
// rejected: -DFAULT_CLOSE -DVARIANT_CLOSE
// rejected: -DFAULT_TOUCH -DVARIANT_FREE

#ifdef VARIANT_FREE
#define FREES (result == OK)
#else
#define FREES false
#endif
#ifdef VARIANT_MUTEX
#define INITIAL 1
#else
#define INITIAL 0
#endif
#if defined VARIANT_FREE
#define TAKERS 1
#elif defined VARIANT_MUTEX || defined VARIANT_THREE
#define TAKERS 3
#else
#define TAKERS 2
#endif

mtype = { PATIENT, HURRIED, STOPPABLE, INTERRUPTIBLE };
mtype = { OK, EMPTY, CLOSED, TIMED_OUT, STOPPED, INTERRUPTED };

// The word.
byte value, waiters;
bool waking, closed;
// Guarded by the lock: the list of waiters, by the number of their taker.
bool lock;
byte queue[TAKERS];
byte queued;

bool popped[TAKERS];
bool token[TAKERS];
bool stop_flag[TAKERS], interrupt_flag[TAKERS];
bool freed;
mtype outcome[TAKERS];

byte given, taken; // of the test

#define touch() assert(!freed)

inline take_lock() { d_step { !lock -> touch(); lock = true } }

inline give_lock()
{
    d_step {
        touch();
        assert(waiters == queued);
        assert(value == 0 || waiters == 0 || waking || closed);
        lock = false
    }
}

// -- Waiters. Within d_step, with the lock.

inline append_locked(who)
{
    popped[who] = false;
    queue[queued] = who;
    queued++
}

inline prepend_locked(who)
{
    popped[who] = false;
    i = queued;
    do
    :: i > 0 -> queue[i] = queue[i - 1]; i--
    :: else -> break
    od;
    queue[0] = who;
    queued++
}

inline remove_locked(who, found)
{
    found = false;
    i = 0;
    do
    :: i < queued ->
        found = found || queue[i] == who;
        if
        :: found && i + 1 < queued -> queue[i] = queue[i + 1]
        :: else
        fi;
        i++
    :: else -> break
    od;
    if
    :: found -> queued--; queue[queued] = 0
    :: else
    fi;
    i = 0
}

// -- Parker

inline unpark(who) { token[who] = true }

// -- Credit

inline try_take(result)
{
    d_step {
        touch();
        if
        :: closed -> result = CLOSED
        :: !closed && value == 0 -> result = EMPTY
        :: !closed && value > 0 -> value--; result = OK
        fi
    }
}

// `wakeup` becomes the taker that was popped, plus 1.
inline pop_waiter_locked(wakeup)
{
    d_step {
        touch();
        wakeup = 0;
        if
        :: queued > 0 ->
            wakeup = queue[0] + 1;
            remove_locked(wakeup - 1, found);
            found = false;
            popped[wakeup - 1] = true
        :: else
        fi
    };
    if
    :: wakeup != 0 -> waiters--
    :: else
    fi
}

inline pass_on_locked(wakeup)
{
    d_step {
        touch();
        wakeup = (value > 0 && waiters > 0);
#ifndef FAULT_CLEAR // the duty is never over
        if :: wakeup == 0 -> waking = false :: else fi
#endif
    };
    if
    :: wakeup != 0 -> pop_waiter_locked(wakeup)
    :: else
    fi
}

inline wake(wakeup)
{
    if
    :: wakeup != 0 -> d_step { unpark(wakeup - 1); wakeup = 0 }
    :: else
    fi
}

inline pass_on()
{
    take_lock();
    pass_on_locked(wakeup);
    give_lock();
    wake(wakeup)
}

inline take_or_queue(me, was_popped, result)
{
    take_lock();
    wakeup = 0;
#ifdef FAULT_LOOK // queues without a second look at the value
    d_step {
        result = (closed -> CLOSED : EMPTY);
        if
        :: !closed -> waiters++; waking = (was_popped -> false : waking)
        :: else
        fi
    };
#else
    d_step {
        touch();
        if
        :: closed -> result = CLOSED
        :: !closed && value > 0 -> value--; result = OK
        :: !closed && value == 0 ->
            result = EMPTY;
#ifndef FAULT_DUTY // who queues again keeps the duty
            waking = (was_popped -> false : waking);
#endif
            waiters++
        fi
    };
#endif
    if
    :: result == EMPTY && was_popped -> d_step { prepend_locked(me) }
    :: result == EMPTY && !was_popped -> d_step { append_locked(me) }
#ifndef FAULT_NEXT // who got its unit leaves the next one asleep
    :: result == OK && was_popped -> pass_on_locked(wakeup)
#endif
    :: else
    fi;
    give_lock();
    wake(wakeup)
}

inline leave(me, result)
{
    take_lock();
    d_step { remove_locked(me, found) };
    if
    :: found -> waiters--
    :: else
    fi;
    give_lock();
    if
    :: found -> found = false
    :: else ->
        if
        :: result == TIMED_OUT ->
            try_take(result);
            result = (result == OK -> OK : TIMED_OUT)
        :: else
        fi;
#ifndef FAULT_LEAVE // the wake that it got is swallowed
        pass_on()
#endif
    fi
}

// fkli_wait_cancelled: `result` is OK, STOPPED, or INTERRUPTED, which it consumes.
inline cancelled(me, result)
{
    d_step {
        if
        :: stop_flag[me] -> result = STOPPED
        :: !stop_flag[me] && interrupt_flag[me] -> interrupt_flag[me] = false; result = INTERRUPTED
        :: else -> result = OK
        fi
    }
}

// The deadline of a hurried one passes whenever it likes.
inline await(me, result)
{
    result = OK;
    interrupted = false;
    do
    :: popped[me] -> break
    :: !popped[me] && result != OK -> goto left
    :: !popped[me] && result == OK ->
        cancelled(me, result);
        interrupted = (result == INTERRUPTED);
        if
        :: result == OK ->
            if
            :: d_step { token[me] -> token[me] = false }
            :: mood == HURRIED -> result = TIMED_OUT
            fi
        :: else
        fi
    od;
#ifndef FAULT_INTERRUPT // the request is gone although the wait succeeds
    if
    :: interrupted -> interrupt_flag[me] = true
    :: else
    fi;
#endif
    result = OK;
left:
    skip
}

inline take_until(me, result)
{
    cancelled(me, result);
    if
    :: result == OK -> try_take(result)
    :: else
    fi;
    if
    :: result == EMPTY ->
        was_popped = false;
        do
        :: take_or_queue(me, was_popped, result);
            if
            :: result != EMPTY -> break
            :: else
            fi;
            await(me, result);
            if
            :: result != OK -> leave(me, result); break
            :: else -> was_popped = true
            fi
        od
    :: else
    fi
}

inline give()
{
    d_step {
        touch();
        must_wake = (waiters > 0 && !waking);
        waking = waking || waiters > 0;
        value++
    };
#ifdef FAULT_TOUCH // looks at the credit again after its instruction
    d_step { touch(); must_wake = (waiters > 0) };
#endif
#ifndef FAULT_GIVE // wakes nobody
    if
    :: must_wake -> pass_on()
    :: else
    fi
#endif
}

// -- Processes

proctype taker(byte me; byte mood)
{
    byte i, wakeup;
    bool found, was_popped, interrupted, must_wake;
    mtype result;
    take_until(me, result);
    assert(mood != PATIENT || result == OK || result == CLOSED);
    assert(mood != INTERRUPTIBLE || result != TIMED_OUT && result != STOPPED);
    if
    :: result == OK ->
        d_step { taken++; freed = (FREES -> true : freed) };
#ifdef VARIANT_MUTEX
        assert(taken == given + 1); // alone in here
        given++;
        give()
#endif
    :: else
    fi;
    outcome[me] = result
}

proctype giver(byte count)
{
    byte i, wakeup;
    bool found, must_wake;
    do
    :: count > 0 -> d_step { given++; count-- }; give()
    :: else -> break
    od
}

proctype disturber(byte who; byte mood)
{
    if
    :: mood == STOPPABLE -> stop_flag[who] = true; unpark(who)
    :: mood == INTERRUPTIBLE -> interrupt_flag[who] = true; unpark(who)
    :: else
    fi
}

proctype closer()
{
    byte i, wakeup;
    bool found;
    closed = true;
    do
    :: take_lock();
#ifndef FAULT_CLOSE // wakes nobody
        pop_waiter_locked(wakeup);
#endif
        give_lock();
        if
        :: wakeup == 0 -> break
        :: else -> wake(wakeup)
        fi
    od
}

init
{
    byte mood;
#ifdef VARIANT_THREE
    mood = HURRIED;
#else
    if
    :: mood = PATIENT
    :: mood = HURRIED
    :: mood = STOPPABLE
    :: mood = INTERRUPTIBLE
    fi;
#endif
    atomic {
        run taker(0, mood);
        run disturber(0, mood);
#if defined VARIANT_FREE
        run giver(1);
#elif defined VARIANT_CLOSE
        run taker(1, PATIENT);
        run giver(1);
        run closer();
#elif defined VARIANT_MUTEX
        value = 1;
        run taker(1, PATIENT);
        run taker(2, PATIENT);
#elif defined VARIANT_THREE
        run taker(1, PATIENT);
        run taker(2, PATIENT);
        run giver(2);
        run giver(1);
#else
        run taker(1, PATIENT);
        run giver(1);
        run giver(1);
#endif
    };
    _nr_pr == 1;
    assert(value + taken == given + INITIAL);
    assert(waiters == 0 && queued == 0 && (!waking || closed));
    assert(mood != INTERRUPTIBLE || interrupt_flag[0] == (outcome[0] != INTERRUPTED))
}
