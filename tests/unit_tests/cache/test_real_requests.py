"""Identity of what LangChain's own machinery hands to a cache, sync and async.

No request leaves: a recording cache notes what it is asked, and answers.
"""

import asyncio
import json
import types
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.caches import RETURN_VAL_TYPE, BaseCache
from langchain_core.language_models import FakeListChatModel, FakeListLLM
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import Runnable
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI
from pydantic import BaseModel, Field, create_model

from langchain_prodpatterns.cache.identity import Identity, Scope, identify
from langchain_prodpatterns.cache.schemas import AmbiguousClass
from langchain_prodpatterns.testing import ScriptedChatModel

SCOPE = Scope("default", "embedder")
ANSWER = '{"x": 1}'
CALL = {"name": "Answer", "args": {"x": 1}, "id": "1"}


class Recorder(BaseCache):
    """Notes the request, and answers it."""

    def __init__(self, *, chat: bool = True) -> None:
        message = AIMessage(ANSWER, tool_calls=[CALL])
        self._answer: Generation = (
            ChatGeneration(message=message) if chat else Generation(text=ANSWER)
        )
        self.request = ("", "")

    def lookup(self, prompt: str, llm_string: str) -> RETURN_VAL_TYPE:
        self.request = (prompt, llm_string)
        return [self._answer]

    def update(self, prompt: str, llm_string: str, return_val: RETURN_VAL_TYPE) -> None:
        raise AssertionError(prompt)

    def clear(self, **kwargs: Any) -> None:
        raise AssertionError(kwargs)

    def identity(self) -> Identity:
        return identify(*self.request, SCOPE)


Build = Callable[[Any], Runnable[Any, Any]]
Of = Callable[..., Identity]


def sync_of(build: Build, value: Any = "Why?", model: Any = None) -> Identity:
    """Return the identity of a call of a chain around a model."""
    chain, recorder = recorded(build, model)
    chain.invoke(value)
    return recorder.identity()


def async_of(build: Build, value: Any = "Why?", model: Any = None) -> Identity:
    """Return the identity of a call of a chain in an event loop of its own."""
    chain, recorder = recorded(build, model)
    asyncio.run(chain.ainvoke(value))
    return recorder.identity()


def recorded(build: Build, model: Any) -> tuple[Runnable[Any, Any], Recorder]:
    recorder = Recorder(chat=not isinstance(model, FakeListLLM | OpenAI))
    return build((model or gpt()).model_copy(update={"cache": recorder})), recorder


@pytest.fixture(params=[sync_of, async_of], ids=["sync", "async"])
def of(request: pytest.FixtureRequest) -> Of:
    """The identity of a call, made either way."""
    found: Of = request.param
    return found


def gpt(**kwargs: Any) -> ChatOpenAI:
    settings: dict[str, Any] = {"model": "gpt-4o", "api_key": "sk-x", **kwargs}
    return ChatOpenAI(**settings)


def itself(model: Any) -> Any:
    return model


def bound(**kwargs: Any) -> Build:
    return lambda model: model.bind(**kwargs)


def structured(schema: Any, **kwargs: Any) -> Build:
    return lambda model: model.with_structured_output(schema, **kwargs)


class Inner(BaseModel):
    n: int


class Answer(BaseModel):
    """Answer briefly."""

    x: int


class TypedAnswer(TypedDict):
    """Answer briefly."""

    x: Annotated[int, ..., "A number."]


def namesake(name: str = "Answer", **fields: Any) -> Any:
    """Return a schema of that name in another module."""
    fields = fields or {"x": int}
    return create_model(name, __module__="prodpatterns_elsewhere", **fields)


def typed(description: str) -> Any:
    """Return a `TypedDict` of the name of `TypedAnswer`."""
    kind = types.new_class("TypedAnswer", (TypedDict,))
    kind.__annotations__ = {"x": Annotated[int, ..., description]}
    return kind


@tool
def search(query: str) -> str:
    """Search the web."""
    return query


@tool("search")
def search_otherwise(query: str) -> str:
    """Search the library."""
    return query


JSON_SCHEMA = {
    "title": "Answer",
    "type": "object",
    "properties": {"x": {"type": "integer"}},
}

DIFFERENT: dict[str, tuple[Build, Build]] = {
    "no schema": (itself, structured(Answer)),
    "method": (structured(Answer), structured(Answer, method="function_calling")),
    "strict": (
        structured(JSON_SCHEMA, method="json_schema", strict=True),
        structured(JSON_SCHEMA, method="json_schema", strict=False),
    ),
    "module": (structured(Answer), structured(namesake())),
    "a class and its schema": (structured(Answer), structured(JSON_SCHEMA)),
    "fields as a tool": (
        lambda model: model.bind_tools([namesake("Tool", x=int)]),
        lambda model: model.bind_tools([namesake("Tool", y=int)]),
    ),
    "description": (
        structured(namesake("D1", x=(int, Field(description="In meters.")))),
        structured(namesake("D2", x=(int, Field(description="In feet.")))),
    ),
    "json schema": (
        structured(JSON_SCHEMA),
        structured({**JSON_SCHEMA, "properties": {"x": {"type": "string"}}}),
    ),
    "typed dict": (structured(TypedAnswer), structured(typed("A year."))),
    "tools": (
        lambda model: model.bind_tools([search]),
        lambda model: model.bind_tools([Answer]),
    ),
    "tool's docstring": (
        lambda model: model.bind_tools([search]),
        lambda model: model.bind_tools([search_otherwise]),
    ),
    "tool_choice": (
        lambda model: model.bind_tools([search]),
        lambda model: model.bind_tools([search], tool_choice="any"),
    ),
    "strict tools": (
        lambda model: model.bind_tools([search]),
        lambda model: model.bind_tools([search], strict=True),
    ),
    "parallel_tool_calls": (
        lambda model: model.bind_tools([search]),
        lambda model: model.bind_tools([search], parallel_tool_calls=False),
    ),
    "response_format": (itself, bound(response_format={"type": "json_object"})),
    "stop": (bound(stop=["a"]), bound(stop=["b"])),
    "n": (itself, bound(n=2)),
    "seed": (bound(seed=1), bound(seed=2)),
    "temperature": (bound(temperature=0.0), bound(temperature=1.0)),
    "model": (itself, bound(model="gpt-5")),
}


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_what_a_chat_model_is_asked_for_partitions(
    one: Build, other: Build, of: Of
) -> None:
    first, second = of(one), of(other)

    assert first.text == second.text == "Why?"
    assert first == of(one)
    assert first.partition != second.partition


@pytest.mark.parametrize(
    "model",
    [gpt(), FakeListChatModel(responses=["a"]), FakeListLLM(responses=["a"])],
    ids=["openai", "fake", "plain"],
)
@pytest.mark.parametrize("build", [itself, bound(stop=["x"])], ids=["bare", "bound"])
def test_sync_and_async_ask_for_the_same(build: Build, model: Any) -> None:
    assert sync_of(build, model=model) == async_of(build, model=model)


def test_sync_and_async_ask_for_the_same_schema_and_tools() -> None:
    for build in (structured(Answer), lambda model: model.bind_tools([search])):
        assert sync_of(build) == async_of(build)


def test_a_schema_that_is_defined_anew_is_not_taken_for_the_one_before(
    of: Of, monkeypatch: pytest.MonkeyPatch
) -> None:
    before: Any = create_model("Redefined", __module__=__name__, x=int)
    after: Any = create_model("Redefined", __module__=__name__, x=int, y=(int, 0))
    monkeypatch.setitem(globals(), "Redefined", after)

    # Both are alive, and a request shows no more than their name.
    for kind in (before, after):
        with pytest.raises(AmbiguousClass, match=r"classes are called .*Redefined"):
            of(structured(kind))


@pytest.mark.parametrize(
    "settings",
    [
        {"base_url": "http://a"},
        {"timeout": 9},
        {"max_retries": 7},
        {"api_key": "sk-y"},
        {"streaming": True},
        {"stream_usage": False},
        {"name": "teacher"},
        {"tags": ["a"]},
        {"metadata": {"a": 1}},
        {"verbose": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("build", [itself, structured(Answer)], ids=["plain", "schema"])
def test_how_a_chat_model_is_reached_does_not_partition(
    settings: dict[str, Any], build: Build, of: Of
) -> None:
    model = gpt(**settings)
    assert of(build, model=model) == of(build)


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "gpt-5"},
        {"temperature": 0.5},
        {"seed": 1},
        {"n": 2},
        {"max_tokens": 5},
        {"top_p": 0.5},
        {"stop": ["a"]},
        {"reasoning_effort": "low"},
        {"extra_body": {"top_k": 1}},
        {"model_kwargs": {"user": "a"}},
        {"use_responses_api": True},
        {"organization": "a"},
    ],
    ids=str,
)
def test_what_a_chat_model_is_set_to_partitions(
    settings: dict[str, Any], of: Of
) -> None:
    assert of(itself, model=gpt(**settings)).partition != of(itself).partition


def test_models_that_langchain_cannot_serialize_are_told_apart(of: Of) -> None:
    models: list[Any] = [
        FakeListChatModel(responses=["a"]),
        FakeListChatModel(responses=["b"]),
        ScriptedChatModel(replies=["a"]),
        ScriptedChatModel(replies=["a"], model_name="other"),
    ]
    partitions = {of(itself, model=model).partition for model in models}
    partitions |= {of(bound(stop=["x"]), model=model).partition for model in models}

    assert len(partitions) == 2 * len(models)


def test_a_plain_model_is_asked_with_its_text(of: Of) -> None:
    models: list[Any] = [
        FakeListLLM(responses=["a"]),
        FakeListLLM(responses=["b"]),
        OpenAI(api_key="sk-x"),
        OpenAI(api_key="sk-x", temperature=0.1),
    ]
    asked = [of(itself, model=model) for model in models]

    assert {identity.text for identity in asked} == {"Why?"}
    assert len({identity.partition for identity in asked}) == len(models)
    for model, before in zip(models, asked, strict=True):
        assert of(itself, "How come?", model=model).partition == before.partition
        assert of(bound(stop=["x"]), model=model).partition != before.partition


@pytest.mark.parametrize("model", [gpt(), FakeListLLM(responses=["a"])], ids=type)
def test_a_prompt_is_the_same_in_every_form(model: Any, of: Of) -> None:
    forms: list[Any] = ["Why?", [HumanMessage("Why?")], [("human", "Why?")]]
    if isinstance(model, ChatOpenAI):
        forms.append([{"role": "user", "content": "Why?"}])
        forms.append([HumanMessage("Why?", id="1")])
        asked = {of(itself, form, model=model) for form in forms}
        assert len(asked) == 1
    else:
        assert of(itself, forms[1], model=model) == of(itself, forms[2], model=model)


def test_a_continued_response_partitions_where_the_provider_is_sent_its_id(
    of: Of,
) -> None:
    def told(number: str) -> list[BaseMessage]:
        said = AIMessage("Sure.", response_metadata={"id": number})
        return [said, HumanMessage("Go on.")]

    follows = gpt(use_previous_response_id=True)
    first, second = told("resp_1"), told("resp_2")

    assert of(itself, first).partition == of(itself, second).partition
    assert (
        of(itself, first, model=follows).partition
        != of(itself, second, model=follows).partition
    )
    # It is the last one that counts.
    assert of(itself, [*first, *second], model=follows) == of(
        itself, [*told("resp_3")[:1], first[1], *second], model=follows
    )
    # A completion's id is sent to nobody.
    assert of(itself, told("chatcmpl-1"), model=follows) == of(
        itself, told("chatcmpl-2"), model=follows
    )


def _images(name: str) -> list[str | dict[Any, Any]]:
    image = {"type": "image_url", "image_url": {"url": f"https://x/{name}.png"}}
    return [{"type": "text", "text": "What is it?"}, image]


def _called(x: int) -> Sequence[BaseMessage]:
    call = {"name": "f", "args": {"x": x}, "id": "call_1"}
    return [AIMessage("", tool_calls=[call])]


TURNS: list[Sequence[BaseMessage]] = [
    [],
    [SystemMessage("Be brief.")],
    [SystemMessage("Be rude.")],
    [HumanMessage("Hi")],
    [HumanMessage("Hi", name="anna")],
    [HumanMessage(_images("cat"))],
    [HumanMessage(_images("dog"))],
    [AIMessage("Hello")],
    [AIMessage("Hello", name="bot")],
    _called(1),
    _called(2),
    [*_called(1), ToolMessage("3", tool_call_id="call_1")],
    [*_called(1), ToolMessage("4", tool_call_id="call_1")],
]
SETTINGS: list[dict[str, Any]] = [
    {},
    {"stop": ["x"]},
    {"seed": 1},
    {"tools": [{"type": "function", "function": {"name": "f"}}]},
    {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "none"},
    {"response_format": {"type": "json_object"}},
]
REQUESTS = st.tuples(
    st.lists(st.sampled_from(TURNS), max_size=3).map(
        lambda turns: [message for turn in turns for message in turn]
    ),
    st.sampled_from(["Why?", "Why not?"]).map(HumanMessage),
    st.sampled_from(SETTINGS),
)


@pytest.mark.parametrize("responses", [False, True], ids=["completions", "responses"])
@given(first=REQUESTS, second=REQUESTS)
def test_two_requests_share_an_entry_where_the_provider_is_sent_the_same(
    first: Any, second: Any, *, responses: bool
) -> None:
    model = gpt(use_responses_api=responses)
    asked = []
    for history, question, settings in (first, second):
        recorder = Recorder()
        recording = model.model_copy(update={"cache": recorder})
        recording.invoke([*history, question], **settings)
        payload = model._get_request_payload([*history, question], **settings)
        asked.append((json.dumps(payload, sort_keys=True), recorder.identity()))
    (sent, one), (sent_other, other) = asked

    if one.exact == other.exact:
        assert sent == sent_other
    elif not responses:
        # That other interface is sent neither names nor `stop`.
        assert sent != sent_other
    if one.partition == other.partition:
        # Then they differ in their question, or not at all.
        assert sent.replace("Why not?", "Why?") == sent_other.replace(
            "Why not?", "Why?"
        )


def test_schemas_made_at_run_time_under_one_name_are_not_confused(of: Of) -> None:
    kinds = [namesake("Chosen", x=(int, Field(le=le))) for le in (5, 10)]

    for kind in kinds:
        with pytest.raises(AmbiguousClass, match=r"classes are called .*Chosen"):
            of(structured(kind))


def test_a_nested_schema_counts(of: Of) -> None:
    one = namesake("Outer1", x=Inner)
    other = namesake("Outer2", x=list[Inner])

    assert of(structured(one)).partition != of(structured(other)).partition
