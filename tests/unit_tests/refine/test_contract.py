"""`RefineChain` as a Runnable among others."""

import asyncio
import copy
import pickle
import threading
from typing import Any

import pytest
from langchain_core.load import dumpd
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import (
    ConfigurableField,
    RunnableConfig,
    RunnableGenerator,
    RunnableLambda,
)
from langchain_core.tracers.base import BaseTracer
from langchain_core.tracers.schemas import Run

from langchain_prodpatterns import Budget, track
from langchain_prodpatterns.refine import Criteria, RefineChain, RefineResult
from langchain_prodpatterns.testing import Fault, Reply, ScriptedChatModel
from tests.unit_tests.refine.scripts import Cast, chain_of, number_in

FUN = Criteria("fun")
FULL = "verifier>pairwise>score"


def long_enough(text: str) -> bool:
    return len(text) > 3


def rising(draft: str) -> list[int]:
    return [min(5, 4 + number_in(draft))]


class Roots(BaseTracer):
    """Keeps the finished root runs."""

    def __init__(self) -> None:
        super().__init__()
        self.roots: list[Run] = []

    def _persist_run(self, run: Run) -> None:
        self.roots.append(run)


def names(run: Run) -> list[str]:
    return [child.name for child in run.child_runs]


def one_chain(**kwargs: Any) -> RefineChain:
    cast = Cast(marks=rising)
    return RefineChain(
        cast.model(), critics=[FUN, long_enough], accept=FULL, max_rounds=1, **kwargs
    )


STEPS = [
    "refine:draft",
    "refine:critique",
    "refine:critique",
    "refine:revision",
    "refine:critique",
    "refine:critique",
    "refine:compare",
]


async def run_somehow(chain: RefineChain, way: str, config: RunnableConfig) -> None:
    if way == "invoke":
        chain.invoke("write", config)
    elif way == "ainvoke":
        await chain.ainvoke("write", config)
    elif way == "stream":
        list(chain.stream("write", config))
    else:
        [chunk async for chunk in chain.astream("write", config)]


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
async def test_one_run_tree_however_it_is_called(way: str) -> None:
    cast = Cast(marks=rising, better=lambda *_: "first")
    chain = RefineChain(
        cast.model(), critics=[FUN, long_enough], accept=FULL, max_rounds=1
    )
    tracer = Roots()
    config: RunnableConfig = {
        "callbacks": [tracer],
        "tags": ["mine"],
        "metadata": {"user": "u"},
        "run_name": "tweet",
    }
    await run_somehow(chain, way, config)
    (root,) = tracer.roots
    assert root.name == "tweet"
    assert names(root) == STEPS
    for child in root.child_runs:
        assert "mine" in (child.tags or [])
        assert child.metadata["user"] == "u"
        hidden = child.metadata.get("ls_message_view_exclude", False)
        assert hidden == ("critique" in child.name or "compare" in child.name)
    assert root.metadata["prodpatterns.decision"] == "max_rounds"
    assert root.metadata["prodpatterns.rounds"] == 1


def test_children_need_no_context_variables() -> None:
    tracer = Roots()
    chain = one_chain()

    def work() -> None:
        chain.invoke("write", {"callbacks": [tracer]})

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(tracer.roots) == 1
    assert names(tracer.roots[0])[0] == "refine:draft"


async def test_events_show_every_step() -> None:
    events = [
        event["name"]
        async for event in one_chain().astream_events("write", version="v2")
        if event["event"].endswith("_start")
    ]
    assert events[0] == "RefineChain"
    assert [name for name in events if name.startswith("refine:draft")]
    assert [name for name in events if name == "refine:revision"]


def test_stream_gives_the_answer_once() -> None:
    piped = one_chain() | StrOutputParser()
    assert list(piped.stream("write")) == [piped.invoke("write")]


async def test_chunks_from_upstream_are_one_draft() -> None:
    async def upstream(_: Any) -> Any:
        for part in ("dra", "ft ", "0"):
            yield part

    chain = RunnableGenerator(upstream) | RefineChain(
        reviser=Cast(marks=rising).model(), critics=[FUN], accept="score"
    )
    assert [chunk async for chunk in chain.astream("x")] == ["draft 1"]


def by_input(request: Any) -> str:
    return f"draft {request.user_text}"


def test_batch_keeps_order_and_returns_exceptions() -> None:
    def draft(request: Any) -> Any:
        if request.user_text == "3":
            return Fault.server_error()
        return f"draft {request.user_text}"

    model = Cast(draft=draft, marks=lambda _: [5]).model()
    chain = RefineChain(model, critics=[FUN])
    results = chain.batch(
        [str(n) for n in range(6)], {"max_concurrency": 3}, return_exceptions=True
    )
    assert isinstance(results.pop(3), Exception)
    assert [result.content for result in results] == [
        f"draft {n}" for n in (0, 1, 2, 4, 5)
    ]


async def test_abatch_keeps_order() -> None:
    model = Cast(draft=by_input, marks=lambda _: [5]).model()
    chain = RefineChain(model, critics=[FUN])
    results = await chain.abatch([str(n) for n in range(8)])
    assert [number_in(result.content) for result in results] == list(range(8))


def test_many_threads_at_once() -> None:
    model = Cast(draft=by_input, marks=rising).model()
    chain = RefineChain(model, critics=[FUN], accept="score", include_rounds=True)
    with track() as ledger:
        results = chain.batch([str(n) for n in range(32)], {"max_concurrency": 16})
    assert sum(result.usage.calls for result in results) == model.calls
    assert ledger.summary().calls == model.calls


@pytest.mark.parametrize("where", ["draft", "verify", "revise"])
def test_an_interrupt_passes_at_once(where: str) -> None:
    def interrupt(*_: Any) -> Any:
        raise KeyboardInterrupt

    steps: dict[str, Any] = {
        "draft": lambda _: "draft 0",
        "verify": lambda _: "no",
        "revise": str,
    }
    steps[where] = interrupt
    chain = RefineChain(
        steps["draft"], reviser=steps["revise"], critics=[steps["verify"]]
    )
    with pytest.raises(KeyboardInterrupt):
        chain.invoke("write")


async def test_a_cancellation_passes_at_once() -> None:
    started = asyncio.Event()

    async def verify(_: str) -> bool:
        started.set()
        await asyncio.Event().wait()
        return True

    chain = RefineChain(Cast().model(), critics=[verify])
    task = asyncio.create_task(chain.ainvoke("write"))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_async_models_are_awaited() -> None:
    """A model that waits for another task can only be served by a free loop."""
    gate = threading.Event()

    def draft(_: Any) -> Reply:
        return Reply("draft 0", wait_for=gate)

    model = Cast(draft=draft, marks=lambda _: [5]).model()

    async def open_gate() -> None:
        gate.set()

    chain = RefineChain(model, critics=[FUN])
    result, _ = await asyncio.gather(chain.ainvoke("write"), open_gate())
    assert result.content == "draft 0"


# --- schemas, graphs, copies


def test_schemas_are_those_of_the_generator() -> None:
    model = ScriptedChatModel(default="x")
    chain = RefineChain(model, critics=[FUN])
    assert chain.get_input_jsonschema() == model.get_input_jsonschema()
    assert chain.get_output_jsonschema() == model.get_output_jsonschema()
    assert chain.InputType == model.InputType
    assert chain.OutputType == model.OutputType
    prompt = ChatPromptTemplate.from_template("{topic}")
    wider = RefineChain(prompt | model, reviser=model, critics=[FUN])
    assert "topic" in wider.get_input_jsonschema()["properties"]


def test_schemas_without_a_generator() -> None:
    chain = RefineChain(reviser=ScriptedChatModel(default="x"), critics=[FUN])
    kinds = {entry.get("type") for entry in chain.get_input_jsonschema()["anyOf"]}
    assert {"string", "object"} <= kinds
    assert chain.get_output_jsonschema()["anyOf"]


def test_the_schema_of_a_result() -> None:
    chain = one_chain(include_rounds=True)
    assert chain.OutputType is RefineResult
    text = str(chain.get_output_jsonschema())
    assert "stop_reason" in text
    assert "no_improvement" in text


def test_it_can_be_drawn() -> None:
    assert "RefineChain" in one_chain().get_graph().draw_mermaid()


def test_dumps_hold_no_secret() -> None:
    class Secretive(ScriptedChatModel):
        key: str = "hidden"

        def __repr__(self) -> str:
            return "Secretive()"

        __str__ = __repr__

    model = Secretive(default="x", key="sk-secret")
    chain = RefineChain(model, critics=[Criteria("fun", model=model)])
    assert "sk-secret" not in str(dumpd(chain))


def make_portable() -> RefineChain:
    model = ScriptedChatModel(default="draft 0")
    return RefineChain(
        model, critics=[FUN, long_enough], budget=Budget(calls=9), max_rounds=2
    )


@pytest.mark.parametrize(
    "duplicate",
    [copy.deepcopy, copy.copy, lambda c: pickle.loads(pickle.dumps(c))],  # noqa: S301 - our own bytes
)
def test_copies_work(duplicate: Any) -> None:
    chain = make_portable()
    expected = chain.invoke("write").content
    other = duplicate(chain)
    assert other.invoke("write").content == expected
    assert other.max_rounds == 2
    assert other.budget == Budget(calls=9)


def test_fields_can_be_configured() -> None:
    cast = Cast(marks=lambda d: [1 + number_in(d)])
    chain = chain_of(cast.model(), FUN).configurable_fields(
        max_rounds=ConfigurableField(id="rounds")
    )
    assert len(chain.invoke("write").rounds) == 4
    config: RunnableConfig = {"configurable": {"rounds": 1}}
    assert len(chain.invoke("write", config).rounds) == 2


def test_models_inside_can_be_configured() -> None:
    model = ScriptedChatModel(default="draft 0").configurable_fields(
        temperature=ConfigurableField(id="heat")
    )
    chain = RefineChain(
        model, reviser=ScriptedChatModel(default="x"), critics=[long_enough]
    )
    assert [spec.id for spec in chain.config_specs] == ["heat"]


def test_wrappers_work() -> None:
    drafts = iter([Fault.server_error(), "draft 0"])
    model = Cast(draft=lambda _: next(drafts), marks=lambda _: [5]).model()
    chain = RefineChain(model, critics=[FUN]).with_retry(
        wait_exponential_jitter=False, stop_after_attempt=2
    )
    assert chain.invoke("write").content == "draft 0"
    broken = Cast(draft=lambda _: Fault.server_error()).model()
    fallback = RefineChain(broken, critics=[FUN]).with_fallbacks(
        [RunnableLambda(lambda _: AIMessage("other"))]
    )
    assert fallback.invoke("write").content == "other"


def test_bound_and_retried_models_are_language_models() -> None:
    cast = Cast(marks=rising)
    model = cast.model().bind(temperature=0.1).with_retry(stop_after_attempt=1)
    result = chain_of(model, FUN).invoke("write")
    assert result.best.content == "draft 1"


def write(number: int) -> str:
    return f"write {number}"


def test_map_and_pipes_on_both_sides() -> None:
    refined = one_chain().with_config(tags=["x"]) | StrOutputParser()
    chain = (RunnableLambda(write) | refined).map()
    assert chain.invoke([1, 2]) == ["draft 0", "draft 0"]


def test_input_and_config_are_not_changed() -> None:
    value = {"price": 9}
    config: RunnableConfig = {"tags": ["a"], "metadata": {"b": 1}}
    before = copy.deepcopy((value, config))
    model = Cast(revise=lambda _: {"price": 1}).model()
    RefineChain(reviser=model, critics=[lambda d: d["price"] < 2]).invoke(value, config)
    assert (value, config) == before


def test_the_name_is_the_users() -> None:
    assert one_chain(name="tweeter").get_name() == "tweeter"
    assert one_chain().get_name() == "RefineChain"
