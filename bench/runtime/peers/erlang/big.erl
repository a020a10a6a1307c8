%% SPDX-License-Identifier: Apache-2.0
-module(big).
-export([run/1]).

run([Count, Pings]) ->
    Main = self(),
    Sink = spawn(fun() -> sink(Main, Count) end),
    Workers = [spawn(fun() -> start(Number, Pings, Sink, 0) end) || Number <- lists:seq(1, Count)],
    All = list_to_tuple(Workers),
    %% A tuple in a message would be copied for each worker.
    persistent_term:put(big, All),
    Begin = savina:now_ns(),
    [Worker ! start || Worker <- Workers],
    receive all_done -> ok end,
    Ns = savina:now_ns() - Begin,
    [Worker ! {stop, Main} || Worker <- Workers],
    Sum = lists:sum([receive {sum, Part} -> Part end || _ <- Workers]),
    {Ns, 2 * Count * Pings, Sum}.

sink(Main, 0) ->
    Main ! all_done;
sink(Main, Left) ->
    receive done -> sink(Main, Left - 1) end.

%% Others may be faster than the first message from the main process.
start(Number, Pings, Sink, Sum) ->
    receive
        start ->
            All = persistent_term:get(big),
            Random = ping(All, Number, 1),
            work(All, Number, Pings, Sink, Random, Sum);
        {ping, Value, From} ->
            From ! {pong, Value},
            start(Number, Pings, Sink, Sum + Value * Number)
    end.

ping(All, Random, Value) ->
    Next = (Random * 69069 + 1) band 16#FFFFFFFF,
    element((Next bsr 8) rem tuple_size(All) + 1, All) ! {ping, Value, self()},
    Next.

work(All, Number, Pings, Sink, Random, Sum) ->
    receive
        {ping, Value, From} ->
            From ! {pong, Value},
            work(All, Number, Pings, Sink, Random, Sum + Value * Number);
        {pong, Pings} ->
            Sink ! done,
            work(All, Number, Pings, Sink, Random, Sum + Pings);
        {pong, Value} ->
            Next = ping(All, Random, Value + 1),
            work(All, Number, Pings, Sink, Next, Sum + Value);
        {stop, Main} ->
            Main ! {sum, Sum}
    end.
