"""Trains the weights of `InjectionClassifier`, and freezes its thresholds.

`python benchmarks/train_injection.py [OUT.npz]` learns from all permitted rows and
writes the file that ships with the package. It needs scikit-learn and the sets under
`PRODPATTERNS_SHARED/data`, none of which is part of the project. The same rows give
the same file.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np
from injection_fit import MADE_UP, Bags, Fit, bags_of, fit, training_rows
from injection_rows import harmless_rows, injection_rows
from numpy.typing import NDArray

from langchain_prodpatterns.guard.classifier import FORMAT

OUT = "langchain_prodpatterns/guard/injection_weights.npz"
TOLERATED = 0.01
"""The share of a source's harmless texts that may be above the high threshold."""
LOW, UNTRUSTED_LOW = 0.13, 0.18
"""The share of all harmless texts that may be above the low one."""
HARDEST, UNTRUSTED_HARDEST = 1, 2
"""How many sources may be harder than `TOLERATED` allows: one of them is nothing but
documentation that quotes commands."""


def unseen_scores(bags: Bags) -> dict[str, NDArray[np.float64]]:
    """Score harmless texts, those of each source by weights that never saw it."""
    names = {row.source for row in bags.rows if not row.attack} - {MADE_UP}
    return {name: _unseen(bags, name) for name in sorted(names)}


def _unseen(bags: Bags, source: str) -> NDArray[np.float64]:
    members = [row.source == source for row in bags.rows]
    found = fit(bags, leave_out=lambda row: row.source == source)
    return np.asarray(found.scores(bags)[members])


def frozen(bags: Bags) -> NDArray[np.float64]:
    """Return low and high for users, then for what is untrusted.

    Sources that were left out stand for what people will really write, which is of no
    source at all.
    """
    scores = unseen_scores(bags)
    together = np.concatenate(list(scores.values()))
    bars = sorted(
        (float(np.quantile(each, 1 - TOLERATED)) for each in scores.values()),
        reverse=True,
    )
    return np.array(
        [
            np.quantile(together, 1 - LOW),
            bars[HARDEST],
            np.quantile(together, 1 - UNTRUSTED_LOW),
            bars[UNTRUSTED_HARDEST],
        ]
    )


def write(path: Path, found: Fit, thresholds: NDArray[np.float64]) -> str:
    """Write the weights; return their fingerprint."""
    rarity, slope = found.rarity.astype(np.float16), found.slope.astype(np.float16)
    digest = hashlib.sha256(
        b"".join(part.tobytes() for part in (rarity, slope, thresholds))
    ).hexdigest()[:12]
    np.savez_compressed(
        path,
        format=np.array(FORMAT),
        rarity=rarity,
        slope=slope,
        bias=np.array(found.bias),
        thresholds=thresholds,
        fingerprint=np.array(digest),
    )
    return digest


def main() -> None:
    """Train, freeze and write."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else OUT)
    rows = training_rows([*injection_rows(), *harmless_rows()])
    bags = bags_of(rows)
    thresholds = frozen(bags)
    fingerprint = write(path, fit(bags), thresholds)
    attacks = sum(row.attack for row in rows)
    print(f"{len(rows)} texts, {attacks} attacks, {len(bags.owner)} windows")
    print(f"thresholds {thresholds.round(4)}, {path.stat().st_size} bytes")
    print(f"{path}: {fingerprint}")


if __name__ == "__main__":
    main()
