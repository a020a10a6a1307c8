%% SPDX-License-Identifier: Apache-2.0
-module(counting).
-export([run/1]).

run([Messages]) ->
    Main = self(),
    Counter = spawn(fun() -> count(0) end),
    Producer = spawn(fun() -> produce(Main, Counter, Messages) end),
    Begin = savina:now_ns(),
    Producer ! start,
    Sum = receive {result, Total} -> Total end,
    {savina:now_ns() - Begin, Messages, Sum}.

produce(Main, Counter, Messages) ->
    receive start -> ok end,
    send(Counter, 1, Messages),
    Counter ! {retrieve, self()},
    receive {total, Sum} -> Main ! {result, Sum} end.

send(Counter, Value, Last) when Value =< Last ->
    Counter ! Value,
    send(Counter, Value + 1, Last);
send(_, _, _) ->
    ok.

count(Sum) ->
    receive
        Value when is_integer(Value) -> count(Sum + Value);
        {retrieve, Producer} -> Producer ! {total, Sum}
    end.
