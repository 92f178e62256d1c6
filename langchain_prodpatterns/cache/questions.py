"""What the judge of a near hit is asked."""

from typing import Self

from langchain_prodpatterns.judging import BoundJudge, JudgeLike, YesNoVerdict
from langchain_prodpatterns.verdicts import JudgeRequest

SAME_ANSWER = (
    "A cache holds an answer to the stored question. Would that very answer be "
    "correct and complete for the new question, too, asked in the same context? Say "
    "yes only if both questions ask for the same thing. Say no if they differ in a "
    "number, a date, a name, a place, a negation, a direction, a unit, a language or "
    "anything else that could change the answer, or if the answer does not address "
    "the new question."
)
"""The question put to a chat model."""

_MAX_CHARACTERS = 8_000


class SameAnswerRequest(JudgeRequest):
    """What is put before the judge of a near hit, as plain texts."""

    new_question: str
    """The question asked now."""
    stored_question: str
    """The question whose answer is stored."""
    stored_answer: str
    """That answer; a very long one is cut."""
    context: str = ""
    """What both have in common: the system prompt, or the rest of a chain's input."""

    @classmethod
    def of(
        cls,
        *,
        new_question: str,
        stored_question: str,
        stored_answer: str,
        context: str,
    ) -> Self:
        """Build a request whose answer and context are of bounded length.

        The questions are never cut: what differs may be at their end.
        """
        return cls(
            new_question=new_question,
            stored_question=stored_question,
            stored_answer=stored_answer[:_MAX_CHARACTERS],
            context=context[:_MAX_CHARACTERS],
        )


def bind_judge(
    judge: JudgeLike, timeout: float | None
) -> BoundJudge[SameAnswerRequest, YesNoVerdict]:
    """Bind a user's judge to the question of a near hit."""
    return BoundJudge(
        judge,
        question=SAME_ANSWER,
        verdict_type=YesNoVerdict,
        timeout=timeout,
        name="cache:judge",
    )
