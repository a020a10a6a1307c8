%% SPDX-License-Identifier: Apache-2.0
-module(fork_join_create).
-export([run/1]).

run([Actors]) ->
    Main = self(),
    Collector = spawn(fun() -> collect(Main, Actors, 0) end),
    Begin = savina:now_ns(),
    create(Collector, 1, Actors),
    Sum = receive {sum, Total} -> Total end,
    {savina:now_ns() - Begin, Actors, Sum}.

create(Collector, Value, Last) when Value =< Last ->
    Actor = spawn(fun() -> receive Got -> Collector ! Got end end),
    Actor ! Value,
    create(Collector, Value + 1, Last);
create(_, _, _) ->
    ok.

collect(Main, 0, Sum) ->
    Main ! {sum, Sum};
collect(Main, Left, Sum) ->
    receive Value -> collect(Main, Left - 1, Sum + Value) end.
