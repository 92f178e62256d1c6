"""Each Runnable has schemas and a graph, copies, and composes from either side."""

import copy
import json
import pickle
from typing import Any, cast

import pytest
from langchain_core.load import dumpd
from langchain_core.runnables import (
    ConfigurableField,
    RunnableConfig,
    RunnableLambda,
    RunnableSerializable,
)
from langchain_core.runnables.configurable import DynamicRunnable

from tests.conformance.cases import SECRET, Case
from tests.conformance.doubles import StrictModel


def _same(value: Any) -> Any:
    return value


def _fail(value: Any) -> Any:
    raise ValueError("the first choice fails")


def test_schemas_say_something(case: Case, model: StrictModel) -> None:
    runnable = case.make(model)

    for schema in (runnable.get_input_jsonschema(), runnable.get_output_jsonschema()):
        assert set(schema) - {"title", "description"}, schema
        json.dumps(schema)


def test_the_graph_is_drawn(case: Case, model: StrictModel) -> None:
    assert case.make(model).get_name() in case.make(model).get_graph().draw_mermaid()


def test_pipes_from_either_side(case: Case, model: StrictModel) -> None:
    before = RunnableLambda(_same) | case.make(model)
    after = case.make(model) | RunnableLambda(_same)
    plain = _same | case.make(model)

    for chain in (before, after, plain):
        assert case.view(chain.invoke(case.value)) == case.expected


def test_map_retry_fallbacks_and_bind(case: Case, model: StrictModel) -> None:
    runnable = case.make(model)

    assert case.view(runnable.map().invoke([case.value])[0]) == case.expected
    assert case.view(runnable.with_retry().invoke(case.value)) == case.expected
    assert case.view(runnable.bind().invoke(case.value)) == case.expected
    with_fallback = RunnableLambda(_fail).with_fallbacks([runnable])
    assert case.view(with_fallback.invoke(case.value)) == case.expected


def test_configurable_fields(case: Case, model: StrictModel) -> None:
    name, setting = case.setting
    runnable = cast("RunnableSerializable[Any, Any]", case.make(model))
    configurable = runnable.configurable_fields(
        **{name: ConfigurableField(id="setting")}
    )

    assert case.view(configurable.invoke(case.value)) == case.expected
    config: RunnableConfig = {"configurable": {"setting": setting}}
    configured, _ = cast("DynamicRunnable[Any, Any]", configurable).prepare(config)
    assert getattr(configured, name) == setting
    configurable.invoke(case.value, config)


def test_deep_copies_and_pickles(case: Case, model: StrictModel) -> None:
    for clone in (
        copy.deepcopy(case.make(model)),
        pickle.loads(pickle.dumps(case.make(model))),  # noqa: S301 - our own bytes
    ):
        assert case.view(clone.invoke(case.value)) == case.expected


def test_used_objects_copy_too(case: Case, model: StrictModel) -> None:
    runnable = case.make(model)
    runnable.invoke(case.value)

    pickled = pickle.dumps(runnable)
    for clone in (copy.deepcopy(runnable), pickle.loads(pickled)):  # noqa: S301 - our own bytes
        assert case.view(clone.invoke(case.value)) == case.expected


def test_dumpd_holds_no_secret(case: Case, model: StrictModel) -> None:
    text = json.dumps(dumpd(case.make(model)))

    assert SECRET not in text
    assert SECRET not in repr(case.make(model))


def test_unknown_arguments_are_refused(case: Case, model: StrictModel) -> None:
    runnable = cast("RunnableSerializable[Any, Any]", case.make(model))
    kind: Any = type(runnable)
    fields = {name: getattr(runnable, name) for name in kind.model_fields}

    with pytest.raises(Exception, match="no_such_argument"):
        kind(**fields, no_such_argument=1)
