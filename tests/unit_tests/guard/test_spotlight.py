"""Spotlighting as a step of a chain: what it marks, and what it leaves alone."""

import copy
import pickle
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.tool import ToolMessageChunk
from langchain_core.prompt_values import ChatPromptValue, StringPromptValue
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.guard import Spotlight
from langchain_prodpatterns.guard.marking import MARKINGS, Mode, marked
from langchain_prodpatterns.ledger import track
from langchain_prodpatterns.testing import ScriptedChatModel

NONCE = "0123456789abcdef0123456789abcdef"
SPOTLIGHT = Spotlight(nonce=NONCE)


def m(text: str, mode: Mode = "delimit") -> str:
    return marked(text, mode, NONCE)


# What is marked


def test_a_text_is_marked() -> None:
    assert SPOTLIGHT.invoke("obey me") == m("obey me")


@pytest.mark.parametrize("mode", list(MARKINGS))
def test_every_mode_marks_in_its_way(mode: Mode) -> None:
    spotlight = Spotlight(mode, nonce=NONCE)
    assert spotlight.invoke("obey me") == m("obey me", mode)
    assert spotlight.invoke([Document("obey")])[0].page_content == m("obey", mode)


def test_of_documents_the_text_is_marked() -> None:
    pages = [Document("one", metadata={"source": "a"}, id="1"), Document("two")]
    before = copy.deepcopy(pages)
    assert SPOTLIGHT.invoke(pages) == [
        Document(m("one"), metadata={"source": "a"}, id="1"),
        Document(m("two")),
    ]
    assert SPOTLIGHT.invoke(pages[0]).page_content == m("one")
    assert pages == before


def test_of_messages_those_of_tools_are_marked() -> None:
    messages: list[BaseMessage] = [
        SystemMessage("Be kind."),
        HumanMessage("What is on the page?"),
        AIMessage("", tool_calls=[{"name": "get", "args": {}, "id": "1"}]),
        ToolMessage("obey me", tool_call_id="1", artifact={"raw": "obey me"}),
        FunctionMessage(content="obey me", name="get"),
    ]
    before = copy.deepcopy(messages)
    expected = [
        *messages[:3],
        ToolMessage(m("obey me"), tool_call_id="1", artifact={"raw": "obey me"}),
        FunctionMessage(content=m("obey me"), name="get"),
    ]
    assert SPOTLIGHT.invoke(messages) == expected
    value = ChatPromptValue(messages=messages)
    assert SPOTLIGHT.invoke(value) == ChatPromptValue(messages=expected)
    assert SPOTLIGHT.invoke(messages[3]) == expected[3]
    assert messages == before


def test_every_text_in_blocks_is_marked() -> None:
    picture = {"type": "image", "base64": "aGVsbG8=", "mime_type": "image/png"}
    plain = {"type": "text", "media_type": "text/plain", "data": "three"}
    result = {"type": "search_result", "content": [{"type": "text", "text": "two"}]}
    content: list[str | dict[Any, Any]] = [
        "zero",
        {"type": "text", "text": "one", "index": 0},
        result,
        {"type": "document", "source": plain},
        picture,
    ]
    shown = SPOTLIGHT.invoke(ToolMessage(content, tool_call_id="1")).content
    assert shown == [
        m("zero"),
        {"type": "text", "text": m("one"), "index": 0},
        {**result, "content": [{"type": "text", "text": m("two")}]},
        {"type": "document", "source": {**plain, "data": m("three")}},
        picture,
    ]


def test_no_documents_are_no_error() -> None:
    assert SPOTLIGHT.invoke([]) == []


@pytest.mark.parametrize(
    "value",
    [
        7,
        None,
        HumanMessage("hi"),
        StringPromptValue(text="hi"),
        ["a"],
        [Document("a"), HumanMessage("hi")],
    ],
)
async def test_what_it_cannot_mark_does_not_pass(value: Any) -> None:
    with pytest.raises(TypeError, match="Spotlight takes a str, a document"):
        SPOTLIGHT.invoke(value)
    with pytest.raises(TypeError, match="Spotlight takes a str, a document"):
        await SPOTLIGHT.ainvoke(value)


async def test_the_async_way_marks_the_same() -> None:
    long = "obey me " * 1000
    assert await SPOTLIGHT.ainvoke(long) == m(long)
    assert await SPOTLIGHT.ainvoke([Document("one")]) == [Document(m("one"))]


# In a chain


def test_the_instructions_and_the_marks_agree() -> None:
    spotlight = Spotlight()
    template = ChatPromptTemplate(
        [("system", spotlight.instructions), ("human", "{context}")]
    )
    model = ScriptedChatModel(default="ok")
    chain = {"context": spotlight} | template | model
    chain.invoke("obey me")
    system, human = model.requests[0].messages
    opening, _, closing = human["content"].split("\n")
    assert opening in system["content"]
    assert closing in system["content"]


def test_every_spotlight_has_a_nonce_of_its_own() -> None:
    assert Spotlight().nonce != Spotlight().nonce
    assert Spotlight().nonce not in repr(Spotlight())


def test_copies_keep_the_nonce() -> None:
    spotlight = Spotlight()
    for copied in (
        copy.deepcopy(spotlight),
        pickle.loads(pickle.dumps(spotlight)),  # noqa: S301 - our own bytes
        spotlight.model_copy(update={"mode": "datamark"}),
    ):
        assert copied.nonce == spotlight.nonce


async def test_what_was_marked_is_in_the_ledger() -> None:
    with track() as ledger:
        SPOTLIGHT.invoke([Document("one"), Document("two")])
        await SPOTLIGHT.ainvoke("obey me")
        list(SPOTLIGHT.stream("obey me"))
        [each async for each in SPOTLIGHT.astream("obey me")]
    rows = [(row.pattern, row.decision, row.reason) for row in ledger.to_records()]
    assert rows == [
        ("guard", "marked", "delimit: 2 texts"),
        *[("guard", "marked", "delimit: 1 text")] * 3,
    ]


# Streams


def chunks(*parts: Any) -> Iterator[Any]:
    yield from parts


async def achunks(*parts: Any) -> AsyncIterator[Any]:
    for part in parts:
        yield part


@pytest.mark.parametrize("mode", list(MARKINGS))
async def test_a_text_is_marked_as_it_comes(mode: Mode) -> None:
    spotlight = Spotlight(mode, nonce=NONCE)
    parts = ["Read the page ", "to the end ", "and obey."]
    out = list(spotlight.transform(chunks(*parts)))
    assert "".join(map(str, out)) == m("".join(parts), mode)
    assert len(out) == 4
    aout = [each async for each in spotlight.atransform(achunks(*parts))]
    assert aout == out


def test_the_first_chunk_does_not_wait_for_the_second() -> None:
    seen = []

    def source() -> Iterator[str]:
        yield "The tools say "
        seen.append("second")
        yield "hello"

    stream = SPOTLIGHT.transform(source())
    assert next(stream) == f"<<{NONCE} untrusted>>\nThe tools say "
    assert seen == []


async def test_documents_and_messages_are_marked_when_they_are_complete() -> None:
    pages = [[Document("one")], [Document("two")]]
    marked_pages = [Document(m("one")), Document(m("two"))]
    assert list(SPOTLIGHT.transform(chunks(*pages))) == [marked_pages]
    out = [each async for each in SPOTLIGHT.atransform(achunks(*pages))]
    assert out == [marked_pages]
    (message,) = SPOTLIGHT.transform(
        chunks(
            ToolMessageChunk(content="obey ", tool_call_id="1"),
            ToolMessageChunk(content="me", tool_call_id="1"),
        )
    )
    assert isinstance(message, ToolMessage)
    assert message.content == m("obey me")


async def test_a_stream_of_nothing_is_nothing() -> None:
    assert list(SPOTLIGHT.transform(chunks())) == []
    assert [each async for each in SPOTLIGHT.atransform(achunks())] == []


async def test_a_stream_that_changes_its_type_is_refused() -> None:
    with pytest.raises(TypeError, match="got Document"):
        list(SPOTLIGHT.transform(chunks("a", Document("b"))))
    with pytest.raises(TypeError, match="got Document"):
        [each async for each in SPOTLIGHT.atransform(achunks("a", Document("b")))]


def test_it_works_on_what_a_lambda_gives() -> None:
    chain = RunnableLambda(str.upper) | SPOTLIGHT
    assert chain.invoke("obey") == m("OBEY")


# Arguments


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no mode 'shout'; known: delimit"):
        Spotlight("shout")  # type: ignore[arg-type]  # what is refused


@pytest.mark.parametrize("nonce", ["", "0" * 15, "0" * 65, "X" * 32, "A" * 32, 7])
def test_a_nonce_that_is_none_is_refused(nonce: Any) -> None:
    with pytest.raises(ConfigurationError, match="nonce must be 16 to 64 hexadecimal"):
        Spotlight(nonce=nonce)
