"""The questions of the cache's benchmark: read, grouped by answer, embedded once."""

import gzip
import json
import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from langchain_core.embeddings import Embeddings
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, Generation
from shared_data import SHARED

from langchain_prodpatterns.cache.calibration import LabeledPair
from langchain_prodpatterns.demo.embedding import find_local_embeddings

Vectors = npt.NDArray[np.float32]

SYSTEM = " ".join(
    f"Rule {number}: be helpful, precise, polite and brief in every answer."
    for number in range(25)
)
_HELD_OUT_INTENTS = 400


class Remembering(Embeddings):
    """Embeds each text once: the systems share the work."""

    def __init__(self, inner: Embeddings | None) -> None:
        self._inner = inner
        self._vectors: dict[str, Vectors] = {}

    def __getstate__(self) -> dict[str, Any]:
        # A model stays in its process; the vectors go along.
        return {**vars(self), "_inner": None}

    def embed_query(self, text: str) -> list[float]:
        """Embed one text."""
        return self.embed_documents([text])[0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts."""
        values: list[list[float]] = self.matrix(texts).tolist()
        return values

    def matrix(self, texts: Sequence[str]) -> Vectors:
        """Embed texts, a row each."""
        new = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        if new:
            if self._inner is None:
                msg = f"{len(new)} texts were not embedded beforehand"
                raise ValueError(msg)
            vectors = self._inner.embed_documents(new)
            self._vectors.update(zip(new, np.asarray(vectors, np.float32), strict=True))
        return np.stack([self._vectors[text] for text in texts])


def local_embeddings() -> Remembering:
    """Return MiniLM, or end the command where it is not on disk."""
    local = find_local_embeddings(SHARED)
    if local is None:
        sys.exit("no embeddings: install fastembed and set PRODPATTERNS_SHARED")
    return Remembering(local)


def read(name: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of a data set."""
    path = SHARED / "data" / "cache" / f"{name}.jsonl.gz"
    if not path.is_file():
        sys.exit(f"no data at {path}: set PRODPATTERNS_SHARED")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def prompt_of(*messages: BaseMessage) -> str:
    """Return what a chat model hands to its cache."""
    return dumps(list(messages))


def answer(text: str) -> list[Generation]:
    """Return an answer that says which question it was given to."""
    return [ChatGeneration(message=AIMessage(text))]


@dataclass(frozen=True)
class Traffic:
    """Questions to send through a cache, and what else is known of their kind."""

    name: str
    """What they are called in the table."""
    groups: dict[str, int]
    """The number of the answer, a question."""
    labeled: list[LabeledPair]
    """Pairs of other questions, to calibrate with."""
    partitions: int = 1
    """How many prompts the questions are asked under."""

    def shuffled(self, rng: random.Random) -> list[str]:
        """Return the questions in random order."""
        return rng.sample(sorted(self.groups), len(self.groups))

    def llm_string(self, text: str) -> str:
        """Return the parameters a question is asked with: those of its answer."""
        return f"[('model', 'm{self.groups[text] % self.partitions}')]"


def question_pairs(rows: int, rng: random.Random, partitions: int = 1) -> Traffic:
    """Take so many Quora pairs as traffic; the others are labeled pairs."""
    found = list(read("qqp_pairs"))
    rng.shuffle(found)
    groups = grouped(found[:rows])
    labeled = [
        LabeledPair(row["question_b"], row["question_a"], bool(row["label"]))
        for row in found[rows:]
        if row["question_a"] not in groups and row["question_b"] not in groups
    ]
    name = "Quora" if partitions == 1 else f"Quora in {partitions} partitions"
    return Traffic(name, groups, labeled, partitions)


def grouped(rows: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Number questions by the answer they share."""
    groups: dict[str, int] = {}
    members: dict[int, set[str]] = {}
    count = 0
    for row in rows:
        for text in (row["question_a"], row["question_b"]):
            if text not in groups:
                groups[text] = count
                members[count] = {text}
                count += 1
        kept, lost = groups[row["question_a"]], groups[row["question_b"]]
        if row["label"] and kept != lost:
            moved = members.pop(lost)
            members[kept] |= moved
            groups.update(dict.fromkeys(moved, kept))
    return groups


def intents(embeddings: Remembering, rng: random.Random) -> Traffic:
    """Take most utterances as traffic, and pair the others with what is near them."""
    numbers: dict[str, int] = {}
    groups = {
        row["text"]: numbers.setdefault(row["intent"], len(numbers))
        for row in read("intent_traffic")
    }
    held_out = rng.sample(sorted(groups), _HELD_OUT_INTENTS)
    vectors = embeddings.matrix(held_out)
    similarities = vectors @ vectors.T
    np.fill_diagonal(similarities, -1.0)
    labeled = [
        LabeledPair(text, held_out[near], groups[text] == groups[held_out[near]])
        for text, near in zip(held_out, similarities.argmax(axis=1), strict=True)
    ]
    streamed = {text: groups[text] for text in groups.keys() - set(held_out)}
    return Traffic("intents", streamed, labeled)


PromptPairs = list[tuple[str, str]]
"""What is stored, and what is asked then."""


def unrelated(rows: int, rng: random.Random) -> PromptPairs:
    """Pair questions at random, under one long system prompt."""
    questions = sorted({row["question_a"] for row in read("qqp_pairs")})
    picked = rng.sample(questions, 2 * rows)
    prompts = [prompt_of(SystemMessage(SYSTEM), HumanMessage(text)) for text in picked]
    return list(zip(prompts[:rows], prompts[rows:], strict=True))


def flips() -> PromptPairs:
    """Return the one-edit flips."""
    return [
        (
            prompt_of(HumanMessage(row["question_a"])),
            prompt_of(HumanMessage(row["question_b"])),
        )
        for row in read("flip_pairs")
    ]


def follow_ups() -> PromptPairs:
    """Put each follow-up question into the next conversation."""
    found = list(read("followup_dialogues"))

    def asked(context: dict[str, Any], question: str) -> str:
        history = [HumanMessage(context["u0"]), AIMessage(context["system_q0"])]
        return prompt_of(*history, HumanMessage(question))

    return [
        (asked(row, row["u1"]), asked(found[number - 1], row["u1"]))
        for number, row in enumerate(found)
    ]
