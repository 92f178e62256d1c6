"""`prodpatterns calibrate guard`: thresholds of the classifier of prompt injections."""

import argparse
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_prodpatterns._table import plain_table
from langchain_prodpatterns.calibration_file import CalibrationFile
from langchain_prodpatterns.commands.calibrate_guard_page import COLUMNS, guard_sections
from langchain_prodpatterns.commands.calibrate_parts import (
    Found,
    Remembered,
    parted,
    promised,
    rows_record,
)
from langchain_prodpatterns.commands.calibrate_rows import BadRow, Rows, text_of
from langchain_prodpatterns.commands.calibrate_thresholds import (
    Scored,
    Standing,
    harmless_needed,
    standings,
    threshold_at,
)
from langchain_prodpatterns.commands.loading import load_embeddings
from langchain_prodpatterns.commands.output import progress
from langchain_prodpatterns.commands.values import require, tolerated
from langchain_prodpatterns.guard.classifier import InjectionClassifier, Thresholds
from langchain_prodpatterns.guard.embedded_head import windows_of

_ATTACK = {"1", "true", "yes", "attack", "injection", "malicious", "jailbreak"}
_HARMLESS = {"0", "false", "no", "harmless", "benign", "clean", "safe"}


@dataclass(frozen=True, slots=True)
class LabeledText:
    """A text, and whether it is an attack."""

    text: str
    """The text."""
    attack: bool
    """Whether it is one."""
    source: str = ""
    """Where it is from."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "--false-positives",
        metavar="SHARE",
        type=tolerated,
        default=0.01,
        help="of harmless texts: how many may be taken for attacks (default: 0.01)",
    )
    parser.add_argument(
        "--gray",
        metavar="SHARE",
        type=tolerated,
        default=0.13,
        help="of harmless texts: how many may be in doubt, for the judge, or taken for "
        "attacks (default: 0.13)",
    )
    parser.add_argument(
        "--untrusted",
        action="store_true",
        help="the texts are what documents and tools say: choose their thresholds, not "
        "those for what users write",
    )
    parser.add_argument(
        "--save",
        action="store_true",
        help="write what was learned of the embeddings beside --out, for "
        "InjectionClassifier.from_calibration; no text is in it",
    )


def read_row(fields: Mapping[str, Any]) -> LabeledText:
    """Read a labeled text.

    Raises:
        BadRow: When it is none.
    """
    word = str(fields.get("label")).strip().casefold()
    if word not in _ATTACK | _HARMLESS:
        msg = "no 'label', or one that is neither 1 (attack) nor 0 (harmless)"
        raise BadRow(msg)
    source = fields.get("source")
    named = source if isinstance(source, str) else ""
    return LabeledText(text_of(fields, "text"), word in _ATTACK, named)


def known_by(row: LabeledText) -> Hashable:
    """Return by what a text is known when it comes again."""
    return row.text, row.attack


def run(options: argparse.Namespace, rows: Rows[LabeledText]) -> Found:
    """Calibrate a guard's classifier.

    Raises:
        ConfigurationError: When the arguments do not go together, or there are too few
            attacks or harmless texts.
        ProdPatternsError: When the embeddings fail.
    """
    texts = rows.items
    parts = parted([one.text for one in texts], options.test, options.seed)
    chosen_on = [texts[at] for at in parts.chosen_on]
    embeddings = _embeddings(options, texts)
    classifier = _classifier(chosen_on, embeddings)
    harmless = _harmless_scores(classifier, chosen_on, options)
    thresholds = _thresholds(harmless, options)
    reported = _scored(classifier, [texts[at] for at in parts.reported_on], options)
    shipped = classifier.untrusted if options.untrusted else classifier.thresholds
    used = thresholds or shipped
    shown = standings(reported, used)
    needed = harmless_needed(options.false_positives)
    attacks = sum(one.attack for one in texts)
    kind = "untrusted" if options.untrusted else "thresholds"
    calibration = CalibrationFile(
        "guard",
        None if embeddings is None else embeddings.fingerprint,
        {
            "weights": classifier.fingerprint,
            kind: thresholds and [thresholds.low, thresholds.high],
        },
        rows_record(len(texts), parts, options.seed, {"attacks": attacks}),
        {
            "false_positives": options.false_positives,
            "harmless_needed": needed,
            "held_out": [one.record() for one in shown],
        },
        rows.date,
    )
    text = _text(thresholds, used, shown, len(harmless), options)
    sections = guard_sections(reported, used, shown, text)
    head = classifier.head
    return Found(calibration, text, sections, None if head is None else head.save)


def _embeddings(
    options: argparse.Namespace, texts: Sequence[LabeledText]
) -> Remembered | None:
    if options.embeddings is None:
        require(
            not options.save, "--save writes what is learned of --embeddings: give them"
        )
        return None
    embeddings = Remembered(load_embeddings(options.embeddings))
    embeddings.read([part for one in texts for part in windows_of(one.text)])
    return embeddings


def _classifier(
    chosen_on: Sequence[LabeledText], embeddings: Remembered | None
) -> InjectionClassifier:
    if embeddings is None:
        return InjectionClassifier()
    rows = [(one.text, one.attack) for one in chosen_on]
    return InjectionClassifier.fit(rows, embeddings)


def _harmless_scores(
    classifier: InjectionClassifier,
    chosen_on: Sequence[LabeledText],
    options: argparse.Namespace,
) -> list[float]:
    """Return scores of harmless texts, none of which has taught what scores it."""
    if classifier.head is not None:
        return [float(score) for score in classifier.head.unseen]
    harmless = [one for one in chosen_on if not one.attack]
    return [one.score for one in _scored(classifier, harmless, options)]


def _scored(
    classifier: InjectionClassifier,
    texts: Sequence[LabeledText],
    options: argparse.Namespace,
) -> list[Scored]:
    found = []
    with progress("score", len(texts)) as advance:
        for one in texts:
            suspicion = classifier.screen(one.text, untrusted=options.untrusted)
            found.append(Scored(suspicion.score, one.attack, one.source))
            advance()
    return found


def _thresholds(
    harmless: Sequence[float], options: argparse.Namespace
) -> Thresholds | None:
    high = threshold_at(harmless, options.false_positives)
    if high is None:
        return None
    low = threshold_at(harmless, max(options.gray, options.false_positives))
    return Thresholds(high if low is None else min(low, high), high)


def _text(
    thresholds: Thresholds | None,
    used: Thresholds,
    shown: Sequence[Standing],
    harmless: int,
    options: argparse.Namespace,
) -> str:
    rate = options.false_positives
    if thresholds is None:
        first = (
            f"{harmless} harmless texts do not show a share of false positives of "
            f"{promised(rate)}: at least {harmless_needed(rate)} are needed. The "
            "classifier's own thresholds stay"
        )
    else:
        # What is fitted on all in the end is a little other than what scored them.
        scored = ", each scored by what others taught" if options.embeddings else ""
        first = (
            f"chosen on {harmless} harmless texts{scored}: an attack from "
            f"{used.high:.4f} on, in doubt from {used.low:.4f} on; at most "
            f"{promised(rate)} of harmless texts are taken for attacks, with 95% "
            "confidence"
        )
    table = plain_table(COLUMNS, [one.cells() for one in shown], words=("source",))
    total = shown[-1]
    last = (
        f"on the others: {total.false_positives} of {total.harmless} harmless texts "
        f"are taken for attacks (at most {total.false_positives_at_most:.1%} with 95% "
        f"confidence), {total.found} of {total.attacks} attacks are found"
    )
    return f"{first}\n\n{table}\n\n{last}"
