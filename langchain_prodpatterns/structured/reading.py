"""From a text to a validated value, or to what is wrong with it. No model is called.

Strict first: what is valid JSON is read once, by pydantic's own parser. Only then is
the text searched for values, and what was found is brought into the form that the
schema asks for. Nothing is invented: a missing field stays missing, and what breaks off
is never closed and accepted. Only where a schema demands nothing is there nothing to
complete: then an answer that breaks off is read as far as it goes, and said to.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from pydantic_core import from_json

from langchain_prodpatterns.fencing import bare_reply
from langchain_prodpatterns.structured.attempts import FieldError, Reading
from langchain_prodpatterns.structured.candidates import (
    MAX_RELAXED,
    Candidate,
    Found,
    find_candidates,
)
from langchain_prodpatterns.structured.coercing import Fit, coerce
from langchain_prodpatterns.structured.forgiving import forgive
from langchain_prodpatterns.structured.mending import UnmendableError, mend
from langchain_prodpatterns.structured.prose import meaning_of
from langchain_prodpatterns.structured.target import (
    MisfitError,
    NotJsonError,
    Target,
)
from langchain_prodpatterns.structured.texts import (
    QUOTED_KEY,
    QUOTES,
    InexactError,
)

Prefer = Literal["first", "last"]
"""Which of several valid values in one text is the answer."""

MAX_TRIED = 64
"""Values of one text that are validated."""
MAX_REPAIRS = 20
"""Corrections of one answer that are told."""

_THOUGHTS, _END_OF_THOUGHTS = "<think>", "</think>"
_BEFORE_A_VALUE = {"", "\n", ":", "=", ">", "-", "`", "("}
_MORE_JSON = re.compile(rf"[{{\[]|{QUOTED_KEY}")
_BETWEEN_ITEMS = " \t\r\n,;"

_MALFORMED = "the JSON in the answer is malformed"

EXTRACTED = "taken out of the text around it"
BARE = "taken as a plain text without quotes"
NOTATION = "read in a notation that is not quite JSON"
MENDED = "malformed JSON mended"
GATHERED = "several values taken for one list"
CUT = "read as far as it goes: it breaks off"


def read(text: str, target: Target, prefer: Prefer = "last") -> Reading:
    """Read a text as a value of the target.

    Args:
        text: The raw text of a model.
        target: What it has to be.
        prefer: Which of several valid values counts.

    Returns:
        The value, or what is wrong.
    """
    text = encodable(text)
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
        value = target.validate_json(text)
    except MisfitError as error:
        return _refit(text, error, target)
    except NotJsonError:
        if target.takes_any_text:
            return _accept(target, text, BARE)
        return _search(text, target, prefer)
    return _refit(text, None, target) if target.reshapes else Reading("ok", value)


def _refit(text: str, error: MisfitError | None, target: Target) -> Reading:
    """Bring valid JSON into the form that is asked for."""
    if target.takes_any_text:
        return _accept(target, text, BARE)
    try:
        data = from_json(text)
    except ValueError as problem:
        # A number that is none, such as `-Infinity`, in a place that takes any.
        return _misfit(error, None) if error else _syntax(target, str(problem))
    failed = None if error is None else _misfit(error, data)
    return _accept(target, data, failed=failed)


def _search(text: str, target: Target, prefer: Prefer) -> Reading:
    """Look for the value in a text that is more, or less, than JSON."""
    found = find_candidates(text)
    if found.unreadable:
        return _syntax(target, f"the answer cannot be read: {found.unreadable}")
    if _is_cut(found, target, prefer):
        # What comes after the last complete object replaces it, and is not all there.
        return _broken_off(target)
    if not found.candidates:
        return _without_brackets(text, target)
    return _try_each(text, found, target, prefer)


def _is_cut(found: Found, target: Target, prefer: Prefer) -> bool:
    replaced = prefer == "last" or not found.whole
    return found.broken_off and replaced and not target.demands_nothing


def _try_each(text: str, found: Found, target: Target, prefer: Prefer) -> Reading:
    """Take the first value that is valid as it is, else one that can be made so."""
    ordered = _ordered(text, found, target, prefer)
    gathered = _gathered(text, found.candidates, target)
    if gathered is not None:
        return gathered
    failed: dict[int, Reading] = {}
    for candidate in ordered:
        if candidate.form != "malformed" and not target.reshapes:
            reading = _as_it_is(text, candidate, target)
            if reading.kind == "ok":
                return reading
            failed[candidate.start] = reading
    chosen = ordered[_choose(text, ordered, target)]
    complaints = []
    for candidate in [chosen, *(one for one in ordered if one is not chosen)]:
        known = failed.get(candidate.start)
        mending = candidate is chosen
        reading = _fitted(text, candidate, target, failed=known, mending=mending)
        if reading.kind == "ok":
            return reading
        complaints.append(reading)
    prose = meaning_of(text, target.json_schema) if target.is_scalar else None
    if prose is not None:
        return _accept(target, prose.value, EXTRACTED, prose.rule)
    return complaints[0]


def _as_it_is(text: str, candidate: Candidate, target: Target) -> Reading:
    """Validate a value as it is."""
    repairs = _repairs(text, candidate)
    return _validated(target, candidate.data, repairs)


def _fitted(
    text: str,
    candidate: Candidate,
    target: Target,
    *,
    failed: Reading | None,
    mending: bool,
) -> Reading:
    """Bring a value into the form that is asked for; one malformed span is mended."""
    if candidate.form != "malformed":
        repairs = _repairs(text, candidate)
        return _accept(target, candidate.data, *repairs, failed=failed)
    if candidate.broken_off and not target.demands_nothing:
        return _broken_off(target)
    if not mending or _is_part(text, candidate):
        return _syntax(target, _MALFORMED)
    try:
        data = mend(text[candidate.start : candidate.end])
    except UnmendableError:
        return _syntax(target, _MALFORMED)
    return _accept(target, data, *_repairs(text, candidate))


def _is_part(text: str, span: Candidate) -> bool:
    """Whether a malformed span may be a part only: there is more JSON around it."""
    outside = text[: span.start], text[span.end :]
    return any(_MORE_JSON.search(part) for part in outside)


def _repairs(text: str, candidate: Candidate) -> tuple[str, ...]:
    around = text[: candidate.start].strip() or text[candidate.end :].strip()
    told = {"json": (), "relaxed": (NOTATION,), "malformed": (MENDED,)}
    cut = (CUT,) if candidate.broken_off else ()
    return ((EXTRACTED,) if around else ()) + told[candidate.form] + cut


def _gathered(
    text: str, candidates: Sequence[Candidate], target: Target
) -> Reading | None:
    """Take several values for the items of a list.

    Where a list is asked for, each object is an item, unless there is a list as well;
    where nothing is, only values with nothing but commas between them.
    """
    if len(candidates) <= 1 or not target.takes_list:
        return None
    if any(one.form == "malformed" or one.broken_off for one in candidates):
        return None
    if target.demands_nothing:
        if any(map(_without_comments, _gaps(text, candidates))):
            return None
    elif any(text[one.start] == "[" for one in candidates):
        return None
    filled = [one.data for one in candidates if one.data]
    if len(filled) == 1:
        return None
    items = filled or [one.data for one in candidates]
    reading = _accept(target, items, NOTATION, GATHERED)
    return reading if reading.kind == "ok" else None


def _gaps(text: str, candidates: Sequence[Candidate]) -> list[str]:
    """Return what stands between values, and after the last one."""
    starts = [*(one.start for one in candidates[1:]), len(text)]
    return [
        text[one.end : start] for one, start in zip(candidates, starts, strict=True)
    ]


def _without_comments(gap: str) -> str:
    kept = [
        line for line in gap.split("\n") if not line.strip().startswith(("/*", "//"))
    ]
    return "".join(kept).strip(_BETWEEN_ITEMS)


def _ordered(
    text: str, found: Found, target: Target, prefer: Prefer
) -> list[Candidate]:
    """Order the values: the preferred first, without what is about something else."""
    ordered = list(found.candidates if prefer == "first" else found.candidates[::-1])
    objects = [one for one in ordered if text[one.start] == "{"]
    foreign = {one.start for one in objects if not _has_property(text, one, target)}
    if len(foreign) < len(objects):
        # An object with none of the properties is no answer beside one that has some.
        ordered = [one for one in ordered if one.start not in foreign]
    ordered.sort(key=lambda one: (_is_reference(text, one), _is_empty(one)))
    return ordered[:MAX_TRIED]


def _is_empty(candidate: Candidate) -> bool:
    return candidate.form != "malformed" and not candidate.data


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
    """Choose the one to mend: of the kind that is wanted, where there is one."""
    wanted = (at for at, one in enumerate(ordered) if text[one.start] in target.wants)
    return next(wanted, 0)


def _without_brackets(text: str, target: Target) -> Reading:
    """Read a text without any bracket: a word or a number, perhaps in a fence."""
    word = unfenced(text)
    around = () if word == text.strip() else (EXTRACTED,)
    if word[:1] in QUOTES or target.demands_nothing or word[:1] == "(":
        reading = _read_root(word, target, around)
        if reading is not None:
            return reading
    if word:
        meaning = meaning_of(word, target.json_schema)
        if meaning is not None:
            return _accept(target, meaning.value, *around, meaning.rule)
        if target.takes_text:
            return _accept(target, word, BARE)
    return no_json(target)


def _read_root(word: str, target: Target, around: tuple[str, ...]) -> Reading | None:
    """Read a whole answer as one value without brackets, in another notation."""
    if len(word) > MAX_RELAXED or (word[:1] not in QUOTES and "\n" in word.strip()):
        return None
    try:
        parsed = forgive(word)
    except InexactError:
        return None
    if word[parsed.end :].strip(_BETWEEN_ITEMS):
        return None
    if parsed.broken_off and not target.demands_nothing:
        # A word in quotes may also begin a sentence.
        return _broken_off(target) if word.count('"') == 1 else None
    cut = (CUT,) if parsed.broken_off and word[0] in QUOTES else ()
    reading = _accept(target, parsed.data, *around, NOTATION, *cut)
    return reading if reading.kind == "ok" else None


def unfenced(text: str) -> str:
    """Take a whole text out of the fence that it may stand in."""
    word = text.strip()
    if not (word.startswith("```") and word.endswith("```") and "\n" in word):
        return word
    return word[word.index("\n") : -3].strip()


def _accept(
    target: Target, data: Any, *repairs: str, failed: Reading | None = None
) -> Reading:
    """Bring what was read into the form that is asked for, and validate it.

    What `failed` as it is, is not validated again where there is nothing to correct.
    """
    fit = coerce(data, target.json_schema, named_only=target.named_only)
    if failed is not None and not fit.corrections:
        return failed
    told_of = tuple(dict.fromkeys((*repairs, *told(fit, target))))
    return _validated(target, fit.data, told_of)


def _validated(target: Target, data: Any, repairs: tuple[str, ...]) -> Reading:
    try:
        value = target.validate(data)
    except MisfitError as error:
        return _misfit(error, data, *repairs)
    except NotJsonError as error:
        return _syntax(target, str(error))
    return Reading("ok", value, repairs=repairs)


def told(fit: Fit, target: Target) -> list[str]:
    """Say what was changed of the form, without any text of the model.

    Args:
        fit: The value with its corrections.
        target: What it has to be.

    Returns:
        A line for each correction, with the path where it has one.
    """
    return [
        f"{where}: {one.rule}" if (where := target.shown(one.path)) else one.rule
        for one in fit.corrections[:MAX_REPAIRS]
    ]


def no_json(target: Target) -> Reading:
    """Say that a text holds no value."""
    return _syntax(target, "the answer holds no JSON")


def _misfit(error: MisfitError, data: Any, *repairs: str) -> Reading:
    cause = error.__cause__
    return Reading("schema", None, error.errors, repairs, cause, data)


def _syntax(target: Target, message: str) -> Reading:
    return Reading("syntax", errors=(_problem(target, message),))


def _broken_off(target: Target) -> Reading:
    message = "the answer breaks off before its JSON is complete"
    return Reading("truncated", errors=(_problem(target, message),))


def _problem(target: Target, message: str) -> FieldError:
    return target.error((), message, with_value=False)


def encodable(text: str) -> str:
    """Join the halves of surrogate pairs, and replace lone ones: no parser takes them.

    Halves stand apart where a provider cut a pair in two between its chunks.
    """
    if text.isascii():
        return text
    joined = text.encode("utf-16-le", "surrogatepass")
    text = joined.decode("utf-16-le", "surrogatepass")
    return text.encode("utf-8", "replace").decode()
