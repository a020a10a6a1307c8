%% SPDX-License-Identifier: Apache-2.0
-module(mailbox).
-export([run/1]).

run([Senders, Messages]) ->
    Main = self(),
    %% This kind of mailbox is made for many senders: they share no lock.
    Sink = spawn_opt(
        fun() -> take(Main, Senders * Messages, 0) end,
        [{message_queue_data, off_heap}]
    ),
    Begin = savina:now_ns(),
    [spawn(fun() -> send(Sink, 1, Messages) end) || _ <- lists:seq(1, Senders)],
    Sum = receive {sum, Total} -> Total end,
    {savina:now_ns() - Begin, Senders * Messages, Sum}.

send(Sink, Value, Last) when Value =< Last ->
    Sink ! Value,
    send(Sink, Value + 1, Last);
send(_, _, _) ->
    ok.

take(Main, 0, Sum) ->
    Main ! {sum, Sum};
take(Main, Left, Sum) ->
    receive Value -> take(Main, Left - 1, Sum + Value) end.
