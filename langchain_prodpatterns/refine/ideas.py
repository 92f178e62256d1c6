"""A digest of what was tried and was no better, for a reviser to steer clear of. Pure.

It is bounded in number and in length, so that prompts do not grow with the rounds.
"""

from collections.abc import Sequence

from langchain_prodpatterns.refine.drafts import read_draft
from langchain_prodpatterns.refine.feedback import short
from langchain_prodpatterns.refine.results import RefineRound

LONGEST = 300
"""Characters of one idea, and of what was said of it."""


def failed_ideas(
    rounds: Sequence[RefineRound], best: str, most: int
) -> tuple[str, ...]:
    """Tell of the latest revisions that did not replace the best.

    Args:
        rounds: The rounds so far.
        best: The text of the best draft.
        most: How many to tell of.

    Returns:
        What each would have written that is not in the best, why it was not taken, and
        what the critics said of it.
    """
    rejected = [
        entry for entry in rounds if entry.draft is not None and not entry.accepted
    ]
    latest = rejected[max(0, len(rejected) - most) :]
    return tuple(_told(entry, best) for entry in latest)


def _told(entry: RefineRound, best: str) -> str:
    known = {line.strip() for line in best.splitlines()}
    lines = (line.strip() for line in read_draft(entry.draft).text.splitlines())
    new = " / ".join(line for line in lines if line not in known)
    said = short("; ".join(entry.feedback), LONGEST)
    idea = short(new, LONGEST) or "the same with something left out"
    return f"{idea} ({entry.reason}{': ' if said else ''}{said})"
