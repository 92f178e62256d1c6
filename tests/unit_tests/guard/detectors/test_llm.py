"""A model that finds private data, and code that checks what it says."""

import json
import re
from typing import Any

import pytest
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler

from langchain_prodpatterns.errors import (
    ConfigurationError,
    GuardBlocked,
    JudgeError,
)
from langchain_prodpatterns.guard import GuardRunnable
from langchain_prodpatterns.guard.detectors.base import AsyncDetector
from langchain_prodpatterns.guard.detectors.llm import (
    OVERLAP,
    LlmDetector,
    PrivateRequest,
    occurrences,
)
from langchain_prodpatterns.guard.detectors.windows import windows
from langchain_prodpatterns.testing import ScriptedChatModel, ScriptedRequest

TEXT = "Ann Lee met Bob at 5 High\nStreet. Anna saw Ann Lee."


def says(*found: tuple[str, str]) -> Any:
    """Return a judge that always finds the same."""
    entries = [{"quote": quote, "type": kind} for quote, kind in found]
    return lambda request: {"found": entries}


def texts(detector: LlmDetector, text: str) -> list[str]:
    return [text[start:end] for start, end in detector.find(text)]


async def test_every_place_of_every_quote_is_found_sync_and_async() -> None:
    detector = LlmDetector(
        says(("Ann Lee", "name"), ("5 High Street", "Address ")),
        types=["Name", "address"],
    )
    assert texts(detector, TEXT) == ["Ann Lee", "Ann Lee", "5 High\nStreet"]
    assert await detector.afind(TEXT) == list(detector.find(TEXT))
    assert isinstance(detector, AsyncDetector)
    assert detector.name == "private"


def test_types_that_were_not_asked_for_are_left() -> None:
    detector = LlmDetector(says(("Bob", "name"), ("Ann", "pet")), types=["name"])
    assert texts(detector, TEXT) == ["Bob"]


@pytest.mark.parametrize(
    "judge",
    [
        says(("Eve", "name")),
        says(("  ", "name")),
        says(("", "name")),
        lambda request: "clean",
        lambda request: {"found": None},
        ScriptedChatModel(replies=["nothing private"] * 4),
    ],
    ids=["made up", "blank", "empty", "no verdict", "garbled", "no json"],
)
async def test_no_answer_is_never_a_clean_text(judge: Any) -> None:
    detector = LlmDetector(judge)
    with pytest.raises(JudgeError) as caught:
        list(detector.find(TEXT))
    with pytest.raises(JudgeError):
        await detector.afind(TEXT)
    assert "Ann" not in str(caught.value)
    with pytest.raises(GuardBlocked, match=r"failed: private \(JudgeError\)"):
        GuardRunnable([detector]).invoke(TEXT)


def test_a_call_is_a_child_of_the_run_that_it_is_made_in() -> None:
    def answer(request: ScriptedRequest) -> str:
        (nonce, *_) = re.findall(r"[0-9a-f]{16,}", str(request.messages))
        found = [{"quote": "Ann Lee", "type": "name"}]
        return json.dumps({"nonce": nonce, "found": found})

    guard = GuardRunnable([LlmDetector(ScriptedChatModel(respond=answer))])
    collector = RunCollectorCallbackHandler()
    out = guard.invoke("I am Ann Lee.", {"callbacks": [collector]})
    assert out == "I am [PRIVATE]."
    (run,) = collector.traced_runs
    assert [child.name for child in run.child_runs] == ["guard:private"]


def test_a_long_text_is_asked_about_in_parts_that_overlap() -> None:
    seen: list[str] = []

    def judge(request: PrivateRequest) -> Any:
        seen.append(request.text)
        found = [{"quote": "Bob", "type": "name"}] if "Bob" in request.text else []
        return {"found": found}

    text = "x " * 900 + "Bob " + "y " * 200
    detector = LlmDetector(judge, types=["name"], window=1_000)
    assert {text[a:b] for a, b in detector.find(text)} == {"Bob"}
    assert [len(part) for part in seen] == [1000, 1000, 1000, 404]
    assert list(detector.find("")) == list(detector.find(" \n")) == []


def test_windows_cover_the_text_and_share_their_ends() -> None:
    parts = list(windows("abcdefghij", 4, 2))
    assert parts == [(0, "abcd"), (2, "cdef"), (4, "efgh"), (6, "ghij")]
    assert list(windows("ab", 4, 2)) == [(0, "ab")]
    assert list(windows("", 4, 2)) == []


@pytest.mark.parametrize(
    ("quote", "text", "expected"),
    [
        ("Ann", "Ann, Anna", ["Ann"]),
        ("a.b", "a.b axb", ["a.b"]),
        ("王", "我是王小明", ["王"]),
        ("5  Main", "at 5 \t Main", ["5 \t Main"]),
        ("(x)", "a(x)b", ["(x)"]),
        (" ", "a b", []),
        ("c", "a b", []),
    ],
)
def test_where_a_quote_stands(quote: str, text: str, expected: list[str]) -> None:
    assert [text[a:b] for a, b in occurrences(quote, text)] == expected


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"types": "name"}, "types must be a list"),
        ({"types": []}, "types must be a list"),
        ({"types": ["name", 3]}, "types must be a list"),
        ({"window": OVERLAP}, "window must be at least"),
        ({"window": True}, "window must be at least"),
        ({"name": "My Type"}, "name is lower case"),
        ({"timeout": -1}, "timeout"),
        ({"model": 3}, "judge must be a chat model"),
    ],
)
def test_wrong_arguments_are_refused(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        LlmDetector(**{"model": says(), **wrong})
