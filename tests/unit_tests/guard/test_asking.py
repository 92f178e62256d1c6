"""Detectors that wait: asked natively async, about all texts at once."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
)

from langchain_prodpatterns import track
from langchain_prodpatterns.errors import GuardBlocked
from langchain_prodpatterns.guard import GuardRunnable, Rule
from langchain_prodpatterns.guard.asking import Answers, Question, ask_all
from langchain_prodpatterns.guard.detectors import LlmDetector, Place
from langchain_prodpatterns.guard.message_streaming import add_up
from langchain_prodpatterns.guard.scanning import Record, Scanner
from langchain_prodpatterns.testing import ScriptedChatModel, ScriptedRequest


class Names:
    """A detector that waits, from a coroutine until as many are asked as must be."""

    name = "person"

    def __init__(self, together: int = 1) -> None:
        self.asked: list[str] = []
        self.sync: list[str] = []
        self.at_once = self.most = 0
        self.begun = asyncio.Event()
        self._together = together
        self._all_here = asyncio.Event()

    def find(self, text: str) -> list[Place]:
        self.sync.append(text)
        return [found.span() for found in re.finditer("Ann|Bob", text)]

    async def afind(self, text: str) -> list[Place]:
        self.asked.append(text)
        self.begun.set()
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        if len(self.asked) >= self._together:
            self._all_here.set()
        await self._all_here.wait()
        await asyncio.sleep(0)
        self.at_once -= 1
        return [found.span() for found in re.finditer("Ann|Bob", text)]


class Broken(Names):
    async def afind(self, text: str) -> list[Place]:
        msg = f"cannot read {text}"
        raise RuntimeError(msg)


async def _aiter(chunks: Sequence[Any]) -> AsyncIterator[Any]:
    for chunk in chunks:
        yield chunk


async def test_all_texts_are_asked_about_at_once_and_each_once() -> None:
    names = Names(together=3)
    messages = [
        SystemMessage("Help Ann"),
        HumanMessage("I am Bob"),
        HumanMessage("I am Bob"),
        HumanMessage("Ann\u200b."),
    ]
    out = await GuardRunnable(["email", names]).ainvoke(messages)
    assert [message.text for message in out] == [
        "Help [PERSON]",
        "I am [PERSON]",
        "I am [PERSON]",
        "[PERSON]\u200b.",
    ]
    assert sorted(names.asked) == ["Ann.", "Ann\u200b.", "Help Ann", "I am Bob"]
    assert names.sync == []


async def test_no_more_at_once_than_the_config_allows() -> None:
    for allowed, most in ((1, 1), (2, 2), (None, 3)):
        names = Names()
        texts: list[BaseMessage] = [HumanMessage(text) for text in ("a", "b", "c")]
        await GuardRunnable([names]).ainvoke(texts, {"max_concurrency": allowed})
        assert names.most == most


async def test_documents_dicts_and_streams_ask_from_the_coroutine() -> None:
    names = Names()
    guard = GuardRunnable([names], keys=["who"])
    assert await guard.ainvoke({"who": "Ann", "at": 1}) == {"who": "[PERSON]", "at": 1}
    assert await guard.ainvoke([Document("Ann")]) == [Document("[PERSON]")]
    texts = [out async for out in guard.atransform(_aiter(["An", "n is"]))]
    assert texts == ["[PERSON] is"]
    chunks = [AIMessageChunk(content="Bo"), AIMessageChunk(content="b is")]
    message = add_up([out async for out in guard.atransform(_aiter(chunks))])
    assert message.text == "[PERSON] is"
    assert names.sync == []


async def test_who_is_switched_off_at_a_place_is_not_asked_there() -> None:
    names = Names()
    guard = GuardRunnable([names], policy=[Rule("allow", trust="system")])
    out = await guard.ainvoke([SystemMessage("Ann"), HumanMessage("Bob")])
    assert [message.text for message in out] == ["Ann", "[PERSON]"]
    assert names.asked == ["Bob"]


async def test_a_failure_blocks_and_does_not_quote_the_text() -> None:
    with pytest.raises(
        GuardBlocked, match=r"failed: person \(RuntimeError\)"
    ) as caught:
        await GuardRunnable([Broken()]).ainvoke("Ann")
    assert "Ann" not in str(caught.value)


async def test_a_text_that_nobody_asked_about_is_a_failure() -> None:
    names = Names()
    answers = await ask_all([Question(names, "Ann")], {})
    scanner = answers.within(Scanner([names], {"person": "redact"}))
    record = Record()
    assert [span.end for span in scanner.find("Ann", record)] == [3]
    assert record.failures == []
    assert scanner.find("Bob", record) == []
    assert record.failures == ["person (KeyError)"]
    assert Answers({}).said == {}


async def test_cancelling_the_guard_cancels_what_it_asked() -> None:
    names = Names(together=2)
    task = asyncio.create_task(GuardRunnable([names]).ainvoke("Ann"))
    await names.begun.wait()
    others = asyncio.all_tasks() - {asyncio.current_task(), task}
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait(others) if others else None
    assert all(other.done() for other in others)


def _answer(request: ScriptedRequest) -> str:
    (nonce, *_) = re.findall(r"[0-9a-f]{16,}", str(request.messages))
    found = [{"quote": "Ann Lee", "type": "name"}]
    return json.dumps({"nonce": nonce, "found": found})


@pytest.mark.parametrize("native", [False, True], ids=["sync", "async"])
async def test_its_calls_are_the_guard_s_in_the_ledger(native: bool) -> None:
    model = ScriptedChatModel(respond=_answer)
    guard = GuardRunnable([LlmDetector(model)])
    with track() as ledger:
        if native:
            assert await guard.ainvoke("I am Ann Lee.") == "I am [PRIVATE]."
        else:
            assert guard.invoke("I am Ann Lee.") == "I am [PRIVATE]."
    (row,) = ledger.to_records()
    assert (row.pattern, row.decision, row.calls) == ("guard", "redacted", 1)
