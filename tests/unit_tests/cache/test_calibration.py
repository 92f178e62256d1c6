"""What labeled pairs say of the thresholds and of the judge."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from langchain_prodpatterns import track
from langchain_prodpatterns.bounds import clopper_pearson
from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.cache.calibration import (
    Calibration,
    LabeledPair,
    Measured,
    calibrated,
    read_pairs,
)
from langchain_prodpatterns.errors import ConfigurationError, MissingExtraError
from langchain_prodpatterns.testing import ScriptedChatModel
from tests.unit_tests.cache.conftest import PlannedEmbeddings, ScriptedJudge
from tests.unit_tests.patience import PATIENCE

Open = Callable[..., SemanticJudgeCache]
SAME = ("how do I pay", "how can I pay", True)
DIFFERENT = ("how do I pay", "where are you", False, "In Berlin.")


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def by_async(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def calibrate(
    cache: SemanticJudgeCache, pairs: Any, *, by_async: bool, **kwargs: Any
) -> Calibration:
    if by_async:
        return await cache.acalibrate(pairs, **kwargs)
    return cache.calibrate(pairs, **kwargs)


def measured(similarity: float, count: int, *, same: bool) -> list[Measured]:
    return [Measured(LabeledPair("a", "b", same), similarity, ())] * count


@pytest.mark.parametrize(
    "pair",
    [
        ("a", "b", True),
        ["a", "b", 1],
        LabeledPair("a", "b", same_answer=True),
        {"new_question": "a", "stored_question": "b", "same_answer": True},
        ("a", "b", True, ""),
    ],
)
def test_a_pair_may_be_given_in_many_ways(pair: Any) -> None:
    (read,) = read_pairs(iter([pair]))

    assert read == LabeledPair("a", "b", same_answer=True)


@pytest.mark.parametrize(
    "pair",
    [
        ("secret", "b"),
        ("secret", "b", "yes"),
        ("secret", "b", None),
        ("secret", "b", 2),
        ("secret", 3, True),
        ("secret", "b", True, None),
        ("secret", "b", True, "c", "d"),
        {"secret": "a"},
        {"new_question": "secret", "stored_question": "b"},
        LabeledPair("secret", "b", "true"),  # type: ignore[arg-type]  # what is refused
        "secret",
        b"abc",
        3,
        None,
    ],
)
def test_what_is_no_pair_is_refused_and_not_shown(pair: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"pairs\[1\] must be") as caught:
        read_pairs([("a", "b", True), pair])
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None


def test_without_pairs_there_is_nothing_to_learn(cache: SemanticJudgeCache) -> None:
    with pytest.raises(ConfigurationError, match="got none"):
        cache.calibrate([])
    with pytest.raises(ConfigurationError, match="max_concurrency must be"):
        cache.calibrate([SAME], max_concurrency=0)


async def test_the_judge_is_measured_and_sees_what_it_would_see(
    cache: SemanticJudgeCache, judge: ScriptedJudge, by_async: bool
) -> None:
    found = await calibrate(cache, [SAME, DIFFERENT], by_async=by_async)

    assert found.judge is not None
    assert (found.pairs, found.same, found.judge.failures) == (2, 1, 0)
    assert (found.judge.accepted_wrongly, found.judge.different) == (1, 1)
    assert (found.judge.refused_wrongly, found.judge.same) == (0, 1)
    asked = {request.stored_question: request for request in judge.requests}
    assert asked["where are you"].stored_answer == "In Berlin."
    assert asked["where are you"].new_question == "how do I pay"
    assert cache.stats().promise.judge_error == pytest.approx(0.75)
    assert cache.stats().promise.evidence == 0
    assert cache.stats().lookups == 0


@pytest.mark.parametrize("answer", ["garbage", None, LookupError("secret")])
async def test_a_judge_without_verdicts_shows_nothing(
    cache: SemanticJudgeCache, judge: ScriptedJudge, answer: Any, by_async: bool
) -> None:
    judge.answer = answer
    found = await calibrate(cache, [SAME, DIFFERENT], by_async=by_async)

    assert found.judge is not None
    assert (found.judge.failures, found.judge.different) == (2, 0)
    assert found.judge.error_bound == 1
    assert cache.stats().promise.judge_error == 0


async def test_the_judge_need_not_be_asked(
    cache: SemanticJudgeCache, judge: ScriptedJudge, by_async: bool
) -> None:
    found = await calibrate(
        cache, [SAME, DIFFERENT], by_async=by_async, ask_judge=False
    )

    assert found.judge is None
    assert judge.requests == []


def test_without_a_judge_the_thresholds_can_be_measured_all_the_same(
    open_cache: Open,
) -> None:
    assert open_cache(band=(0.8, 0.9)).calibrate([SAME]).judge is None


async def test_an_interrupt_passes(
    cache: SemanticJudgeCache, judge: ScriptedJudge
) -> None:
    judge.answer = KeyboardInterrupt()

    with pytest.raises(KeyboardInterrupt):
        cache.calibrate([SAME])


def test_no_more_verdicts_than_allowed_are_asked_for_at_once(
    open_cache: Open,
) -> None:
    lock, both = threading.Lock(), threading.Barrier(2)
    busy = most = 0

    def judge(_: Any) -> bool:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        # Two are there at once, or this would wait in vain.
        both.wait(PATIENCE)
        with lock:
            busy -= 1
        return True

    cache = open_cache(judge=judge, judge_timeout=None)
    cache.calibrate([SAME] * 8, max_concurrency=2)

    assert most == 2


async def test_the_ledger_has_one_entry_with_all_calls(
    open_cache: Open, by_async: bool
) -> None:
    model = ScriptedChatModel(respond=lambda _: "no json")
    cache = open_cache(judge=model)
    with track() as ledger:
        await calibrate(cache, [SAME, DIFFERENT, SAME], by_async=by_async)

    (record,) = ledger.to_records()
    assert (record.pattern, record.decision) == ("cache", "calibrated")
    assert record.calls == model.calls == 6
    assert "3 labeled pairs" in record.reason


@pytest.mark.parametrize("same", [True, False])
async def test_pairs_of_one_kind_only(
    cache: SemanticJudgeCache, same: bool, by_async: bool
) -> None:
    pairs = [("how do I pay", f"how do I pay {n}", same) for n in range(20)]
    found = await calibrate(cache, pairs, by_async=by_async, as_traffic=True)

    assert found.same == (20 if same else 0)
    assert str(found)
    assert cache.stats().promise.hi is None
    assert cache.stats().promise.evidence == 20


async def test_equal_questions_and_those_without_direction(
    open_cache: Open, by_async: bool
) -> None:
    embeddings = PlannedEmbeddings(a=[3.0, 4.0], zero=[0.0, 0.0], odd=[float("nan"), 1])
    cache = open_cache(embeddings, judge=lambda _: True)
    pairs = [("a", "a", True), ("a", "zero", False), ("odd", "a", False)]
    found = await calibrate(cache, pairs, by_async=by_async, as_traffic=True)

    assert [point.served for point in found.curve[-2:]] == pytest.approx([1 / 3] * 2)
    assert found.curve[0].served <= 1


def test_the_curve_and_the_band() -> None:
    pairs = [
        *measured(0.97, 300, same=True),
        *measured(0.91, 100, same=True),
        *measured(0.91, 100, same=False),
        *measured(0.5, 100, same=False),
    ]
    found = calibrated(pairs, None, delta=0.02, needed=0.33)

    # Nothing is said of cosines between those of the pairs.
    assert found.band is not None
    assert found.band[1] == 0.97
    assert 0.5 < found.band[0] < 0.97
    by_cosine = {point.similarity: point for point in found.curve}
    top, low = by_cosine[0.97], by_cosine[0.9]
    assert (top.served, top.wrong) == (0.5, 0)
    assert top.bound == clopper_pearson(0, 300)
    assert low.served == pytest.approx(500 / 600)
    assert low.wrong == 0.2
    assert by_cosine[0.995].bound == 1


def test_too_few_pairs_give_no_band() -> None:
    found = calibrated(measured(0.97, 50, same=True), None, delta=0.02, needed=0.33)

    assert found.band is None
    assert "no cosine keeps delta 0.02 unjudged; that takes at least" in str(found)


def test_guarded_pairs_are_not_served_unjudged() -> None:
    pair = LabeledPair("a", "b", same_answer=True)
    guarded = [Measured(pair, 0.99, ("number",))] * 1_000

    assert calibrated(guarded, None, delta=0.02, needed=0.33).band is None


def test_a_promise_of_none_wrong_prints() -> None:
    found = calibrated(measured(0.97, 50, same=True), None, delta=0, needed=0.33)

    assert found.band is None
    assert "nothing is served unjudged, since delta is 0" in str(found)


def test_many_pairs_are_worked_out_at_once() -> None:
    pairs = [
        *measured(0.9, 20_000, same=False),
        *measured(0.92, 20_000, same=True),
    ]
    # Term by term, the bounds alone would take minutes.
    assert calibrated(pairs, None, delta=0.02, needed=0.33).band


async def test_it_says_all_that(cache: SemanticJudgeCache) -> None:
    text = str(cache.calibrate([SAME, DIFFERENT]))

    assert "2 labeled pairs, 1 of them with one answer" in text
    assert "the judge accepts 1 of 1 wrong answers (at most 100.0%" in text
    assert "unjudged from" in text
    assert "0.995" in text
    assert "0.680" not in text


@pytest.mark.parametrize("pairs", [[SAME], [DIFFERENT], [SAME, DIFFERENT]])
def test_it_draws_a_picture(
    cache: SemanticJudgeCache, tmp_path: Path, pairs: Any
) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "curve.png"
    cache.calibrate(pairs).plot(path)

    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 5_000


def test_to_draw_takes_an_extra(
    cache: SemanticJudgeCache, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("matplotlib.backends.backend_agg", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(MissingExtraError, match="plots"):
        cache.calibrate([SAME]).plot(tmp_path / "curve.png")
