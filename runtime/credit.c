// SPDX-License-Identifier: Apache-2.0
//
// The counting semaphore (see credit.h). Any thread runs this.
//
// Value, number of queued waiters and "closed" change together in one word, so a giver learns in
// the same instruction whether somebody waits, and a waiter queues only while the value is 0: no
// fence between two words is needed. The number of waiters changes under the lock, like the list.
//
// One wake is under way at a time. Bit WAKING is set by the giver that finds waiters and no such
// bit; it pops a waiter, whose duty the bit becomes. That one takes a unit, or queues again, and
// then pops the next if there are units left, or clears the bit. Givers that find the bit set only
// count: a consumer that frees many places enters the kernel once, not for each. So, whenever the
// lock is free: if there are units and queued waiters, then the bit is set and somebody is on the
// way.
//
// A giver touches the credit after its compare-and-swap only when a waiter was queued, and a queued
// waiter leaves with a unit only after it was popped: so a waiter that got its unit in its first
// wait may free the credit, although the giver has not returned yet.

#include "credit.h"

#define VALUE_MASK UINT64_C(0xffffffff)
#define ONE_WAITER (UINT64_C(1) << 32)
#define WAITERS_MASK (UINT64_C(0x3fffffff) << 32)
#define WAKING (UINT64_C(1) << 62)
#define CLOSED (UINT64_C(1) << 63)

void fkli_credit_init(fkli_credit *credit, uint32_t value, uint32_t max)
{
    fkli_store_relaxed_u64(&credit->word, value);
    credit->max = max;
    fkli_lock_init(&credit->lock);
    credit->waiters = (fkli_waitlist){NULL, NULL};
}

void fkli_credit_fini(fkli_credit *credit)
{
    fkli_lock_fini(&credit->lock);
}

// The acquire pairs with the release in fkli_credit_give(): what the giver did is visible to the
// taker.
fkl_err fkli_credit_try_take(fkli_credit *credit)
{
    uint64_t word = fkli_load_relaxed_u64(&credit->word);
    for (;;) {
        if (word & CLOSED)
            return FKL_ECLOSED;
        if ((word & VALUE_MASK) == 0)
            return FKL_EEMPTY;
        if (fkli_cas_acquire_u64(&credit->word, &word, word - 1))
            return FKL_OK;
    }
}

// Relaxed: the number of waiters is read in the same word as the value, and guarded by the lock.
static fkli_wakeup pop_waiter_locked(fkli_credit *credit)
{
    fkli_wakeup wakeup = fkli_waitlist_pop_locked(&credit->waiters);
    if (wakeup)
        fkli_sub_relaxed_u64(&credit->word, ONE_WAITER);
    return wakeup;
}

// For whom WAKING is the duty: hands it to the next waiter if there is a unit for one, or clears it
// in the instruction that finds no unit or no waiter. A unit that is given later finds it clear.
static fkli_wakeup pass_on_locked(fkli_credit *credit)
{
    uint64_t word = fkli_load_relaxed_u64(&credit->word);
    do {
        if ((word & VALUE_MASK) && (word & WAITERS_MASK))
            return pop_waiter_locked(credit);
    } while (!fkli_cas_relaxed_u64(&credit->word, &word, word & ~WAKING));
    return NULL;
}

static void pass_on(fkli_credit *credit)
{
    fkli_lock_take(&credit->lock);
    fkli_wakeup wakeup = pass_on_locked(credit);
    fkli_lock_give(&credit->lock);
    fkli_wake(wakeup);
}

// Takes a unit, or else counts and queues the waiter. `was_popped`: it goes to the front, and
// WAKING is its duty. Errors: FKL_EEMPTY (queued), FKL_ECLOSED.
static fkl_err take_or_queue(fkli_credit *credit, fkli_waiter *waiter, bool was_popped)
{
    fkli_wakeup wakeup = NULL;
    fkl_err err;
    fkli_lock_take(&credit->lock);
    uint64_t word = fkli_load_relaxed_u64(&credit->word);
    for (;;) {
        if (word & CLOSED) {
            err = FKL_ECLOSED;
            break;
        }
        bool take = (word & VALUE_MASK) != 0;
        uint64_t queued = (was_popped ? word & ~WAKING : word) + ONE_WAITER;
        if (fkli_cas_acquire_u64(&credit->word, &word, take ? word - 1 : queued)) {
            err = take ? FKL_OK : FKL_EEMPTY;
            break;
        }
    }
    if (err == FKL_EEMPTY && was_popped)
        fkli_waitlist_prepend_locked(&credit->waiters, waiter);
    else if (err == FKL_EEMPTY)
        fkli_waitlist_append_locked(&credit->waiters, waiter);
    else if (err == FKL_OK && was_popped)
        wakeup = pass_on_locked(credit);
    fkli_lock_give(&credit->lock);
    fkli_wake(wakeup);
    return err;
}

// Returns whether the waiter was still queued.
static bool unqueue(fkli_credit *credit, fkli_waiter *waiter)
{
    fkli_lock_take(&credit->lock);
    bool queued = fkli_waitlist_remove_locked(&credit->waiters, waiter);
    if (queued)
        fkli_sub_relaxed_u64(&credit->word, ONE_WAITER);
    fkli_lock_give(&credit->lock);
    return queued;
}

// After `err` ended the wait of a queued waiter.
static fkl_err leave(fkli_credit *credit, fkli_waiter *waiter, fkl_err err)
{
    if (unqueue(credit, waiter))
        return err;
    // It was popped in the meantime. A timeout may as well end in success; a stop may not. Either
    // way the others get the wake.
    if (err == FKL_ETIMEDOUT && fkli_credit_try_take(credit) == FKL_OK)
        err = FKL_OK;
    pass_on(credit);
    return err;
}

fkl_err fkli_credit_take_until(fkli_credit *credit, fkl_time deadline, const char *where)
{
    fkli_thread *thread = fkli_thread_current();
    fkl_err err = fkli_wait_cancelled(thread);
    if (err)
        return err;
    err = fkli_credit_try_take(credit);
    if (err != FKL_EEMPTY)
        return err;
    if (fkli_deadline_passed(deadline))
        return FKL_ETIMEDOUT;
    fkli_waiter waiter;
    fkli_waiter_init(&waiter, thread);
    // A waiter that lost its unit to a newcomer goes back to the front.
    for (bool was_popped = false;; was_popped = true) {
        err = take_or_queue(credit, &waiter, was_popped);
        if (err != FKL_EEMPTY)
            break;
        err = fkli_await(&waiter, deadline, where);
        if (err) {
            err = leave(credit, &waiter, err);
            break;
        }
    }
    fkli_waiter_fini(&waiter);
    return err;
}

// Relaxed: who goes by the answer takes a unit next, and that acquires.
bool fkli_credit_can_take(const fkli_credit *credit)
{
    uint64_t word = fkli_load_relaxed_u64(&credit->word);
    return (word & VALUE_MASK) || (word & CLOSED);
}

// A watcher is a waiter that takes nothing. One that was popped passes its duty on to the next if
// it finds a unit, as the unit is still there, and gives it up in the instruction that queues it
// again.
bool fkli_credit_watch(fkli_credit *credit, fkli_waiter *waiter, bool was_popped)
{
    fkli_wakeup wakeup = NULL;
    bool ready;
    fkli_lock_take(&credit->lock);
    uint64_t word = fkli_load_relaxed_u64(&credit->word);
    do {
        ready = (word & VALUE_MASK) || (word & CLOSED);
    } while (!ready && !fkli_cas_acquire_u64(&credit->word, &word,
                                             (was_popped ? word & ~WAKING : word) + ONE_WAITER));
    if (!ready && was_popped)
        fkli_waitlist_prepend_locked(&credit->waiters, waiter);
    else if (!ready)
        fkli_waitlist_append_locked(&credit->waiters, waiter);
    else if (was_popped)
        wakeup = pass_on_locked(credit);
    fkli_lock_give(&credit->lock);
    fkli_wake(wakeup);
    return ready;
}

void fkli_credit_unwatch(fkli_credit *credit, fkli_waiter *waiter)
{
    if (!unqueue(credit, waiter))
        pass_on(credit);
}

// The release pairs with the acquire of whoever takes the unit.
fkl_err fkli_credit_give(fkli_credit *credit)
{
    uint64_t word = fkli_load_relaxed_u64(&credit->word);
    uint64_t given;
    do {
        if ((word & VALUE_MASK) >= credit->max)
            return FKL_EOVERFLOW;
        given = (word & WAITERS_MASK ? word | WAKING : word) + 1;
    } while (!fkli_cas_release_u64(&credit->word, &word, given));
    if ((word & WAITERS_MASK) && !(word & WAKING))
        pass_on(credit);
    return FKL_OK;
}

void fkli_credit_close(fkli_credit *credit)
{
    fkli_or_release_u64(&credit->word, CLOSED);
    fkli_wakeup wakeup;
    do {
        fkli_lock_take(&credit->lock);
        wakeup = pop_waiter_locked(credit);
        fkli_lock_give(&credit->lock);
        fkli_wake(wakeup);
    } while (wakeup);
}

uint32_t fkli_credit_value(const fkli_credit *credit)
{
    return (uint32_t)(fkli_load_acquire_u64(&credit->word) & VALUE_MASK);
}
