"""How well each passage answers a question."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from langchain_prodpatterns.arguments import is_number
from langchain_prodpatterns.compression.bm25 import Scores, bm25, words
from langchain_prodpatterns.compression.passages import Passage
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
    of the question, plus `document * the best passage of the same document`; what a
    reranker said of the document, scaled as well, takes that one's place. The title
    counts as part of every passage.

    A question may need two documents of which only one shares words with it: "Who
    directed the film that X starred in?" names X, and the text about X names the film.
    So when one of the `bridge_from` best passages names the title of another document,
    that document's passages gain `bridge * the score of the passage that names it`.

    Without embeddings the words stand alone. No weight was trained; the defaults were
    chosen on development halves of public question sets (`benchmarks/compression.py`).
    """

    sparse: float = 0.5
    """Weight of BM25."""
    dense: float = 0.5
    """Weight of the cosine."""
    document: float = 0.3
    """Weight of the best passage of the same document, or of a reranker's score."""
    bridge: float = 0.4
    """Weight of a good passage that names the document's title. 0 switches it off."""
    bridge_from: int = 3
    """How many of the best passages can name a title."""

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if not (is_number(value) and value >= 0):
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
        texts = [words(passage.text) for passage in passages]
        abouts = _abouts(passages)
        titled = [about + text for about, text in zip(abouts, texts, strict=True)]
        own = self._own(bm25(words(question), titled), similarity)
        numbers = np.array([passage.document for passage in passages])
        scores = own + self.document * _of_document(own, numbers, passages)
        if self.bridge:
            scores = scores + self.bridge * self._bridged(scores, passages, texts)
        top = float(scores.max())
        return scores / top if top > 0 else np.zeros(len(passages))

    def _own(self, sparse: Scores, similarity: Scores | None) -> Scores:
        if similarity is None:
            # No scaling from the least: a passage that shares no word stays at 0.
            return sparse / max(float(sparse.max()), 1e-12)
        return self.sparse * _scaled(sparse) + self.dense * _scaled(similarity)

    def _bridged(
        self, scores: Scores, passages: Sequence[Passage], texts: list[list[str]]
    ) -> Scores:
        """What each passage gains from the best ones that name its document."""
        titles = {each.document: each.title for each in passages if each.title}
        names = {document: _name_words(title) for document, title in titles.items()}
        gains: dict[int, float] = {}
        best = np.argsort(-scores, kind="stable")[: self.bridge_from]
        for at in (int(each) for each in best if scores[each] > 0):
            text = f" {' '.join(texts[at])} "
            for document, name in names.items():
                if document != passages[at].document and name and name in text:
                    gains[document] = max(gains.get(document, 0.0), float(scores[at]))
        return np.array([gains.get(passage.document, 0.0) for passage in passages])


_PARENTHESIS = re.compile(r"\s*\([^()]*\)\s*$")
_SHORTEST_NAME = 4


def _name_words(title: str) -> str:
    """The words of a title between blanks, as a text would name it.

    `Inferno (1980 film)` is named `Inferno`. What is too short to be a name is "".
    """
    name = " ".join(words(_PARENTHESIS.sub("", title)))
    return f" {name} " if len(name) >= _SHORTEST_NAME else ""


def _abouts(passages: Sequence[Passage]) -> list[list[str]]:
    """The words of what each passage is about, read once a title."""
    known: dict[tuple[str, str], list[str]] = {}
    for passage in passages:
        key = (passage.title, passage.section)
        if key not in known:
            known[key] = words(" ".join(key))
    return [known[passage.title, passage.section] for passage in passages]


def _scaled(scores: Scores) -> Scores:
    """Scale to 0..1 over the passages of one question."""
    low, high = float(scores.min()), float(scores.max())
    return (scores - low) / (high - low) if high > low else np.zeros_like(scores)


def _of_document(
    own: Scores, numbers: npt.NDArray[np.int_], passages: Sequence[Passage]
) -> Scores:
    """How well each passage's document answers: as told, else as its best passage."""
    told = [passage.relevance for passage in passages]
    if None in told:
        return _best_of_document(own, numbers)
    return _scaled(np.array(told, dtype=float))


def _best_of_document(scores: Scores, documents: npt.NDArray[np.int_]) -> Scores:
    best = np.full(int(documents.max()) + 1, -np.inf)
    np.maximum.at(best, documents, scores)
    found: Scores = best[documents]
    return found
