"""Other people's rules for where sentences end, behind one call."""

import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from langchain_prodpatterns.errors import ConfigurationError, MissingExtraError

SentenceEnds = Callable[[str, int, int], Iterable[int]]
"""Of a text, the start and the end of a part: each offset behind a sentence, ascending.

The last one is the end of the part, like that of `sentences.sentence_ends`.
"""

_WINDOW = 2_000
"""Characters handed to pysbd at once: its time grows with the square of them."""

_UNREADABLE = re.compile("[\0\ud800-\udfff]")
"""What blingfire cannot read: a text's end in C, and half of a pair."""


@dataclass(frozen=True)
class PysbdSentences:
    """Sentences by pysbd: accurate rules for two dozen languages, and slow.

    Needs the extra `pysbd`.

    ```python
    splitter = MarkdownSplitter(sentences=PysbdSentences("de"))
    ```
    """

    language: str = "en"
    """The code of the language, one of those that pysbd has rules for."""

    def __post_init__(self) -> None:
        _pysbd(self.language)

    def __call__(self, text: str, start: int, end: int) -> Iterator[int]:
        """Find where sentences end in a part of a text."""
        for first, last in _windows(text, start, end):
            # A new one each time: a segmenter keeps the text that it is at work on.
            sentences = _pysbd(self.language).segment(text[first:last])
            yield from _located(text, sentences, first, last)


@dataclass(frozen=True)
class BlingfireSentences:
    """Sentences by blingfire, compiled rules for many scripts, and fast.

    Needs the extra `blingfire`.
    """

    def __post_init__(self) -> None:
        _blingfire()

    def __call__(self, text: str, start: int, end: int) -> Iterator[int]:
        """Find where sentences end in a part of a text."""
        # Its offsets count characters. It takes no blank text.
        part = _UNREADABLE.sub("\ufffd", text[start:end])
        offsets = _blingfire()(part)[1][:-1] if part.strip() else ()
        yield from (start + stop for _, stop in offsets)
        yield end


def _located(
    text: str, sentences: Iterable[str], start: int, end: int
) -> Iterator[int]:
    """Find sentences in their text again; what was altered belongs to the next one."""
    at = start
    for sentence in sentences:
        found = text.find(sentence.strip(), at, end) if sentence.strip() else -1
        stop = found + len(sentence.strip())
        if found >= 0 and stop < end:
            yield stop
            at = stop
    yield end


def _windows(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut what is too long at once, at a blank where there is one."""
    while end - start > _WINDOW:
        blank = text.rfind(" ", start + _WINDOW // 2, start + _WINDOW)
        stop = blank if blank > 0 else start + _WINDOW
        yield start, stop
        start = stop
    yield start, end


def _pysbd(language: str) -> Any:
    segmenter = _pysbd_segmenter()
    try:
        return segmenter(language=language, clean=False)
    except ValueError as error:
        msg = f"pysbd has no rules for the language {language!r}; pass a code like 'en'"
        raise ConfigurationError(msg) from error


@lru_cache(maxsize=1)
def _pysbd_segmenter() -> Any:
    try:
        with warnings.catch_warnings():
            # Python warns of the escapes in its patterns when it compiles them.
            warnings.simplefilter("ignore", SyntaxWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            from pysbd import Segmenter
    except ImportError as error:
        raise _missing(PysbdSentences) from error
    return Segmenter


@lru_cache(maxsize=1)
def _blingfire() -> Any:
    try:
        from blingfire import text_to_sentences_and_offsets
    except ImportError as error:
        raise _missing(BlingfireSentences) from error
    return text_to_sentences_and_offsets


def _missing(rules: type) -> MissingExtraError:
    extra = rules.__name__.removesuffix("Sentences").lower()
    return MissingExtraError(rules.__name__, extra)
