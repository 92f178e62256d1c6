"""Turns of an agent: served from the cache where the conversation allows it."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, NotRequired

import pytest
from langchain.agents import AgentState, create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    ModelCallLimitMiddleware,
    ModelRetryMiddleware,
)
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt
from pydantic import BaseModel

from langchain_prodpatterns import SemanticJudgeCache, track
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.middleware import RefineMiddleware, SemanticCacheMiddleware
from langchain_prodpatterns.middleware.cached_turns import OpenTurns, Turn
from langchain_prodpatterns.testing import (
    Fault,
    LexicalEmbeddings,
    Reply,
    ScriptedChatModel,
    ScriptedRequest,
    ToolCall,
)
from tests.unit_tests.middleware.agents import (
    Turn as Run,
)
from tests.unit_tests.middleware.agents import (
    async_run,
    kinds,
    last,
    streamed,
    sync_run,
)

ASKED = "what is the opening hour of the library in Bath"
AGAIN = "what is the opening hour of the Bath library"

both = pytest.mark.parametrize("run", [sync_run, async_run])


@tool
def search(words: str) -> str:
    """Search the pages."""
    return f"found {words}"


@tool
def book(place: str) -> str:
    """Book a place."""
    return f"booked {place}"


@tool
def break_down(place: str) -> str:
    """Look a place up, and fail."""
    interrupt("may I?")
    return place


class Hours(BaseModel):
    """Hours."""

    text: str


class Model:
    """A model that may call a tool first, and counts its answers."""

    def __init__(self, call: ToolCall | None = None) -> None:
        self.call = call
        self.answers = 0
        self.llm = ScriptedChatModel(respond=self.respond)

    def respond(self, request: ScriptedRequest) -> Any:
        if self.call and request.messages[-1]["role"] == "user":
            return Reply(tool_calls=[self.call])
        self.answers += 1
        return f"answer {self.answers}"


@pytest.fixture
def cache() -> Iterator[SemanticJudgeCache]:
    with SemanticJudgeCache(LexicalEmbeddings(), judge=lambda _: True) as opened:
        yield opened


def agent_of(
    model: Model, cache: SemanticJudgeCache, *others: Any, **kwargs: Any
) -> Any:
    options = {
        name: kwargs.pop(name)
        for name in ("side_effect_free", "scope", "ignored_state", "name")
        if name in kwargs
    }
    cached = SemanticCacheMiddleware(cache, **options)
    tools = [search, book, break_down] if model.call else []
    return create_agent(model.llm, tools, middleware=[cached, *others], **kwargs)


def thread(number: str = "1", **configurable: Any) -> Any:
    return {"configurable": {"thread_id": number, **configurable}}


def is_served(state: dict[str, Any]) -> bool:
    return "prodpatterns.cache" in last(state).response_metadata


@both
def test_a_similar_question_is_served_without_a_model_call(
    run: Run, cache: SemanticJudgeCache
) -> None:
    model = Model()
    agent = agent_of(model, cache)
    first = run(agent, ASKED)
    with track() as ledger:
        second = run(agent, AGAIN)
    assert not is_served(first)
    assert kinds(second) == ["human", "ai"]
    answer = last(second)
    assert isinstance(answer, AIMessage)
    assert answer.text == "answer 1"
    assert answer.response_metadata["prodpatterns.cache"]["decision"] == "judged hit"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["total_tokens"] == 0
    assert answer.id != last(first).id
    assert model.answers == 1
    (row,) = ledger.to_records()
    assert (row.pattern, row.decision, row.saved_calls) == ("cache", "judged hit", 1)


def test_the_judge_has_the_last_word(cache: SemanticJudgeCache) -> None:
    model = Model()
    with SemanticJudgeCache(LexicalEmbeddings(), judge=lambda _: False) as strict:
        agent = agent_of(model, strict)
        sync_run(agent, ASKED)
        assert not is_served(sync_run(agent, AGAIN))
        assert is_served(sync_run(agent, ASKED))


@both
def test_a_turn_with_harmless_tools_is_served_whole(
    run: Run, cache: SemanticJudgeCache
) -> None:
    model = Model(ToolCall("search", {"words": "hours"}))
    agent = agent_of(model, cache, side_effect_free=["search"])
    assert kinds(run(agent, ASKED)) == ["human", "ai", "tool", "ai"]
    with track() as ledger:
        state = run(agent, AGAIN)
    assert kinds(state) == ["human", "ai"]
    assert last(state).text == "answer 1"
    (row,) = ledger.to_records()
    assert row.saved_calls == 2
    assert row.saved_tokens == model.llm.input_tokens + model.llm.output_tokens


@both
@pytest.mark.parametrize("declared", [(), ("search",)])
def test_a_turn_in_which_another_tool_ran_is_never_stored(
    run: Run, declared: tuple[str, ...], cache: SemanticJudgeCache
) -> None:
    model = Model(ToolCall("book", {"place": "Bath"}))
    agent = agent_of(model, cache, side_effect_free=declared)
    run(agent, ASKED)
    assert not is_served(run(agent, ASKED))
    assert model.answers == 2


def test_a_turn_with_a_tool_that_failed_is_not_stored(
    cache: SemanticJudgeCache,
) -> None:
    model = Model(ToolCall("search", {"wrong": 1}))
    agent = agent_of(model, cache, side_effect_free=["search"])
    sync_run(agent, ASKED)
    assert not is_served(sync_run(agent, ASKED))


def test_a_turn_that_failed_is_not_stored(cache: SemanticJudgeCache) -> None:
    model = Model()
    replies = [Fault.server_error(), Reply.truncated("ans"), Reply.refused(), "fine"]
    model.llm = ScriptedChatModel(replies=replies)
    agent = agent_of(model, cache)
    with pytest.raises(Exception, match="server error"):
        sync_run(agent, ASKED)
    assert [is_served(sync_run(agent, ASKED)) for _ in range(4)] == [
        False,
        False,
        False,
        True,
    ]


@both
def test_a_turn_that_was_interrupted_is_not_stored(
    run: Run, cache: SemanticJudgeCache
) -> None:
    model = Model(ToolCall("break_down", {"place": "Bath"}))
    saver = InMemorySaver()
    agent = agent_of(model, cache, side_effect_free=["break_down"], checkpointer=saver)
    assert "__interrupt__" in run(agent, ASKED, thread())
    resumed = agent.invoke(Command(resume="yes"), thread())
    assert last(resumed).text == "answer 1"
    assert "__interrupt__" in run(agent, ASKED, thread("2"))


class Asks(AgentMiddleware):
    """Asks a person for the tone, before the model is called or as it is called."""

    def __init__(self, *, before: bool) -> None:
        super().__init__()
        self.before = before

    def before_model(self, *_: Any) -> None:
        if self.before:
            interrupt("in which tone?")

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        tone = "" if self.before else interrupt("in which tone?")
        (answer,) = handler(request).result
        return AIMessage(f"{tone} {answer.text}", id=answer.id)


@pytest.mark.parametrize("before", [True, False])
def test_a_turn_that_was_interrupted_at_its_first_call_is_not_stored(
    before: bool, cache: SemanticJudgeCache
) -> None:
    asks = Asks(before=before)
    agent = agent_of(Model(), cache, asks, checkpointer=InMemorySaver())
    assert "__interrupt__" in sync_run(agent, ASKED, thread())
    agent.invoke(Command(resume="rude"), thread())
    assert "__interrupt__" in sync_run(agent, ASKED, thread("2"))
    assert cache.stats().stored == 0


@both
def test_threads_share_answers_and_go_on(run: Run, cache: SemanticJudgeCache) -> None:
    model = Model()
    agent = agent_of(model, cache, checkpointer=InMemorySaver())
    for number in ("1", "2"):
        run(agent, ASKED, thread(number))
        state = run(agent, "and on Sunday?", thread(number))
        assert kinds(state) == ["human", "ai", "human", "ai"]
        assert [message.text for message in state["messages"]][1::2] == [
            "answer 1",
            "answer 2",
        ]
    assert is_served(state)
    assert model.answers == 2
    assert not is_served(run(agent, "and on Sunday?", thread("3")))


def test_the_note_of_a_turn_is_in_no_checkpoint(cache: SemanticJudgeCache) -> None:
    saver = InMemorySaver()
    agent = agent_of(Model(), cache, checkpointer=saver)
    sync_run(agent, ASKED, thread())
    kept = [saved.checkpoint["channel_values"] for saved in saver.list(thread())]
    assert kept
    assert not [name for values in kept for name in values if "cached_turn" in name]
    assert "cached_turn" not in repr(agent.get_state(thread()).values)


@both
@pytest.mark.parametrize(
    "other",
    [
        {"tenant": "other"},
        {"namespace": "other"},
        {"user_id": "other"},
        {"unlike": object()},
    ],
)
def test_who_asks_counts(
    run: Run, other: dict[str, Any], cache: SemanticJudgeCache
) -> None:
    agent = agent_of(Model(), cache)
    run(agent, ASKED, thread())
    assert not is_served(run(agent, ASKED, thread(**other)))
    assert is_served(run(agent, ASKED, thread("2")))


@both
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"tenant": "a/b", "namespace": "c"}, {"tenant": "a", "namespace": "b/c"}),
        ({"tenant": "a", "namespace": "b"}, {"tenant": "a/b"}),
        ({"tenant": "default"}, {}),
    ],
)
def test_tenants_whose_names_add_up_to_one_are_two(
    run: Run, one: dict[str, str], other: dict[str, str], cache: SemanticJudgeCache
) -> None:
    agent = agent_of(Model(), cache)
    run(agent, ASKED, thread(**one))
    assert not is_served(run(agent, ASKED, thread("2", **other)))
    assert is_served(run(agent, ASKED, thread("3", **one)))


@both
def test_an_empty_tenant_is_one_too(run: Run, cache: SemanticJudgeCache) -> None:
    agent = agent_of(Model(), cache)
    run(agent, ASKED, thread(tenant=""))
    assert is_served(run(agent, ASKED, thread("2", tenant="")))
    assert not is_served(run(agent, ASKED, thread("3")))


def test_what_the_agent_is_counts(cache: SemanticJudgeCache) -> None:
    model = Model()
    agents = [
        agent_of(model, cache),
        agent_of(model, cache, system_prompt="Be short."),
        agent_of(model, cache, scope="v2"),
        create_agent(model.llm, [search], middleware=[SemanticCacheMiddleware(cache)]),
        agent_of(model, cache, _Warm()),
        agent_of(model, cache, _Warm()),
    ]
    # The last one changes nothing that this middleware sees: it stands behind it.
    assert [is_served(sync_run(agent, ASKED)) for agent in agents] == [
        False,
        False,
        False,
        False,
        True,
        True,
    ]
    warm_first = create_agent(
        model.llm, middleware=[_Warm(), SemanticCacheMiddleware(cache)]
    )
    assert not is_served(sync_run(warm_first, ASKED))


def test_the_runtime_context_counts(cache: SemanticJudgeCache) -> None:
    agent = agent_of(Model(), cache, context_schema=_Context)
    asked = {"messages": ASKED}
    agent.invoke(asked, context=_Context("one"))
    assert not is_served(agent.invoke(asked, context=_Context("other")))
    assert is_served(agent.invoke(asked, context=_Context("one")))


@pytest.mark.parametrize(("ignored", "served"), [((), False), (("mood",), True)])
def test_the_state_counts_unless_it_is_ignored(
    ignored: tuple[str, ...], *, served: bool, cache: SemanticJudgeCache
) -> None:
    agent = agent_of(Model(), cache, ignored_state=ignored, state_schema=_Mood)
    agent.invoke({"messages": ASKED, "mood": "good"})
    assert is_served(agent.invoke({"messages": ASKED, "mood": "bad"})) is served


def test_an_image_is_served_to_an_equal_question_only(
    cache: SemanticJudgeCache,
) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}

    def shown(text: str) -> Any:
        return [{"type": "text", "text": text}, image]

    agent = agent_of(Model(), cache)
    sync_run(agent, shown(ASKED))
    assert not is_served(sync_run(agent, shown(AGAIN)))
    assert is_served(sync_run(agent, shown(ASKED)))


def test_a_structured_answer_is_neither_stored_nor_served(
    cache: SemanticJudgeCache,
) -> None:
    model = Model()
    model.llm = ScriptedChatModel(replies=[{"text": "nine"}], cycle=True)
    agent = agent_of(model, cache, response_format=Hours)
    states = [sync_run(agent, ASKED) for _ in range(2)]
    assert [state["structured_response"] for state in states] == [
        Hours(text="nine")
    ] * 2
    assert model.llm.calls == 2


def test_a_tool_of_the_provider_has_to_be_declared(cache: SemanticJudgeCache) -> None:
    model = Model()
    hosted: list[Any] = [{"type": "web_search"}]
    for declared, served in [((), False), (("web_search",), True)]:
        cached = SemanticCacheMiddleware(cache, side_effect_free=declared)
        agent = create_agent(model.llm, hosted, middleware=[cached])
        sync_run(agent, ASKED)
        assert is_served(sync_run(agent, ASKED)) is served


def test_the_word_of_a_limit_is_no_answer(cache: SemanticJudgeCache) -> None:
    model = Model(ToolCall("search", {"words": "hours"}))
    limit = ModelCallLimitMiddleware(run_limit=1)
    agent = agent_of(model, cache, limit, side_effect_free=["search"])
    sync_run(agent, ASKED)
    assert not is_served(sync_run(agent, ASKED))


def test_the_word_of_a_retry_is_no_answer(cache: SemanticJudgeCache) -> None:
    model = Model()
    model.llm = ScriptedChatModel(replies=[Fault.server_error()], cycle=True)
    agent = agent_of(model, cache, ModelRetryMiddleware(max_retries=0))
    sync_run(agent, ASKED)
    assert not is_served(sync_run(agent, ASKED))


def test_what_others_made_of_the_answer_is_stored(cache: SemanticJudgeCache) -> None:
    model = Model()
    agent = agent_of(model, cache, _Signing())
    sync_run(agent, ASKED)
    assert last(sync_run(agent, AGAIN)).text == "answer 1, signed"


def test_where_somebody_else_spoke_nothing_is_stored(
    cache: SemanticJudgeCache,
) -> None:
    agent = agent_of(Model(), cache, _Interrupting())
    sync_run(agent, ASKED)
    state = sync_run(agent, ASKED)
    assert not is_served(state)


def test_the_refined_answer_is_stored(cache: SemanticJudgeCache) -> None:
    model = Model()
    refine = RefineMiddleware(
        critics=[lambda text: 1.0 if "kind" in text else 0.5],
        reviser=lambda request: f"{request.draft}, kindly: kind",
        max_rounds=1,
    )
    agent = agent_of(model, cache, refine)
    sync_run(agent, ASKED)
    state = sync_run(agent, AGAIN)
    assert is_served(state)
    assert last(state).text == "answer 1, kindly: kind"


def test_a_served_answer_streams_as_one_message(cache: SemanticJudgeCache) -> None:
    agent = agent_of(Model(), cache)
    assert streamed(agent, ASKED) == ["answer 1"]
    assert streamed(agent, AGAIN) == ["answer 1"]
    parts = agent.stream({"messages": AGAIN}, stream_mode="updates")
    (message,) = next(p["model"] for p in parts if "model" in p)["messages"]
    assert "prodpatterns.cache" in message.response_metadata


def test_a_cache_that_fails_is_a_miss(cache: SemanticJudgeCache) -> None:
    model = Model()
    agent = agent_of(model, cache)
    sync_run(agent, ASKED)
    cache.close()
    assert last(sync_run(agent, ASKED)).text == "answer 2"


async def test_callers_who_ask_the_same_at_once_wait_for_one() -> None:
    model = Model()
    with SemanticJudgeCache(
        LexicalEmbeddings(), judge=lambda _: True, single_flight=30
    ) as cache:
        agent = agent_of(model, cache)
        states = await asyncio.gather(
            *(agent.ainvoke({"messages": ASKED}) for _ in range(4))
        )
    assert [last(state).text for state in states] == ["answer 1"] * 4
    assert model.answers == 1


@pytest.mark.parametrize("ends_with", ["an error", "a harmful tool", "a failed tool"])
async def test_nobody_waits_for_a_turn_that_is_not_stored(ends_with: str) -> None:
    model = Model(None if ends_with == "an error" else ToolCall("search", {"wrong": 1}))
    if ends_with == "an error":
        model.llm = ScriptedChatModel(default=Fault.server_error())
    declared = ["search"] if ends_with == "a failed tool" else []
    with SemanticJudgeCache(
        LexicalEmbeddings(), judge=lambda _: True, single_flight=3_600
    ) as cache:
        agent = agent_of(model, cache, side_effect_free=declared)
        asked = (agent.ainvoke({"messages": ASKED}) for _ in range(3))
        ended = asyncio.gather(*asked, return_exceptions=True)
        assert len(await asyncio.wait_for(ended, 60)) == 3


def test_two_of_them_in_one_agent(cache: SemanticJudgeCache) -> None:
    with SemanticJudgeCache(LexicalEmbeddings(), judge=lambda _: True) as second:
        inner = SemanticCacheMiddleware(second, name="inner")
        agent = agent_of(Model(), cache, inner)
        sync_run(agent, ASKED)
        cache.clear()
        assert is_served(sync_run(agent, ASKED))
    assert inner.name == "inner"


def test_nothing_that_was_said_is_in_the_note(cache: SemanticJudgeCache) -> None:
    agent = agent_of(Model(), cache, system_prompt="a secret of the trade")
    assert set(sync_run(agent, ASKED)) == {"messages"}
    for mode in ("values", "updates"):
        steps = list(agent.stream({"messages": f"{mode}?"}, stream_mode=mode))
        assert "cached_turn" in repr(steps)
        assert "secret" not in repr(steps)


def test_turns_that_never_end_give_way_to_others() -> None:
    turn = Turn("1", "prompt", "model", None, exact=False)
    turns = OpenTurns(most=2)
    names = [turns.open(turn) for _ in range(3)]
    assert [turns.close(name) for name in names] == [None, turn, turn]
    assert turns.close(names[-1]) is None


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"cache": 3}, "cache must be a SemanticJudgeCache"),
        ({"side_effect_free": "search"}, "side_effect_free must be a list"),
        ({"side_effect_free": [search]}, "side_effect_free must be a list"),
        ({"ignored_state": "mood"}, "ignored_state must be a list"),
        ({"scope": 3}, "scope must be a text"),
        ({"name": ""}, "name must be a text"),
    ],
)
def test_what_cannot_work_is_refused(
    arguments: dict[str, Any], told: str, cache: SemanticJudgeCache
) -> None:
    with pytest.raises(ConfigurationError, match=told):
        SemanticCacheMiddleware(**{"cache": cache, **arguments})


@dataclass
class _Context:
    user: str


class _Mood(AgentState[Any]):
    mood: NotRequired[Annotated[str, "how"]]


class _Warm(AgentMiddleware[Any, Any, Any]):
    """Changes the settings of the model."""

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        return handler(request.override(model_settings={"temperature": 0.5}))


class _Signing(AgentMiddleware[Any, Any, Any]):
    """Changes the answer when it is in the state."""

    def after_model(self, state: Any, runtime: Any) -> dict[str, Any]:
        answer = state["messages"][-1]
        if "signed" in answer.text:
            return {}
        signed = answer.model_copy(update={"content": f"{answer.text}, signed"})
        return {"messages": [signed]}


class _Interrupting(AgentMiddleware[Any, Any, Any]):
    """Says something of its own before the end."""

    def after_model(self, state: Any, runtime: Any) -> dict[str, Any]:
        answer = state["messages"][-1]
        return {"messages": [HumanMessage("well"), answer.model_copy()]}
