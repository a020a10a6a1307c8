%% SPDX-License-Identifier: Apache-2.0
-module(bounded_buffer).
-export([run/1]).

-record(manager, {
    main,
    left,
    limit,
    per_producer,
    waiting = 0,
    items = queue:new(),
    idle_producers = queue:new(),
    idle_consumers
}).

run([ProducerCount, ConsumerCount, Places, PerProducer]) ->
    Main = self(),
    Consumers = [spawn(fun() -> consume(Main, 0) end) || _ <- lists:seq(1, ConsumerCount)],
    Manager = spawn(fun() ->
        manage(#manager{
            main = Main,
            left = ProducerCount * PerProducer,
            limit = Places - ProducerCount,
            per_producer = PerProducer,
            idle_consumers = queue:from_list(Consumers)
        })
    end),
    Producers = [
        spawn(fun() -> produce(Manager, I * PerProducer + 1, (I + 1) * PerProducer) end)
     || I <- lists:seq(0, ProducerCount - 1)
    ],
    Begin = savina:now_ns(),
    [Producer ! produce || Producer <- Producers],
    receive done -> ok end,
    Ns = savina:now_ns() - Begin,
    Sum = lists:sum([receive {sum, Part} -> Part end || _ <- Consumers]),
    {Ns, 4 * ProducerCount * PerProducer, Sum}.

produce(Manager, Item, Last) ->
    receive produce -> Manager ! {item, Item, self()} end,
    Item =:= Last orelse produce(Manager, Item + 1, Last).

consume(Main, Sum) ->
    receive
        {item, Item, Manager} ->
            Manager ! {free, self()},
            consume(Main, Sum + Item);
        stop ->
            Main ! {sum, Sum}
    end.

manage(#manager{left = 0, main = Main, idle_consumers = Consumers}) ->
    Main ! done,
    [Consumer ! stop || Consumer <- queue:to_list(Consumers)];
manage(M) ->
    receive
        {item, Item, Producer} ->
            Passed = pass(Item, M),
            manage(ask(Item rem M#manager.per_producer, Producer, Passed));
        {free, Consumer} ->
            manage(serve(Consumer, M#manager{left = M#manager.left - 1}))
    end.

pass(Item, #manager{idle_consumers = Idle, items = Items, waiting = Waiting} = M) ->
    case queue:out(Idle) of
        {{value, Consumer}, Rest} ->
            Consumer ! {item, Item, self()},
            M#manager{idle_consumers = Rest};
        {empty, _} ->
            M#manager{items = queue:in(Item, Items), waiting = Waiting + 1}
    end.

%% 0: that was its last item.
ask(0, _, M) ->
    M;
ask(_, Producer, #manager{waiting = Waiting, limit = Limit} = M) when Waiting < Limit ->
    Producer ! produce,
    M;
ask(_, Producer, #manager{idle_producers = Idle} = M) ->
    M#manager{idle_producers = queue:in(Producer, Idle)}.

serve(Consumer, #manager{waiting = 0, idle_consumers = Idle} = M) ->
    M#manager{idle_consumers = queue:in(Consumer, Idle)};
serve(Consumer, #manager{items = Items, waiting = Waiting, idle_producers = Idle} = M) ->
    {{value, Item}, Rest} = queue:out(Items),
    Consumer ! {item, Item, self()},
    Served = M#manager{items = Rest, waiting = Waiting - 1},
    case queue:out(Idle) of
        {{value, Producer}, Others} ->
            Producer ! produce,
            Served#manager{idle_producers = Others};
        {empty, _} ->
            Served
    end.
