"""What the three calibrations have in common."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings

from langchain_prodpatterns.calibration_file import CalibrationFile
from langchain_prodpatterns.commands.output import progress
from langchain_prodpatterns.errors import ConfigurationError, ProdPatternsError
from langchain_prodpatterns.fingerprints import Fingerprint, fingerprint_of
from langchain_prodpatterns.reports.pages import Section

_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Found:
    """What a calibration has found."""

    calibration: CalibrationFile
    """For the component."""
    text: str
    """For people."""
    sections: Sequence[Section]
    """For the browser."""
    save: Callable[[Any], None] | None = None
    """Writes what does not fit into the calibration, if there is such a thing."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Which rows thresholds are chosen on, and which they are reported on."""

    chosen_on: tuple[int, ...]
    """The numbers of the ones."""
    reported_on: tuple[int, ...]
    """The numbers of the others."""

    def counts(self) -> dict[str, int]:
        """Return how many there are, for the calibration."""
        return {
            "chosen_on": len(self.chosen_on),
            "reported_on": len(self.reported_on),
        }


def parted(groups: Sequence[Hashable], share: float, seed: int) -> Parts:
    """Cut rows in two parts by lot; what belongs together stays together.

    Args:
        groups: What each row belongs to, such as its text.
        share: The share of the rows to report on.
        seed: The lot.

    Raises:
        ConfigurationError: When there are too few to be cut.
    """
    members: dict[Hashable, list[int]] = {}
    for at, group in enumerate(groups):
        members.setdefault(group, []).append(at)
    if len(members) < len(("chosen on", "reported on")):
        msg = (
            "there is only one row, or rows with one text: thresholds are chosen on "
            "some and reported on others"
        )
        raise ConfigurationError(msg)
    together = list(members.values())
    order = np.random.default_rng(seed).permutation(len(together))
    reported: list[int] = []
    wanted = min(max(round(share * len(groups)), 1), len(groups) - 1)
    for at in order[:-1]:
        if len(reported) >= wanted:
            break
        reported += together[at]
    rest = set(range(len(groups))) - set(reported)
    return Parts(tuple(sorted(rest)), tuple(sorted(reported)))


@dataclass
class Remembered(Embeddings):
    """Embeddings that embed each text once, and show how far they are."""

    underlying_embeddings: Embeddings
    """The embeddings; these are told by the same name."""
    documents: dict[str, list[float]] = field(default_factory=dict)
    """The vectors of texts so far."""
    queries: dict[str, list[float]] = field(default_factory=dict)
    """The vectors of queries so far, which some models embed in another way."""
    length: int | None = None
    """How long they are, once there is one."""

    def read(self, texts: Sequence[str]) -> None:
        """Embed texts that are new, with a progress bar.

        Raises:
            ProdPatternsError: When the embeddings fail.
        """
        embed = self.underlying_embeddings.embed_documents
        self._read(self.documents, texts, _AT_ONCE, embed)

    def read_queries(self, texts: Sequence[str]) -> None:
        """Embed queries that are new, with a progress bar.

        Raises:
            ProdPatternsError: When the embeddings fail.
        """
        embed = self.underlying_embeddings.embed_query
        self._read(self.queries, texts, 1, lambda batch: [embed(batch[0])])

    def _read(
        self,
        known: dict[str, list[float]],
        texts: Sequence[str],
        at_once: int,
        embed: Callable[[list[str]], list[list[float]]],
    ) -> None:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if not new:
            return
        with progress("embed", len(new)) as advance:
            for at in range(0, len(new), at_once):
                batch = new[at : at + at_once]
                vectors = _embedded(batch, embed)
                length = _length_of(vectors)
                # A threshold would be learned from what cannot be compared.
                if length is None or self.length not in {None, length}:
                    msg = (
                        "the embeddings gave vectors that are not finite, or not of "
                        "one length: try them by themselves"
                    )
                    raise ProdPatternsError(msg)
                self.length = length
                known |= zip(batch, vectors, strict=True)
                advance(len(batch))

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts, those that are new."""
        self.read(texts)
        return [self.documents[text] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """Embed a query, if it is new."""
        self.read_queries([text])
        return self.queries[text]

    @property
    def fingerprint(self) -> Fingerprint:
        """Which model they are, with the length of its vectors once there is one."""
        return Fingerprint(fingerprint_of(self).name, self.length)


def _embedded(
    batch: list[str], embed: Callable[[list[str]], list[list[float]]]
) -> list[list[float]]:
    try:
        found = list(embed(batch))
    except Exception as error:  # a provider fails in any way
        msg = f"the embeddings failed ({type(error).__name__}): try them by themselves"
        raise ProdPatternsError(msg) from error
    if len(found) != len(batch):
        msg = f"the embeddings gave {len(found)} vectors for {len(batch)} texts"
        raise ProdPatternsError(msg)
    return found


def _length_of(vectors: list[list[float]]) -> int | None:
    """Return the length that all have; `None` where one is none, or not finite."""
    try:
        rows = np.asarray(vectors, np.float64)
    except (TypeError, ValueError):
        return None
    is_table = rows.ndim == len(("text", "dimension")) and rows.size > 0
    return rows.shape[1] if is_table and np.isfinite(rows).all() else None


def percent(share: float) -> str:
    """Write a share."""
    return f"{share:.1%}"


def promised(share: float) -> str:
    """Write a share that was asked for, as it was: rounded, it may be another."""
    return f"{100 * share:.6g}%"


def rows_record(
    used: int, parts: Parts, seed: int, others: Mapping[str, int]
) -> dict[str, int]:
    """Return what a calibration tells of its rows.

    Args:
        used: How many were used.
        parts: How they were cut.
        seed: The lot.
        others: What else was counted.
    """
    return {"used": used, **parts.counts(), "seed": seed, **others}
