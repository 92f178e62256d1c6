"""Whether a revision replaces the best. Pure.

The tests are asked in order; the first that is not undecided decides. A draft that no
test shows to be better does not replace the best.
"""

from collections.abc import Collection, Sequence
from typing import Literal, get_args

from langchain_prodpatterns.errors import ConfigurationError
from langchain_prodpatterns.refine.results import Scores, deciding, weighted_mean

AcceptTest = Literal["verifier", "pairwise", "score"]
"""One test of a revision against the best."""

Comparison = Literal["better", "worse", "undecided"]
"""How a revision compares with the best."""

Preference = Literal["best", "revision", "neither"]
"""What a pairwise judge prefers, whichever of the two it was shown first."""

# Sums of weights are floats: a difference below this is none.
_SAME = 1e-9


def read_accept(accept: str) -> tuple[AcceptTest, ...]:
    """Read the tests from `"verifier>pairwise>score"` or a part of it.

    Args:
        accept: The tests in order, separated by `>`.

    Returns:
        The tests.

    Raises:
        ConfigurationError: When a word is unknown or out of order.
    """
    known = get_args(AcceptTest)
    words = [word.strip() for word in str(accept).split(">")]
    chosen: tuple[AcceptTest, ...] = tuple(word for word in known if word in words)
    if list(chosen) != words:
        msg = (
            f"accept must be {'>'.join(known)!r} or a part of it in that order, got "
            f"{accept!r}"
        )
        raise ConfigurationError(msg)
    return chosen


def by_verifiers(best: Scores, new: Scores) -> Comparison:
    """Compare by what was checked: no verifier may get worse.

    A verifier that was broken on one of the two proves nothing in favor of the
    revision: broken on the best, it leaves the next test to decide, unless the revision
    fails it; broken on the revision, it counts as worse.

    Args:
        best: The scores of the best.
        new: The scores of the revision.

    Returns:
        `better` when a verifier gets better and none gets worse.
    """
    pairs = [
        (old.value, now.value)
        for old, now in zip(best, new, strict=True)
        if old.kind == "verifier"
    ]
    if any(_got_worse(old, now) for old, now in pairs):
        return "worse"
    return "better" if any(_got_better(old, now) for old, now in pairs) else "undecided"


def by_score(best: Scores, new: Scores) -> Comparison:
    """Compare by the weighted score, as far as critics scored the best.

    Unscored never beats scored, and scored beats unscored only where the best cannot
    be the better one.

    Args:
        best: The scores of the best.
        new: The scores of the revision.

    Returns:
        `better` when the revision scores higher by the critics that scored the best.
    """
    pairs = list(zip(deciding(best), deciding(new), strict=True))
    scored = [(old, now) for old, now in pairs if old.value is not None]
    if not scored:
        return "better" if _beats_unscored(best, new) else "undecided"
    if any(now.value is None for _, now in scored):
        return "worse"
    old_mean = weighted_mean([(old.value or 0.0, old.weight) for old, _ in scored])
    new_mean = weighted_mean([(now.value or 0.0, now.weight) for _, now in scored])
    if abs(new_mean - old_mean) < _SAME:
        return "undecided"
    return "better" if new_mean > old_mean else "worse"


def leading(candidates: Sequence[Scores], tests: Collection[AcceptTest]) -> int:
    """Choose among the candidates of one round, by what is known of them already.

    Args:
        candidates: The scores of each, at least one.
        tests: The acceptance tests. No pairwise judge is asked among candidates: that
            is kept for the question whether the best of them replaces the best so far.

    Returns:
        The place of the one that no other betters; the first of several.
    """
    lead = 0
    for at in range(1, len(candidates)):
        pair = candidates[lead], candidates[at]
        comparison: Comparison = "undecided"
        if "verifier" in tests:
            comparison = by_verifiers(*pair)
        if comparison == "undecided":
            comparison = by_score(*pair)
        if comparison == "better":
            lead = at
    return lead


def by_preference(
    first: Preference | None, swapped: Preference | None = None
) -> Comparison:
    """Compare by a judge that was asked in both orders.

    Judges favor a position, so only a preference that survives the swap counts; a
    judge that contradicts itself keeps the best.

    Args:
        first: The preference with the best shown first; `None` without a verdict.
        swapped: The preference with the revision shown first. It is not asked for
            where `first` already settles the matter.

    Returns:
        `undecided` where the judge saw no difference at first, or gave no verdict.
    """
    if first == "best":
        return "worse"
    if first != "revision":
        return "undecided"
    if swapped == "revision":
        return "better"
    return "undecided" if swapped is None else "worse"


def _beats_unscored(best: Scores, new: Scores) -> bool:
    """Whether a draft is known to be no worse than one without a score."""
    now = deciding(new)
    if now and all(score.passed for score in now):
        return True
    # The criteria of a draft that fails a verifier are skipped: it has failed, while
    # criteria that are judged say that the other one has not.
    failed = any(score.failed for score in best if score.kind == "verifier")
    return failed and any(score.value is not None for score in now)


def _got_worse(old: float | None, now: float | None) -> bool:
    if old is None:
        return now is not None and now < 1.0
    return now is None or now < old


def _got_better(old: float | None, now: float | None) -> bool:
    return old is not None and now is not None and now > old
