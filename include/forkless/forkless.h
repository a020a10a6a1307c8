// SPDX-License-Identifier: Apache-2.0
//
// libforkless: actors, messages and channels for C programs.
//
// Glossary
//   actor      a thread with an id, a mailbox and an exit record; also: simulated process
//   answer     what a request gets; it goes to who asked and nowhere else
//   bound      how many messages a mailbox holds at most, and what is done beyond that
//   channel    a queue of messages with many senders and many receivers
//   child      an actor that a supervisor started, over all its incarnations
//   deadline   an absolute time on the monotonic clock, FKL_FOREVER for none
//   drain      a request to finish what is in the mailbox and let nothing more in
//   exit       the record of how an actor ended: reason, code, error
//   failure    what went wrong, packed as the error of an exit
//   helper     a further thread that works on behalf of an actor
//   incarnation one start of a child: an actor with an id of its own
//   link       a tie between two actors: the failure of one ends the other, or is a message to it
//   mailbox    the queue of one actor; only its own thread receives from it
//   mark       a point in an actor's mail, from which a receive by choice may begin
//   monitor    a request to be told when another actor ends
//   orphan     an actor whose exit is published while its thread still runs
//   pooled     an actor without a thread of its own: workers call its behaviour for each message
//   stop       a request that makes all of an actor's waits return FKL_ESTOPPED
//   supervisor an actor that starts others, starts them again when they fail, and ends them
//   timer      a message that will be sent at its time, once or repeatedly
//
// Threads: every function may be called from any thread unless its comment says otherwise.
// Fork: a child of fork() has none of the actors; it may only exec or _exit.
// Waits: every blocking call takes a deadline, and ends early with FKL_ESTOPPED or FKL_EINTR. It
// looks for such a request first, so an actor that has been asked to stop gets FKL_ESTOPPED even
// where it would not have to wait; the try_ calls never look. References: a caller holds one for as
// long as its call lasts.
#ifndef FORKLESS_FORKLESS_H
#define FORKLESS_FORKLESS_H

#include <forkless/actor.h>
#include <forkless/ask.h>
#include <forkless/base.h>
#include <forkless/channel.h>
#include <forkless/clock.h>
#include <forkless/codec.h>
#include <forkless/error.h>
#include <forkless/failure.h>
#include <forkless/group.h>
#include <forkless/mail.h>
#include <forkless/message.h>
#include <forkless/monitor.h>
#include <forkless/name.h>
#include <forkless/observe.h>
#include <forkless/pooled.h>
#include <forkless/runtime.h>
#include <forkless/select.h>
#include <forkless/supervisor.h>
#include <forkless/sync.h>
#include <forkless/timer.h>

#endif
