import copy
import pickle
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from langchain_prodpatterns.compression import (
    BlingfireSentences,
    MarkdownSplitter,
    PysbdSentences,
    segmenters,
)
from langchain_prodpatterns.errors import ConfigurationError, MissingExtraError

TEXT = "Dr. Smith é came 😀. He left! He left!  今日は晴れです。明日は. A\ud800 b. Last"
SENTENCES = [
    "Dr. Smith é came 😀.",
    "He left!",
    "He left!",
    "今日は晴れです。",
    "明日は.",
    "A\ud800 b.",
    "Last",
]


@pytest.fixture(autouse=True)
def _fresh_imports() -> Iterator[None]:
    yield
    segmenters._pysbd_segmenter.cache_clear()
    segmenters._blingfire.cache_clear()


def installed(
    monkeypatch: pytest.MonkeyPatch, name: str, **contents: Any
) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(contents)
    monkeypatch.setitem(sys.modules, name, module)
    return module


def pysbd_that(
    monkeypatch: pytest.MonkeyPatch, cut: Callable[[str], list[str]]
) -> list[str]:
    seen: list[str] = []

    class Segmenter:
        def __init__(self, language: str, *, clean: bool) -> None:
            assert not clean
            if language != "en":
                raise ValueError(language)

        def segment(self, text: str) -> list[str]:
            seen.append(text)
            return cut(text)

    installed(monkeypatch, "pysbd", Segmenter=Segmenter)
    return seen


def parts(text: str, sentences: Any) -> list[str]:
    spans = MarkdownSplitter(sentences=sentences).split(text)
    return [text[span.start : span.end] for span in spans]


@pytest.mark.parametrize("rules", [PysbdSentences, BlingfireSentences])
def test_the_real_rules_inside_markdown(
    rules: type[PysbdSentences | BlingfireSentences],
) -> None:
    pytest.importorskip(rules.__name__.removesuffix("Sentences").lower())
    assert parts(f"# One. Two.\n{TEXT}\n```\nA. B.\n```", rules()) == [
        "# One. Two.",
        *SENTENCES,
        "```\nA. B.\n```",
    ]
    assert parts("", rules()) == parts(" \n ", rules()) == []
    assert list(rules()("  ", 0, 2)) == [2]


def test_what_pysbd_alters_belongs_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pysbd_that(monkeypatch, lambda text: ["One. ", "Twö. ", "", "Three.", "Four"])
    ends = list(PysbdSentences()("One. Two. Three. Four", 0, 21))
    assert ends == [4, 16, 21]


def test_pysbd_sees_windows_and_only_the_part(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = pysbd_that(monkeypatch, lambda text: [text])
    text = "word " * 1_000
    assert list(PysbdSentences()(text, 5, 4_990))[-1] == 4_990
    assert "".join(seen) == text[5:4_990]
    assert max(map(len, seen)) <= 2_000
    seen.clear()
    list(PysbdSentences()("x" * 5_000, 0, 5_000))
    assert max(map(len, seen)) <= 2_000


def test_blingfire_gets_nothing_that_it_does_not_take(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []

    def cut(text: str) -> tuple[str, list[tuple[int, int]]]:
        seen.append(text)
        return text, [(0, 4), (5, 9)]

    installed(monkeypatch, "blingfire", text_to_sentences_and_offsets=cut)
    assert list(BlingfireSentences()("--A\ud800\0. B c.--", 2, 11)) == [6, 11]
    assert list(BlingfireSentences()(" \n ", 0, 3)) == [3]
    assert seen == ["A\ufffd\ufffd. B c."]


@pytest.mark.parametrize("rules", [PysbdSentences, BlingfireSentences])
def test_what_is_not_installed_says_how_to(
    rules: type[PysbdSentences | BlingfireSentences], monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = rules.__name__.removesuffix("Sentences").lower()
    monkeypatch.setitem(sys.modules, extra, None)
    with pytest.raises(MissingExtraError, match=rf"prodpatterns\[{extra}\]"):
        rules()


def test_a_language_without_rules_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pysbd_that(monkeypatch, lambda text: [text])
    with pytest.raises(ConfigurationError, match="no rules for the language 'xx'"):
        PysbdSentences("xx")


def test_a_splitter_with_other_rules_can_be_copied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pysbd_that(monkeypatch, lambda text: [text])
    splitter = MarkdownSplitter(sentences=PysbdSentences())
    assert copy.deepcopy(splitter) == splitter
    assert pickle.loads(pickle.dumps(splitter)) == splitter  # noqa: S301 - our own bytes


@pytest.mark.parametrize("ends", [[], [3], [3, 2, 3, 900], [-5, 0, 9]])
def test_wrong_rules_lose_no_text(ends: list[int]) -> None:
    found = parts("One two three", lambda *_: ends)
    assert "".join(found).replace(" ", "") == "Onetwothree"


def test_rules_that_cannot_be_called_are_refused() -> None:
    wrong: Any = "pysbd"
    with pytest.raises(ConfigurationError, match="sentences must be a function"):
        MarkdownSplitter(sentences=wrong)
