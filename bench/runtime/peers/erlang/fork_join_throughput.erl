%% SPDX-License-Identifier: Apache-2.0
-module(fork_join_throughput).
-export([run/1]).

run([Actors, Messages]) ->
    Main = self(),
    Workers = [spawn(fun() -> work(Main, Messages, 0) end) || _ <- lists:seq(1, Actors)],
    Begin = savina:now_ns(),
    send(Workers, 1, Messages),
    Sum = lists:sum([receive {sum, Part} -> Part end || _ <- Workers]),
    {savina:now_ns() - Begin, Actors * Messages, Sum}.

send(Workers, Value, Last) when Value =< Last ->
    send_each(Workers, Value),
    send(Workers, Value + 1, Last);
send(_, _, _) ->
    ok.

send_each([Worker | Rest], Value) ->
    Worker ! Value,
    send_each(Rest, Value);
send_each([], _) ->
    ok.

work(Main, 0, Sum) ->
    Main ! {sum, Sum};
work(Main, Left, Sum) ->
    receive Value -> work(Main, Left - 1, Sum + Value) end.
