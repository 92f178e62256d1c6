"""When a verdict is worth its price."""

import copy
import logging
import math
import pickle
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langchain_prodpatterns import track
from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.cache.costs import Costs
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.testing import ScriptedChatModel
from langchain_prodpatterns.usage import NO_USAGE, Usage
from tests.unit_tests.cache.conftest import (
    LLM,
    CountingEmbeddings,
    ScriptedJudge,
    answer_of,
    prompt_of,
)

ANSWER = Usage(calls=1, input_tokens=900, output_tokens=100, usd=0.01)
VERDICT = Usage(calls=1, input_tokens=300, output_tokens=10, usd=0.002)
UNPRICED = replace(VERDICT, usd=None)


def test_two_costs_are_a_ratio_whatever_was_used() -> None:
    costs = Costs((10, 2))
    costs.note_verdict(replace(VERDICT, usd=9.0))

    assert costs.needed(ANSWER) == costs.needed(NO_USAGE) == costs.needed(None) == 0.2
    assert Costs((1, 3)).needed(ANSWER) == 3
    assert Costs((10**9, 1)).needed(ANSWER) == Costs((1, 0)).needed(ANSWER) == 0.02


def test_by_default_usd_count_and_unknown_is_not_zero() -> None:
    costs = Costs(None)
    assert costs.needed(ANSWER) is None
    costs.note_verdict(UNPRICED)
    costs.note_verdict(NO_USAGE)
    assert costs.needed(ANSWER) is None

    costs.note_verdict(VERDICT)
    assert costs.needed(ANSWER) == pytest.approx(0.2)
    assert costs.needed(UNPRICED) is None
    assert costs.needed(NO_USAGE) is None
    assert costs.needed(None) is None


def test_a_free_judge_is_asked_about_nearly_all_and_nothing_saves_nothing() -> None:
    costs = Costs(None)
    free = replace(VERDICT, usd=0.0)
    costs.note_verdict(free)
    assert costs.needed(ANSWER) == costs.needed(free) == 0.02

    costs = Costs(lambda usage: usage.output_tokens)
    costs.note_verdict(VERDICT)
    assert costs.needed(ANSWER) == pytest.approx(0.1)
    assert (costs.needed(Usage(seconds=0.1)) or 0) > 1
    # No answer takes no time: this one was stored ahead.
    assert costs.needed(NO_USAGE) is None
    # Of no answer in particular, nothing is known: not that it was for nothing.
    assert costs.needed(None) is None


def test_the_last_hundred_verdicts_count() -> None:
    costs = Costs(None)
    for usd in (0.001, 0.003):
        costs.note_verdict(replace(VERDICT, usd=usd))
    assert costs.needed(ANSWER) == pytest.approx(0.2)
    for _ in range(1_000):
        costs.note_verdict(replace(VERDICT, usd=0.008))
    assert costs.needed(ANSWER) == pytest.approx(0.8, rel=0.01)


def fails(_: Usage) -> float:
    msg = "what a user wrote"
    raise LookupError(msg)


@pytest.mark.parametrize(
    "price",
    [
        fails,
        lambda _: None,
        lambda _: math.nan,
        lambda _: math.inf,
        lambda _: -1.0,
        lambda _: "1",
        lambda _: True,
        lambda _: Decimal(1),
    ],
)
def test_a_function_that_gives_no_price_leaves_it_unknown(
    price: Callable[[Usage], Any], caplog: pytest.LogCaptureFixture
) -> None:
    costs = Costs(price)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            costs.note_verdict(VERDICT)
            assert costs.needed(ANSWER) is None

    assert len(caplog.records) == (
        price(ANSWER) is not None if price is not fails else 1
    )
    assert "what a user wrote" not in caplog.text


def test_one_bad_price_does_not_spoil_the_average() -> None:
    prices = iter([1.0, math.nan, 3.0])
    costs = Costs(lambda usage: 10.0 if usage is ANSWER else next(prices))
    for _ in range(3):
        costs.note_verdict(VERDICT)

    assert costs.needed(ANSWER) == pytest.approx(0.2)


@pytest.mark.parametrize(
    "cost",
    [
        (1,),
        (1, 2, 3),
        (0, 1),
        (-1, 1),
        (1, -1),
        (1, math.nan),
        ("1", 2),
        [1, 2],
        3,
        "a",
    ],
)
def test_what_is_no_cost_is_refused(cost: Any) -> None:
    with pytest.raises(ConfigurationError, match="cost must be"):
        Costs(cost)


def test_a_copy_remembers_the_verdicts() -> None:
    costs = Costs(None)
    costs.note_verdict(VERDICT)

    for clone in (copy.deepcopy(costs), pickle.loads(pickle.dumps(costs))):  # noqa: S301 - written a moment ago
        clone.note_verdict(VERDICT)
        assert clone.needed(ANSWER) == costs.needed(ANSWER)


NEAR = prompt_of(HumanMessage("How do I reset my pasword?"))
STORED = prompt_of(HumanMessage("How do I reset my password?"))
TEXT = answer_of(AIMessage("Click on it."))


@pytest.mark.parametrize(("cost", "asked"), [((10, 1), True), ((1, 10), False)])
def test_a_judge_that_is_dearer_than_the_answer_is_not_asked(
    open_cache: Callable[..., SemanticJudgeCache],
    judge: ScriptedJudge,
    cost: tuple[float, float],
    asked: bool,
) -> None:
    cache = open_cache(judge=judge, cost=cost)
    cache.update(STORED, LLM, TEXT)

    decision = cache.explain(NEAR, LLM)
    assert decision.hit is asked
    assert len(judge.requests) == asked
    assert asked or "not worth the judge's price" in decision.reason


def test_a_cost_function_that_fails_breaks_no_lookup(
    open_cache: Callable[..., SemanticJudgeCache],
) -> None:
    cache = open_cache(judge=lambda _: True, cost=fails)
    cache.update(STORED, LLM, TEXT)

    assert cache.lookup(NEAR, LLM)
    assert cache.stats().errors == 0
    assert cache.stats().promise.lo < 1


@pytest.mark.parametrize(("price", "asked"), [(0.05, True), (100.0, False)])
def test_prices_of_a_table_decide(
    embeddings: CountingEmbeddings, price: float, asked: bool
) -> None:
    """`P(accept | similarity) * cost(answer)` has to be more than `cost(judge)`."""
    judge = ScriptedChatModel(respond=lambda _: "no json", model="judge")
    with (
        track(prices={"answerer": (1.0, 1.0), "judge": (price, price)}),
        SemanticJudgeCache(embeddings, judge) as cache,
    ):
        model = ScriptedChatModel(
            respond=lambda _: "Click on it. " * 50, cache=cache, model="answerer"
        )
        for text in ("password?", "pasword?"):
            model.invoke(f"How do I reset my {text}")
        # Tells what verdicts cost, also when it comes to none.
        first = judge.calls
        assert first
        model.invoke("How do I reset my passwort?")

        assert (judge.calls > first) is asked
