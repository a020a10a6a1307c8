%% SPDX-License-Identifier: Apache-2.0
%%
%% erl -noshell -run savina main NAME PARAMETER...: runs a benchmark, first for a tenth of its last
%% parameter, and prints what the runner wants. Each program is a module whose run/1 takes the
%% parameters and gives {Nanoseconds, Operations, Checksum} or also the bytes of memory.
-module(savina).
-export([main/1, now_ns/0, resident/0, versions/0]).

main([Name | Texts]) ->
    Program = list_to_atom(Name),
    Params = [list_to_integer(Text) || Text <- Texts],
    Program =:= alive orelse Program:run(fewer(Params)),
    erlang:garbage_collect(),
    {Before, _} = statistics(runtime),
    Result = Program:run(Params),
    {After, _} = statistics(runtime),
    [Ns, Operations, Checksum | Bytes] = tuple_to_list(Result),
    Used = (After - Before) * 1000000,
    io:format("~s ~b ~b ~b cpu=~b", [Name, Ns, Operations, Checksum, Used]),
    [io:format(" bytes=~b", [Number]) || Number <- Bytes],
    io:nl(),
    halt(0).

fewer([Messages]) -> [max(1, Messages div 10)];
fewer([Param | Rest]) -> [Param | fewer(Rest)].

now_ns() -> erlang:monotonic_time(nanosecond).

%% Bytes of this operating system process that are in memory.
resident() ->
    {ok, Text} = file:read_file("/proc/self/statm"),
    [_Virtual, Resident | _] = binary:split(Text, <<" ">>, [global]),
    binary_to_integer(Resident) * 4096.

versions() ->
    io:format("Erlang/OTP ~s, ERTS ~s, ~s, ~b schedulers~n", [
        erlang:system_info(otp_release),
        erlang:system_info(version),
        erlang:system_info(emu_flavor),
        erlang:system_info(schedulers_online)
    ]),
    halt(0).
