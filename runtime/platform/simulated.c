// SPDX-License-Identifier: Apache-2.0
//
// The seeded scheduler (see simulated.h). Everything here is read and written by the thread that
// holds the baton, and by the one that calls fkli_sim_run() before the first and after the last
// thread of a run; the semaphores order these accesses, so nothing is atomic.
//
// The seed says how the next thread is chosen. By priority ("probabilistic concurrency testing",
// Burckhardt et al., ASPLOS 2010): threads get random priorities, the highest that is ready runs,
// and at d - 1 random steps the running one falls below all others. A bug that needs d steps in a
// certain order is found with a probability of at least 1 / (n * k^(d-1)), for n threads and k
// steps. By priorities that are drawn again for the running thread now and then. Or by a random
// walk: now and then any thread goes on. None of the three finds everything first.
//
// A thread that spins or yields lets all others pass until it is chosen again; so a spin loop ends.

#ifdef FKL_PLATFORM_SIMULATED

#include "platform/simulated.h"

#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_THREADS = 256, // of one run
    MAX_CHANGES = 4,   // of priorities, so d is 5 at most
    LONG_RUN = 2000    // steps in a row after which a thread is taken for one that spins
};

static const fkl_time start_of_time = 1000000000;

typedef enum strategy { PRIORITIES, FRESH_PRIORITIES, WALK } strategy;

typedef enum state { READY, ASLEEP, ENDED } state;

typedef struct sim_thread {
    sem_t baton;
    pthread_t thread;
    state state;
    int64_t base;     // priority unless it spins
    int64_t priority; // the highest runs
    const void *word; // slept on
    fkl_time deadline;
    int result; // of the sleep
    const char *where;
    void *(*run)(void *arg);
    void *arg;
    bool hooks_ran; // those of other keys, at the thread's end
} sim_thread;

static struct {
    fkli_sim_config config;
    fkli_sim_result result;
    sem_t done;
    sim_thread *current;
    bool frozen;
    // Chosen by the seed:
    uint64_t random;
    strategy strategy;
    uint32_t every;                // one of so many steps changes something
    uint32_t changes[MAX_CHANGES]; // contended steps, in no order
    uint32_t change_count;         // 0 to MAX_CHANGES
    uint32_t pace;                 // nanoseconds that a step takes at most
    uint32_t spurious;             // one of so many sleeps ends for no reason; 0: none
    uint32_t signals;              // one of so many sleeps ends by a signal; 0: none
    // State:
    fkl_time now;
    fkl_time next_deadline; // no sleep's deadline is before
    int64_t lowest;         // priority given to a spinning thread last
    uint32_t row;           // steps of the current thread in a row
    uint32_t spins;         // since a thread slept, woke, started or ended
    uint32_t sleepers;
    uint32_t alive;
    sim_thread *live[MAX_THREADS]; // `alive` of them, in the order of their starts
} sim;

// Their semaphores must outlive the post that hands the baton over, so they are never freed.
static sim_thread threads[MAX_THREADS];
static _Thread_local sim_thread *self;
static pthread_key_t end_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

// splitmix64.
static uint64_t next_random(void)
{
    uint64_t z = (sim.random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint32_t below(uint32_t limit)
{
    return (uint32_t)(((next_random() >> 32) * limit) >> 32);
}

// Once in `times`; never for 0.
static bool dice(uint32_t times)
{
    return times && below(times) == 0;
}

static void choose_by_seed(uint64_t seed)
{
    static const strategy strategies[] = {PRIORITIES, FRESH_PRIORITIES, WALK, WALK};
    static const uint32_t walks[] = {1, 2, 4, 6, 12, 20};
    static const uint32_t draws[] = {1, 3, 8, 24};
    static const uint32_t paces[] = {0, 40, 1000, 20000};
    static const uint32_t rates[] = {0, 0, 0, 3, 12};
    sim.random = seed;
    sim.strategy = strategies[below(4)];
    sim.every = sim.strategy == WALK ? walks[below(6)] : draws[below(4)];
    sim.change_count = sim.strategy == PRIORITIES ? below(MAX_CHANGES + 1) : 0;
    for (uint32_t i = 0; i < MAX_CHANGES; ++i)
        sim.changes[i] = 1 + below(sim.config.contended);
    sim.pace = paces[below(4)];
    sim.spurious = rates[below(5)];
    sim.signals = sim.config.signals ? rates[below(5)] : 0;
}

// Above those that change points give.
static int64_t any_priority(void)
{
    return MAX_CHANGES + 1 + (int64_t)(next_random() >> 2);
}

// Choosing a thread.

static sim_thread *highest_ready(void)
{
    sim_thread *best = NULL;
    for (uint32_t i = 0; i < sim.alive; ++i) {
        sim_thread *thread = sim.live[i];
        if (thread->state == READY && (!best || thread->priority > best->priority))
            best = thread;
    }
    return best;
}

// Any ready thread, but not `except`.
static sim_thread *any_ready(const sim_thread *except)
{
    sim_thread *chosen = NULL;
    uint32_t seen = 0;
    for (uint32_t i = 0; i < sim.alive; ++i) {
        if (sim.live[i]->state == READY && sim.live[i] != except && dice(++seen))
            chosen = sim.live[i];
    }
    return chosen;
}

static void wake(sim_thread *thread, int result)
{
    thread->state = READY;
    thread->result = result;
    thread->deadline = FKL_FOREVER;
    --sim.sleepers;
    sim.spins = 0;
}

static fkl_time earliest_deadline(void)
{
    fkl_time earliest = FKL_FOREVER;
    for (uint32_t i = 0; i < sim.alive; ++i) {
        const sim_thread *thread = sim.live[i];
        if (thread->state == ASLEEP && thread->deadline < earliest)
            earliest = thread->deadline;
    }
    return earliest;
}

static void pass_time(fkl_time now)
{
    sim.now = now;
    if (now < sim.next_deadline)
        return;
    for (uint32_t i = 0; i < sim.alive; ++i) {
        if (sim.live[i]->state == ASLEEP && sim.live[i]->deadline <= now)
            wake(sim.live[i], ETIMEDOUT);
    }
    sim.next_deadline = earliest_deadline();
}

static void trouble(fkli_sim_trouble which)
{
    fkli_sim_freeze();
    sim.config.on_trouble(which);
    abort();
}

static sim_thread *choose(const sim_thread *except)
{
    return sim.strategy == WALK ? any_ready(except) : highest_ready();
}

// The next thread, when the current one cannot go on; NULL when all have ended.
static sim_thread *next_thread(void)
{
    sim_thread *next = choose(NULL);
    while (!next && sim.alive > 0) {
        fkl_time deadline = earliest_deadline();
        if (deadline == FKL_FOREVER)
            trouble(FKLI_SIM_DEADLOCK);
        pass_time(deadline > sim.now ? deadline : sim.now);
        next = choose(NULL);
    }
    return next;
}

static void hand_over(sim_thread *next)
{
    ++sim.result.switches;
    sim.row = 0;
    sim.current = next;
    next->priority = next->base;
    sem_post(&next->baton);
}

static void await_baton(sim_thread *thread)
{
    while (sem_wait(&thread->baton) != 0) {
    }
}

static void switch_to(sim_thread *next)
{
    if (!next || next == self)
        return;
    hand_over(next);
    await_baton(self);
}

// Steps.

static void mix(uint64_t what)
{
    sim.result.hash = (sim.result.hash ^ what) * UINT64_C(0x100000001b3);
    sim.result.hash ^= sim.result.hash >> 29;
}

// Whether the calling thread is simulated and runs.
static bool simulated(void)
{
    return self && !sim.frozen;
}

static void step(const void *caller, fkl_time duration)
{
    ++sim.row;
    ++sim.result.steps;
    mix((uint64_t)(self - threads));
    if (sim.config.trace)
        sim.config.trace((uint32_t)(self - threads), caller);
    if (sim.result.steps >= sim.config.step_limit)
        trouble(FKLI_SIM_LIVELOCK);
    // Where nobody else could run, a change of priority would change nothing.
    bool contended = sim.alive - sim.sleepers > 1;
    sim.result.contended += contended;
    for (uint32_t i = 0; contended && i < sim.change_count; ++i) {
        if (sim.changes[i] == sim.result.contended)
            self->base = self->priority = (int64_t)(sim.change_count - i);
    }
    if (sim.strategy == FRESH_PRIORITIES && dice(sim.every))
        self->base = self->priority = any_priority();
    pass_time(sim.now + duration + (sim.pace ? (fkl_time)below(sim.pace) : 0));
}

static void let_others_pass(const void *caller)
{
    // The longer there is nothing but spinning, the faster time goes by.
    uint32_t doublings = sim.spins / 8;
    ++sim.spins;
    step(caller, (fkl_time)100 << (doublings < 20 ? doublings : 20));
    self->priority = --sim.lowest;
    switch_to(choose(self));
    self->priority = self->base;
}

static void point(const void *caller)
{
    if (!simulated())
        return;
    if (sim.row >= LONG_RUN) {
        let_others_pass(caller);
        return;
    }
    step(caller, 0);
    if (sim.strategy != WALK || dice(sim.every))
        switch_to(choose(NULL));
}

void fkli_sim_point(void)
{
    point(__builtin_return_address(0));
}

void fkli_sim_yield(void)
{
    if (simulated())
        let_others_pass(__builtin_return_address(0));
}

fkl_time fkli_sim_clock(void)
{
    point(__builtin_return_address(0));
    return ++sim.now;
}

// Futexes.

static void sleep_on(const void *word, fkl_time deadline)
{
    self->state = ASLEEP;
    self->word = word;
    self->deadline = deadline;
    self->where = sim.config.where ? sim.config.where() : NULL;
    ++sim.sleepers;
    sim.spins = 0;
    if (deadline < sim.next_deadline)
        sim.next_deadline = deadline;
    // Nobody can wake it before it hands over, so the sleep of a signal's victim is just a switch.
    if (dice(sim.signals))
        wake(self, EINTR);
    else if (dice(sim.spurious))
        wake(self, 0);
    switch_to(next_thread());
}

int fkli_sim_futex_wait(const uint32_t *word, uint32_t expected, fkl_time deadline)
{
    point(__builtin_return_address(0));
    if (!simulated())
        return 0;
    if (*word != expected)
        return EAGAIN;
    if (deadline <= sim.now)
        return ETIMEDOUT;
    sleep_on(word, deadline);
    return self->result;
}

// The kernel wakes the one that has slept longest; nobody should count on it.
bool fkli_sim_futex_wake_one(const void *word)
{
    point(__builtin_return_address(0));
    if (!simulated())
        return false;
    sim_thread *chosen = NULL;
    uint32_t seen = 0;
    for (uint32_t i = 0; i < sim.alive; ++i) {
        sim_thread *thread = sim.live[i];
        if (thread->state == ASLEEP && thread->word == word && dice(++seen))
            chosen = thread;
    }
    if (chosen)
        wake(chosen, 0);
    return chosen != NULL;
}

// Threads.

static void leave(sim_thread *thread)
{
    thread->state = ENDED;
    uint32_t at = 0;
    while (sim.live[at] != thread)
        ++at;
    --sim.alive;
    memmove(&sim.live[at], &sim.live[at + 1], (sim.alive - at) * sizeof sim.live[0]);
    sim.spins = 0;
}

// Runs last of the thread: the first call asks for a second one, before which the hooks of all
// other keys run.
static void end_thread(void *arg)
{
    sim_thread *thread = arg;
    if (!thread->hooks_ran) {
        thread->hooks_ran = true;
        pthread_setspecific(end_key, thread);
        return;
    }
    if (sim.frozen)
        return;
    mix(MAX_THREADS + (uint64_t)(thread - threads));
    leave(thread);
    self = NULL;
    sim_thread *next = next_thread();
    if (next)
        hand_over(next);
    else
        sem_post(&sim.done);
}

static void *run_thread(void *arg)
{
    self = arg;
    await_baton(self);
    pthread_setspecific(end_key, self);
    return self->run(self->arg);
}

static int create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *arg),
                  void *arg)
{
    if (sim.result.threads == MAX_THREADS)
        return EAGAIN;
    sim_thread *record = &threads[sim.result.threads];
    record->state = READY;
    record->base = record->priority = any_priority();
    record->deadline = FKL_FOREVER;
    record->where = NULL;
    record->run = run;
    record->arg = arg;
    record->hooks_ran = false;
    int error = pthread_create(&record->thread, attributes, run_thread, record);
    if (error)
        return error;
    *thread = record->thread;
    sim.live[sim.alive++] = record;
    ++sim.result.threads;
    sim.spins = 0;
    return 0;
}

int fkli_sim_thread_create(pthread_t *thread, const pthread_attr_t *attributes,
                           void *(*run)(void *arg), void *arg)
{
    return simulated() ? create(thread, attributes, run, arg) : EAGAIN;
}

// Runs.

typedef struct main_thread {
    void (*body)(void *arg);
    void *arg;
} main_thread;

static void *run_main(void *arg)
{
    main_thread *main = arg;
    main->body(main->arg);
    return NULL;
}

// Two processors hand the baton over three times as slowly as one.
static void stay_on_one_processor(void)
{
#if defined(__linux__)
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
#endif
}

static void set_up(void)
{
    stay_on_one_processor();
    pthread_key_create(&end_key, end_thread);
    sem_init(&sim.done, 0, 0);
    for (int i = 0; i < MAX_THREADS; ++i)
        sem_init(&threads[i].baton, 0, 0);
}

static void reset(const fkli_sim_config *config)
{
    sim.config = *config;
    memset(&sim.result, 0, sizeof sim.result);
    sim.result.hash = UINT64_C(0xcbf29ce484222325); // with 0 the steps of thread 0 would not count
    sim.current = NULL;
    sim.frozen = false;
    sim.now = start_of_time;
    sim.next_deadline = FKL_FOREVER;
    sim.lowest = 0;
    sim.row = 0;
    sim.spins = 0;
    sim.sleepers = 0;
    sim.alive = 0;
    choose_by_seed(config->seed);
}

bool fkli_sim_run(const fkli_sim_config *config, void (*body)(void *arg), void *arg,
                  fkli_sim_result *result)
{
    pthread_once(&once, set_up);
    reset(config);
    main_thread main = {body, arg};
    pthread_attr_t detached;
    pthread_t thread;
    if (pthread_attr_init(&detached))
        return false;
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    int error = create(&thread, &detached, run_main, &main);
    pthread_attr_destroy(&detached);
    if (error)
        return false;
    hand_over(sim.live[0]);
    while (sem_wait(&sim.done) != 0) {
    }
    fkli_sim_progress(result);
    return true;
}

void fkli_sim_freeze(void)
{
    sim.frozen = true;
}

void fkli_sim_progress(fkli_sim_result *result)
{
    *result = sim.result;
    result->time = sim.now;
}

uint32_t fkli_sim_rows(fkli_sim_row *rows, uint32_t capacity)
{
    uint32_t count = 0;
    for (; count < sim.alive && count < capacity; ++count) {
        const sim_thread *thread = sim.live[count];
        fkli_sim_row *row = &rows[count];
        row->thread = (uint32_t)(thread - threads);
        row->deadline = thread->deadline;
        if (pthread_getname_np(thread->thread, row->name, sizeof row->name))
            row->name[0] = '\0';
        if (thread->state == ASLEEP)
            row->where = thread->where ? thread->where : "a lock";
        else
            row->where = thread == sim.current ? "running" : "ready";
    }
    return count;
}

#else
typedef int fkli_not_simulated; // ISO C wants a declaration
#endif
