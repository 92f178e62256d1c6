"""`prodpatterns calibrate cache`: what a cache may serve, by pairs of your traffic."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from langchain_prodpatterns.cache.calibrated_settings import CacheSettings
from langchain_prodpatterns.cache.calibration import (
    Calibration,
    CurvePoint,
    JudgeRecord,
    LabeledPair,
    Measured,
    calibrated,
    point_at,
    record_of,
)
from langchain_prodpatterns.cache.costs import NEEDED_UNPRICED
from langchain_prodpatterns.cache.measuring import measured, questions_of
from langchain_prodpatterns.cache.questions import SameAnswerRequest, bind_judge
from langchain_prodpatterns.calibration_file import CalibrationFile
from langchain_prodpatterns.commands.calibrate_cache_page import cache_sections
from langchain_prodpatterns.commands.calibrate_pairs import (
    Asked,
    Row,
    propose,
    sorted_rows,
)
from langchain_prodpatterns.commands.calibrate_parts import (
    Found,
    Parts,
    Remembered,
    parted,
    rows_record,
)
from langchain_prodpatterns.commands.calibrate_rows import Rows
from langchain_prodpatterns.commands.calibrate_verdicts import (
    Judged,
    Verdicts,
    verdicts_of,
)
from langchain_prodpatterns.commands.loading import load_embeddings, load_judge
from langchain_prodpatterns.commands.output import tell
from langchain_prodpatterns.commands.stats import add_delta
from langchain_prodpatterns.commands.values import cosine, count, require, seconds
from langchain_prodpatterns.errors import ConfigurationError, ProdPatternsError
from langchain_prodpatterns.judging import BoundJudge, YesNoVerdict

_LEAST = 0.7
_MOST_VERDICTS = 500


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "--judge",
        metavar="MODULE:ATTRIBUTE",
        help="the cache's judge: asked about every labeled pair, to see how often it "
        "errs, or about near pairs of questions without labels",
    )
    add_delta(parser)
    parser.add_argument(
        "--as-traffic",
        action="store_true",
        help="the labeled pairs are near hits drawn as your users ask: then they are "
        "evidence of what may be served unjudged, and one that comes again counts "
        "again; else they are hints",
    )
    parser.add_argument(
        "--least",
        metavar="COSINE",
        type=cosine,
        default=_LEAST,
        help="of questions without labels: how near a pair must be for the judge to "
        f"be asked (default: {_LEAST})",
    )
    parser.add_argument(
        "--verdicts",
        metavar="N",
        type=count,
        default=_MOST_VERDICTS,
        help="of questions without labels: how many near pairs, drawn by lot, to ask "
        f"about at most (default: {_MOST_VERDICTS})",
    )
    parser.add_argument(
        "--judge-timeout",
        metavar="SECONDS",
        type=seconds,
        default=30.0,
        help="for a verdict (default: 30)",
    )
    parser.add_argument(
        "--concurrency",
        metavar="N",
        type=count,
        default=8,
        help="verdicts to ask for at once (default: 8)",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with the verdicts in DATA.verdicts, of an earlier run",
    )


@dataclass(frozen=True, slots=True)
class Evidence:
    """Labeled pairs, and what is known of them."""

    measured: Sequence[Measured]
    """The pairs, with how near they are."""
    judge: JudgeRecord | None
    """What the judge said to them, if they had labels and it was asked."""
    as_traffic: bool
    """Whether they are drawn as users ask."""
    counted: dict[str, int]
    """What else was counted."""


@dataclass(frozen=True, slots=True)
class _Panel:
    """A judge, with what it has said earlier."""

    judge: BoundJudge[SameAnswerRequest, YesNoVerdict]
    verdicts: Verdicts
    max_concurrency: int

    def on(self, known: Sequence[Measured]) -> list[Judged]:
        """Return its judgement on each pair."""
        requests = [one.request() for one in known]
        return self.verdicts.ask(self.judge, requests, self.max_concurrency)


def run(options: argparse.Namespace, rows: Rows[Row]) -> Found:
    """Calibrate a cache.

    Raises:
        ConfigurationError: When the arguments do not go together, or there is too
            little to go by.
        ProdPatternsError: When the embeddings fail.
    """
    require(options.embeddings, "give the cache's embeddings: --embeddings")
    pairs, asked = sorted_rows(rows.items)
    # Before anything is embedded, which may take long: the judge may not be there.
    panel = None if options.judge is None else _panel(options)
    embeddings = Remembered(load_embeddings(options.embeddings))
    found = (
        _from_pairs(options, pairs, embeddings, panel)
        if pairs
        else _from_traces(options, asked, embeddings, panel)
    )
    groups = [one.pair.new_question for one in found.measured]
    parts = parted(groups, options.test, options.seed)
    chosen_on = [found.measured[at] for at in parts.chosen_on]
    reported_on = [found.measured[at] for at in parts.reported_on]
    chosen = calibrated(
        chosen_on, found.judge, delta=options.delta, needed=NEEDED_UNPRICED
    )
    held_out = None if chosen.band is None else point_at(chosen.band[1], reported_on)
    settings = CacheSettings.of(
        found.measured,
        found.judge,
        delta=options.delta,
        band=chosen.band,
        as_traffic=found.as_traffic,
    )
    calibration = CalibrationFile(
        "cache",
        embeddings.fingerprint,
        settings.record(),
        rows_record(len(found.measured), parts, options.seed, found.counted),
        _shown(chosen, held_out),
        rows.date,
    )
    text = _text(chosen, held_out, parts, found)
    return Found(calibration, text, cache_sections(chosen, reported_on, text))


def _from_pairs(
    options: argparse.Namespace,
    pairs: Sequence[LabeledPair],
    embeddings: Remembered,
    panel: _Panel | None,
) -> Evidence:
    known = _measured(pairs, embeddings)
    record = None
    if panel is not None:
        record = record_of(known, panel.on(known))
        _check_judge(record.failures, len(known))
    same = sum(one.pair.same_answer for one in known)
    return Evidence(known, record, options.as_traffic, {"same": same})


def _from_traces(
    options: argparse.Namespace,
    asked: Sequence[Asked],
    embeddings: Remembered,
    panel: _Panel | None,
) -> Evidence:
    """Propose near pairs, and let the judge say which of them have one answer."""
    if panel is None:
        msg = (
            "questions without labels need a judge that says which have one answer: "
            "--judge MODULE:ATTRIBUTE"
        )
        raise ConfigurationError(msg)
    vectors = embeddings.embed_documents([one.question for one in asked])
    proposal = propose(asked, vectors, options.least)
    require(
        proposal.pairs,
        f"no two of {proposal.questions} questions are as near as {options.least:g}: "
        "give more of them, or a lower --least",
    )
    lot = np.random.default_rng(options.seed).permutation(len(proposal.pairs))
    drawn = sorted(lot[: options.verdicts].tolist())
    known = _measured([proposal.pairs[at] for at in drawn], embeddings)
    judged = panel.on(known)
    labeled = [
        replace(one, pair=replace(one.pair, same_answer=judgement.yes))
        for one, judgement in zip(known, judged, strict=True)
        if judgement.failure is None
    ]
    _check_judge(len(known) - len(labeled), len(known))
    counted = {
        "questions": proposal.questions,
        "repeated": proposal.repeated,
        "near": len(proposal.pairs),
        "same": sum(one.pair.same_answer for one in labeled),
    }
    return Evidence(labeled, None, as_traffic=True, counted=counted)


def _measured(pairs: Sequence[LabeledPair], embeddings: Remembered) -> list[Measured]:
    texts = questions_of(pairs)
    return measured(pairs, texts, embeddings.embed_documents(texts))


def _panel(options: argparse.Namespace) -> _Panel:
    judge = bind_judge(load_judge(options.judge), options.judge_timeout)
    path = verdicts_of(options.data)
    verdicts = Verdicts.open(path, options.judge, resume=options.resume)
    return _Panel(judge, verdicts, options.concurrency)


def _check_judge(failures: int, asked: int) -> None:
    """Say how many verdicts are missing; refuse to go on without a single one.

    Raises:
        ProdPatternsError: When there is none.
    """
    if failures == asked:
        msg = f"the judge came to no verdict on any of {asked} pairs: try it by itself"
        raise ProdPatternsError(msg)
    if failures:
        tell(
            f"the judge came to no verdict on {failures} of {asked} pairs: --resume "
            "asks about these again"
        )


def _shown(chosen: Calibration, held_out: CurvePoint | None) -> dict[str, object]:
    judge = chosen.judge
    return {
        "pairs_needed_for_a_band": chosen.pairs_needed,
        "judge": judge
        and {
            "accepted_wrongly": judge.accepted_wrongly,
            "different": judge.different,
            "refused_wrongly": judge.refused_wrongly,
            "same": judge.same,
            "failures": judge.failures,
            "accepted_wrongly_at_most": judge.error_bound,
        },
        "held_out": held_out
        and {
            "unjudged_from": held_out.similarity,
            "served": held_out.served,
            "wrong": held_out.wrong,
            "wrong_at_most": held_out.bound,
        },
    }


def _text(
    chosen: Calibration, held_out: CurvePoint | None, parts: Parts, found: Evidence
) -> str:
    lines = []
    if "near" in found.counted:
        lines.append(
            f"{found.counted['questions']} questions, {found.counted['repeated']} of "
            f"them asked before word for word; {found.counted['near']} near pairs, "
            f"the judge's verdict on {len(found.measured)}"
        )
    lines += [f"chosen on {len(parts.chosen_on)} pairs:", str(chosen), ""]
    if held_out is None:
        lines.append(
            f"on the other {len(parts.reported_on)} pairs there is no threshold to "
            "report on"
        )
    else:
        # The judge's own errors are in no bound.
        by_judge = ", as far as the judge is right" if "near" in found.counted else ""
        lines.append(
            f"on the other {len(parts.reported_on)} pairs: from {held_out.similarity:g}"
            f" on {held_out.served:.1%} are served unjudged, {held_out.wrong:.1%} of "
            f"these wrongly (at most {held_out.bound:.1%} with 95% confidence)"
            f"{by_judge}"
        )
    return "\n".join(lines)
