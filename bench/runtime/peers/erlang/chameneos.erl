%% SPDX-License-Identifier: Apache-2.0
-module(chameneos).
-export([run/1]).

run([Count, Meetings]) ->
    Main = self(),
    Mall = spawn(fun() -> mall(Main, Meetings, Count, none) end),
    Colours = [element(I rem 3 + 1, {blue, red, yellow}) || I <- lists:seq(0, Count - 1)],
    Creatures = [spawn(fun() -> start(Mall, Colour) end) || Colour <- Colours],
    Begin = savina:now_ns(),
    [Creature ! start || Creature <- Creatures],
    Sum = receive {sum, Total} -> Total end,
    {savina:now_ns() - Begin, 4 * Meetings, Sum}.

mall(Main, 0, Creatures, none) ->
    farewell(Main, Creatures, 0);
mall(Main, Left, Creatures, none) ->
    receive {meet, Colour, Who} -> mall(Main, Left, Creatures, {Colour, Who}) end;
mall(Main, Left, Creatures, {_, Waiting}) ->
    receive
        {meet, _, _} = Request ->
            Waiting ! Request,
            mall(Main, Left - 1, Creatures, none)
    end.

farewell(Main, 0, Sum) ->
    Main ! {sum, Sum};
farewell(Main, Left, Sum) ->
    receive
        {meet, _, Who} ->
            Who ! {exit, self()},
            farewell(Main, Left, Sum);
        {count, Meetings} ->
            farewell(Main, Left - 1, Sum + Meetings)
    end.

start(Mall, Colour) ->
    receive start -> ask(Mall, Colour, 0) end.

ask(Mall, Colour, Meetings) ->
    Mall ! {meet, Colour, self()},
    receive
        {meet, Other, Who} ->
            New = mixed(Colour, Other),
            Who ! {change, New},
            ask(Mall, New, Meetings + 1);
        {change, New} ->
            ask(Mall, New, Meetings + 1);
        {exit, Mall} ->
            Mall ! {count, Meetings}
    end.

mixed(Same, Same) -> Same;
mixed(blue, red) -> yellow;
mixed(red, blue) -> yellow;
mixed(blue, yellow) -> red;
mixed(yellow, blue) -> red;
mixed(red, yellow) -> blue;
mixed(yellow, red) -> blue.
