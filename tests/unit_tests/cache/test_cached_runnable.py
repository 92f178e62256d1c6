"""A whole chain behind the cache."""

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from operator import itemgetter
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.output_parsers import JsonOutputParser, StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import (
    ConfigurableField,
    Runnable,
    RunnableConfig,
    RunnableGenerator,
    RunnableLambda,
    RunnableParallel,
    RunnablePassthrough,
)
from langchain_core.runnables.history import RunnableWithMessageHistory
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from langchain_prodpatterns import track
from langchain_prodpatterns.cache import CachedRunnable, SemanticJudgeCache, flights
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.testing import Reply, ScriptedChatModel, ToolCall
from tests.unit_tests.cache.conftest import (
    CLONES,
    Boarding,
    CountingEmbeddings,
    ScriptedJudge,
)

Open = Callable[..., SemanticJudgeCache]
Run = Callable[..., Any]


class Answer(BaseModel):
    text: str


class Counted:
    """A function that counts its calls, and can wait or fail."""

    def __init__(self, output: Any = None) -> None:
        self.calls = 0
        self.output = output
        self.errors: list[BaseException] = []
        self.begun = threading.Event()
        self.go: threading.Event | None = None
        self.ago: asyncio.Event | None = None
        self._lock = threading.Lock()

    def __call__(self, value: Any) -> Any:
        with self._lock:
            self.calls += 1
            error = self.errors.pop() if self.errors else None
        self.begun.set()
        if self.go is not None:
            assert self.go.wait(30)
        if error is not None:
            raise error
        return f"answer to {value}" if self.output is None else self.output

    async def acall(self, value: Any) -> Any:
        if self.ago is not None:
            self.begun.set()
            await self.ago.wait()
        return self(value)

    @property
    def chain(self) -> Runnable[Any, Any]:
        return RunnableLambda(self, afunc=self.acall, name="counted")


@pytest.fixture(params=["invoke", "ainvoke", "stream", "astream"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a chain in each of the four ways; of a stream, the sum."""

    async def asummed(chain: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        chunks = [c async for c in chain.astream(value, *args, **kwargs)]
        return chunks[0] if len(chunks) == 1 else _sum(chunks)

    def stream(chain: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        return _sum(list(chain.stream(value, *args, **kwargs)))

    return {
        "invoke": lambda chain, *args, **kwargs: chain.invoke(*args, **kwargs),
        "ainvoke": lambda chain, *args, **kwargs: asyncio.run(
            chain.ainvoke(*args, **kwargs)
        ),
        "stream": stream,
        "astream": lambda *args, **kwargs: asyncio.run(asummed(*args, **kwargs)),
    }[request.param]


def _sum(chunks: list[Any]) -> Any:
    total = chunks[0]
    for chunk in chunks[1:]:
        total = total + chunk
    return total


@pytest.mark.parametrize(
    "output",
    [
        "text",
        AIMessage("message"),
        {"answer": "x", "sources": ["a"]},
        Answer(text="x"),
        [Document("d", metadata={"source": "a"})],
        ("a", 1),
        0,
        False,
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_output_that_json_holds_is_one_entry(
    cache: SemanticJudgeCache, run: Run, output: Any
) -> None:
    counted = Counted(output)
    chain = cache.wrap(counted.chain)

    outputs = [run(chain, "Why?") for _ in range(2)]

    assert counted.calls == 1
    assert [type(o) for o in outputs] == [type(output)] * 2
    if not isinstance(output, AIMessage):
        assert outputs == [output, output]


def test_a_near_question_is_judged(
    cache: SemanticJudgeCache, judge: ScriptedJudge, run: Run
) -> None:
    counted = Counted()
    chain = cache.wrap(counted.chain)
    run(chain, {"question": "How do I reset my password?", "lang": "en"})

    near = run(chain, {"question": "How do I reset my pasword?", "lang": "en"})
    other = run(chain, {"question": "How do I reset my pasword?", "lang": "de"})

    assert "password" in near
    assert "'de'" in other
    assert counted.calls == 2
    (request,) = judge.requests
    assert request.stored_question == "How do I reset my password?"
    assert "en" in request.context


def test_key_and_scope(
    cache: SemanticJudgeCache, judge: ScriptedJudge, run: Run
) -> None:
    counted = Counted()

    def topic(value: dict[str, Any]) -> str | None:
        return str(value["topic"]) if "topic" in value else None

    chain = cache.wrap(counted.chain, key=topic)
    run(chain, {"topic": "resetting a password"})
    run(chain, {"topic": "resetting a pasword"})
    assert (counted.calls, len(judge.requests)) == (1, 1)

    run(chain, {"subject": "x"})
    run(chain, {"subject": "x"})
    assert counted.calls == 2

    versioned = cache.wrap(counted.chain, key=topic, scope="v2")
    run(versioned, {"topic": "resetting a password"})
    assert counted.calls == 3


def test_two_chains_do_not_share(cache: SemanticJudgeCache, run: Run) -> None:
    formal, casual = (
        ChatPromptTemplate.from_messages([("system", style), ("human", "{question}")])
        | ScriptedChatModel(replies=[style])
        | StrOutputParser()
        for style in ("formal", "casual")
    )

    value = {"question": "Why?"}
    assert run(cache.wrap(formal), value) == "formal"
    assert run(cache.wrap(casual), value) == "casual"


def test_namespaces_come_from_the_config(cache: SemanticJudgeCache, run: Run) -> None:
    counted = Counted()
    chain = cache.wrap(counted.chain)
    for tenant in ("a", "b", "a"):
        run(chain, "Why?", {"configurable": {"namespace": tenant}})

    assert counted.calls == 2
    assert cache.invalidate(namespace="a") == 1


def test_configured_fields_and_bound_arguments_partition(
    cache: SemanticJudgeCache, run: Run
) -> None:
    model = ScriptedChatModel(respond=lambda request: str(request.params))
    warm = model.configurable_fields(temperature=ConfigurableField(id="heat"))
    chain = cache.wrap(warm)

    outputs = [
        run(chain, "Why?", {"configurable": configured}).content
        for configured in (
            {"heat": 0.1},
            {"heat": 0.9},
            {"heat": 0.1, "thread_id": "1", "__pregel_send": print},
        )
    ]

    assert outputs[0] == outputs[2] != outputs[1]
    assert model.calls == 2
    run(cache.wrap(warm).bind(stop=["x"]), "Why?", {"configurable": {"heat": 0.1}})
    assert model.calls == 3


@pytest.mark.parametrize(
    "bad",
    [Reply.truncated("cut"), Reply.refused(), Reply("")],
    ids=["cut", "refused", "empty"],
)
def test_only_good_answers_are_stored(
    cache: SemanticJudgeCache, run: Run, bad: Reply
) -> None:
    model = ScriptedChatModel(replies=[bad, "good"])
    chain = cache.wrap(model)
    run(chain, "Why?")

    assert run(chain, "Why?").content == "good"
    assert run(chain, "Why?").content == "good"
    assert cache.stats().not_stored == 1


@pytest.mark.parametrize("bad", [Reply.truncated("cut"), Reply.refused()])
def test_a_parser_does_not_hide_that_an_answer_broke_off(
    cache: SemanticJudgeCache, run: Run, bad: Reply
) -> None:
    model = ScriptedChatModel(replies=[bad, "good"])
    chain = cache.wrap(RunnableLambda(lambda text: text) | model | StrOutputParser())
    run(chain, "Why?")

    assert [run(chain, "Why?") for _ in range(2)] == ["good", "good"]
    assert (cache.stats().not_stored, cache.stats().exact) == (1, 1)


def test_what_was_said_in_an_outage_is_not_kept(
    cache: SemanticJudgeCache, run: Run
) -> None:
    counted = Counted()
    counted.errors = [ConnectionError()]
    sorry: Runnable[Any, str] = RunnableLambda(lambda _: "We are down.")
    chain = cache.wrap(counted.chain.with_fallbacks([sorry]))

    assert run(chain, "Why?") == "We are down."
    assert run(chain, "Why?") == "answer to Why?"


def test_a_failure_is_the_caller_s_and_is_not_stored(
    cache: SemanticJudgeCache, run: Run
) -> None:
    counted = Counted()
    counted.errors = [LookupError("gone")]
    chain = cache.wrap(counted.chain)

    with pytest.raises(LookupError):
        run(chain, "Why?")
    assert run(chain, "Why?") == "answer to Why?"
    assert counted.calls == 2


def test_an_output_that_json_cannot_hold_is_passed_through_with_one_warning(
    cache: SemanticJudgeCache, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    counted = Counted({"x": object()})
    chain = cache.wrap(counted.chain)
    with caplog.at_level(logging.WARNING):
        run(chain, "Why?")
        run(chain, "Why?")

    assert counted.calls == 2
    assert cache.stats().unserializable == 2
    assert len(caplog.records) == 1


def test_an_input_that_cannot_be_told_apart_is_passed_through(
    cache: SemanticJudgeCache, run: Run
) -> None:
    counted = Counted("x")
    chain = cache.wrap(counted.chain)
    with track() as ledger:
        for _ in range(2):
            assert run(chain, object()) == "x"

    assert counted.calls == 2
    assert [r.decision for r in ledger.to_records()] == ["miss", "miss"]


def test_a_broken_store_does_not_fail_the_call(
    cache: SemanticJudgeCache, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise OSError

    monkeypatch.setattr(cache._store, "find", broken)
    monkeypatch.setattr(cache._store, "add", broken)

    assert run(cache.wrap(Counted().chain), "Why?") == "answer to Why?"
    assert cache.stats().errors == 2


def test_the_ledger_knows_what_a_chain_of_calls_saved(
    cache: SemanticJudgeCache, run: Run
) -> None:
    model = ScriptedChatModel(cycle=True, replies=["one two"])
    chain = cache.wrap(model | StrOutputParser() | model)
    with track() as ledger:
        for _ in range(2):
            run(chain, "Why?")

    miss, hit = (r for r in ledger.to_records() if r.pattern == "cache")
    assert (miss.decision, miss.calls, miss.saved_calls) == ("miss", 0, 0)
    assert (hit.decision, hit.saved_calls) == ("exact", 2)
    assert hit.saved_tokens == model.input_tokens + model.output_tokens
    assert hit.saved_seconds > 0
    assert ledger.summary().calls == model.calls == 2


def test_a_judge_in_a_wrapped_chain_is_booked_to_the_cache(
    open_cache: Open, run: Run
) -> None:
    cache = open_cache(judge=ScriptedChatModel(respond=lambda _: "no json"))
    chain = cache.wrap(Counted().chain)
    run(chain, "How do I reset my password?")
    with track() as ledger:
        run(chain, "How do I reset my pasword?")

    (record,) = ledger.to_records()
    assert (record.pattern, record.decision, record.calls) == (
        "cache",
        "judged miss",
        2,
    )


def test_a_stream_is_live_and_replayed(cache: SemanticJudgeCache) -> None:
    sent: list[str] = []

    def talk(_: Iterator[Any]) -> Iterator[str]:
        for word in ("a ", "b ", "c"):
            sent.append(word)
            yield word

    chain = cache.wrap(RunnableGenerator(talk))
    live = chain.stream("Why?")
    assert next(live) == "a "
    assert sent == ["a "]
    assert list(live) == ["b ", "c"]

    assert list(chain.stream("Why?")) == ["a ", "b ", "c"]
    assert chain.invoke("Why?") == "a b c"
    assert len(sent) == 3


async def test_an_async_stream_is_live_and_replayed(cache: SemanticJudgeCache) -> None:
    sent: list[str] = []

    async def talk(_: AsyncIterator[Any]) -> AsyncIterator[str]:
        for word in ("a ", "b ", "c"):
            sent.append(word)
            yield word

    chain = cache.wrap(RunnableGenerator(talk))
    live = chain.astream("Why?")
    assert await anext(live) == "a "
    assert sent == ["a "]
    assert [c async for c in live] == ["b ", "c"]

    assert [c async for c in chain.astream("Why?")] == ["a ", "b ", "c"]
    assert await chain.ainvoke("Why?") == "a b c"
    assert len(sent) == 3


def test_a_stream_that_is_left_or_breaks_is_not_stored(
    cache: SemanticJudgeCache,
) -> None:
    calls = []

    def talk(_: Iterator[Any]) -> Iterator[str]:
        calls.append(1)
        yield "a"
        if len(calls) == 2:
            raise LookupError
        yield "b"

    chain = cache.wrap(RunnableGenerator(talk))
    left = chain.stream("Why?")
    next(left)
    left.close()  # type: ignore[attr-defined]  # a generator
    with pytest.raises(LookupError):
        list(chain.stream("Why?"))

    assert list(chain.stream("Why?")) == ["a", "b"]
    assert list(chain.stream("Why?")) == ["a", "b"]
    assert len(calls) == 3


def test_chunks_that_a_caller_edits_are_stored_unedited(
    cache: SemanticJudgeCache,
) -> None:
    chain = cache.wrap(ScriptedChatModel(replies=["one two"]))
    for chunk in chain.stream("Why?"):
        chunk.content = "poison"

    assert [c.content for c in chain.stream("Why?")][:2] == ["one", " two"]


def test_a_streamed_message_comes_back_whole_from_invoke(
    cache: SemanticJudgeCache,
) -> None:
    chain = cache.wrap(ScriptedChatModel(replies=["one two"]))
    list(chain.stream("Why?"))

    message = chain.invoke("Why?")
    assert (type(message), message.content) == (AIMessage, "one two")
    assert message.response_metadata["finish_reason"] == "stop"


@pytest.mark.parametrize("answer", [{"a": "xyz", "b": [1, 2]}, ["x", {"y": [1]}]])
def test_an_object_that_grew_is_served_whole(
    cache: SemanticJudgeCache, answer: Any
) -> None:
    chain = cache.wrap(
        ScriptedChatModel(replies=[json.dumps(answer)]) | JsonOutputParser()
    )
    live = list(chain.stream("Why?"))

    assert len(live) > 1
    assert list(chain.stream("Why?")) == [answer]
    assert chain.invoke("Why?") == live[-1] == answer


def test_a_long_object_takes_no_more_room_than_its_text(
    cache: SemanticJudgeCache,
) -> None:
    text = json.dumps({f"key {n}": f"some text {n}" for n in range(100)})
    chain = cache.wrap(ScriptedChatModel(replies=[text]) | JsonOutputParser())
    list(chain.stream("Why?"))

    assert cache.stats().bytes < 2 * len(text) + 4_000


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


def _call(chain: Any, way: str, value: Any) -> list[Any]:
    async def chunks() -> list[Any]:
        return [chunk async for chunk in chain.astream(value)]

    ways: dict[str, Callable[[], Any]] = {
        "invoke": lambda: [chain.invoke(value)],
        "ainvoke": lambda: [asyncio.run(chain.ainvoke(value))],
        "stream": lambda: list(chain.stream(value)),
        "astream": lambda: asyncio.run(chunks()),
    }
    return list(ways[way]())


@pytest.mark.parametrize(
    "ways",
    [
        ("stream", "invoke"),
        ("invoke", "stream"),
        ("astream", "ainvoke"),
        ("ainvoke", "astream"),
    ],
)
def test_an_agent_s_steps_are_not_its_state(
    cache: SemanticJudgeCache, ways: tuple[str, str]
) -> None:
    calls = [Reply(tool_calls=[ToolCall("add", {"a": 1, "b": 2})]), Reply("It is 3.")]
    model = ScriptedChatModel(replies=calls, cycle=True)
    chain = cache.wrap(create_agent(model, tools=[add]))
    question = {"messages": [HumanMessage("Sum 1 and 2.")]}

    for _ in range(2):
        for way in ways:
            keys = [list(chunk) for chunk in _call(chain, way, question)]
            streamed = way.endswith("stream")
            assert keys == (
                [["model"], ["tools"], ["model"]] if streamed else [["messages"]]
            )
    assert (model.calls, cache.stats().exact) == (4, 2)


def test_an_agent_s_steps_are_judged_by_what_they_say(
    cache: SemanticJudgeCache, judge: ScriptedJudge
) -> None:
    model = ScriptedChatModel(replies=["Like this."], cycle=True)
    ask: Runnable[str, Any] = RunnableLambda(
        lambda question: {"messages": [HumanMessage(question)]}
    )
    chain = cache.wrap(ask | create_agent(model, tools=[]))
    list(chain.stream("How do I reset my password?"))
    list(chain.stream("How do I reset my password now?"))

    assert model.calls == 1
    assert "Like this." in judge.requests[0].stored_answer


def test_an_answer_that_is_not_kept_is_told_once(
    cache: SemanticJudgeCache, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    cut = Reply.truncated("private")
    chain = cache.wrap(ScriptedChatModel(replies=[cut] * 2) | StrOutputParser())
    with caplog.at_level(logging.WARNING):
        run(chain, "Why?")
        run(chain, "Why?")

    (record,) = caplog.records
    assert "ended with length" in record.getMessage()
    assert "private" not in record.getMessage()


def test_a_step_that_ends_at_its_limit_does_not_forbid_to_cache(
    cache: SemanticJudgeCache, run: Run
) -> None:
    label = ScriptedChatModel(replies=[Reply.truncated("yes")], cycle=True)
    model = ScriptedChatModel(replies=["Fine."], cycle=True)
    chain = cache.wrap(
        RunnablePassthrough.assign(kind=_asked(label.bind(max_tokens=1)))
        | RunnablePassthrough.assign(answer=_asked(model))
    )

    first, second = (run(chain, {"question": "Why?"}) for _ in range(2))

    assert first == second == {"question": "Why?", "kind": "yes", "answer": "Fine."}
    assert (label.calls, model.calls) == (1, 1)


def _asked(model: Runnable[Any, Any]) -> Runnable[Any, str]:
    return ChatPromptTemplate.from_template("{question}") | model | StrOutputParser()


def test_two_streams_of_one_question_in_one_thread_do_not_wait_for_each_other(
    cache: SemanticJudgeCache,
) -> None:
    model = ScriptedChatModel(cycle=True, replies=["one two"])
    chain = cache.wrap(model)

    pairs = list(zip(chain.stream("Why?"), chain.stream("Why?"), strict=True))

    assert [a.content for a, _ in pairs] == [b.content for _, b in pairs]


def test_16_threads_make_one_call(cache: SemanticJudgeCache) -> None:
    counted = Counted()
    chain = cache.wrap(counted.chain)
    together = threading.Barrier(16)

    def call(number: int) -> Any:
        together.wait(30)
        return "".join(chain.stream("Why?")) if number % 2 else chain.invoke("Why?")

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(call, range(16))) == {"answer to Why?"}
    assert counted.calls == 1
    assert cache.stats().exact == 15


async def test_16_tasks_make_one_call_and_do_not_block_the_loop(
    cache: SemanticJudgeCache,
) -> None:
    counted = Counted()
    counted.ago = asyncio.Event()
    chain = cache.wrap(counted.chain)
    tasks = [asyncio.create_task(chain.ainvoke("Why?")) for _ in range(16)]
    assert await asyncio.to_thread(counted.begun.wait, 30)
    counted.ago.set()

    assert set(await asyncio.gather(*tasks)) == {"answer to Why?"}
    assert counted.calls == 1


async def test_a_cancelled_leader_is_followed_by_another(
    cache: SemanticJudgeCache,
) -> None:
    counted = Counted()
    counted.ago = asyncio.Event()
    chain = cache.wrap(counted.chain)
    leader = asyncio.create_task(chain.ainvoke("Why?"))
    assert await asyncio.to_thread(counted.begun.wait, 30)
    followers = [asyncio.create_task(chain.ainvoke("Why?")) for _ in range(4)]
    await asyncio.sleep(0)
    leader.cancel()
    counted.ago.set()

    assert set(await asyncio.gather(*followers)) == {"answer to Why?"}
    assert counted.calls == 1
    with pytest.raises(asyncio.CancelledError):
        await leader


def test_a_failing_leader_does_not_poison_the_followers(
    cache: SemanticJudgeCache,
) -> None:
    counted = Counted()
    counted.errors = [LookupError("gone")]
    counted.go = threading.Event()
    chain = cache.wrap(counted.chain)

    with ThreadPoolExecutor(4) as pool:
        leader = pool.submit(chain.invoke, "Why?")
        assert counted.begun.wait(30)
        followers = [pool.submit(chain.invoke, "Why?") for _ in range(3)]
        counted.go.set()
        assert {f.result(30) for f in followers} == {"answer to Why?"}
        assert isinstance(leader.exception(30), LookupError)
    assert counted.calls == 2


def test_followers_of_what_is_not_stored_run_side_by_side(
    cache: SemanticJudgeCache,
) -> None:
    meeting = threading.Barrier(3)
    leading = threading.Event()
    go = threading.Event()

    def work(_: Any) -> Any:
        if not leading.is_set():
            leading.set()
            assert go.wait(30)
        else:
            meeting.wait(30)  # breaks unless all three are here at once
        return {"x": object()}

    boarded = Boarding(cache.core.flights)
    chain = cache.wrap(RunnableLambda(work))
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(chain.invoke, "Why?")
        assert leading.wait(30)
        others = [pool.submit(chain.invoke, "Why?") for _ in range(3)]
        boarded.wait_for(4)
        go.set()
        assert all(f.result(30) for f in [first, *others])


async def test_batches_make_one_call_for_duplicates(cache: SemanticJudgeCache) -> None:
    counted = Counted()
    chain = cache.wrap(counted.chain)

    sync = chain.batch(["a", "b", "a", "b", "a"], {"max_concurrency": 2})
    in_loop = await chain.abatch(["c", "c", "a"])

    assert sync == [f"answer to {x}" for x in "ababa"]
    assert in_loop == ["answer to c", "answer to c", "answer to a"]
    assert counted.calls == 3


def test_a_served_message_in_a_state_has_a_new_id(
    cache: SemanticJudgeCache, run: Run
) -> None:
    state = {"messages": [HumanMessage("q", id="1"), AIMessage("a", id="2")]}
    chain = cache.wrap(Counted(state).chain)
    run(chain, "Why?")
    hit = run(chain, "Why?")

    assert {m.id for m in hit["messages"]}.isdisjoint({"1", "2"})
    assert (
        hit["messages"][1].response_metadata["prodpatterns.cache"]["decision"]
        == "exact"
    )


def test_what_it_takes_and_gives_is_the_chain_s(cache: SemanticJudgeCache) -> None:
    prompt = ChatPromptTemplate.from_template("{question}")
    chain = cache.wrap(prompt | ScriptedChatModel(replies=["a"]) | StrOutputParser())

    assert "question" in chain.get_input_schema().model_json_schema()["properties"]
    assert chain.get_output_schema().model_json_schema()["type"] == "string"
    assert chain.OutputType is str


@pytest.mark.parametrize("clone", CLONES)
def test_a_copy_works(embeddings: CountingEmbeddings, clone: Any) -> None:
    with SemanticJudgeCache(embeddings, band=(0.8, 0.99)) as cache:
        model = ScriptedChatModel(replies=["a"])
        chain = cache.wrap(model)
        chain.invoke("Why?")
        other = clone(chain)
        assert other.invoke("Why?").content == "a"
        other.cache.close()


@pytest.mark.parametrize(
    ("given", "key", "error", "reason"),
    [
        ({"topic": "loans"}, None, False, "unless `key` names one"),
        ({"topic": "loans"}, itemgetter("topic"), False, "nothing similar is stored"),
        ({"question": "loans?"}, None, True, "the embeddings gave no vector"),
    ],
)
def test_a_miss_says_what_was_not_compared(
    cache: SemanticJudgeCache,
    embeddings: CountingEmbeddings,
    given: dict[str, str],
    key: Any,
    error: bool,
    reason: str,
) -> None:
    embeddings.error = ValueError("down") if error else None
    chain = cache.wrap(RunnableLambda(str), key=key)
    assert reason in chain.explain(given).reason


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (lambda given: given["question"].lower(), 1),
        (lambda given: given["question"].strip(), 0),
        # Which of the two is asked about is not known: no mistake of the key's.
        (lambda given: given["topic"], 0),
        (lambda _: None, 0),
    ],
)
def test_a_key_that_changes_the_text_is_told_of_once(
    cache: SemanticJudgeCache,
    caplog: pytest.LogCaptureFixture,
    key: Any,
    told: int,
) -> None:
    chain = cache.wrap(RunnableLambda(str), key=key)
    for question in ("Which Loans? ", "Which Card? "):
        chain.invoke({"question": question, "topic": question.split()[1]})
    assert caplog.text.count("does not stand in the request") == told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"bound": "chain"}, "only a Runnable can be wrapped, got str$"),
        ({"bound": len}, "got builtin.*: make it one with RunnableLambda"),
        ({"cache": None}, "cache must be"),
        ({"key": "question"}, "key must be"),
    ],
)
def test_arguments_that_cannot_work(
    cache: SemanticJudgeCache, arguments: dict[str, Any], message: str
) -> None:
    given = {"bound": RunnablePassthrough(), "cache": cache, **arguments}
    with pytest.raises(ConfigurationError, match=message):
        CachedRunnable(given.pop("bound"), given.pop("cache"), **given)


def test_a_nested_chunk_type_is_what_was_streamed(cache: SemanticJudgeCache) -> None:
    chain = cache.wrap(ScriptedChatModel(replies=["one two"]))
    for _ in range(2):
        assert all(isinstance(c, AIMessageChunk) for c in chain.stream("Why?"))


def test_what_else_is_configured_partitions(
    cache: SemanticJudgeCache, run: Run
) -> None:
    def greet(value: str, config: RunnableConfig) -> str:
        return f"{value} {config['configurable']['user_id']}"

    chain = cache.wrap(RunnableLambda(greet))
    outputs = [
        run(chain, "Hello", {"configurable": {"user_id": user, **langgraph}})
        for user, langgraph in (
            ("ada", {}),
            ("bob", {}),
            ("ada", {"thread_id": "1", "__pregel_send": print}),
        )
    ]

    assert outputs == ["Hello ada", "Hello bob", "Hello ada"]
    assert cache.stats().exact == 1


def test_what_is_configured_and_cannot_be_told_apart_is_not_cached(
    cache: SemanticJudgeCache, run: Run
) -> None:
    counted = Counted()
    chain = cache.wrap(counted.chain)
    for _ in range(2):
        run(chain, "Why?", {"configurable": {"session": object()}})

    assert counted.calls == 2
    assert cache.stats().entries == 0


def test_an_empty_namespace_is_not_the_default_one(
    cache: SemanticJudgeCache, run: Run
) -> None:
    counted = Counted()
    chain = cache.wrap(counted.chain)
    run(chain, "Why?")
    run(chain, "Why?", {"configurable": {"namespace": ""}})

    assert counted.calls == 2


def test_a_scope_is_a_text(cache: SemanticJudgeCache) -> None:
    with pytest.raises(ConfigurationError, match="scope must be a text or None"):
        cache.wrap(Counted().chain, scope=3)  # type: ignore[arg-type]  # what is refused


@pytest.mark.parametrize("streamed", [False, True])
async def test_where_all_calls_fail_nobody_waits_for_all_of_them(
    cache: SemanticJudgeCache, *, streamed: bool
) -> None:
    calls = 0
    together = asyncio.Barrier(4)
    boarded = Boarding(cache.core.flights)

    async def fail(_: str) -> str:
        nonlocal calls
        calls += 1
        if calls == 1:
            await boarded.await_for(6)
        elif calls == 2:
            await boarded.await_for(6 + 5)
        else:
            # All who are left fail at the same time, not one behind the other.
            await asyncio.wait_for(together.wait(), 60)
        raise ConnectionError

    chain = cache.wrap(RunnableLambda(lambda _: "", fail))

    async def ask() -> list[str]:
        if not streamed:
            return [await chain.ainvoke("Why?")]
        return [chunk async for chunk in chain.astream("Why?")]

    failures = await asyncio.gather(*(ask() for _ in range(6)), return_exceptions=True)
    assert [type(failure) for failure in failures] == [ConnectionError] * 6


@pytest.mark.parametrize("checkpointer", [True, False])
async def test_no_conversation_is_served_to_another(
    cache: SemanticJudgeCache, *, checkpointer: bool
) -> None:
    def recall(request: Any) -> Reply:
        return Reply(f"I read: {request.prompt_text}")

    saver = InMemorySaver() if checkpointer else None
    agent = create_agent(ScriptedChatModel(respond=recall), checkpointer=saver)
    chain = cache.wrap(agent)

    async def ask(thread: str, text: str) -> str:
        value: Any = {"messages": [("user", text)]}
        config: RunnableConfig = {"configurable": {"thread_id": thread}}
        heard = [chain.invoke(value, config), await chain.ainvoke(value, config)]
        return str([state["messages"][-1].content for state in heard])

    await ask("alice", "my PIN is 4711")

    assert ("4711" in await ask("alice", "what did I say?")) == checkpointer
    assert "4711" not in await ask("bob", "what did I say?")


def test_a_thread_counts_unless_a_graph_around_has_set_it(
    cache: SemanticJudgeCache, run: Run
) -> None:
    counted = Counted()
    chain = cache.wrap(counted.chain)
    for configurable in ({"thread_id": "1"}, {"thread_id": "2"}, {"thread_id": "1"}):
        run(chain, "Why?", {"configurable": configurable})
    assert counted.calls == 2

    for thread in ("1", "2"):
        inside = {"thread_id": thread, "checkpoint_ns": thread, "__pregel_read": print}
        run(chain, "Why?", {"configurable": inside})
    assert counted.calls == 3


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_chain_that_remembers_is_not_cached(
    cache: SemanticJudgeCache, run: Run
) -> None:
    counted = Counted("x")
    history = InMemoryChatMessageHistory()
    chain = cache.wrap(RunnableWithMessageHistory(counted.chain, lambda: history))
    with track() as ledger:
        for _ in range(2):
            run(chain, "Why?")

    assert counted.calls == 2
    assert {r.reason for r in ledger.to_records() if r.pattern == "cache"} == {
        "the chain remembers what was said: its answer is not of its input alone"
    }


def test_a_stream_of_mappings_adds_up_on_a_hit_too(cache: SemanticJudgeCache) -> None:
    answered = RunnableParallel(
        answer=ScriptedChatModel(replies=["one two three"]) | StrOutputParser()
    )
    chain = cache.wrap(answered) | RunnableLambda(lambda value: value["answer"])

    assert list(chain.stream("Why?")) == ["one two three"]
    assert list(chain.stream("Why?")) == ["one two three"]
    assert cache.stats().exact == 1


class Connection:
    """What cannot be copied, as long as it is open."""

    def __deepcopy__(self, _: Any) -> Any:
        raise TypeError


def test_a_stream_that_cannot_be_recorded_goes_on(cache: SemanticJudgeCache) -> None:
    def talk(_: Iterator[Any]) -> Iterator[Any]:
        yield from (Connection(), "b", "c")

    chain = cache.wrap(RunnableGenerator(talk))

    assert [type(c) for c in chain.stream("Why?")] == [Connection, str, str]
    assert (cache.stats().unserializable, cache.stats().errors) == (1, 0)


async def test_an_async_stream_that_cannot_be_recorded_goes_on(
    cache: SemanticJudgeCache,
) -> None:
    async def talk(_: AsyncIterator[Any]) -> AsyncIterator[Any]:
        yield Connection()
        yield "b"

    chain = cache.wrap(RunnableGenerator(talk))

    assert len([c async for c in chain.astream("Why?")]) == 2
    assert (cache.stats().unserializable, cache.stats().errors) == (1, 0)


def test_a_reader_who_never_returns_holds_nobody(
    cache: SemanticJudgeCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flights, "_PAUSE", 0.01)
    model = ScriptedChatModel(cycle=True, replies=["one two"])
    chain = cache.wrap(model)
    left = chain.stream("Why?")
    next(left)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(chain.invoke, ["Why?"] * 4))

    assert {answer.content for answer in answers} == {"one two"}
    assert "".join(str(chunk.content) for chunk in left) == " two"
    assert model.calls == 2


async def test_threads_that_wait_do_not_starve_who_they_wait_for(
    cache: SemanticJudgeCache,
) -> None:
    counted = Counted()
    counted.ago = asyncio.Event()
    chain = cache.wrap(counted.chain)
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as only:
        loop.set_default_executor(only)
        leader = asyncio.create_task(chain.ainvoke("Why?"))
        assert await asyncio.to_thread(counted.begun.wait, 30)
        follower = loop.run_in_executor(None, chain.invoke, "Why?")
        counted.ago.set()

        assert await asyncio.wait_for(leader, 20) == "answer to Why?"
        assert await asyncio.wait_for(follower, 20) == "answer to Why?"
    assert counted.calls == 1


async def test_what_a_call_would_find_is_told(
    cache: SemanticJudgeCache, judge: ScriptedJudge
) -> None:
    chain = cache.wrap(Counted().chain)
    chain.invoke("How do I reset my password?")

    equal = chain.explain("How do I reset my password?")
    near = chain.explain("How do I reset my pasword?")
    elsewhere = await chain.aexplain(
        "How do I reset my password?", {"configurable": {"tenant": "another"}}
    )

    assert (equal.decision, near.decision, elsewhere.decision) == (
        "exact",
        "judged hit",
        "miss",
    )
    assert await chain.aexplain("How do I reset my pasword?") == near
    assert near.hit_id is not None
    assert near.promise is not None
    # Nothing was written: the judge is asked again.
    assert len(judge.requests) == 2
    assert cache.stats().evidence == 0
    cache.feedback(near.hit_id, correct=False)
    assert chain.explain("How do I reset my pasword?").decision == "miss"


def test_a_chain_that_is_not_cached_explains_why(cache: SemanticJudgeCache) -> None:
    told = cache.wrap(RunnableLambda(str)).explain(object())

    assert (told.decision, told.partition) == ("miss", "")
    assert "cannot be told from others" in told.reason
