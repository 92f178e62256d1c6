"""Questions with their documents, what answers them, and what is left of it."""

import gzip
import hashlib
import json
import random
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from shared_data import SHARED

from langchain_prodpatterns.compression import format_citations
from langchain_prodpatterns.tokens import estimate_tokens

DATA = SHARED / "data" / "compress"
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
MODEL_FOLDER = SHARED / "models" / "all-MiniLM-L6-v2"
COVERED = 0.9

Kept = dict[int, list[tuple[int, int]]]
"""What is left: the parts of each document, by its number."""


@dataclass(frozen=True)
class Case:
    """One question with its documents and what answers it."""

    question: str
    documents: list[Document]
    gold: list[tuple[int, int, int]]
    """Supporting passages: document, start, end. None for what cannot be answered."""
    answers: list[str]

    @property
    def tokens(self) -> int:
        """Tokens of all documents."""
        return estimate_tokens(format_citations(self.documents))

    def kept_tokens(self, kept: Kept) -> int:
        """Tokens of what is left, headings included."""
        left = [
            Document(
                " … ".join(self.documents[number].page_content[a:b] for a, b in parts),
                metadata=self.documents[number].metadata,
            )
            for number, parts in kept.items()
        ]
        return estimate_tokens(format_citations(left))

    def has_answer(self, kept: Kept) -> bool:
        """Whether an answer is in what is left."""
        text = "\n".join(
            self.documents[number].page_content[start:end]
            for number, spans in kept.items()
            for start, end in sorted(spans)
        ).casefold()
        return any(answer.casefold() in text for answer in self.answers)

    def support(self, kept: Kept) -> float:
        """The share of the supporting passages that are left.

        Left are 9 of 10 characters, or all of its text in another document: where
        documents overlap, one copy is evidence enough.
        """
        texts = [
            _plain(" ".join(self.documents[number].page_content[a:b] for a, b in parts))
            for number, parts in kept.items()
        ]
        found = sum(
            self._covered(kept, number, start, end)
            or any(self._gold_text(number, start, end) in text for text in texts)
            for number, start, end in self.gold
        )
        return found / len(self.gold)

    def _covered(self, kept: Kept, number: int, start: int, end: int) -> bool:
        left = set[int]()
        for begin, stop in kept.get(number, []):
            left.update(range(max(start, begin), min(end, stop)))
        return len(left) >= COVERED * (end - start)

    def _gold_text(self, number: int, start: int, end: int) -> str:
        return _plain(self.documents[number].page_content[start:end])


@dataclass(frozen=True)
class Recall:
    """What is left over many questions, in percent."""

    answer: float
    """Questions of which an answer is left; NaN for a set without short answers."""
    support: float
    """Supporting passages, the mean over questions."""
    all: float
    """Questions of which all supporting passages are left."""
    empty: int
    """Questions of which nothing is left."""

    @classmethod
    def of(cls, cases: list[Case], kept: list[Kept]) -> "Recall":
        """Measure what is left."""
        pairs = list(zip(cases, kept, strict=True))
        answers = [case.has_answer(left) for case, left in pairs if case.answers]
        support = [case.support(left) for case, left in pairs]
        return cls(
            100 * float(np.mean(answers)) if answers else float("nan"),
            100 * float(np.mean(support)),
            100 * float(np.mean([each == 1 for each in support])),
            sum(not any(left.values()) for left in kept),
        )


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def read_cases(name: str, rows: int, *, tune: bool) -> list[Case]:
    """Read every second row of a set, its documents shuffled."""
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        found = [json.loads(line) for line in lines]
    chosen = map(_case, found[0 if tune else 1 :: 2])
    return [case for case in chosen if case.gold and _can_be_found(case)][:rows]


def read_unanswerable(name: str, rows: int, *, tune: bool) -> list[Case]:
    """Read the questions of a set that no document answers."""
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        found = [json.loads(line) for line in lines]
    chosen = map(_case, found[0 if tune else 1 :: 2])
    return [case for case in chosen if not case.gold][:rows]


def _case(row: dict[str, Any]) -> Case:
    shuffled = list(row["docs"])
    random.Random(row["id"]).shuffle(shuffled)
    documents = [
        Document(page_content=each["text"], metadata={"title": each["title"]})
        for each in shuffled
    ]
    gold = [
        (number, start, end)
        for number, each in enumerate(shuffled)
        for start, end in each["gold_spans"]
    ]
    return Case(row["question"], documents, gold, row["answers"])


def _can_be_found(case: Case) -> bool:
    whole = {n: [(0, len(d.page_content))] for n, d in enumerate(case.documents)}
    return not case.answers or case.has_answer(whole)


class MiniLM(Embeddings):
    """MiniLM as ONNX, without a network; it remembers vectors in a file."""

    def __init__(self, path: Path | None) -> None:
        """Load the model.

        Args:
            path: The file for vectors, so that a second run need not embed.
        """
        from fastembed import TextEmbedding

        folder = str(MODEL_FOLDER)
        self._model = TextEmbedding(MODEL, specific_model_path=folder, threads=2)
        self._db = sqlite3.connect(path or ":memory:")
        self._db.execute("create table if not exists v(k blob primary key, x blob)")

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts, those of like length together, to pad little."""
        keys = [hashlib.blake2b(t.encode(), digest_size=16).digest() for t in texts]
        texts_of = dict(zip(keys, texts, strict=True))
        vectors = {key: self._known(key) for key in texts_of}
        new = [key for key, vector in vectors.items() if vector is None]
        new.sort(key=lambda key: len(texts_of[key]))
        fresh = self._model.embed([texts_of[key] for key in new], batch_size=16)
        for key, vector in zip(new, fresh, strict=True):
            vectors[key] = np.asarray(vector, np.float32)
        self._keep((key, vectors[key].tobytes()) for key in new)
        return [vectors[key].tolist() for key in keys]

    def embed_query(self, text: str) -> list[float]:
        """Embed one text."""
        return self.embed_documents([text])[0]

    def _known(self, key: bytes) -> Any:
        row = self._db.execute("select x from v where k=?", (key,)).fetchone()
        return None if row is None else np.frombuffer(row[0], np.float32)

    def _keep(self, rows: Iterable[tuple[bytes, bytes]]) -> None:
        with self._db:
            self._db.executemany("insert or ignore into v values(?, ?)", rows)
