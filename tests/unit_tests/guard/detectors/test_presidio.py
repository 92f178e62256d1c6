"""The detector around Presidio, on an analyzer that stands in for it."""

import re
import sys
import threading
from dataclasses import dataclass
from typing import Any

import pytest

from langchain_prodpatterns.errors import (
    ConfigurationError,
    GuardBlocked,
    MissingExtraError,
)
from langchain_prodpatterns.guard import GuardRunnable
from langchain_prodpatterns.guard.detectors import AsyncDetector, PresidioDetector
from langchain_prodpatterns.guard.detectors.presidio import OVERLAP


@dataclass
class Result:
    start: int
    end: int


class Analyzer:
    """Finds `Ann`, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def analyze(self, **asked: Any) -> list[Result]:
        self.asked.append(asked)
        return [Result(*found.span()) for found in re.finditer("Ann", asked["text"])]


class Hanging:
    """An analyzer that comes back only when it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def analyze(self, **asked: Any) -> list[Result]:
        self.let_go.wait()
        return []


async def test_what_the_analyzer_recognizes_is_found_sync_and_async() -> None:
    analyzer = Analyzer()
    detector = PresidioDetector(
        ["PERSON"], language="de", analyzer=analyzer, score=0.3, timeout=None
    )
    assert detector.find("Hi Ann") == await detector.afind("Hi Ann") == [(3, 6)]
    assert analyzer.asked[0] == analyzer.asked[1]
    assert analyzer.asked[0] == {
        "text": "Hi Ann",
        "language": "de",
        "entities": ["PERSON"],
        "score_threshold": 0.3,
    }
    assert isinstance(detector, AsyncDetector)
    assert GuardRunnable([detector]).invoke("Hi Ann") == "Hi [PRESIDIO]"


def test_a_long_text_is_handed_over_in_windows() -> None:
    analyzer = Analyzer()
    text = "x" * 990 + " Ann " + "y" * 1_000
    detector = PresidioDetector(analyzer=analyzer, window=1_000)
    assert set(detector.find(text)) == {(991, 994)}
    assert max(len(asked["text"]) for asked in analyzer.asked) == 1_000
    assert analyzer.asked[0]["entities"] is None


async def test_a_hang_is_a_failure_and_never_a_clean_text() -> None:
    analyzer = Hanging()
    detector = PresidioDetector(analyzer=analyzer, timeout=0.01)
    try:
        with pytest.raises(TimeoutError):
            detector.find("Ann")
        with pytest.raises(TimeoutError):
            await detector.afind("Ann")
        with pytest.raises(GuardBlocked, match=r"failed: presidio \(TimeoutError\)"):
            GuardRunnable([detector]).invoke("Ann")
    finally:
        analyzer.let_go.set()


@pytest.mark.parametrize("module", ["spacy", "presidio_analyzer"])
def test_without_presidio_the_error_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"langchain-prodpatterns\[presidio\]"):
        PresidioDetector()


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"entities": "PERSON"}, "entities must be a list"),
        ({"entities": []}, "entities must be a list"),
        ({"score": 2}, "score must be from 0 to 1"),
        ({"timeout": 0}, "timeout"),
        ({"window": OVERLAP}, "window must be at least"),
        ({"name": "P"}, "name is lower case"),
    ],
)
def test_wrong_arguments_are_refused(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        PresidioDetector(**{"analyzer": Analyzer(), **wrong})
