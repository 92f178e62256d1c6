"""How well the injection classifier does on attacks like those it knows, and others.

It is trained on one half of the clusters, with thresholds frozen there, and reported on
the other half: recall at 1% false positives, the same with each family of attacks left
out of training together with what we made up in its likeness, what the frozen
thresholds do, and what it costs. It needs scikit-learn and the sets under
`PRODPATTERNS_SHARED`. Run `python benchmarks/guard_injection.py`. With `--embeddings`
it also fits a head over the windows' MiniLM vectors on the same rows, which takes some
minutes.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from injection_fit import MADE_UP, Bags, Fit, bags_of, fit, training_rows
from injection_rows import FAMILIES, Row, harmless_rows, injection_rows
from injection_templates import imitates
from langchain_core.embeddings import Embeddings
from numpy.typing import NDArray
from shared_data import SHARED
from train_injection import frozen

from langchain_prodpatterns.demo.embedding import find_local_embeddings
from langchain_prodpatterns.guard.classifier import (
    InjectionClassifier,
    Thresholds,
    Weights,
)
from langchain_prodpatterns.guard.embedded_head import (
    EmbeddedHead,
    blended,
    windows_of,
)

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Report:
    """The half that is reported, with its labels."""

    bags: Bags
    """Its texts."""

    def scores_of(self, scores: Scores, *, attack: bool, start: str = "") -> Scores:
        """Pick the scores of one label, and of sources that begin so."""
        rows = self.bags.rows
        return scores[
            [row.attack == attack and row.source.startswith(start) for row in rows]
        ]

    def recall(self, scores: Scores, start: str = "", share: float = 0.01) -> float:
        """Return the recall at a share of false positives."""
        bar = np.quantile(self.scores_of(scores, attack=False), 1 - share)
        return float((self.scores_of(scores, attack=True, start=start) > bar).mean())


def line(what: str, figure: str, goal: str = "") -> None:
    """Print one figure."""
    print(f"{what:<62}{figure:>10}  {goal}".rstrip())


def report_seen(report: Report, scores: Scores) -> None:
    """Print what it finds of families that it has learned from."""
    line("recall at 1% false positives", f"{report.recall(scores):.3f}", ">= .92")
    line("recall at 5% false positives", f"{report.recall(scores, share=0.05):.3f}")
    for name in FAMILIES:
        line(f"- {name}, at 1%", f"{report.recall(scores, name):.2f}")


def report_unseen(report: Report, bags: Bags) -> None:
    """Print what it finds of families that were left out of training."""
    found = {
        name: report.recall(_without(bags, name).scores(report.bags), name)
        for name in FAMILIES
    }
    mean = float(np.mean(list(found.values())))
    line("left out of training, at 1%: mean of families", f"{mean:.3f}", ">= .60")
    for name, value in found.items():
        line(f"- {name}", f"{value:.2f}")


def _without(bags: Bags, family: str) -> Fit:
    """Learn from all attacks but a family's, and those of ours that are alike."""
    return fit(bags, leave_out=lambda row: row.attack and _is_like(row, family))


def _is_like(row: Row, family: str) -> bool:
    if row.source == MADE_UP:
        return imitates(row.text, family)
    return row.family == family


def report_frozen(report: Report, scores: Scores, bars: Scores) -> None:
    """Print what the thresholds do that were frozen in training."""
    low, high = bars[:2]
    harmless = report.scores_of(scores, attack=False)
    attacks = report.scores_of(scores, attack=True)
    trap = report.scores_of(scores, attack=False, start="notinject")
    line("frozen: false positives", f"{(harmless >= high).mean():.2%}", "<= 1%")
    line(
        "frozen: false positives on NotInject", f"{(trap >= high).mean():.2%}", "<= 1%"
    )
    band = (harmless >= low) & (harmless < high)
    line(
        "frozen: harmless texts that a judge is asked about",
        f"{band.mean():.1%}",
        "<= 15%",
    )
    line("frozen: attacks found without a judge", f"{(attacks >= high).mean():.1%}")
    line(
        "frozen: attacks that a judge is asked about or found",
        f"{(attacks >= low).mean():.1%}",
    )


class Remembered(Embeddings):
    """Embeddings that embed no text twice."""

    def __init__(self, inner: Embeddings) -> None:
        """Begin with nothing."""
        self.model = "all-MiniLM-L6-v2"
        self._inner = inner
        self._known: dict[str, list[float]] = {}

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts, those of like length together, to pad little."""
        new = sorted({text for text in texts if text not in self._known}, key=len)
        for start in range(0, len(new), 64):
            some = new[start : start + 64]
            found = self._inner.embed_documents(some)
            self._known |= zip(some, found, strict=True)
        return [self._known[text] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """Embed one text."""
        return self.embed_documents([text])[0]


def report_embedded(report: Report, bags: Bags, embedder: Embeddings) -> None:
    """Print what it finds with a head over vectors beside the n-grams."""
    head = _taught(bags, embedder)
    scores = _blended(report, head, embedder, fit(bags))
    found = f"{report.recall(scores):.3f}"
    line("with MiniLM: recall at 1% false positives", found, ">= .92")
    unseen = {}
    for name in FAMILIES:
        without = _without(bags, name)
        alone = _blended(report, _taught(bags, embedder, name), embedder, without)
        unseen[name] = report.recall(alone, name)
    mean = float(np.mean(list(unseen.values())))
    line("with MiniLM: left out of training, mean of families", f"{mean:.3f}", ">= .60")
    for name, value in unseen.items():
        line(f"- {name}", f"{value:.2f}")
    print("with MiniLM:")
    report_frozen(report, scores, _frozen(bags, embedder))


def _taught(bags: Bags, embedder: Embeddings, left_out: str = "") -> EmbeddedHead:
    """Learn from the vectors of all attacks but a family's; set no thresholds."""
    rows = [
        (row.text, row.attack)
        for row in bags.rows
        if not (left_out and row.attack and _is_like(row, left_out))
    ]
    return EmbeddedHead.fit(rows, embedder, lambda parts: np.zeros(len(parts)))


def _blended(
    report: Report, head: EmbeddedHead, embedder: Embeddings, found: Fit
) -> Scores:
    """Score the texts that are reported, by words and vectors."""
    words, scores = _words(found), []
    for row in report.bags.rows:
        parts = windows_of(row.text)
        logits = head.logits(embedder.embed_documents(parts))
        scores.append(blended(words(parts), logits).max())
    return np.array(scores)


def _words(found: Fit) -> Callable[[Sequence[str]], Scores]:
    whole = Thresholds(0.0, 1.0)
    return Weights(found.rarity, found.slope, found.bias, whole, whole, "").all_scores


def _frozen(bags: Bags, embedder: Embeddings) -> Scores:
    """Freeze thresholds by sources that neither words nor vectors have seen."""
    rows = [row for row in bags.rows if row.text.strip()]
    head = EmbeddedHead.fit(
        [(row.text, row.attack) for row in rows],
        embedder,
        _unseen_words(bags, rows),
        [row.source for row in rows],
    )
    # What we made up is no source of its own: train_injection.py sets no bar by it.
    kept = np.array([row.source != MADE_UP for row in rows if not row.attack])
    head = replace(head, unseen=head.unseen[kept], source=head.source[kept])
    bars = InjectionClassifier(embeddings=embedder, head=head).thresholds
    return np.array([bars.low, bars.high])


def _unseen_words(bags: Bags, rows: Sequence[Row]) -> Callable[[Sequence[str]], Scores]:
    """Score windows of harmless sources, each by words of the other sources."""
    many = [len(windows_of(row.text)) for row in rows]
    owner = np.repeat([row.source for row in rows], many)
    names = sorted({row.source for row in rows if not row.attack} - {MADE_UP})

    def words(parts: Sequence[str]) -> Scores:
        scores = np.zeros(len(parts))
        for name in names:
            found = fit(bags, leave_out=partial(_is_of, name))
            mine = np.flatnonzero(owner == name)
            scores[mine] = _words(found)([parts[int(number)] for number in mine])
        return scores

    return words


def _is_of(source: str, row: Row) -> bool:
    return row.source == source


def report_cost() -> None:
    """Print what a look costs."""
    text = (
        "Thank you for your order. It will be sent tomorrow, and you get a mail. "
    ) * 60
    classifier = InjectionClassifier()
    classifier.screen(text)
    began = time.perf_counter()
    for _ in range(20):
        classifier.screen(text)
    spent = (time.perf_counter() - began) / 20
    line("ms a KB of prose", f"{spent / len(text) * 1024 * 1000:.2f}")


def main() -> None:
    """Train on one half, report on the other."""
    rows = injection_rows()
    half: list[Row] = [row for row in rows if row.for_training]
    bags = bags_of(training_rows([*half, *harmless_rows()]))
    report = Report(bags_of([row for row in rows if not row.for_training]))
    scores = fit(bags).scores(report.bags)
    print(f"trained on {len(bags.rows)} texts, reported on {len(report.bags.rows)}\n")
    report_seen(report, scores)
    report_unseen(report, bags)
    report_frozen(report, scores, frozen(bags))
    report_cost()
    if "--embeddings" in sys.argv[1:]:
        embeddings = find_local_embeddings(SHARED)
        if embeddings is None:
            sys.exit("no embeddings: install fastembed and set PRODPATTERNS_SHARED")
        report_embedded(report, bags, Remembered(embeddings))


if __name__ == "__main__":
    main()
