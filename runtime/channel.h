// SPDX-License-Identifier: Apache-2.0
//
// Watching a channel together with other things (select.c). A watcher queues like one that receives
// or sends, and takes nothing: what it was woken for it passes on.
#ifndef FKLI_CHANNEL_H
#define FKLI_CHANNEL_H

#include <forkless/channel.h>

#include "credit.h"
#include "wait.h"

// Whether a receive, or a send, would not wait.
bool fkli_channel_can_receive(fkl_channel *channel);
bool fkli_channel_can_send(fkl_channel *channel);

// True: it would not wait, and the waiter is not queued. False: the waiter is queued, and popped
// when there may be something. `was_popped`: by the watch before; it goes to the front.
bool fkli_channel_watch_receive(fkl_channel *channel, fkli_waiter *waiter, bool was_popped);
bool fkli_channel_watch_send(fkl_channel *channel, fkli_waiter *waiter, bool was_popped);
// Ends a watch that said false, popped or not.
void fkli_channel_unwatch_receive(fkl_channel *channel, fkli_waiter *waiter);
void fkli_channel_unwatch_send(fkl_channel *channel, fkli_waiter *waiter);

#endif
