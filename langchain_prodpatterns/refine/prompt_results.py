"""What the refinement of a prompt found out."""

from dataclasses import dataclass

from langchain_core.prompts import ChatPromptTemplate

from langchain_prodpatterns.refine.results import Scores, StopReason, overall
from langchain_prodpatterns.usage import Usage


@dataclass(frozen=True, slots=True)
class PromptRound:
    """One prompt and what became of it. Round 0 is the prompt that was given."""

    number: int
    """0 for the given prompt, then the rounds of edits from 1. Candidates share it."""
    prompt: ChatPromptTemplate | None
    """The prompt; `None` where the edit could not be used."""
    score: float | None
    """The mean score of its outputs on the inputs that edits are made from, from 0 to
    1; `None` where none could be scored."""
    held_out: float | None
    """The mean score on the inputs that no edit has seen; `None` where it was not
    run on them, or nothing could be scored."""
    accepted: bool
    """Whether it became the best so far."""
    reason: str
    """Why it was accepted or not, without any text of inputs or outputs."""
    usage: Usage
    """What the calls for it used."""
    seconds: float
    """Wall-clock seconds of this round, those of its other candidates included."""
    candidate: int = 0
    """Which candidate of its round it is, from 0."""

    @property
    def written(self) -> bool:
        """Whether there is a prompt."""
        return self.prompt is not None


@dataclass(frozen=True, slots=True)
class PromptRefineResult:
    """The best prompt and how it came about."""

    best: ChatPromptTemplate
    """The best prompt; its variables are those of the given one."""
    rounds: tuple[PromptRound, ...]
    """Every round, the given prompt's included."""
    stop_reason: StopReason
    """Why it stopped."""
    usage: Usage
    """What all calls used."""

    @property
    def score(self) -> float | None:
        """The score of the best on the held-out inputs."""
        return [entry for entry in self.rounds if entry.accepted][-1].held_out


def worth(scores: Scores) -> float | None:
    """Sum up in one number what an output is worth, also where a verifier fails.

    Where there are both, verifiers and criteria are worth a half each, and criteria
    that were not put to a judge because a verifier failed are worth nothing. So no
    output that fails is worth more than one that does not.

    Args:
        scores: The scores of one output.

    Returns:
        From 0 to 1; `None` where a part of it is unscored for another reason.
    """
    checked = tuple(score for score in scores if score.kind == "verifier")
    judged = tuple(score for score in scores if score.kind == "criteria")
    if not (checked and judged):
        return overall(scores)
    passed = overall(checked)
    if passed is None:
        return None
    if passed < 1.0:
        return passed / 2
    liked = overall(judged)
    return None if liked is None else (1.0 + liked) / 2


def mean(values: list[float]) -> float | None:
    """Return the mean, or `None` of nothing."""
    return sum(values) / len(values) if values else None
