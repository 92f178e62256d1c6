"""How well each passage answers a question."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from langchain_prodpatterns.arguments import check_count, is_number
from langchain_prodpatterns.compression.bm25 import Scores, bm25, words
from langchain_prodpatterns.compression.passages import Passage
from langchain_prodpatterns.compression.titles import Titles
from langchain_prodpatterns.errors import ConfigurationError


@runtime_checkable
class Scorer(Protocol):
    """Scores passages by a question: one finite number each, higher is better."""

    def score(
        self,
        question: str,
        passages: Sequence[Passage],
        similarity: Scores | None,
    ) -> npt.ArrayLike:
        """Score passages.

        Args:
            question: The question.
            passages: The passages of all documents.
            similarity: The cosine of each passage with the question; `None` without
                embeddings, or when they failed.
        """
        ...


@dataclass(frozen=True)
class EvidenceScorer:
    """Words, meaning, title, document and a bridge to the next document.

    The score is `sparse * BM25 + dense * cosine`, each scaled to 0..1 over the passages
    of the question, plus `document * the score of the document`: half its best passage,
    half the mean of its three best, or what a reranker said of it, scaled as well. The
    title counts as part of every passage.

    A question may need two documents of which only one shares words with it: "Who
    directed the film that X starred in?" names X, and the text about X names the film.
    So the passages of a document whose title the question names gain `named`, and when
    one of the `bridge_from` best passages names the title of another document, that
    document's passages gain `bridge * the score of the passage that names it`. A title
    that several documents have is shared out among them.

    Where nothing links one document to another, the shape of the scores decides how
    much whole documents count: the further the best one leads, the likelier it holds
    the answer alone, and `document` weighs up to twice as much.

    Without embeddings the words stand alone. No weight was trained; the defaults were
    chosen on development halves of public question sets (`benchmarks/compression.py`).
    """

    sparse: float = 0.4
    """Weight of BM25."""
    dense: float = 0.6
    """Weight of the cosine."""
    document: float | None = None
    """Weight of the document's score. `None`: 0.6 to 1.2, by the lead of the best."""
    named: float = 0.2
    """What a document gains whose title the question names."""
    bridge: float = 0.4
    """Weight of a good passage that names the document's title. 0 switches it off."""
    bridge_from: int = 3
    """How many of the best passages can name a title."""

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if value is None and each.default is None:
                continue
            if each.name == "bridge_from":
                check_count(each.name, value, optional=False, least=0)
            elif not (is_number(value) and value >= 0):
                msg = f"{each.name} must be 0 or more, got {value!r}"
                raise ConfigurationError(msg)

    def score(
        self,
        question: str,
        passages: Sequence[Passage],
        similarity: Scores | None,
    ) -> Scores:
        """Score passages.

        Args:
            question: The question.
            passages: The passages of all documents.
            similarity: The cosine of each passage with the question, or `None`.

        Returns:
            Scores of 0 to 1; the best passage has 1. All 0 when nothing is shared.
        """
        if not passages:
            return np.zeros(0)
        asked = words(question)
        own = self._own(bm25(asked, _titled(passages)), similarity)
        scores = self._with_documents(asked, own, passages)
        top = float(scores.max())
        return scores / top if top > 0 else np.zeros(len(passages))

    def _own(self, sparse: Scores, similarity: Scores | None) -> Scores:
        if similarity is None:
            # No scaling from the least: a passage that shares no word stays at 0.
            return sparse / max(float(sparse.max()), 1e-12)
        return self.sparse * _scaled(sparse) + self.dense * _scaled(similarity)

    def _with_documents(
        self,
        asked: Sequence[str],
        own: Scores,
        passages: Sequence[Passage],
    ) -> Scores:
        """Add what each passage gains by its document."""
        numbers = np.array([passage.document for passage in passages])
        documents = _of_documents(own, numbers, passages)
        titles = Titles(_titles(passages, len(documents)))
        named = self.named * titles.named_in(asked)
        weight = _LEAST_DOCUMENT if self.document is None else self.document
        scores = own + (weight * documents + named)[numbers]
        bridged = self._bridged(scores, numbers, passages, titles)
        leader = numbers[int(own.argmax())]
        linked = bridged.any() or np.delete(named, leader).any()
        if self.document is None and not linked:
            bridged = weight * _lead(documents) * documents
        total: Scores = scores + bridged[numbers]
        return total

    def _bridged(
        self,
        scores: Scores,
        numbers: npt.NDArray[np.int_],
        passages: Sequence[Passage],
        titles: Titles,
    ) -> Scores:
        """What each document gains from the best passages of others that name it."""
        gains = np.zeros(int(numbers.max()) + 1)
        if not self.bridge:
            return gains
        best = np.argsort(-scores, kind="stable")[: self.bridge_from]
        for at in (int(each) for each in best if scores[each] > 0):
            named = titles.named_in(words(passages[at].text), but=int(numbers[at]))
            gains = np.maximum(gains, scores[at] * named)
        return self.bridge * gains


_LEAST_DOCUMENT = 0.6
_CLEAR_LEAD = 0.4
_DEPTH = 3


def _titled(passages: Sequence[Passage]) -> Iterator[list[str]]:
    """Yield the words of each passage and of what it is about, read once a title."""
    known: dict[tuple[str, str], list[str]] = {}
    for passage in passages:
        key = (passage.title, passage.section)
        if key not in known:
            known[key] = words(" ".join(key))
        yield known[key] + words(passage.text)


def _titles(passages: Sequence[Passage], count: int) -> list[str]:
    titles = [""] * count
    for passage in passages:
        titles[passage.document] = passage.title
    return titles


def _scaled(scores: Scores) -> Scores:
    """Scale to 0..1 over the passages of one question."""
    low, high = float(scores.min()), float(scores.max())
    return (scores - low) / (high - low) if high > low else np.zeros_like(scores)


def _of_documents(
    own: Scores, numbers: npt.NDArray[np.int_], passages: Sequence[Passage]
) -> Scores:
    """How well each document answers: as told, else by its best passages."""
    told = np.array([passage.relevance for passage in passages], dtype=float)
    found = np.zeros(int(numbers.max()) + 1)
    if not np.isnan(told).any():
        found[numbers] = _scaled(told)
        return found
    # One lucky sentence is less than a document that is about the question.
    order = np.lexsort((-own, numbers))
    firsts = np.searchsorted(numbers[order], np.arange(len(found)))
    counts = np.bincount(numbers, minlength=len(found))
    for rank in range(_DEPTH):
        there = counts > rank
        found[there] += (
            own[order[firsts[there] + rank]] / np.minimum(counts, _DEPTH)[there]
        )
    there = counts > 0
    found[there] = (found[there] + own[order[firsts[there]]]) / 2
    return found


def _lead(documents: Scores) -> float:
    """How clearly the best document stands out, of 0 to 1."""
    best, *others = sorted(map(float, documents), reverse=True)
    if best <= 0:
        return 0.0
    second = others[0] if others else 0.0
    return min(1.0, (best - second) / best / _CLEAR_LEAD)
