// SPDX-License-Identifier: Apache-2.0
//
// What the interpreters of a real process have in common: the runtime, the pids, where objects that
// are let go of elsewhere come back to (returns.c), and the visits of a thread of one interpreter
// to another one. Any thread runs this.

#include "state.h"

#include <pthread.h>

// Simulated pids lie above what kernels give to real processes (Linux: at most 2^22), so that one
// that slips through to the kernel hits nobody. They are not reused.
#define FIRST_PID (1 << 23)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // guards the next two
static fkl_runtime *runtime;
static unsigned users;
static atomic_int next_pid = FIRST_PID;

int core_next_pid(void)
{
    // Relaxed: only that no two are the same matters.
    return atomic_fetch_add_explicit(&next_pid, 1, memory_order_relaxed);
}

fkl_err core_runtime_retain(fkl_runtime **out)
{
    pthread_mutex_lock(&lock);
    fkl_err err = runtime == NULL ? fkl_runtime_create(NULL, &runtime) : FKL_OK;
    if (err == FKL_OK) {
        users++;
        *out = runtime;
    }
    pthread_mutex_unlock(&lock);
    return err;
}

// Orphans may still run: then it stays until the process ends. But threads that run no actor any
// more, or not yet, are only about to leave.
static void end_runtime(void)
{
    fkl_counters count;
    fkl_err err = fkl_runtime_shutdown(runtime, FKL_NO_WAIT);
    fkl_runtime_counters(runtime, &count);
    if (err == FKL_ETIMEDOUT && count.live == 0 && count.orphans == 0) {
        err = fkl_runtime_shutdown(runtime, fkl_after_ms(50));
    }
    if (err == FKL_OK) {
        (void)!fkl_runtime_destroy(runtime);
    }
}

void core_runtime_release(void)
{
    pthread_mutex_lock(&lock);
    if (--users == 0) {
        end_runtime();
        runtime = NULL;
    }
    pthread_mutex_unlock(&lock);
}

// Visits

// A visitor counts itself and then looks whether the interpreter is closed to visitors; who closes
// it does so and then looks at the count. All of it is sequentially consistent, so that one of the
// two sees the other.

void core_visits_close(core_visits *visits)
{
    atomic_store(&visits->closed, true);
    while (atomic_load(&visits->count) > 0) { // as long as it takes to copy something
        Py_BEGIN_ALLOW_THREADS(void)
        !fkl_sleep_until(fkl_after_ns(1000000));
        Py_END_ALLOW_THREADS
    }
}

static bool visit(core_state *host, void (*function)(core_state *host, void *arg), void *arg)
{
    PyThreadState *guest = PyThreadState_New(host->interp);
    if (guest == NULL) {
        return false;
    }
    // For as long as it is there the thread acts for nobody: its actor is one of another
    // interpreter.
    fkl_actor *actor = fkl_self();
    fkl_actor *previous;
    if (actor != NULL) {
        actor = fkl_actor_retain(actor);
        fkl_actor_leave(NULL);
    }
    PyEval_AcquireThread(guest);
    function(host, arg);
    PyThreadState_Clear(guest);
    PyThreadState_DeleteCurrent();
    if (actor != NULL) {
        (void)!fkl_actor_enter(actor, &previous);
        fkl_actor_release(actor);
    }
    return true;
}

bool core_visit(core_visits *visits, void (*function)(core_state *host, void *arg), void *arg)
{
    bool visited = false;
    atomic_fetch_add(&visits->count, 1);
    if (!atomic_load(&visits->closed)) {
        PyThreadState *own = PyEval_SaveThread();
        visited = visit(visits->host, function, arg);
        PyEval_RestoreThread(own);
    }
    atomic_fetch_sub(&visits->count, 1);
    return visited;
}
