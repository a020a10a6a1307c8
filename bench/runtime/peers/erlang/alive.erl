%% SPDX-License-Identifier: Apache-2.0
-module(alive).
-export([run/1]).

%% So many messages are under way at a time, lest the memory for them be counted as the actors'.
-define(BATCH, 1000).

run([Count]) ->
    Before = savina:resident(),
    Begin = savina:now_ns(),
    Actors = [spawn(fun answer/0) || _ <- lists:seq(1, Count)],
    First = ask(Actors, ask, 1, 0),
    Bytes = savina:resident() - Before,
    Sum = ask(Actors, last, 1, First),
    {savina:now_ns() - Begin, Count, Sum, Bytes}.

answer() ->
    receive
        {ask, Value, Driver} ->
            Driver ! Value,
            answer();
        {last, Value, Driver} ->
            Driver ! Value
    end.

ask([], _, _, Sum) ->
    Sum;
ask(Actors, Kind, Value, Sum) ->
    {Rest, Next} = send(Actors, Kind, Value, Value + ?BATCH),
    ask(Rest, Kind, Next, collect(Next - Value, Sum)).

send([Actor | Rest], Kind, Value, Behind) when Value < Behind ->
    Actor ! {Kind, Value, self()},
    send(Rest, Kind, Value + 1, Behind);
send(Actors, _, Value, _) ->
    {Actors, Value}.

collect(0, Sum) -> Sum;
collect(Left, Sum) -> receive Value -> collect(Left - 1, Sum + Value) end.
