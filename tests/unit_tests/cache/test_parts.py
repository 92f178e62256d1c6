"""The small parts: pending misses, the judge's request, exports."""

import asyncio
import threading

import pytest
from langchain_core.messages import AIMessage
from langchain_core.outputs import Generation

import langchain_prodpatterns.cache
from langchain_prodpatterns.cache import pending
from langchain_prodpatterns.cache.counters import Counters
from langchain_prodpatterns.cache.lookups import cost_of
from langchain_prodpatterns.cache.pending import PendingMisses
from langchain_prodpatterns.cache.questions import SameAnswerRequest
from tests.unit_tests.cache.conftest import answer_of


def test_a_miss_is_paired_with_the_update_of_the_same_thread() -> None:
    misses = PendingMisses()
    misses.note("x", None)
    taken: list[object] = []
    other = threading.Thread(target=lambda: taken.append(misses.take("x")))
    other.start()
    other.join()

    assert taken == [None]
    assert misses.take("x") is not None
    assert misses.take("x") is None


async def test_a_miss_is_paired_with_the_update_of_the_same_task() -> None:
    misses = PendingMisses()
    misses.note("x", None)

    async def other() -> object:
        return misses.take("x")

    assert await asyncio.create_task(other()) is None
    assert misses.take("x") is not None


def test_old_misses_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "_MAX_PENDING", 2)
    misses = PendingMisses()
    for exact in "abc":
        misses.note(exact, None)

    assert misses.take("a") is None
    assert misses.take("c") is not None


def test_the_judge_s_request_is_bounded_but_its_questions_are_whole() -> None:
    request = SameAnswerRequest.of(
        new_question="q" * 20_000,
        stored_question="s" * 20_000,
        stored_answer="a" * 20_000,
        context="c" * 20_000,
    )

    assert len(request.new_question) == len(request.stored_question) == 20_000
    assert len(request.stored_answer) == len(request.context) == 8_000


def test_what_an_answer_had_cost() -> None:
    usage = {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110}
    message = AIMessage("a", usage_metadata=usage)
    cost = cost_of(answer_of(message) * 2, 1.5)

    assert (cost.calls, cost.input_tokens, cost.output_tokens) == (1, 100, 10)
    assert (cost.usd, cost.seconds, cost.unmetered_calls) == (None, 1.5, 0)


@pytest.mark.parametrize("answer", [[Generation(text="a")], answer_of(AIMessage("a"))])
def test_an_answer_that_tells_no_usage_has_no_known_price(
    answer: list[Generation],
) -> None:
    cost = cost_of(answer, 1.0)

    assert (cost.calls, cost.total_tokens, cost.usd, cost.unmetered_calls) == (
        1,
        0,
        None,
        1,
    )


def test_quiet_counts_and_lets_interrupts_pass() -> None:
    counters = Counters()
    with counters.quiet("x"):
        raise ValueError
    with pytest.raises(KeyboardInterrupt), counters.quiet("x"):
        raise KeyboardInterrupt
    assert counters._counts["error"] == 1


def test_the_public_names() -> None:
    assert langchain_prodpatterns.cache.__all__ == [
        "CacheDecision",
        "CacheStats",
        "CachedRunnable",
        "Calibration",
        "CurvePoint",
        "JudgeRecord",
        "LabeledPair",
        "LocalStore",
        "Promise",
        "SameAnswerRequest",
        "SemanticJudgeCache",
    ]
