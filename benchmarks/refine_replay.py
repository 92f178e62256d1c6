"""Recorded refinements, played back: what the policy alone is worth.

The recordings are runs of the self-refine code that make a restaurant review "Very
positive": every attempt with its text, the score its model gave it in words, and the
feedback. The draft is attempt 0, the k-th revision is attempt k, and the judge answers
for each text what was recorded for it. So a policy can only choose when to stop and
which attempt to return.

- `last`: the recorded policy: every attempt is made, the last is returned. It pays
  three calls an attempt (rewrite, feedback, score).
- `best`: the same attempts and calls, but the best score is returned.
- `ours`: `RefineChain(accept="score")`: one call a draft, one a critique, and a
  second where the judge's answer cannot be read.
"""

import gzip
import json
import re
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refine_script import as_asked, is_critique, section, verdict

from langchain_prodpatterns.refine import Criteria, RefineChain, RefineResult, Score
from langchain_prodpatterns.testing import ScriptedChatModel, ScriptedRequest

MODELS = ("gpt4", "chatgpt", "dv3")
LABELS = ("very negative", "negative", "neutral", "positive", "very positive")
TARGET = len(LABELS)
CALLS_AN_ATTEMPT = 3

_LABEL = re.compile(rf"sentiment is ({'|'.join(LABELS)})\b", re.IGNORECASE)


@dataclass(frozen=True)
class Attempt:
    """One recorded attempt."""

    text: str
    """What was written."""
    score_text: str
    """The score, as its model worded it."""

    @property
    def mark(self) -> int | None:
        """The recorded score from 1 to 5, or nothing where the words hold none."""
        found = _LABEL.search(self.score_text)
        return LABELS.index(found.group(1).lower()) + 1 if found else None


@dataclass(frozen=True)
class Chosen:
    """What a policy returned for one item, and what it took."""

    mark: int | None
    """The recorded score of the attempt."""
    calls: int
    """Model calls."""


class Recording:
    """Plays one recorded item back as the drafter, the reviser and the judge."""

    def __init__(self, attempts: list[Attempt]) -> None:
        self._attempts = attempts
        self._next = 0
        self.model = ScriptedChatModel(respond=self._respond)

    def _respond(self, request: ScriptedRequest) -> Any:
        prompt = request.prompt_text
        if is_critique(prompt):
            return judged(prompt, self.find(section(prompt, "draft")))
        attempt = self._attempts[self._next]
        self._next += 1
        return as_asked(prompt, attempt.text)

    def find(self, text: str) -> Attempt:
        """Find the first attempt with a text."""
        return next(entry for entry in self._attempts if entry.text == text)


def judged(prompt: str, attempt: Attempt) -> Any:
    """Answer with the recorded mark, or with the recorded words that hold none."""
    if attempt.mark is None:
        return attempt.score_text
    return verdict(prompt, marks=[attempt.mark], feedback="more")


def load(path: Path) -> list[list[Attempt]]:
    """Read the items of a recording, each a list of attempts."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [
        [Attempt(a["output"] or "", a["score_text"] or "") for a in row["attempts"]]
        for row in rows
    ]


def last(attempts: list[Attempt]) -> Chosen:
    """Make every attempt and return the last."""
    return Chosen(attempts[-1].mark, CALLS_AN_ATTEMPT * len(attempts))


def best(attempts: list[Attempt]) -> Chosen:
    """Make every attempt and return the best."""
    top = max(attempts, key=lambda attempt: attempt.mark or 0)
    return Chosen(top.mark, CALLS_AN_ATTEMPT * len(attempts))


def ours(attempts: list[Attempt]) -> Chosen:
    """Let the chain choose."""
    recording = Recording(attempts)
    chain = RefineChain(
        recording.model,
        critics=[Criteria("very positive")],
        accept="score",
        max_rounds=max(1, len(attempts) - 1),
        include_rounds=True,
    )
    result: RefineResult = chain.invoke("rewrite the review")
    return Chosen(recording.find(result.best.text).mark, result.usage.calls)


POLICIES: dict[str, Callable[[list[Attempt]], Chosen]] = {
    "RefineChain": ours,
    "take the last": last,
    "take the best": best,
}


def at_target(chosen: Iterable[Chosen]) -> float:
    """Return the share of items that end at the best mark."""
    return statistics.fmean(entry.mark == TARGET for entry in chosen)


@dataclass
class Readings:
    """How the chain took the recorded score texts."""

    texts: int = 0
    """How many there are."""
    numbers: int = 0
    """Marks in the judge's JSON, of those texts with a label, read as exactly that."""
    unscored: int = 0
    """Texts without a label for an answer, which are no number and say so."""
    raw: int = 0
    """All texts for an answer, labels in prose included: as before, none is guessed."""


def read_scores(items: Iterable[list[Attempt]]) -> Readings:
    """Have the chain read every recorded score text."""
    readings = Readings()
    for attempt in (attempt for attempts in items for attempt in attempts):
        readings.texts += 1
        readings.raw += _unscored(_score(attempt, typed=False))
        score = _score(attempt, typed=True)
        if attempt.mark is None:
            readings.unscored += _unscored(score)
        else:
            readings.numbers += score.value == (attempt.mark - 1) / (TARGET - 1)
    return readings


def _unscored(score: Score) -> bool:
    return score.value is None and score.note != ""


def _score(attempt: Attempt, *, typed: bool) -> Score:
    def respond(request: ScriptedRequest) -> Any:
        return judged(request.prompt_text, attempt) if typed else attempt.score_text

    chain = RefineChain(
        reviser=lambda request: request.draft,
        critics=[Criteria("very positive", model=ScriptedChatModel(respond=respond))],
        accept="score",
        max_rounds=1,
        include_rounds=True,
    )
    result: RefineResult = chain.invoke("draft")
    [score] = result.rounds[0].scores
    return score
