"""From a text to a validated value, or to what is wrong with it. No model is called.

Strict first: what is valid JSON is read once, by pydantic's own parser. Only then is
the text searched for JSON, and one span that was found is mended. Nothing is invented:
a missing field stays missing, and what breaks off is never closed and accepted; and
nothing is lost: what mending would drop makes the answer malformed.
"""

import re
from dataclasses import replace
from typing import Any, Literal

from pydantic_core import from_json

from langchain_prodpatterns.fencing import bare_reply
from langchain_prodpatterns.structured.attempts import FieldError, Reading
from langchain_prodpatterns.structured.candidates import (
    Candidate,
    Found,
    find_candidates,
)
from langchain_prodpatterns.structured.mending import (
    MAX_MENDED,
    MAX_MENDED_DEPTH,
    UnmendableError,
    mend,
    without_sound_texts,
)
from langchain_prodpatterns.structured.relaxed import (
    ElidedError,
    InexactError,
    Parsed,
    parse,
    text_of,
)
from langchain_prodpatterns.structured.target import (
    MisfitError,
    NotJsonError,
    Target,
)

Prefer = Literal["first", "last"]
"""Which of several valid objects in one text is the answer."""

MAX_TRIED = 64
"""Spans of one text that are validated."""

_THOUGHTS, _END_OF_THOUGHTS = "<think>", "</think>"
_ESCAPED = re.compile(r"""[{\[]\s*+\\["']""")
_BEFORE_A_VALUE = {"", "\n", ":", "=", ">", "-", "`", "("}

EXTRACTED = "taken out of the text around it"
UNWRAPPED = "read from a JSON string"
BARE = "taken as a plain text without quotes"
RECASED = "matched without regard to case"
MENDED = "malformed JSON mended"

ELIDED = "the answer leaves something out, by an ellipsis or a comment in a list"


def read(text: str, target: Target, prefer: Prefer = "last") -> Reading:
    """Read a text as a value of the target.

    Args:
        text: The raw text of a model.
        target: What it has to be.
        prefer: Which of several valid values counts.

    Returns:
        The value, or what is wrong.
    """
    text = _encodable(text)
    if not text.lstrip().startswith(_THOUGHTS):
        return _read(text, target, prefer)
    if _END_OF_THOUGHTS not in text:
        return _broken_off(target)
    reading = _read(bare_reply(text), target, prefer)
    repairs = dict.fromkeys((EXTRACTED, *reading.repairs))
    return replace(reading, repairs=tuple(repairs))


def _read(text: str, target: Target, prefer: Prefer) -> Reading:
    """Read an answer without the thoughts before it."""
    try:
        return Reading("ok", target.validate_json(text))
    except MisfitError as error:
        misfit = _misfit(error)
    except NotJsonError:
        if target.takes_any_text:
            return _accept(target, text, BARE)
        return _search(text, target, prefer)
    return _unwrap(text, target) or misfit


def _search(text: str, target: Target, prefer: Prefer) -> Reading:
    """Look for the value in a text that is more, or less, than JSON."""
    found = find_candidates(text)
    if found.unreadable:
        return _syntax(target, f"the answer cannot be read: {found.unreadable}")
    if found.broken_off and (prefer == "last" or not found.candidates):
        # What comes after the last complete object replaces it, and is not all there.
        return _broken_off(target)
    if not found.candidates:
        return _bare(text, target)
    return _try_each(text, found, target, prefer)


def _try_each(text: str, found: Found, target: Target, prefer: Prefer) -> Reading:
    """Take the first span that is valid as it is, or mend one."""
    candidates = _ordered(text, found, target, prefer)
    failed: list[MisfitError | NotJsonError] = []
    for candidate in candidates:
        try:
            value = target.validate_json(text[candidate.start : candidate.end])
        except (MisfitError, NotJsonError) as error:
            failed.append(error)
        else:
            return Reading("ok", value, repairs=(EXTRACTED,))
    if found.broken_off:
        return _broken_off(target)
    chosen = _choose(text, candidates, target)
    return _mend(text, candidates[chosen], failed[chosen], target)


def _ordered(
    text: str, found: Found, target: Target, prefer: Prefer
) -> list[Candidate]:
    """Order the spans: the preferred first, without what is about something else."""
    spans = list(found.candidates if prefer == "first" else found.candidates[::-1])
    objects = {span for span in spans if text[span.start] == "{"}
    named = {span for span in objects if _has_property(text, span, target)}
    if named:
        # An object with none of the properties is no answer beside one that has some.
        spans = [span for span in spans if span in named or span not in objects]
    spans.sort(key=lambda span: _is_reference(text, span))
    return spans[:MAX_TRIED]


def _has_property(text: str, span: Candidate, target: Target) -> bool:
    pattern = target.key_pattern
    return pattern is None or bool(pattern.search(text, span.start, span.end))


def _is_reference(text: str, span: Candidate) -> bool:
    """Whether a span is a mark in a sentence, such as `see [1]`."""
    number = text[span.start + 1 : span.end - 1]
    before = text[max(0, span.start - 2) : span.start].rstrip(" ")
    in_sentence = before[-1:] not in _BEFORE_A_VALUE
    return text[span.start] == "[" and number.isdecimal() and in_sentence


def _choose(text: str, ordered: list[Candidate], target: Target) -> int:
    """Choose the one span to mend: of the kind that is wanted, where there is one."""
    wanted = (at for at, one in enumerate(ordered) if text[one.start] in target.wants)
    return next(wanted, 0)


def _mend(
    text: str,
    candidate: Candidate,
    error: MisfitError | NotJsonError,
    target: Target,
) -> Reading:
    """Mend one span that is malformed, or say how it does not fit."""
    if isinstance(error, MisfitError):
        return _misfit(error, EXTRACTED)
    try:
        exact = _exact(text, candidate)
    except ElidedError:
        return _elided(target)
    except InexactError:
        return _guess(text, candidate, str(error), target)
    repairs = _repairs(text, candidate.start, exact.end)
    return _accept(target, exact.data, *repairs)


def _exact(text: str, candidate: Candidate) -> Parsed:
    """Read a span, of which every quote may be escaped as in a text of JSON.

    Raises:
        InexactError: When that takes guessing.
        ElidedError: When the span says that it leaves something out.
    """
    if _ESCAPED.match(text, candidate.start):
        unescaped = text_of(f'"{text[candidate.start : candidate.end]}"')
        exact = parse(unescaped)
        whole = exact.end == len(unescaped)
        exact = replace(exact, end=candidate.end)
    else:
        exact = parse(text, candidate.start)
        whole = True
    if not whole or _goes_on(text[exact.end :]):
        raise InexactError
    return exact


def _guess(text: str, candidate: Candidate, complaint: str, target: Target) -> Reading:
    """Mend one span by a repair that guesses, and is checked."""
    end = _guess_end(text, candidate)
    if end is None:
        return _broken_off(target)
    span = text[candidate.start : end]
    if len(span) > MAX_MENDED or candidate.depth > MAX_MENDED_DEPTH:
        return _syntax(target, complaint)
    if _lacks_closing(span):
        return _broken_off(target)
    try:
        data = mend(span)
    except UnmendableError:
        return _syntax(target, complaint)
    except ElidedError:
        return _elided(target)
    repairs = _repairs(text, candidate.start, end)
    return _accept(target, data, *repairs)


def _repairs(text: str, start: int, end: int) -> tuple[str, ...]:
    whole = not text[:start].strip() and not text[end:].strip()
    return (MENDED,) if whole else (EXTRACTED, MENDED)


def _goes_on(rest: str) -> bool:
    """Whether a text goes on like JSON: its object ended only by a bad quote."""
    rest = rest.lstrip()
    begins_so = rest.startswith((",", '"', "'", ":"))
    return begins_so and any(mark in rest[1:] for mark in ('"', "':", "',"))


def _guess_end(text: str, candidate: Candidate) -> int | None:
    """Return where a badly quoted span ends; `None` where it breaks off after all."""
    if not _goes_on(text[candidate.end :]):
        return candidate.end
    closing = "}" if text[candidate.start] == "{" else "]"
    end = text.rfind(closing, candidate.end)
    return None if end < 0 else end + 1


def _lacks_closing(span: str) -> bool:
    """Whether a malformed span breaks off: it has an opening bracket more.

    In a text that is badly quoted, nobody can tell which bracket closes the span; those
    in sound texts do not count.
    """
    rest = without_sound_texts(span)
    return any(rest.count(one) > rest.count(other) for one, other in ("{}", "[]"))


def _bare(text: str, target: Target) -> Reading:
    """Read a text without any bracket: a word or a number, perhaps in a fence."""
    word = _unfenced(text)
    value = _read_scalar(word, target, () if word == text.strip() else (EXTRACTED,))
    if value is not None:
        return value
    if target.takes_text and word:
        return _read_word(_unquoted(word), target)
    return _syntax(target, "the answer holds no JSON")


def _read_scalar(word: str, target: Target, repairs: tuple[str, ...]) -> Reading | None:
    """Read a value of JSON without brackets, also a text with raw line breaks."""
    try:
        return Reading("ok", target.validate_json(word), repairs=repairs)
    except (NotJsonError, MisfitError):
        pass
    # Other quotes do not say that JSON is meant: prose has them too.
    if not word.startswith('"'):
        return None
    try:
        exact = parse(word)
    except InexactError:
        return None
    if exact.end < len(word):
        return None
    reading = _accept(target, exact.data, *repairs, MENDED)
    return reading if reading.kind == "ok" else None


def _read_word(word: str, target: Target) -> Reading:
    """Read a bare word; a member of an enum also in another case."""
    reading = _accept(target, word, BARE)
    if reading.kind == "ok":
        return reading
    same = [known for known in target.words if known.casefold() == word.casefold()]
    return _accept(target, same[0], BARE, RECASED) if len(same) == 1 else reading


def _unfenced(text: str) -> str:
    word = text.strip()
    if not (word.startswith("```") and word.endswith("```") and "\n" in word):
        return word
    return word[word.index("\n") : -3].strip()


def _unquoted(word: str) -> str:
    for mark in ("**", "`", '"', "'"):
        if len(word) > 2 * len(mark) and word.startswith(mark) and word.endswith(mark):
            return word[len(mark) : -len(mark)].strip()
    return word


def _unwrap(text: str, target: Target) -> Reading | None:
    """Read a JSON string that holds the JSON, or is a text that is a value as it is."""
    if target.takes_any_text:
        return _accept(target, text, BARE)
    if not text.lstrip().startswith('"'):
        return None
    try:
        return Reading(
            "ok", target.validate_json(from_json(text)), repairs=(UNWRAPPED,)
        )
    except (MisfitError, NotJsonError):
        return None


def _accept(target: Target, data: Any, *repairs: str) -> Reading:
    """Validate what had to be repaired."""
    try:
        value = target.validate(data)
    except MisfitError as error:
        return _misfit(error, *repairs)
    except NotJsonError as error:
        return _syntax(target, str(error))
    return Reading("ok", value, repairs=repairs)


def _misfit(error: MisfitError, *repairs: str) -> Reading:
    return Reading("schema", None, error.errors, repairs, error.__cause__)


def _syntax(target: Target, message: str) -> Reading:
    return Reading("syntax", errors=(_problem(target, message),))


def _elided(target: Target) -> Reading:
    return Reading("truncated", errors=(_problem(target, ELIDED),))


def _broken_off(target: Target) -> Reading:
    message = "the answer breaks off before its JSON is complete"
    return Reading("truncated", errors=(_problem(target, message),))


def _problem(target: Target, message: str) -> FieldError:
    return target.error((), message, with_value=False)


def _encodable(text: str) -> str:
    """Replace lone surrogates, which no JSON parser takes."""
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode()
