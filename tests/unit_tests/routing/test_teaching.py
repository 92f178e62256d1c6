"""A router that is taught by labels, by its fallback and by feedback."""

import asyncio
import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.ledger import track
from langchain_prodpatterns.routing import (
    Evaluation,
    FitReport,
    RouteDecision,
    RouteRequest,
    ToolRouter,
)
from langchain_prodpatterns.routing.memory import LEARN_EVERY
from langchain_prodpatterns.testing import Fault
from tests.unit_tests.routing.doubles import (
    CLUSTERS,
    WAYS,
    ClusterEmbeddings,
    choosing,
    cluster_labels,
)

Run = Callable[..., RouteDecision]
Fit = Callable[..., FitReport]


def _router(fallback: Any = None, **kwargs: Any) -> ToolRouter:
    return ToolRouter(CLUSTERS, ClusterEmbeddings(), fallback=fallback, **kwargs)


def fit(router: ToolRouter, labels: Any, **kwargs: Any) -> FitReport:
    return router.fit(labels, **kwargs)


def afit(router: ToolRouter, labels: Any, **kwargs: Any) -> FitReport:
    call = router.afit(labels, **kwargs)
    return asyncio.run(call)


FITS: list[Fit] = [fit, afit]


def truth(request: RouteRequest) -> str:
    """What belongs to a cluster, and what does not."""
    return request.question[0].replace("?", "none")


# Fitting.


@pytest.mark.parametrize("fitting", FITS)
@pytest.mark.parametrize("held_out", [0, 0.5])
def test_enough_labels_set_a_bar_and_it_decides(fitting: Fit, held_out: float) -> None:
    router = _router()

    report = fitting(router, cluster_labels(280), held_out=held_out)

    assert report.bar is not None
    assert report.certified is not None
    assert report.certified >= 0.95
    assert (report.labels, report.none_labels, report.needed) == (280, 40, 0)
    decision = router.invoke("a 9999")
    assert (decision.tool, decision.decided_by) == ("a", "distance")
    assert decision.confidence is not None
    assert decision.confidence >= report.bar
    assert "reaches the bar" in decision.reason
    assert router.invoke("? 9999").tool is None


def test_sync_and_async_fit_alike() -> None:
    one, other = _router(), _router()

    assert fit(one, cluster_labels(140)) == afit(other, cluster_labels(140))
    assert one.invoke("b 777") == other.invoke("b 777")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("count", [1, 3, 20])
def test_too_few_labels_decide_nothing_and_say_how_many_more(
    way: Run, count: int
) -> None:
    router = _router()

    report = router.fit(cluster_labels(count))

    assert report.bar is None
    assert report.needed is None or report.needed > 0
    decision = way(router, "a 9999")
    assert (decision.tool, decision.decided_by) == (None, "none")
    assert f"{count} labels do not show a precision of 0.95" in decision.reason
    assert "45 decisions without an error" in decision.reason


@pytest.mark.parametrize("way", WAYS)
def test_what_the_bar_leaves_open_is_put_before_the_fallback(way: Run) -> None:
    router = _router(truth)
    router.fit(cluster_labels(20))

    decision = way(router, "c 9999")

    assert (decision.tool, decision.decided_by) == ("c", "llm")


def test_a_higher_precision_of_a_copy_has_a_bar_of_its_own() -> None:
    router = _router()
    router.fit(cluster_labels(280))
    stricter = router.model_copy(update={"precision": 0.995})

    assert router.invoke("a 9999").tool == "a"
    decision = stricter.invoke("a 9999")
    assert decision.tool is None
    assert "280 labels do not show a precision of 0.995" in decision.reason


def test_the_order_of_the_labels_does_not_make_folds_of_tools() -> None:
    labels = sorted(cluster_labels(280), key=str)
    router = _router()

    router.fit(labels, held_out=0.5)

    fitted = router._view().fitted
    assert fitted is not None
    # Learned from the first half, it would know no query that no tool fits, or nothing
    # else; and be judged on tools that it has not learned.
    assert fitted.proof.right.mean() == pytest.approx(6 / 7, abs=0.06)


def test_labels_that_are_examples_already_are_left_out() -> None:
    router = _router()

    report = router.fit([("A  1", "a"), *cluster_labels(14)])

    assert report.labels == 14
    with pytest.raises(ConfigurationError, match="every label is an example of a tool"):
        router.fit([("a 1", "a")])


@pytest.mark.parametrize("fitting", FITS)
@pytest.mark.parametrize(
    ("labels", "kwargs", "message"),
    [
        ([("q", "z")], {}, r"labeled 'z', but the tools are \['a'"),
        ([], {}, "examples is empty"),
        ([("q", "a")], {"confidence": 1}, "confidence must be a number from 0.5"),
        ([("q", "a")], {"held_out": 1}, "held_out must be a number from 0 to 0.9"),
    ],
)
def test_what_cannot_be_fitted_is_refused(
    fitting: Fit, labels: Any, kwargs: Any, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        fitting(_router(), labels, **kwargs)


def test_select_follows_what_was_fitted() -> None:
    router = _router()
    router.fit(cluster_labels(70))

    assert router.select("d 9999", 2)[0] == CLUSTERS[3]
    assert len(router.select("d 9999", 4)) == 4


def _pickled(router: ToolRouter) -> ToolRouter:
    clone = pickle.loads(pickle.dumps(router))  # noqa: S301 - our own bytes
    assert isinstance(clone, ToolRouter)
    return clone


@pytest.mark.parametrize("clone", [copy.deepcopy, _pickled])
def test_copies_of_a_fitted_router_decide_alike(
    clone: Callable[[ToolRouter], ToolRouter],
) -> None:
    router = _router()
    router.fit(cluster_labels(280))

    copied = clone(router)

    queries = [query for query, _ in cluster_labels(14, start=5_000)]
    assert [copied.invoke(query) for query in queries] == [
        router.invoke(query) for query in queries
    ]


def test_a_router_of_one_tool_can_be_fitted() -> None:
    router = ToolRouter(CLUSTERS[:1], ClusterEmbeddings())
    labels = [
        (query, tool) for query, tool in cluster_labels(700) if tool in ("a", None)
    ]

    assert router.fit(labels).bar is not None
    assert router.invoke("a 9999").tool == "a"
    assert router.invoke("? 9999").tool is None


# Evaluating.


def aevaluate(router: ToolRouter, labels: Any) -> Evaluation:
    return asyncio.run(router.aevaluate(labels))


@pytest.mark.parametrize("way", [ToolRouter.evaluate, aevaluate])
def test_an_evaluation_asks_no_fallback(
    way: Callable[[ToolRouter, Any], Evaluation],
) -> None:
    model = choosing(1)
    router = _router(model)
    router.fit(cluster_labels(280))

    found = way(router, cluster_labels(140, start=5_000))

    assert found.labels == 140
    assert found.coverage > 0.7
    assert found.precision is not None
    assert found.precision > 0.95
    assert model.calls == 0


def test_a_router_that_is_not_fitted_can_be_evaluated() -> None:
    assert _router().evaluate(cluster_labels(70)).precision == 1


# The fallback's decisions.


@pytest.mark.parametrize("way", WAYS)
def test_the_same_question_is_not_asked_twice(way: Run) -> None:
    model = choosing(2)
    router = _router(model, threshold=1)

    first = way(router, "A question")
    with track() as ledger:
        second = way(router, " a  QUESTION")

    assert first.decided_by == "llm"
    assert (second.tool, second.decided_by) == (first.tool, "cache")
    assert second.reason == f"decided before: {first.reason}"
    assert model.calls == 1
    (record,) = ledger.to_records()
    assert (record.decision, record.saved_calls, record.calls) == ("cache", 1, 0)


@pytest.mark.parametrize("way", WAYS)
def test_none_is_remembered_too(way: Run) -> None:
    model = choosing("none")
    router = _router(model, threshold=1)

    way(router, "? 1")
    decision = way(router, "? 1")

    assert (decision.tool, decision.decided_by) == (None, "cache")
    assert model.calls == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("bad", [Fault.server_error(), "no such tool"])
def test_a_failure_is_not_remembered(way: Run, bad: Any) -> None:
    model = choosing(bad, 1)
    router = _router(model, threshold=1)

    assert way(router, "? 1").decided_by == "none"
    assert way(router, "? 1").decided_by == "llm"


def test_without_a_fallback_only_feedback_is_recalled() -> None:
    router = _router(choosing(1), threshold=1)
    router.invoke("? 1")
    bare = router.model_copy(update={"fallback": None})

    assert bare.invoke("? 1").decided_by == "none"
    router.feedback("? 1", "b")
    assert bare.invoke("? 1").decided_by == "cache"


def test_only_so_many_decisions_are_kept() -> None:
    model = choosing(1)
    router = _router(model, threshold=1, max_cached=1)
    for query in ("? 1", "? 2", "? 1"):
        router.invoke(query)

    assert model.calls == 3


# Learning.


@pytest.mark.parametrize("way", WAYS)
def test_what_the_fallback_chose_becomes_an_example(way: Run) -> None:
    router = _router(lambda _: "b", learn=True, threshold=0.9, margin=0.1, top_k=6)
    for at in range(LEARN_EVERY):
        way(router, f"? {at}")

    decision = way(router, "? 7")

    assert (decision.tool, decision.decided_by) == ("b", "distance")
    assert decision.confidence == pytest.approx(1)


def test_without_learn_nothing_is_learned() -> None:
    router = _router(lambda _: "b", threshold=0.9, top_k=6)
    for at in range(LEARN_EVERY):
        router.invoke(f"? {at}")

    assert router.invoke("? 7").decided_by == "cache"
    assert router.index.knowledge.memory.learned() is None


def test_a_learned_router_is_certified_anew() -> None:
    router = _router(truth, learn=True, precision=0.9)
    before = router.fit(cluster_labels(280))
    strict = router.model_copy(update={"precision": 0.999})
    for query, _ in cluster_labels(LEARN_EVERY, start=5_000):
        strict.invoke(query)

    after = router._view().report(0.9)

    assert router._view().learned is not None
    assert (before.labels, after.labels) == (280, 280)
    assert after.bar is not None


def test_learning_is_bounded() -> None:
    router = _router(lambda _: "b", learn=True, max_learned=3, threshold=1, top_k=6)
    for at in range(LEARN_EVERY + 5):
        router.invoke(f"? {at}")

    lesson = router.index.knowledge.memory.learned()
    assert lesson is not None
    assert [label.query for label in lesson.labels] == ["? 52", "? 53", "? 54"]


def test_many_threads_learn_alike() -> None:
    router = _router(truth, learn=True, threshold=1)
    queries = [query for query, _ in cluster_labels(3 * LEARN_EVERY)]

    with ThreadPoolExecutor(8) as pool:
        decisions = list(pool.map(router.invoke, queries))

    assert {each.decided_by for each in decisions} <= {"llm", "distance"}
    lesson = router.index.knowledge.memory.learned()
    assert lesson is not None
    assert {label.query for label in lesson.labels} <= set(queries)


# Feedback.


def feedback(router: ToolRouter, query: Any, tool: str | None) -> None:
    router.feedback(query, tool)


def afeedback(router: ToolRouter, query: Any, tool: str | None) -> None:
    asyncio.run(router.afeedback(query, tool))


FEEDBACKS = [feedback, afeedback]


@pytest.mark.parametrize("give", FEEDBACKS)
@pytest.mark.parametrize("tool", ["b", None])
def test_feedback_decides_from_now_on(give: Any, tool: str | None) -> None:
    router = _router()
    assert router.invoke("a 7").tool == "a"

    give(router, "a 7", tool)

    decision = router.invoke("A 7")
    assert (decision.tool, decision.decided_by) == (tool, "cache")
    assert "feedback says" in decision.reason


@pytest.mark.parametrize("give", FEEDBACKS)
def test_feedback_takes_back_what_was_learned_wrongly(give: Any) -> None:
    router = _router(lambda _: "b", learn=True, threshold=0.9, margin=0.1, top_k=6)
    for at in range(LEARN_EVERY):
        router.invoke(f"? {at}")
    assert router.invoke("? 7").tool == "b"

    give(router, "? 7", "c")

    learned = router._view().learned
    assert learned is not None
    assert [each.tool for each in learned.labels if each.query == "? 7"] == ["c"]
    assert router.invoke("? 7").tool == "c"


@pytest.mark.parametrize("give", FEEDBACKS)
def test_feedback_that_makes_no_sense_is_refused(give: Any) -> None:
    with pytest.raises(ConfigurationError, match="the query is labeled 'z'"):
        give(_router(), "a 7", "z")
    with pytest.raises(ValueError, match="the query is empty"):
        give(_router(), " ", "a")


def test_no_label_is_judged_by_a_router_that_learned_it_from_feedback() -> None:
    labels = cluster_labels(60)
    router = ToolRouter(CLUSTERS, ClusterEmbeddings())
    for query, tool in labels:
        router.feedback(query, tool)
    router.fit(labels)
    fresh = ToolRouter(CLUSTERS, ClusterEmbeddings())
    fresh.fit(labels)
    proofs = [each._view().fitted for each in (router, fresh)]
    assert proofs[0] is not None
    assert proofs[1] is not None
    assert np.array_equal(proofs[0].proof.scores, proofs[1].proof.scores)
