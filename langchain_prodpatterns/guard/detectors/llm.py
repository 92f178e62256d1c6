"""A language model that finds what no pattern can: names, addresses, stories."""

import re
from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from langchain_prodpatterns.errors import (
    ConfigurationError,
    JudgeError,
    JudgeFailureKind,
)
from langchain_prodpatterns.guard.detectors.base import Place, check_name
from langchain_prodpatterns.guard.detectors.windows import check_window, windows
from langchain_prodpatterns.judging import (
    BoundJudge,
    JudgeLike,
    Judgement,
    JudgeRequest,
    QuoteOf,
    Verdict,
)

DEFAULT_TYPES = ("name", "address", "birth date", "health", "account")
"""What is looked for where nothing else is said."""

_KIND: JudgeFailureKind = "quote"

OVERLAP = 400
"""Characters that two windows of a long text share."""

_QUESTION = (
    "Which private data of persons are in the text? Look for these types only: "
    "{types}. "
    "Quote each value exactly as it is written, once, as short as it can be, with its "
    "type. Names of companies, products and public places are no private data. Answer "
    "with an empty list where there is nothing."
)


class PrivateRequest(JudgeRequest):
    """A text to look through."""

    text: str
    """The text, or one window of a long one."""


class Private(BaseModel):
    """One value that the model found."""

    model_config = ConfigDict(frozen=True)

    quote: Annotated[str, QuoteOf("text")] = Field(
        description="the value, verbatim", min_length=1
    )
    type: str = Field(description="one of the types that were asked for")


class PrivateVerdict(Verdict):
    """What private data are in a text."""

    found: tuple[Private, ...] = Field(description="every value, or an empty list")


class LlmDetector:
    """Finds private data by asking a model, and believes only what it can quote.

    ```python
    people = LlmDetector(local_llm, types=("name", "address"))
    policy = {"private": "pseudonymize"}
    GuardRunnable([*DEFAULT_DETECTORS, people], policy=policy, vault=Vault())
    ```

    The model is asked as every judge of this package is: the text stands between
    delimiters with a nonce, and the verdict is typed. Code checks that each quote
    occurs, and takes every place where it does. A late or garbled answer, and a quote
    that does not occur, are failures and never a clean text. A call is a child run of
    the guard's. It is unbounded: a stream waits for its end.

    !!! warning
        The model sees the values in plain text. Take one that may.
    """

    def __init__(
        self,
        model: JudgeLike,
        *,
        types: Sequence[str] = DEFAULT_TYPES,
        name: str = "private",
        timeout: float | None = 20.0,
        window: int = 12_000,
    ) -> None:
        """Set the model and what it looks for.

        Args:
            model: A chat model, or a Runnable or callable from `PrivateRequest` to
                `PrivateVerdict`.
            types: What to look for, in words.
            name: The type of the values, as the policy names it.
            timeout: Seconds for one answer; `None` waits for ever.
            window: Characters of the longest text that is put into one question; a
                longer one is put in parts that overlap.

        Raises:
            ConfigurationError: When an argument is of no use.
        """
        words = () if isinstance(types, str) else tuple(types or ())
        if not words or not all(isinstance(each, str) for each in words):
            msg = f"types must be a list of words such as ['name'], got {types!r}"
            raise ConfigurationError(msg)
        check_window(window, OVERLAP)
        self._name = check_name(name)
        self._types = frozenset(each.strip().casefold() for each in words)
        self._window = window
        self._judge: BoundJudge[PrivateRequest, PrivateVerdict] = BoundJudge(
            model,
            question=_QUESTION.format(types=", ".join(words)),
            verdict_type=PrivateVerdict,
            timeout=timeout,
            name="guard:private",
        )

    @property
    def name(self) -> str:
        """The type of the values."""
        return self._name

    def find(self, text: str) -> Iterator[Place]:
        """Find the values.

        Args:
            text: The text.

        Yields:
            Where they are.

        Raises:
            JudgeError: When the model gives no answer that can be used.
        """
        for start, part in self._parts(text):
            yield from self._places(text, start, self._judge.ask(_request(part)))

    async def afind(self, text: str) -> list[Place]:
        """Find the values, natively async.

        Args:
            text: The text.

        Returns:
            Where they are.

        Raises:
            JudgeError: When the model gives no answer that can be used.
        """
        places: list[Place] = []
        for start, part in self._parts(text):
            judgement = await self._judge.aask(_request(part))
            places += self._places(text, start, judgement)
        return places

    def _parts(self, text: str) -> Iterator[tuple[int, str]]:
        parts = windows(text, self._window, OVERLAP)
        return (part for part in parts if not part[1].isspace())

    def _places(
        self, text: str, start: int, judgement: Judgement[PrivateVerdict]
    ) -> Iterator[Place]:
        """Yield every place in the whole text of what was found in a part of it."""
        if judgement.failure is not None:
            raise JudgeError(judgement.failure.kind, judgement.failure.detail)
        found = judgement.verdict.found if judgement.verdict else ()
        for private in found:
            if private.type.strip().casefold() in self._types:
                yield from _mapped(private.quote, text, start)


def _mapped(quote: str, text: str, start: int) -> list[Place]:
    """Return the places of a quote, of which there must be one."""
    places = list(occurrences(quote, text))
    if not places:
        detail = f"a quote does not occur from character {start} on"
        raise JudgeError(_KIND, detail)
    return places


def occurrences(quote: str, text: str) -> Iterator[Place]:
    """Yield every place where a quote stands, white space aside.

    Args:
        quote: What is quoted.
        text: The text.

    Yields:
        Where it stands, within no longer word.
    """
    words = quote.split()
    if words:
        pattern = r"\s{1,20}+".join(map(re.escape, words))
        first = r"(?<!\w)" if words[0][0].isalnum() else ""
        last = r"(?!\w)" if words[-1][-1].isalnum() else ""
        whole = [found.span() for found in re.finditer(first + pattern + last, text)]
        # Scripts without blanks between words have no ends of words.
        yield from whole or (found.span() for found in re.finditer(pattern, text))


def _request(text: str) -> PrivateRequest:
    return PrivateRequest(text=text)
