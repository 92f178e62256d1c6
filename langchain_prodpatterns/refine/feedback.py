"""What a critic says, short enough to be handed on. Pure."""

from langchain_prodpatterns.refine.drafts import encodable
from langchain_prodpatterns.refine.steps import Outcome

MAX_FEEDBACK = 1_000
"""Characters of one critic's feedback that are kept: prompts must stay bounded. The
middle is left out, since test runners say what is wrong at the end."""

_LEFT_OUT = "\n[...]\n"


def why_none(outcome: Outcome) -> str:
    """Say why a step gave no answer, without a text that may quote the draft."""
    if outcome.spent is not None:
        return "budget spent"
    return type(outcome.error).__name__ if outcome.error else "no answer"


def short(feedback: str, most: int = MAX_FEEDBACK) -> str:
    """Leave the middle of a feedback out where it is too long.

    Args:
        feedback: The feedback.
        most: Characters to keep.

    Returns:
        A text that every provider takes.
    """
    feedback = feedback.strip()
    if len(feedback) > most:
        room = most - len(_LEFT_OUT)
        tail = room // 2
        feedback = f"{feedback[: room - tail]}{_LEFT_OUT}{feedback[-tail:]}"
    return encodable(feedback)
