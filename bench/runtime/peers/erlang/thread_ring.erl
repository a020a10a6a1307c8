%% SPDX-License-Identifier: Apache-2.0
-module(thread_ring).
-export([run/1]).

run([Count, Hops]) ->
    Main = self(),
    Members = [spawn(fun() -> join(Main) end) || _ <- lists:seq(1, Count)],
    First = hd(Members),
    connect(Members, First),
    Begin = savina:now_ns(),
    First ! Hops,
    receive done -> ok end,
    Ns = savina:now_ns() - Begin,
    [Member ! stop || Member <- Members],
    Sum = lists:sum([receive {sum, Part} -> Part end || _ <- Members]),
    {Ns, Hops, Sum}.

connect([Last], First) ->
    Last ! {next, First};
connect([Member | [Next | _] = Rest], First) ->
    Member ! {next, Next},
    connect(Rest, First).

join(Main) ->
    receive {next, Next} -> pass(Main, Next, 0) end.

pass(Main, Next, Sum) ->
    receive
        0 ->
            Main ! done,
            pass(Main, Next, Sum);
        Value when is_integer(Value) ->
            Next ! Value - 1,
            pass(Main, Next, Sum + Value);
        stop ->
            Main ! {sum, Sum}
    end.
