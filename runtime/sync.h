// SPDX-License-Identifier: Apache-2.0
//
// The inside of a semaphore, for those who wait for it together with other things.
#ifndef FKLI_SYNC_H
#define FKLI_SYNC_H

#include <forkless/sync.h>

#include "credit.h"

fkli_credit *fkli_sem_credit(fkl_sem *sem);

#endif
