// SPDX-License-Identifier: Apache-2.0
//
// The platform: clock, parkers, locks, threads and pipes, each as its header says, for whichever
// implementation was built.
#include "support/rig.h"

#include "platform/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

// ---- parkers

Test(platform, a_token_left_before_ends_the_next_park_at_once)
{
    fkli_parker parker;
    fkli_parker_init(&parker);
    fkli_unpark(&parker);
    fkli_unpark(&parker); // still one
    cr_assert_eq(fkli_park(&parker, FKL_FOREVER), FKLI_PARK_WOKEN);
    cr_assert_eq(fkli_park(&parker, FKL_NO_WAIT), FKLI_PARK_TIMEOUT);
    fkli_parker_fini(&parker);
}

Test(platform, a_token_is_found_after_the_deadline_too)
{
    fkli_parker parker;
    fkli_parker_init(&parker);
    fkli_unpark(&parker);
    cr_assert_eq(fkli_park(&parker, FKL_NO_WAIT), FKLI_PARK_WOKEN);
    fkli_parker_fini(&parker);
}

Test(platform, a_park_lasts_until_its_deadline, .timeout = 60)
{
    fkli_parker parker;
    fkli_parker_init(&parker);
    fkl_time deadline = fkli_clock_now() + 30000000;
    fkli_park_result result;
    do {
        result = fkli_park(&parker, deadline); // may wake for no reason
    } while (result == FKLI_PARK_WOKEN);
    cr_assert_eq(result, FKLI_PARK_TIMEOUT);
    cr_assert_geq(fkli_clock_now(), deadline);
    fkli_parker_fini(&parker);
}

struct pair {
    fkli_parker parkers[2];
    atomic_int ball; // whose turn it is
    int rounds;
    int seen; // whoever has the ball writes it
};

static void play(struct pair *pair, int me)
{
    for (int i = 0; i < pair->rounds; i++) {
        while (atomic_load(&pair->ball) != me) {
            if (fkli_park(&pair->parkers[me], FKL_FOREVER) != FKLI_PARK_WOKEN) {
                return;
            }
        }
        pair->seen++;
        atomic_store(&pair->ball, !me);
        fkli_unpark(&pair->parkers[!me]);
    }
}

static void *player(void *arg)
{
    play(arg, 1);
    return NULL;
}

Test(platform, tokens_pass_between_threads_and_none_is_lost, .timeout = 60)
{
    struct pair pair = {.rounds = 20000};
    pthread_t thread;
    fkli_parker_init(&pair.parkers[0]);
    fkli_parker_init(&pair.parkers[1]);
    cr_assert_eq(pthread_create(&thread, NULL, player, &pair), 0);
    play(&pair, 0);
    pthread_join(thread, NULL);
    cr_assert_eq(pair.seen, 2 * pair.rounds);
    fkli_parker_fini(&pair.parkers[0]);
    fkli_parker_fini(&pair.parkers[1]);
}

static void on_signal(int number)
{
    (void)number;
}

struct sleeper {
    fkli_parker parker;
    atomic_bool over;
    fkli_park_result result;
};

static void *sleep_for_signal(void *arg)
{
    struct sleeper *sleeper = arg;
    do {
        sleeper->result = fkli_park(&sleeper->parker, fkli_clock_now() + 20000000000);
    } while (sleeper->result == FKLI_PARK_WOKEN && !atomic_load(&sleeper->over));
    atomic_store(&sleeper->over, true);
    return NULL;
}

Test(platform, a_signal_handler_ends_a_park, .timeout = 60)
{
    if (!FKLI_HAVE_FUTEX) {
        cr_skip_test("a condition variable does not say");
    }
    struct sleeper sleeper = {.over = false};
    pthread_t thread;
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &action, NULL);
    fkli_parker_init(&sleeper.parker);
    cr_assert_eq(pthread_create(&thread, NULL, sleep_for_signal, &sleeper), 0);
    for (int i = 0; i < 10000 && !atomic_load(&sleeper.over); i++) {
        rig_pause_ms(1);
        pthread_kill(thread, SIGUSR1); // again and again, for it may not sleep yet
    }
    atomic_store(&sleeper.over, true);
    pthread_join(thread, NULL);
    cr_assert_eq(sleeper.result, FKLI_PARK_SIGNAL);
    fkli_parker_fini(&sleeper.parker);
}

// ---- locks

struct counted {
    fkli_lock lock;
    atomic_int ready;
    int threads, rounds;
    long total; // plain on purpose: the lock must protect it
};

static void *count_up(void *arg)
{
    struct counted *counted = arg;
    atomic_fetch_add(&counted->ready, 1);
    while (atomic_load(&counted->ready) < counted->threads) {
        fkli_thread_yield();
    }
    for (int i = 0; i < counted->rounds; i++) {
        fkli_lock_take(&counted->lock);
        long before = counted->total;
        rig_spin(20);
        if (i % 64 == 0) {
            fkli_thread_yield(); // so that others find it taken
        }
        counted->total = before + 1;
        fkli_lock_give(&counted->lock);
    }
    return NULL;
}

Test(platform, a_lock_lets_one_thread_in_at_a_time, .timeout = 60)
{
    enum { COUNT = 6 };
    struct counted counted = {.threads = COUNT, .rounds = 10000};
    pthread_t threads[COUNT];
    fkli_lock_init(&counted.lock);
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, count_up, &counted), 0);
    }
    for (int i = 0; i < COUNT; i++) {
        pthread_join(threads[i], NULL);
    }
    cr_assert_eq(counted.total, (long)COUNT * counted.rounds);
    fkli_lock_fini(&counted.lock);
}

// ---- threads

struct started {
    atomic_bool run, hooked;
    char name[64];
    size_t stack_size;
    bool with_hook, taken_back;
};

static void on_thread_end(void *arg)
{
    atomic_store(&((struct started *)arg)->hooked, true);
}

static void run_started(void *arg)
{
    struct started *started = arg;
#if defined(__linux__)
    pthread_attr_t attributes;
    pthread_getname_np(pthread_self(), started->name, sizeof started->name);
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        pthread_attr_getstacksize(&attributes, &started->stack_size);
        pthread_attr_destroy(&attributes);
    }
#endif
    if (started->with_hook) {
        fkli_thread_at_exit(on_thread_end, started);
    }
    if (started->taken_back) {
        fkli_thread_at_exit(NULL, NULL);
    }
    atomic_store(&started->run, true);
}

Test(platform, a_thread_runs_with_its_name_and_stack, .timeout = 60)
{
    static struct started started; // the thread is detached, and may outlive this function
    fkli_start start = {run_started, &started, "twenty characters!!!"};
    assert_ok(fkli_thread_start(&start, 500000));
    assert_eventually(atomic_load(&started.run));
#if defined(__linux__)
    cr_assert_str_eq(started.name, "twenty characte", "cut to the system's limit");
    cr_assert_geq(started.stack_size, 500000);
#endif
}

Test(platform, the_hook_runs_at_the_threads_end_unless_taken_back, .timeout = 60)
{
    static struct started with, without;
    with.with_hook = true;
    without.with_hook = without.taken_back = true;
    fkli_start first = {run_started, &with, NULL}, second = {run_started, &without, NULL};
    assert_ok(fkli_thread_start(&first, 0));
    assert_ok(fkli_thread_start(&second, 1)); // a stack of one byte is raised to the least
    assert_eventually(atomic_load(&with.run) && atomic_load(&without.run));
    if (FKLI_TLS_OUTLIVES_EXIT_HOOK) {
        assert_eventually(atomic_load(&with.hooked));
    }
    rig_pause_ms(20);
    cr_assert_not(atomic_load(&without.hooked));
}

Test(platform, injected_faults_hit_the_starts_they_are_for)
{
    static struct started started;
    fkli_start start = {run_started, &started, NULL};
    fkli_fault_thread_start(1, 2);
    assert_ok(fkli_thread_start(&start, 0));
    assert_eventually(atomic_load(&started.run));
    assert_err(fkli_thread_start(&start, 0), FKL_ETHREAD);
    assert_err(fkli_thread_start(&start, 0), FKL_ETHREAD);
    atomic_store(&started.run, false);
    assert_ok(fkli_thread_start(&start, 0));
    assert_eventually(atomic_load(&started.run));
}

Test(platform, injected_faults_end_the_sleeps_they_are_for, .timeout = 60)
{
    fkli_parker parker;
    fkli_parker_init(&parker);
    fkli_fault_park(FKLI_PARK_WOKEN, 1, 1);
    cr_assert_eq(fkli_park(&parker, fkl_after_ms(1)), FKLI_PARK_TIMEOUT);
    cr_assert_eq(fkli_park(&parker, FKL_FOREVER), FKLI_PARK_WOKEN);
    cr_assert_eq(fkli_fault_park(FKLI_PARK_TIMEOUT, 0, 1), 0);
    cr_assert_eq(fkli_park(&parker, SOON), FKLI_PARK_TIMEOUT);
    fkli_fault_park(FKLI_PARK_SIGNAL, 0, 2);
    fkli_park_result signalled = FKLI_HAVE_FUTEX ? FKLI_PARK_SIGNAL : FKLI_PARK_WOKEN;
    cr_assert_eq(fkli_park(&parker, FKL_FOREVER), signalled);
    cr_assert_eq(fkli_fault_park(FKLI_PARK_WOKEN, 0, 0), 1);
    cr_assert_eq(fkli_park(&parker, fkl_after_ms(1)), FKLI_PARK_TIMEOUT);
    fkli_parker_fini(&parker);
}

// A token that is there when the sleep would begin is found by the sleep that ends at once, too.
Test(platform, an_injected_fault_loses_no_token, .timeout = 60)
{
    fkli_parker parker;
    fkli_parker_init(&parker);
    fkli_fault_park(FKLI_PARK_TIMEOUT, 0, 1);
    fkli_unpark(&parker);
    cr_assert_eq(fkli_park(&parker, SOON), FKLI_PARK_WOKEN);
    cr_assert_eq(fkli_fault_park(FKLI_PARK_WOKEN, 0, 0), 1, "it did not have to sleep");
    fkli_parker_fini(&parker);
}

// ---- pipes

Test(platform, a_pipe_is_readable_when_its_other_end_is_closed)
{
    int read_end = -1, write_end = -1;
    char byte;
    assert_ok(fkli_pipe_open(&read_end, &write_end));
    cr_assert(fcntl(read_end, F_GETFD) & FD_CLOEXEC);
    cr_assert(fcntl(write_end, F_GETFD) & FD_CLOEXEC);
    fkli_fd_close(write_end);
    cr_assert_eq(read(read_end, &byte, 1), 0);
    fkli_fd_close(read_end);
    fkli_fd_close(-1);
    cr_assert_eq(fcntl(read_end, F_GETFD), -1);
}

Test(platform, no_descriptors_left_is_eos)
{
    struct rlimit before, none = {0, 0};
    int read_end = -1, write_end = -1;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    none.rlim_max = before.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    fkl_err err = fkli_pipe_open(&read_end, &write_end);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_err(err, FKL_EOS);
    cr_assert_eq(read_end, -1);
    cr_assert_eq(write_end, -1);
}

// ---- traits

#if defined(__linux__)

Test(platform, traits_are_the_same_until_something_changes)
{
    fkli_traits before;
    sigset_t usr1, old;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    cr_assert(fkli_traits_take(&before));
    cr_assert(fkli_traits_are_mine(&before));
    pthread_sigmask(SIG_BLOCK, &usr1, &old);
    cr_assert(!fkli_traits_are_mine(&before));
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    cr_assert(fkli_traits_are_mine(&before));
}

static void *read_traits(void *own)
{
    fkli_traits_take(own);
    return NULL;
}

Test(platform, a_thread_has_the_traits_of_who_starts_it)
{
    fkli_traits its;
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, read_traits, &its), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert(fkli_traits_are_mine(&its));
}

Test(platform, the_child_of_a_fork_has_other_traits)
{
    fkli_traits before;
    cr_assert(fkli_traits_take(&before));
    pid_t child = fork();
    if (child == 0) {
        _exit(fkli_traits_are_mine(&before) ? 1 : 0);
    }
    int status = -1;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
}

#endif
