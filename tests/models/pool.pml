// SPDX-License-Identifier: Apache-2.0
//
// The sleep and the wake of the workers that run pooled actors: puts from outside, hand-overs,
// thieves, searchers, sleepers, and the sentry that looks after runs which take long.
//
// Models, access by access to what workers share:
//   runtime/worker.c     all of it but how often a worker looks where: it may look into the line
//                        first whenever it takes a task, and look out whenever it searches, but
//                        where nothing is handed over (OUTSIDE). Busy workers do not look out.
//   runtime/scheduler.c  fkli_task_submit, fkli_task_ready for a task that is idle.
//   runtime/runq.c       as operations: what a thief has taken is nowhere to be seen until it puts
//                        the rest into its own ring; what a worker takes from the line is in its
//                        ring before the line's length falls, and what comes to the line is counted
//                        there first. A queue gives any of its tasks.
//
// Proves: no task is forgotten while all workers sleep, or while one is in a run that waits for
// that task; in particular a run that does not end before what it handed over, or put into its
// ring, or what came from outside, has begun. Counts of searchers and sleepers are right.
//
// Bounds: 2 workers and 2 tasks, of which the first comes from outside, hands the second over, and
// waits for it or not; or (OUTSIDE) the second comes from another thread outside, and the first
// waits for it; or (TWO) the first makes two others ready and waits for both or the last.
// Left out: weak memory (all that matters here is sequentially consistent), tasks that run again,
// the parker (mailbox.pml has it), starting and stopping.
//
// accepted:
// accepted: -DVARIANT_OUTSIDE
// accepted: -DVARIANT_TWO
// rejected: -DFAULT_PUT
// rejected: -DFAULT_LIE_DOWN
// rejected: -DFAULT_EARLY_LOOK
// rejected: -DFAULT_SEARCH -DVARIANT_OUTSIDE
// rejected: -DFAULT_SENTRY
// rejected: -DFAULT_RETIRE

#define WORKERS 2
#ifdef VARIANT_TWO
#define TASKS 3
#else
#define TASKS 2
#endif
#define NOBODY 255
#define NONE 255

// Where a task is.
#define NOWHERE 0
#define LINE 1
#define RING(w) (2 + (w))
#define NEXT(w) (6 + (w))
#define TAKEN 10

byte place[TASKS];
byte line_len;
bool line_lock;
byte searching, asleep; // one word
byte sentry = NOBODY;
bool idle_lock;
bool awake[WORKERS]; // initially true, see init
bool counted[WORKERS];
bool token[WORKERS];
byte runs[WORKERS], seen[WORKERS];

bool begun[TASKS];

#if TASKS == 3
#define has(where) (place[0] == (where) || place[1] == (where) || place[2] == (where))
#define all_begun (begun[0] && begun[1] && begun[2])
#else
#define has(where) (place[0] == (where) || place[1] == (where))
#define all_begun (begun[0] && begun[1])
#endif

// Any task that is there, or NONE. Within d_step or alone, as one access.
inline any_at(where, found)
{
    if
    :: place[0] == (where) -> found = 0
    :: place[1] == (where) -> found = 1
#if TASKS == 3
    :: place[2] == (where) -> found = 2
#endif
    :: !has(where) -> found = NONE
    fi
}

// -- Waking

inline wake_one()
{
    if
    :: d_step { asleep > 0 && searching == 0 -> skip };
        d_step { !idle_lock -> idle_lock = true };
        if
        :: asleep > 0 && searching == 0 ->
            if // the last one, really
            :: !awake[0] -> whom = 0
            :: !awake[1] -> whom = 1
            fi;
            d_step { counted[whom] = true; asleep--; searching++ };
            d_step {
                if
                :: sentry == whom -> sentry = NOBODY
                :: else
                fi;
                awake[whom] = true
            };
            idle_lock = false;
            d_step { token[whom] = true; whom = 0 }
        :: else -> idle_lock = false
        fi
    :: else
    fi
}

inline any_next(found)
{
    found = has(NEXT(0));
    if
    :: !found -> found = has(NEXT(1))
    :: else
    fi;
}

inline look_if_pending(found)
{
    found = line_len > 0;
    if
    :: !found -> found = has(RING(0))
    :: else
    fi;
    if
    :: !found -> found = has(RING(1))
    :: else
    fi;
    if
    :: !found && sentry == NOBODY -> any_next(found)
    :: else
    fi
}

// -- Putting

inline put_into_line(what)
{
    line_len++;
    place[what] = LINE;
#ifndef FAULT_PUT
    wake_one()
#endif
}

inline put_last(what)
{
    place[what] = RING(me);
    wake_one()
}

inline hand_over(what)
{
    d_step { any_at(NEXT(me), older); place[what] = NEXT(me); if :: older != NONE -> place[older] = TAKEN :: else fi };
    if
    :: older != NONE -> put_last(older); older = NONE
    :: else
    fi;
#ifndef FAULT_SENTRY
    if
    :: sentry == NOBODY -> wake_one()
    :: else
    fi
#endif
}

// -- Taking

inline take_from_line()
{
    if
    :: line_len > 0 ->
        d_step { !line_lock -> line_lock = true };
        any_at(LINE, task);
        if
        :: task != NONE ->
            place[task] = TAKEN;
            if
            :: has(LINE) -> any_at(LINE, other); place[other] = RING(me); line_len = line_len - 2; other = NONE
            :: line_len--
            fi
        :: else
        fi;
        line_lock = false
    :: else
    fi
}

inline take_own()
{
    d_step {
        any_at(NEXT(me), task);
        if
        :: task != NONE -> place[task] = TAKEN
        :: else
        fi
    }
    if
    :: task == NONE ->
        d_step {
            any_at(RING(me), task);
            if
            :: task != NONE -> place[task] = TAKEN
            :: else
            fi
        }
    :: else
    fi
}

// One task, and perhaps another for the own ring.
inline steal_from(whose)
{
    if
    :: task == NONE && whose != me && has(RING(whose)) ->
        atomic {
            any_at(RING(whose), task);
            if
            :: task != NONE ->
                place[task] = TAKEN;
                if
                :: has(RING(whose)) -> any_at(RING(whose), other); place[other] = TAKEN
                :: true
                fi
            :: else
            fi
        };
        if
        :: other != NONE -> place[other] = RING(me); other = NONE
        :: else
        fi
    :: else
    fi
}

inline look_at(whose)
{
    if
    :: task == NONE && whose != me ->
        d_step { stands = runs[whose] == seen[whose]; seen[whose] = runs[whose] };
        filled = has(NEXT(whose));
        moves = moves || !stands || filled;
        if
        :: stands && filled ->
            d_step {
                any_at(NEXT(whose), task);
                if
                :: task != NONE -> place[task] = TAKEN
                :: else
                fi
            }
        :: else
        fi;
        d_step { stands = false; filled = false }
    :: else
    fi
}

inline look_out()
{
    moves = false;
    look_at(0);
    look_at(1);
}

inline search()
{
    if
    :: !counted[me] && 2 * searching < WORKERS ->
        d_step { searching++; counted[me] = true }
    :: else
    fi;
    if
    :: counted[me] ->
        take_from_line();
        steal_from(0);
        steal_from(1);
#ifndef VARIANT_OUTSIDE
        if
        :: task == NONE -> look_out(); moves = false
        :: true // too early for that
        fi
#endif
    :: else
    fi
}

// -- Sleeping

inline lie_down()
{
#ifdef FAULT_EARLY_LOOK
    look_if_pending(pending);
#endif
    d_step { !idle_lock -> idle_lock = true };
    d_step {
        awake[me] = false;
        asleep++;
        if
        :: counted[me] -> searching--; counted[me] = false
        :: else
        fi;
        assert(asleep + searching <= WORKERS)
    };
    if
    :: asleep < WORKERS && sentry == NOBODY -> sentry = me
    :: else
    fi;
    idle_lock = false;
#if !defined FAULT_LIE_DOWN && !defined FAULT_EARLY_LOOK
    look_if_pending(pending);
#endif
    if
    :: pending -> pending = false; wake_one()
    :: else
    fi
}

inline get_up()
{
    d_step { !idle_lock -> idle_lock = true };
    if
    :: !awake[me] ->
        asleep--;
        d_step {
            if
            :: sentry == me -> sentry = NOBODY
            :: else
            fi;
            awake[me] = true
        }
    :: else
    fi;
    idle_lock = false
}

inline retire()
{
    d_step { !idle_lock -> idle_lock = true };
    if
    :: sentry == me ->
        sentry = NOBODY;
#ifndef FAULT_RETIRE
        any_next(pending);
        if
        :: pending -> sentry = me; pending = false
        :: else
        fi
#endif
    :: else
    fi;
    idle_lock = false
}

inline sleep()
{
    lie_down();
    do
    :: true ->
        is_sentry = sentry == me;
end_park:
        if
        :: token[me] -> token[me] = false; timed_out = false
        :: is_sentry && !token[me] -> timed_out = true
        fi;
        is_sentry = false;
        if
        :: awake[me] -> timed_out = false; break
        :: !awake[me] && timed_out ->
            timed_out = false;
            look_out();
            if
            :: task != NONE -> moves = false; get_up(); break
            :: task == NONE && !moves -> retire()
            :: else -> moves = false
            fi
        :: else
        fi
    od
}

// -- Running

inline stop_searching()
{
    if
    :: counted[me] ->
        d_step { counted[me] = false; last = searching == 1; searching-- };
#ifndef FAULT_SEARCH
        if
        :: last ->
            last = false;
            look_if_pending(pending);
            if
            :: pending -> pending = false; wake_one()
            :: else
            fi
        :: else
        fi
#else
        last = false
#endif
    :: else
    fi
}

inline run_task()
{
    stop_searching();
    d_step { assert(!begun[task] && place[task] == TAKEN); runs[me]++; begun[task] = true };
    if
    :: task == 0 ->
        task = NONE;
#if defined VARIANT_TWO
        hand_over(1);
        hand_over(2);
        if
        :: true -> all_begun
        :: true -> begun[2]
        fi
#elif defined VARIANT_OUTSIDE
        all_begun
#else
        if
        :: hand_over(1)
        :: put_last(1)
        fi;
        if
        :: true -> all_begun // a long run
        :: true
        fi
#endif
    :: else -> task = NONE
    fi
}

proctype worker(byte me)
{
    byte task = NONE, other = NONE, older = NONE, whom;
    bool pending, stands, filled, moves, is_sentry, timed_out, last;
end_worker:
    do
    :: true ->
#ifndef VARIANT_OUTSIDE
        if
        :: take_from_line() // its turn has come
        :: true
        fi;
#endif
        if
        :: task == NONE -> take_own()
        :: else
        fi;
        if
        :: task == NONE -> search()
        :: else
        fi;
        if
        :: task == NONE -> sleep()
        :: else
        fi;
        if
        :: task != NONE -> run_task()
        :: else
        fi
    od
}

proctype outside(byte what)
{
    byte whom;
    put_into_line(what)
}

// When nothing moves any more.
proctype judge()
{
    timeout;
    assert(all_begun)
}

init
{
    atomic {
        awake[0] = true;
        awake[1] = true;
        run worker(0);
        run worker(1);
        run outside(0);
#ifdef VARIANT_OUTSIDE
        run outside(1);
#endif
        run judge()
    }
}
