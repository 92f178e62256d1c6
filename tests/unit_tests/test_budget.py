"""A budget overshoots by the call in flight at most."""

import asyncio
import contextlib
import math
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from langchain_core.language_models.fake import FakeListLLM
from langchain_core.runnables import Runnable, RunnableConfig

from langchain_prodpatterns.budget import Budget, BudgetMeter, Ticket
from langchain_prodpatterns.errors import BudgetSpent, ConfigurationError
from langchain_prodpatterns.observing import UsageProbe
from langchain_prodpatterns.testing import (
    Fault,
    Reply,
    ScriptedChatModel,
    ScriptedRequest,
)
from tests.unit_tests.patience import PATIENCE, until

PRICES = {"scripted": (1.0, 1.0)}
"""One usd a million tokens, both ways."""


class FakeClock:
    """A clock that goes only when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def heard(ticket: Ticket) -> RunnableConfig:
    return RunnableConfig(callbacks=[ticket.probe])


def spend(meter: BudgetMeter, model: Runnable[Any, Any]) -> None:
    with meter.call() as ticket:
        model.invoke("?", heard(ticket))


async def aspend(meter: BudgetMeter, model: Runnable[Any, Any]) -> None:
    async with meter.acall() as ticket:
        await model.ainvoke("?", heard(ticket))


def tokens(*counts: int) -> ScriptedChatModel:
    """A model whose answers report these tokens, half in and half out."""
    replies = [
        Reply("x", input_tokens=count // 2, output_tokens=count - count // 2)
        for count in counts
    ]
    return ScriptedChatModel(replies=replies)


def spend_all(meter: BudgetMeter, model: ScriptedChatModel, times: int) -> int:
    """Call until refused; say how often it was admitted."""
    for made in range(times):
        try:
            spend(meter, model)
        except BudgetSpent:
            return made
    return times


def refusal(meter: BudgetMeter) -> BudgetSpent:
    spent = meter.spent()
    assert spent is not None
    return spent


# What may be asked for


@pytest.mark.parametrize("name", ["attempts", "calls", "tokens", "usd", "seconds"])
@pytest.mark.parametrize("value", [0, -1, math.nan, True, "3", [3]])
def test_a_limit_that_means_nothing_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"Budget\({name}=\.\.\.\) must be"):
        Budget(**{name: value})


@pytest.mark.parametrize("name", ["attempts", "calls", "tokens"])
def test_a_count_is_a_whole_number(name: str) -> None:
    limit: Any = {name: 1.5}
    with pytest.raises(ConfigurationError, match=r"a whole number above 0.*1\.5"):
        Budget(**limit)


@pytest.mark.parametrize("limits", [{}, {"usd": 0.5}, {"seconds": 1}, {"calls": None}])
def test_none_and_fractions_of_money_and_time_are_fine(limits: Any) -> None:
    assert BudgetMeter(Budget(**limits)).spent() is None


def test_a_budget_is_keyword_only_frozen_and_hides_its_prices() -> None:
    with pytest.raises(TypeError):
        Budget(3)  # type: ignore[call-arg]  # that is the point
    budget = Budget(calls=3, prices=PRICES)
    with pytest.raises(AttributeError):
        budget.calls = 4  # type: ignore[misc]  # that is the point
    assert "prices" not in repr(budget)


def test_each_start_is_a_run_of_its_own() -> None:
    budget = Budget(calls=1)
    for _ in range(2):
        assert spend_all(budget.start(), ScriptedChatModel(default="x"), 5) == 1


# Calls, tokens and money


@given(limit=st.integers(1, 6), wanted=st.integers(0, 9))
def test_calls_are_never_exceeded(limit: int, wanted: int) -> None:
    meter, model = Budget(calls=limit).start(), ScriptedChatModel(default="x")
    assert spend_all(meter, model, wanted) == min(limit, wanted)
    assert model.calls == min(limit, wanted)
    assert (meter.spent() is not None) == (wanted >= limit)


@given(
    limit=st.integers(1, 200),
    counts=st.lists(st.integers(0, 80), min_size=1, max_size=9),
)
def test_tokens_overshoot_by_the_call_in_flight_only(
    limit: int, counts: list[int]
) -> None:
    meter = Budget(tokens=limit).start()
    made = spend_all(meter, tokens(*counts), len(counts))
    used = sum(counts[:made])
    assert meter.usage.total_tokens == used
    # Before the last call there was room; with it there is none, or none was refused.
    assert made == 0 or used - counts[made - 1] < limit
    assert made == len(counts) or used >= limit


# The sum of these floats is a little less than the limit.
@example(limit=189, counts=[30, 79, 80, 0])
@given(
    limit=st.integers(1, 200),
    counts=st.lists(st.integers(0, 80), min_size=1, max_size=9),
)
def test_money_overshoots_by_the_call_in_flight_only(
    limit: int, counts: list[int]
) -> None:
    meter = Budget(usd=limit / 1_000_000, prices=PRICES).start()
    made = spend_all(meter, tokens(*counts), len(counts))
    used = sum(counts[:made])
    assert meter.usage.usd == pytest.approx(used / 1_000_000)
    assert made == 0 or used - counts[made - 1] < limit
    assert made == len(counts) or used >= limit * (1 - 1e-9)


@given(
    calls=st.none() | st.integers(1, 5),
    limit=st.none() | st.integers(1, 100),
    counts=st.lists(st.integers(0, 50), min_size=1, max_size=8),
)
def test_the_first_limit_that_is_reached_counts(
    calls: int | None, limit: int | None, counts: list[int]
) -> None:
    meter = Budget(calls=calls, tokens=limit).start()
    expected = 0
    while (
        expected < len(counts)
        and (calls is None or expected < calls)
        and (limit is None or sum(counts[:expected]) < limit)
    ):
        expected += 1
    assert spend_all(meter, tokens(*counts), len(counts)) == expected


def test_the_refusal_says_what_was_used_of_what() -> None:
    meter = Budget(calls=1).start()
    spend(meter, tokens(8))
    with pytest.raises(BudgetSpent, match="1 of 1 calls made") as caught:
        spend(meter, tokens(8))
    assert caught.value.limit == "calls"

    meter = Budget(tokens=5).start()
    spend(meter, tokens(8))
    assert (refusal(meter).limit, refusal(meter).detail) == (
        "tokens",
        "8 of 5 tokens used",
    )

    meter = Budget(usd=0.000004, prices=PRICES).start()
    spend(meter, tokens(8))
    assert refusal(meter).detail == "$0.000008 of $0.000004 spent"


def test_an_unknown_price_stops_a_money_budget_after_one_call() -> None:
    meter = Budget(usd=100.0).start()
    model = ScriptedChatModel(default="x", model_name="nobody-sells-this")
    assert spend_all(meter, model, 5) == 1
    assert refusal(meter).limit == "usd"
    assert "nobody-sells-this" in refusal(meter).detail
    assert "Budget(prices=...)" in refusal(meter).detail


def test_an_unknown_price_does_not_matter_without_a_money_limit() -> None:
    meter = Budget(tokens=10_000).start()
    model = ScriptedChatModel(default="x", model_name="nobody-sells-this")
    assert spend_all(meter, model, 3) == 3


@pytest.mark.parametrize("limit", [{"tokens": 1_000}, {"usd": 1.0, "prices": PRICES}])
def test_a_call_that_nobody_metered_stops_the_budget(limit: Mapping[str, Any]) -> None:
    meter = Budget(**limit).start()
    silent = FakeListLLM(responses=["x"])
    spend(meter, silent)
    with pytest.raises(BudgetSpent) as caught:
        spend(meter, silent)
    assert caught.value.limit in limit


def test_a_call_that_nobody_metered_names_the_model() -> None:
    meter = Budget(tokens=1_000).start()
    spend(meter, FakeListLLM(responses=["x"]))
    assert refusal(meter).detail.endswith("sent no token usage, so nobody can count")


def test_a_chain_of_several_calls_in_one_ticket_counts_them_all() -> None:
    meter, model = Budget(calls=5).start(), ScriptedChatModel(default="x")
    with meter.call() as ticket:
        for _ in range(3):
            model.invoke("?", heard(ticket))
        assert ticket.usage.calls == 3
    assert meter.usage.calls == 3
    assert spend_all(meter, model, 9) == 2


def test_a_failed_call_takes_its_place_but_no_tokens() -> None:
    meter = Budget(calls=2, tokens=100).start()
    model = ScriptedChatModel(replies=[Fault.server_error(), "x"])
    with pytest.raises(Exception, match="server error"):
        spend(meter, model)
    assert meter.usage.total_tokens == 0
    spend(meter, model)
    assert refusal(meter).limit == "calls"


@pytest.mark.parametrize("limits", [{"calls": 3}, {"tokens": 10_000}])
@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_passes_and_leaves_the_meter_usable(
    limits: Any, interrupt: type[BaseException]
) -> None:
    meter = Budget(**limits).start()
    with pytest.raises(interrupt), meter.call():
        raise interrupt
    spend(meter, tokens(8))
    assert meter.usage.calls == 1


# Attempts


def test_attempts_are_counted_and_can_be_returned() -> None:
    meter = Budget(attempts=2).start()
    meter.begin_attempt()
    meter.begin_attempt()
    with pytest.raises(BudgetSpent, match="2 of 2 attempts made") as caught:
        meter.begin_attempt()
    assert caught.value.limit == "attempts"
    assert meter.attempts == 2
    meter.return_attempt()
    meter.begin_attempt()
    assert meter.attempts == 2


def test_attempts_do_not_limit_the_calls_within_the_last_one() -> None:
    meter = Budget(attempts=1).start()
    meter.begin_attempt()
    assert meter.spent() is None
    spend(meter, tokens(8))


def test_no_attempt_begins_without_room_for_its_call() -> None:
    meter = Budget(attempts=5, calls=1).start()
    meter.begin_attempt()
    spend(meter, tokens(8))
    with pytest.raises(BudgetSpent, match="calls"):
        meter.begin_attempt()
    assert meter.attempts == 1


# Seconds


def test_seconds_are_those_of_the_clock() -> None:
    clock = FakeClock()
    meter = Budget(seconds=2.5).start(clock)
    model = ScriptedChatModel(default="x")
    clock.now += 2.0
    assert (meter.seconds, meter.seconds_left) == (2.0, 0.5)
    spend(meter, model)
    clock.now += 1.0
    assert meter.seconds_left == 0.0
    with pytest.raises(BudgetSpent, match=r"3\.00 of 2\.50 seconds gone") as caught:
        spend(meter, model)
    assert caught.value.limit == "seconds"


def test_without_a_limit_no_seconds_are_left_to_speak_of() -> None:
    assert Budget(calls=1).start().seconds_left is None


# Threads


def test_threads_together_never_exceed_the_calls() -> None:
    meter, model = Budget(calls=7).start(), ScriptedChatModel(default="x")
    start = threading.Barrier(16)

    def work(_: int) -> bool:
        start.wait(PATIENCE)
        try:
            spend(meter, model)
        except BudgetSpent:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        admitted = list(pool.map(work, range(16)))
    assert (sum(admitted), model.calls, meter.usage.calls) == (7, 7, 7)


@pytest.mark.parametrize(
    "budget", [Budget(tokens=25), Budget(usd=0.000025, prices=PRICES)]
)
def test_threads_together_overshoot_by_one_call(budget: Budget) -> None:
    meter, model = budget.start(), tokens(*[10] * 16)
    start = threading.Barrier(16)

    def work(_: int) -> None:
        start.wait(PATIENCE)
        with contextlib.suppress(BudgetSpent):
            spend(meter, model)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))
    assert model.calls == 3
    assert meter.usage.total_tokens == 30


# asyncio


async def test_tasks_together_never_exceed_the_calls() -> None:
    meter, model = Budget(calls=7).start(), ScriptedChatModel(default="x")
    results = await asyncio.gather(
        *(aspend(meter, model) for _ in range(16)), return_exceptions=True
    )
    assert sum(isinstance(result, BudgetSpent) for result in results) == 9
    assert model.calls == 7


@pytest.mark.parametrize(
    "budget", [Budget(tokens=25), Budget(usd=0.000025, prices=PRICES)]
)
async def test_tasks_together_overshoot_by_one_call(budget: Budget) -> None:
    meter, model = budget.start(), tokens(*[10] * 16)
    results = await asyncio.gather(
        *(aspend(meter, model) for _ in range(16)), return_exceptions=True
    )
    assert sum(isinstance(result, BudgetSpent) for result in results) == 13
    assert (model.calls, meter.usage.total_tokens) == (3, 30)


async def test_a_cancelled_waiter_costs_nothing() -> None:
    gate = asyncio.Event()
    meter = Budget(tokens=10_000, calls=3).start()
    slow = ScriptedChatModel(replies=[Reply("x", wait_for=gate), "y", "z"])
    first = asyncio.create_task(aspend(meter, slow))
    await until(lambda: len(slow.requests) == 1)
    waiting = asyncio.create_task(aspend(meter, slow))
    await until(lambda: meter._turn is not None and len(meter._turn._queue) == 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    gate.set()
    await first
    assert (len(slow.requests), meter.usage.calls) == (1, 1)
    await aspend(meter, slow)
    await aspend(meter, slow)
    assert refusal(meter).limit == "calls"


async def test_a_cancelled_call_gives_the_turn_back() -> None:
    meter = Budget(tokens=10_000).start()
    gate = asyncio.Event()
    slow = ScriptedChatModel(replies=[Reply("x", wait_for=gate), "y"])
    holder = asyncio.create_task(aspend(meter, slow))
    await until(lambda: len(slow.requests) == 1)
    holder.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holder
    # The turn is free; what the cancelled call has cost nobody knows.
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(BudgetSpent, match="given up may still go on"):
            await aspend(meter, slow)
    assert len(slow.requests) == 1


async def test_a_limit_on_calls_goes_on_after_a_cancelled_one() -> None:
    meter = Budget(calls=3).start()
    gate = asyncio.Event()
    slow = ScriptedChatModel(replies=[Reply("x", wait_for=gate), "y", "z"])
    first = asyncio.create_task(aspend(meter, slow))
    await until(lambda: len(slow.requests) == 1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await aspend(meter, slow)
    await aspend(meter, slow)
    assert refusal(meter).limit == "calls"


async def test_the_other_calls_of_a_cancelled_chain_are_booked() -> None:
    meter = Budget(calls=4).start()
    gate = asyncio.Event()
    slow = ScriptedChatModel(replies=["a", "b", Reply("x", wait_for=gate)])

    async def chain() -> None:
        async with meter.acall() as ticket:
            for _ in range(3):
                await slow.ainvoke("?", {"callbacks": [ticket.probe]})

    task = asyncio.create_task(chain())
    await until(lambda: len(slow.requests) == 3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert meter._calls == 2
    assert meter.usage.calls == 2


async def test_a_limit_on_calls_alone_lets_them_run_side_by_side() -> None:
    meter, gate = Budget(calls=2).start(), asyncio.Event()
    slow = ScriptedChatModel(default=Reply("x", wait_for=gate))
    both = [asyncio.create_task(aspend(meter, slow)) for _ in range(2)]
    await until(lambda: len(slow.requests) == 2)
    with pytest.raises(BudgetSpent):
        await aspend(meter, slow)
    gate.set()
    await asyncio.gather(*both)


def test_threads_and_tasks_share_one_meter() -> None:
    meter, model = Budget(tokens=55).start(), tokens(*[10] * 40)

    async def main() -> None:
        await asyncio.gather(
            *(aspend(meter, model) for _ in range(10)), return_exceptions=True
        )

    threads = [
        threading.Thread(target=lambda: asyncio.run(main()), daemon=True),
        threading.Thread(target=spend_all, args=(meter, model, 10), daemon=True),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert model.calls == 6


# One call more on a ticket


@pytest.mark.parametrize(("limit", "room"), [(2, True), (1, False)])
def test_a_ticket_is_extended_only_while_there_is_room(limit: int, room: bool) -> None:
    meter = Budget(calls=limit).start()

    with meter.call() as ticket:
        assert ticket.extend() is room

    assert meter.spent() is not None


def test_what_a_ticket_has_used_counts_before_it_is_extended() -> None:
    meter = Budget(tokens=10).start()
    model = ScriptedChatModel(replies=[Reply("a", input_tokens=9, output_tokens=1)])

    with meter.call() as ticket:
        assert ticket.extend()
        model.invoke("x", {"callbacks": [ticket.probe]})
        assert not ticket.extend()


def test_an_extended_ticket_is_booked_once() -> None:
    meter = Budget(calls=3).start()
    model = ScriptedChatModel(replies=["a", "b"])

    with meter.call() as ticket:
        model.invoke("x", {"callbacks": [ticket.probe]})
        assert ticket.extend()
        model.invoke("x", {"callbacks": [ticket.probe]})

    assert meter.spent() is None
    with meter.call() as ticket:
        assert not ticket.extend()


def test_a_ticket_of_no_meter_always_has_room() -> None:
    assert Ticket().extend()
    assert Ticket(UsageProbe()).pending is False


def test_a_budget_with_prices_is_hashable() -> None:
    assert hash(Budget(usd=1.0, prices={"small": (1.0, 2.0)})) == hash(Budget(usd=1.0))


def test_decimal_prices_limit_like_floats() -> None:
    prices: Any = {"scripted": (Decimal(1), Decimal(2))}
    meter = Budget(usd=1e-9, prices=prices).start()
    spend(meter, tokens(10))
    assert refusal(meter).limit == "usd"


@pytest.mark.parametrize("limit", ["tokens", "usd"])
def test_a_call_that_nobody_waits_for_any_more_is_booked(limit: str) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def late(_: ScriptedRequest) -> Reply:
        begun.set()
        go_on.wait(PATIENCE)
        return Reply("done", input_tokens=10, output_tokens=5)

    model = ScriptedChatModel(respond=late)
    meter = Budget(prices={"scripted": (1e6, 1e6)}, **{limit: 16}).start()
    with meter.call() as ticket:
        thread = threading.Thread(target=model.invoke, args=("?", heard(ticket)))
        thread.start()
        assert begun.wait(PATIENCE)
    assert meter.usage.total_tokens == 0
    assert (given_up := meter.spent()) is not None
    assert (given_up.limit, "may still go on" in str(given_up)) == (limit, True)
    go_on.set()
    thread.join(PATIENCE)
    for _ in range(2):  # booked once, however often it is asked for
        assert (meter.usage.calls, meter.usage.total_tokens) == (1, 15)
    assert meter.spent() is None
