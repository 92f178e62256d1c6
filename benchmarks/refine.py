"""What the policy of `RefineChain` is worth, replayed on recorded refinements.

The recordings are runs of the self-refine code that make a restaurant review "Very
positive": every attempt with its text, the score its model gave it in words, and the
feedback. A scripted model plays them back: the draft is attempt 0, the k-th revision is
attempt k, and the judge answers for each text what was recorded for it. So a policy can
only choose when to stop and which attempt to return.

- `last`: the recorded policy: every attempt is made, the last is returned. It pays
  three calls an attempt (rewrite, feedback, score).
- `best`: the same attempts and calls, but the best score is returned.
- `ours`: `RefineChain(accept="score")`: one call a draft, one a critique, and a
  second where the judge's answer cannot be read.

Scripted models measure the policy, not the model: nothing here says how good answers
are, and a revision of the best draft might have read differently from the recorded one,
which was made from the attempt before. The pairwise judge is not replayed, since no
comparison was recorded.

The data is looked for in `PRODPATTERNS_SHARED`, by default `../shared`.
"""

import argparse
import gzip
import json
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableLambda
from shared_data import SHARED

from langchain_prodpatterns.refine import (
    Criteria,
    CriteriaRequest,
    RefineChain,
    RefineResult,
)
from langchain_prodpatterns.testing import ScriptedChatModel, ScriptedRequest

MODELS = ("gpt4", "chatgpt", "dv3")
LABELS = ("very negative", "negative", "neutral", "positive", "very positive")
TARGET = len(LABELS)
CALLS_AN_ATTEMPT = 3
OVERHEAD_GOAL_MS = 1.0
CRITERIA = 6

_LABEL = re.compile(rf"sentiment is ({'|'.join(LABELS)})\b", re.IGNORECASE)
_NONCE = re.compile(r'"nonce" set to "(\w+)"')
_DRAFT = re.compile(r"<<\w+ draft>>\n(.*?)\n<<end \w+ draft>>", re.DOTALL)


@dataclass(frozen=True)
class Attempt:
    """One recorded attempt."""

    text: str
    score_text: str

    @property
    def mark(self) -> int | None:
        """The recorded score from 1 to 5, or nothing where the words hold none."""
        found = _LABEL.search(self.score_text)
        return LABELS.index(found.group(1).lower()) + 1 if found else None


@dataclass(frozen=True)
class Chosen:
    """What a policy returned for one item, and what it took."""

    mark: int | None
    calls: int


class Recording:
    """Plays one recorded item back as the drafter, the reviser and the judge."""

    def __init__(self, attempts: list[Attempt]) -> None:
        self._attempts = attempts
        self._next = 0
        self.model = ScriptedChatModel(respond=self._respond)

    def _respond(self, request: ScriptedRequest) -> Any:
        if "Judge how well" in request.prompt_text:
            return self._judge(request)
        attempt = self._attempts[self._next]
        self._next += 1
        return attempt.text if self._next == 1 else {"revision": attempt.text}

    def _judge(self, request: ScriptedRequest) -> Any:
        prompt = request.prompt_text
        draft, nonce = _DRAFT.search(prompt), _NONCE.search(prompt)
        assert draft is not None  # noqa: S101 - the prompt is our own
        assert nonce is not None  # noqa: S101 - the same
        attempt = self.find(draft.group(1))
        if attempt.mark is None:
            return attempt.score_text
        return {"nonce": nonce.group(1), "marks": [attempt.mark], "feedback": "more"}

    def find(self, text: str) -> Attempt:
        """Find the first attempt with a text."""
        return next(entry for entry in self._attempts if entry.text == text)


def load(path: Path) -> list[list[Attempt]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [
        [Attempt(a["output"] or "", a["score_text"] or "") for a in row["attempts"]]
        for row in rows
    ]


def last(attempts: list[Attempt]) -> Chosen:
    return Chosen(attempts[-1].mark, CALLS_AN_ATTEMPT * len(attempts))


def best(attempts: list[Attempt]) -> Chosen:
    top = max(attempts, key=lambda attempt: attempt.mark or 0)
    return Chosen(top.mark, CALLS_AN_ATTEMPT * len(attempts))


def ours(attempts: list[Attempt]) -> Chosen:
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
    "last": last,
    "best": best,
    "ours": ours,
}


def at_target(chosen: Iterable[Chosen]) -> float:
    return statistics.fmean(entry.mark == TARGET for entry in chosen)


def print_policies(recorded: dict[str, list[list[Attempt]]]) -> None:
    print(f"{'recorded runs':<16}{'items':>7}  {'policy':<8}{'at target':>10}", end="")
    print(f"{'calls an item':>16}")
    for name, items in recorded.items():
        for policy, choose in POLICIES.items():
            chosen = [choose(attempts) for attempts in items]
            calls = statistics.fmean(entry.calls for entry in chosen)
            print(f"{name:<16}{len(items):>7}  {policy:<8}", end="")
            print(f"{at_target(chosen):>10.1%}{calls:>16.1f}")


def print_scores(recorded: dict[str, list[list[Attempt]]]) -> None:
    """Say how many recorded score texts hold a score, and that no other is guessed."""
    print(f"\n{'recorded score texts':<24}{'texts':>7}{'a label':>10}{'unscored':>10}")
    for name, items in recorded.items():
        marks = [attempt.mark for attempts in items for attempt in attempts]
        read = statistics.fmean(mark is not None for mark in marks)
        print(f"{name:<24}{len(marks):>7}{read:>10.1%}{1 - read:>10.1%}")
    print("(a text without a label is unscored: none is guessed)")


def longer(request: Any) -> str:
    return f"{request.draft}!"


def marks(request: Any) -> dict[str, list[int]]:
    """Mark one step higher a character, over criteria that have four steps each."""
    steps = len(request.draft)
    return {"marks": [1 + min(4, max(0, steps - 4 * n)) for n in range(CRITERIA)]}


def overhead_ms(repeats: int) -> tuple[int, float]:
    """Time a round beyond its own calls: a revision, a check and a judged criterion.

    Args:
        repeats: How many runs to time.

    Returns:
        The rounds of a run, each of them accepted, and the milliseconds a round.
    """
    reviser: RunnableLambda[Any, str] = RunnableLambda(longer)
    check: RunnableLambda[str, bool] = RunnableLambda(bool)
    judge: RunnableLambda[Any, dict[str, list[int]]] = RunnableLambda(marks)
    texts = [f"criterion {n}" for n in range(CRITERIA)]
    chain = RefineChain(
        reviser=reviser,
        critics=[check, Criteria(*texts, judge=judge, timeout=None)],
        accept="verifier>score",
        max_rounds=99,
        include_rounds=True,
    )
    rounds = len(chain.invoke("x").rounds)
    request = CriteriaRequest(task="", draft="x")

    def bare() -> None:
        for _ in range(rounds):
            reviser.invoke(request)
            check.invoke("x")
            judge.invoke(request)

    extra = [seconds(lambda: chain.invoke("x")) - seconds(bare) for _ in range(repeats)]
    return rounds, statistics.median(extra) / rounds * 1000


def seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=25, help="timed runs")
    options = parser.parse_args()
    paths = {
        name: SHARED / f"data/refine/trajectories_yelp_{name}.jsonl.gz"
        for name in MODELS
    }
    recorded = {name: load(path) for name, path in paths.items() if path.is_file()}
    if recorded:
        print_policies(recorded)
        print("(scripted models measure the policy, not the model)")
        print_scores(recorded)
    else:
        print(f"no recordings in {SHARED}: set PRODPATTERNS_SHARED", file=sys.stderr)
    rounds, measured = overhead_ms(options.repeats)
    print(f"\noverhead a round beyond its calls, over {rounds} rounds: ", end="")
    print(f"{measured:.2f} ms (goal: at most {OVERHEAD_GOAL_MS:.0f})")


if __name__ == "__main__":
    main()
