"""What a detector is, and the detector that a pattern makes."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.guard.detectors.patterns import LOOKBACK, Shape, prove
from langchain_prodpatterns.guard.detectors.surroundings import before

Place = tuple[int, int]
"""Where a value is: start and end in the text, in characters."""


@runtime_checkable
class Detector(Protocol):
    """Finds values of one type in a text."""

    @property
    def name(self) -> str:
        """The type of the values, as the policy and the placeholder name it."""
        ...

    def find(self, text: str) -> Iterable[Place]:
        """Find the values.

        Args:
            text: The text.

        Returns:
            Where they are; they may overlap.
        """
        ...


@runtime_checkable
class BoundedDetector(Detector, Protocol):
    """A detector that can tell in the middle of a stream what is decided.

    Whether it finds a value may depend on the value, the `LOOKBACK` characters before
    it and one character after it, on nothing else. A detector that only has `find`
    works too, but a stream is then held back until its end.
    """

    @property
    def shapes(self) -> Sequence[Shape]:
        """The shapes that its values have."""
        ...


@runtime_checkable
class AsyncDetector(Detector, Protocol):
    """A detector that waits, for a model or another process, and can do so async.

    A guard asks `find`, or from a coroutine `afind`, about all texts at once. Both give
    the same places. A stream is held until its end. The config is the context's: models
    that are called within are child runs of the guard's, and count as its calls.
    """

    async def afind(self, text: str) -> Iterable[Place]:
        """Find the values.

        Args:
            text: The text.

        Returns:
            Where they are; they may overlap.
        """
        ...


_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


def check_name(name: object) -> str:
    """Refuse what cannot name a type of values.

    Args:
        name: The name.

    Returns:
        The name.

    Raises:
        ConfigurationError: When it is none.
    """
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        msg = f"a detector's name is lower case letters, digits and _, got {name!r}"
        raise ConfigurationError(msg)
    return name


class PatternDetector:
    r"""Finds what a regular expression matches.

    ```python
    badge = PatternDetector("badge", r"\bEMP-[0-9]{6}\b")
    GuardRunnable([*DEFAULT_DETECTORS, badge])
    ```

    Every start is tried, so matches may overlap; overlapping ones are treated as one.
    The pattern must be provably bounded, see `detectors.patterns` for the rule.
    `PatternDetector("badge", "[0-9]{6}", near=["badge", "employee"])` finds numbers
    only behind one of the words.
    """

    def __init__(
        self,
        name: str,
        pattern: str | re.Pattern[str],
        validate: Callable[[str], bool] | None = None,
        *,
        near: Sequence[str] = (),
        sharp: bool = False,
    ) -> None:
        """Check and compile the pattern.

        Args:
            name: The type of the values: lower case letters, digits and `_`.
            pattern: What the values look like.
            validate: Says whether a match is a value, such as by a checksum.
            near: Words in lower case; a match is a value only where one of them stands
                alone in the `LOOKBACK` characters before it.
            sharp: Whether a stream tries from every start how far the pattern goes. It
                costs more than to ask for the characters of the values, but where these
                are those of all prose only so a stream flows.

        Raises:
            ConfigurationError: When the pattern is invalid or not provably bounded, or
                another argument is of no use.
        """
        self._name = check_name(name)
        self._regex = _compile(pattern)
        self._shape = replace(prove(self._regex), sharp=sharp)
        if validate is not None and not callable(validate):
            msg = f"validate must be a callable from text to bool, got {validate!r}"
            raise ConfigurationError(msg)
        self._validate = validate
        self._near = _compile_near(near)

    @property
    def name(self) -> str:
        """The type of the values."""
        return self._name

    @property
    def shapes(self) -> Sequence[Shape]:
        """What is proven of the pattern."""
        return (self._shape,)

    def find(self, text: str) -> Iterator[Place]:
        """Find the values.

        Args:
            text: The text.

        Yields:
            Where they are.
        """
        for start, end in self.matches(text):
            yield from self.refine(text, start, end)

    def matches(self, text: str) -> Iterator[Place]:
        """Find what the pattern matches, from every start.

        Args:
            text: The text.

        Yields:
            Where the matches are, not yet refined.
        """
        if not all(literal in text for literal in self._shape.required):
            return
        match = self._regex.search(text)
        while match is not None:
            yield match.span()
            match = self._regex.search(text, match.start() + 1)

    def refine(self, text: str, start: int, end: int) -> Iterable[Place]:
        """Narrow a match down to the values in it.

        Args:
            text: The text. Only the match, the `LOOKBACK` characters before it and one
                after it may be looked at.
            start: Where the match starts.
            end: Where it ends.

        Returns:
            The values, each inside the match.
        """
        if self._near and not self._near.search(before(text, start)):
            return []
        if self._validate and not self._validate(text[start:end]):
            return []
        return [(start, end)]


class AnyOf:
    """Finds what any of several detectors finds, under one name."""

    def __init__(self, name: str, parts: Sequence[PatternDetector]) -> None:
        """Join detectors.

        Args:
            name: The type of the values.
            parts: The detectors, whose own names do not matter.
        """
        self._name = name
        self._parts = tuple(parts)
        # Most parts need what few texts have: asking each of them would cost more than
        # all the rest of a look at a few words.
        self._needs = tuple((_longest_literal(part), part) for part in parts)

    @property
    def name(self) -> str:
        """The type of the values."""
        return self._name

    @property
    def shapes(self) -> Sequence[Shape]:
        """The shapes of all parts."""
        return [shape for part in self._parts for shape in part.shapes]

    def find(self, text: str) -> Iterator[Place]:
        """Find the values of every part.

        Args:
            text: The text.

        Yields:
            Where they are.
        """
        for needs, part in self._needs:
            if needs in text:
                yield from part.find(text)


def _longest_literal(part: PatternDetector) -> str:
    """Return what all that a detector finds has in it; empty where nothing is."""
    (shape,) = part.shapes
    return max(shape.required, key=len, default="")


def is_mixed(value: str) -> bool:
    """Whether there are both letters and digits, as in what is random."""
    return bool(_DIGIT.search(value) and _LETTER.search(value))


def is_wordy(value: str) -> bool:
    """Whether a value is made of words and numbers: `how-to-use-oauth2-in-2024`.

    Args:
        value: A key or a part of a link.

    Returns:
        Whether it has at least three parts, all of them words or numbers but for one
        short one.
    """
    parts = re.split("[-_.~%]", value[:_ENOUGH])
    others = [part for part in parts if not _WORD.fullmatch(part)]
    return (
        len(parts) > _FEW_PARTS
        and len(others) < _FEW_PARTS
        and all(_SHORT_PART.fullmatch(part) for part in others)
    )


_DIGIT = re.compile("[0-9]")
_LETTER = re.compile("[A-Za-z]")
_ENOUGH = 128
_FEW_PARTS = 2
_WORD = re.compile("[A-Z]?[a-z]*|[A-Z]+|[0-9]{1,8}")
_SHORT_PART = re.compile("[a-z0-9]{2,7}")


def _compile_near(words: Sequence[str]) -> re.Pattern[str] | None:
    textual = all(isinstance(word, str) and word.strip() for word in words)
    if isinstance(words, str) or not textual:
        msg = f"near must be a list of words such as ['badge'], got {words!r}"
        raise ConfigurationError(msg)
    if any(word != word.lower() or len(word) >= LOOKBACK for word in words):
        msg = (
            f"near words are looked for in lower case within {LOOKBACK} characters, "
            f"got {words!r}"
        )
        raise ConfigurationError(msg)
    names = "|".join(re.escape(word.strip()) for word in words)
    return re.compile(rf"(?<!\w)(?:{names})(?!\w)") if words else None


def _compile(pattern: str | re.Pattern[str]) -> re.Pattern[str]:
    if isinstance(pattern, re.Pattern) and isinstance(pattern.pattern, str):
        return pattern
    if not isinstance(pattern, str):
        msg = f"a pattern must be text or compiled from text, got {pattern!r}"
        raise ConfigurationError(msg)
    try:
        return re.compile(pattern)
    except re.error as error:
        problem = str(error)
    msg = f"pattern {pattern!r} is not a regular expression: {problem}"
    raise ConfigurationError(msg)
