"""One run a call, and the children belong to it by the config that is handed on."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langchain_core.runnables import config as core_config
from langchain_core.runnables.config import merge_configs
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langchain_core.tracers.schemas import Run

from langchain_prodpatterns.ledger import DECISION_EVENT, track
from langchain_prodpatterns.usage import PATTERN_KEY
from tests.conformance.cases import CASES, Case
from tests.conformance.doubles import StrictModel

Way = Callable[[Runnable[Any, Any], Any, RunnableConfig], Any]


def _invoke(runnable: Runnable[Any, Any], value: Any, config: RunnableConfig) -> None:
    runnable.invoke(value, config)


def _ainvoke(runnable: Runnable[Any, Any], value: Any, config: RunnableConfig) -> None:
    asyncio.run(runnable.ainvoke(value, config))


def _stream(runnable: Runnable[Any, Any], value: Any, config: RunnableConfig) -> None:
    list(runnable.stream(value, config))


def _astream(runnable: Runnable[Any, Any], value: Any, config: RunnableConfig) -> None:
    async def drain() -> None:
        async for _ in runnable.astream(value, config):
            pass

    asyncio.run(drain())


WAYS = [_invoke, _ainvoke, _stream, _astream]
PATTERNS = [case for case in CASES if case.pattern is not None]


class NoContext:
    """Stands in for core's context variable, and carries nothing."""

    def get(self) -> None:
        return None

    def set(self, value: Any) -> None:
        return None

    def reset(self, token: Any) -> None:
        return None


@pytest.fixture
def no_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away the context variable that would hide a config not handed on."""
    monkeypatch.setattr(core_config, "var_child_runnable_config", NoContext())


def _all(run: Run) -> Iterator[Run]:
    yield run
    for child in run.child_runs:
        yield from _all(child)


def _traced(
    way: Way,
    runnable: Runnable[Any, Any],
    value: Any,
    config: RunnableConfig | None = None,
) -> list[Run]:
    collector = RunCollectorCallbackHandler()
    way(runnable, value, merge_configs(config, {"callbacks": [collector]}))
    return collector.traced_runs


@pytest.mark.usefixtures("no_context")
@pytest.mark.parametrize("way", WAYS)
def test_one_run_with_the_children_below_it(
    case: Case, model: StrictModel, way: Way
) -> None:
    runs = _traced(way, case.make(model), case.value)

    assert len(runs) == 1
    models = [run for run in _all(runs[0]) if run.run_type == "llm"]
    assert len(models) == len(model.requests)
    assert bool(models) == case.calls_model
    assert all(run.end_time is not None for run in _all(runs[0]))


@pytest.mark.parametrize("way", WAYS)
def test_every_way_gives_the_same_tree(
    case: Case, model: StrictModel, way: Way
) -> None:
    def shape(run: Run) -> Any:
        return run.name, sorted(shape(child) for child in run.child_runs)

    expected = _traced(_invoke, case.make(model), case.value)
    model.reset()

    assert [shape(run) for run in _traced(way, case.make(model), case.value)] == [
        shape(run) for run in expected
    ]


@pytest.mark.usefixtures("no_context")
@pytest.mark.parametrize("way", WAYS)
def test_tags_and_metadata_reach_the_models_names_and_ids_do_not(
    case: Case, model: StrictModel, way: Way
) -> None:
    run_id = uuid4()

    (root,) = _traced(
        way,
        case.make(model),
        case.value,
        {
            "tags": ["mine"],
            "metadata": {"mine": 1},
            "run_name": "my name",
            "run_id": run_id,
        },
    )

    assert root.name == "my name"
    assert root.id == run_id or case.ignores_run_id
    for run in list(_all(root))[1:]:
        assert run.name != "my name"
        assert run.id != run_id
        assert "mine" in (run.tags or [])
        assert run.metadata["mine"] == 1


@pytest.mark.parametrize("case", PATTERNS, ids=repr)
def test_the_decision_is_in_the_metadata_of_the_run(
    case: Case, model: StrictModel
) -> None:
    (root,) = _traced(_invoke, case.make(model), case.value)

    decided = [run for run in _all(root) if "prodpatterns.decision" in run.metadata]
    assert [run.metadata[PATTERN_KEY] for run in decided] == [case.pattern]


def test_the_ledger_books_every_call_to_the_pattern(
    case: Case, model: StrictModel
) -> None:
    with track() as ledger:
        case.make(model).invoke(case.value)

    summary = ledger.summary()
    assert (summary.calls, summary.input_tokens, summary.output_tokens) == (
        model.calls,
        model.input_tokens,
        model.output_tokens,
    )
    if case.pattern is not None:
        assert [record.pattern for record in ledger.to_records()].count(
            case.pattern
        ) == 1


async def test_astream_events_shows_the_run_and_the_decision(
    case: Case, model: StrictModel
) -> None:
    events = [
        event
        async for event in case.make(model).astream_events(case.value, version="v2")
    ]

    roots = [event for event in events if not event["parent_ids"]]
    assert roots[0]["event"].endswith("_start")
    assert roots[-1]["event"].endswith("_end")
    assert len({event["run_id"] for event in roots}) == 1
    decisions = [event for event in events if event["name"] == DECISION_EVENT]
    assert len(decisions) == case.decisions


def test_inside_a_chain_it_is_a_child(case: Case, model: StrictModel) -> None:
    chain = RunnableLambda(lambda value: value) | case.make(model)

    (root,) = _traced(_invoke, chain, case.value)

    assert len(root.child_runs) == 2


@pytest.mark.parametrize("way", WAYS[:2])
def test_a_failure_ends_the_run_with_the_error(
    case: Case, model: StrictModel, way: Way
) -> None:
    collector = RunCollectorCallbackHandler()

    with pytest.raises(Exception):  # noqa: B017 - the kind is each pattern's own
        way(case.make(model), case.bad, {"callbacks": [collector]})

    (root,) = collector.traced_runs
    assert root.error
