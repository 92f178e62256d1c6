"""What reports say."""

import sys
from pathlib import Path

import pytest

from langchain_prodpatterns.bounds import clopper_pearson
from langchain_prodpatterns.errors import MissingExtraError
from langchain_prodpatterns.routing.certificate import BARS, Bar
from langchain_prodpatterns.routing.decision import RouteDecision
from langchain_prodpatterns.routing.labels import Label
from langchain_prodpatterns.routing.reports import (
    ALL_FIT,
    EXCHANGEABLE,
    STABLE,
    Confusion,
    Evaluation,
    FitReport,
    Outcome,
    evaluate,
    report,
)

LABELS = [
    *(Label(str(at), "a") for at in range(90)),
    *(Label(f"?{at}", None) for at in range(10)),
]


def _report(bar: Bar | None, needed: int | None = 0, held_out: float = 0) -> FitReport:
    return report(
        bar,
        precision=0.95,
        confidence=0.9,
        labels=LABELS,
        proving=100,
        needed=needed,
        fewest=45,
        held_out=held_out,
    )


def test_a_bar_is_told_with_coverage_and_bound() -> None:
    found = _report(Bar(0.8, 60, 0, 0.9623))

    assert (found.bar, found.coverage, found.certified) == (0.8, 0.6, 0.9623)
    assert (found.labels, found.none_labels, found.needed) == (100, 10, 0)
    assert found.obstacle == ""
    assert str(found) == (
        "100 labels, 10 of them none\n"
        "decides alone from a confidence of 0.8, 60.0% of queries like these; at least "
        "96.2% of that is right, with 90% confidence (asked: 95.0%)\n"
        f"assumed: {EXCHANGEABLE}; {STABLE}"
    )


def test_without_a_bar_it_says_how_many_labels_are_missing() -> None:
    found = _report(None, needed=33)

    assert (found.bar, found.coverage, found.certified) == (None, 0.0, None)
    assert found.obstacle == (
        "100 labels do not show a precision of 0.95 with 90% confidence (45 decisions "
        "without an error are the least that would): about 33 more are needed"
    )
    assert f"does not decide alone: {found.obstacle}" in str(found)


def test_it_does_not_ask_for_labels_that_would_not_help() -> None:
    assert "more of the same would not" in _report(None, needed=None).obstacle


def test_labels_that_are_held_out_need_no_more_than_a_fair_sample() -> None:
    assert _report(None, held_out=0.5).assumptions == (EXCHANGEABLE,)


def test_labels_without_none_are_an_assumption() -> None:
    found = report(
        None,
        precision=0.95,
        confidence=0.9,
        labels=LABELS[:5],
        proving=5,
        needed=40,
        fewest=45,
        held_out=0,
    )

    assert found.assumptions == (EXCHANGEABLE, STABLE, ALL_FIT)


def _outcome(
    truth: str | None, best: str, confidence: float | None, *, decided: bool
) -> Outcome:
    decision = RouteDecision(
        tool=best if decided else None,
        decided_by="distance" if decided else "none",
        confidence=confidence,
    )
    return Outcome(truth, best, decision)


OUTCOMES = [
    *(_outcome("a", "a", 0.99, decided=True) for _ in range(6)),
    _outcome("b", "a", 0.99, decided=True),
    _outcome("b", "a", 0.97, decided=True),
    _outcome(None, "c", 0.96, decided=True),
    _outcome("c", "c", 0.4, decided=False),
]


def test_coverage_precision_and_confusions_are_counted() -> None:
    found = evaluate(OUTCOMES)

    assert (found.labels, found.coverage) == (10, 0.9)
    assert found.precision == pytest.approx(6 / 9)
    assert found.confusions == (Confusion("b", "a", 2), Confusion(None, "c", 1))


def test_reliability_is_over_all_queries() -> None:
    bins = evaluate(OUTCOMES).reliability

    assert [(each.low, each.high, each.count) for each in bins] == [
        (0.0, 0.5, 1),
        (0.95, 0.98, 2),
        (0.98, 1.0, 7),
    ]
    assert bins[0].right == 1
    assert bins[1].right == 0
    assert bins[2].confidence == pytest.approx(0.99)


def test_the_curve_tells_what_each_bar_would_come_to() -> None:
    curve = evaluate(OUTCOMES).curve

    assert [one.confidence for one in curve] == BARS.tolist()
    first = next(one for one in curve if one.decided)
    assert (first.decided, first.wrong) == (7, 1)
    assert first.certified == pytest.approx(1 - clopper_pearson(1, 7))
    assert (curve[-1].decided, curve[-1].wrong) == (10, 3)
    assert evaluate([_outcome("a", "a", None, decided=True)]).curve == ()


def test_nothing_decided_has_no_precision() -> None:
    found = evaluate([_outcome("a", "a", None, decided=False)])

    assert (found.coverage, found.precision, found.reliability) == (0, None, ())
    assert "0.0% decided by distance, - of these rightly" in str(found)


def test_an_evaluation_prints_its_tables() -> None:
    shown = str(evaluate(OUTCOMES))

    assert "10 labeled queries: 90.0% decided by distance, 66.7% of these" in shown
    assert "None" in shown
    assert "0.98-1" in shown


def test_an_evaluation_can_be_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "reliability.png"

    evaluate(OUTCOMES).plot(path)

    assert path.read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)

    with pytest.raises(
        MissingExtraError, match=r"Evaluation\.plot needs the extra 'plots'"
    ):
        evaluate(OUTCOMES).plot(tmp_path / "x.png")


def test_reports_are_frozen() -> None:
    found: Evaluation = evaluate(OUTCOMES)
    with pytest.raises(AttributeError):
        found.coverage = 1.0  # type: ignore[misc]  # that is the test
