"""A cheap classifier of prompt injections, which knows what it does not know.

Hashed character n-grams of each window of a text, weighed by a logistic regression that
`benchmarks/train_injection.py` has trained. Below the low threshold a text is clean,
above the high one an attack; in between it is gray, and a judge is asked. What
documents and tools say has lower thresholds than what people write.

It has seen the attacks that are published, and finds others less often: see the
figures of `benchmarks/guard_injection.py`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from numbers import Real
from pathlib import Path
from typing import Any, Literal

import numpy as np
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray

from langchain_prodpatterns.arrays import DAMAGED
from langchain_prodpatterns.calibration_file import (
    CalibrationFile,
    CalibrationLike,
    beside,
    read_calibration,
)
from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.fingerprints import check_embeddings, fingerprint_of
from langchain_prodpatterns.guard.embedded_head import (
    EmbeddedHead,
    blended,
    windows_of,
)
from langchain_prodpatterns.guard.ngrams import Window, features_of, windows

Opinion = Literal["clean", "gray", "attack"]
"""What the classifier takes a text for."""

FORMAT = 1
"""The version of the features and of the file."""
_FALSE, _UNTRUSTED_FALSE = 0.01, 0.02
"""The share of harmless texts that a head may take for attacks."""
_GRAY, _UNTRUSTED_GRAY = 0.13, 0.18
"""The share of them that may be gray or taken for attacks."""
_HARDER = 10
"""One source in so many may have more of its texts taken for attacks."""
AT_ONCE = 64
"""How many windows are looked at in one go; more take more memory and no less time."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Between which scores a text is gray."""

    low: float
    """Below it, a text is clean."""
    high: float
    """From it on, it is an attack."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """What the classifier says of one text, without any of its words."""

    opinion: Opinion
    """What it takes it for."""
    score: float
    """From 0 to 1, of the window that looks worst."""
    start: int
    """Where that window starts, in characters of the text."""
    end: int
    """Where it ends."""


def opinion_of(score: float, thresholds: Thresholds) -> Opinion:
    """Compare a score with the thresholds."""
    if score >= thresholds.high:
        return "attack"
    return "gray" if score >= thresholds.low else "clean"


class InjectionClassifier:
    """Tells how much a text looks like a prompt injection.

    ```python
    GuardRunnable(classifier=InjectionClassifier(), judge=llm)  # asked if in doubt
    ```

    It is deterministic, needs no network and no model, and takes about half a
    millisecond a kilobyte. Threads may share it.

    With `embeddings` and a `head` that was fitted for them, each window is embedded
    too, and what its vector says counts as much as its words. In
    `benchmarks/guard_injection.py --embeddings` that finds more of the attacks that are
    like none of the published ones, and somewhat fewer of those that are: measure it
    on texts of yours.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        thresholds: tuple[float, float] | None = None,
        untrusted: tuple[float, float] | None = None,
        embeddings: Embeddings | None = None,
        head: EmbeddedHead | str | Path | None = None,
    ) -> None:
        """Load weights.

        Args:
            path: What `benchmarks/train_injection.py` has written; by default the
                weights that come with the package.
            thresholds: Low and high, from 0 to 1, for what users write; by default
                those that were frozen in training.
            untrusted: The same for documents and tools.
            embeddings: What embeds the windows; it needs a head.
            head: What was fitted for these embeddings, or the file that it is in. With
                it, thresholds that are not given are moved as far as the scores of the
                harmless texts that it learned from.

        Raises:
            ConfigurationError: When a file is no such file, a threshold is none, or
                the head is another embedder's.
        """
        loaded = _shipped() if path is None else _load(Path(path))
        self._weights = loaded
        self.embeddings: Embeddings | None = embeddings
        self.head: EmbeddedHead | None = _head_for(embeddings, head)
        self.thresholds: Thresholds = loaded.thresholds
        self.untrusted: Thresholds = loaded.untrusted
        if self.head is not None:
            self.thresholds, self.untrusted = _frozen(self.head)
        if thresholds is not None:
            self.thresholds = _thresholds("thresholds", thresholds)
        if untrusted is not None:
            self.untrusted = _thresholds("untrusted", untrusted)

    @classmethod
    def fit(
        cls,
        rows: Iterable[tuple[str, bool]],
        embeddings: Embeddings,
        *,
        sources: Sequence[str] | None = None,
    ) -> "InjectionClassifier":
        """Teach a head for an embedder, and return a classifier with it.

        Args:
            rows: Texts, and whether each is an attack: best of your own traffic, and
                none of those that the package's weights were trained on, whose words
                it knows too well to set thresholds by.
            embeddings: What embeds the windows.
            sources: Where each row is from, where it is not all your own traffic.
                Thresholds are then set by sources that were left out, as what comes
                later may be like none of them.

        Returns:
            The classifier. Its `head` can be saved.

        Raises:
            ConfigurationError: When the embeddings are none, a row is no text with a
                yes or no, there are too few attacks or harmless texts, or the sources
                are not one for each row, or too few.
        """
        check_embeddings(embeddings)
        head = EmbeddedHead.fit(rows, embeddings, _shipped().all_scores, sources)
        return cls(embeddings=embeddings, head=head)

    @classmethod
    def from_calibration(
        cls,
        calibration: CalibrationLike,
        *,
        embeddings: Embeddings | None = None,
        **kwargs: Any,
    ) -> "InjectionClassifier":
        """Load what `prodpatterns calibrate guard` has found.

        It is for `GuardRunnable(classifier=...)`.

        Args:
            calibration: The file, with the head that `--save` has written beside it,
                if it was made with embeddings.
            embeddings: The embeddings that it was made with.
            **kwargs: As for the constructor; what is given here counts.

        Returns:
            The classifier with the thresholds that were chosen.

        Raises:
            ConfigurationError: When it is no calibration of a guard, or one of other
                embeddings or other weights, when the embeddings or what they taught
                are missing, or an argument cannot work.
        """
        found = read_calibration(calibration, "guard")
        head = beside(found)
        if embeddings is not None:
            found.check_embeddings(embeddings)
        given = {"embeddings": embeddings, "head": head, **kwargs}
        _check_scores_alike(found, given)
        for name in ("thresholds", "untrusted"):
            if found.settings.get(name) is not None:
                chosen = _thresholds(name, found.settings[name])
                given.setdefault(name, (chosen.low, chosen.high))
        made = cls(**given)
        if made.fingerprint != found.settings.get("weights"):
            msg = (
                f"the calibration is for weights {found.settings.get('weights')!r}, "
                f"these are {made.fingerprint!r}: calibrate again"
            )
            raise ConfigurationError(msg)
        return made

    @property
    def fingerprint(self) -> str:
        """Which weights these are."""
        return self._weights.fingerprint

    @property
    def waits(self) -> bool:
        """Whether it asks an embedder, which is shown no value that was found."""
        return self.head is not None

    def screen(self, text: str, *, untrusted: bool = False) -> Suspicion:
        """Say what a text looks like.

        Args:
            text: The text.
            untrusted: Whether it comes from a document or a tool.

        Returns:
            The opinion on the window that looks worst.
        """
        vectors = None
        if self.embeddings is not None:
            vectors = self.embeddings.embed_documents(windows_of(text))
        return self.judged(text, vectors, untrusted=untrusted)

    async def ascreen(self, text: str, *, untrusted: bool = False) -> Suspicion:
        """Say what a text looks like, asking the embedder natively async.

        Args:
            text: The text.
            untrusted: Whether it comes from a document or a tool.

        Returns:
            The opinion on the window that looks worst.
        """
        vectors = None
        if self.embeddings is not None:
            vectors = await self.embeddings.aembed_documents(windows_of(text))
        return self.judged(text, vectors, untrusted=untrusted)

    def judged(
        self,
        text: str,
        vectors: Sequence[Sequence[float]] | None,
        *,
        untrusted: bool = False,
    ) -> Suspicion:
        """Say what a text looks like whose windows have been embedded.

        Args:
            text: The text.
            vectors: Those of its windows, in order; none without an embedder.
            untrusted: Whether it comes from a document or a tool.

        Returns:
            The opinion on the window that looks worst.

        Raises:
            ValueError: When they are not one for each window, or not finite.
        """
        parts = windows(text)
        scores = self._scores(text, parts)
        if self.head is not None and vectors is not None:
            scores = blended(scores, self.head.logits(vectors))
        worst = int(np.argmax(scores))
        bar = self.untrusted if untrusted else self.thresholds
        score, part = float(scores[worst]), parts[worst]
        return Suspicion(opinion_of(score, bar), score, part.start, part.end)

    def _scores(self, text: str, parts: Sequence[Window]) -> NDArray[np.float64]:
        return self._weights.all_scores([text[part.start : part.end] for part in parts])

    def __repr__(self) -> str:
        return f"InjectionClassifier({self.fingerprint})"


@dataclass(frozen=True, slots=True)
class Weights:
    """A logistic regression over hashed n-grams, whose vectors have length one."""

    rarity: NDArray[np.float32]
    """The inverse document frequency of each feature."""
    slope: NDArray[np.float32]
    """What each feature says for an attack."""
    bias: float
    """What speaks for one before any feature."""
    thresholds: Thresholds
    """For what users write."""
    untrusted: Thresholds
    """For what documents and tools say."""
    fingerprint: str
    """Which weights these are."""

    @property
    def bits(self) -> int:
        """The binary logarithm of how many features there are."""
        return len(self.slope).bit_length() - 1

    def all_scores(self, windows: Sequence[str]) -> NDArray[np.float64]:
        """Return what `scores` does, for any number of windows, some at a time."""
        return np.concatenate(
            [
                self.scores(windows[at : at + AT_ONCE])
                for at in range(0, len(windows), AT_ONCE)
            ]
        )

    def scores(self, windows: Sequence[str]) -> NDArray[np.float64]:
        """Return how much each window looks like an attack, from 0 to 1."""
        owner, found, counts = features_of(windows, self.bits)
        values = counts * self.rarity[found]
        many = len(windows)
        norm = np.sqrt(np.bincount(owner, values * values, minlength=many))
        total = np.bincount(owner, values * self.slope[found], minlength=many)
        empty = norm == 0.0
        norm[empty] = 1.0
        scores = 1.0 / (1.0 + np.exp(-(total / norm + self.bias)))
        scores[empty] = 0.0
        return np.asarray(scores)


@cache
def _shipped() -> Weights:
    source = files("langchain_prodpatterns.guard") / "injection_weights.npz"
    with source.open("rb") as file:
        return _read(file)


def _load(path: Path) -> Weights:
    try:
        with path.open("rb") as file:
            return _read(file)
    except OSError as error:
        msg = f"there are no weights to read at {str(path)!r}: {error.strerror}"
        raise ConfigurationError(msg) from None


def _read(file: Any) -> Weights:
    """Read weights; no code can come with them."""
    weights: Weights | None
    try:
        with np.load(file, allow_pickle=False) as data:
            version = int(data["format"])
            if version != FORMAT:
                msg = (
                    f"these weights have format {version}, and this version reads "
                    f"{FORMAT}: train them anew with benchmarks/train_injection.py"
                )
                raise ConfigurationError(msg)
            low, high, untrusted_low, untrusted_high = map(float, data["thresholds"])
            weights = Weights(
                rarity=data["rarity"].astype(np.float32),
                slope=data["slope"].astype(np.float32),
                bias=float(data["bias"]),
                thresholds=_thresholds("thresholds", (low, high)),
                untrusted=_thresholds("untrusted", (untrusted_low, untrusted_high)),
                fingerprint=str(data["fingerprint"]),
            )
    except DAMAGED as error:
        if isinstance(error, ConfigurationError):
            raise
        weights = None
    if weights is None or not _can_score(weights):
        msg = (
            "this is no file of weights that benchmarks/train_injection.py has written"
        )
        raise ConfigurationError(msg)
    return weights


def _can_score(weights: Weights) -> bool:
    """Whether every text gets a score; one that is no number would pass for clean."""
    rarity, slope = weights.rarity, weights.slope
    return (
        slope.ndim == 1
        and rarity.shape == slope.shape
        and slope.size > 1
        and slope.size.bit_count() == 1
        and all(np.isfinite(each).all() for each in (rarity, slope, weights.bias))
    )


def _check_scores_alike(found: CalibrationFile, given: Mapping[str, Any]) -> None:
    """Refuse thresholds of words and vectors together for words alone."""
    if found.embedder is None:
        return
    if given["head"] is None:
        msg = (
            f"the calibration is for what was learned of {found.embedder.name}, which "
            "is not beside it: calibrate with --save, or without --embeddings"
        )
        raise ConfigurationError(msg)
    if given["embeddings"] is None:
        msg = f"the calibration is for {found.embedder.name}: give embeddings="
        raise ConfigurationError(msg)


def _head_for(
    embeddings: Embeddings | None, head: EmbeddedHead | str | Path | None
) -> EmbeddedHead | None:
    """Return the head, if there is one for these embeddings."""
    if embeddings is None and head is None:
        return None
    if not isinstance(embeddings, Embeddings) or head is None:
        msg = (
            "a classifier with an embedder needs embeddings=, LangChain Embeddings, "
            f"and head=, got {type(embeddings).__name__} and {type(head).__name__}; "
            "InjectionClassifier.fit(rows, embeddings) makes a head"
        )
        raise ConfigurationError(msg)
    found = head if isinstance(head, EmbeddedHead) else EmbeddedHead.load(head)
    name = str(fingerprint_of(embeddings))
    if found.embedder != name:
        msg = f"the head is for {found.embedder}, and the embeddings are {name}"
        raise ConfigurationError(msg)
    return found


def _frozen(head: EmbeddedHead) -> tuple[Thresholds, Thresholds]:
    """Set thresholds by harmless texts: for users, and for what is untrusted."""
    return (
        _bars(head, _GRAY, _FALSE),
        _bars(head, _UNTRUSTED_GRAY, _UNTRUSTED_FALSE),
    )


def _bars(head: EmbeddedHead, gray: float, false: float) -> Thresholds:
    """Let easy sources, however large, not speak for the hard ones."""
    numbers = np.unique(head.source)
    high = sorted(
        float(np.quantile(head.unseen[head.source == each], 1 - false))
        for each in numbers
    )[-1 - len(numbers) // _HARDER]
    low = float(np.quantile(head.unseen, 1 - gray))
    return Thresholds(min(low, high), high)


def _thresholds(name: str, given: Sequence[float]) -> Thresholds:
    numbers = (
        isinstance(given, tuple | list)
        and len(given) == len(("low", "high"))
        and all(isinstance(each, Real) for each in given)
    )
    if not numbers or not 0 <= given[0] <= given[1] <= 1:
        msg = f"{name} must be (low, high) with 0 <= low <= high <= 1, got {given!r}"
        raise ConfigurationError(msg)
    return Thresholds(float(given[0]), float(given[1]))
