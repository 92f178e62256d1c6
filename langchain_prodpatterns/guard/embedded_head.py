"""A second opinion on injections: what an embedder's vectors of the windows say.

N-grams know the words of the attacks that were published; vectors know what is meant,
and so find more of what is new. But they are one embedder's, so the head is fitted for
it, on rows of yours.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from langchain_prodpatterns.arrays import DAMAGED, write_arrays
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.fingerprints import fingerprint_of
from langchain_prodpatterns.guard.ngrams import windows
from langchain_prodpatterns.logistic import fit_logistic

Reals = NDArray[np.float64]

FORMAT = 1
FEWEST = 20
"""How many attacks, and how many harmless texts, a head needs to learn from."""
_ROUNDS = 3
_PENALTY = 1.0
_FREE = 1e-6
_FOLDS = 5
_SURE = 1e-6


@dataclass(frozen=True, slots=True)
class EmbeddedHead:
    """A logistic regression over the vectors of one embedder.

    ```python
    classifier = InjectionClassifier.fit(rows, embeddings)  # (text, is it an attack?)
    classifier.head.save("injections.npz")
    InjectionClassifier(embeddings=embeddings, head="injections.npz")
    ```
    """

    slope: Reals
    """What each dimension says for an attack."""
    bias: float
    """What speaks for one before any."""
    unseen: Reals
    """Scores of the harmless texts it learned from, words and vectors together, each by
    what the others taught."""
    source: NDArray[np.int64]
    """The number of the source that each of them is of."""
    embedder: str
    """Which embedder's vectors these are."""

    @classmethod
    def fit(
        cls,
        rows: Iterable[tuple[str, bool]],
        embeddings: Embeddings,
        words: Callable[[Sequence[str]], Reals],
        sources: Sequence[str] | None = None,
    ) -> "EmbeddedHead":
        """Learn from labeled texts.

        Nobody has marked where in a text the attack is: all its windows are taken for
        attacks at first, then only the one that looks worst (MI-SVM: Andrews,
        Tsochantaridis and Hofmann, NIPS 2002).

        Args:
            rows: Texts, and whether each is an attack.
            embeddings: The embedder.
            words: Scores windows, from 0 to 1, by their words.
            sources: Where each row is from. The harmless texts of a source are then
                scored by what the other sources taught, not by what rows that are much
                like them did.

        Returns:
            The head.

        Raises:
            ConfigurationError: When a row is no text with a yes or no, there are too
                few of either, or the sources are not one for each row, or too few.
            ValueError: When the embedder does not give one vector for each window.
        """
        texts, attack, source = _labeled(list(rows), sources)
        parts = [windows_of(text) for text in texts]
        owner = np.repeat(np.arange(len(parts)), [len(each) for each in parts])
        flat = [part for each in parts for part in each]
        vectors = unit(embeddings.embed_documents(flat))
        said = np.asarray(words(flat))
        _one_each(vectors, said)
        axes = axes_of(vectors)
        bags = _Bags(vectors @ axes, said, owner, attack)
        slope, bias = bags.fit(np.ones(len(texts), dtype=bool))
        alike = sources is None
        unseen = bags.unseen(np.arange(len(texts)) % _FOLDS if alike else source)
        name = str(fingerprint_of(embeddings))
        return cls(axes @ slope, bias, unseen, source[~attack], name)

    def logits(self, vectors: Sequence[Sequence[float]]) -> Reals:
        """Return how much each window looks like an attack, as a logit.

        Args:
            vectors: The vectors of the windows.

        Raises:
            ValueError: When they are not of this embedder's length, or not finite.
        """
        rows = unit(vectors)
        if rows.shape[1:] != self.slope.shape:
            msg = (
                f"the head is for vectors of length {len(self.slope)}, these have "
                f"{rows.shape[-1]}"
            )
            raise ValueError(msg)
        return np.asarray(rows @ self.slope + self.bias)

    def save(self, path: str | Path) -> None:
        """Write the head to a file.

        Args:
            path: The file, which is replaced.
        """
        arrays: dict[str, NDArray[Any]] = {
            "format": np.array(FORMAT),
            "slope": self.slope,
            "bias": np.array(self.bias),
            "unseen": self.unseen,
            "source": self.source,
            "embedder": np.array(self.embedder),
        }
        write_arrays(Path(path), arrays)

    @classmethod
    def load(cls, path: str | Path) -> "EmbeddedHead":
        """Read a head; no code can come with it.

        Args:
            path: What `save` has written.

        Raises:
            ConfigurationError: When it is no such file.
        """
        head = _read(Path(path))
        if head is None:
            msg = f"there is no head to read at {str(path)!r}: write one with `save`"
            raise ConfigurationError(msg)
        return head


def windows_of(text: str) -> list[str]:
    """Return the windows of a text that an embedder is asked about."""
    parts = (text[part.start : part.end] for part in windows(text))
    return [part if part.strip() else "-" for part in parts]


def blended(scores: Reals, logits: Reals) -> Reals:
    """Let words and vectors count alike: the mean of their logits, as a score.

    Args:
        scores: From the n-grams, from 0 to 1.
        logits: From the vectors.

    Returns:
        Scores from 0 to 1.

    Raises:
        ValueError: When there are not as many of one as of the other.
    """
    _one_each(logits, scores)
    clipped = np.clip(scores, _SURE, 1 - _SURE)
    words = np.log(clipped / (1 - clipped))
    return np.asarray(1.0 / (1.0 + np.exp(-(words + logits) / 2)))


def unit(vectors: Sequence[Sequence[float]]) -> Reals:
    """Return vectors of length one.

    Raises:
        ValueError: When they are not of one length, or one is not finite.
    """
    msg = "the embedder gave vectors that are of unequal length or not finite"
    try:
        rows = np.asarray(vectors, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(msg) from None
    if rows.ndim != len(("window", "dimension")):
        raise ValueError(msg)
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    if not np.isfinite(norms).all():
        raise ValueError(msg)
    norms[norms == 0] = 1.0
    return np.asarray(rows / norms)


def axes_of(vectors: Reals) -> Reals:
    """Return orthonormal columns in whose span a slope is to be sought.

    Every direction is held to 0 alike, so the best slope lies in the span of the
    vectors (the representer theorem). Where they are fewer than their dimensions, that
    takes a small part of the time: it grows with the third power.

    Args:
        vectors: One a row.

    Returns:
        A column for each axis.
    """
    many, dimensions = vectors.shape
    return np.eye(dimensions) if many >= dimensions else np.linalg.qr(vectors.T)[0]


def _labeled(
    rows: Sequence[tuple[str, bool]], sources: Sequence[str] | None
) -> tuple[list[str], NDArray[np.bool_], NDArray[np.int64]]:
    """Return the texts that say something, which are attacks, and of which source."""
    for number, row in enumerate(rows):
        _check_row(number, row)
    names = [""] * len(rows) if sources is None else list(sources)
    if len(names) != len(rows):
        msg = f"sources= needs one name for each of {len(rows)} rows, got {len(names)}"
        raise ConfigurationError(msg)
    told = [number for number, (text, _) in enumerate(rows) if text.strip()]
    attack = np.array([bool(rows[number][1]) for number in told], dtype=bool)
    if min(attack.sum(), (~attack).sum()) < FEWEST:
        msg = (
            f"a head needs at least {FEWEST} attacks and {FEWEST} harmless texts, "
            f"got {attack.sum()} and {(~attack).sum()}"
        )
        raise ConfigurationError(msg)
    source = np.unique([names[number] for number in told], return_inverse=True)[1]
    if sources is not None:
        _refuse_alone(source, attack)
    return [rows[number][0] for number in told], attack, source


def _check_row(number: int, row: Any) -> None:
    # The text is somebody's: only its type is told.
    match row:
        case (str(), label) if not isinstance(row, str):
            # The text "0" of a table would be true.
            if label in (True, False):
                return
            msg = f"rows[{number}] must say True or False of its text, got {label!r}"
        case _:
            kind = type(row).__name__
            msg = f"rows[{number}] must be (text, whether it is an attack), got {kind}"
    raise ConfigurationError(msg)


def _refuse_alone(source: NDArray[np.int64], attack: NDArray[np.bool_]) -> None:
    """Refuse sources of which one can not be left out."""
    for each in np.unique(source[~attack]):
        rest = attack[source != each]
        if not rest.any() or rest.all():
            msg = (
                "sources= needs attacks and harmless texts in at least two sources, "
                "since each source is left out once: leave sources= away"
            )
            raise ConfigurationError(msg)


def _one_each(vectors: Reals, windows: Reals) -> None:
    # A single one would be taken for that of every window, and hide the worst.
    if len(vectors) != len(windows):
        msg = f"the embedder gave {len(vectors)} vectors for {len(windows)} windows"
        raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class _Bags:
    """Texts as bags of windows."""

    rows: Reals
    words: Reals
    owner: NDArray[np.int64]
    attack: NDArray[np.bool_]

    def fit(self, kept: NDArray[np.bool_]) -> tuple[Reals, float]:
        """Learn from some of the texts."""
        used, labels = kept[self.owner], self.attack[self.owner]
        chosen = used
        slope, bias = np.zeros(self.rows.shape[1]), 0.0
        for _ in range(_ROUNDS):
            slope, bias = _regression(self.rows[chosen], labels[chosen])
            logits = self.rows @ slope + bias
            worst = self.worst(logits)[self.owner]
            chosen = used & (~labels | (logits >= worst))
        return slope, bias

    def worst(self, values: Reals) -> Reals:
        """Return the highest value of each text."""
        found = np.full(len(self.attack), -np.inf)
        np.maximum.at(found, self.owner, values)
        return found

    def unseen(self, folds: NDArray[np.int64]) -> Reals:
        """Return the scores of harmless texts, by what the other folds taught."""
        found = np.zeros(len(self.attack))
        for fold in np.unique(folds[~self.attack]):
            slope, bias = self.fit(folds != fold)
            mine = folds == fold
            scores = blended(self.words, self.rows @ slope + bias)
            found[mine] = self.worst(scores)[mine]
        return found[~self.attack]


def _regression(rows: Reals, labels: NDArray[np.bool_]) -> tuple[Reals, float]:
    """Fit a logistic regression in which both labels weigh the same."""
    extended = np.column_stack([np.ones(len(rows)), rows])
    many = np.where(labels, labels.sum(), (~labels).sum())
    weights = len(labels) / (2.0 * np.maximum(many, 1))
    penalty = np.full(extended.shape[1], _PENALTY)
    penalty[0] = _FREE
    found = fit_logistic(extended, labels, penalty, weights)
    return np.asarray(found[1:]), float(found[0])


def _read(path: Path) -> EmbeddedHead | None:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as data:
            arrays: dict[str, Any] = {name: data[name] for name in data.files}
            head = EmbeddedHead(
                arrays["slope"].astype(np.float64),
                float(arrays["bias"]),
                arrays["unseen"].astype(np.float64),
                arrays["source"].astype(np.int64),
                str(arrays["embedder"]),
            )
            sound = int(arrays["format"]) == FORMAT and head.slope.ndim == 1
            sound = sound and head.source.shape == head.unseen.shape
    except DAMAGED:
        return None
    numbers = (head.slope, head.bias, head.unseen)
    finite = all(np.isfinite(each).all() for each in numbers)
    return head if sound and finite and head.unseen.size else None
