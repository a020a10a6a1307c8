// SPDX-License-Identifier: Apache-2.0
//
// Public semaphores and mutexes: reference-counted objects around a credit. Any thread runs this. A
// mutex is a credit of one unit plus the number of the thread or pooled actor that holds it.

#include "sync.h"

#include "memory.h"

// References: a release pairs with the acquire of the last one, so the destroyer sees all that the
// others did.
static bool drop_reference(fkli_atomic_u32 *refs)
{
    return fkli_sub_acq_rel_u32(refs, 1) == 1;
}

struct fkl_sem {
    fkl_allocator allocator; // a copy, for the runtime may go first
    fkli_atomic_u32 refs;
    fkli_credit credit;
};

fkl_err fkl_sem_create(fkl_runtime *runtime, int64_t value, int64_t max, fkl_sem **out)
{
    if (max < 1 || max > INT32_MAX || value < 0 || value > max)
        return FKL_EINVAL;
    const fkl_allocator *allocator = fkli_allocator_of(runtime);
    fkl_sem *sem = fkli_alloc(allocator, sizeof *sem);
    if (!sem)
        return FKL_ENOMEM;
    sem->allocator = *allocator;
    fkli_store_relaxed_u32(&sem->refs, 1);
    fkli_credit_init(&sem->credit, (uint32_t)value, (uint32_t)max);
    *out = sem;
    return FKL_OK;
}

fkl_sem *fkl_sem_retain(fkl_sem *sem)
{
    fkli_add_relaxed_u32(&sem->refs, 1); // the caller's reference keeps it alive
    return sem;
}

void fkl_sem_release(fkl_sem *sem)
{
    if (!sem || !drop_reference(&sem->refs))
        return;
    fkli_credit_fini(&sem->credit);
    fkl_allocator allocator = sem->allocator;
    fkli_free(&allocator, sem, sizeof *sem);
}

fkl_err fkl_sem_wait_until(fkl_sem *sem, fkl_time deadline)
{
    return fkli_credit_take_until(&sem->credit, deadline, "semaphore");
}

fkl_err fkl_sem_try_wait(fkl_sem *sem)
{
    return fkli_credit_try_take(&sem->credit);
}

fkl_err fkl_sem_post(fkl_sem *sem)
{
    return fkli_credit_give(&sem->credit);
}

int64_t fkl_sem_value(const fkl_sem *sem)
{
    return fkli_credit_value(&sem->credit);
}

fkli_credit *fkli_sem_credit(fkl_sem *sem)
{
    return &sem->credit;
}

// Mutex.

struct fkl_mutex {
    fkl_allocator allocator;
    fkli_atomic_u32 refs;
    bool recursive; // constant
    fkli_credit credit;
    // The number of who holds it (fkli_thread.holder), 0 for none. Relaxed everywhere: a thread
    // compares it only with its own number, which nobody else writes.
    fkli_atomic_u64 owner;
    uint32_t depth; // the owner's
};

fkl_err fkl_mutex_create(fkl_runtime *runtime, bool recursive, fkl_mutex **out)
{
    const fkl_allocator *allocator = fkli_allocator_of(runtime);
    fkl_mutex *mutex = fkli_alloc(allocator, sizeof *mutex);
    if (!mutex)
        return FKL_ENOMEM;
    mutex->allocator = *allocator;
    fkli_store_relaxed_u32(&mutex->refs, 1);
    mutex->recursive = recursive;
    fkli_credit_init(&mutex->credit, 1, 1);
    fkli_store_relaxed_u64(&mutex->owner, 0);
    mutex->depth = 0;
    *out = mutex;
    return FKL_OK;
}

fkl_mutex *fkl_mutex_retain(fkl_mutex *mutex)
{
    fkli_add_relaxed_u32(&mutex->refs, 1); // the caller's reference keeps it alive
    return mutex;
}

void fkl_mutex_release(fkl_mutex *mutex)
{
    if (!mutex || !drop_reference(&mutex->refs))
        return;
    fkli_credit_fini(&mutex->credit);
    fkl_allocator allocator = mutex->allocator;
    fkli_free(&allocator, mutex, sizeof *mutex);
}

static bool is_owner(const fkl_mutex *mutex, const fkli_thread *thread)
{
    return thread && fkli_load_relaxed_u64(&mutex->owner) == thread->holder;
}

static fkl_err take_again(fkl_mutex *mutex)
{
    if (!mutex->recursive)
        return FKL_EDEADLK;
    if (mutex->depth == UINT32_MAX)
        return FKL_EOVERFLOW;
    ++mutex->depth;
    return FKL_OK;
}

static void become_owner(fkl_mutex *mutex, const fkli_thread *thread)
{
    fkli_store_relaxed_u64(&mutex->owner, thread->holder);
    mutex->depth = 1;
}

fkl_err fkl_mutex_lock_until(fkl_mutex *mutex, fkl_time deadline)
{
    fkli_thread *thread = fkli_thread_current();
    if (is_owner(mutex, thread))
        return take_again(mutex);
    fkl_err err = fkli_credit_take_until(&mutex->credit, deadline, "mutex");
    if (!err)
        become_owner(mutex, thread);
    return err;
}

fkl_err fkl_mutex_try_lock(fkl_mutex *mutex)
{
    fkli_thread *thread = fkli_thread_current();
    if (is_owner(mutex, thread))
        return mutex->recursive ? take_again(mutex) : FKL_EEMPTY;
    fkl_err err = fkli_credit_try_take(&mutex->credit);
    if (!err)
        become_owner(mutex, thread);
    return err;
}

fkl_err fkl_mutex_unlock(fkl_mutex *mutex)
{
    if (!is_owner(mutex, fkli_thread_peek()))
        return FKL_EPERM;
    if (--mutex->depth > 0)
        return FKL_OK;
    fkli_store_relaxed_u64(&mutex->owner, 0);
    return fkli_credit_give(&mutex->credit);
}

uint32_t fkl_mutex_depth(const fkl_mutex *mutex)
{
    return is_owner(mutex, fkli_thread_peek()) ? mutex->depth : 0;
}
