%% SPDX-License-Identifier: Apache-2.0
-module(ping_pong).
-export([run/1]).

run([Last]) ->
    Main = self(),
    Pong = spawn(fun() -> pong(0) end),
    Ping = spawn(fun() -> ping(Main, Pong, Last) end),
    Pong ! Ping,
    Begin = savina:now_ns(),
    Ping ! start,
    Sum = receive {ping, PingSum} -> PingSum end,
    Ns = savina:now_ns() - Begin,
    Pong ! {stop, Main},
    PongSum = receive {pong, Other} -> Other end,
    {Ns, 2 * Last, Sum + PongSum}.

ping(Main, Pong, Last) ->
    receive start -> ok end,
    Pong ! 1,
    ping(Main, Pong, Last, 0).

ping(Main, Pong, Last, Sum) ->
    receive
        Last ->
            Main ! {ping, Sum + Last};
        Value ->
            Pong ! Value + 1,
            ping(Main, Pong, Last, Sum + Value)
    end.

pong(Sum) ->
    receive Ping -> pong(Ping, Sum) end.

pong(Ping, Sum) ->
    receive
        Value when is_integer(Value) ->
            Ping ! Value,
            pong(Ping, Sum + Value);
        {stop, Main} ->
            Main ! {pong, Sum}
    end.
