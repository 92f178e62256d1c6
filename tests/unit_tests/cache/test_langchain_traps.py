"""The thirteen ways in which LangChain's cache interface trips a cache up."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.globals import set_llm_cache
from langchain_core.language_models import BaseLLM, FakeListLLM
from langchain_core.load import dumpd
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    messages_from_dict,
    messages_to_dict,
)
from langchain_core.outputs import Generation, LLMResult
from langchain_core.runnables import RunnableLambda
from langchain_openai import ChatOpenAI
from langgraph.graph.message import add_messages

from langchain_prodpatterns.cache import SemanticJudgeCache
from langchain_prodpatterns.testing import Reply, ScriptedChatModel, ToolCall
from tests.unit_tests.cache.conftest import LLM, answer_of, prompt_of

Open = Callable[..., SemanticJudgeCache]
Ask = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Call a model or chain, sync or in an event loop of its own."""

    def sync(model: Any, value: Any, **kwargs: Any) -> Any:
        return model.invoke(value, **kwargs)

    def in_loop(model: Any, value: Any, **kwargs: Any) -> Any:
        return asyncio.run(model.ainvoke(value, **kwargs))

    return sync if request.param == "sync" else in_loop


@pytest.fixture
def cache(open_cache: Open) -> SemanticJudgeCache:
    return open_cache(judge=lambda _: True)


def cached_model(
    cache: SemanticJudgeCache, *replies: Any, **kwargs: Any
) -> ScriptedChatModel:
    return ScriptedChatModel(replies=replies or ("answer",), cache=cache, **kwargs)


class PlainModel(BaseLLM):
    """A model without messages, that answers what it is told to."""

    replies: list[Any]
    calls: int = 0

    @property
    def _llm_type(self) -> str:
        return "plain"

    def _generate(self, prompts: list[str], *_: Any, **__: Any) -> LLMResult:
        generations = []
        for _prompt in prompts:
            reply = self.replies[self.calls]
            self.calls += 1
            made = Generation(text=reply) if isinstance(reply, str) else reply
            generations.append([made])
        return LLMResult(generations=generations)


def plain_model(cache: Any, *replies: Any) -> PlainModel:
    return PlainModel(replies=list(replies), cache=cache)


def test_1_a_stream_is_served_through_wrap(cache: SemanticJudgeCache) -> None:
    model = ScriptedChatModel(replies=["three short words"])
    chain = cache.wrap(model)

    async def streamed() -> list[AIMessageChunk]:
        return [chunk async for chunk in chain.astream("hi")]  # type: ignore[misc]  # they are chunks

    live = list(chain.stream("hi"))
    for chunks in (list(chain.stream("hi")), asyncio.run(streamed())):
        assert [c.content for c in chunks] == [c.content for c in live]
        assert isinstance(chunks[0], AIMessageChunk)
    assert len(live) > 2
    assert model.calls == 1


def test_2_a_hit_is_a_list_and_an_empty_answer_is_none(
    cache: SemanticJudgeCache, ask: Ask
) -> None:
    prompt = prompt_of(HumanMessage("hi"))
    cache.update(prompt, LLM, [])
    assert cache.lookup(prompt, LLM) is None

    cache.update(prompt, LLM, answer_of(AIMessage("hi")))
    assert type(cache.lookup(prompt, LLM)) is list
    assert type(asyncio.run(cache.alookup(prompt, LLM))) is list


def _broken(*_: Any, **__: Any) -> Any:
    msg = "the disk is full of s3cret"
    raise OSError(msg)


@pytest.mark.parametrize("chat", [True, False], ids=["chat", "plain"])
@pytest.mark.parametrize("part", ["store", "embeddings", "judge", "key", "schema"])
def test_3_an_exception_never_reaches_the_caller(
    part: str,
    chat: bool,
    embeddings: Any,
    open_cache: Open,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    judge = _broken if part == "judge" else lambda _: True
    cache = open_cache(judge=judge, key=_broken if part == "key" else None)
    replies = ["first", "second"]
    model: Any = cached_model(cache, *replies) if chat else plain_model(cache, *replies)
    if part == "schema":
        kinds = [type("Unclear", (), {"n": n}) for n in "12"]
        model = model.bind(note=kinds[0]) if chat else model.bind(stop=kinds)
    elif part == "embeddings":
        embeddings.error = OSError("s3cret")
    elif part == "store":
        for method in ("find", "add", "nearest"):
            monkeypatch.setattr(cache._store, method, _broken)

    answers = [ask(model, question) for question in ("Who am I?", "Who am I now?")]

    assert [getattr(answer, "content", answer) for answer in answers] == replies
    assert cache.stats().errors or cache.stats().judge_failures
    assert "failed" in caplog.text
    assert "s3cret" not in caplog.text


def test_4_a_stored_message_id_is_never_replayed(
    cache: SemanticJudgeCache, ask: Ask
) -> None:
    model = cached_model(cache, Reply("answer"))
    state: list[BaseMessage] = []
    for _ in range(2):
        state = add_messages(state, [HumanMessage("hi"), ask(model, "hi")])  # type: ignore[assignment,arg-type]  # messages in, messages out

    assert len(state) == 4
    assert len({message.id for message in state}) == 4
    assert model.calls == 1


def test_5_a_hit_survives_serialization(cache: SemanticJudgeCache, ask: Ask) -> None:
    model = cached_model(cache)
    ask(model, "hi")
    hit = ask(model, "hi")

    zero = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    assert {key: hit.usage_metadata[key] for key in zero} == zero
    (returned,) = messages_from_dict(messages_to_dict([hit]))
    assert returned.content == hit.content
    assert AIMessage(**dumpd(hit)["kwargs"]).usage_metadata == hit.usage_metadata


def test_6_a_hit_claims_no_tokens(cache: SemanticJudgeCache, ask: Ask) -> None:
    model = cached_model(cache)
    handler = UsageMetadataCallbackHandler()
    for _ in range(3):
        ask(model, "hi", config={"callbacks": [handler]})

    counted = handler.usage_metadata["scripted"]
    assert counted["input_tokens"] == model.input_tokens
    assert counted["output_tokens"] == model.output_tokens
    assert "token_usage" not in ask(model, "hi").response_metadata


def test_7_a_caller_s_edit_does_not_poison_the_cache(
    cache: SemanticJudgeCache, ask: Ask
) -> None:
    model = cached_model(cache)
    for edit in ("poison", "more poison"):
        answer = ask(model, "hi")
        assert answer.content == "answer"
        answer.content = edit
        answer.response_metadata["poison"] = True

    assert "poison" not in ask(model, "hi").response_metadata


@pytest.mark.parametrize("chat", [True, False], ids=["chat", "plain"])
def test_7_every_hit_is_a_copy_of_its_own(
    chat: bool,
    cache: SemanticJudgeCache,
) -> None:
    answer: Any = (
        answer_of(AIMessage("hi", tool_calls=[{"name": "f", "args": {}, "id": "1"}]))
        if chat
        else [Generation(text="hi", generation_info={"x": []})]
    )
    prompt = prompt_of(HumanMessage("hi")) if chat else "hi"
    cache.update(prompt, LLM, answer)
    hits: list[Any] = [
        *[cache.lookup(prompt, LLM) for _ in range(2)],
        asyncio.run(cache.alookup(prompt, LLM)),
    ]

    assert len({id(hit) for hit in hits} | {id(answer)}) == 4
    assert len({id(hit[0]) for hit in hits} | {id(answer[0])}) == 4
    inner = [h[0].message.tool_calls if chat else h[0].generation_info for h in hits]
    assert len({id(each) for each in inner}) == 3


def test_8_sixteen_at_once_are_one_call_through_wrap(
    cache: SemanticJudgeCache, ask: Ask
) -> None:
    model = ScriptedChatModel(replies=["answer"])
    chain = cache.wrap(model)

    async def together() -> list[AIMessage]:
        return await chain.abatch(["hi"] * 16)

    assert {m.content for m in chain.batch(["hi"] * 16)} == {"answer"}
    assert model.calls == 1
    cache.clear()
    model.reset()
    assert {m.content for m in asyncio.run(together())} == {"answer"}
    assert model.calls == 1


def test_9_ids_in_the_history_do_not_defeat_the_key(
    cache: SemanticJudgeCache, ask: Ask
) -> None:
    model = cached_model(cache, "Fine.")

    def history(number: str) -> list[BaseMessage]:
        told = AIMessage("Hello.", id=number, response_metadata={"id": number})
        return [HumanMessage("Hi"), told, HumanMessage("How are you?")]

    for number in "12":
        assert ask(model, history(number)).content == "Fine."
    assert (model.calls, cache.stats().exact) == (1, 1)


@pytest.mark.parametrize(
    "changed", [{"base_url": "http://b"}, {"timeout": 9}, {"max_retries": 7}]
)
def test_10_transport_parameters_do_not_split_the_cache(
    changed: dict[str, Any], cache: SemanticJudgeCache
) -> None:
    def llm_string(**kwargs: Any) -> str:
        settings = {"model": "gpt", "api_key": "sk-x", "base_url": "http://a", **kwargs}
        return ChatOpenAI(**settings)._get_llm_string()

    prompt = prompt_of(HumanMessage("hi"))
    cache.update(prompt, llm_string(), answer_of(AIMessage("answer")))

    assert cache.lookup(prompt, llm_string(**changed))
    assert asyncio.run(cache.alookup(prompt, llm_string(**changed)))
    assert cache.lookup(prompt, llm_string(temperature=0.9)) is None


def test_10_namespaces_keep_tenants_apart(
    open_cache: Open, ask: Ask, tmp_path: Any
) -> None:
    for tenant in ("a", "b"):
        cache = open_cache(
            judge=lambda _: True, path=tmp_path / "c.db", namespace=tenant
        )
        model = cached_model(cache, f"answer for {tenant}")
        assert ask(model, "hi").content == f"answer for {tenant}"
        assert ask(model, "hi").content == f"answer for {tenant}"


@pytest.mark.filterwarnings("error")
def test_11_no_beta_warning_reaches_the_user(
    cache: SemanticJudgeCache, ask: Ask
) -> None:
    model = cached_model(cache, Reply(tool_calls=[ToolCall("f", {"x": 1})]))

    for _ in range(2):
        assert ask(model, [SystemMessage("s"), HumanMessage("hi")]).tool_calls


def test_12_images_are_hashed_and_never_embedded(
    cache: SemanticJudgeCache, ask: Ask, embeddings: Any
) -> None:
    model = cached_model(cache, "a cat", "a dog")

    def see(data: str) -> str:
        image = {
            "type": "image_url",
            "image_url": {"url": f"data:image/png;base64,{data}"},
        }
        text = {"type": "text", "text": "What is it?"}
        return str(ask(model, [HumanMessage([text, image])]).content)

    assert [see("CATS"), see("DOGS"), see("CATS")] == ["a cat", "a dog", "a cat"]
    assert set(embeddings.texts) == {"What is it?"}


@pytest.mark.parametrize(
    ("text", "info"),
    [
        ("", None),
        (" \n", None),
        ("cut o", {"finish_reason": "length"}),
        ("x", {"finish_reason": "content_filter"}),
    ],
)
def test_13_what_is_no_answer_of_a_plain_model_is_not_stored(
    text: str, info: dict[str, Any] | None, cache: SemanticJudgeCache, ask: Ask
) -> None:
    model = plain_model(cache, Generation(text=text, generation_info=info), "good")
    ask(model, "hi")

    assert [ask(model, "hi") for _ in range(2)] == ["good", "good"]
    assert cache.stats().not_stored == 1


@pytest.mark.parametrize(
    "bad",
    [
        Reply.truncated("cut o"),
        Reply.refused(),
        Reply(""),
        Reply("x", finish_reason="content_filter"),
        Reply(tool_calls=[ToolCall("f", "{not json")]),
    ],
    ids=["truncated", "refused", "empty", "filtered", "invalid tool call"],
)
def test_13_what_is_no_answer_is_not_stored(
    cache: SemanticJudgeCache, ask: Ask, bad: Reply
) -> None:
    model = cached_model(cache, bad, "good")
    ask(model, "hi")

    assert ask(model, "hi").content == "good"
    assert ask(model, "hi").content == "good"
    assert (cache.stats().not_stored, model.calls) == (1, 2)


def test_13_tool_calls_survive_and_plain_generations_are_accepted(
    cache: SemanticJudgeCache, ask: Ask
) -> None:
    model = cached_model(cache, Reply(tool_calls=[ToolCall("f", {"x": [1]}, id="c1")]))

    live, hit = ask(model, "hi"), ask(model, "hi")

    assert hit.tool_calls == live.tool_calls
    assert hit.tool_calls[0]["args"] == {"x": [1]}
    cache.update("plain", LLM, [Generation(text="text")])
    assert cache.lookup("plain", LLM) == [Generation(text="text")]


def test_the_global_cache_serves_chat_models_and_plain_ones(
    cache: SemanticJudgeCache, ask: Ask
) -> None:
    set_llm_cache(cache)
    try:
        chat, plain = (
            ScriptedChatModel(replies=["chat"]),
            FakeListLLM(responses=["a", "b"]),
        )
        assert [ask(chat, "hi").content for _ in range(2)] == ["chat", "chat"]
        assert [ask(plain, "hi") for _ in range(2)] == ["a", "a"]
    finally:
        set_llm_cache(None)
    assert cache.stats().exact == 2


def test_some_of_a_plain_model_s_prompts_are_hits(
    cache: SemanticJudgeCache, ask: Ask
) -> None:
    model = plain_model(cache, "a", "b", "c")
    ask(model, "one")

    results = model.generate(["one", "two"])
    later = asyncio.run(model.agenerate(["three", "two", "one"]))

    assert [g[0].text for g in results.generations] == ["a", "b"]
    assert [g[0].text for g in later.generations] == ["c", "b", "a"]


def test_what_a_plain_model_is_bound_to_is_seen_by_wrap_alone(
    cache: SemanticJudgeCache, ask: Ask
) -> None:
    # LangChain tells a cache nothing of it: only `stop` is in the `llm_string`.
    model = plain_model(cache, "cold", "hot")
    chains = [model.bind(temperature=t) for t in (0, 1)]
    assert [ask(chain, "hi") for chain in chains] == ["cold", "cold"]

    cache.clear()
    model = plain_model(False, "cold", "hot")
    chains = [cache.wrap(model.bind(temperature=t)) for t in (0, 1)]
    assert [ask(chain, "hi") for chain in chains * 2] == ["cold", "hot"] * 2


async def test_events_of_a_hit_are_those_of_a_live_answer(
    cache: SemanticJudgeCache,
) -> None:
    model = cached_model(cache, "one two")

    async def events() -> list[tuple[str, str]]:
        chain = RunnableLambda(model.ainvoke)
        return [
            (event["event"], str(getattr(event["data"].get("output"), "content", "")))
            async for event in chain.astream_events("hi", version="v2")
            if event["event"].startswith("on_chat_model")
        ]

    live = await events()

    assert live[-1] == ("on_chat_model_end", "one two")
    hit = await events()
    assert (hit[0], hit[-1]) == (live[0], live[-1])
    assert model.calls == 1


def test_several_choices_come_back(cache: SemanticJudgeCache) -> None:
    model = cached_model(cache, Reply("one", variants=["two"]), n=2)
    for _ in range(2):
        result = model.generate([[HumanMessage("hi")]])
        assert [g.text for g in result.generations[0]] == ["one", "two"]
    assert model.calls == 1
