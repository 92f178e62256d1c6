"""Pairs of questions: labeled ones, or those that a cache would have come upon."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from langchain_prodpatterns.cache.calibration import LabeledPair
from langchain_prodpatterns.cache.steps import unit_vector
from langchain_prodpatterns.commands.calibrate_langsmith import (
    answer_of,
    check_run,
    is_run,
    question_of,
)
from langchain_prodpatterns.commands.calibrate_rows import text_of, yes_or_no
from langchain_prodpatterns.errors import ConfigurationError

_BLOCK = 256


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of a trace, and how it was answered."""

    question: str
    """The question."""
    answer: str = ""
    """The answer, as far as it is known."""


Row: TypeAlias = LabeledPair | Asked
"""What `calibrate cache` reads."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Near pairs in traces, in the order of the traces."""

    pairs: tuple[LabeledPair, ...]
    """Each question with the nearest earlier one; nobody knows yet whether they have
    one answer."""
    questions: int
    """How many questions there were."""
    repeated: int
    """How many of them had been asked word for word."""


def read_row(fields: Mapping[str, Any]) -> Row:
    """Read a labeled pair, a question, or a run of LangSmith's.

    Raises:
        BadRow: When it is none of these.
        LeftOut: When it is a run that shows nothing.
    """
    if is_run(fields):
        check_run(fields)
        return Asked(question_of(fields), answer_of(fields))
    answer = fields.get("answer")
    known = answer if isinstance(answer, str) else ""
    if "question" in fields:
        return Asked(text_of(fields, "question"), known)
    return LabeledPair(
        text_of(fields, "new_question"),
        text_of(fields, "stored_question"),
        yes_or_no(fields, "same_answer"),
        known,
    )


def known_by(row: Row) -> Hashable:
    """Return by what a labeled pair is known when it comes again.

    A question that comes again is not left out: how often that is, is counted.
    """
    return row if isinstance(row, LabeledPair) else None


def sorted_rows(rows: Sequence[Row]) -> tuple[list[LabeledPair], list[Asked]]:
    """Return the labeled pairs, or the questions.

    Raises:
        ConfigurationError: When there are both.
    """
    pairs = [row for row in rows if isinstance(row, LabeledPair)]
    asked = [row for row in rows if isinstance(row, Asked)]
    if pairs and asked:
        msg = (
            f"there are {len(pairs)} labeled pairs and {len(asked)} questions without "
            "labels: calibrate on the ones or the others"
        )
        raise ConfigurationError(msg)
    return pairs, asked


def propose(
    asked: Sequence[Asked], vectors: Sequence[Sequence[float]], least: float
) -> Proposal:
    """Pair each question with the nearest of those that came before it.

    As a cache does that has stored every answer.

    Args:
        asked: The questions in the order in which they came.
        vectors: A vector each.
        least: The cosine below which a pair is not near.
    """
    # Of a question that comes again a cache serves the answer: it is stored once.
    first = {one.question: at for at, one in reversed(list(enumerate(asked)))}
    places = sorted(first.values())
    units = np.stack([_unit(vectors[at]) for at in places])
    pairs = []
    for start in range(0, len(places), _BLOCK):
        block = units[start : start + _BLOCK] @ units[: start + _BLOCK].T
        for row, cosines in enumerate(block):
            earlier = cosines[: start + row]
            if earlier.size and earlier.max() >= least:
                new, stored = places[start + row], places[int(earlier.argmax())]
                pairs.append(_pair(asked[new], asked[stored]))
    return Proposal(tuple(pairs), len(asked), len(asked) - len(places))


def _pair(new: Asked, stored: Asked) -> LabeledPair:
    return LabeledPair(
        new.question, stored.question, same_answer=False, stored_answer=stored.answer
    )


def _unit(vector: Sequence[float]) -> Any:
    found = unit_vector(vector)
    # What has no direction is like nothing.
    return np.zeros(len(vector), np.float32) if found is None else found
